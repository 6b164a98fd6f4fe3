//! Requests that come a few bytes at a time and never end, while others go on talking.

use std::{
    collections::VecDeque,
    error::Error,
    fs,
    io::{self, ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use bench_rig::{Histogram, Usage, connect};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::{
    Options,
    load::steady,
    storm::{RATE, TALKING, quiet},
    stream::session,
};

/// How long one waits for the next to connect.
const PACE: Duration = Duration::from_micros(400);
/// How many send or are heard between two looks at those who talk, whose echoes wait for as long.
const AT_ONCE: usize = 2;
/// How long a server may take to be rid of all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures how long the echoes of [`TALKING`] connections take; then has as many as
/// `--connections` says send `bytes` of a request every so often, and measures again until the
/// server has dropped each of them. Who is told to go stays, and sends on.
pub(crate) fn run(options: &Options, bytes: usize, every: Duration) -> Result<(), Box<dyn Error>> {
    let pid = options.pid.ok_or("--trickle needs --pid")?;
    let talking = Options {
        connections: TALKING,
        ..options.clone()
    };
    let mut steady = steady(&talking, RATE)?;
    let quiet = quiet(&mut steady, options)?;
    let descriptors = count_descriptors(pid)?;

    let mut crowd = Crowd {
        port: options.port,
        count: options.connections,
        request: request(options)?,
        bytes,
        every,
        poll: Poll::new()?,
        events: Events::with_capacity(AT_ONCE),
        slow: Vec::with_capacity(options.connections),
        due: VecDeque::with_capacity(options.connections),
        next: Instant::now(),
        gone: 0,
    };
    let mut latencies = Histogram::new();
    let (begin, before) = (Instant::now(), Usage::of(pid)?);
    while crowd.gone < crowd.count {
        if begin.elapsed() > PATIENCE {
            return Err(format!("{} are still there", crowd.count - crowd.gone).into());
        }
        crowd.turn()?;
        steady.turn(&mut latencies)?;
    }
    steady.record_overdue(&mut latencies);
    let now = Usage::of(pid)?;
    let left = count_descriptors(pid)?.saturating_sub(descriptors);
    let told = crowd.slow.iter().filter_map(|slow| slow.told);
    let gone = crowd.slow.iter().filter_map(|slow| slow.gone);
    println!(
        r#"{{"mode":"trickle","slow":{},"told":{},"timed_out":{},"told_first":{:.3},"told_last":{:.3},"gone_last":{:.3},"descriptors_left":{left},"busy":{:.4},"quiet_p50_ns":{},"quiet_p99_ns":{},"p50_ns":{},"p99_ns":{},"p999_ns":{}}}"#,
        crowd.count,
        told.clone().count(),
        crowd.slow.iter().filter(|slow| slow.has_408).count(),
        told.clone().min().unwrap_or_default().as_secs_f64(),
        told.max().unwrap_or_default().as_secs_f64(),
        gone.max().unwrap_or_default().as_secs_f64(),
        now.busy_since(&before),
        quiet.quantile(0.5),
        quiet.quantile(0.99),
        latencies.quantile(0.5),
        latencies.quantile(0.99),
        latencies.quantile(0.999),
    );
    Ok(())
}

/// What comes a little at a time: a head of HTTP without an end, or the first message of TLS.
fn request(options: &Options) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match &options.tls {
        Some(config) => drop(session(config)?.write_tls(&mut bytes)?),
        None => {
            bytes.extend(b"GET / HTTP/1.1\r\nHost: localhost\r\n");
            while bytes.len() < 1 << 20 {
                bytes.extend(b"Filler: 1234567890\r\n");
            }
        }
    }
    Ok(bytes)
}

fn count_descriptors(pid: u32) -> io::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

/// Those who take their time.
struct Crowd {
    port: u16,
    count: usize,
    request: Vec<u8>,
    bytes: usize,
    every: Duration,
    poll: Poll,
    events: Events,
    slow: Vec<Slow>,
    /// Who sends next, and when.
    due: VecDeque<(Instant, usize)>,
    /// When the next one connects.
    next: Instant,
    gone: usize,
}

struct Slow {
    stream: TcpStream,
    begun: Instant,
    sent: usize,
    /// How long it took until the server said anything, or ended, and until it dropped the
    /// connection.
    told: Option<Duration>,
    gone: Option<Duration>,
    has_408: bool,
}

impl Slow {
    fn note_dropped(&mut self) {
        let elapsed = self.begun.elapsed();
        self.told.get_or_insert(elapsed);
        self.gone = Some(elapsed);
    }
}

impl Crowd {
    fn turn(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.slow.len() < self.count && now >= self.next {
            self.next = now + PACE;
            self.connect(now)?;
        }
        for _ in 0..AT_ONCE {
            match self.due.front() {
                Some(&(at, number)) if at <= now => {
                    self.due.pop_front();
                    self.drip(number, now);
                }
                _ => break,
            }
        }
        self.hear()
    }

    fn connect(&mut self, now: Instant) -> io::Result<()> {
        let number = self.slow.len();
        // Behind those who talk.
        let stream = connect(self.port, TALKING + number)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        let registry = self.poll.registry();
        registry.register(&mut stream, Token(number), Interest::READABLE)?;
        self.slow.push(Slow {
            stream,
            begun: now,
            sent: 0,
            told: None,
            gone: None,
            has_408: false,
        });
        self.due.push_back((now, number));
        Ok(())
    }

    fn drip(&mut self, number: usize, now: Instant) {
        let slow = &mut self.slow[number];
        if slow.gone.is_some() {
            return;
        }
        let end = self.request.len().min(slow.sent + self.bytes);
        match slow.stream.write(&self.request[slow.sent..end]) {
            Ok(len) => slow.sent += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                slow.note_dropped();
                self.gone += 1;
                return;
            }
        }
        self.due.push_back((now + self.every, number));
    }

    /// Notes who was told to go, and who was dropped.
    fn hear(&mut self) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        for event in &self.events {
            let slow = &mut self.slow[event.token().0];
            let mut answer = [0; 1024];
            loop {
                match slow.stream.read(&mut answer) {
                    Ok(len) => {
                        slow.told.get_or_insert_with(|| slow.begun.elapsed());
                        slow.has_408 |= answer[..len].starts_with(b"HTTP/1.1 408 ");
                        if len == 0 {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => {
                        if slow.gone.is_none() {
                            slow.note_dropped();
                            self.gone += 1;
                        }
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}
