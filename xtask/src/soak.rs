//! `cargo xtask soak`: keeps a server of ws-mio busy for long, and looks whether it grows.

use lexopt::Parser;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask soak [--minutes M] [--connections N]

Starts a server of ws-mio in a process of its own and keeps it busy for M minutes (1) with N clients
(500) that come, talk, stall, vanish, are reset, and come again. Fails if a byte comes back wrong, if
a client waits for 30 s, or if the server's memory or its file descriptors are over those of the
second quarter by more than 5 % in the last one. Prints latencies as a table, and draws them in
soak.svg of the target folder. Reads /proc: for Linux. Many connections need `ulimit -n`.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let rest: Vec<_> = arguments.raw_args()?.collect();
    let plot = tool::target_dir().join("soak.svg");
    let status = tool::cargo()
        .args(["run", "--quiet", "--release", "--package", "ws-sim"])
        .args(["--bin", "soak", "--", "--plot"])
        .arg(plot)
        .args(rest)
        .status()?;
    Ok(Outcome::from_passed(status.success()))
}
