//! One of the clients, over and over.

use std::{
    io::{self, Read as _, Write as _},
    net::Shutdown,
    time::{Duration, Instant},
};

use bench_rig::{Histogram, connect, upgrade_request};
use mio::{Interest, Poll, Token, net::TcpStream};
use ws_proto::{ClientMasking, CloseCode, CloseFrame, Connection, Event, Limits};

use crate::{
    message::{Name, Row},
    random::Random,
};

/// What was seen, since the last row and in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) connections: u64,
    pub(super) messages: u64,
    all: Totals,
}

/// What a soak test has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Connections that were opened.
    pub connections: u64,
    /// Messages that came back.
    pub messages: u64,
    /// Messages that came back wrong, and whatever else a server must not say.
    pub wrong: u64,
    /// Clients that waited too long.
    pub stuck: u64,
}

impl Counts {
    /// Starts the next row.
    pub(super) const fn turn_over(&mut self) {
        self.all.connections += self.connections;
        self.all.messages += self.messages;
        (self.connections, self.messages) = (0, 0);
    }

    pub(super) const fn totals(mut self) -> Totals {
        self.turn_over();
        self.all
    }
}

/// How a client ends.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Close,
    Vanish,
    /// Ends its direction and reads the rest.
    HalfClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Asking,
    Talking,
    /// It has said its last and waits for the end.
    Ending,
    Over,
}

#[derive(Debug)]
pub(super) struct Client {
    key: usize,
    stream: TcpStream,
    stage: Stage,
    connection: Connection<ClientMasking>,
    head: Vec<u8>,
    out: Vec<u8>,
    text: String,
    /// Names the connection in its messages.
    number: u32,
    sent: u32,
    received: u32,
    sent_at: Instant,
    /// When something last came or left, or nothing was waited for.
    progress: Instant,
    /// It reads nothing until then.
    stalled: Option<Instant>,
    was_stalled: bool,
    buffer: Box<[u8]>,
}

/// Longer than this nobody waits, whatever the machine has to do.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many messages wait for their answers at once.
const PIPELINE: usize = 4;

impl Client {
    pub(super) fn connect(
        key: usize,
        port: u16,
        poll: &Poll,
        counts: &mut Counts,
    ) -> io::Result<Self> {
        let stream = connect(port, key)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry()
            .register(&mut stream, Token(key), interest)?;
        counts.connections += 1;
        let now = Instant::now();
        Ok(Self {
            key,
            stream,
            stage: Stage::Asking,
            connection: Connection::new(ClientMasking::new(), Limits::default()),
            head: Vec::new(),
            out: upgrade_request(port),
            text: String::new(),
            number: (counts.all.connections + counts.connections) as u32,
            sent: 0,
            received: 0,
            sent_at: now,
            progress: now,
            stalled: None,
            was_stalled: false,
            buffer: vec![0; 16 * 1024].into(),
        })
    }

    pub(super) fn reconnect(
        &mut self,
        port: u16,
        poll: &Poll,
        counts: &mut Counts,
    ) -> io::Result<()> {
        *self = Self::connect(self.key, port, poll, counts)?;
        Ok(())
    }

    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Gives up what waits for too long, and counts it.
    pub(super) fn check_stuck(&mut self, now: Instant, counts: &mut Counts) {
        if self.stalled.is_some() {
            self.progress = now;
        }
        if now.saturating_duration_since(self.progress) > PATIENCE {
            counts.all.stuck += 1;
            self.stage = Stage::Over;
        }
    }

    /// Does what can be done.
    pub(super) fn go_on(
        &mut self,
        now: Instant,
        random: &mut Random,
        latencies: &mut Histogram,
        counts: &mut Counts,
    ) {
        self.stalled = self.stalled.filter(|until| now < *until);
        if self.stage == Stage::Over {
            return;
        }
        if self.stalled.is_none() && self.read(now, latencies, counts).is_err() {
            counts.all.wrong += 1;
            self.stage = Stage::Over;
        }
        if self.stage == Stage::Talking && self.received == self.sent {
            self.say_more(now, random);
        }
        if self.write(now).is_err() && self.stage != Stage::Over {
            // The server has no reason to end it.
            counts.all.wrong += 1;
            self.stage = Stage::Over;
        }
    }

