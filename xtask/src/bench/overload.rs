//! `cargo xtask overload`: what bad peers cost the good ones.

use std::{
    fmt::Write,
    fs,
    net::{Ipv4Addr, TcpListener},
};

use lexopt::{Arg, Parser, ValueExt};

use super::{
    machine,
    measure::{Pace, Rig, Server},
    measurement::Measurement,
    statistics::median,
    subject::our_program,
};
use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask overload [--only topics|trickle|attack] [--repeats N] [--seconds S]

Measures what peers that misbehave cost those that do not:

  topics    1,000 peers that read, all subscribed to 1,000 topics, with and without as many beside
            them that never read, by each policy for slow consumers and by max_memory; and one that
            never reads. Those who read must have 90 % of their throughput, and memory must stay
            within what is configured.
  trickle   64 connections that echo at fixed times, beside 2,000 whose requests come a byte at a
            time, on both adapters, in plaintext and over TLS. The p99 of the echoes may double, and
            all slow ones must be gone by the deadline.

  attack    64 connections that echo at fixed times, compressed, beside 10,000 that each send the first
            byte of a compressed message and no more; and, plain, beside two that send blank lines for
            a request, or interim replies to our call, without end; on both adapters. Everybody of
            the 64 must be served, and the p99 of the echoes may double.

  --only NAME    one of the three
  --repeats N    how often each, interleaved                            [3]
  --seconds S    how long each                                          [2]

Writes benches/results/overload.md and .jsonl; with --only to the folder bench of the target folder.
Takes about ten minutes. Wants Linux, two cores of which nobody else has need, and 11,000 descriptors.
Fails if a bar is missed.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let (mut only, mut repeats, mut seconds) = (None, 3, 2.0);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("only") => only = Some(Part::parse(&arguments.value()?.string()?)?),
            Arg::Long("repeats") => repeats = arguments.value()?.parse()?,
            Arg::Long("seconds") => seconds = arguments.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    if !cfg!(target_os = "linux") {
        return Err(Failure::new("only Linux tells what this measures"));
    }
    let mut build = tool::cargo();
    build.args(["build", "--release", "--package", "benches"]);
    for program in [
        "generator",
        "server-topics",
        "server-ws-mio",
        "server-ws-smol",
    ] {
        build.args(["--bin", program]);
    }
    tool::run(&mut build)?;
    let pace = Pace {
        warm_up: 0.5,
        measured: seconds,
    };
    let rig = Rig::new(&[], pace)?;
    let mut report = Report::default();
    let is_wanted = |part| only.is_none_or(|only| only == part);
    for repeat in 1..=repeats.max(1) {
        if is_wanted(Part::Topics) {
            measure_topics(&rig, repeat, &mut report)?;
        }
        if is_wanted(Part::Trickle) {
            measure_trickle(&rig, repeat, &mut report)?;
        }
        if is_wanted(Part::Attack) {
            measure_attack(&rig, repeat, &mut report)?;
        }
    }
    report.write(repeats, pace, only.is_none())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Topics,
    Trickle,
    Attack,
}

impl Part {
    fn parse(name: &str) -> Result<Self, Failure> {
        match name {
            "topics" => Ok(Self::Topics),
            "trickle" => Ok(Self::Trickle),
            "attack" => Ok(Self::Attack),
            _ => Err(Failure::new(format!("there is no part {name:?}"))),
        }
    }
}

/// Peers that never read, beside others that do.
#[derive(Debug)]
struct Deaf {
    name: &'static str,
    server: &'static [&'static str],
    reading: u32,
    never_read: u32,
    /// How many bytes of messages may wait, by what is configured.
    bound: u64,
}

const MESSAGE: u64 = 1024;
const TOPICS: u32 = 1000;
/// How many publications are under way.
const WINDOW: u32 = 16;
const BACKPRESSURE: u64 = 64 * 1024;
/// The limit, and the message that passes it.
const WAITING: u64 = BACKPRESSURE + MESSAGE + 4;

