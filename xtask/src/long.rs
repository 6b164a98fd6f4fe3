//! `cargo xtask long`: all checks for which `.ci/run` has no time, or of which it takes a sample.

use std::{env, process::Command};

use lexopt::Parser;

use crate::{
    log::Log,
    tool::{self, Failure, Outcome},
};

pub(crate) const HELP: &str = "
cargo xtask long

Runs, in turn, what takes too long for each change, and says at the end how each went. It takes some
hours; `--help` of each command tells what it needs.
";

/// The commands, each with its arguments.
const COMMANDS: &[&[&str]] = &[
    &["vectors"],
    &["features", "--all"],
    &["package"],
    &["release", "--full"],
    &["sim", "--seeds", "1000000", "--seconds", "1200"],
    &["fuzz", "all", "--seconds", "300"],
    &["autobahn", "all"],
    &["faults", "--seconds", "180"],
    &["miri"],
    &["coverage"],
    &["mutants"],
];

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    let this = env::current_exe()?;
    let mut log = Log::default();
    for command in COMMANDS {
        let result = tool::run(Command::new(&this).args(*command));
        log.note(&command.join(" "), result);
    }
    Ok(log.finish())
}
