//! `cargo xtask features`: every combination of features of every crate builds without a warning.

use lexopt::{Arg, Parser, ValueExt};
use serde_json::Value;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask features [--all] [-p CRATE]...

Lints the library of every crate below crates/ (or of the named ones) with none of its features, each
alone, each left out, and all of them, warnings denied.

  --all   with every combination of features
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let (mut wanted, mut is_all) = (Vec::new(), false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Short('p') | Arg::Long("package") => wanted.push(arguments.value()?.string()?),
            Arg::Long("all") => is_all = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let packages = packages()?;
    if let Some(name) = wanted
        .iter()
        .find(|name| !packages.iter().any(|package| package.name == **name))
    {
        return Err(Failure::new(format!(
            "there is no crate {name} below crates/"
        )));
    }
    let mut failed = Vec::new();
    for package in packages {
        if !wanted.is_empty() && !wanted.contains(&package.name) {
            continue;
        }
        for features in package.combinations(is_all) {
            let result = tool::run(
                tool::cargo()
                    .args(["clippy", "--quiet", "--lib", "--no-default-features"])
                    .args(["--package", &package.name, "--features", &features])
                    .args(["--", "-D", "warnings"]),
            );
            if result.is_err() {
                failed.push(format!("{} with features [{features}]", package.name));
            }
        }
    }
    for failure in &failed {
        println!("FAILED {failure}");
    }
    Ok(Outcome::from_passed(failed.is_empty()))
}

#[derive(Debug)]
struct Package {
    name: String,
    /// Without `default`, which only stands for others.
    features: Vec<String>,
}

impl Package {
    /// Sets of features, as Cargo's `--features` takes them: all, or those in which one feature or
    /// none is unlike the others.
    fn combinations(&self, is_all: bool) -> impl Iterator<Item = String> {
        let count = self.features.len() as u32;
        let sets = 0..1_u32 << count;
        let is_asked = move |set: &u32| {
            let chosen = set.count_ones();
            is_all || chosen.min(count - chosen) <= 1
        };
        sets.filter(is_asked).map(|set| {
            let chosen = self.features.iter().enumerate();
            chosen
                .filter(|(index, _)| set >> index & 1 == 1)
                .map(|(_, name)| name.as_str())
                .collect::<Vec<_>>()
                .join(",")
        })
    }
}

fn packages() -> Result<Vec<Package>, Failure> {
    let metadata =
        tool::output_of(tool::cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
    let wrong = || Failure::new("cargo metadata: not of the form that is known");
    let below = tool::root().join("crates").display().to_string();
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().ok_or_else(wrong)? {
        let manifest = package["manifest_path"].as_str().ok_or_else(wrong)?;
        if !manifest.starts_with(&below) || !has_library(package) {
            continue;
        }
        packages.push(Package {
            name: package["name"].as_str().ok_or_else(wrong)?.to_owned(),
            features: package["features"]
                .as_object()
                .ok_or_else(wrong)?
                .keys()
                .filter(|name| *name != "default")
                .cloned()
                .collect(),
        });
    }
    Ok(packages)
}

/// Tells whether a package has a library: a program has no features to choose
/// from.
fn has_library(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets
        .filter_map(|target| target["kind"].as_array())
        .flatten()
        .any(|kind| kind == "lib")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_features_is_there_once() {
        let package = Package {
            name: "a".to_owned(),
            features: vec!["std".to_owned(), "tls".to_owned()],
        };
        let sets: Vec<_> = package.combinations(true).collect();
        assert_eq!(sets, ["", "std", "tls", "std,tls"]);
    }

    #[test]
    fn sample_of_sets_has_each_feature_with_and_without_the_others() {
        let package = Package {
            name: "a".to_owned(),
            features: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        };
        let sets: Vec<_> = package.combinations(false).collect();
        assert_eq!(
            sets,
            [
                "", "a", "b", "c", "a,b,c", "d", "a,b,d", "a,c,d", "b,c,d", "a,b,c,d"
            ]
        );
    }
}
