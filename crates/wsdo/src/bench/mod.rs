//! `wsdo bench`: load for a server, and how it bears that.

mod options;
mod plan;

use std::{
    fs,
    io::{self, IsTerminal as _, Write as _},
    process, thread,
};

use ws_load::{Interval, LoadError, OpenError, Report, Threshold};

use self::options::{LOAD, MESSAGES, REPORT};
use crate::{
    client,
    exit::{Exit, Failure},
    options::{Command, Given},
    runtime::block_on,
    signal::Interrupts,
    text::printable,
};

pub(crate) const COMMAND: Command = Command {
    name: "bench",
    operands: "URL",
    max_operands: 1,
    verbatim_from: None,
    summary: "put load on a server, and measure how it bears that",
    about: &[
        "Sends messages at fixed times, whatever the server does, and measures from when each",
        "was due until its answer: a server that stalls is charged for all that should have",
        "been sent meanwhile. The n-th message that a connection receives is taken for the",
        "answer to the n-th that it sent, as from an echo. If this program was too slow itself,",
        "it says so, and the exit code is 12. Put load on servers that are yours.",
    ],
    groups: &[&LOAD, &MESSAGES, &REPORT, &client::REQUEST, &client::TLS],
    examples: &[
        (
            "wsdo bench -c 1000 -r 50000 ws://127.0.0.1:9001/",
            "50,000 messages a second over 1,000 connections",
        ),
        (
            "wsdo bench -r 5000 --expect 'p99<5ms' --expect 'lost<=0' --svg run.svg URL",
            "fail if the server is slow, and draw it",
        ),
        (
            "wsdo bench -c 64 --closed --pid $(pidof server) URL",
            "how much the server can do, and for how much CPU time",
        ),
        (
            "wsdo bench -c 1000 --broadcast -r 10 URL",
            "whom a message of a room reaches, and when",
        ),
        (
            "wsdo bench --idle 10000 --storm 5000 -k wss://127.0.0.1/",
            "echoes while 5,000 handshakes begin at once",
        ),
    ],
};

/// Runs the subcommand.
pub(crate) fn run(given: &Given) -> Result<Exit, Failure> {
    let [url] = &given.operands[..] else {
        return Err(Failure::usage("which URL?"));
    };
    let url = url
        .to_str()
        .ok_or_else(|| Failure::usage("the URL is no text"))?;
    let thresholds = thresholds(given)?;
    let plan = plan::make(given, url)?;
    let mut interrupts = Interrupts::new()?;
    thread::spawn(move || {
        block_on(interrupts.next());
        process::exit(Exit::Interrupted as i32);
    });
    let progress = Progress::new(given);
    progress.write(format_args!("connecting"));
    let outcome = ws_load::run(&plan, &mut |interval| progress.show(interval));
    progress.clear();
    let report = outcome.map_err(|error| failure(url, &error))?;
    write(given, url, &report)?;
    Ok(judge(&report, &thresholds))
}

fn thresholds(given: &Given) -> Result<Vec<Threshold>, Failure> {
    let read = |text: String| {
        text.parse()
            .map_err(|error| Failure::usage(format!("--expect {error}")))
    };
    given.texts("expect")?.into_iter().map(read).collect()
}

fn write(given: &Given, url: &str, report: &Report) -> Result<(), Failure> {
    match given.has("json") {
        true => println!("{}", report.to_json()),
        false => print!("{}", printable(&report.to_string())),
    }
    if let Some(path) = given.path("svg") {
        let svg = report.to_svg(&printable(&format!("wsdo bench {url}")));
        fs::write(&path, svg).map_err(|error| Failure::file(path, error))?;
    }
    Ok(())
}

/// Tells what was missed, and what the exit code says.
fn judge(report: &Report, thresholds: &[Threshold]) -> Exit {
    let mut exit = Exit::Success;
    for missed in thresholds.iter().filter(|each| !each.is_met(report)) {
        let measured = missed.measured(report);
        eprintln!("wsdo: {missed} is not met: {measured}");
        exit = Exit::Missed;
    }
    // Whether the server meets them is not known then.
    if let Some(limit) = report.limit() {
        eprintln!("wsdo: {limit}");
        exit = Exit::Overrun;
    }
    exit
}

fn failure(url: &str, error: &LoadError) -> Failure {
    let exit = match error {
        LoadError::NoConnection(error) | LoadError::Open(error) => match error {
            OpenError::Io(_) => Exit::Unreachable,
            OpenError::Tls(_) => Exit::Tls,
            OpenError::Unexpected(_) => Exit::Protocol,
            _ => Exit::Handshake,
        },
        LoadError::AllLost(_) => Exit::Lost,
        LoadError::Stalled => Exit::TimedOut,
        LoadError::Plan(_) => Exit::Usage,
        _ => Exit::Failure,
    };
    Failure::new(exit, printable(&format!("{url}: {error}")))
}

/// A line on the terminal that is written anew every second.
struct Progress {
    is_shown: bool,
}

impl Progress {
    fn new(given: &Given) -> Self {
        Self {
            is_shown: io::stderr().is_terminal() && !given.has("quiet"),
        }
    }

    fn write(&self, line: std::fmt::Arguments<'_>) {
        if self.is_shown {
            // A terminal that is gone is no failure.
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        }
    }

    fn show(&self, interval: &Interval) {
        let phase = if interval.is_measured {
            ""
        } else {
            "warming up, "
        };
        self.write(format_args!(
            "{phase}{:.0} s: {:.0}/s sent, {:.0}/s received, p50 {:.0} µs, p99 {:.0} µs, worked {:.0} %",
            interval.at,
            interval.sent as f64 / interval.seconds,
            interval.received as f64 / interval.seconds,
            interval.p50_ns as f64 / 1e3,
            interval.p99_ns as f64 / 1e3,
            interval.working * 100.0
        ));
    }

    fn clear(&self) {
        self.write(format_args!(""));
    }
}
