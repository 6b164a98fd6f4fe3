//! `cargo xtask faults`: peers that are killed and networks that are cut, on the real kernel.

mod process;
mod wire;

use std::{
    fmt, thread,
    time::{Duration, Instant},
};

use lexopt::{Arg, Parser, ValueExt};
use process::Process;
use wire::{Cut, THERE, Wire};

use crate::{
    log::Log,
    tool::{self, Failure, Job, Outcome},
};

pub(crate) const HELP: &str = "
cargo xtask faults [--allow-missing] [--seconds S]

Opens connections between processes, kills the peer or cuts the network, and looks by when and as what
that is reported: by ws-mio's loop and its Socket, and by ws-smol on async-io and on its own reactor,
as server and as client. Networks are pairs of namespaces that a virtual cable joins, which takes
root, and iproute2 (on Debian: apt-get install iproute2).

  --seconds S       what limits of time are set to: a Ping after a third of it, its Pong within two
                    thirds, everything else within all of it                        [3]
  --allow-missing   leave out what takes namespaces where there are none, and say so

Each case says what was reported and after how long, and when it had to be. Takes half a minute; with
--seconds 180, whose connections are half-open for minutes, a quarter of an hour.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let (mut allow_missing, mut seconds) = (false, 3.0);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("allow-missing") => allow_missing = true,
            Arg::Long("seconds") => seconds = arguments.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    let limit = Duration::try_from_secs_f64(seconds)
        .map_err(|error| Failure::new(format!("--seconds: {error}")))?;
    let mut log = Log::default();
    let has_wires = match Wire::lay("check") {
        Ok(_) => true,
        Err(failure) if allow_missing => {
            log.leave_out("all that takes network namespaces", &failure);
            false
        }
        Err(failure) => {
            return Err(Failure::new(format!(
                "no network namespaces: {failure}; --allow-missing goes on without"
            )));
        }
    };
    tool::build(&["witness"])?;
    let limits = Limits::of(limit);
    let cases: Vec<_> = SUBJECTS
        .iter()
        .flat_map(|subject| {
            FAULTS.iter().map(move |fault| Case {
                subject,
                fault: *fault,
            })
        })
        .filter(|case| case.is_possible() && (has_wires || !case.fault.takes_wire()))
        .collect();
    for (name, result) in play_all(&cases, limits) {
        log.note(&name, result);
    }
    Ok(log.finish())
}

/// Plays all cases, several at a time, as they do little but wait; returns what became of each.
fn play_all(cases: &[Case], limits: Limits) -> Vec<(String, Result<(), Failure>)> {
    let play = |(number, case): (usize, &Case)| {
        let (name, result) = case.play(number, limits);
        match &result {
            Ok(()) => println!("{name}"),
            Err(failure) => println!("{name}: {failure}"),
        }
        (name, result)
    };
    let job = |case| -> Job<'_, _> { Box::new(move || play(case)) };
    tool::at_once(AT_ONCE, cases.iter().enumerate().map(job).collect())
}

/// What is looked at.
#[derive(Debug)]
struct Subject {
    adapter: &'static str,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

const SUBJECTS: &[Subject] = &[
    Subject {
        adapter: "mio",
        role: Role::Server,
    },
    Subject {
        adapter: "mio",
        role: Role::Client,
    },
    Subject {
        adapter: "socket",
        role: Role::Client,
    },
    Subject {
        adapter: "smol",
        role: Role::Server,
    },
    Subject {
        adapter: "smol",
        role: Role::Client,
    },
    Subject {
        adapter: "net",
        role: Role::Server,
    },
];

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let adapter = match self.adapter {
            "mio" => "ws-mio",
            "socket" => "ws-mio's Socket",
            "net" => "ws-smol::net",
            _ => "ws-smol",
        };
        let role = match self.role {
            Role::Server => "server",
            Role::Client => "client",
        };
        write!(f, "{adapter}, {role}")
    }
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    /// With something that the peer has not read, so that its kernel resets the connection.
    KillUnread,
    KillWhileSending,
    CutIdle(Cut),
    CutWhileSending(Cut),
    /// The peer dies behind the cut, and the network stays away.
    HalfOpen,
    /// Another machine has the peer's address, and knows of no connection.
    PeerReplaced,
    /// Our own interface goes away.
    NoInterface,
    /// A Close into the void.
    CutThenClose,
    ConnectToNobody(Cut),
    ConnectToDeaf,
}

const FAULTS: &[Fault] = &[
    Fault::Kill,
    Fault::KillUnread,
    Fault::KillWhileSending,
    Fault::CutIdle(Cut::Unplugged),
    Fault::CutIdle(Cut::Silent),
    Fault::CutWhileSending(Cut::Unplugged),
    Fault::CutWhileSending(Cut::Silent),
    Fault::HalfOpen,
    Fault::PeerReplaced,
    Fault::NoInterface,
    Fault::CutThenClose,
    Fault::ConnectToNobody(Cut::Unplugged),
    Fault::ConnectToNobody(Cut::Silent),
    Fault::ConnectToDeaf,
];

