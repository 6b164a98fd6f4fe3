//! The examples, run as a user runs them.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::PathBuf,
    process::Command,
};

use ws_proto::{Header, MAX_HEADER_LEN, OpCode};

mod common;

use common::{ADAPTERS, CLIENT, ECHO, Server, client, exchange};

const PROXY: &str = env!("CARGO_BIN_EXE_proxy");

fn echo(arguments: &[&str]) -> Server {
    Server::start(ECHO, arguments)
}

/// Opens a WebSocket and returns the transport.
fn open(server: &Server) -> TcpStream {
    open_at(server, "/")
}

fn open_at(server: &Server, target: &str) -> TcpStream {
    let mut stream = server.connect();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// Runs an example that needs no help; returns what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{complaints}");
    printed
}

/// A file that is gone when the test is over.
struct File(PathBuf);

impl File {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = dir.join(format!("{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn intranet_verifies_what_it_shows() {
    let arguments = ["--size", "100001", "--runs", "2"];
    let printed = run(env!("CARGO_BIN_EXE_intranet"), &arguments);
    assert!(!printed.contains("FAILED"), "{printed}");
    assert_eq!(printed.matches("  ok  ").count(), 12, "{printed}");
    let (zero, random) = printed.split_once("Masking by RFC 6455").unwrap();
    assert!(zero.contains("00 00 00 00") && zero.contains("masking key: zero"));
    assert!(!zero.contains("masking key: random"));
    assert!(!random.contains("masking key: zero"));
    assert!(random.contains("Close 1002"), "{printed}");
}

#[test]
fn embedding_examples_get_their_echo() {
    for program in [
        env!("CARGO_BIN_EXE_embed_blocking"),
        env!("CARGO_BIN_EXE_embed_tokio"),
        env!("CARGO_BIN_EXE_own_poll"),
        env!("CARGO_BIN_EXE_h2"),
    ] {
        let printed = run(program, &[]);
        assert!(printed.contains("Hello"), "{program}: {printed}");
    }
}

#[test]
fn messages_come_back_through_a_proxy_until_its_server_is_gone() {
    let echo = echo(&[]);
    let url = echo.url();
    for flag in [&[][..], &["--set-mask-to-zero"]] {
        let arguments = [flag, &[&url]].concat();
        let proxy = Server::start(PROXY, &arguments);
        let mut stream = open(&proxy);
        for _ in 0..2 {
            stream.write_all(b"\x81\x82\0\0\0\0Hi").unwrap();
            let mut echo = [0; 4];
            stream.read_exact(&mut echo).unwrap();
            assert_eq!(&echo, b"\x81\x02Hi");
        }
        stream.write_all(b"\x88\x82\0\0\0\0\x03\xe8").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"\x88\x02\x03\xe8");
    }
    let proxy = Server::start(PROXY, [&url]);
    drop(echo);
    let mut stream = open(&proxy);
    let mut close = [0; 4];
    stream.read_exact(&mut close).unwrap();
    assert_eq!(close, [0x88, 2, 0x03, 0xf6]);
}

#[test]
fn own_transport_gets_its_echo_late() {
    let output = run(env!("CARGO_BIN_EXE_own_transport"), &[]);
    let times: Vec<&str> = output
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(time, _)| time)
        .collect();
    assert_eq!(times, ["250ms", "500ms", "760ms"], "{output}");
    assert!(
        output.contains("the server says Text(\"Hello\")"),
        "{output}"
    );
}

