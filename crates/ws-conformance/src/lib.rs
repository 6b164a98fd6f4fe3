//! The conformance vectors of RFC 6455, RFC 7692 and [MS-WSPE], and what runs them against
//! `ws-proto` and `ws-handshake`.
//!
//! The format is described in the README of this crate. Any folder laid out like it can be run.

mod action;
mod agreed;
mod bytes;
mod deflate;
mod handshake;
mod inbound;
mod json;
mod matrix;
mod outbound;
mod proto;
mod role;
mod sent;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use inbound::Inbound;
use json::Object;
use outbound::Outbound;
use serde_json::Value;

/// Advised outcomes (`"strict": false`) that the crates do not give, and why.
const KNOWN: &[Known] = &[];

struct Known {
    name: &'static str,
    reason: &'static str,
}

fn known(case: &Case) -> Option<&'static Known> {
    KNOWN
        .iter()
        .find(|known| !case.is_strict && known.name == case.name)
}

/// What one vector feeds to whom.
#[derive(Debug)]
pub struct Input {
    /// The file that holds it, as `vectors/inbound-utf8.json`.
    pub class: String,
    /// The vector's name.
    pub name: String,
    /// The reader of the bytes.
    pub receiver: Receiver,
    /// All of the input.
    pub bytes: Vec<u8>,
}

/// The endpoint that an input is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// A server with `accept_unmasked_frame` off.
    StrictServer,
    /// A server with `accept_unmasked_frame` on.
    AcceptingServer,
    /// A client that reads frames.
    Client,
    /// A server that reads the request of an opening handshake.
    Request,
    /// A client that reads the reply to its opening handshake.
    Response,
    /// An endpoint of any role that agreed to permessage-deflate.
    Inflating,
    /// Written by an endpoint rather than read.
    Nobody,
}

/// Why a folder of vectors cannot be read, as one sentence for the person who called.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// All vectors of a folder.
#[derive(Debug)]
pub struct Suite {
    cases: Vec<Case>,
}

/// One vector.
#[derive(Debug)]
struct Case {
    class: String,
    name: String,
    requirements: Vec<String>,
    is_strict: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Inbound(Inbound),
    Outbound(Outbound),
    OutboundDeflate(deflate::Outbound),
    Header(matrix::Cell),
    Handshake(handshake::Test),
}

impl Suite {
    /// Reads `DIR/vectors/*.json`, `DIR/vectors/header_matrix.csv` and `DIR/handshake/*.json`.
    ///
    /// # Errors
    ///
    /// [`Failure`] names the file that cannot be read, or the field that is not of the format.
    pub fn read(dir: &Path) -> Result<Self, Failure> {
        let mut suite = Self { cases: Vec::new() };
        for folder in ["vectors", "handshake"] {
            for file in json_files(&dir.join(folder)) {
                let document: Value = serde_json::from_str(&read(&file)?)
                    .map_err(|error| Failure::new(format!("{}: {error}", file.display())))?;
                suite.add(&class_of(dir, &file), &document)?;
            }
        }
        let matrix = dir.join("vectors/header_matrix.csv");
        if matrix.is_file() {
            suite.add_matrix(&class_of(dir, &matrix), &read(&matrix)?)?;
        }
        if suite.cases.is_empty() {
            return Err(Failure::new(format!(
                "there are no vectors in {}: no vectors/*.json, vectors/header_matrix.csv or handshake/*.json",
                dir.display()
            )));
        }
        Ok(suite)
    }

    /// The requirements that the vectors test, each with the file that holds the vector, as
    /// `vectors/inbound-utf8.json`.
    #[must_use]
    pub fn citations(&self) -> BTreeSet<(&str, &str)> {
        let cases = self.cases.iter().filter(|case| known(case).is_none());
        cases
            .flat_map(|case| {
                let ids = case.requirements.iter();
                ids.map(|id| (id.as_str(), case.class.as_str()))
            })
            .collect()
    }

    /// The bytes of the vectors, as seeds for a fuzzer.
    #[must_use]
    pub fn into_inputs(self) -> Vec<Input> {
        let cases = self.cases.into_iter();
        cases.filter_map(Case::into_input).collect()
    }