const DEAF: &[Deaf] = &[
    Deaf {
        name: "1,000 never read, new messages are refused",
        server: &["--policy", "drop-newest", "--max-backpressure", "65536"],
        reading: 1000,
        never_read: 1000,
        bound: 1000 * WAITING,
    },
    Deaf {
        name: "1,000 never read, the oldest are dropped",
        server: &["--policy", "drop-oldest", "--max-backpressure", "65536"],
        reading: 1000,
        never_read: 1000,
        bound: 1000 * WAITING,
    },
    Deaf {
        name: "1,000 never read and are closed",
        server: &["--policy", "close", "--max-backpressure", "65536"],
        reading: 1000,
        never_read: 1000,
        bound: 1000 * WAITING,
    },
    Deaf {
        name: "1,000 never read, max_memory of 64 MiB",
        server: &["--max-memory", "67108864"],
        reading: 1000,
        never_read: 1000,
        bound: 64 << 20,
    },
    Deaf {
        name: "1 of 65 never reads",
        server: &["--max-backpressure", "65536"],
        reading: 64,
        never_read: 1,
        bound: WAITING,
    },
];

fn measure_topics(rig: &Rig, repeat: u32, report: &mut Report) -> Result<(), Failure> {
    for case in DEAF {
        for never_read in [0, case.never_read] {
            let mut line = vec![our_program("server-topics").display().to_string()];
            line.extend(case.server.iter().map(ToString::to_string));
            let server = rig.start_line(&line)?;
            let measurement = rig.generate_for(
                &server,
                &[
                    ("--counters", counters_of(&server)?),
                    ("--topics", TOPICS.to_string()),
                    ("--size", MESSAGE.to_string()),
                    ("--connections", case.reading.to_string()),
                    ("--never-read", never_read.to_string()),
                    ("--pipelined", WINDOW.to_string()),
                ],
            )?;
            println!("{repeat} {} ({never_read}): {measurement}", case.name);
            report.add(case.name, never_read > 0, measurement);
        }
    }
    Ok(())
}

/// The port at which a server with topics tells its counters.
fn counters_of(server: &Server) -> Result<String, Failure> {
    let said = server.said.split_once(',').and_then(|(counters, _)| {
        let (_, port) = counters.rsplit_once(':')?;
        Some(port.to_owned())
    });
    said.ok_or_else(|| Failure::new(format!("no counters in {:?}", server.said)))
}

/// Requests that come slowly, beside echoes.
#[derive(Debug)]
struct Trickle {
    name: &'static str,
    server: &'static [&'static str],
    is_secure: bool,
    /// How many bytes each sends every fifth of a second.
    bytes: u32,
    /// By when all must be gone: the time for the request, and for what comes after the refusal.
    deadline: f64,
}

const SLOW: u32 = 2000;
const EVERY: f64 = 0.2;
/// What a look at a clock, and at 2,000 sockets, may take longer.
const SLACK: f64 = 1.0;

const MIO: &[&str] = &["server-ws-mio"];
const SMOL: &[&str] = &["server-ws-smol", "--handshake-timeout", "10"];

const TRICKLES: &[Trickle] = &[
    Trickle {
        name: "ws-mio, 5 B/s each",
        server: MIO,
        is_secure: false,
        bytes: 1,
        deadline: 15.0,
    },
    Trickle {
        name: "ws-mio, 150 B/s each, above min_head_rate",
        server: MIO,
        is_secure: false,
        bytes: 30,
        deadline: 15.0,
    },
    Trickle {
        name: "ws-mio over TLS, 5 B/s each",
        server: MIO,
        is_secure: true,
        bytes: 1,
        deadline: 15.0,
    },
    Trickle {
        name: "ws-smol, 5 B/s each",
        server: SMOL,
        is_secure: false,
        bytes: 1,
        deadline: 20.0,
    },
    Trickle {
        name: "ws-smol, 150 B/s each, above min_head_rate",
        server: SMOL,
        is_secure: false,
        bytes: 30,
        deadline: 20.0,
    },
    Trickle {
        name: "ws-smol over TLS, 5 B/s each",
        server: SMOL,
        is_secure: true,
        bytes: 1,
        deadline: 20.0,
    },
];

