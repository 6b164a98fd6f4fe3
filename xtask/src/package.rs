//! `cargo xtask package`: each crate as its users get it passes its own tests.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use lexopt::Parser;
use serde_json::Value;

use crate::{
    log::Log,
    tool::{self, Failure, Outcome},
};

pub(crate) const HELP: &str = "
cargo xtask package

Packages every crate that is to be published, unpacks the packages below the target folder, and runs
`cargo test` with all features in each, with the unpacked packages as its dependencies. A package has
its unit tests and the examples of its documentation; what reaches outside of it does not build there.
Counts the dependencies of ws-proto, too.
Needs tar.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    let packages = packages()?;
    let dir = tool::target_dir().join("packages");
    unpack(&packages, &dir)?;
    write_workspace(&packages, &dir)?;
    let mut log = Log::default();
    for (flags, most) in TREES {
        let name = format!(
            "ws-proto {} has at most {most} dependencies",
            flags.join(" ")
        );
        log.note(&name, has_at_most(most, flags));
    }
    for package in &packages {
        let tested = tool::run(
            tool::cargo()
                .args(["test", "--quiet", "--all-features"])
                .args(["--package", &package.name])
                .current_dir(&dir)
                .env("CARGO_TARGET_DIR", tool::target_dir()),
        );
        log.note(&format!("the package of {}", package.name), tested);
    }
    Ok(log.finish())
}

/// How many crates come with ws-proto: as it is, and without the fastest kernels.
const TREES: [(&[&str], usize); 2] = [
    (&[], 15),
    (&["--no-default-features", "--features", "std"], 8),
];

fn has_at_most(most: usize, flags: &[&str]) -> Result<(), Failure> {
    let mut tree = tool::cargo();
    tree.args(["tree", "--package", "ws-proto", "--edges", "normal"])
        .args(["--prefix", "none"])
        .args(flags);
    let tree = tool::output_of(&mut tree)?;
    // A crate that was shown before has a mark behind its version.
    let crates = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    let count = crates.collect::<BTreeSet<_>>().len() - 1;
    match count <= most {
        true => Ok(()),
        false => Err(Failure::new(format!("there are {count}"))),
    }
}

/// A crate that may be published.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// What Cargo knows of it.
    pub(crate) metadata: Value,
}

impl Package {
    /// The name of its folder, and of its archive but for `.crate`.
    fn stem(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }
}

/// The packages that may be published, as the manifests say.
pub(crate) fn packages() -> Result<Vec<Package>, Failure> {
    let metadata =
        tool::output_of(tool::cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| Failure::new(format!("cargo metadata: {error}")))?;
    let wrong = || Failure::new("cargo metadata: not of the form that is known");
    let mut packages = Vec::new();
    for package in metadata["packages"].as_array().ok_or_else(wrong)? {
        // `publish = false` is a list of no registries.
        if !package["publish"].is_null() {
            continue;
        }
        let text = |field: &str| package[field].as_str().map(str::to_owned);
        packages.push(Package {
            name: text("name").ok_or_else(wrong)?,
            version: text("version").ok_or_else(wrong)?,
            metadata: package.clone(),
        });
    }
    Ok(packages)
}

/// Packs the crates, and unpacks them in an empty `dir`.
fn unpack(packages: &[Package], dir: &Path) -> Result<(), Failure> {
    let mut pack = tool::cargo();
    // The tests build them, and together they need no registry that has them.
    pack.args(["package", "--quiet", "--no-verify", "--allow-dirty"]);
    for package in packages {
        pack.args(["--package", &package.name]);
    }
    tool::run(&mut pack)?;
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir)?;
    for package in packages {
        let archive = format!("{}.crate", package.stem());
        let archive: PathBuf = tool::target_dir().join("package").join(archive);
        tool::run(
            Command::new("tar")
                .arg("-xzf")
                .arg(archive)
                .arg("-C")
                .arg(dir),
        )?;
    }
    Ok(())
}

/// Makes a workspace of the unpacked packages, which take each other for what a registry would
/// have, and everything else in the versions of this workspace.
fn write_workspace(packages: &[Package], dir: &Path) -> Result<(), Failure> {
    let mut manifest = String::from("[workspace]\nresolver = \"3\"\nmembers = [\"*-*\"]\n");
    manifest.push_str("\n[patch.crates-io]\n");
    for package in packages {
        let stem = package.stem();
        let _ = writeln!(manifest, "{} = {{ path = \"{stem}\" }}", package.name);
    }
    // As this workspace has it, so that what they depend on is not built a second time.
    let ours = tool::read(&tool::root().join("Cargo.toml"))?;
    let profile = ours
        .split("\n\n")
        .find(|part| part.contains("[profile.dev]"));
    manifest.push('\n');
    manifest.push_str(profile.unwrap_or_default());
    manifest.push('\n');
    fs::write(dir.join("Cargo.toml"), manifest)?;
    fs::copy(tool::root().join("Cargo.lock"), dir.join("Cargo.lock"))?;
    Ok(())
}
