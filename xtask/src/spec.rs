//! `cargo xtask spec`: requirement → code → test.
//!
//! A line `//= RFC6455-5.1-3` stands where code obeys the requirement of that name in
//! `crates/ws-conformance/requirements.toml`, and again on a test that would notice if it did not.
//! The conformance vectors carry names of requirements too and count as tests.

use std::{collections::BTreeMap, fmt, path::Path};

use lexopt::{Arg, Parser};

use crate::{
    tool::{self, Failure, Outcome},
    vectors,
};

pub(crate) const HELP: &str = "
cargo xtask spec [--table]

Matches crates/ws-conformance/requirements.toml with the citations (`//= ID, ID`) in crates/*/src, crates/*/tests,
examples and xtask, and with the conformance vectors that are run. Fails when a MUST or MUST NOT of
the layers proto, handshake and deflate, or of [MS-WSPE], has no code or no test, and when an unknown
requirement is cited.

  --table    print every requirement with its code and its tests as a Markdown table
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut table = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("table") => table = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let (requirements, citations) = read()?;
    let report = Report::new(&requirements, citations);
    if table {
        print!("{}", report.table());
        println!();
    }
    print!("{report}");
    Ok(Outcome::from_passed(report.passed()))
}

/// The requirements, and where they are cited.
fn read() -> Result<(Vec<Requirement>, Vec<Citation>), Failure> {
    let root = tool::root();
    let requirements = Requirement::parse_all(&tool::read(
        &root.join("crates/ws-conformance/requirements.toml"),
    )?)?;
    let mut citations = Vec::new();
    for file in sources(&root)? {
        let name = tool::relative(&file);
        citations.extend(scan(&name, &tool::read(&file)?));
    }
    let vectors = vectors::read(&vectors::dir())?;
    citations.extend(vectors.citations().into_iter().map(|(id, file)| Citation {
        id: id.to_owned(),
        place: format!("crates/ws-conformance/{file}"),
        kind: Kind::Test,
    }));
    Ok((requirements, citations))
}

/// Of one specification, the rules that have to be obeyed here.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Obeyed {
    /// MUST and MUST NOT of the layers that the crates are.
    pub(crate) required: usize,
    /// Those with code and a test.
    pub(crate) obeyed: usize,
    /// SHOULD and MAY with code and a test.
    pub(crate) advised: usize,
}

/// Counts by specification.
pub(crate) fn obeyed() -> Result<BTreeMap<String, Obeyed>, Failure> {
    let (requirements, citations) = read()?;
    let mut counts: BTreeMap<String, Obeyed> = BTreeMap::new();
    for row in Report::new(&requirements, citations).rows {
        let count = counts.entry(row.requirement.source.clone()).or_default();
        match row.requirement.duty() {
            Duty::Required => {
                count.required += 1;
                count.obeyed += usize::from(row.fault().is_none());
            }
            Duty::Optional => count.advised += usize::from(row.is_cited()),
            Duty::Listed | Duty::Waiting => {}
        }
    }
    Ok(counts)
}

/// Requirements that later work obeys, and why they may be without code today.
const WAITING: &[Waiting] = &[Waiting {
    is: |requirement| requirement.source == "RFC9220" && requirement.layer == "transport",
    reason: "QUIC, on which HTTP/3 runs",
}];

struct Waiting {
    is: fn(&Requirement) -> bool,
    reason: &'static str,
}

/// One row of `crates/ws-conformance/requirements.toml`, as far as it matters here.
#[derive(Debug, Clone)]
struct Requirement {
    id: String,
    source: String,
    level: String,
    layer: String,
    text: String,
}

impl Requirement {
    fn parse_all(text: &str) -> Result<Vec<Self>, Failure> {
        let document: toml::Table = text
            .parse()
            .map_err(|error| Failure::new(format!("requirements.toml: {error}")))?;
        let rows = document
            .get("requirement")
            .and_then(toml::Value::as_array)
            .ok_or_else(|| Failure::new("requirements.toml has no [[requirement]]"))?;
        rows.iter().map(Self::parse).collect()
    }

