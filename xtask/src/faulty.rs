//! Faults that are planted: those of `crates/ws-conformance/faults.toml`, and builds that have
//! them.

use std::process::Command;

use crate::tool::{self, Failure};

/// The environment variable that says which fault is planted.
pub(crate) const VARIABLE: &str = "WS_FAULT";

/// A row of `crates/ws-conformance/faults.toml`.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) name: String,
    pub(crate) what: String,
    /// Parts of what the simulator may say of it; none if it need not find it.
    pub(crate) told: Vec<String>,
}

impl Fault {
    /// All faults there are.
    pub(crate) fn all() -> Result<Vec<Self>, Failure> {
        let document: toml::Table =
            tool::read(&tool::root().join("crates/ws-conformance/faults.toml"))?
                .parse()
                .map_err(|error| Failure::new(format!("faults.toml: {error}")))?;
        let rows = document.get("fault").and_then(toml::Value::as_array);
        let rows = rows.ok_or_else(|| Failure::new("faults.toml has no [[fault]]"))?;
        rows.iter().map(Self::parse).collect()
    }

    fn parse(row: &toml::Value) -> Result<Self, Failure> {
        let text = |key| {
            let value = row.get(key).and_then(toml::Value::as_str);
            value.ok_or_else(|| Failure::new(format!("faults.toml: no {key} in {row}")))
        };
        Ok(Self {
            name: text("name")?.into(),
            what: text("what")?.into(),
            told: texts(row, "told"),
        })
    }
}

fn texts(row: &toml::Value, key: &str) -> Vec<String> {
    let values = row.get(key).and_then(toml::Value::as_array);
    let values = values.into_iter().flatten();
    values
        .filter_map(toml::Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Cargo for a build that has the faults.
pub(crate) fn cargo() -> Command {
    let mut cargo = tool::cargo();
    cargo.env("RUSTFLAGS", "--cfg ws_faults");
    cargo
}

/// Builds programs with all faults, one of which is chosen when they run.
pub(crate) fn build(programs: &[&str]) -> Result<(), Failure> {
    let programs = programs.iter().flat_map(|program| ["--bin", program]);
    tool::run(
        cargo()
            .args(["build", "--quiet", "--workspace"])
            .args(programs),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_row_and_a_place_and_somebody_who_finds_it() {
        let sources = tool::files_below(&tool::root().join("crates"), &|path| {
            path.extension().is_some_and(|extension| extension == "rs")
        });
        let mut places = BTreeSet::new();
        for source in sources.unwrap() {
            let source = tool::read(&source).unwrap();
            let names = source.split("fault!(\"").skip(1);
            places.extend(names.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
        let faults = Fault::all().unwrap();
        let rows: BTreeSet<_> = faults.iter().map(|fault| fault.name.clone()).collect();
        assert_eq!(places, rows);
        assert_eq!(rows.len(), faults.len(), "a name of its own");
        let document = tool::read(&tool::root().join("crates/ws-conformance/HOSTILE.md")).unwrap();
        for fault in &faults {
            let by_test = document.contains(&format!("`{}`", fault.name));
            // Those of ws-backplane are for the tests beside it.
            let by_others = fault.name.starts_with("backplane-");
            assert!(
                !fault.told.is_empty() || by_test || by_others,
                "{}",
                fault.name
            );
        }
        let by_simulator = faults.iter().filter(|fault| !fault.told.is_empty());
        assert!(by_simulator.count() >= 40);
    }

    #[test]
    fn macro_is_the_same_in_all_crates() {
        let macros = tool::files_below(&tool::root().join("crates"), &|path| {
            path.ends_with("src/fault.rs")
        });
        let macros: BTreeSet<_> = macros
            .unwrap()
            .iter()
            .map(|file| tool::read(file).unwrap())
            .collect();
        assert_eq!(macros.len(), 1);
    }
}
