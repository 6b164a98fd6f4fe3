//! `cargo xtask backplane`: `ws-backplane` on a simulated engine.

use std::process::Command;

use lexopt::{Arg, Parser, ValueExt};

use crate::faulty::{self, Fault};
use crate::log::Log;
use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask backplane [--seeds N] [--from SEED]
cargo xtask backplane --plant NAME|all

Plays ws-backplane on a simulated engine that loses, delays, doubles and reorders messages, and
restarts with an old or a new epoch: every subscriber sees a contiguous run of what the engine
ordered, or is told of the discontinuity.

  --seeds N      how many (10000)
  --from SEED    the first of them (0)
  --plant NAME   plant a fault, and fail if no seed finds it; all is each of those in
                 crates/ws-conformance/faults.toml whose names begin with backplane-
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let (mut first, mut seeds) = (0_u64, 10_000_u64);
    let mut plant = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("seeds") => seeds = arguments.value()?.parse()?,
            Arg::Long("from") => first = arguments.value()?.parse()?,
            Arg::Long("plant") => plant = Some(arguments.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let seeds = format!("{first}..{}", first + seeds);
    let mut log = Log::default();
    match plant {
        Some(name) => find_faults(&name, &seeds, &mut log)?,
        None => {
            let name = format!("simulated engine, seeds {seeds}");
            log.note(&name, tool::run(&mut simulation(tool::cargo(), &seeds)));
        }
    }
    Ok(log.finish())
}

fn find_faults(name: &str, seeds: &str, log: &mut Log) -> Result<(), Failure> {
    let mut faults = Fault::all()?;
    faults.retain(|fault| fault.name.starts_with("backplane-"));
    faults.retain(|fault| name == "all" || fault.name == name);
    if faults.is_empty() {
        return Err(Failure::new(format!(
            "no fault {name:?} of ws-backplane in crates/ws-conformance/faults.toml"
        )));
    }
    tool::run(&mut simulation(faulty::cargo(), "0..1"))?;
    for fault in faults {
        let mut command = simulation(faulty::cargo(), seeds);
        let output = command.env(faulty::VARIABLE, &fault.name).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found = text.lines().any(|line| line.starts_with("seed "));
        log.note(
            &format!("{}: {}", fault.name, fault.what),
            match found && !output.status.success() {
                true => Ok(()),
                false => Err(Failure::new("no seed finds it")),
            },
        );
    }
    Ok(())
}

/// The simulation of these seeds, which is a test.
fn simulation(mut cargo: Command, seeds: &str) -> Command {
    cargo
        .args(["test", "--quiet", "-p", "ws-backplane", "--test"])
        .args(["simulation", "every_subscriber"])
        .env("WS_BACKPLANE_SEEDS", seeds);
    cargo
}
