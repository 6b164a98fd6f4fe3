//! `cargo xtask backplane`: `ws-backplane` on a simulated engine, and on real servers.

use std::process::Command;

use lexopt::{Arg, Parser, ValueExt};

use crate::{
    faulty::{self, Fault},
    log::Log,
    tool::{self, Failure, Outcome},
};

pub(crate) const HELP: &str = "
cargo xtask backplane [--allow-missing] [--seeds N] [--from SEED] [--only TEXT]
cargo xtask backplane --bars
cargo xtask backplane --plant NAME|all

Starts redis-server and nats-server on free ports, in folders of their own, and kills them, stops them,
empties them: every message arrives, or its loss is reported. On Debian: apt-get install redis-server
nats-server. PyPI's nats-py reads and publishes beside, from an environment in the target folder. Then it
plays ws-backplane on a simulated engine that loses, delays, doubles and reorders messages, and
restarts with an old or a new epoch: every subscriber sees a contiguous run of what the engine
ordered, or is told of the discontinuity.

  --allow-missing   leave out servers that are not there, and say so
  --bars         measure instead what it costs, beside redis-benchmark, in a release build, and write
                 benches/results/backplane.md
  --only TEXT    only what has it in its name, and no simulation
  --seeds N      how many (10000)
  --from SEED    the first of them (0)
  --plant NAME   plant a fault, and fail if no seed finds it; all is each of those in
                 crates/ws-conformance/faults.toml whose names begin with backplane-
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let (mut first, mut seeds) = (0_u64, 10_000_u64);
    let (mut plant, mut only) = (None, None);
    let (mut bars, mut allow_missing) = (false, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("seeds") => seeds = arguments.value()?.parse()?,
            Arg::Long("from") => first = arguments.value()?.parse()?,
            Arg::Long("allow-missing") => allow_missing = true,
            Arg::Long("bars") => bars = true,
            Arg::Long("only") => only = Some(arguments.value()?.string()?),
            Arg::Long("plant") => plant = Some(arguments.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let seeds = format!("{first}..{}", first + seeds);
    let mut log = Log::default();
    match &plant {
        Some(name) => find_faults(name, &seeds, &mut log)?,
        None => play_servers(allow_missing, bars, only.as_deref(), &mut log)?,
    }
    if plant.is_none() && only.is_none() && !bars {
        let name = format!("simulated engine, seeds {seeds}");
        log.note(&name, tool::run(&mut simulation(tool::cargo(), &seeds)));
    }
    Ok(log.finish())
}

/// What happens to real servers is an example of the crate, which prints a line for each.
fn play_servers(
    allow_missing: bool,
    bars: bool,
    only: Option<&str>,
    log: &mut Log,
) -> Result<(), Failure> {
    let mut cargo = tool::cargo();
    cargo.args(["run", "--quiet", "-p", "ws-backplane"]);
    cargo.args(bars.then_some("--release"));
    cargo.args(["--features", "redis,nats,mio,tls"]);
    cargo.args(["--example", "servers", "--"]);
    for (flag, server) in SERVERS {
        match tool::find(server) {
            Some(program) => drop(cargo.arg(flag).arg(program)),
            None if allow_missing => log.leave_out(server, &"it is not installed"),
            None => {
                return Err(Failure::new(format!(
                    "{server} is not installed; --allow-missing goes on without, --help says how to get it"
                )));
            }
        }
    }
    if !bars {
        match crate::interop::set_up_python() {
            Ok(python) => drop(cargo.arg("--python").arg(python)),
            Err(failure) if allow_missing => log.leave_out("nats-py", &failure),
            Err(failure) => return Err(failure),
        }
        tool::build(&["rooms"])?;
        cargo.arg("--rooms").arg(tool::program("rooms"));
    }
    if let Some(benchmark) = tool::find("redis-benchmark") {
        cargo.arg("--benchmark").arg(benchmark);
    }
    if bars {
        log.note(
            "what it costs",
            measure(cargo.arg("--bars").args(only), only.is_none()),
        );
    } else {
        let what = "what happens to redis-server and nats-server";
        log.note(what, tool::run(cargo.args(only)));
    }
    Ok(())
}

/// Measures, and writes the report if everything is measured.
fn measure(servers: &mut Command, is_all: bool) -> Result<(), Failure> {
    let output = servers.stderr(std::process::Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    if is_all {
        let mut report = format!(
            "# cargo xtask backplane --bars\n\n{}\n\nEach line says what was measured, and what it may be at most or at least.\n\n\
             | | bar | figures |\n|---|---|---|\n",
            crate::bench::machine::description()
        );
        for line in text.lines() {
            let (verdict, rest) = line.split_once("  Redis: ").unwrap_or(("", line));
            let (name, figures) = rest.split_once(": ").unwrap_or((rest, ""));
            let verdict = if verdict == "passed" {
                "met"
            } else {
                "**missed**"
            };
            report += &format!("| {name} | {verdict} | {figures} |\n");
        }
        std::fs::write(tool::root().join("benches/results/backplane.md"), report)?;
    }
    match output.status.success() {
        true => Ok(()),
        false => Err(Failure::new("a bar is missed")),
    }
}

const SERVERS: [(&str, &str); 2] = [("--redis", "redis-server"), ("--nats", "nats-server")];

fn find_faults(name: &str, seeds: &str, log: &mut Log) -> Result<(), Failure> {
    let mut faults = Fault::all()?;
    faults.retain(|fault| fault.name.starts_with("backplane-"));
    faults.retain(|fault| name == "all" || fault.name == name);
    if faults.is_empty() {
        return Err(Failure::new(format!(
            "no fault {name:?} of ws-backplane in crates/ws-conformance/faults.toml"
        )));
    }
    tool::run(simulation(faulty::cargo(), seeds).arg("--no-run"))?;
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
