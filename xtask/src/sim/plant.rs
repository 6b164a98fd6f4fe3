//! `cargo xtask sim --plant`: faults that are planted, each of which the simulator has to find.

use std::{
    fs::{self, File},
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    faulty::{self, Fault},
    tool::{self, Failure, Outcome},
};

/// What became of a search.
#[derive(Debug)]
enum Search {
    /// The simulator's line: the seed, the step, and what did not hold.
    Found(String),
    NotFound,
    /// It did not come to an end.
    Stuck,
}

/// How many seeds may be played until one has failed.
const SEEDS: u64 = 2000;
const LIMIT: Duration = Duration::from_secs(300);

/// Plants each fault of a name, or all.
pub(super) fn run(name: &str) -> Result<Outcome, Failure> {
    let mut faults = Fault::all()?;
    faults.retain(|fault| !fault.told.is_empty());
    let is_asked = |fault: &&Fault| name == "all" || fault.name == name;
    if !faults.iter().any(|fault| is_asked(&fault)) {
        let names: Vec<_> = faults.iter().map(|fault| &*fault.name).collect();
        return Err(Failure::new(format!(
            "no fault {name:?}; there are all, {}",
            names.join(", ")
        )));
    }
    faulty::build(&["sim"])?;
    if let Search::Found(what) = search("", 50)? {
        println!("without a fault there is one: {what}");
        return Ok(Outcome::Failed);
    }
    println!("{:<24}{:>6}{:>8}  found by", "fault", "seed", "seconds");
    let mut passed = true;
    for fault in faults.iter().filter(is_asked) {
        passed &= plant(fault)?;
    }
    Ok(Outcome::from_passed(passed))
}

/// Plays seeds with a fault until one fails.
fn search(fault: &str, seeds: u64) -> Result<Search, Failure> {
    // A file takes however much is said.
    let said = tool::target_dir().join("planted");
    fs::create_dir_all(tool::target_dir())?;
    let mut child = Command::new(tool::program("sim"))
        .args(["--as-it-is", "--seeds", &seeds.to_string()])
        .env(faulty::VARIABLE, fault)
        .stdout(File::create(&said)?)
        .spawn()?;
    let Some(status) = tool::end_at_most(&mut child, LIMIT)? else {
        return Ok(Search::Stuck);
    };
    let said = tool::read(&said)?;
    let line = said.lines().find_map(|line| line.strip_prefix("FAILED: "));
    match (line, status.success()) {
        (Some(line), false) => Ok(Search::Found(line.to_owned())),
        (None, true) => Ok(Search::NotFound),
        _ => Err(Failure::new(format!("the simulator ended with {status}"))),
    }
}

/// Has the simulator look for a fault; tells whether it was found for what it is.
fn plant(fault: &Fault) -> Result<bool, Failure> {
    let began = Instant::now();
    let search = search(&fault.name, SEEDS)?;
    let seconds = began.elapsed().as_secs_f64();
    let is_told = |what: &str| fault.told.iter().any(|told| what.contains(&**told));
    let (seed, what, passed) = match &search {
        Search::Found(line) => {
            let (seed, what) = seed_and_what(line);
            (seed, what, is_told(what))
        }
        Search::NotFound => ("-", "NOT FOUND", false),
        Search::Stuck => ("-", "STUCK", false),
    };
    let what: String = what.chars().take(100).collect();
    println!("{:<24}{seed:>6}{seconds:>8.1}  {what}", fault.name);
    if !passed {
        println!(
            "  FAILED: {}; to be told by one of {:?}",
            fault.what, fault.told
        );
    }
    Ok(passed)
}

/// Takes a line like `seed 7 in step 12: what` apart.
fn seed_and_what(line: &str) -> (&str, &str) {
    let (head, what) = line.split_once(": ").unwrap_or(("", line));
    (head.split(' ').nth(1).unwrap_or("-"), what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_the_simulator_is_taken_apart() {
        let line = "seed 7 in step 12: connection 3: it is stuck";
        assert_eq!(seed_and_what(line), ("7", "connection 3: it is stuck"));
    }
}
