//! `cargo xtask sim --plant`: faults that were put into ws-mio on purpose, each of which the
//! simulator has to find.

use std::env::consts::EXE_SUFFIX;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::altered::{self, Alteration};
use crate::tool::{self, Failure, Outcome};

/// A row of `sim/faults.toml`.
#[derive(Debug)]
struct Fault {
    name: String,
    what: String,
    alteration: Alteration,
    /// Parts of what the simulator may say of it.
    told: Vec<String>,
}

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
const SEEDS: u64 = 1000;
const LIMIT: Duration = Duration::from_secs(300);
/// The environment variable that says which fault is in force, by its number.
const VARIABLE: &str = "PLANTED_FAULT";

/// Plants each fault of a name, or all.
pub(super) fn run(name: &str) -> Result<Outcome, Failure> {
    let faults = Fault::all()?;
    let is_asked = |fault: &&Fault| name == "all" || fault.name == name;
    if !faults.iter().any(|fault| is_asked(&fault)) {
        let names: Vec<_> = faults.iter().map(|fault| &*fault.name).collect();
        return Err(Failure::new(format!(
            "no fault {name:?}; there are all, {}",
            names.join(", ")
        )));
    }
    let program = build(&faults)?;
    if let Search::Found(what) = search(&program, usize::MAX, 50)? {
        println!("without a fault there is one: {what}");
        return Ok(Outcome::Failed);
    }
    println!("{:<24}{:>6}{:>8}  found by", "fault", "seed", "seconds");
    let mut passed = true;
    for (number, fault) in faults.iter().enumerate() {
        if is_asked(&fault) {
            passed &= fault.plant(&program, number)?;
        }
    }
    Ok(Outcome::from_passed(passed))
}

