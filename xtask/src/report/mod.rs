//! `cargo xtask report`: what the project has to show, on one page of HTML.

mod autobahn;
mod conformance;
mod page;
mod speed;

use std::{path::PathBuf, process::Command};

use lexopt::{Arg, Parser};
use page::{Page, escape};

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask report [--out FILE]

Writes one page of HTML that needs nothing else, with a light and a dark theme and without scripts:

  - conformance: the vectors, which are run for it; the requirements; the defects of others; the
    Autobahn suite by case, as the last `cargo xtask autobahn` in this target folder left it
  - speed and memory beside other libraries, from benches/results: what is won, and what is lost

  --out FILE   where to              [report.html in the target folder]
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut out = tool::target_dir().join("report.html");
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("out") => out = PathBuf::from(arguments.value()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let mut page = Page::new("WebSocket for Rust: conformance and speed", &commit()?);
    conformance::write(&mut page)?;
    autobahn::write(&mut page)?;
    speed::write(&mut page)?;
    std::fs::write(&out, page.finish())?;
    println!("{} is written", tool::relative(&out));
    Ok(Outcome::Passed)
}

/// Of what the page tells: the commit, and its day.
fn commit() -> Result<String, Failure> {
    let mut log = Command::new("git");
    log.args(["log", "-1", "--format=Commit %h of %cs"]);
    let commit = tool::output_of(log.current_dir(tool::root()))?;
    Ok(escape(commit.trim()))
}