#[test]
fn every_example_has_help_and_refuses_what_it_does_not_know() {
    for program in [
        ECHO,
        CLIENT,
        env!("CARGO_BIN_EXE_autobahn_client"),
        env!("CARGO_BIN_EXE_axum"),
        env!("CARGO_BIN_EXE_embed_blocking"),
        env!("CARGO_BIN_EXE_embed_tokio"),
        env!("CARGO_BIN_EXE_h2"),
        env!("CARGO_BIN_EXE_intranet"),
        env!("CARGO_BIN_EXE_metrics"),
        env!("CARGO_BIN_EXE_own_poll"),
        env!("CARGO_BIN_EXE_own_transport"),
        PROXY,
        env!("CARGO_BIN_EXE_tls_mutual"),
        env!("CARGO_BIN_EXE_tokio"),
    ] {
        assert!(!run(program, &["--help"]).is_empty(), "{program}");
        let output = Command::new(program).arg("--nonsense").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{program}");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains("--nonsense"), "{program}: {complaint}");
    }
}

#[test]
fn typed_lines_come_back() {
    for adapter in ADAPTERS {
        let echo = echo(&["--adapter", adapter]);
        let output = client([&echo.url()], "one\nzwei, 世界\n".as_bytes());
        let (out, err) = (output.stdout, String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{adapter}: {err}");
        assert_eq!(String::from_utf8(out).unwrap(), "one\nzwei, 世界\n");
        assert!(err.contains("closed with code 1000"), "{adapter}: {err}");
    }
}

#[test]
fn client_whose_server_has_closed_ends_well_when_its_input_ends() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut key = String::new();
        for line in BufReader::new(&stream).lines() {
            let line = line.unwrap();
            if let Some(value) = line.strip_prefix("Sec-WebSocket-Key: ") {
                key = value.to_owned();
            }
            if line.is_empty() {
                break;
            }
        }
        let accept = ws_handshake::accept_key(key.as_bytes());
        let reply = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: {}\r\n\r\n\u{1}",
            std::str::from_utf8(&accept).unwrap()
        );
        let mut bytes = reply.into_bytes();
        bytes.pop();
        bytes.extend_from_slice(b"\x81\x03bye\x88\x02\x03\xe8");
        (&stream).write_all(&bytes).unwrap();
        let _ = (&stream).read_to_end(&mut Vec::new());
    });
    // The input goes on after the Close, as far as the client takes it.
    let output = client([&url], "one\n".repeat(1000).as_bytes());
    server.join().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");
    assert_eq!(output.stdout, b"bye\n");
    assert!(complaints.contains("closed with code 1000"), "{complaints}");
}

#[test]
fn errors_of_arguments_name_option_and_value_once() {
    for (program, arguments, told) in [
        (
            CLIENT,
            &["--max-message", "many", "ws://h/"][..],
            "error: --max-message \"many\": invalid digit found in string\n",
        ),
        (
            CLIENT,
            &["--proxy", "socks4://user:secret@h", "ws://h/"],
            "error: --proxy: SOCKS4 ",
        ),
        (CLIENT, &["localhost:9001"], "not with \"localhost\"\n"),
        (
            ECHO,
            &["--adapter", "x"],
            "error: --adapter \"x\": there are mio and smol\n",
        ),
        (
            ECHO,
            &["--accept-unmasked-frame-in", "10.0.0.0/99"],
            "error: --accept-unmasked-frame-in \"10.0.0.0/99\": a network is an address",
        ),
        (
            ECHO,
            &["--listen", "nowhere"],
            "error: --listen \"nowhere\": ",
        ),
        (
            ECHO,
            &["--adapter", "smol", "--listen", "127.0.0.1:x"],
            "error: --listen \"127.0.0.1:x\": ",
        ),
    ] {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains(told), "{arguments:?}: {complaint}");
        assert!(!complaint.contains("secret"), "{complaint}");
    }
}

