//! `cargo xtask miri`, `coverage` and `mutants`: checks by other tools, too slow for every change.

use lexopt::{Arg, Parser, ValueExt as _};

use crate::tool::{self, Failure, Outcome};

pub(crate) const MIRI_HELP: &str = "
cargo xtask miri [-- TEST-ARGUMENTS]

Runs the unit tests of ws-proto in Miri, which sees undefined behaviour of what it is built on. Needs
a nightly toolchain with Miri: rustup +nightly component add miri rust-src
";

pub(crate) const COVERAGE_HELP: &str = "
cargo xtask coverage [-p CRATE]...

Tells which share of the lines of each crate below crates/ (or of the named ones) its own tests run.
Needs cargo-llvm-cov, which is installed when missing, and the component llvm-tools.
";

pub(crate) const MUTANTS_HELP: &str = "
cargo xtask mutants [-p CRATE]...

Breaks ws-proto and ws-handshake (or the named crates) in many small ways, one at a time, and lists
those that no test notices. Takes hours. Needs cargo-mutants, which is installed when missing. What
it finds is in mutants.out of the target folder.
";

pub(crate) fn miri(mut arguments: Parser) -> Result<Outcome, Failure> {
    let rest: Vec<_> = arguments
        .raw_args()?
        .skip_while(|word| word == "--")
        .collect();
    let has_miri = tool::rustup_cargo()
        .args(["+nightly", "miri", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_miri {
        return Err(Failure::new(
            "no Miri: rustup +nightly component add miri rust-src",
        ));
    }
    let mut command = tool::rustup_cargo();
    command
        .args(["+nightly", "miri", "test", "--package", "ws-proto", "--lib"])
        .arg("--")
        .args(rest);
    tool::run(&mut command)?;
    Ok(Outcome::Passed)
}

pub(crate) fn coverage(arguments: Parser) -> Result<Outcome, Failure> {
    let all = ["ws-proto", "ws-handshake", "ws-mio", "ws-smol"];
    let packages = packages(arguments, &all)?;
    require("llvm-cov", "cargo-llvm-cov")?;
    for package in packages {
        // Each by its own tests: what others happen to call is not tested.
        let others: Vec<_> = all.into_iter().filter(|name| *name != package).collect();
        tool::run(
            tool::rustup_cargo()
                .args(["llvm-cov", "--package", &package, "--all-features"])
                .args(["--summary-only", "--ignore-filename-regex"])
                .arg(format!("crates/({})/|/tests/", others.join("|"))),
        )?;
    }
    Ok(Outcome::Passed)
}

pub(crate) fn mutants(arguments: Parser) -> Result<Outcome, Failure> {
    let packages = packages(arguments, &["ws-proto", "ws-handshake"])?;
    require("mutants", "cargo-mutants")?;
    let mut command = tool::rustup_cargo();
    command
        .arg("mutants")
        .arg("--output")
        .arg(tool::target_dir());
    for package in &packages {
        command.args(["--package", package]);
    }
    Ok(Outcome::from_passed(tool::run(&mut command).is_ok()))
}

fn packages(mut arguments: Parser, all: &[&str]) -> Result<Vec<String>, Failure> {
    let mut wanted = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Short('p') | Arg::Long("package") => wanted.push(arguments.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if wanted.is_empty() {
        wanted.extend(all.iter().map(|&name| name.to_owned()));
    }
    Ok(wanted)
}

/// Installs a subcommand of Cargo's, if it is not there.
fn require(command: &str, package: &str) -> Result<(), Failure> {
    let is_there = tool::rustup_cargo()
        .args([command, "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if is_there {
        return Ok(());
    }
    println!("{package} is not installed; installing it");
    tool::run(tool::rustup_cargo().args(["install", package, "--locked"]))
}