    fn parse(row: &toml::Value) -> Result<Self, Failure> {
        let field = |name: &str| {
            row.get(name)
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| Failure::new(format!("requirements.toml: a row without {name}")))
        };
        Ok(Self {
            id: field("id")?,
            source: field("source")?,
            level: field("level")?,
            layer: field("layer")?,
            text: field("text")?,
        })
    }

    fn is_absolute(&self) -> bool {
        self.level == "MUST" || self.level == "MUST NOT"
    }

    fn waits_for(&self) -> Option<&'static str> {
        WAITING
            .iter()
            .find(|waiting| (waiting.is)(self))
            .map(|waiting| waiting.reason)
    }

    fn duty(&self) -> Duty {
        if !self.is_absolute() {
            Duty::Optional
        } else if self.waits_for().is_some() {
            Duty::Waiting
        } else if ["proto", "handshake", "deflate"].contains(&self.layer.as_str())
            || self.source == "MSWS"
        {
            Duty::Required
        } else {
            Duty::Listed
        }
    }
}

/// What this report asks of a requirement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// Code and test, or the report fails.
    Required,
    /// An absolute rule of a layer that is not the core's: shown, not enforced.
    Listed,
    /// An absolute rule whose code comes later.
    Waiting,
    /// SHOULD and MAY.
    Optional,
}

/// One mention of a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) id: String,
    pub(crate) place: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Code,
    Test,
}

/// The Rust files in which citations count.
fn sources(root: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let is_rust = |path: &Path| path.extension().is_some_and(|extension| extension == "rs");
    let mut files = Vec::new();
    for crate_dir in std::fs::read_dir(root.join("crates"))? {
        let crate_dir = crate_dir?.path();
        files.extend(tool::files_below(&crate_dir.join("src"), &is_rust)?);
        files.extend(tool::files_below(&crate_dir.join("tests"), &is_rust)?);
    }
    files.extend(tool::files_below(&root.join("examples"), &is_rust)?);
    files.extend(tool::files_below(&root.join("xtask"), &is_rust)?);
    files.sort();
    Ok(files)
}

/// Finds the citations in one file. Everything behind the head of an inline test module is a test,
/// and so is all of a file called `tests.rs` or below a folder `tests`.
fn scan(name: &str, text: &str) -> Vec<Citation> {
    let is_test_file = name.split('/').any(|part| part == "tests")
        || name
            .rsplit('/')
            .next()
            .is_some_and(|file| file == "tests.rs");
    let mut kind = if is_test_file { Kind::Test } else { Kind::Code };
    let mut behind_cfg_test = false;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line == "#[cfg(test)]" {
            behind_cfg_test = true;
        } else if behind_cfg_test && !line.starts_with("#[") {
            if line.starts_with("mod ") && line.ends_with('{') {
                kind = Kind::Test;
            }
            behind_cfg_test = false;
        }
        let Some(ids) = line.strip_prefix("//= ") else {
            continue;
        };
        found.extend(
            ids.split([',', ' ', '\t'])
                .filter(|id| !id.is_empty())
                .map(|id| Citation {
                    id: id.to_owned(),
                    place: format!("{name}:{}", index + 1),
                    kind,
                }),
        );
    }
    found
}

#[derive(Debug)]
struct Report<'r> {
    rows: Vec<Row<'r>>,
    unknown: Vec<Citation>,
}

#[derive(Debug)]
struct Row<'r> {
    requirement: &'r Requirement,
    code: Vec<String>,
    tests: Vec<String>,
}