#[test]
fn files_come_back_byte_for_byte() {
    let bytes: Vec<u8> = (0..300_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let binary = File::new("binary", &bytes);
    let text = File::new("text", "Grüße\n".as_bytes());
    let nothing = File::new("nothing", b"");
    for adapter in ADAPTERS {
        let echo = echo(&["--adapter", adapter]);
        for arguments in [
            &["--send", binary.path()][..],
            &["--set-mask-to-zero", "--send", binary.path()],
            &["--send", text.path(), "--text"],
            &["--send", nothing.path()],
        ] {
            let url = echo.url();
            let arguments = [arguments, &[&url]].concat();
            let output = client(&arguments, b"");
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{arguments:?}: {complaints}");
            let file = arguments[arguments.iter().position(|&a| a == "--send").unwrap() + 1];
            assert!(
                output.stdout == std::fs::read(file).unwrap(),
                "{arguments:?}"
            );
        }
    }
}

#[test]
fn compressed_messages_come_back_whatever_is_agreed() {
    let text = "so it goes, ".repeat(20_000);
    let file = File::new("compressible", text.as_bytes());
    for adapter in ADAPTERS {
        for (demanded, asked) in [
            ("--deflate", "--deflate"),
            (
                "--deflate=server_no_context_takeover,client_max_window_bits=9",
                "--deflate",
            ),
            (
                "--deflate",
                "--deflate=client_no_context_takeover,server_max_window_bits=8",
            ),
        ] {
            let echo = echo(&["--adapter", adapter, demanded]);
            let output = client([asked, "--send", file.path(), "--text", &echo.url()], b"");
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{adapter} {demanded} {asked}: {complaints}"
            );
            assert!(
                output.stdout == text.as_bytes(),
                "{adapter} {demanded} {asked}"
            );
            let lines = format!("{}\n", "again and ".repeat(30)).repeat(10);
            let output = client([asked, &echo.url()], lines.as_bytes());
            assert!(
                output.stdout == lines.as_bytes(),
                "{adapter} {demanded} {asked}"
            );
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("compressed"), "{adapter}: {said}");
        }
    }
}

#[test]
fn message_over_the_limit_is_refused_with_1009() {
    let file = File::new("long", &[0; 101]);
    for adapter in ADAPTERS {
        let echo = echo(&["--adapter", adapter, "--max-message", "100"]);
        let output = client(["--send", file.path(), &echo.url()], b"");
        assert_eq!(output.status.code(), Some(1));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains("1009"), "{adapter}: {complaint}");
    }
}

#[test]
fn browser_gets_a_page_and_others_get_the_status_that_fits() {
    for adapter in ADAPTERS {
        let echo = echo(&["--adapter", adapter]);
        for (request, status, holds) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "200", "</html>"),
            ("GET /favicon.ico HTTP/1.1\r\nHost: a\r\n\r\n", "404", ""),
            ("PUT / HTTP/1.1\r\nHost: a\r\n\r\n", "405", "Allow: GET"),
            ("GET / HTTP/1.1\r\n\r\n", "400", ""),
            ("nonsense\r\n\r\n", "400", ""),
        ] {
            let response = exchange(echo.connect(), request);
            let expected = format!("HTTP/1.1 {status} ");
            assert!(response.starts_with(&expected), "{adapter}: {response}");
            assert!(response.contains(holds), "{adapter}: {response}");
        }
    }
}

#[test]
fn unmasked_frame_comes_back_only_where_the_flag_is_set() {
    let (header, mut frame) = (
        Header::new(true, OpCode::Text, None, 2).unwrap(),
        [0; MAX_HEADER_LEN],
    );
    let len = header.encode(&mut frame);
    let frame = [&frame[..len], b"hi"].concat();
    for adapter in ADAPTERS {
        for (flags, is_accepted) in [
            (&[][..], false),
            (&["--accept-unmasked-frame"], true),
            (&["--accept-unmasked-frame-in", "127.0.0.0/8"], true),
            (&["--accept-unmasked-frame-in", "10.0.0.0/8"], false),
        ] {
            let echo = echo(&[&["--adapter", adapter], flags].concat());
            let mut stream = open(&echo);
            stream.write_all(&frame).unwrap();
            let mut reply = [0; 4];
            stream.read_exact(&mut reply).unwrap();
            if is_accepted {
                assert_eq!(reply, *b"\x81\x02hi", "{adapter} {flags:?}");
            } else {
                assert_eq!(reply[0], 0x88, "{adapter} {flags:?}");
                assert_eq!(reply[2..], 1002_u16.to_be_bytes(), "{adapter} {flags:?}");
            }
        }
    }
}

