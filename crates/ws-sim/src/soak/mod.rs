//! A server that is kept busy for as long as one likes, by clients that come,
//! talk, stall, vanish and are reset: what it holds must not grow, what it says
//! must be right, and nobody may be left waiting.
//!
//! `cargo xtask soak` runs it, with the server in a process of its own.

mod client;
mod report;

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use bench_rig::{Histogram, resident_bytes};
pub use client::Totals;
use client::{Client, Counts};
use mio::{Events, Poll};
pub use report::{Period, Report};
use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};

use crate::Random;

/// How long to go on, and with how many.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// How long.
    pub length: Duration,
    /// How many connections there are at a time.
    pub connections: usize,
}

/// How many rows a report has.
const PERIODS: u32 = 20;
/// How often the server is looked at.
const LOOK: Duration = Duration::from_millis(500);

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

/// Serves until the standard input ends; prints the port first.
///
/// # Errors
///
/// Those of the system.
pub fn serve() -> io::Result<()> {
    let server = Server::bind("127.0.0.1:0", Config::new(OriginPolicy::Any))?;
    println!("{}", server.local_addr()?.port());
    let remote = server.remote();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        remote.stop()
    });
    server.run(Echo)
}

/// The server's process.
struct Target {
    child: Child,
    /// It ends when this is closed.
    input: Option<ChildStdin>,
    port: u16,
}

impl Target {
    fn start() -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let port = line.trim().parse().map_err(io::Error::other)?;
        Ok(Self { child, input, port })
    }

    /// Returns the resident bytes, and the open file descriptors.
    fn look(&self) -> io::Result<(u64, u64)> {
        let id = self.child.id();
        let descriptors = fs::read_dir(format!("/proc/{id}/fd"))?.count();
        Ok((resident_bytes(id)?, descriptors as u64))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}

/// Keeps a server busy, and tells what came of it.
///
/// # Errors
///
/// Those of the system, and a server that ends.
pub fn soak(task: Task) -> io::Result<Report> {
    let target = Target::start()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut random = Random::new(1);
    let mut counts = Counts::default();
    let mut clients = Vec::with_capacity(task.connections);
    for key in 0..task.connections {
        clients.push(Client::connect(key, target.port, &poll, &mut counts)?);
    }
    let began = Instant::now();
    let mut periods = Vec::new();
    let mut period = Period::default();
    let mut latencies = Histogram::new();
    let (mut looked, mut swept) = (began, began);
    while began.elapsed() < task.length {
        poll.poll(&mut events, Some(Duration::from_millis(5)))?;
        let now = Instant::now();
        for event in &events {
            let client = &mut clients[event.token().0];
            client.go_on(now, &mut random, &mut latencies, &mut counts);
        }
        if now - swept >= Duration::from_millis(20) {
            swept = now;
            for client in &mut clients {
                client.go_on(now, &mut random, &mut latencies, &mut counts);
                client.check_stuck(now, &mut counts);
                if client.is_over() {
                    client.reconnect(target.port, &poll, &mut counts)?;
                }
            }
        }
        if now - looked >= LOOK {
            looked = now;
            period.look(target.look()?);
        }
        if began.elapsed() >= task.length * (periods.len() as u32 + 1) / PERIODS {
            period.end(began.elapsed(), &latencies, &mut counts);
            latencies.clear();
            periods.push(std::mem::take(&mut period));
        }
    }
    Ok(Report {
        task,
        periods,
        counts: counts.totals(),
    })
}
