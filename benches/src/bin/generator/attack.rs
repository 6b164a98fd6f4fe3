//! Peers that mean harm, while others go on talking.

use std::{
    error::Error,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener},
    str::FromStr,
    time::Instant,
};

use bench_rig::{Histogram, Usage, connect, upgrade_with};
use mio::net::TcpStream;

use crate::{
    Options,
    load::steady,
    storm::{RATE, TALKING, quiet},
    stream::Blocking,
};

/// What the bad ones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attack {
    /// Each begins a compressed message, and says no more.
    Holders,
    /// Each sends blank lines instead of a request, without end, and comes back when it is dropped.
    Lines,
    /// The server calls them, and each answers with interim replies without end.
    Interim { port: u16 },
}

impl FromStr for Attack {
    type Err = io::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match (name, name.strip_prefix("interim:")) {
            ("holders", _) => Ok(Self::Holders),
            ("lines", _) => Ok(Self::Lines),
            (_, Some(port)) => match port.parse() {
                Ok(port) => Ok(Self::Interim { port }),
                Err(_) => Err(io::Error::other("not a port")),
            },
            _ => Err(io::Error::other("not holders, lines or interim:PORT")),
        }
    }
}

/// The first byte of a compressed message of 100 bytes, behind its header and its key.
const BEGUN: &[u8] = b"\xc2\xe4\x01\x02\x03\x04\0";
/// How many holders begin between two looks at those who talk.
const AT_ONCE: usize = 2;
/// How much a flooder sends between two looks at those who talk.
const FLOOD: usize = 16 * 1024;

/// Measures how long the echoes of [`TALKING`] connections take, and measures again while as many
/// as `--connections` says attack.
pub(crate) fn run(options: &Options, attack: Attack) -> Result<(), Box<dyn Error>> {
    let pid = options.pid.ok_or("--attack needs --pid")?;
    let talking = Options {
        connections: TALKING,
        ..options.clone()
    };
    // Those who hold are there before, and silent.
    let mut attackers = Attackers::new(options, attack)?;
    let mut steady = steady(&talking, RATE)?;
    let quiet = quiet(&mut steady, options)?;
    let (begin, before) = (Instant::now(), Usage::of(pid)?);
    let mut latencies = Histogram::new();
    while !attackers.have_begun() || begin.elapsed() < options.measured {
        attackers.turn()?;
        steady.turn(&mut latencies)?;
    }
    steady.record_overdue(&mut latencies);
    println!(
        r#"{{"mode":"attack","attackers":{},"dropped":{},"bytes":{},"busy":{:.4},"quiet_p50_ns":{},"quiet_p99_ns":{},"p50_ns":{},"p99_ns":{},"p999_ns":{}}}"#,
        options.connections,
        attackers.dropped,
        attackers.bytes,
        Usage::of(pid)?.busy_since(&before),
        quiet.quantile(0.5),
        quiet.quantile(0.99),
        latencies.quantile(0.5),
        latencies.quantile(0.99),
        latencies.quantile(0.999),
    );
    Ok(())
}

/// Those who attack.
struct Attackers {
    port: u16,
    holders: Vec<Blocking>,
    /// How many of the holders have begun.
    begun: usize,
    flooders: Vec<Option<Flooder>>,
    /// Where the server calls the flooders, if it does.
    listener: Option<TcpListener>,
    flood: Vec<u8>,
    /// How often a flooder was dropped, and how much all have sent.
    dropped: u64,
    bytes: u64,
}

struct Flooder {
    stream: TcpStream,
    sent: usize,
}

impl Attackers {
    fn new(options: &Options, attack: Attack) -> Result<Self, Box<dyn Error>> {
        let (mut holders, mut flooders, mut listener) = (Vec::new(), Vec::new(), None);
        if attack == Attack::Holders {
            for number in 0..options.connections {
                let mut stream = Blocking::open(options, TALKING + number)?;
                upgrade_with(&mut stream, options.port, options.deflate)?;
                holders.push(stream);
            }
        } else {
            flooders.resize_with(options.connections, || None);
        }
        if let Attack::Interim { port } = attack {
            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
            bound.set_nonblocking(true)?;
            listener = Some(bound);
        }
        let flood: &[u8] = match attack {
            Attack::Interim { .. } => b"HTTP/1.1 100 Continue\r\n\r\n",
            _ => b"\r\n",
        };
        Ok(Self {
            port: options.port,
            holders,
            begun: 0,
            flooders,
            listener,
            flood: flood.repeat(FLOOD / flood.len()),
            dropped: 0,
            bytes: 0,
        })
    }

    fn have_begun(&self) -> bool {
        self.begun == self.holders.len()
    }

    fn turn(&mut self) -> io::Result<()> {
        for holder in self.holders[self.begun..].iter_mut().take(AT_ONCE) {
            holder.write_all(BEGUN)?;
            self.begun += 1;
            self.bytes += BEGUN.len() as u64;
        }
        for number in 0..self.flooders.len() {
            match self.flooders[number].take() {
                None => self.flooders[number] = self.come(number)?,
                Some(flooder) => self.flooders[number] = self.go_on(flooder),
            }
        }
        Ok(())
    }

    /// Connects, or takes a call.
    fn come(&self, number: usize) -> io::Result<Option<Flooder>> {
        let stream = match &self.listener {
            None => connect(self.port, TALKING + number)?,
            Some(listener) => match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        stream.set_nonblocking(true)?;
        Ok(Some(Flooder {
            stream: TcpStream::from_std(stream),
            sent: 0,
        }))
    }

    /// Sends more; `None` if it was dropped.
    fn go_on(&mut self, mut flooder: Flooder) -> Option<Flooder> {
        // What is answered would fill its buffers.
        let _ = flooder.stream.read(&mut [0; 1024]);
        let start = flooder.sent % self.flood.len();
        match flooder.stream.write(&self.flood[start..]) {
            Ok(len) => {
                flooder.sent += len;
                self.bytes += len as u64;
                Some(flooder)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(flooder),
            Err(_) => {
                self.dropped += 1;
                None
            }
        }
    }
}
