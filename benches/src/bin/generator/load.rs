//! Messages over connections that stay open.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use bench_rig::{Histogram, Placed, Replies, Usage, resident_bytes, upgrade_with};
use mio::{Events, Interest, Poll, Token};

use crate::stream::{Blocking, Got, Stream};
use crate::{Options, messages};

/// How long a server may do nothing at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
const READ_BUFFER: usize = 512 * 1024;

/// Every connection sends its frames, waits for all the replies, and sends again.
pub(crate) fn closed_loop(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut load = Load::open(options)?;
    let mut measured = Measured::new(options);
    for connection in &mut load.connections {
        connection.begin(Instant::now());
        connection.write(&load.batches)?;
    }
    while measured.goes_on(load.now)? {
        load.poll(Some(PATIENCE))?;
        for event in &load.events {
            let connection = &mut load.connections[event.token().0];
            connection.write(&load.batches)?;
            let replies = measured.count(connection.read(load.buffer.as_mut_slice())?);
            if replies == 0 {
                continue;
            }
            connection.awaited = connection.awaited.saturating_sub(replies);
            if connection.awaited == 0 {
                let now = Instant::now();
                if let Some(sent) = connection.sent.pop_front() {
                    measured.latencies.record(now - sent);
                }
                connection.begin(now);
                connection.write(&load.batches)?;
            }
        }
    }
    measured.print("closed");
    Ok(())
}

/// Sends at a given rate; a latency counts from the time at which the message was due.
pub(crate) fn at_rate(options: &Options, rate: f64) -> Result<(), Box<dyn Error>> {
    let mut steady = Steady::open(options, rate)?;
    let mut measured = Measured::new(options);
    while measured.goes_on(steady.load.now)? {
        let received = steady.turn(&mut measured.latencies)?;
        measured.count(received);
    }
    steady.record_overdue(&mut measured.latencies);
    measured.print("rate");
    Ok(())
}

/// Connections that take turns in sending at fixed times.
pub(crate) struct Steady {
    load: Load,
    interval: Duration,
    due: Instant,
    next: usize,
}

impl Steady {
    /// Connects; the first message is due at once.
    pub(crate) fn open(options: &Options, rate: f64) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            load: Load::open(options)?,
            interval: Duration::try_from_secs_f64(1.0 / rate)?,
            due: Instant::now(),
            next: 0,
        })
    }

    /// Sends what is due, and records what came; it does not wait.
    pub(crate) fn turn(&mut self, latencies: &mut Histogram) -> Result<Received, Box<dyn Error>> {
        let (load, mut all) = (&mut self.load, Received::default());
        // Spins: a sleeping generator would measure its own waking up.
        load.poll(Some(Duration::ZERO))?;
        while self.due <= load.now {
            let connection = &mut load.connections[self.next];
            connection.begin(self.due);
            connection.write(&load.batches)?;
            self.next = (self.next + 1) % load.connections.len();
            self.due += self.interval;
        }
        for event in &load.events {
            let connection = &mut load.connections[event.token().0];
            connection.write(&load.batches)?;
            let received = connection.read(load.buffer.as_mut_slice())?;
            if received.messages > 0 {
                let now = Instant::now();
                for _ in 0..received.messages {
                    if let Some(sent) = connection.sent.pop_front() {
                        latencies.record(now - sent);
                    }
                }
            }
            all += received;
        }
        Ok(all)
    }

    /// Records what is still waited for: it took this long at least. Else a server that stalls had the
    /// fewest.
    pub(crate) fn record_overdue(&self, latencies: &mut Histogram) {
        let now = self.load.now;
        for sent in self.load.connections.iter().flat_map(|each| &each.sent) {
            latencies.record(now.saturating_duration_since(*sent));
        }
    }
}

