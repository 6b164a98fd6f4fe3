//! `wsdo serve` with clients.

mod common;

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use common::{Server, WSDO, connect, wsdo};

/// A client that is talked to line by line.
struct Client {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn new(url: &str) -> Self {
        let mut child = Command::new(WSDO)
            .args(["connect", "--idle", "never", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            stdin: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    fn hears(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn broadcast_goes_to_all_and_to_its_sender() {
    let server = Server::start(&["--broadcast"], &[]);
    let (mut a, mut b) = (Client::new(&server.url()), Client::new(&server.url()));
    // Who hears itself is connected.
    b.say("b");
    assert_eq!(b.hears(), "b");
    a.say("a");
    let first = a.hears();
    if first != "a" {
        assert_eq!((&*first, &*a.hears()), ("b", "a"));
    }
    assert_eq!(b.hears(), "a");
}

#[test]
fn fixed_reply_answers_each_message() {
    let server = Server::start(&["--reply", "so be it"], &[]);
    let ran = connect(&["-n", "2"], &server.url(), b"a\nb\n");
    ran.wrote(0, b"so be it\nso be it\n");
}

#[cfg(unix)]
#[test]
fn program_talks_in_lines_and_its_end_closes() {
    let script = "read a; read b; echo \"$b $a\"; exit 0";
    let server = Server::start(&["-v"], &["sh", "-c", script]);
    let ran = connect(&["--idle", "never"], &server.url(), b"one\ntwo\n");
    ran.wrote(0, b"two one\n");
}

#[cfg(unix)]
#[test]
fn program_that_fails_closes_with_1011() {
    let server = Server::start(&["-v"], &["sh", "-c", "exit 3"]);
    let ran = connect(&["--idle", "never"], &server.url(), b"");
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(
        ran.errors.contains("1011") && ran.errors.contains('3'),
        "{ran:?}"
    );
    let server = Server::start(&["-v"], &["/no/such/program"]);
    let ran = connect(&["--idle", "never"], &server.url(), b"");
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.errors.contains("cannot be started"), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn program_passes_bytes_on_as_they_come() {
    let server = Server::start(&["--binary"], &["cat"]);
    let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
    let ran = connect(&["--whole", "-b", "--idle", "0.3"], &server.url(), &bytes);
    assert_eq!(
        (ran.code, ran.out == bytes),
        (Some(0), true),
        "{}",
        ran.errors
    );
}

#[cfg(unix)]
#[test]
fn program_is_told_of_the_request() {
    let script =
        "echo \"$REQUEST_URI|$PATH_INFO|$QUERY_STRING|$REMOTE_ADDR|$HTTP_X_A|$HTTP_PROXY\"";
    let server = Server::start(&["-v"], &["sh", "-c", script]);
    let url = format!("{}/a%20b?c=d", server.address);
    let ran = connect(
        &["-H", "X-A: 1", "-H", "Proxy: evil", "--idle", "never"],
        &url,
        b"",
    );
    ran.wrote(0, b"/a%20b?c=d|/a%20b|c=d|127.0.0.1|1|\n");
}

#[cfg(unix)]
#[test]
fn program_ends_with_its_client() {
    // `cat` ends with its input, and then the shell speaks.
    let script = "cat >/dev/null; echo gone >&2";
    let server = Server::start(&["--once"], &["sh", "-c", script]);
    let ran = connect(&["--idle", "0"], &server.url(), b"a\n");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (code, told) = server.ended();
    assert_eq!((code, told.contains("gone")), (Some(0), true), "{told}");
}

#[test]
fn unmasked_frames_are_taken_from_the_networks_alone() {
    //= MSWS-3.2.3-1
    use std::io::Read as _;
    for (options, reply) in [
        (&["--accept-unmasked-frame"][..], &b"\x81\x02hi"[..]),
        (
            &["--accept-unmasked-frame=127.0.0.0/8,::1/128"],
            b"\x81\x02hi",
        ),
        (&["--accept-unmasked-frame=10.0.0.0/8"], b"\x88\x02\x03\xea"),
        (&[], b"\x88\x02\x03\xea"),
    ] {
        let server = Server::start(options, &[]);
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let head = common::read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        stream.write_all(b"\x81\x02hi").unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        // What a Close says behind its code is for people.
        assert_eq!(
            (answer[0], &answer[2..]),
            (reply[0], &reply[2..]),
            "{options:?}"
        );
    }
}

#[test]
fn pages_of_other_hosts_are_refused_unless_they_are_named() {
    let page = ["-o", "https://page.example", "-x", "a", "-n", "1"];
    for (options, code) in [
        (&[][..], 5),
        (&["--origin", "https://other.example"], 5),
        (&["--origin", "https://page.example"], 0),
        (&["--origin", "any"], 0),
    ] {
        let server = Server::start(options, &[]);
        let ran = connect(&page, &server.url(), b"");
        assert_eq!(ran.code, Some(code), "{options:?}: {ran:?}");
    }
}

#[test]
fn subprotocol_is_agreed_on() {
    let server = Server::start(&["-s", "chat"], &[]);
    let ran = connect(
        &[
            "-s",
            "superchat",
            "-s",
            "chat",
            "--jsonl",
            "-x",
            "a",
            "-n",
            "1",
        ],
        &server.url(),
        b"",
    );
    assert!(ran.text().contains(r#""subprotocol":"chat""#), "{ran:?}");
}

#[test]
fn one_client_is_served_and_that_is_all() {
    let server = Server::start(&["--once"], &[]);
    connect(&["-x", "a", "-n", "1"], &server.url(), b"").wrote(0, b"a\n");
    assert_eq!(server.ended().0, Some(0));
}

#[test]
fn mistakes_are_told() {
    for (arguments, text) in [
        (&["serve", "--broadcast", "--reply", "a"][..], "exclude"),
        (&["serve", "--tls-cert", "a"], "\"a\""),
        (&["serve", "--client-ca", "/dev/null"], "--tls-cert"),
        (&["serve", "--origin", "page.example"], "--origin"),
        (
            &["serve", "--accept-unmasked-frame=10.0.0.0/33"],
            "10.0.0.0/33",
        ),
        (&["serve", "nowhere.invalid:1"], "nowhere.invalid:1"),
    ] {
        let ran = wsdo(arguments, b"");
        assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
        assert!(ran.errors.contains(text), "{arguments:?}: {ran:?}");
    }
}