impl Row<'_> {
    /// What is missing from a requirement that must be obeyed, or `None`.
    fn fault(&self) -> Option<&'static str> {
        if self.requirement.duty() != Duty::Required {
            return None;
        }
        match (self.code.is_empty(), self.tests.is_empty()) {
            (true, true) => Some("no code, no test"),
            (true, false) => Some("no code"),
            (false, true) => Some("no test"),
            (false, false) => None,
        }
    }

    fn is_cited(&self) -> bool {
        !self.code.is_empty() && !self.tests.is_empty()
    }
}

impl<'r> Report<'r> {
    fn new(requirements: &'r [Requirement], citations: Vec<Citation>) -> Self {
        let mut places: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
        let mut unknown = Vec::new();
        for citation in citations {
            if !requirements.iter().any(|row| row.id == citation.id) {
                unknown.push(citation);
                continue;
            }
            let (code, tests) = places.entry(citation.id).or_default();
            match citation.kind {
                Kind::Code => code.push(citation.place),
                Kind::Test => tests.push(citation.place),
            }
        }
        let rows = requirements
            .iter()
            .map(|requirement| {
                let (code, tests) = places.remove(&requirement.id).unwrap_or_default();
                Row {
                    requirement,
                    code,
                    tests,
                }
            })
            .collect();
        Self { rows, unknown }
    }

    fn passed(&self) -> bool {
        self.unknown.is_empty() && self.rows.iter().all(|row| row.fault().is_none())
    }