#[test]
fn broadcast_goes_to_the_connections_of_all_threads_and_its_sender() {
    let echo = echo(&["--mode", "broadcast", "--threads", "2"]);
    let mut streams = [(); 5].map(|()| open(&echo));
    streams[2].write_all(b"\x81\x82\x00\x00\x00\x00hi").unwrap();
    for stream in &mut streams {
        let mut message = [0; 4];
        stream.read_exact(&mut message).unwrap();
        assert_eq!(message, *b"\x81\x02hi");
    }
}

#[test]
fn target_is_told_as_it_came() {
    let target = "//room/[42]/..;/a|b?q={%22a%22:1}&d=50%&re=^x$`";
    for adapter in ADAPTERS {
        let echo = echo(&["--adapter", adapter, "--tell-target"]);
        let mut stream = open_at(&echo, target);
        let mut message = vec![0; 2 + target.len()];
        stream.read_exact(&mut message).unwrap();
        let told = [&[0x81, target.len() as u8], target.as_bytes()].concat();
        assert_eq!(message, told, "{adapter}");
        stream.write_all(b"\x81\x82\x00\x00\x00\x00hi").unwrap();
        let mut message = [0; 4];
        stream.read_exact(&mut message).unwrap();
        assert_eq!(message, *b"\x81\x02hi", "{adapter}");
    }
}

#[cfg(unix)]
#[test]
fn sigterm_closes_connections_with_1001_and_exits_with_0() {
    for adapter in ADAPTERS {
        for signal in ["TERM", "INT"] {
            let mut echo = echo(&["--adapter", adapter]);
            let mut stream = open(&echo);
            echo.signal(signal);
            let mut close = [0; 4];
            stream.read_exact(&mut close).unwrap();
            assert_eq!(close[..2], [0x88, 0x02], "{adapter}");
            assert_eq!(close[2..], 1001_u16.to_be_bytes(), "{adapter}");
            // A masked Close as the reply.
            stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
            assert_eq!(stream.read(&mut close).unwrap(), 0, "{adapter}");
            assert!(echo.ends_well(), "{adapter}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_websocket_in_axum_gets_its_echo_and_hears_of_the_end() {
    let mut server = Server::start(env!("CARGO_BIN_EXE_axum"), [""; 0]);
    let stream = echoed(&server, "/echo");
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let page = exchange(server.connect(), request);
    assert!(page.ends_with("1 WebSockets were opened\n"), "{page}");
    end_in_order(&mut server, stream);
}

#[cfg(unix)]
#[test]
fn a_websocket_on_tokio_gets_its_echo_and_hears_of_the_end() {
    let mut server = Server::start(env!("CARGO_BIN_EXE_tokio"), [""; 0]);
    let stream = echoed(&server, "/");
    end_in_order(&mut server, stream);
}

/// Opens a WebSocket that has had its first echo.
#[cfg(unix)]
fn echoed(server: &Server, target: &str) -> TcpStream {
    let mut stream = open_at(server, target);
    stream.write_all(b"\x81\x82\0\0\0\0Hi").unwrap();
    let mut echo = [0; 4];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"\x81\x02Hi");
    stream
}

/// Ends a server that has one WebSocket, which hears of it.
#[cfg(unix)]
fn end_in_order(server: &mut Server, mut stream: TcpStream) {
    server.signal("TERM");
    let mut close = [0; 4];
    stream.read_exact(&mut close).unwrap();
    assert_eq!(&close, b"\x88\x02\x03\xe9");
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
    assert_eq!(stream.read(&mut close).unwrap(), 0);
    assert_eq!(server.said_behind("all WebSockets are gone: "), "true");
    assert!(server.ends_well());
}