    fn add(&mut self, class: &str, document: &Value) -> Result<(), Failure> {
        let document = Object::new(document, class);
        let kind = document.text("kind")?;
        if document.number("format")? != 1 {
            return Err(document.wrong("format", "1"));
        }
        for value in document.list("vectors")? {
            let vector = Object::new(value, class);
            let name = vector.text("name")?;
            let test = match kind {
                "inbound" => Test::Inbound(Inbound::parse(value, name)?),
                "outbound" => Test::Outbound(Outbound::parse(value, name)?),
                "outbound-properties" => {
                    Test::OutboundDeflate(deflate::Outbound::parse(value, name)?)
                }
                _ => Test::Handshake(handshake::Test::parse(kind, value, name)?),
            };
            self.cases.push(Case {
                class: class.to_owned(),
                name: name.to_owned(),
                requirements: vector.strings("req")?,
                is_strict: vector.get("strict").is_none_or(|strict| *strict != false),
                test,
            });
        }
        Ok(())
    }

    fn add_matrix(&mut self, class: &str, text: &str) -> Result<(), Failure> {
        for cell in matrix::parse(text)? {
            self.cases.push(Case {
                class: format!("{class} {}", cell.column()),
                name: cell.name.clone(),
                requirements: Vec::new(),
                is_strict: true,
                test: Test::Header(cell),
            });
        }
        Ok(())
    }

    /// Runs all of it on as many threads as there are processors.
    #[must_use]
    pub fn check(&self) -> Report<'_> {
        let started = Instant::now();
        // The longest first: they would otherwise be what everybody waits for in the end.
        let mut order: Vec<usize> = (0..self.cases.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(self.cases[index].len()));
        let next = AtomicUsize::new(0);
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let mut results: Vec<(usize, Result<(), String>)> = thread::scope(|scope| {
            let handles: Vec<_> = (0..workers)
                .map(|_| {
                    scope.spawn(|| {
                        let mut done = Vec::new();
                        while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                            done.push((index, self.cases[index].check()));
                        }
                        done
                    })
                })
                .collect();
            handles
                .into_iter()
                .flat_map(|handle| handle.join().unwrap_or_default())
                .collect()
        });
        results.sort_by_key(|(index, _)| *index);
        Report {
            suite: self,
            results,
            took: started.elapsed(),
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// The vectors in a folder, in order of their names; none if there is no such folder.
fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.sort();
    files
}

fn class_of(dir: &Path, file: &Path) -> String {
    file.strip_prefix(dir).unwrap_or(file).display().to_string()
}

impl Case {
    fn len(&self) -> usize {
        match &self.test {
            Test::Inbound(vector) => vector.len(),
            Test::Outbound(_) | Test::OutboundDeflate(_) | Test::Header(_) => 0,
            Test::Handshake(test) => test.len(),
        }
    }

    fn check(&self) -> Result<(), String> {
        match &self.test {
            Test::Inbound(vector) => vector.check(cuts(vector.len())),
            Test::Outbound(vector) => vector.check(),
            Test::OutboundDeflate(vector) => vector.check(),
            Test::Header(cell) => cell.check(),
            Test::Handshake(test) => test.check(cuts(test.len())),
        }
    }

    fn into_input(self) -> Option<Input> {
        let (receiver, bytes) = match self.test {
            Test::Inbound(vector) => vector.into_input(),
            Test::Outbound(vector) => (Receiver::Nobody, vector.into_bytes()),
            Test::OutboundDeflate(_) => return None,
            Test::Header(cell) => cell.into_input(),
            Test::Handshake(test) => test.into_input()?,
        };
        Some(Input {
            class: self.class,
            name: self.name,
            receiver,
            bytes,
        })
    }
}

/// Where an input of `len` bytes is cut in two: everywhere, unless it is too long for that.
fn cuts(len: usize) -> Box<dyn Iterator<Item = usize>> {
    if len <= CUT_EVERYWHERE {
        Box::new(0..len)
    } else {
        Box::new((0..len).filter(move |at| *at < CUT_ENDS || len - at < CUT_ENDS || at % 997 == 0))
    }
}

