//! `cargo xtask vectors`: the conformance vectors against the crates.

use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};
use ws_conformance::Suite;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask vectors [DIR]

Runs DIR/vectors/*.json, DIR/vectors/header_matrix.csv and DIR/handshake/*.json (default DIR:
crates/ws-conformance) against ws-proto and ws-handshake. Each vector that is a stream of bytes runs
in the chunks that it names, whole, cut in two at every place, and byte by byte. Prints counts for
each class and each failure with its name. Vectors with `\"strict\": false` are counted apart.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut dir = dir();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(value) => dir = PathBuf::from(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let suite = read(&dir)?;
    let report = suite.check();
    print!("{report}");
    Ok(Outcome::from_passed(report.passed()))
}

/// Where the vectors and the lists of requirements, defects and planted faults are.
pub(crate) fn dir() -> PathBuf {
    tool::root().join("crates/ws-conformance")
}

pub(crate) fn read(dir: &Path) -> Result<Suite, Failure> {
    Suite::read(dir).map_err(|failure| Failure::new(failure.to_string()))
}
