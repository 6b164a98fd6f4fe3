//! `wsdo check` against a clean server, and against servers that break one rule
//! each.

mod common;

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

use common::{Ran, Server, read_head, wsdo};

/// What can be wrong with a server: the rule that it breaks, and all rules that
/// are then seen to be broken.
const FAULTS: &[(&str, &[&str])] = &[
    ("RFC6455-4.2.1-2", &[]),
    ("RFC6455-4.2.1-3", &[]),
    ("RFC6455-4.2.1-4", &[]),
    ("RFC6455-4.2.1-5", &[]),
    ("RFC6455-4.2.1-6", &[]),
    ("RFC6455-4.2.1-7", &[]),
    ("RFC6455-4.2.1-11", &[]),
    ("RFC6455-4.2.2-8", &[]),
    ("RFC6455-4.2.2-10", &[]),
    ("RFC6455-4.2.2-11", &[]),
    ("RFC6455-4.2.2-15", &[]),
    ("RFC6455-4.2.2-16", &[]),
    ("RFC6455-4.2.2-17", &[]),
    ("RFC6455-4.2.2-18", &[]),
    ("RFC6455-4.4-2", &[]),
    ("RFC6455-5.1-2", &[]),
    ("RFC6455-5.1-3", &[]),
    ("RFC6455-5.2-3", &[]),
    ("RFC6455-5.2-4", &[]),
    ("RFC6455-5.2-7", &[]),
    ("RFC6455-5.2-8", &[]),
    ("RFC6455-5.4-3", &[]),
    ("RFC6455-5.4-5", &[]),
    ("RFC6455-5.4-7", &[]),
    ("RFC6455-5.4-8", &[]),
    // A server that takes no fragments takes no text in pieces either.
    ("RFC6455-5.4-10", &["RFC6455-5.4-8", "RFC6455-5.6-1"]),
    ("RFC6455-5.5-1", &[]),
    ("RFC6455-5.5.1-2", &[]),
    ("RFC6455-5.5.1-7", &[]),
    ("RFC6455-5.5.1-12", &[]),
    // Who answers no Ping does not show either that it went on.
    (
        "RFC6455-5.5.2-2",
        &[
            "RFC6455-5.4-8",
            "RFC6455-5.4-10",
            "RFC6455-5.5.3-3",
            "RFC6455-5.6-1",
        ],
    ),
    ("RFC6455-5.5.3-1", &[]),
    ("RFC6455-5.5.3-3", &[]),
    ("RFC6455-5.6-1", &[]),
    ("RFC6455-5.6-2", &[]),
    ("RFC6455-7.4.1-2", &[]),
    ("RFC6455-7.4.1-3", &[]),
    ("RFC6455-7.4.2-1", &[]),
    ("RFC6455-7.4.2-5", &[]),
    ("RFC6455-8.1-1", &[]),
    ("RFC6455-9-3", &[]),
];

/// Starts an echo that breaks one rule; returns its URL.
fn start(fault: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            // A client that ends early is its own business.
            thread::spawn(move || serve(stream, fault));
        }
    });
    url
}

fn serve(mut stream: TcpStream, fault: &str) -> Option<()> {
    let mut first = [0];
    // The one that only looks whether there is a server says nothing.
    (stream.peek(&mut first).ok()? > 0).then_some(())?;
    let head = read_head(&mut stream);
    let answer = answer(&head, fault);
    stream.write_all(answer.as_bytes()).ok()?;
    if answer.starts_with("HTTP/1.1 101 ") {
        let code = Echo {
            fault,
            ..Echo::default()
        }
        .run(&mut stream)?;
        stream.write_all(&code).ok()?;
    }
    if fault != "RFC6455-5.5.1-12" {
        stream.shutdown(Shutdown::Write).ok()?;
    }
    stream.read_to_end(&mut Vec::new()).ok()?;
    Some(())
}

