//! Plays what happens to real servers, for `cargo xtask backplane`: it starts `redis-server` on a
//! free port in a folder of its own, kills it, stops it, empties it, and looks whether every
//! message arrived or its loss was reported. Prints a line for each; exits with 1 if one fails.
//!
//! `servers --redis PROGRAM [--rooms PROGRAM] [--bars --benchmark PROGRAM] [NAME …]`; with `--bars` it measures what it
//! costs instead.

mod bars;
mod observer;
mod redis;
mod rooms;
mod scenarios;

use std::process::ExitCode;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut program, mut benchmark, mut rooms) = (None, None, None);
    let mut names = Vec::new();
    let mut played = scenarios::ALL;
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--redis" => program = arguments.next(),
            "--rooms" => rooms = arguments.next(),
            "--bars" => played = bars::ALL,
            "--benchmark" => benchmark = arguments.next(),
            _ => names.push(argument),
        }
    }
    let Some(program) = program else {
        eprintln!(
            "servers --redis PROGRAM [--rooms PROGRAM] [--bars --benchmark PROGRAM] [NAME …]"
        );
        return ExitCode::from(2);
    };
    let mut has_failed = false;
    let is_wanted =
        |name: &str| names.is_empty() || names.iter().any(|wanted| name.contains(&**wanted));
    for (name, play) in played.iter().filter(|(name, _)| is_wanted(name)) {
        let setup = Setup {
            redis: &program,
            benchmark: benchmark.as_deref(),
            rooms: rooms.as_deref(),
        };
        match play(&setup) {
            Ok(what) => println!("passed  Redis: {name}: {what}"),
            Err(failure) => {
                has_failed = true;
                println!("FAILED  Redis: {name}: {failure}");
            }
        }
    }
    ExitCode::from(u8::from(has_failed))
}

/// The programs that there are.
#[derive(Clone, Copy, Debug)]
struct Setup<'a> {
    redis: &'a str,
    benchmark: Option<&'a str>,
    /// The example `rooms`.
    rooms: Option<&'a str>,
}

/// Plays something, and says what was seen.
type Play = fn(&Setup<'_>) -> Result<String, Failure>;
