//! WebSocket on the command line: a client that shows each frame, a server
//! for tests and programs, tunnels, a load generator, and a check of the rules.

mod bench;
mod check;
mod client;
mod connect;
mod console;
mod deflate;
mod exit;
mod files;
mod frame;
mod generate;
mod help;
mod json;
mod networks;
mod options;
mod runtime;
mod secret;
mod serve;
mod server;
mod signal;
mod tap;
mod text;
mod transport;
mod tunnel;

use std::{env, ffi::OsString, process::ExitCode};

use self::{
    exit::{Exit, Failure},
    options::{Asked, Command, Given},
};

/// All subcommands.
pub(crate) const COMMANDS: &[&Command] = &[
    &connect::COMMAND,
    &serve::COMMAND,
    &tunnel::COMMAND,
    &bench::COMMAND,
    &check::COMMAND,
];

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    match run(&arguments) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("wsdo: {failure}");
            failure.exit.into()
        }
    }
}

fn run(arguments: &[OsString]) -> Result<Exit, Failure> {
    let [name, rest @ ..] = arguments else {
        return Err(Failure::usage("which subcommand?"));
    };
    let name = name.to_string_lossy();
    match &*name {
        "-h" | "--help" | "help" => {
            print!("{}", help::of_all());
            return Ok(Exit::Success);
        }
        "-V" | "--version" => {
            println!("wsdo {}", env!("CARGO_PKG_VERSION"));
            return Ok(Exit::Success);
        }
        "man" => {
            print!("{}", generate::man());
            return Ok(Exit::Success);
        }
        "completions" => {
            let shell = rest.first().map(|shell| shell.to_string_lossy());
            let text = generate::completions(&shell.unwrap_or_default());
            print!(
                "{}",
                text.ok_or_else(|| Failure::usage("for bash, zsh or fish?"))?
            );
            return Ok(Exit::Success);
        }
        _ => {}
    }
    let (command, rest) = match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (*command, rest),
        None if name.starts_with('-') || name.contains("://") => (&connect::COMMAND, arguments),
        None => return Err(Failure::usage(format!("there is no {name:?}"))),
    };
    let given = match Given::read(command, rest)? {
        Asked::Help => {
            print!("{}", help::of(command));
            return Ok(Exit::Success);
        }
        Asked::Run(given) => given,
    };
    match command.name {
        "connect" => connect::run(&given),
        "serve" => serve::run(&given),
        "tunnel" => tunnel::run(&given),
        "bench" => bench::run(&given),
        _ => check::run(&given),
    }
}
