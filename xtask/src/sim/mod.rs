//! `cargo xtask sim`: plays simulations of the adapters, one for each seed.

mod plant;

use std::process::Command;

use lexopt::Parser;

use crate::{
    faulty,
    tool::{self, Failure, Outcome},
};

pub(crate) const HELP: &str = "
cargo xtask sim [--seeds N] [--from SEED] [--steps N] [--connections N] [--seconds N]
cargo xtask sim --plant NAME|all

Plays simulations in virtual time: of ws-mio's loop, alone, under TLS, behind proxies and beside other
loops, of tasks of ws-smol, and of streams without end; with transports that fail in every way that a
transport may, until one seed breaks an invariant. That seed is then made as small as it goes, and
the command is printed that plays it again, the same in every detail.

  --seeds N          how many (1000)
  --from SEED        the first of them (0)
  --steps N          how many steps each takes (1000)
  --connections N    the most connections at a time (1000); most seeds have far fewer
  --seconds N        end after this time, whatever is left
  --as-it-is         do not make the seed smaller
  --plant NAME       plant a fault, and fail if no seed finds it; all is each of those in
                     crates/ws-conformance/faults.toml that the simulator has to find, in turn

A single seed is not made smaller, and shows where it failed. What is checked is told by the
documentation of crates/ws-sim/src/lib.rs.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let rest: Vec<_> = arguments.raw_args()?.collect();
    match &rest[..] {
        [plant] if plant == "--plant" => return Err(Failure::new("which fault? or all")),
        [plant, name] if plant == "--plant" => return plant::run(&name.to_string_lossy()),
        _ => {}
    }
    faulty::build(&["sim"])?;
    let status = Command::new(tool::program("sim")).args(rest).status()?;
    Ok(Outcome::from_passed(status.success()))
}
