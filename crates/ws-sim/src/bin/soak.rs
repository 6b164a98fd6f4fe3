//! Keeps a server busy for long: `cargo xtask soak`.

use std::{error::Error, fs, path::PathBuf, process::ExitCode, time::Duration};

use lexopt::{Arg, Parser, ValueExt as _};
use ws_sim::soak::{Task, serve, soak};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut task = Task {
        length: Duration::from_secs(60),
        connections: 500,
    };
    let mut plot: Option<PathBuf> = None;
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(what) if what == "serve" => {
                serve()?;
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("minutes") => {
                let minutes: f64 = arguments.value()?.parse()?;
                task.length = Duration::try_from_secs_f64(minutes * 60.0)?;
            }
            Arg::Long("connections") => task.connections = arguments.value()?.parse()?,
            Arg::Long("plot") => plot = Some(arguments.value()?.into()),
            other => return Err(other.unexpected().into()),
        }
    }
    let report = soak(task)?;
    println!("{report}");
    if let Some(plot) = plot {
        fs::write(&plot, report.svg())?;
        println!("{}", plot.display());
    }
    let faults = report.faults();
    for fault in &faults {
        println!("FAILED: {fault}");
    }
    Ok(match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