impl Fault {
    fn takes_wire(self) -> bool {
        !matches!(
            self,
            Self::Kill | Self::KillUnread | Self::KillWhileSending | Self::ConnectToDeaf
        )
    }

    fn is_of_connecting(self) -> bool {
        matches!(self, Self::ConnectToNobody(_) | Self::ConnectToDeaf)
    }

    fn is_while_sending(self) -> bool {
        matches!(self, Self::KillWhileSending | Self::CutWhileSending(_))
    }

    /// As what it is to be reported, and when.
    fn expected(self, limits: &Limits) -> Expected {
        let Limits { all, ping, pong } = *limits;
        let (causes, from, by) = match self {
            Self::Kill | Self::KillUnread | Self::KillWhileSending => {
                (GONE, Duration::ZERO, Duration::ZERO)
            }
            // A Ping may have been on its way.
            Self::CutIdle(_) | Self::HalfOpen => (PONG, pong, ping + pong),
            // The next Ping is answered by a reset.
            Self::PeerReplaced => (RESET, Duration::ZERO, ping),
            Self::NoInterface => (PONG_OR_GONE, Duration::ZERO, ping + pong),
            // What the kernel still finds room for, while it sends again what was lost, counts as
            // taken.
            Self::CutWhileSending(_) => (WRITE, all, all * 2),
            Self::CutThenClose => (CLOSE, all, all),
            Self::ConnectToNobody(Cut::Unplugged) => (CONNECT_OR_GONE, Duration::ZERO, all),
            // The kernel may give up first.
            Self::ConnectToNobody(Cut::Silent) if all > SYN => (CONNECT_OR_GONE, SYN, all),
            Self::ConnectToNobody(Cut::Silent) | Self::ConnectToDeaf => (CONNECT, all, all),
        };
        Expected {
            causes,
            from: from.saturating_sub(EARLY),
            by: by + LATE,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill => f.write_str("kill -9 of the peer, idle"),
            Self::KillUnread => f.write_str("kill -9 of the peer, which has not read all"),
            Self::KillWhileSending => f.write_str("kill -9 of the peer, while sending to it"),
            Self::CutIdle(cut) => write!(f, "{cut}, idle"),
            Self::CutWhileSending(cut) => write!(f, "{cut}, while sending"),
            Self::HalfOpen => f.write_str("half-open, the peer is gone behind the cut"),
            Self::PeerReplaced => f.write_str("half-open, the peer comes back without its state"),
            Self::NoInterface => f.write_str("the network interface is removed"),
            Self::CutThenClose => f.write_str("a Close into a silent network"),
            Self::ConnectToNobody(cut) => write!(f, "connecting, {cut}"),
            Self::ConnectToDeaf => f.write_str("connecting to who never answers"),
        }
    }
}

/// Words of the report, of which one is to be there.
type Causes = &'static [&'static str];

const GONE: Causes = &[
    "lost",
    "ended without a Close frame",
    "io, ",
    "the transport failed",
];
const RESET: Causes = &["io, ", "the transport failed"];
const PONG: Causes = &["pong_timeout"];
const PONG_OR_GONE: Causes = &["pong_timeout", "io, ", "the transport failed"];
const WRITE: Causes = &["write_timeout", "time_limits.write_progress"];
const CLOSE: Causes = &["close_timeout"];
const CONNECT: Causes = &["handshake_timeout", "connect_timeout"];
const CONNECT_OR_GONE: Causes = &[
    "handshake_timeout",
    "connect_timeout",
    "the transport failed",
];

/// How long Linux waits for a host that does not answer a SYN, unless it was told otherwise: for 1,
/// 2, 4, … and 64 s.
const SYN: Duration = Duration::from_secs(127);

#[derive(Debug)]
struct Expected {
    causes: Causes,
    from: Duration,
    by: Duration,
}

/// What the subject is given.
#[derive(Debug, Clone, Copy)]
struct Limits {
    all: Duration,
    ping: Duration,
    pong: Duration,
}

impl Limits {
    fn of(all: Duration) -> Self {
        Self {
            all,
            ping: all / 3,
            pong: all / 3 * 2,
        }
    }

    fn arguments(&self, fault: Fault) -> Vec<String> {
        let Self { all, ping, pong } = *self;
        // Whoever sends is to meet with the limit on that.
        let ping = if fault.is_while_sending() {
            all * 10
        } else {
            ping
        };
        let mut arguments: Vec<_> = [
            ("--ping", ping),
            ("--pong", pong),
            ("--write", all),
            ("--close", all),
            ("--handshake", all),
        ]
        .iter()
        .flat_map(|(name, limit)| [(*name).to_owned(), limit.as_secs_f64().to_string()])
        .collect();
        if fault.is_while_sending() {
            arguments.push("--flood".to_owned());
        }
        arguments
    }
}

#[derive(Debug)]
struct Case {
    subject: &'static Subject,
    fault: Fault,
}

impl Case {
    fn is_possible(&self) -> bool {
        !self.fault.is_of_connecting() || self.subject.role == Role::Client
    }