    fn table(&self) -> String {
        let mut table = String::from(
            "| requirement | level | layer | code | tests | state |\n|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            let Requirement {
                id, level, layer, ..
            } = row.requirement;
            let state = match row.requirement.duty() {
                Duty::Required => row.fault().unwrap_or("obeyed"),
                Duty::Waiting => "waiting",
                Duty::Listed | Duty::Optional if row.is_cited() => "obeyed",
                Duty::Listed => "not this layer's",
                Duty::Optional => "optional",
            };
            table += &format!(
                "| {id} | {level} | {layer} | {} | {} | {state} |\n",
                row.code.join("<br>"),
                row.tests.join("<br>")
            );
        }
        table
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |duty: Duty| {
            self.rows
                .iter()
                .filter(move |row| row.requirement.duty() == duty)
        };
        let (required, listed) = (count(Duty::Required), count(Duty::Listed));
        let obeyed = count(Duty::Required)
            .filter(|row| row.fault().is_none())
            .count();
        writeln!(
            f,
            "{} requirements; MUST and MUST NOT:\n  \
             {:>3} required (layers proto, handshake and deflate, [MS-WSPE]), {obeyed} with code and test\n  \
             {:>3} of other layers, {} with code and test",
            self.rows.len(),
            required.count(),
            listed.count(),
            count(Duty::Listed).filter(|row| row.is_cited()).count(),
        )?;
        for waiting in WAITING {
            let rows = count(Duty::Waiting)
                .filter(|row| row.requirement.waits_for() == Some(waiting.reason));
            writeln!(f, "  {:>3} waiting: {}", rows.count(), waiting.reason)?;
        }
        for row in &self.rows {
            if let Some(fault) = row.fault() {
                let Requirement {
                    id, level, text, ..
                } = row.requirement;
                writeln!(f, "{fault}: {id} ({level}) {text}")?;
            }
        }
        for Citation { id, place, .. } in &self.unknown {
            writeln!(f, "unknown requirement: {id} cited at {place}")?;
        }
        let faults = self.rows.iter().filter(|row| row.fault().is_some()).count();
        if self.passed() {
            writeln!(f, "passed")
        } else {
            writeln!(
                f,
                "failed: {faults} requirements without code or test, {} unknown citations",
                self.unknown.len()
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Quoted line by line, so that this file cites nothing itself.
    const SOURCE: &str = concat!(
        "fn obey() {\n",
        "    //= A-1\n",
        "    //= A-2, A-3 A-4\n",
        "    // = A-5 is no citation\n",
        "    let quoted = \"x //= A-6\";\n",
        "}\n",
        "\n",
        "#[cfg(test)]\n",
        "mod tests {\n",
        "    //= A-1\n",
        "}\n",
    );

    fn ids(citations: &[Citation], kind: Kind) -> Vec<&str> {
        citations
            .iter()
            .filter(|citation| citation.kind == kind)
            .map(|citation| citation.id.as_str())
            .collect()
    }

    #[test]
    fn citations_before_the_test_module_are_code_and_after_it_tests() {
        let citations = scan("crates/a/src/lib.rs", SOURCE);
        assert_eq!(ids(&citations, Kind::Code), ["A-1", "A-2", "A-3", "A-4"]);
        assert_eq!(ids(&citations, Kind::Test), ["A-1"]);
        assert_eq!(citations[0].place, "crates/a/src/lib.rs:2");
    }

    #[test]
    fn files_of_tests_hold_tests_only() {
        for name in ["crates/a/tests/wire.rs", "crates/a/src/header/tests.rs"] {
            assert_eq!(ids(&scan(name, SOURCE), Kind::Code), [""; 0]);
            assert_eq!(ids(&scan(name, SOURCE), Kind::Test).len(), 5);
        }
    }

    #[test]
    fn a_declared_test_module_does_not_make_the_rest_of_the_file_a_test() {
        let source = "#[cfg(test)]\nmod tests;\n\n//= A-1\nfn obey() {}\n";
        assert_eq!(ids(&scan("a.rs", source), Kind::Code), ["A-1"]);
        let source = "#[cfg(test)]\nuse other::Thing;\nmod inner {\n//= A-1\n}\n";
        assert_eq!(ids(&scan("a.rs", source), Kind::Code), ["A-1"]);
        let source = "#[cfg(test)]\n#[allow(dead_code)]\nmod tests {\n//= A-1\n}\n";
        assert_eq!(ids(&scan("a.rs", source), Kind::Test), ["A-1"]);
    }

    fn requirement(id: &str, source: &str, level: &str, layer: &str) -> Requirement {
        Requirement {
            id: id.to_owned(),
            source: source.to_owned(),
            level: level.to_owned(),
            layer: layer.to_owned(),
            text: String::new(),
        }
    }

    #[test]
    fn absolute_rules_of_the_core_need_code_and_test() {
        let rules = [
            requirement("A-1", "RFC6455", "MUST", "proto"),
            requirement("A-2", "RFC6455", "MUST NOT", "handshake"),
            requirement("A-3", "MSWS", "MUST", "app"),
            requirement("A-4", "RFC6455", "SHOULD", "proto"),
            requirement("A-5", "RFC6455", "MUST", "tls"),
            requirement("A-6", "RFC7692", "MUST", "deflate"),
            requirement("A-7", "RFC9220", "MUST", "transport"),
        ];
        let report = Report::new(&rules, scan("crates/a/src/lib.rs", SOURCE));
        let faults: Vec<_> = report.rows.iter().map(Row::fault).collect();
        assert_eq!(
            faults,
            [
                None,
                Some("no test"),
                Some("no test"),
                None,
                None,
                Some("no code, no test"),
                None
            ]
        );
        assert!(!report.passed());
        assert!(
            Report::new(
                &rules[..1],
                scan("a.rs", "//= A-1\n#[cfg(test)]\nmod t {\n//= A-1\n}")
            )
            .passed()
        );
    }

    #[test]
    fn an_unknown_requirement_fails() {
        let report = Report::new(&[], scan("a.rs", "//= A-9\n"));
        assert!(!report.passed());
        assert!(report.to_string().contains("A-9 cited at a.rs:1"));
    }

    #[test]
    fn the_list_of_requirements_is_readable() {
        let text = tool::read(&tool::root().join("crates/ws-conformance/requirements.toml"))
            .expect("the list");
        let rules = Requirement::parse_all(&text).expect("valid rows");
        assert!(rules.len() > 400, "{}", rules.len());
    }
}
