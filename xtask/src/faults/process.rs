//! The program `witness`, and what it says.

use std::{
    io::{BufRead, BufReader, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use super::wire::{self, Place};
use crate::tool::{self, Failure};

/// One end of a connection, in a process of its own. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    lines: Receiver<(String, Instant)>,
    address: SocketAddr,
}

impl Process {
    /// Starts a server, on loopback or in a place of its own, and waits until it listens.
    pub(super) fn serve(
        place: Option<Place<'_>>,
        adapter: &str,
        arguments: &[String],
    ) -> Result<Self, Failure> {
        let host = place
            .as_ref()
            .map_or(Ipv4Addr::LOCALHOST, |place| place.address);
        let listen = SocketAddr::new(IpAddr::V4(host), 0);
        let mut server = Self::start(place, adapter, ["--listen", &listen.to_string()], arguments)?;
        let (line, _) = server.next(START_LIMIT)?;
        server.address = line
            .strip_prefix("listening on ")
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| Failure::new(format!("the server names no address in {line:?}")))?;
        Ok(server)
    }

    /// Starts a client of the server at `to`.
    pub(super) fn call(
        place: Option<Place<'_>>,
        adapter: &str,
        to: SocketAddr,
        arguments: &[String],
    ) -> Result<Self, Failure> {
        Self::start(place, adapter, ["--connect", &to.to_string()], arguments)
    }

    fn start(
        place: Option<Place<'_>>,
        adapter: &str,
        whither: [&str; 2],
        arguments: &[String],
    ) -> Result<Self, Failure> {
        let program = tool::program("witness");
        let mut command = match place {
            None => Command::new(program),
            Some(place) => {
                let mut command = wire::program()?;
                // It becomes the program, and stays the same process.
                command.args(["netns", "exec", place.name]).arg(program);
                command
            }
        };
        let mut child = command
            .args(["--adapter", adapter])
            .args(whither)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::new(format!("cannot run witness: {error}")))?;
        let (sender, lines) = mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send((line, Instant::now()));
                }
            });
        }
        Ok(Self {
            child,
            lines,
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        })
    }

    /// Where it listens, if it is a server.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it says this.
    pub(super) fn expect(&self, what: &str) -> Result<(), Failure> {
        let (line, _) = self.next(START_LIMIT)?;
        match line == what {
            true => Ok(()),
            false => Err(Failure::new(format!("expected {what:?}, and not {line:?}"))),
        }
    }

    /// The line that it ends with, and when that came.
    pub(super) fn last(&self, limit: Duration) -> Result<(String, Instant), Failure> {
        self.next(limit)
    }

    fn next(&self, limit: Duration) -> Result<(String, Instant), Failure> {
        let next = self.lines.recv_timeout(limit);
        next.map_err(|_| Failure::new(format!("nothing was reported within {limit:?}")))
    }

    /// Has it do something, by a word on its standard input.
    pub(super) fn ask(&mut self, what: &str) -> Result<(), Failure> {
        match &mut self.child.stdin {
            Some(input) => Ok(writeln!(input, "{what}")?),
            None => Err(Failure::new("it does not listen")),
        }
    }

    /// SIGSTOP: it does nothing more, and its kernel goes on.
    pub(super) fn stop(&self) -> Result<(), Failure> {
        let id = self.child.id().to_string();
        tool::output_of(Command::new("kill").args(["-STOP", &id])).map(drop)
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

const START_LIMIT: Duration = Duration::from_secs(20);
