//! `cargo xtask sim`: plays simulations of ws-mio's loop, one for each seed.

use lexopt::Parser;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask sim [--seeds N] [--from SEED] [--steps N] [--connections N] [--seconds N]

Plays simulations of ws-mio's loop in virtual time, with transports that fail in every way that a
transport may, until one seed breaks an invariant. That seed is then made as small as it goes, and
the command is printed that plays it again, the same in every detail.

  --seeds N          how many (1000)
  --from SEED        the first of them (0)
  --steps N          how many steps each takes (1000)
  --connections N    the most connections at a time (1000); most seeds have far fewer
  --seconds N        end after this time, whatever is left

A single seed is not made smaller, and shows where it failed. What is checked is told by the
documentation of sim/src/lib.rs.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let rest: Vec<_> = arguments.raw_args()?.collect();
    let status = tool::cargo()
        .args([
            "run",
            "--quiet",
            "--profile",
            "sim",
            "--package",
            "sim",
            "--",
        ])
        .args(rest)
        .status()?;
    Ok(Outcome::from_passed(status.success()))
}
