//! `cargo xtask release`: whether the crates can be published as they are.

mod files;
mod manifest;
mod tags;

use std::process::Command;

use lexopt::{Arg, Parser};

use crate::{
    log::Log,
    package::{self, Package},
    tool::{self, Failure, Outcome},
};

pub(crate) const HELP: &str = "
cargo xtask release [--allow-missing] [--full]

Checks every crate that is to be published:

  - its manifest says what registries and docs.rs show: description, licence, documentation, readme,
    keywords, categories, and for docs.rs all features, each item with the feature that it needs
  - its changelog has a part for its version
  - its package has sources, the readme, the changelog and both licences, and nothing else
  - the public interface has not changed more since the last tag than its version says
    (cargo-semver-checks)
  - licences, sources and duplicates of what it depends on are allowed by deny.toml (cargo-deny), and
    no advisory is open, where the database of advisories can be reached
  - `cargo publish --dry-run` takes all of them, each before those that depend on it

  --allow-missing   leave out what needs a tool or a network that is not there, and say so
  --full            build the packages too, and the documentation as docs.rs does (needs a nightly)
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let (mut allow_missing, mut is_full) = (false, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("allow-missing") => allow_missing = true,
            Arg::Long("full") => is_full = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let packages = package::packages()?;
    let mut log = Log::default();
    for package in &packages {
        manifest::check(package, &mut log);
        files::check(package, &mut log);
    }
    manifest::check_repository(&packages, &mut log);
    let missing = |name: &str, failure: Failure, log: &mut Log| match allow_missing {
        true => log.leave_out(name, &failure),
        false => log.note(name, Err(failure)),
    };
    if let Err(failure) = tags::check_interface(&packages, &mut log)? {
        missing("the public interface since the last tag", failure, &mut log);
    }
    match has("deny") {
        Ok(()) => {
            let checks = ["bans", "licenses", "sources"];
            let result = tool::run(deny().args(checks));
            log.note("licences, sources and duplicates of dependencies", result);
            // What cannot be fetched and what was found end alike: the fetch goes first.
            match tool::run(tool::cargo().args(["deny", "fetch", "db"])) {
                Ok(()) => log.note("advisories", tool::run(deny().arg("advisories"))),
                Err(failure) => missing("advisories", failure, &mut log),
            }
        }
        Err(failure) => missing("cargo deny", failure, &mut log),
    }
    let mut publish = tool::cargo();
    publish.args(["publish", "--dry-run", "--workspace", "--quiet"]);
    if !is_full {
        publish.arg("--no-verify");
    }
    // The tree of a change has files that no commit has yet.
    let result = tool::run(publish.arg("--allow-dirty"));
    log.note(
        "cargo publish --dry-run of all crates, in their order",
        result,
    );
    if is_full {
        log.note("documentation as on docs.rs", document(&packages));
    }
    Ok(log.finish())
}

fn deny() -> Command {
    let mut deny = tool::cargo();
    deny.args(["deny", "--log-level", "error", "check"]);
    deny
}

/// Whether Cargo has a subcommand.
fn has(subcommand: &str) -> Result<(), Failure> {
    let program = format!("cargo-{subcommand}");
    match tool::is_installed(&program) {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{program} is not installed (cargo install {program} --locked)"
        ))),
    }
}

/// Builds the documentation of the libraries with the flags of docs.rs.
fn document(packages: &[Package]) -> Result<(), Failure> {
    let mut doc = tool::rustup_cargo();
    doc.args(["+nightly", "doc", "--no-deps", "--all-features", "--lib"]);
    doc.arg("--target-dir")
        .arg(tool::target_dir().join("docs-rs"));
    doc.env("RUSTDOCFLAGS", "--cfg docsrs -D warnings");
    for package in packages
        .iter()
        .filter(|package| manifest::is_library(package))
    {
        doc.args(["--package", &package.name]);
    }
    tool::run(&mut doc)
}
