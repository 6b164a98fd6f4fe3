//! The workspace's own tools, called as `cargo xtask COMMAND`.
//!
//! Each command is a file of the same name with a `run` and a `HELP`; what they share is in `tool`.

mod altered;
mod autobahn;
mod backplane;
mod bench;
#[cfg(unix)]
mod bridge;
mod certs;
mod deep;
mod faults;
mod faulty;
mod features;
mod fuzz;
mod hostile;
mod interop;
mod log;
mod long;
mod msrv;
mod package;
mod proxies;
mod release;
mod report;
mod sim;
mod soak;
mod spec;
mod targets;
mod test;
mod tool;
mod vectors;
mod wasm;

use std::{env, ffi::OsString, process::ExitCode};

use lexopt::Parser;
use tool::{Failure, Outcome};

fn main() -> ExitCode {
    match dispatch(env::args_os().skip(1).collect()) {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(arguments: Vec<OsString>) -> Result<Outcome, Failure> {
    let Some((name, rest)) = arguments.split_first() else {
        print_help();
        return Ok(Outcome::Passed);
    };
    if is_help(name) {
        print_help();
        return Ok(Outcome::Passed);
    }
    let Some(command) = COMMANDS.iter().find(|command| name == command.name) else {
        return Err(Failure::new(format!(
            "no command {name:?}; `cargo xtask` lists them"
        )));
    };
    // Behind `--`, arguments belong to another program.
    if rest.iter().take_while(|next| *next != "--").any(is_help) {
        println!("{}", command.help.trim());
        return Ok(Outcome::Passed);
    }
    (command.run)(Parser::from_args(rest))
}

fn is_help(argument: &OsString) -> bool {
    argument == "-h" || argument == "--help"
}

fn print_help() {
    println!("cargo xtask COMMAND [--help]\n");
    for command in COMMANDS {
        println!("  {:<10} {}", command.name, command.summary);
    }
}

struct Command {
    name: &'static str,
    summary: &'static str,
    help: &'static str,
    run: fn(Parser) -> Result<Outcome, Failure>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "spec",
        summary: "which code and which test obey each requirement of the specifications",
        help: spec::HELP,
        run: spec::run,
    },
    Command {
        name: "hostile",
        summary: "which tests would notice the published defects of others",
        help: hostile::HELP,
        run: hostile::run,
    },
    Command {
        name: "vectors",
        summary: "run the conformance vectors against ws-proto and ws-handshake",
        help: vectors::HELP,
        run: vectors::run,
    },
    Command {
        name: "test",
        summary: "run the tests of the workspace, several programs at a time",
        help: test::HELP,
        run: test::run,
    },
    Command {
        name: "long",
        summary: "run all that takes too long for each change",
        help: long::HELP,
        run: long::run,
    },
    Command {
        name: "targets",
        summary: "check the types of the crates for other systems",
        help: targets::HELP,
        run: targets::run,
    },
    Command {
        name: "features",
        summary: "check every combination of features of every crate",
        help: features::HELP,
        run: features::run,
    },
    Command {
        name: "package",
        summary: "run the tests of the crates as they are packaged",
        help: package::HELP,
        run: package::run,
    },
    Command {
        name: "release",
        summary: "check that the crates are ready to publish: manifests, files, licences, order",
        help: release::HELP,
        run: release::run,
    },
    Command {
        name: "msrv",
        summary: "check that the crates need no newer Rust than they say",
        help: msrv::HELP,
        run: msrv::run,
    },
    Command {
        name: "report",
        summary: "write one page of HTML: conformance, speed, memory",
        help: report::HELP,
        run: report::run,
    },
    Command {
        name: "wasm",
        summary: "build the core crates for no_std and wasm targets, without the masking flags",
        help: wasm::HELP,
        run: wasm::run,
    },
    Command {
        name: "fuzz",
        summary: "list, seed and run the fuzz targets",
        help: fuzz::HELP,
        run: fuzz::run,
    },
    Command {
        name: "sim",
        summary: "simulate ws-mio's loop with bad transports and many connections, seed by seed",
        help: sim::HELP,
        run: sim::run,
    },
    Command {
        name: "soak",
        summary: "keep a server of ws-mio busy for long, and look whether it grows",
        help: soak::HELP,
        run: soak::run,
    },
    Command {
        name: "faults",
        summary: "kill peers and cut networks, and look how that is reported",
        help: faults::HELP,
        run: faults::run,
    },
    Command {
        name: "miri",
        summary: "run the tests of ws-proto in Miri",
        help: deep::miri::HELP,
        run: deep::miri::run,
    },
    Command {
        name: "coverage",
        summary: "which share of each crate its tests run",
        help: deep::coverage::HELP,
        run: deep::coverage::run,
    },
    Command {
        name: "mutants",
        summary: "break the core crates in small ways, and list those that no test notices",
        help: deep::mutants::HELP,
        run: deep::mutants::run,
    },
    Command {
        name: "autobahn",
        summary: "run the Autobahn test suite against the example server and client",
        help: autobahn::HELP,
        run: autobahn::run,
    },
    Command {
        name: "certs",
        summary: "make a throw-away certificate authority, and certificates for this machine",
        help: certs::HELP,
        run: certs::run,
    },
    Command {
        name: "interop",
        summary: "talk with other WebSocket implementations: Python, Node.js, Chromium",
        help: interop::HELP,
        run: interop::run,
    },
    Command {
        name: "proxies",
        summary: "put real proxies in front of the example server and client",
        help: proxies::HELP,
        run: proxies::run,
    },
    Command {
        name: "backplane",
        summary: "play what happens to the engines of ws-backplane, real and simulated",
        help: backplane::HELP,
        run: backplane::run,
    },
    Command {
        name: "bench",
        summary: "measure servers under load, beside raw TCP and other libraries",
        help: bench::HELP,
        run: bench::run,
    },
    Command {
        name: "overload",
        summary: "measure what peers that misbehave cost the others",
        help: bench::overload::HELP,
        run: bench::overload::run,
    },
    Command {
        name: "callgrind",
        summary: "compare the instruction counts of the hot paths with those of the last time",
        help: bench::callgrind::HELP,
        run: bench::callgrind::run,
    },
];
