//! Thousands of TLS handshakes at once, while others go on talking.

use std::{
    error::Error,
    io::{self, Read, Write},
    time::{Duration, Instant},
};

use bench_rig::{Histogram, Usage, connect};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use ws_load::Steady;

use crate::{Options, load::steady, stream::session};

/// How many connections talk.
pub(crate) const TALKING: usize = 64;
/// Messages a second over all connections that talk.
pub(crate) const RATE: f64 = 4000.0;
/// How many handshakes begin between two looks at those who talk: each keeps this process for some
/// 6 µs, and how late it is counts as the server's latency.
const AT_ONCE: usize = 2;
/// How long a server may take for all of them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connects as many as `--connections` says, which then say nothing; measures how long the echoes
/// of [`TALKING`] others take; then has all of the first begin their handshake, and measures again
/// until each has been answered.
///
/// They all send the same first message of TLS, made once, and never the second. So this process
/// spends next to nothing on a handshake, and the server all that is expensive in one.
pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let config = options.tls.as_ref().ok_or("--storm needs --tls")?;
    let mut hello = Vec::new();
    session(config)?.write_tls(&mut hello)?;
    let mut crowd = Crowd::open(options)?;
    let talking = Options {
        connections: TALKING,
        ..options.clone()
    };
    let mut steady = steady(&talking, RATE)?;
    let quiet = quiet(&mut steady, options)?;

    let usage = || options.pid.map(Usage::of).transpose();
    let (begin, before) = (Instant::now(), usage()?);
    let mut latencies = Histogram::new();
    while crowd.is_waiting() {
        if begin.elapsed() > PATIENCE {
            return Err(format!("{} handshakes were not answered", crowd.unanswered).into());
        }
        crowd.begin_some(&hello)?;
        steady.turn(&mut latencies)?;
        crowd.hear()?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let server = usage()?.zip(before).map_or(String::new(), |(now, then)| {
        let (cpu, busy) = (now.cpu_since(&then), now.busy_since(&then));
        format!(r#""cpu_ns":{},"busy":{busy:.4},"#, cpu.as_nanos())
    });
    steady.record_overdue(&mut latencies);
    println!(
        r#"{{"mode":"storm","messages":{},"seconds":{seconds:.6},{server}"quiet_p50_ns":{},"quiet_p99_ns":{},"p50_ns":{},"p99_ns":{},"p999_ns":{}}}"#,
        options.connections,
        quiet.quantile(0.5),
        quiet.quantile(0.99),
        latencies.quantile(0.5),
        latencies.quantile(0.99),
        latencies.quantile(0.999),
    );
    Ok(())
}

/// Measures while nothing else goes on.
pub(crate) fn quiet(steady: &mut Steady, options: &Options) -> Result<Histogram, Box<dyn Error>> {
    let mut latencies = Histogram::new();
    let begin = Instant::now() + options.warm_up;
    while Instant::now() < begin {
        steady.turn(&mut latencies)?;
    }
    latencies.clear();
    while Instant::now() < begin + options.measured {
        steady.turn(&mut latencies)?;
    }
    Ok(latencies)
}

/// Those whose handshakes begin together.
struct Crowd {
    poll: Poll,
    events: Events,
    streams: Vec<TcpStream>,
    is_answered: Vec<bool>,
    begun: usize,
    unanswered: usize,
}

impl Crowd {
    fn open(options: &Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut streams = Vec::with_capacity(options.connections);
        for number in 0..options.connections {
            // Behind those who talk.
            let stream = connect(options.port, TALKING + number)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let registry = poll.registry();
            registry.register(&mut stream, Token(number), Interest::READABLE)?;
            streams.push(stream);
        }
        Ok(Self {
            poll,
            events: Events::with_capacity(1024),
            is_answered: vec![false; streams.len()],
            unanswered: streams.len(),
            streams,
            begun: 0,
        })
    }

    fn is_waiting(&self) -> bool {
        self.unanswered > 0
    }

    fn begin_some(&mut self, hello: &[u8]) -> io::Result<()> {
        let rest = self.streams[self.begun..].iter_mut();
        for stream in rest.take(AT_ONCE) {
            stream.write_all(hello)?;
        }
        self.begun = self.streams.len().min(self.begun + AT_ONCE);
        Ok(())
    }

    /// Counts those who were answered; they stay, and say no more.
    fn hear(&mut self) -> Result<(), Box<dyn Error>> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        for event in &self.events {
            let number = event.token().0;
            if self.is_answered[number] {
                continue;
            }
            let mut first = [0];
            match self.streams[number].read(&mut first) {
                Ok(1) if first[0] == HANDSHAKE => {
                    self.is_answered[number] = true;
                    self.unanswered -= 1;
                }
                Ok(_) => return Err("the server refuses a handshake".into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What a record begins with that is no alert.
const HANDSHAKE: u8 = 22;