    fn say_more(&mut self, now: Instant, random: &mut Random) {
        match random.below(1000) {
            0..20 => {
                let fate = random.choose(&[Fate::Close, Fate::Vanish, Fate::HalfClose]);
                return self.end(fate);
            }
            20..30 => {
                let wait = Duration::from_millis(random.between(100, 3000) as u64);
                self.stalled = Some(now + wait);
            }
            // So that it is not the generator alone that is measured.
            30..900 if now.saturating_duration_since(self.sent_at) < PAUSE => return,
            _ => {}
        }
        for _ in 0..random.between(1, PIPELINE) {
            let name = self.name(self.sent);
            let len = random.choose(&[10, 100, 100, 1000, 5000, 70_000]);
            name.write(random.below(len), &mut self.text);
            let (_, _, sender) = self.connection.parts();
            if let Ok(frame) = sender.message(name.message(&self.text)) {
                frame.append_to(&mut self.out, 0);
                self.sent += 1;
            }
        }
        self.was_stalled = self.stalled.is_some();
        (self.sent_at, self.progress) = (Instant::now(), now);
    }

    const fn name(&self, number: u32) -> Name {
        Name {
            row: Row::Direct,
            connection: self.number,
            number,
        }
    }

    fn end(&mut self, fate: Fate) {
        self.stage = Stage::Ending;
        match fate {
            Fate::Close => {
                let (_, _, sender) = self.connection.parts();
                let frame = CloseFrame {
                    code: CloseCode::NORMAL,
                    reason: "",
                };
                if let Ok(close) = sender.close(Some(frame)) {
                    close.append_to(&mut self.out, 0);
                }
            }
            // Its socket is set to be reset when it is dropped.
            Fate::Vanish => self.stage = Stage::Over,
            Fate::HalfClose => drop(self.stream.shutdown(Shutdown::Write)),
        }
    }

    fn write(&mut self, now: Instant) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(len) => {
                    self.out.drain(..len);
                    self.progress = now;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.stage == Stage::Talking && self.received == self.sent {
            self.progress = now;
        }
        Ok(())
    }

    fn read(
        &mut self,
        now: Instant,
        latencies: &mut Histogram,
        counts: &mut Counts,
    ) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            let len = match self.stream.read(&mut buffer) {
                Ok(0) if self.stage == Stage::Ending => {
                    self.stage = Stage::Over;
                    break Ok(());
                }
                Ok(0) => break Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) => break Err(error),
            };
            self.progress = now;
            if let Err(error) = self.take(&mut buffer[..len], latencies, counts) {
                break Err(error);
            }
        };
        self.buffer = buffer;
        result
    }

    fn take(
        &mut self,
        mut bytes: &mut [u8],
        latencies: &mut Histogram,
        counts: &mut Counts,
    ) -> io::Result<()> {
        if self.stage == Stage::Asking {
            self.head.extend_from_slice(bytes);
            let end = self.head.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else {
                return Ok(());
            };
            if !self.head.starts_with(b"HTTP/1.1 101 ") || end + 4 != self.head.len() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.stage = Stage::Talking;
            bytes = &mut [];
        }
        let expected = |number| Name {
            row: Row::Direct,
            connection: self.number,
            number,
        };
        let (receiver, messages, sender) = self.connection.parts();
        while let Some(event) = receiver.receive(&mut bytes).map_err(io::Error::other)? {
            if let Some(reply) = sender.respond(&event) {
                reply.append_to(&mut self.out, 0);
            }
            if let Event::Data(chunk) = event
                && let Some(message) = messages.push(chunk)
            {
                if Name::read(message) != Ok(expected(self.received)) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                self.received += 1;
                counts.messages += 1;
                // While it did not read, it did not look at the clock either.
                if !self.was_stalled {
                    latencies.record(self.sent_at.elapsed());
                }
            }
        }
        Ok(())
    }
}

/// How long most clients wait between two questions.
const PAUSE: Duration = Duration::from_millis(50);
