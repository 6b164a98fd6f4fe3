//! Plays what happens to real servers, for `cargo xtask backplane`: it starts `redis-server` and
//! `nats-server` on free ports in folders of their own, kills them, stops them, empties them, and
//! looks whether every message arrived or its loss was reported. Prints a line for each; exits with
//! 1 if one fails.
//!
//! `servers [--redis PROGRAM] [--nats PROGRAM] [--rooms PROGRAM] [--python PROGRAM] [--bars
//! --benchmark PROGRAM] [NAME …]`; with `--bars` it measures what it costs instead. `servers
//! --serve PORT` is a process that is measured.

mod bars;
mod nats;
mod observer;
mod presence;
mod process;
mod redis;
mod rooms;
mod tls;

use std::process::ExitCode;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let mut programs = [const { None }; 5];
    let (mut has_bars, mut names) = (false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match PROGRAMS.iter().position(|name| *name == argument) {
            Some(place) => programs[place] = arguments.next(),
            None if argument == "--bars" => has_bars = true,
            None => names.push(argument),
        }
    }
    if let [serve, port] = &names[..]
        && serve == "--serve"
    {
        return match bars::serve::serve(port.parse().ok()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    let [redis, nats, rooms, python, benchmark] = programs.each_ref().map(Option::as_deref);
    let setup = Setup {
        redis,
        nats,
        rooms,
        python,
        benchmark,
    };
    let engines = [
        ("Redis", redis.is_some(), redis::ALL),
        ("NATS", nats.is_some() && !has_bars, nats::ALL),
    ];
    let mut has_failed = false;
    for (engine, is_there, plays) in engines {
        let plays = if has_bars { bars::ALL } else { plays };
        for (name, play) in plays.iter().filter(|_| is_there) {
            let full = format!("{engine}: {name}");
            if !names.is_empty() && !names.iter().any(|wanted| full.contains(&**wanted)) {
                continue;
            }
            match play(&setup) {
                Ok(what) => println!("passed  {full}: {what}"),
                Err(failure) => {
                    has_failed = true;
                    println!("FAILED  {full}: {failure}");
                }
            }
        }
    }
    ExitCode::from(u8::from(has_failed))
}

const PROGRAMS: [&str; 5] = ["--redis", "--nats", "--rooms", "--python", "--benchmark"];

/// The programs that there are.
#[derive(Clone, Copy, Debug)]
struct Setup<'a> {
    redis: Option<&'a str>,
    nats: Option<&'a str>,
    /// The example `rooms`.
    rooms: Option<&'a str>,
    /// An interpreter with `nats-py`.
    python: Option<&'a str>,
    /// `redis-benchmark`.
    benchmark: Option<&'a str>,
}

/// Plays something, and says what was seen.
type Play = fn(&Setup<'_>) -> Result<String, Failure>;