/// Compiles the simulator over a copy of the library that has all faults, and
/// chooses one when it runs.
fn build(faults: &[Fault]) -> Result<PathBuf, Failure> {
    let copy = tool::target_dir().join("planted");
    // Not where they lie in the repository: Cargo would take them for the same packages, and compile
    // them anew each time.
    altered::copy_manifest(&copy, "sources")?;
    let alterations = faults.iter().map(|fault| &fault.alteration);
    let alterations: Vec<_> = alterations.chain(&switch()).cloned().collect();
    altered::copy_members(&copy.join("sources"), &alterations)?;
    tool::run(
        tool::cargo()
            .args(["build", "--quiet", "--locked", "--profile", "sim"])
            .args(["--package", "sim", "--bin", PROGRAM, "--manifest-path"])
            .arg(copy.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(tool::target_dir()),
    )?;
    let program = format!("{PROGRAM}{EXE_SUFFIX}");
    Ok(tool::target_dir().join("sim").join(program))
}

/// The simulator over the copy; beside the other it needs a name of its own.
const PROGRAM: &str = "sim-planted";

/// What makes a fault be there or not, and the program's name.
fn switch() -> [Alteration; 3] {
    let switch = format!(
        "/// Which fault is in force.
        pub(crate) fn planted(number: usize) -> bool {{
            static PLANTED: std::sync::LazyLock<Option<usize>> = std::sync::LazyLock::new(|| {{
                std::env::var({VARIABLE:?}).ok()?.parse().ok()
            }});
            *PLANTED == Some(number)
        }}

        #[cfg(doctest)]\n"
    );
    let alteration = |file: &str, place: &str, with: &str| Alteration {
        file: file.into(),
        place: place.into(),
        with: with.into(),
    };
    [
        alteration("crates/ws-mio/src/lib.rs", "#[cfg(doctest)]\n", &switch),
        alteration(
            "sim/Cargo.toml",
            "default-run = \"sim\"\n",
            "autobins = false\n",
        ),
        alteration(
            "sim/Cargo.toml",
            "[dependencies]\n",
            &format!("[[bin]]\nname = {PROGRAM:?}\npath = \"src/main.rs\"\n\n[dependencies]\n"),
        ),
    ]
}

/// Plays seeds with a fault until one fails.
fn search(program: &Path, number: usize, seeds: u64) -> Result<Search, Failure> {
    // A file takes however much is said.
    let said = program.with_extension("said");
    let mut child = Command::new(program)
        .args(["--as-it-is", "--seeds", &seeds.to_string()])
        .env(VARIABLE, number.to_string())
        .stdout(File::create(&said)?)
        .spawn()?;
    let Some(status) = tool::wait_at_most(&mut child, LIMIT)? else {
        child.kill()?;
        child.wait()?;
        return Ok(Search::Stuck);
    };
    let said = tool::read(&said)?;
    let line = said.lines().find_map(|line| line.strip_prefix("FAILED: "));
    match (line, status.success()) {
        (Some(line), false) => Ok(Search::Found(line.to_owned())),
        (None, true) => Ok(Search::NotFound),
        _ => Err(Failure::new(format!(
            "{} ended with {status}",
            program.display(),
        ))),
    }
}

impl Fault {
    fn all() -> Result<Vec<Self>, Failure> {
        let document: toml::Table = tool::read(&tool::root().join("sim/faults.toml"))?
            .parse()
            .map_err(|error| Failure::new(format!("faults.toml: {error}")))?;
        let rows = document.get("fault").and_then(toml::Value::as_array);
        let rows = rows.ok_or_else(|| Failure::new("faults.toml has no [[fault]]"))?;
        rows.iter()
            .enumerate()
            .map(|(number, row)| Self::parse(number, row))
            .collect()
    }

    fn parse(number: usize, row: &toml::Value) -> Result<Self, Failure> {
        let missing = |key| Failure::new(format!("faults.toml: fault {number} lacks {key}"));
        let text = |key| {
            let value = row.get(key).and_then(toml::Value::as_str);
            value.ok_or_else(|| missing(key))
        };
        let told = row.get("told").and_then(toml::Value::as_array);
        let told = told.ok_or_else(|| missing("told"))?.iter();
        let planted = format!("crate::planted({number})");
        Ok(Self {
            name: text("name")?.into(),
            what: text("what")?.into(),
            alteration: Alteration {
                file: format!("crates/ws-mio/src/{}", text("file")?),
                place: text("place")?.into(),
                with: text("with")?.replace("PLANTED", &planted),
            },
            told: told
                .filter_map(toml::Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }

    /// Has the simulator look for it; tells whether it was found for what it is.
    fn plant(&self, program: &Path, number: usize) -> Result<bool, Failure> {
        let began = Instant::now();
        let search = search(program, number, SEEDS)?;
        let seconds = began.elapsed().as_secs_f64();
        let (seed, what, passed) = match &search {
            Search::Found(line) => {
                let (seed, what) = seed_and_what(line);
                (
                    seed,
                    what,
                    self.told.iter().any(|told| what.contains(&**told)),
                )
            }
            Search::NotFound => ("-", "NOT FOUND", false),
            Search::Stuck => ("-", "STUCK", false),
        };
        let what: String = what.chars().take(100).collect();
        println!("{:<24}{seed:>6}{seconds:>8.1}  {what}", self.name);
        if !passed {
            println!(
                "  FAILED: {}; to be told by one of {:?}",
                self.what, self.told
            );
        }
        Ok(passed)
    }
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
    fn every_fault_has_its_place_and_a_name_of_its_own() {
        let faults = Fault::all().unwrap();
        assert!(faults.len() >= 8);
        for (number, fault) in faults.iter().enumerate() {
            let source = tool::read(&tool::root().join(&fault.alteration.file)).unwrap();
            let altered = fault.alteration.apply(&source).unwrap();
            assert!(altered.contains(&format!("planted({number})")));
            assert!(!fault.told.is_empty());
            let name = |other: &&Fault| other.name == fault.name;
            assert_eq!(faults.iter().filter(name).count(), 1, "{}", fault.name);
        }
        for alteration in switch() {
            let source = tool::read(&tool::root().join(&alteration.file)).unwrap();
            alteration.apply(&source).unwrap();
        }
    }

    #[test]
    fn line_of_the_simulator_is_taken_apart() {
        let line = "seed 7 in step 12: connection 3: it is stuck";
        assert_eq!(seed_and_what(line), ("7", "connection 3: it is stuck"));
    }
}