fn measure_trickle(rig: &Rig, repeat: u32, report: &mut Report) -> Result<(), Failure> {
    for case in TRICKLES {
        let mut line = vec![our_program(case.server[0]).display().to_string()];
        line.extend(case.server[1..].iter().map(ToString::to_string));
        let mut generator = vec![
            ("--trickle", case.bytes.to_string()),
            ("--every", EVERY.to_string()),
            ("--connections", SLOW.to_string()),
        ];
        if case.is_secure {
            line.extend(rig.identity());
            generator.push(("--tls", rig.authority()));
        }
        let server = rig.start_line(&line)?;
        let measurement = rig.generate_for(&server, &generator)?;
        println!("{repeat} {}: {measurement}", case.name);
        report.add(case.name, true, measurement);
    }
    Ok(())
}

/// Peers that mean harm, beside echoes.
#[derive(Debug)]
struct Harm {
    name: &'static str,
    server: &'static [&'static str],
    attack: &'static str,
    attackers: u32,
    is_compressed: bool,
}

impl Harm {
    const fn holders(name: &'static str, server: &'static [&'static str]) -> Self {
        Self {
            name,
            server,
            attack: "holders",
            attackers: 10_000,
            is_compressed: true,
        }
    }

    const fn flooders(
        name: &'static str,
        server: &'static [&'static str],
        attack: &'static str,
    ) -> Self {
        Self {
            name,
            server,
            attack,
            attackers: 2,
            is_compressed: false,
        }
    }
}

const HARMS: &[Harm] = &[
    Harm::holders("ws-mio, 10,000 hold a compressed message", MIO),
    Harm::flooders("ws-mio, 2 send blank lines", MIO, "lines"),
    Harm::flooders("ws-mio, 2 send interim replies", MIO, "interim"),
    Harm::holders("ws-smol, 10,000 hold a compressed message", SMOL),
    Harm::flooders("ws-smol, 2 send blank lines", SMOL, "lines"),
    Harm::flooders("ws-smol, 2 send interim replies", SMOL, "interim"),
];

fn measure_attack(rig: &Rig, repeat: u32, report: &mut Report) -> Result<(), Failure> {
    for case in HARMS {
        let mut line = vec![our_program(case.server[0]).display().to_string()];
        line.extend(case.server[1..].iter().map(ToString::to_string));
        let mut attack = case.attack.to_owned();
        if case.attack == "interim" {
            let port = free_port()?;
            attack = format!("interim:{port}");
            line.extend(["--call".to_owned(), port.to_string()]);
        }
        let mut generator = vec![
            ("--attack", attack),
            ("--connections", case.attackers.to_string()),
        ];
        if case.is_compressed {
            line.extend(["--deflate".to_owned(), "1".to_owned()]);
            generator.push(("--deflate", "1".to_owned()));
        }
        let server = rig.start_line(&line)?;
        let measurement = rig.generate_for(&server, &generator)?;
        println!("{repeat} {}: {measurement}", case.name);
        report.add(case.name, true, measurement);
    }
    Ok(())
}

/// A port that nobody listens at.
fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

impl Rig {
    fn start_line(&self, line: &[String]) -> Result<Server, Failure> {
        Server::start(self.command("0", line))
    }

    fn generate_for(
        &self,
        server: &Server,
        arguments: &[(&str, String)],
    ) -> Result<Measurement, Failure> {
        let arguments: Vec<_> = arguments
            .iter()
            .flat_map(|(name, value)| [(*name).to_owned(), value.clone()])
            .collect();
        self.generate(server, self.pace, &arguments)
    }
}

/// All runs, and what they are held against.
#[derive(Debug, Default)]
struct Report {
    runs: Vec<Run>,
    has_missed: bool,
}

#[derive(Debug)]
struct Run {
    case: &'static str,
    /// Whether the bad peers were there.
    is_bad: bool,
    measurement: Measurement,
}

const MIB: f64 = (1 << 20) as f64;

impl Report {
    fn add(&mut self, case: &'static str, is_bad: bool, measurement: Measurement) {
        self.runs.push(Run {
            case,
            is_bad,
            measurement,
        });
    }

