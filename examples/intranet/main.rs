//! Masking turned off within a controlled network, as [MS-WSPE] has it: a
//! server with `accept_unmasked_frame` on ws-mio and a client with
//! `set_mask_to_zero` on ws-smol talk over loopback TCP, and then once more
//! with the masking of RFC 6455, to compare.
//!
//! ```sh
//! cargo run --release -p examples --bin intranet
//! ```
//!
//! Everything that comes back is verified; the exit code is 1 if something
//! does not.

mod conversation;
mod cpu;
mod progress;
mod server;
mod tee;
mod unmasked;
mod wire;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use lexopt::{Arg, Parser};
use ws_proto::{CloseCode, Limits, ProtocolError};

use crate::{conversation::Run, progress::Progress, server::Ending, wire::grouped};

const HELP: &str = "
A server with accept_unmasked_frame and a client with set_mask_to_zero talk,
and what they save is shown.

Usage: intranet [OPTIONS]

  --size BYTES    how large the binary message is (default: 64 MiB)
  --runs NUMBER   how often to run each kind; the table has the medians
                  (default: 5)
  -h, --help      print this
";

fn main() -> ExitCode {
    examples::log_to_stderr(false);
    let outcome = Options::from_arguments().map_err(Box::from).and_then(show);
    match outcome {
        Ok(false) => {
            eprintln!("error: something did not verify; see FAILED above");
            ExitCode::FAILURE
        }
        outcome => examples::finish(outcome.map(|_| ())),
    }
}

#[derive(Debug)]
struct Options {
    size: usize,
    runs: usize,
}

impl Options {
    fn from_arguments() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            size: 64 * 1024 * 1024,
            runs: 5,
        };
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("size") => options.size = examples::value(&mut arguments, "--size")?,
                Arg::Long("runs") => options.runs = examples::value(&mut arguments, "--runs")?,
                argument => return Err(examples::unexpected(argument, HELP)),
            }
        }
        // Without any there would be nothing to show.
        options.runs = options.runs.max(1);
        Ok(options)
    }
}

/// Shows it all, and tells whether all of it verified.
fn show(options: Options) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let Options { size, runs } = options;
    let binary = pseudo_random(size);
    let mut limits = Limits::default();
    // The default of 16 MiB is too low for this one.
    limits.max_message = limits.max_message.max(size as u64);

    let (mut zero, mut random) = (Vec::new(), Vec::new());
    let progress = Progress::start(4 * size as u64 * runs as u64);
    // In turn, so that what else the machine does hits both alike.
    for _ in 0..runs {
        zero.push(conversation::run(true, &binary, limits, &progress)?);
        random.push(conversation::run(false, &binary, limits, &progress)?);
    }
    drop(progress);

    let mut out = io::stdout().lock();
    writeln!(
        out,
        "Masking key zero: server with accept_unmasked_frame, client with set_mask_to_zero"
    )?;
    let mut is_good = show_runs(&mut out, &zero)?;
    writeln!(
        out,
        "Masking by RFC 6455: the same server, client with random keys"
    )?;
    is_good &= show_runs(&mut out, &random)?;
    show_table(&mut out, &zero, &random)?;
    is_good &= show_unmasked(&mut out)?;
    Ok(is_good)
}

/// Bytes without a pattern, the same in every run (SplitMix64).
fn pseudo_random(len: usize) -> Vec<u8> {
    let mut state = 0_u64;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
    while bytes.len() < len {
        bytes.extend_from_slice(&next().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Shows the wire of the first run, and what all of them verified.
fn show_runs(out: &mut impl Write, runs: &[Run]) -> io::Result<bool> {
    let first = &runs[0];
    writeln!(out)?;
    writeln!(out, "  first frames of the client")?;
    write!(out, "{}", wire::describe(&first.record.sent.start(), 2))?;
    writeln!(out, "  first frames of the server")?;
    write!(out, "{}", wire::describe(&first.record.received.start(), 2))?;
    writeln!(out)?;
    let checks = first.checks.iter().enumerate().map(|(at, (what, _))| {
        let has_happened = runs.iter().all(|run| run.checks[at].1);
        (what.clone(), has_happened)
    });
    check_all(out, checks)
}

/// Prints what was to happen and whether it did; tells whether all did.
fn check_all(
    out: &mut impl Write,
    checks: impl IntoIterator<Item = (String, bool)>,
) -> io::Result<bool> {
    let mut is_good = true;
    for (what, has_happened) in checks {
        let verdict = if has_happened { "ok" } else { "FAILED" };
        writeln!(out, "  {verdict:<6}  {what}")?;
        is_good &= has_happened;
    }
    writeln!(out)?;
    Ok(is_good)
}

fn show_table(out: &mut impl Write, zero: &[Run], random: &[Run]) -> io::Result<()> {
    let both = |of: &dyn Fn(&[Run]) -> String| [of(zero), of(random)];
    let rows = [
        ("time", both(&|runs| median(runs, |run| Some(run.time)))),
        (
            "client CPU",
            both(&|runs| median(runs, |run| run.client_cpu)),
        ),
        (
            "server CPU",
            both(&|runs| median(runs, |run| run.server_cpu)),
        ),
        (
            "bytes, client to server",
            both(&|runs| grouped(runs[0].record.sent.total())),
        ),
        (
            "bytes, server to client",
            both(&|runs| grouped(runs[0].record.received.total())),
        ),
    ];
    let title = format!("Medians of {} runs each", zero.len());
    writeln!(out, "{title:<26}{:>16}{:>16}", "key zero", "random keys")?;
    writeln!(out)?;
    for (what, [zero, random]) in rows {
        writeln!(out, "  {what:<24}{zero:>16}{random:>16}")?;
    }
    writeln!(out)
}

fn median(runs: &[Run], of: impl Fn(&Run) -> Option<Duration>) -> String {
    let mut times: Vec<_> = runs.iter().filter_map(of).collect();
    times.sort_unstable();
    match times.get(times.len() / 2) {
        Some(time) => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        None => "n/a".to_owned(),
    }
}

/// Shows a frame without a mask to a server with the flag and to one without.
fn show_unmasked(out: &mut impl Write) -> Result<bool, Box<dyn Error + Send + Sync>> {
    writeln!(out, "A message with a mask, then one without any")?;
    writeln!(out)?;
    let accepting = unmasked::send(true)?;
    let strict = unmasked::send(false)?;
    let refused = ProtocolError::UnmaskedFrame;
    let reason = strict.close.as_ref().map_or("", |(_, reason)| reason);
    let checks = [
        (
            "accept_unmasked_frame = true: both come back, and closing is clean".to_owned(),
            accepting.echoes == [unmasked::MASKED, unmasked::UNMASKED]
                && accepting.ending == Ending::Closed(CloseCode::NORMAL.get()),
        ),
        (
            "accept_unmasked_frame = false: the first comes back, and not the second".to_owned(),
            strict.echoes == [unmasked::MASKED],
        ),
        (
            format!("  then Close 1002, {reason:?}"),
            strict.close == Some((CloseCode::PROTOCOL_ERROR.get(), refused.kind().to_owned())),
        ),
        (
            format!("  the server's error: {refused}"),
            strict.ending == Ending::Failed(refused),
        ),
    ];
    Ok(check_all(out, checks)?)
}
