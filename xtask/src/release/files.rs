//! What is in a package.

use crate::{
    log::Log,
    package::Package,
    tool::{self, Failure},
};

/// Checks that a package has what its users need, and nothing else.
pub(super) fn check(package: &Package, log: &mut Log) {
    let mut list = tool::cargo();
    list.args(["package", "--list", "--quiet", "--allow-dirty"]);
    list.args(["--package", &package.name]);
    let result = tool::output_of(&mut list).and_then(|list| {
        let faults = faults(&list.lines().collect::<Vec<_>>());
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(faults.join("; "))),
        }
    });
    log.note(&format!("the files of {}", package.name), result);
}

fn faults(files: &[&str]) -> Vec<String> {
    let missing = NEEDED.iter().filter(|needed| !files.contains(needed));
    let missing = missing.map(|needed| format!("{needed} is missing"));
    let needless = files.iter().filter(|file| !is_needed(file));
    let needless = needless.map(|file| format!("{file} is of no use to anybody"));
    missing.chain(needless).collect()
}

fn is_needed(file: &str) -> bool {
    let is_source = file.starts_with("src/") && (file.ends_with(".rs") || file.ends_with(".lua"));
    // An example of one file shows how to use the crate; a folder is a program of ours.
    let is_example = file
        .strip_prefix("examples/")
        .is_some_and(|name| name.ends_with(".rs") && !name.contains('/'));
    is_source || is_example || NEEDED.contains(&file) || OF_CARGO.contains(&file)
}

const NEEDED: [&str; 5] = [
    "CHANGELOG.md",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
];

const OF_CARGO: [&str; 3] = [".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml.orig"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_programs_of_the_repository_are_no_part_of_a_package() {
        let mut files = NEEDED.to_vec();
        files.extend(OF_CARGO);
        files.extend([
            "src/lib.rs",
            "src/a/b.rs",
            "src/read.lua",
            "examples/types.rs",
        ]);
        assert_eq!(faults(&files), Vec::<String>::new());
        for needless in [
            "tests/a.rs",
            "examples/servers/main.rs",
            "src/page.html",
            "notes.md",
        ] {
            let files = [&files[..], &[needless]].concat();
            assert_eq!(faults(&files).len(), 1, "{needless}");
        }
    }

    #[test]
    fn both_licences_are_in_a_package() {
        let files: Vec<_> = NEEDED
            .into_iter()
            .filter(|name| !name.starts_with("LICENSE"))
            .collect();
        assert_eq!(
            faults(&files),
            ["LICENSE-APACHE is missing", "LICENSE-MIT is missing"]
        );
    }
}