    /// The numbers of all runs of a case; none if it was not measured.
    fn numbers(
        &self,
        case: &str,
        is_bad: bool,
        number: impl Fn(&Measurement) -> Option<f64>,
    ) -> Vec<f64> {
        let of_case = |run: &&Run| run.case == case && run.is_bad == is_bad;
        let runs = self.runs.iter().filter(of_case);
        runs.filter_map(|run| number(&run.measurement)).collect()
    }

    fn median(&self, case: &str, is_bad: bool, name: &str) -> f64 {
        median(self.numbers(case, is_bad, |run| run.number(name))).unwrap_or(f64::NAN)
    }

    fn most(&self, case: &str, name: &str) -> f64 {
        let numbers = self.numbers(case, true, |run| run.number(name));
        numbers.into_iter().fold(f64::NAN, f64::max)
    }

    /// Says whether a bar is met, and remembers if it is not. What is no number meets none.
    fn judge(&mut self, is_met: bool) -> &'static str {
        self.has_missed |= !is_met;
        if is_met { "met" } else { "MISSED" }
    }

    fn write(mut self, repeats: u32, pace: Pace, is_whole: bool) -> Result<Outcome, Failure> {
        let mut out = format!(
            "# cargo xtask overload\n\n{}. {repeats} interleaved runs of {} s each; medians, but for \
             memory and deadlines, where the worst counts.\n",
            machine::description(),
            pace.measured,
        );
        self.topics(&mut out);
        self.trickle(&mut out);
        self.attack(&mut out);
        println!("\n{out}");
        let folder = match is_whole {
            true => tool::root().join("benches/results"),
            false => tool::target_dir().join("bench"),
        };
        fs::create_dir_all(&folder)?;
        for (extension, content) in [("md", out), ("jsonl", self.raw_data())] {
            let path = folder.join(format!("overload.{extension}"));
            fs::write(&path, content)?;
            println!("wrote {}", tool::relative(&path));
        }
        Ok(Outcome::from_passed(!self.has_missed))
    }

    fn topics(&mut self, out: &mut String) {
        let cases = DEAF.iter().filter(|case| self.is_measured(case.name));
        let cases: Vec<_> = cases.collect();
        if cases.is_empty() {
            return;
        }
        let _ = write!(
            out,
            "\n## Peers that never read\n\n\
             ws-mio with {TOPICS} topics, to each of which all peers are subscribed; messages of \
             {MESSAGE} B, {WINDOW} under way. Throughput and CPU time are of those who read, with the \
             others ÷ without. \"Bound\" is what may wait by the configuration; \"held\" is the most \
             that the loop counted (`websocket_held_bytes`), \"RSS\" by how much the most that was \
             resident is above that without.\n\n\
             | case | deliveries a second | with ÷ without, ≥ 0.90 | CPU | bound MiB | held MiB, ≤ bound \
             | RSS MiB | refused, dropped | closed | busy % | bars |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
        );
        for case in cases {
            let middle = |is_bad, of: fn(&Measurement) -> Option<f64>| {
                median(self.numbers(case.name, is_bad, of)).unwrap_or(f64::NAN)
            };
            let rate = middle(true, Measurement::per_second);
            let share = rate / middle(false, Measurement::per_second);
            let cpu = middle(true, Measurement::cpu) / middle(false, Measurement::cpu);
            let held = self.most(case.name, "held");
            let rss = self.most(case.name, "rss_peak") - self.median(case.name, false, "rss_peak");
            let lost =
                self.median(case.name, true, "refused") + self.median(case.name, true, "dropped");
            let closed =
                self.median(case.name, true, "slow") + self.median(case.name, true, "shed");
            let busy = self.median(case.name, true, "busy");
            let verdict = self.judge(share >= 0.9 && held <= case.bound as f64);
            let _ = writeln!(
                out,
                "| {} | {rate:.0} | {share:.2} | {cpu:.2} | {:.2} | {:.2} | {:.2} | {lost:.0} \
                 | {closed:.0} | {:.0} | {verdict} |",
                case.name,
                case.bound as f64 / MIB,
                held / MIB,
                rss / MIB,
                busy * 100.0,
            );
        }
    }

    fn trickle(&mut self, out: &mut String) {
        let cases = TRICKLES.iter().filter(|case| self.is_measured(case.name));
        let cases: Vec<_> = cases.collect();
        if cases.is_empty() {
            return;
        }
        let _ = write!(
            out,
            "\n## Requests that trickle\n\n\
             {SLOW} connections send a few bytes of a request each {EVERY} s, beside 64 that echo \
             125 B, 4,000 times a second over all, at fixed times; until each of the slow ones is \
             dropped by the server. Who is told to go sends on. \"Told\" is the first sign of that, \
             408 with ws-mio in plaintext, \"gone\" when the last was dropped.\n\n\
             | case | p99 µs, quiet | p99 µs | ÷ quiet, ≤ 2 | p99.9 µs | told after s | gone after s \
             | deadline s | left | busy % | bars |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
        );
        for case in cases {
            let of = |name| self.median(case.name, true, name);
            let ratio =
                |run: &Measurement| Some(run.number("p99_ns")? / run.number("quiet_p99_ns")?);
            let ratio = median(self.numbers(case.name, true, ratio)).unwrap_or(f64::NAN);
            let (quiet, p99, p999) = (of("quiet_p99_ns"), of("p99_ns"), of("p999_ns"));
            let (first, busy) = (of("told_first"), of("busy"));
            let told = self.most(case.name, "told_last");
            let gone = self.most(case.name, "gone_last");
            let left = self.most(case.name, "descriptors_left");
            let is_gone = gone <= case.deadline + SLACK && left == 0.0;
            let verdict = self.judge(ratio <= 2.0 && is_gone);
            let _ = writeln!(
                out,
                "| {} | {:.0} | {:.0} | {ratio:.2} | {:.0} | {first:.1} – {told:.1} | {gone:.1} \
                 | {:.0} | {left:.0} | {:.0} | {verdict} |",
                case.name,
                quiet / 1e3,
                p99 / 1e3,
                p999 / 1e3,
                case.deadline,
                busy * 100.0,
            );
        }
    }

    fn attack(&mut self, out: &mut String) {
        let cases = HARMS.iter().filter(|case| self.is_measured(case.name));
        let cases: Vec<_> = cases.collect();
        if cases.is_empty() {
            return;
        }
        let _ = write!(
            out,
            "\n## Peers that mean harm\n\n\
             64 connections echo 125 B, 4,000 times a second over all, at fixed times, and none of \
             them is dropped; without the others and beside them. Flooders come back when they are \
             dropped.\n\n\
             | case | p99 µs, quiet | p99 µs | ÷ quiet, ≤ 2 | p99.9 µs | MB sent by the others \
             | of them dropped | busy % | bars |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---|\n",
        );
        for case in cases {
            let of = |name| self.median(case.name, true, name);
            let ratio =
                |run: &Measurement| Some(run.number("p99_ns")? / run.number("quiet_p99_ns")?);
            let ratio = median(self.numbers(case.name, true, ratio)).unwrap_or(f64::NAN);
            let (quiet, p99, p999) = (of("quiet_p99_ns"), of("p99_ns"), of("p999_ns"));
            let (sent, dropped, busy) = (of("bytes"), of("dropped"), of("busy"));
            let verdict = self.judge(ratio <= 2.0);
            let _ = writeln!(
                out,
                "| {} | {:.0} | {:.0} | {ratio:.2} | {:.0} | {:.1} | {dropped:.0} | {:.0} | {verdict} |",
                case.name,
                quiet / 1e3,
                p99 / 1e3,
                p999 / 1e3,
                sent / 1e6,
                busy * 100.0,
            );
        }
    }

    fn is_measured(&self, case: &str) -> bool {
        self.runs.iter().any(|run| run.case == case)
    }

    /// Every run, a line of JSON each.
    fn raw_data(&self) -> String {
        let mut out = String::new();
        for run in &self.runs {
            let line = serde_json::json!({
                "case": run.case,
                "bad": run.is_bad,
                "said": run.measurement.0,
            });
            let _ = writeln!(out, "{line}");
        }
        out
    }
}