    /// Plays it; returns its name, with what was reported, and whether that is right.
    fn play(&self, number: usize, limits: Limits) -> (String, Result<(), Failure>) {
        let name = format!("{}: {}", self.subject, self.fault);
        let expected = self.fault.expected(&limits);
        match self.report(number, &limits, expected.by + PATIENCE) {
            Ok((report, after)) => {
                let result = self.judge(&report, after, &expected);
                let after = after.as_secs_f64();
                let by = expected.by.as_secs_f64();
                (
                    format!("{name}: after {after:.2} s, due in {by:.2} s: {report}"),
                    result,
                )
            }
            Err(failure) => (name, Err(failure)),
        }
    }

    fn judge(&self, report: &str, after: Duration, expected: &Expected) -> Result<(), Failure> {
        let begins = match self.fault.is_of_connecting() {
            true => "failed: ",
            false => "over 1006: ",
        };
        let is_named = expected.causes.iter().any(|cause| report.contains(cause));
        if !report.starts_with(begins) || !is_named {
            let causes = expected.causes.join(" or ");
            return Err(Failure::new(format!("expected {begins}… {causes}")));
        }
        if after < expected.from {
            return Err(Failure::new(format!("expected after {:?}", expected.from)));
        }
        if after > expected.by {
            return Err(Failure::new(format!("expected within {:?}", expected.by)));
        }
        Ok(())
    }

    /// What the subject says in the end, and how long after the fault.
    fn report(
        &self,
        number: usize,
        limits: &Limits,
        patience: Duration,
    ) -> Result<(String, Duration), Failure> {
        let wire = match self.fault.takes_wire() {
            true => Some(Wire::lay(&number.to_string())?),
            false => None,
        };
        let wire = wire.as_ref();
        if self.fault.is_of_connecting() {
            return self.connect(wire, limits, patience);
        }
        let arguments = limits.arguments(self.fault);
        let (mut subject, mut peer) = match self.subject.role {
            Role::Server => {
                let ours = Process::serve(wire.map(Wire::here), self.subject.adapter, &arguments)?;
                let peer = Process::call(wire.map(Wire::there), "mio", ours.address(), &[])?;
                (ours, peer)
            }
            Role::Client => {
                let peer = Process::serve(wire.map(Wire::there), "mio", &[])?;
                let adapter = self.subject.adapter;
                let ours =
                    Process::call(wire.map(Wire::here), adapter, peer.address(), &arguments)?;
                (ours, peer)
            }
        };
        for end in [&subject, &peer] {
            end.expect("open")?;
        }
        thread::sleep(SETTLING);
        let begin = Instant::now();
        match (self.fault, wire) {
            (Fault::Kill | Fault::KillWhileSending, _) => peer.kill()?,
            (Fault::KillUnread, _) => {
                peer.stop()?;
                subject.ask("say")?;
                thread::sleep(SETTLING);
                peer.kill()?;
            }
            (Fault::CutIdle(cut) | Fault::CutWhileSending(cut), Some(wire)) => wire.cut(cut)?,
            (Fault::HalfOpen, Some(wire)) => {
                wire.cut(Cut::Silent)?;
                peer.kill()?;
            }
            (Fault::PeerReplaced, Some(wire)) => {
                wire.cut(Cut::Silent)?;
                peer.kill()?;
                wire.replace()?;
            }
            (Fault::NoInterface, Some(wire)) => wire.remove()?,
            (Fault::CutThenClose, Some(wire)) => {
                wire.cut(Cut::Silent)?;
                subject.ask("close")?;
            }
            (fault, _) => return Err(Failure::new(format!("{fault} takes a network"))),
        }
        let (report, at) = subject.last(patience)?;
        Ok((report, at - begin))
    }

    fn connect(
        &self,
        wire: Option<&Wire>,
        limits: &Limits,
        patience: Duration,
    ) -> Result<(String, Duration), Failure> {
        let deaf = match (self.fault, wire) {
            (Fault::ConnectToNobody(cut), Some(wire)) => {
                wire.cut(cut)?;
                None
            }
            _ => Some(Process::serve(None, "mio", &["--deaf".to_owned()])?),
        };
        let to = deaf
            .as_ref()
            .map_or_else(|| (THERE, 9).into(), Process::address);
        let begin = Instant::now();
        let ours = Process::call(
            wire.map(Wire::here),
            self.subject.adapter,
            to,
            &limits.arguments(self.fault),
        )?;
        let (report, at) = ours.last(patience)?;
        Ok((report, at - begin))
    }
}

/// How many cases are played at a time.
const AT_ONCE: usize = 12;
/// How long both ends are given to do what they do all the time.
const SETTLING: Duration = Duration::from_millis(300);
/// What a clock of coarse ticks may be early by, and what a sender took just before.
const EARLY: Duration = Duration::from_millis(500);
/// What a machine that has other things to do may be late by.
const LATE: Duration = Duration::from_millis(1500);
/// How much longer it is waited, to say by how much it is late.
const PATIENCE: Duration = Duration::from_secs(20);
