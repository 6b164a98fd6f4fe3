//! `cargo xtask msrv`: the least Rust that the crates need.

use std::{collections::BTreeSet, process::Command};

use lexopt::{Arg, Parser};
use serde_json::Value;

use crate::{
    log::Log,
    package::{self, Package},
    tool::{self, Failure, Outcome},
};

pub(crate) const HELP: &str = "
cargo xtask msrv [--allow-missing]

Checks that no dependency of a crate that is to be published asks for a newer Rust than the crate's
`rust-version`, and compiles the crates with that Rust, which rustup adds where it is missing. A test
of xtask compares the numbers that README.md and CONTRIBUTING.md tell.

  --allow-missing   leave out the toolchains that rustup cannot add, and say so
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut allow_missing = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("allow-missing") => allow_missing = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let packages = package::packages()?;
    let metadata = metadata()?;
    let mut log = Log::default();
    for package in &packages {
        let name = format!(
            "what {} depends on, with Rust {}",
            package.name,
            rust(package)
        );
        log.note(&name, check_dependencies(package, &metadata));
    }
    let stable = tool::output_of(Command::new("rustc").arg("--version"))?;
    let versions: BTreeSet<_> = packages.iter().map(rust).collect();
    for version in versions {
        let crates = packages.iter().filter(|package| rust(package) == version);
        let names: Vec<_> = crates.map(|package| package.name.as_str()).collect();
        let name = format!("{} with Rust {version}", names.join(", "));
        if stable.split(' ').nth(1).map(number) == Some(number(version)) {
            log.leave_out(&name, &"it is the Rust of all other checks");
            continue;
        }
        match add_toolchain(version) {
            Ok(toolchain) => log.note(&name, compile(&toolchain, &names)),
            Err(failure) if allow_missing => log.leave_out(&name, &failure),
            Err(failure) => log.note(&name, Err(failure)),
        }
    }
    Ok(log.finish())
}

/// A crate's `rust-version`.
fn rust(package: &Package) -> &str {
    package.metadata["rust_version"]
        .as_str()
        .unwrap_or_default()
}

/// Asks Cargo for all crates that a user's build takes in, on every system.
fn check_dependencies(package: &Package, metadata: &Value) -> Result<(), Failure> {
    let mut tree = tool::cargo();
    tree.args([
        "tree",
        "--package",
        &package.name,
        "--all-features",
        "--target",
        "all",
    ]);
    tree.args([
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]);
    let tree = tool::output_of(&mut tree)?;
    let crates: BTreeSet<_> = tree.lines().filter_map(name_and_version).collect();
    let newer = newer(metadata, &crates, rust(package));
    match newer.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(newer.join(", "))),
    }
}

/// What Cargo knows of all crates.
fn metadata() -> Result<Value, Failure> {
    let mut metadata = tool::cargo();
    metadata.args(["metadata", "--format-version", "1", "--all-features"]);
    serde_json::from_str(&tool::output_of(&mut metadata)?)
        .map_err(|error| Failure::new(format!("cargo metadata: {error}")))
}

/// The crates of a tree that ask for a newer Rust.
fn newer(metadata: &Value, crates: &BTreeSet<(&str, &str)>, rust: &str) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .filter_map(|package| {
            let named = (package["name"].as_str()?, package["version"].as_str()?);
            let asks = package["rust_version"].as_str()?;
            (crates.contains(&named) && number(asks) > number(rust))
                .then(|| format!("{} {} asks for {asks}", named.0, named.1))
        })
        .collect()
}

/// Reads `name v1.2.3 (path) (*)`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

/// A version of Rust, so that versions compare.
fn number(version: &str) -> [u64; 3] {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

/// Makes sure of a toolchain; returns its name.
fn add_toolchain(version: &str) -> Result<String, Failure> {
    let [major, minor, patch] = number(version);
    let name = format!("{major}.{minor}.{patch}");
    let mut list = Command::new("rustup");
    let list = tool::output_of(list.args(["toolchain", "list"]))?;
    if !list
        .lines()
        .any(|line| line.starts_with(&format!("{name}-")))
    {
        let mut install = Command::new("rustup");
        install.args(["toolchain", "install", &name, "--profile", "minimal"]);
        tool::run(&mut install)?;
    }
    Ok(name)
}

fn compile(toolchain: &str, names: &[&str]) -> Result<(), Failure> {
    let mut check = tool::rustup_cargo();
    check.args([
        &format!("+{toolchain}"),
        "check",
        "--quiet",
        "--all-features",
    ]);
    check.args(names.iter().flat_map(|name| ["--package", name]));
    check
        .arg("--target-dir")
        .arg(tool::target_dir().join("msrv"));
    tool::run(&mut check)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_of_the_least_rust_is_what_the_manifests_say() {
        let root = tool::root();
        let manifest = tool::read(&root.join("Cargo.toml")).unwrap();
        let manifest: toml::Table = toml::from_str(&manifest).unwrap();
        let rust = manifest["workspace"]["package"]["rust-version"]
            .as_str()
            .unwrap();
        let of_wsdo = tool::read(&root.join("crates/wsdo/Cargo.toml")).unwrap();
        let of_wsdo: toml::Table = toml::from_str(&of_wsdo).unwrap();
        let of_wsdo = of_wsdo["package"]["rust-version"].as_str().unwrap();
        let sentence =
            format!("minimum supported Rust version is {rust}, and {of_wsdo} for `wsdo`");
        for file in ["README.md", "CONTRIBUTING.md"] {
            let text = tool::read(&root.join(file)).unwrap().replace('\n', " ");
            assert!(text.contains(&sentence), "{file} does not say: {sentence}");
        }
        // Clippy and the tests run with whatever is newest, which no number here holds back.
        let toolchain = tool::read(&root.join("rust-toolchain.toml")).unwrap();
        let toolchain: toml::Table = toml::from_str(&toolchain).unwrap();
        assert_eq!(toolchain["toolchain"]["channel"].as_str(), Some("stable"));
    }

    #[test]
    fn a_dependency_that_asks_for_a_newer_rust_is_named() {
        let metadata = json!({"packages": [
            {"name": "old", "version": "1.0.0", "rust_version": "1.89.0"},
            {"name": "new", "version": "2.0.0", "rust_version": "1.90"},
            {"name": "elsewhere", "version": "1.0.0", "rust_version": "1.95"},
            {"name": "silent", "version": "1.0.0", "rust_version": null},
        ]});
        let tree = "old v1.0.0\nnew v2.0.0 (*)\nsilent v1.0.0 (/path)\n";
        let crates = tree.lines().filter_map(name_and_version).collect();
        assert_eq!(
            newer(&metadata, &crates, "1.89"),
            ["new 2.0.0 asks for 1.90"]
        );
        assert_eq!(newer(&metadata, &crates, "1.90"), Vec::<String>::new());
    }

    #[test]
    fn versions_of_rust_compare_by_number() {
        assert!(number("1.100") > number("1.89"));
        assert_eq!(number("1.89"), number("1.89.0"));
    }
}
