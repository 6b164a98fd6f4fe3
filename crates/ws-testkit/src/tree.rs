//! What is built with a crate of this workspace, as cargo tells it.

use std::{collections::BTreeMap, process::Command};

/// The crates that are built with one, each with its features.
#[derive(Debug)]
pub struct Tree {
    package: String,
    /// The features by name.
    crates: BTreeMap<String, Vec<String>>,
}

impl Tree {
    /// Asks what a build of a package needs, with features as cargo takes them; not what its tests
    /// need.
    #[must_use]
    pub fn of(package: &str, features: &[&str]) -> Self {
        Self::with_edges(package, features, "normal,build")
    }

    /// Asks the same with what the package's tests need.
    #[must_use]
    pub fn of_tests(package: &str, features: &[&str]) -> Self {
        Self::with_edges(package, features, "normal,build,dev")
    }

    fn with_edges(package: &str, features: &[&str], edges: &str) -> Self {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--package", package])
            .args(["--edges", edges, "--prefix", "none"])
            .args(["--format", "{p} [{f}]"])
            .args(features)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && tree.starts_with(&format!("{package} ")),
            "{output:?}"
        );
        let mut crates = BTreeMap::<_, Vec<_>>::new();
        for line in tree.lines() {
            let Some((name, _)) = line.split_once(' ') else {
                continue;
            };
            let features = line.rsplit_once('[').map_or("", |(_, features)| features);
            // There may be two versions of a crate.
            let known = crates.entry(name.to_owned()).or_default();
            known.extend(features.split([',', ']']).map(str::to_owned));
        }
        let package = package.to_owned();
        Self { package, crates }
    }

    /// Demands that crates are in the tree.
    ///
    /// # Panics
    ///
    /// If one is not.
    pub fn has(&self, names: &[&str]) {
        for name in names {
            assert!(
                self.contains(name),
                "{name} is not in the tree of {}",
                self.package
            );
        }
    }

    /// Demands that crates are not in the tree.
    ///
    /// # Panics
    ///
    /// If one is.
    pub fn lacks(&self, names: &[&str]) {
        for name in names {
            assert!(
                !self.contains(name),
                "{name} is in the tree of {}",
                self.package
            );
        }
    }

    /// Demands that a crate is built without some of its features.
    ///
    /// # Panics
    ///
    /// If it is built with one of them, or not at all.
    pub fn lacks_features(&self, name: &str, features: &[&str]) {
        self.has(&[name]);
        for feature in features {
            let is_built = self.crates[name].iter().any(|known| known == feature);
            assert!(
                !is_built,
                "{name} in the tree of {} has {feature}",
                self.package
            );
        }
    }

    /// Demands that the tree has at most so many crates, the package itself among them.
    ///
    /// # Panics
    ///
    /// If it has more.
    pub fn has_at_most(&self, most: usize) {
        let (package, crates) = (&self.package, &self.crates);
        let names: Vec<_> = crates.keys().collect();
        assert!(
            names.len() <= most,
            "{package} needs {} crates: {names:?}",
            names.len()
        );
    }

    fn contains(&self, name: &str) -> bool {
        self.crates.contains_key(name)
    }
}
