//! `wsdo connect` against servers, as a script uses it.

mod common;

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
};

use common::{
    Folder, Ran, Server, WSDO, accept, close_with, connect, played, read_head, run, wsdo,
};

#[test]
fn lines_are_sent_and_replies_are_read_after_the_end_of_the_input() {
    let echo = Server::echo();
    let ran = connect(
        &["--count", "2"],
        &echo.url(),
        "one\nzwei, 世界\n".as_bytes(),
    );
    ran.wrote(0, "one\nzwei, 世界\n".as_bytes());
    assert_eq!(ran.errors, "");
}

#[test]
fn end_of_the_input_closes_once_nothing_comes() {
    let echo = Server::echo();
    let ran = connect(&["--idle", "0.1"], &echo.url(), b"one\n");
    ran.wrote(0, b"one\n");
}

#[test]
fn replies_are_waited_for_until_the_server_closes() {
    let (url, server) = played(|listener| {
        let (mut stream, _) = accept(listener);
        // The input is at its end long before.
        let mut close_of_nobody = [0; 7];
        stream.read_exact(&mut close_of_nobody).unwrap();
        stream.write_all(b"\x81\x05first\x81\x06second").unwrap();
        close_with(stream, 1000);
    });
    let ran = connect(&["--idle", "never"], &url, b"a\n");
    ran.wrote(0, b"first\nsecond\n");
    server.join().unwrap();
}

#[test]
fn messages_of_the_command_line_are_sent_and_the_input_is_not_read() {
    let echo = Server::echo();
    let ran = connect(
        &["-x", "a", "-x", "b\nc", "-n", "2"],
        &echo.url(),
        b"never\n",
    );
    ran.wrote(0, b"a\nb\nc\n");
}

#[test]
fn framings_of_the_input_come_back_in_the_output() {
    let echo = Server::echo();
    for (options, input) in [
        (&["-0", "-n", "3"][..], &b"a\nb\0\0c\0"[..]),
        (
            &["--length", "-n", "3"],
            b"\0\0\0\x03a\nb\0\0\0\0\0\0\0\x01c",
        ),
        (&["--whole", "-n", "1"], b"a\nb\0\r\n"),
        (&["--whole", "--binary", "-n", "1"], b"\xff\0\n"),
        (&["--hex", "-n", "2"], b"00ff\n7a\n"),
        (&["--crlf", "-n", "2"], b"a\r\nb\r\n"),
    ] {
        connect(options, &echo.url(), input).wrote(0, input);
    }
}

#[test]
fn long_messages_come_back_whole_through_a_pipe() {
    let echo = Server::echo();
    let bytes: Vec<u8> = (0..5_000_000u32).map(|i| (i % 251) as u8).collect();
    for options in [
        &["--whole", "-b", "-n", "1"][..],
        &["--whole", "-b", "-n", "1", "--max-frame", "1000"],
    ] {
        let ran = connect(options, &echo.url(), &bytes);
        assert_eq!(
            (ran.code, ran.out == bytes),
            (Some(0), true),
            "{}",
            ran.errors
        );
    }
}

#[test]
fn thousands_of_lines_keep_their_order() {
    let echo = Server::echo();
    let lines: String = (0..20_000).map(|i| format!("{i}\n")).collect();
    let ran = connect(&["-n", "20000"], &echo.url(), lines.as_bytes());
    assert_eq!(
        (ran.code, ran.text() == lines),
        (Some(0), true),
        "{}",
        ran.errors
    );
}

#[test]
fn json_is_laid_out_and_other_text_is_left() {
    let echo = Server::echo();
    let ran = connect(
        &["--json", "-n", "2"],
        &echo.url(),
        b"{\"a\":[1.0]}\nhello\n",
    );
    ran.wrote(0, b"{\n  \"a\": [\n    1.0\n  ]\n}\nhello\n");
}