/// The first connection sends one message after the other, and all count deliveries.
pub(crate) fn broadcast(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut load = Load::open(options)?;
    let mut measured = Measured::new(options);
    let all = load.connections.len() as u64;
    load.connections[0].begin(Instant::now());
    load.connections[0].write(&load.batches)?;
    let mut awaited = all;
    while measured.goes_on(load.now)? {
        load.poll(Some(PATIENCE))?;
        for event in &load.events {
            let connection = &mut load.connections[event.token().0];
            let delivered = measured.count(connection.read(load.buffer.as_mut_slice())?);
            awaited = awaited.saturating_sub(delivered);
        }
        if awaited == 0 {
            awaited = all;
            let now = Instant::now();
            if let Some(sent) = load.connections[0].sent.pop_front() {
                measured.latencies.record(now - sent);
            }
            load.connections[0].begin(now);
        }
        load.connections[0].write(&load.batches)?;
    }
    measured.print("broadcast");
    Ok(())
}

pub(crate) struct Load {
    poll: Poll,
    pub(crate) events: Events,
    pub(crate) connections: Vec<Connection>,
    /// The frames that a connection sends at once, in rotation.
    pub(crate) batches: Vec<Placed>,
    pub(crate) buffer: Placed,
    pub(crate) now: Instant,
    heard: Instant,
}

impl Load {
    fn open(options: &Options) -> Result<Self, Box<dyn Error>> {
        Self::with(options, &messages::batches(options))
    }

    /// Connects all, to send batches of frames.
    pub(crate) fn with(options: &Options, batches: &[Vec<u8>]) -> Result<Self, Box<dyn Error>> {
        let batches: Vec<_> = batches.iter().map(|batch| Placed::of(batch)).collect();
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for number in 0..options.connections {
            let mut stream = Blocking::open(options, number)?;
            let mut replies = Replies::default();
            if !options.raw {
                replies.count(&upgrade_with(&mut stream, options.port, options.deflate)?)?;
            }
            let mut stream = stream.into_nonblocking()?;
            poll.registry().register(
                stream.source(),
                Token(number),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            connections.push(Connection {
                stream,
                replies,
                // Each begins with another, lest all send the same at the same time.
                current: number % batches.len(),
                unwritten: 0,
                owed: 0,
                awaited: 0,
                pipelined: options.pipelined,
                sent: VecDeque::new(),
            });
        }
        let now = Instant::now();
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            connections,
            batches,
            buffer: Placed::new(READ_BUFFER),
            now,
            heard: now,
        })
    }

    pub(crate) fn poll(&mut self, timeout: Option<Duration>) -> Result<(), Box<dyn Error>> {
        if let Err(error) = self.poll.poll(&mut self.events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        self.now = Instant::now();
        if !self.events.is_empty() {
            self.heard = self.now;
        } else if self.now - self.heard >= PATIENCE {
            return Err("the server stalls".into());
        }
        Ok(())
    }
}

pub(crate) struct Connection {
    stream: Stream,
    replies: Replies,
    /// Which batch is being written, how much of it is still to be, and how many are to follow.
    current: usize,
    unwritten: usize,
    owed: usize,
    /// Replies to what was sent that are still to come.
    awaited: u64,
    pipelined: u64,
    /// When the batches were sent whose replies are still to come.
    pub(crate) sent: VecDeque<Instant>,
}

impl Connection {
    pub(crate) fn begin(&mut self, at: Instant) {
        self.owed += 1;
        self.awaited += self.pipelined;
        self.sent.push_back(at);
    }