fn answer(head: &str, fault: &str) -> String {
    let is = |id: &str| fault == id;
    let value = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let (_, value) = lines.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.to_owned())
    };
    let refusal = |status: u16, more: &str| {
        format!("HTTP/1.1 {status} No\r\n{more}Content-Length: 0\r\n\r\n")
    };
    let is_key = |key: &str| key.len() == 24 && key.ends_with("==");
    let is_as_it_should_be = (is("RFC6455-4.2.1-2") || head.starts_with("GET "))
        && (is("RFC6455-4.2.1-3") || value("Host").is_some())
        && (is("RFC6455-4.2.1-4")
            || value("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")))
        && (is("RFC6455-4.2.1-5")
            || value("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")))
        && (is("RFC6455-4.2.1-6") || value("Sec-WebSocket-Key").is_some_and(|key| is_key(&key)))
        && !(is("RFC6455-4.2.1-11") && value("X-Wsdo-Unknown").is_some());
    match value("Sec-WebSocket-Version").as_deref() {
        Some("13") => {}
        None if is("RFC6455-4.2.1-7") => {}
        Some(_) if is("RFC6455-4.2.2-8") => {}
        Some(_) if is("RFC6455-4.4-2") => return refusal(426, ""),
        _ => return refusal(426, "Sec-WebSocket-Version: 13\r\n"),
    }
    if !is_as_it_should_be {
        return refusal(400, "");
    }
    let key = value("Sec-WebSocket-Key").unwrap_or_default();
    let accept = ws_handshake::accept_key(key.as_bytes());
    let accept = match is("RFC6455-4.2.2-18") {
        true => "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        false => str::from_utf8(&accept).unwrap(),
    };
    let mut lines = vec![format!("Sec-WebSocket-Accept: {accept}")];
    if !is("RFC6455-4.2.2-16") {
        lines.push("Upgrade: websocket".to_owned());
    }
    if !is("RFC6455-4.2.2-17") {
        lines.push("Connection: Upgrade".to_owned());
    }
    match value("Sec-WebSocket-Protocol") {
        Some(_) if is("RFC6455-4.2.2-10") => lines.push("Sec-WebSocket-Protocol: c".to_owned()),
        None if is("RFC6455-4.2.2-11") => lines.push("Sec-WebSocket-Protocol: c".to_owned()),
        _ => {}
    }
    if is("RFC6455-9-3") {
        lines.push("Sec-WebSocket-Extensions: permessage-deflate".to_owned());
    }
    let status = if is("RFC6455-4.2.2-15") { 200 } else { 101 };
    format!("HTTP/1.1 {status} x\r\n{}\r\n\r\n", lines.join("\r\n"))
}

#[derive(Default)]
struct Echo<'a> {
    fault: &'a str,
    /// The message that has begun.
    message: Option<(u8, Vec<u8>)>,
    /// The last message is wrong, which is seen after the next Ping.
    is_late: bool,
}

/// A Close that fails the connection.
fn failed(code: u16) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    vec![0x88, 2, high, low]
}

