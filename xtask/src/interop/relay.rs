//! A TCP relay that tells what went through it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::tool::Failure;

/// Stands between client and server, for as long as this process lasts.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) port: u16,
    ended: mpsc::Receiver<Passed>,
}

/// A connection that has ended.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) up: Side,
    pub(super) down: Side,
}

/// What went in one direction.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// The request or the response, up to its empty line.
    pub(super) head: String,
    /// How many bytes came behind it.
    pub(super) bytes: usize,
    is_open: bool,
}

impl Relay {
    /// Relays to a port of this machine.
    pub(super) fn start(to: u16) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let sender = sender.clone();
                thread::spawn(move || {
                    if let Ok(passed) = relay(client, to) {
                        let _ = sender.send(passed);
                    }
                });
            }
        });
        Ok(Self { port, ended })
    }

    /// The next connection that has ended, or `None` when `limit` passes first.
    pub(super) fn next(&self, limit: Duration) -> Option<Passed> {
        self.ended.recv_timeout(limit).ok()
    }
}

impl Side {
    fn note(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        if self.is_open {
            return;
        }
        self.head.push_str(&String::from_utf8_lossy(bytes));
        if let Some(end) = self.head.find("\r\n\r\n") {
            self.is_open = true;
            self.head.truncate(end);
            self.bytes -= end + 4;
        }
    }

    /// The value of `Sec-WebSocket-Extensions`.
    pub(super) fn extensions(&self) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("Sec-WebSocket-Extensions")
                .then(|| value.trim())
        })
    }
}

fn relay(client: TcpStream, to: u16) -> Result<Passed, Failure> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, to))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from, into) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || pass(from, into));
    let down = pass(server, client);
    let up = up.join().unwrap_or_default();
    Ok(Passed { up, down })
}

/// Passes on what comes, until either end has enough.
fn pass(mut from: TcpStream, mut into: TcpStream) -> Side {
    let mut side = Side::default();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        side.note(&buffer[..len]);
        if into.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Read);
    let _ = into.shutdown(Shutdown::Write);
    side
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_behind_the_head_are_counted() {
        let head = "HTTP/1.1 101 X\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n";
        for cut in [1, 10, head.len()] {
            let mut side = Side::default();
            for piece in [&head[..cut], &head[cut..], "12345", "678"] {
                side.note(piece.as_bytes());
            }
            assert_eq!(side.bytes, 8);
            assert_eq!(side.extensions(), Some("permessage-deflate"));
        }
    }

    #[test]
    fn both_directions_pass_and_the_end_is_told() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(server.local_addr().unwrap().port()).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port)).unwrap();
        client.write_all(b"up\r\n\r\n123").unwrap();
        let (mut accepted, _) = server.accept().unwrap();
        let mut bytes = [0; 9];
        accepted.read_exact(&mut bytes).unwrap();
        accepted.write_all(b"down\r\n\r\n12").unwrap();
        drop(accepted);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"down\r\n\r\n12");
        drop(client);
        let passed = relay.next(Duration::from_secs(10)).unwrap();
        assert_eq!((&*passed.up.head, passed.up.bytes), ("up", 3));
        assert_eq!((&*passed.down.head, passed.down.bytes), ("down", 2));
    }
}