    /// Writes as much as the transport takes.
    pub(crate) fn write(&mut self, batches: &[Placed]) -> io::Result<()> {
        loop {
            if self.unwritten == 0 {
                if self.owed == 0 {
                    return self.stream.flush().map(drop);
                }
                self.owed -= 1;
                self.current = (self.current + 1) % batches.len();
                self.unwritten = batches[self.current].as_slice().len();
            }
            let batch = batches[self.current].as_slice();
            match self.stream.write(&batch[batch.len() - self.unwritten..]) {
                Ok(written) => self.unwritten -= written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads all that is there.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Received, Box<dyn Error>> {
        let mut received = Received::default();
        loop {
            match self.stream.read(buffer) {
                Ok(Got { len, more }) => {
                    received.messages += self.replies.count(&buffer[..len])?;
                    received.bytes += len as u64;
                    if !more {
                        return Ok(received);
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(received),
                    io::ErrorKind::UnexpectedEof => {
                        return Err("the server closed a connection".into());
                    }
                    _ => return Err(error.into()),
                },
            }
        }
    }
}

/// What a connection had to be read: so many bytes, and the messages that they complete.
#[derive(Default)]
pub(crate) struct Received {
    messages: u64,
    bytes: u64,
}

impl Received {
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }
}

impl AddAssign for Received {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }
}

/// What is counted between two points in time.
pub(crate) struct Measured {
    pid: Option<u32>,
    size: usize,
    messages: u64,
    bytes: u64,
    /// Messages before the begin.
    before: u64,
    pub(crate) latencies: Histogram,
    begin: Instant,
    end: Instant,
    /// The server and this process at the begin, once that has come.
    usages: Option<(Option<Usage>, Usage)>,
    length: Duration,
    result: Option<Outcome>,
}

struct Outcome {
    seconds: f64,
    server: Option<(Duration, f64, u64)>,
    generator_busy: f64,
}

impl Measured {
    pub(crate) fn new(options: &Options) -> Self {
        let begin = Instant::now() + options.warm_up;
        Self {
            pid: options.pid,
            size: options.size,
            messages: 0,
            bytes: 0,
            before: 0,
            latencies: Histogram::new(),
            begin,
            end: begin + options.measured,
            usages: None,
            length: Duration::ZERO,
            result: None,
        }
    }

    pub(crate) fn count(&mut self, received: Received) -> u64 {
        self.messages += received.messages;
        self.bytes += received.bytes;
        received.messages
    }

    /// Begins and ends the counting when it is time; `false` at its end.
    pub(crate) fn goes_on(&mut self, now: Instant) -> Result<bool, Box<dyn Error>> {
        if now < self.begin || (self.usages.is_some() && now < self.end) {
            return Ok(true);
        }
        let server = self.pid.map(Usage::of).transpose()?;
        let own = Usage::of(std::process::id())?;
        let Some((server_then, own_then)) = self.usages else {
            self.usages = Some((server, own));
            self.before = std::mem::take(&mut self.messages);
            self.bytes = 0;
            self.latencies.clear();
            self.begin = Instant::now();
            return Ok(true);
        };
        self.length = self.begin.elapsed();
        self.result = Some(Outcome {
            seconds: self.length.as_secs_f64(),
            server: match self.pid.zip(server).zip(server_then) {
                Some(((pid, now), then)) => Some((
                    now.cpu_since(&then),
                    now.busy_since(&then),
                    resident_bytes(pid)?,
                )),
                None => None,
            },
            generator_busy: own.busy_since(&own_then),
        });
        Ok(false)
    }

    fn print(&self, mode: &str) {
        self.print_with(mode, "");
    }

    /// Prints what was measured, and what else there is to say: fields of JSON, with a comma behind
    /// each.
    pub(crate) fn print_with(&self, mode: &str, more: &str) {
        let Some(outcome) = &self.result else { return };
        let server = outcome.server.map_or(String::new(), |(cpu, busy, rss)| {
            format!(
                r#""cpu_ns":{},"busy":{busy:.4},"rss":{rss},"#,
                cpu.as_nanos()
            )
        });
        println!(
            r#"{{"mode":"{mode}","messages":{},"messages_in_all":{},"plain_bytes":{},"reply_bytes":{},"seconds":{:.6},{server}{more}"generator_busy":{:.4},"p50_ns":{},"p99_ns":{},"p999_ns":{}}}"#,
            self.messages,
            self.before + self.messages,
            self.messages * self.size as u64,
            self.bytes,
            outcome.seconds,
            outcome.generator_busy,
            self.latencies.quantile(0.5),
            self.latencies.quantile(0.99),
            self.latencies.quantile(0.999),
        );
    }
}