impl Echo<'_> {
    fn is(&self, id: &str) -> bool {
        self.fault == id
    }

    /// Echoes until the end, and returns the last frame.
    fn run(&mut self, stream: &mut TcpStream) -> Option<Vec<u8>> {
        loop {
            let mut head = [0; 2];
            stream.read_exact(&mut head).ok()?;
            let [first, second] = head;
            let (opcode, fin) = (first & 0xf, first & 0x80 != 0);
            if first & 0x70 != 0 && !self.is("RFC6455-5.2-3") {
                return Some(failed(1002));
            }
            if matches!(opcode, 3..=7 | 11..) && !self.is("RFC6455-5.2-4") {
                return Some(failed(1002));
            }
            let mut len = u64::from(second & 0x7f);
            if len >= 126 {
                let mut bytes = [0; 8];
                let start = if len == 126 { 6 } else { 0 };
                stream.read_exact(&mut bytes[start..]).ok()?;
                len = u64::from_be_bytes(bytes);
                let least = if start == 6 { 126 } else { 65536 };
                if len < least && !self.is("RFC6455-5.2-8") {
                    return Some(failed(1002));
                }
            }
            if len >> 63 != 0 {
                if !self.is("RFC6455-5.2-7") {
                    return Some(failed(1002));
                }
                len = 0;
            }
            let is_control = opcode >= 8;
            if is_control && !fin && !self.is("RFC6455-5.4-5") {
                return Some(failed(1002));
            }
            if is_control && len > 125 && !self.is("RFC6455-5.5-1") {
                return Some(failed(1002));
            }
            let mut key = [0; 4];
            if second & 0x80 != 0 {
                stream.read_exact(&mut key).ok()?;
            } else if !self.is("RFC6455-5.1-3") {
                return Some(failed(1002));
            }
            let mut payload = vec![0; usize::try_from(len).unwrap()];
            stream.read_exact(&mut payload).ok()?;
            for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
                *byte ^= key;
            }
            match opcode {
                8 if !fin => {}
                8 => return self.close(payload),
                9 => {
                    self.ping(stream, &payload)?;
                    if self.is_late {
                        return Some(failed(1007));
                    }
                }
                10 if self.is("RFC6455-5.5.3-3") => return Some(failed(1002)),
                10 => {}
                0..=2 => {
                    if let Err(last) = self.data(stream, opcode, fin, payload) {
                        return last;
                    }
                }
                _ => {}
            }
        }
    }

    fn close(&self, body: Vec<u8>) -> Option<Vec<u8>> {
        if self.is("RFC6455-5.5.1-7") {
            return None;
        }
        let code = body.first_chunk().map(|code| u16::from_be_bytes(*code));
        let comes_back = match code {
            None if body.len() == 1 => self.is("RFC6455-5.5.1-2"),
            None => true,
            Some(1005) => self.is("RFC6455-7.4.1-2"),
            Some(1006) => self.is("RFC6455-7.4.1-3"),
            Some(0..1000) => self.is("RFC6455-7.4.2-1"),
            Some(5000..) => self.is("RFC6455-7.4.2-5"),
            Some(_) => true,
        };
        match comes_back {
            true => Some([vec![0x88, body.len() as u8], body].concat()),
            false => Some(failed(1002)),
        }
    }

    fn ping(&self, stream: &mut TcpStream, payload: &[u8]) -> Option<()> {
        if self.is("RFC6455-5.5.2-2") || self.is("RFC6455-5.4-8") && self.message.is_some() {
            return Some(());
        }
        // One that is only said of is to be seen still.
        let is_cut = self.is("RFC6455-5.5.3-1") && payload.len() > 100;
        let payload = &payload[..if is_cut { 100 } else { payload.len() }];
        let mut frame = vec![0x8a, payload.len() as u8];
        frame.extend(payload);
        stream.write_all(&frame).ok()
    }

    /// Takes a frame of a message; the error is how the connection ends.
    fn data(
        &mut self,
        stream: &mut TcpStream,
        opcode: u8,
        fin: bool,
        payload: Vec<u8>,
    ) -> Result<(), Option<Vec<u8>>> {
        let broken = || Err(Some(failed(1002)));
        if self.is("RFC6455-5.4-10") && !(fin && opcode != 0) && payload.is_empty() {
            return broken();
        }
        if self.is("RFC6455-5.4-10") && !fin {
            return broken();
        }
        let (kind, mut message) = match (opcode, self.message.take()) {
            (0, Some(begun)) => begun,
            (0, None) if self.is("RFC6455-5.4-3") => return Ok(()),
            (0, None) => return broken(),
            (_, Some(_)) if !self.is("RFC6455-5.4-7") => return broken(),
            (kind, _) => (kind, Vec::new()),
        };
        message.extend(payload);
        let so_far = str::from_utf8(&message);
        let is_cut = matches!(so_far, Err(error) if error.error_len().is_none());
        let is_wrong = match so_far {
            _ if kind != 1 => false,
            Ok(_) => false,
            Err(_) if is_cut && !fin => self.is("RFC6455-5.6-1"),
            Err(_) if is_cut => !self.is("RFC6455-5.6-2"),
            Err(_) => !self.is("RFC6455-8.1-1"),
        };
        if is_wrong && self.is("late") {
            self.is_late = true;
            return Ok(());
        }
        if is_wrong {
            return Err(Some(failed(1007)));
        }
        if !fin {
            self.message = Some((kind, message));
            return Ok(());
        }
        let mut frame = vec![0x80 | kind, message.len() as u8];
        if self.is("RFC6455-5.1-2") {
            frame[1] |= 0x80;
            frame.extend([0; 4]);
        }
        frame.extend(message);
        stream.write_all(&frame).map_err(|_| None)
    }
}