#[test]
fn events_are_lines_of_json_with_their_times() {
    let echo = Server::echo();
    let ran = connect(
        &["--jsonl", "--wire", "-x", "a\"b", "-n", "1"],
        &echo.url(),
        b"",
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut names = Vec::new();
    for line in ran.text().lines() {
        let rest = line.strip_prefix("{\"time\":").unwrap();
        let (time, rest) = rest.split_once(",\"event\":\"").unwrap();
        assert!(time.parse::<f64>().unwrap() > 1.7e9, "{line}");
        names.push(rest.split('"').next().unwrap());
    }
    assert_eq!(
        names,
        [
            "open", "sent", "frame", "frame", "message", "frame", "frame", "close"
        ]
    );
    assert!(
        ran.text().contains(r#""type":"text","text":"a\"b""#),
        "{ran:?}"
    );
    assert!(ran.text().contains(r#""code":1000,"reason":"""#), "{ran:?}");
}

#[test]
fn wire_shows_a_key_of_zero_and_a_server_that_takes_it() {
    //= MSWS-3.1.3-1
    let server = Server::start(&["--wire", "--accept-unmasked-frame"], &[]);
    let options = ["--set-mask-to-zero", "--wire", "--count", "1"];
    let ran = connect(&options, &server.url(), b"Hello\n");
    ran.wrote(0, b"Hello\n");
    let shown: Vec<_> = ran.errors.lines().map(|line| &line[10..]).collect();
    assert_eq!(
        shown,
        [
            r#"> FIN RSV 0   text         MASK 00 00 00 00 len 5  "Hello""#,
            r#"< FIN RSV 0   text         unmasked         len 5  "Hello""#,
            "> FIN RSV 0   close        MASK 00 00 00 00 len 2  1000",
            "< FIN RSV 0   close        unmasked         len 2  1000",
        ]
    );
    assert!(
        server
            .told()
            .contains("< FIN RSV 0   text         MASK 00 00 00 00 len 5")
    );
}

#[test]
fn mask_is_random_for_servers_outside_of_the_networks() {
    let server = Server::echo();
    let options = ["--set-mask-to-zero=10.0.0.0/8", "--wire", "-n", "1"];
    let ran = connect(&options, &server.url(), b"Hello\n");
    ran.wrote(0, b"Hello\n");
    assert!(!ran.errors.contains("MASK 00 00 00 00"), "{ran:?}");
    let ran = connect(
        &["--set-mask-to-zero=127.0.0.0/8", "--wire", "-n", "1"],
        &server.url(),
        b"Hello\n",
    );
    assert!(ran.errors.contains("MASK 00 00 00 00"), "{ran:?}");
    let ran = connect(&["--set-mask-to-zero=10.0.0.0"], &server.url(), b"");
    assert_eq!(ran.code, Some(2));
}

#[test]
fn wire_shows_frames_that_break_rules() {
    let (url, server) = played(|listener| {
        let (mut stream, _) = accept(listener);
        stream.write_all(b"\x93\x01\x1b").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let ran = connect(
        &["--wire", "--color", "always", "--idle", "never"],
        &url,
        b"",
    );
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(ran.errors.contains("FIN RSV --3 opcode 0x3"), "{ran:?}");
    assert!(
        ran.errors.contains("BROKEN: ") && ran.errors.contains("\x1b[31m"),
        "{ran:?}"
    );
    server.join().unwrap();
}

#[test]
fn compressed_frames_show_rsv1() {
    let server = Server::start(&["--deflate"], &[]);
    let message = "a".repeat(1000);
    let ran = connect(
        &["--deflate", "--wire", "-x", &message, "-n", "1"],
        &server.url(),
        b"",
    );
    ran.wrote(0, format!("{message}\n").as_bytes());
    assert_eq!(ran.errors.matches("RSV 1-- text").count(), 2, "{ran:?}");
}

#[test]
fn round_trips_of_pings_are_shown() {
    let (url, server) = played(|listener| {
        let (mut stream, _) = accept(listener);
        let mut ping = [0; 7];
        stream.read_exact(&mut ping).unwrap();
        assert_eq!(ping[..2], [0x89, 0x81]);
        let payload = ping[6] ^ ping[2];
        stream.write_all(&[0x8a, 1, payload]).unwrap();
        close_with(stream, 1000);
    });
    let ran = connect(&["--ping", "0.01", "--idle", "never"], &url, b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.errors.starts_with("pong after ") && ran.errors.ends_with(" ms\n"),
        "{ran:?}"
    );
    server.join().unwrap();
}

#[test]
fn slash_commands_ping_and_close() {
    let (url, server) = played(|listener| {
        let (mut stream, _) = accept(listener);
        let mut frames = [0; 8 + 12];
        stream.read_exact(&mut frames).unwrap();
        assert_eq!(frames[..2], [0x89, 0x82]);
        assert_eq!(frames[8..10], [0x88, 0x86]);
        let key = &frames[10..14];
        let payload: Vec<u8> = frames[14..]
            .iter()
            .zip(key.iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        assert_eq!(payload, b"\x0f\xa0over");
        close_with(stream, 4000);
    });
    let ran = connect(&["--slash"], &url, b"/ping hi\n/close 4000 over\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    server.join().unwrap();
}

#[test]
fn exit_codes_say_what_happened() {
    // Nobody listens at a port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let told = |ran: Ran, code: i32, text: &str| {
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(
            ran.errors.starts_with("wsdo: ") && ran.errors.contains(text),
            "{ran:?}"
        );
    };
    told(connect(&[], &format!("ws://{free}/"), b""), 3, "refused");
    told(connect(&[], "ftp://a/", b""), 2, "ftp");
    told(connect(&["--no-such"], "ws://a/", b""), 2, "--no-such");
    told(wsdo(&["connect"], b""), 2, "URL");
    told(wsdo(&["dance"], b""), 2, "dance");

    let (url, server) = played(|listener| {
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        let reply = "HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nno entry";
        stream.write_all(reply.as_bytes()).unwrap();
    });
    let ran = connect(&[], &url, b"");
    assert!(ran.errors.contains("  | no entry"), "{ran:?}");
    told(ran, 5, "403");
    server.join().unwrap();

    for (code, exit, text) in [(1008, 7, "1008"), (4321, 7, "4321"), (1001, 0, "")] {
        let (url, server) = played(move |listener| close_with(accept(listener).0, code));
        let ran = connect(&["--idle", "never"], &url, b"");
        assert_eq!(ran.code, Some(exit), "{ran:?}");
        assert!(ran.errors.contains(text), "{ran:?}");
        server.join().unwrap();
    }

    let (url, server) = played(|listener| drop(accept(listener)));
    told(
        connect(&["--idle", "never"], &url, b""),
        8,
        "without a Close",
    );
    server.join().unwrap();

    let echo = Server::echo();
    told(
        connect(&["--timeout", "0.05", "-n", "1"], &echo.url(), b""),
        9,
        "--timeout",
    );
    told(
        connect(&["--idle", "0.05", "-n", "2"], &echo.url(), b"a\n"),
        9,
        "1 of 2",
    );
    told(connect(&["-n", "1"], &echo.url(), b"\xff\n"), 1, "--binary");
    told(
        connect(&[], &echo.url().replace("ws:", "wss:"), b""),
        4,
        "TLS",
    );
}

#[test]
fn closing_before_the_count_is_reached_is_no_success() {
    let (url, server) = played(|listener| close_with(accept(listener).0, 1000));
    let ran = connect(&["-n", "1"], &url, b"");
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.errors.contains("0 of 1"), "{ran:?}");
    server.join().unwrap();
}

#[test]
fn reader_that_goes_away_ends_the_program_without_a_word() {
    let echo = Server::echo();
    let script = format!("yes | {WSDO} connect {} | head -n 3", echo.url());
    let ran = run(Command::new("sh").args(["-c", &script]), b"");
    ran.wrote(0, b"y\ny\ny\n");
    assert_eq!(ran.errors, "");
}

#[test]
fn lost_connection_is_made_again_and_the_input_goes_on() {
    let (url, server) = played(|listener| {
        drop(accept(listener));
        let (mut stream, _) = listener.accept().unwrap();
        read_head(&mut stream);
        let reply = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(reply.as_bytes()).unwrap();
        drop(stream);
        let (mut stream, _) = accept(listener);
        stream.write_all(b"\x81\x04back").unwrap();
        close_with(stream, 1000);
    });
    let ran = connect(&["--reconnect=0.001", "--idle", "never"], &url, b"");
    ran.wrote(0, b"back\n");
    assert!(ran.errors.contains("connecting again"), "{ran:?}");
    server.join().unwrap();
}

#[test]
fn headers_and_credentials_are_sent_and_not_shown() {
    let folder = Folder::new();
    let headers = folder.write("headers", "X-One: 1\nX-Two: 2\n");
    let token = folder.write("token", "s3cret\n");
    let cookies = folder.write("cookies", "a=1\nb=2\n");
    let (url, server) = played(|listener| {
        let (stream, request) = accept(listener);
        close_with(stream, 1000);
        request
    });
    let ran = connect(
        &[
            "-v",
            "--idle",
            "never",
            "-H",
            &format!("@{headers}"),
            "-H",
            "X-Three: 3",
            "-o",
            "https://a.example",
            "-s",
            "chat",
            "--bearer",
            &format!("@{token}"),
            "--cookie",
            &format!("@{cookies}"),
        ],
        &url,
        b"",
    );
    let request = server.join().unwrap();
    for line in [
        "X-One: 1",
        "X-Two: 2",
        "X-Three: 3",
        "Origin: https://a.example",
        "Sec-WebSocket-Protocol: chat",
        "Authorization: Bearer s3cret",
        "Cookie: a=1; b=2",
    ] {
        assert!(
            request.contains(&format!("{line}\r\n")),
            "{line}: {request}"
        );
    }
    assert!(request.contains("User-Agent: wsdo/"), "{request}");
    assert!(ran.errors.contains("> X-Three: 3\n"), "{ran:?}");
    assert!(
        !ran.errors.contains("s3cret") && !ran.errors.contains("a=1"),
        "{ran:?}"
    );
}

#[test]
fn credentials_come_from_the_environment() {
    let (url, server) = played(|listener| {
        let (stream, request) = accept(listener);
        close_with(stream, 1000);
        request
    });
    let mut command = Command::new(WSDO);
    command.args([
        "connect",
        "--basic",
        "env:WSDO_TEST",
        "--idle",
        "never",
        &url,
    ]);
    let ran = run(command.env("WSDO_TEST", "Aladdin:open sesame"), b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let request = server.join().unwrap();
    assert!(
        request.contains("Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"),
        "{request}"
    );
    let ran = connect(&["--bearer", "s3cret"], &url, b"");
    assert_eq!(
        (ran.code, ran.errors.contains("s3cret")),
        (Some(2), false),
        "{ran:?}"
    );
}

#[test]
fn redirects_are_followed_as_often_as_is_said() {
    let (url, server) = played(|listener| {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            read_head(&mut stream);
            let reply = "HTTP/1.1 307 x\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(reply.as_bytes()).unwrap();
        }
        let (stream, request) = accept(listener);
        close_with(stream, 1000);
        request
    });
    let ran = connect(&[], &url, b"");
    assert_eq!(ran.code, Some(5));
    assert!(
        ran.errors.contains("307") && ran.errors.contains("it is at /there"),
        "{ran:?}"
    );
    let ran = connect(&["--redirects=1", "--idle", "never"], &url, b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(server.join().unwrap().starts_with("GET /there "));
}

#[test]
fn proxy_is_gone_through() {
    let echo = Server::echo();
    let port = echo.port();
    let (url, proxy) = played(move |listener| {
        let (mut client, _) = listener.accept().unwrap();
        let head = read_head(&mut client);
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut server = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut into) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = std::thread::spawn(move || std::io::copy(&mut from, &mut into));
        let _ = std::io::copy(&mut client, &mut server);
        let _ = server.shutdown(std::net::Shutdown::Write);
        let _ = back.join();
        head
    });
    let proxy_url = url.replace("ws://", "http://user:s3cret@");
    let folder = Folder::new();
    let file = folder.write("proxy", format!("{proxy_url}\n"));
    let ran = connect(
        &["--proxy", &format!("@{file}"), "-n", "1"],
        "ws://nowhere.example/",
        b"hi\n",
    );
    ran.wrote(0, b"hi\n");
    let head = proxy.join().unwrap();
    assert!(head.starts_with("CONNECT nowhere.example:80 "), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic "), "{head}");
}

#[cfg(unix)]
#[test]
fn unix_domain_socket_is_connected_to() {
    let folder = Folder::new();
    let path = folder.path("echo.sock");
    let server = Server::listen(&format!("unix:{path}"), &["--accept-unmasked-frame"], &[]);
    assert_eq!(server.address, format!("ws://unix:{path}"));
    let ran = connect(&["--unix", &path, "-n", "1"], "ws://localhost/", b"hi\n");
    ran.wrote(0, b"hi\n");
}

#[cfg(unix)]
#[test]
fn signal_closes_and_has_its_own_code() {
    let (url, server) = played(|listener| {
        let (mut stream, _) = accept(listener);
        let mut close = [0; 8];
        stream.read_exact(&mut close).unwrap();
        assert_eq!(close[0], 0x88);
        close_with(stream, 1000);
    });
    let mut command = Command::new(WSDO);
    command.args(["connect", "-v", "--idle", "never", &url]);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("connected") {
        line.clear();
        std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    server.join().unwrap();
}