/// The longest input that is cut at every place; the work grows with the square of the length.
const CUT_EVERYWHERE: usize = 200_000;
/// How many bytes at either end of a longer input are cut at every place; between them every 997th.
const CUT_ENDS: usize = 4096;

/// What became of each vector. `Display` prints counts for each class, and each failure by name.
#[derive(Debug)]
pub struct Report<'s> {
    suite: &'s Suite,
    results: Vec<(usize, Result<(), String>)>,
    took: Duration,
}

/// Counts of one class.
#[derive(Debug, Default)]
struct Tally {
    strict: usize,
    strict_passed: usize,
    advised: usize,
    advised_passed: usize,
}

impl Report<'_> {
    /// Whether every vector passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        // A vector whose result is missing took its thread down with it.
        self.results.len() == self.suite.cases.len() && self.failures().next().is_none()
    }

    /// What went wrong and is not known to.
    fn failures(&self) -> impl Iterator<Item = (&Case, &String)> {
        self.results.iter().filter_map(|(index, result)| {
            let case = &self.suite.cases[*index];
            let why = result.as_ref().err()?;
            known(case).is_none().then_some((case, why))
        })
    }

    /// How many vectors of each class there are, and how many of them passed: those that a rule of
    /// a specification decides, without those that are advice.
    #[must_use]
    pub fn counts(&self) -> Vec<(&str, usize, usize)> {
        let tallies = self.tallies().into_iter();
        let strict = tallies.filter(|(_, tally)| tally.strict > 0);
        strict
            .map(|(class, tally)| (class, tally.strict, tally.strict_passed))
            .collect()
    }

    fn tallies(&self) -> BTreeMap<&str, Tally> {
        let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
        for (index, result) in &self.results {
            let case = &self.suite.cases[*index];
            let tally = tallies.entry(&case.class).or_default();
            let passed = usize::from(result.is_ok());
            if case.is_strict {
                tally.strict += 1;
                tally.strict_passed += passed;
            } else {
                tally.advised += 1;
                tally.advised_passed += passed;
            }
        }
        tallies
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<42} {:>13} {:>9}", "class", "passed", "advised")?;
        let mut total = Tally::default();
        for (class, tally) in self.tallies() {
            writeln!(f, "{class:<42} {tally}")?;
            total.strict += tally.strict;
            total.strict_passed += tally.strict_passed;
            total.advised += tally.advised;
            total.advised_passed += tally.advised_passed;
        }
        writeln!(f, "{:<42} {total}", "all")?;
        let long = self
            .suite
            .cases
            .iter()
            .filter(|case| case.len() > CUT_EVERYWHERE);
        for case in long {
            writeln!(
                f,
                "cut at 1 place in 997 only, but for the first and last {CUT_ENDS} bytes: {} ({} bytes)",
                case.name,
                case.len()
            )?;
        }
        for (index, result) in &self.results {
            let case = &self.suite.cases[*index];
            let Some(known) = known(case) else { continue };
            match result {
                Ok(()) => writeln!(f, "known to fail, but passes: {}", known.name)?,
                Err(why) => writeln!(f, "known: {}: {} ({why})", known.name, known.reason)?,
            }
        }
        for (case, why) in self.failures() {
            let advised = if case.is_strict { "" } else { " (advised)" };
            writeln!(f, "FAILED {}{advised}: {why}", case.name)?;
        }
        let lost = self.suite.cases.len() - self.results.len();
        if lost > 0 {
            writeln!(f, "FAILED {lost} vectors have no result: a thread panicked")?;
        }
        let verdict = if self.passed() { "passed" } else { "failed" };
        writeln!(f, "{verdict} in {:.1} s", self.took.as_secs_f64())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strict = format!("{} of {}", self.strict_passed, self.strict);
        write!(f, "{strict:>13}")?;
        if self.advised > 0 {
            write!(
                f,
                " {:>9}",
                format!("{} of {}", self.advised_passed, self.advised)
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_conformance_vector_passes() {
        let suite = Suite::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("readable vectors");
        let report = suite.check();
        assert!(report.passed(), "\n{report}");
        assert!(report.results.len() > 10_000, "\n{report}");
    }

    #[test]
    fn every_known_failure_is_an_advised_vector() {
        let suite = Suite::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("readable vectors");
        for known in KNOWN {
            assert!(
                suite
                    .cases
                    .iter()
                    .any(|case| !case.is_strict && case.name == known.name),
                "{} ({})",
                known.name,
                known.reason
            );
        }
    }

    #[test]
    fn a_folder_without_vectors_is_an_error() {
        assert!(Suite::read(Path::new("src")).is_err());
    }

    #[test]
    fn short_inputs_are_cut_everywhere_and_long_ones_at_both_ends() {
        assert_eq!(cuts(5).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        let long: Vec<_> = cuts(CUT_EVERYWHERE + 1).collect();
        assert!(long.contains(&0) && long.contains(&CUT_EVERYWHERE) && long.len() < 10_000);
    }

    /// A vector of one masked `Hello` with a Ping before it, with one field of it changed.
    fn changed(change: impl FnOnce(&mut Value)) -> Result<(), String> {
        let mut vector = serde_json::json!({
            "name": "hello", "role": "server", "req": [], "config": {},
            "chunks": ["898000000000 8185 37fa213d 7f9f4d5158"],
            "expect": {
                "events": [
                    {"type": "ping", "data": "", "at": 6},
                    {"type": "text", "data": "48656c6c6f", "at": 17},
                ],
                "error": null,
                "replies": [{"type": "pong", "data": ""}],
                "state": "open",
            },
        });
        change(&mut vector);
        let vector = Inbound::parse(&vector, "hello").map_err(|failure| failure.to_string())?;
        vector.check(cuts(vector.len()))
    }

    #[test]
    fn a_wrong_expectation_is_noticed() {
        assert_eq!(changed(|_| {}), Ok(()));
        let wrong: [fn(&mut Value); 11] = [
            |v| v["chunks"][0] = "898000000000 8185 37fa213d 7f9f4d5159".into(),
            |v| v["chunks"][0] = "898000000000 8185 37fa213d 7f9f4d51".into(),
            |v| v["expect"]["events"][1]["type"] = "binary".into(),
            |v| v["expect"]["events"][1]["at"] = 16.into(),
            |v| v["expect"]["events"][1]["at"] = 18.into(),
            |v| v["expect"]["events"] = serde_json::json!([]),
            |v| v["expect"]["replies"] = serde_json::json!([]),
            |v| v["expect"]["replies"][0]["data"] = "00".into(),
            |v| v["expect"]["state"] = "closed".into(),
            |v| v["eof"] = true.into(),
            |v| {
                v["expect"]["error"] = serde_json::json!(
                    {"kinds": ["reserved_bits"], "codes": [1002], "at": 0, "by": 1}
                );
            },
        ];
        for (index, change) in wrong.into_iter().enumerate() {
            assert!(changed(change).is_err(), "change {index}");
        }
    }

    #[test]
    fn a_wrong_error_is_noticed() {
        let failing = |error: Value| {
            changed(|vector| {
                vector["chunks"][0] = "898000000000 8105".into();
                vector["expect"]["events"] =
                    serde_json::json!([{"type": "ping", "data": "", "at": 6}]);
                vector["expect"]["replies"] = serde_json::json!([
                    {"type": "pong", "data": ""},
                    {"type": "close", "code": 1002, "optional": true},
                ]);
                vector["expect"]["state"] = "failed".into();
                vector["expect"]["error"] = error;
            })
        };
        let error = |kind: &str, code: u16, at: u64| serde_json::json!({"kinds": [kind], "codes": [code], "at": at, "by": 8});
        assert_eq!(failing(error("unmasked_frame", 1002, 8)), Ok(()));
        assert!(failing(error("unmasked_frame", 1002, 9)).is_err());
        assert!(failing(error("unmasked_frame", 1007, 8)).is_err());
        assert!(failing(error("masked_frame", 1002, 8)).is_err());
        assert!(failing(Value::Null).is_err());
    }
}