/// Returns the rules that are not kept.
fn not_kept(ran: &Ran) -> Vec<&str> {
    let lines = ran.text().lines().filter(|line| {
        line.starts_with("BROKEN") || line.starts_with("lenient") || line.starts_with("undecided")
    });
    lines
        .map(|line| line.split_whitespace().nth(1).unwrap())
        .collect()
}

#[test]
fn nothing_is_invented_on_a_clean_server() {
    let server = Server::echo();
    let ran = wsdo(&["check", "--strict", &server.url()], b"");
    assert_eq!((ran.code, not_kept(&ran)), (Some(0), vec![]), "{ran:?}");
    let rules: Vec<_> = ran
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("kept"))
        .collect();
    let rules = rules
        .iter()
        .map(|line| line.split_whitespace().next().unwrap());
    assert!(
        rules.eq(FAULTS.iter().map(|(fault, _)| *fault)),
        "a fault for each rule"
    );
    // The one that faults are planted in is clean without them, also if it judges a message only
    // when that is taken.
    for fault in ["none", "late"] {
        let ran = wsdo(&["check", "--strict", &start(fault)], b"");
        assert_eq!((ran.code, not_kept(&ran)), (Some(0), vec![]), "{ran:?}");
    }
}

#[test]
fn rules_have_the_numbers_of_the_requirements() {
    let list = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../ws-conformance/requirements.toml"
    );
    let list = std::fs::read_to_string(list).unwrap();
    for (rule, _) in FAULTS {
        assert!(list.contains(&format!("id = \"{rule}\"\n")), "{rule}");
    }
}

#[test]
fn each_broken_rule_is_named() {
    let checks = FAULTS.iter().map(|(fault, also)| {
        let check = move || {
            let options = ["check", "--strict", "--broken", "--timeout", "2"];
            let ran = wsdo(&[&options[..], &[&start(fault)]].concat(), b"");
            let mut named = not_kept(&ran);
            // What cannot be seen any more is not said to be broken.
            if !ran.text().contains("undecided") {
                named.sort_unstable();
                let mut expected = [&[*fault], *also].concat();
                expected.sort_unstable();
                assert_eq!((ran.code, named), (Some(10), expected), "{}", ran.text());
            } else {
                assert!(named.contains(fault), "{fault}: {}", ran.text());
                assert_eq!(ran.code, Some(10), "{fault}: {}", ran.text());
            }
        };
        thread::spawn(check)
    });
    for check in checks.collect::<Vec<_>>() {
        check.join().unwrap();
    }
}

#[test]
fn unmasked_frames_may_be_taken_on_purpose() {
    let server = Server::start(&["--accept-unmasked-frame"], &[]);
    let ran = wsdo(&["check", "--broken", "--jsonl", &server.url()], b"");
    assert_eq!(ran.code, Some(10), "{ran:?}");
    let line = r#"{"rule":"RFC6455-5.1-3","verdict":"broken","#;
    assert!(
        ran.text().starts_with(line) && ran.text().lines().count() == 1,
        "{ran:?}"
    );
    let ran = wsdo(&["check", "--unmasked", &server.url()], b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn server_that_cannot_be_reached_breaks_no_rule() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let ran = wsdo(&["check", &format!("ws://{free}/")], b"");
    ran.wrote(3, b"");
}
