//! `cargo xtask mutants`: which small changes of the core crates no test notices.

use std::path::Path;

use lexopt::Parser;
use serde_json::Value;

use super::{Bar, Share};
use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask mutants [-p CRATE]... [-- ARGUMENTS]

Breaks ws-proto and ws-handshake (or the named ones) in many small ways, one at a time, and lists
those that none of the crate's own tests notices. Fails when fewer than 95 % of those that compile
are noticed; a test that does not end has noticed. What is left out, and why, stands in
.cargo/mutants.toml. ARGUMENTS are cargo-mutants' own: `--shard 0/8` or `--file FILE` for a part.
Takes an hour or more a crate; all that was found is in mutants/CRATE of the target folder. Needs
cargo-mutants, which is installed when missing.
";

const BARS: [Bar; 2] = [("ws-proto", 95.0), ("ws-handshake", 95.0)];

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut own = Vec::new();
    let mut rest = Vec::new();
    for word in arguments.raw_args()? {
        if word == "--" || !rest.is_empty() {
            rest.push(word);
        } else {
            own.push(word);
        }
    }
    let chosen = super::chosen(&mut Parser::from_args(own), &BARS)?;
    super::require("mutants", "cargo-mutants")?;
    let mut shares = Vec::new();
    for (package, bar) in chosen {
        let dir = tool::target_dir().join("mutants").join(package);
        std::fs::create_dir_all(&dir)?;
        let mut command = tool::rustup_cargo();
        command
            .args(["mutants", "--package", package, "--no-shuffle", "--output"])
            .arg(&dir)
            .args(rest.iter().skip(1))
            // Each is built in a copy of the workspace, with a target folder of its own.
            .env_remove("CARGO_TARGET_DIR");
        let status = command.status()?;
        if !matches!(status.code(), Some(0 | MISSED | TIMEOUT)) {
            return Err(Failure::new(format!("cargo mutants ended with {status}")));
        }
        let found = dir.join("mutants.out");
        for name in tool::read(&found.join("missed.txt"))?.lines() {
            println!("not noticed: {name}");
        }
        shares.push(share(package, bar, &found)?);
    }
    Ok(Outcome::from_passed(super::all_pass(
        "mutants", "noticed", &shares,
    )))
}

fn share(package: &'static str, bar: f64, found: &Path) -> Result<Share, Failure> {
    let outcomes = found.join("outcomes.json");
    let counts: Value = serde_json::from_str(&tool::read(&outcomes)?)
        .map_err(|error| Failure::new(format!("{}: {error}", outcomes.display())))?;
    let count = |name: &str| counts[name].as_u64().unwrap_or(0) as usize;
    let part = count("caught") + count("timeout");
    Ok(Share {
        package,
        bar,
        part,
        whole: part + count("missed"),
    })
}

/// How cargo-mutants ends when tests passed in spite of a mutant.
const MISSED: i32 = 2;

/// How it ends when tests of a mutant did not end.
const TIMEOUT: i32 = 3;
