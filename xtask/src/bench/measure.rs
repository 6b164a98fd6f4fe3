//! One run: a server on one core, the generator on the other.

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{
    cell::{Cell, Deflate, Load, Masks, Rate},
    measurement::Measurement,
    subject::{Subject, our_program},
};
use crate::{
    certs::Certificates,
    tool::{self, Failure},
};

/// How long a run takes, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) warm_up: f64,
    pub(super) measured: f64,
}

/// What runs are made with.
#[derive(Debug)]
pub(super) struct Rig {
    subjects: Vec<&'static Subject>,
    pub(super) pace: Pace,
    certificates: Certificates,
    is_pinned: bool,
    /// Messages a second that a server saturated at last, by the names of cell and server.
    saturations: RefCell<HashMap<(String, &'static str), f64>>,
}

impl Rig {
    pub(super) fn new(subjects: &[&'static Subject], pace: Pace) -> Result<Self, Failure> {
        let is_pinned = tool::is_installed("taskset") && cores() >= 2;
        if !is_pinned {
            eprintln!("neither pinned nor apart: that takes two cores and the program taskset");
        }
        Ok(Self {
            subjects: subjects.to_vec(),
            pace,
            certificates: Certificates::make(&tool::target_dir().join("bench-certs"), &[])?,
            is_pinned,
            saturations: RefCell::default(),
        })
    }

    pub(super) fn measure(&self, cell: &Cell, subject: &Subject) -> Result<Measurement, Failure> {
        match cell.load {
            Load::Client { size, masks } => return self.measure_client(subject, size, masks),
            Load::Calls { .. } => return self.count_calls(cell, subject),
            _ => {}
        }
        let generator = self.arguments(cell, subject)?;
        let measurement = self.run(cell, subject, &generator)?;
        if let Load::Echo { .. } = cell.load
            && let Some(rate) = measurement.per_second()
        {
            let key = (cell.to_string(), subject.name);
            self.saturations.borrow_mut().insert(key, rate);
        }
        Ok(measurement)
    }

    /// What the generator is to do in a cell of servers.
    fn arguments(&self, cell: &Cell, subject: &Subject) -> Result<Vec<String>, Failure> {
        let mut generator = vec!["--masks".to_owned()];
        let mut push = |name: &str, value: usize| {
            generator.extend([format!("--{name}"), value.to_string()]);
        };
        let (mode, masks) = match cell.load {
            Load::Echo {
                size,
                connections,
                pipelined,
                masks,
            } => {
                push("size", size);
                push("connections", connections);
                push("pipelined", pipelined);
                ("--load".to_owned(), masks)
            }
            Load::Latency {
                size,
                connections,
                rate,
            } => {
                push("size", size);
                push("connections", connections);
                let saturating = Cell::parse(&format!("{size}/{connections}/1"))?;
                let saturation = match rate {
                    Rate::Own => self.saturation(&saturating, subject)?,
                    Rate::Common => self.least_saturation(&saturating)?,
                };
                (format!("--rate={:.0}", saturation / 2.0), Masks::Random)
            }
            Load::Churn => {
                push("connections", 16);
                ("--churn".to_owned(), Masks::Random)
            }
            Load::Broadcast { size, connections } => {
                push("size", size);
                push("connections", connections);
                ("--broadcast".to_owned(), Masks::Random)
            }
            Load::Deflate {
                size, connections, ..
            } => {
                push("size", size);
                push("connections", connections);
                ("--load".to_owned(), Masks::Random)
            }
            Load::Memory { connections, .. } => {
                push("size", 1024);
                push("connections", connections);
                ("--memory".to_owned(), Masks::Random)
            }
            Load::Storm { connections } => {
                push("connections", connections);
                ("--storm".to_owned(), Masks::Random)
            }
            Load::Calls { size, connections } => {
                push("size", size);
                push("connections", connections);
                ("--load".to_owned(), Masks::Random)
            }
            Load::Client { .. } => return Err(Failure::new("a cell of clients")),
        };
        generator.insert(1, masks.name().to_owned());
        match mode.split_once('=') {
            Some((name, value)) => generator.extend([name.to_owned(), value.to_owned()]),
            None => generator.push(mode),
        }
        generator.extend(cell.deflate().into_iter().flat_map(Deflate::arguments));
        generator.extend(self.trust(cell));
        if subject.is_raw() {
            generator.push("--raw".to_owned());
        }
        Ok(generator)
    }

    /// What makes the generator speak TLS, if the cell is over that.
    fn trust(&self, cell: &Cell) -> Vec<String> {
        match cell.is_secure {
            true => vec!["--tls".to_owned(), self.authority()],
            false => Vec::new(),
        }
    }

    /// The file of the authority that stands for servers over TLS.
    pub(super) fn authority(&self) -> String {
        self.certificates.ca().display().to_string()
    }

    /// What makes a server speak TLS.
    pub(super) fn identity(&self) -> impl Iterator<Item = String> {
        let [certificate, key] = self.certificates.pair("server");
        [("--tls-cert", certificate), ("--tls-key", key)]
            .into_iter()
            .flat_map(|(name, file)| [name.to_owned(), file.display().to_string()])
    }

    /// Counts with `strace` in a short and in a longer run: what every run has once, such as
    /// accepting, is in both, and so in neither.
    fn count_calls(&self, cell: &Cell, subject: &Subject) -> Result<Measurement, Failure> {
        if !tool::is_installed("strace") {
            return Err(Failure::new("strace is not installed"));
        }
        let [(calls, messages), (more_calls, more_messages)] = [
            self.calls_and_messages(cell, subject, 0.3)?,
            self.calls_and_messages(cell, subject, 1.3)?,
        ];
        Ok(Measurement(serde_json::json!({
            "mode": "calls",
            "messages": more_messages - messages,
            "calls": more_calls - calls,
        })))
    }

    fn calls_and_messages(
        &self,
        cell: &Cell,
        subject: &Subject,
        seconds: f64,
    ) -> Result<(f64, f64), Failure> {
        let server = self.start(cell, subject)?;
        let mut strace = Command::new("strace")
            .args(["-qq", "-f", "-c", "-p", &server.child.id().to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        thread::sleep(ATTACHING);
        let pace = Pace {
            warm_up: 0.0,
            measured: seconds,
        };
        let measurement = self.generate(&server, pace, &self.arguments(cell, subject)?);
        drop(server);
        let mut summary = String::new();
        if let Some(mut stderr) = strace.stderr.take() {
            stderr.read_to_string(&mut summary)?;
        }
        strace.wait()?;
        // The last line of the table: share, seconds, time a call, calls, errors, "total".
        let calls = summary
            .lines()
            .find(|line| line.ends_with(" total"))
            .and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
            .ok_or_else(|| Failure::new(format!("strace tells no total: {summary}")))?;
        let messages = measurement?
            .number("messages_in_all")
            .ok_or_else(|| Failure::new("the generator tells no messages"))?;
        Ok((calls, messages))
    }

    /// Has the generator check every payload.
    pub(super) fn verify(&self, subject: &Subject) -> Result<(), Failure> {
        for (cell, masks) in [
            ("125/1/1", Masks::Random),
            ("125/1/1", Masks::Zero),
            ("125/1/1/none", Masks::None),
            ("deflate/1K/1/6", Masks::Random),
            ("deflate/1K/1/6/takeover", Masks::Random),
            ("deflate/1K/1/1", Masks::Random),
            ("deflate/1K/1/1/takeover", Masks::Random),
            ("tls/125/1/1", Masks::Random),
            ("tls/125/1/1", Masks::Zero),
            ("tls/125/1/1/none", Masks::None),
        ] {
            let cell = Cell::parse(cell)?;
            if !subject.can(&cell) {
                continue;
            }
            let arguments = ["--verify", "--connections", "3", "--masks", masks.name()];
            let mut arguments = arguments.map(str::to_owned).to_vec();
            arguments.extend(cell.deflate().into_iter().flat_map(Deflate::arguments));
            arguments.extend(self.trust(&cell));
            self.run(&cell, subject, &arguments)
                .map_err(|failure| Failure::new(format!("{}: {failure}", cell.title())))?;
        }
        Ok(())
    }

    fn run(
        &self,
        cell: &Cell,
        subject: &Subject,
        arguments: &[String],
    ) -> Result<Measurement, Failure> {
        let mut server = self.start(cell, subject)?;
        self.generate(&server, self.pace, arguments)
            .map_err(|failure| match server.child.try_wait() {
                Ok(Some(status)) => Failure::new(format!("{failure}; the server ended: {status}")),
                _ => failure,
            })
    }

    fn start(&self, cell: &Cell, subject: &Subject) -> Result<Server, Failure> {
        let mut line = subject
            .server(cell)
            .ok_or_else(|| Failure::new(format!("{} is no server", subject.name)))?;
        if cell.is_secure {
            line.extend(self.identity());
        }
        Server::start(self.command(subject.cores, &line))
    }

    /// Has the generator drive a server, and tell what it saw.
    pub(super) fn generate(
        &self,
        server: &Server,
        pace: Pace,
        arguments: &[String],
    ) -> Result<Measurement, Failure> {
        let mut line = vec![our_program("generator").display().to_string()];
        line.extend(["--port".to_owned(), server.port.to_string()]);
        line.extend(["--pid".to_owned(), server.child.id().to_string()]);
        line.extend(["--seconds".to_owned(), pace.measured.to_string()]);
        line.extend(["--warm-up".to_owned(), pace.warm_up.to_string()]);
        line.extend_from_slice(arguments);
        self.json_of(&mut self.command("1", &line))
    }

    /// What the server that bears the least of a load bears of it.
    fn least_saturation(&self, saturating: &Cell) -> Result<f64, Failure> {
        let bear = self.subjects.iter().filter(|other| other.can(saturating));
        bear.filter_map(|other| self.saturation(saturating, other).ok())
            .min_by(f64::total_cmp)
            .ok_or_else(|| Failure::new("no server bears the load"))
    }

    /// Messages a second, as they were last measured, or by a run for this purpose.
    fn saturation(&self, saturating: &Cell, subject: &Subject) -> Result<f64, Failure> {
        let key = (saturating.to_string(), subject.name);
        let known = self.saturations.borrow().get(&key).copied();
        known.map_or_else(
            || {
                let measurement = self.measure(saturating, subject)?;
                let none = || Failure::new("the generator tells no messages");
                measurement.per_second().ok_or_else(none)
            },
            Ok,
        )
    }

    fn measure_client(
        &self,
        subject: &Subject,
        size: usize,
        masks: Masks,
    ) -> Result<Measurement, Failure> {
        let sink = our_program("server-raw-tcp").display().to_string();
        let sink = [sink, "--mode".to_owned(), "sink".to_owned()];
        let server = Server::start(self.command("1", &sink))?;
        let mut line = subject
            .client()
            .ok_or_else(|| Failure::new(format!("{} is no client", subject.name)))?;
        for (name, value) in [
            ("--port", server.port.to_string()),
            ("--size", size.to_string()),
            ("--masks", masks.name().to_owned()),
            ("--seconds", self.pace.measured.to_string()),
            ("--warm-up", self.pace.warm_up.to_string()),
        ] {
            line.extend([name.to_owned(), value]);
        }
        self.json_of(&mut self.command(subject.cores, &line))
    }

    /// A program on a core, with as many descriptors as it may have.
    pub(super) fn command(&self, cores: &str, line: &[String]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n "$(ulimit -H -n)"; exec "$@""#, "sh"]);
        if self.is_pinned {
            command.args(["taskset", "-c", cores]);
        }
        command.args(line).stdin(Stdio::null());
        command
    }

    fn json_of(&self, command: &mut Command) -> Result<Measurement, Failure> {
        let output = command.output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(said.trim().to_owned()));
        }
        serde_json::from_slice(&output.stdout)
            .map(Measurement)
            .map_err(|error| Failure::new(format!("the generator prints no JSON: {error}")))
    }
}

/// A server that is running, until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    port: u16,
    /// The line that says where it listens.
    pub(super) said: String,
}

impl Server {
    /// Starts it and waits for the line that says where it listens.
    pub(super) fn start(mut command: Command) -> Result<Self, Failure> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let (sender, lines) = mpsc::channel();
        if let Some(pipe) = child.stdout.take() {
            // Read to its end, so that a talkative server does not block.
            thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let mut server = Self {
            child,
            port: 0,
            said: String::new(),
        };
        server.said = lines
            .recv_timeout(START_LIMIT)
            .map_err(|_| Failure::new("the server does not start"))?;
        server.port = server
            .said
            .rsplit(':')
            .next()
            .and_then(|port| port.trim().parse().ok())
            .ok_or_else(|| {
                Failure::new(format!("the server names no port in {:?}", server.said))
            })?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

const START_LIMIT: Duration = Duration::from_secs(10);
/// How long strace is given to attach.
const ATTACHING: Duration = Duration::from_millis(300);
