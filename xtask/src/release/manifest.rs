//! What a manifest says for those who look for a crate, and its changelog.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{log::Log, package::Package, tool::Failure};

/// Checks one crate; one line in the log for all that is wrong.
pub(super) fn check(package: &Package, log: &mut Log) {
    let mut wrong = faults(&package.metadata);
    wrong.extend(faults_of_files(package));
    let name = format!("the manifest of {}", package.name);
    log.note(
        &name,
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(Failure::new(wrong.join("; "))),
        },
    );
}

/// Says so where no manifest tells where the sources are.
pub(super) fn check_repository(packages: &[Package], log: &mut Log) {
    let told: Vec<_> = packages
        .iter()
        .map(|package| package.metadata["repository"].as_str())
        .collect();
    match told.iter().flatten().next() {
        None => log.leave_out(
            "repository",
            &"no manifest has the address of the repository yet",
        ),
        Some(first) => log.note(
            "repository",
            match told.iter().all(|told| told.as_ref() == Some(first)) {
                true => Ok(()),
                false => Err(Failure::new("it is not the same in all manifests")),
            },
        ),
    }
}

/// Whether there is a library to document.
pub(super) fn is_library(package: &Package) -> bool {
    has_library(&package.metadata)
}

fn has_library(metadata: &Value) -> bool {
    let targets = metadata["targets"].as_array().into_iter().flatten();
    let kinds = targets.flat_map(|target| target["kind"].as_array().into_iter().flatten());
    { kinds }.any(|kind| kind == "lib")
}

/// What is wrong with what `cargo metadata` tells of a package.
fn faults(metadata: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for field in ["description", "license", "readme", "rust_version"] {
        if metadata[field].as_str().is_none_or(str::is_empty) {
            faults.push(format!("{field} is missing"));
        }
    }
    for (field, most) in [("keywords", 5), ("categories", 5)] {
        let count = metadata[field].as_array().map_or(0, Vec::len);
        if !(1..=most).contains(&count) {
            faults.push(format!("{field}: {count}, and not 1 to {most}"));
        }
    }
    if !has_library(metadata) {
        return faults;
    }
    let name = metadata["name"].as_str().unwrap_or_default();
    if metadata["documentation"] != format!("https://docs.rs/{name}") {
        faults.push("documentation does not lead to docs.rs".to_owned());
    }
    let docs = &metadata["metadata"]["docs"]["rs"];
    if docs["all-features"] != true {
        faults.push("docs.rs does not document all features".to_owned());
    }
    if docs["rustdoc-args"] != serde_json::json!(["--cfg", "docsrs"]) {
        faults.push("docs.rs does not say which item needs which feature".to_owned());
    }
    faults
}

fn faults_of_files(package: &Package) -> Vec<String> {
    let mut faults = Vec::new();
    let manifest = package.metadata["manifest_path"]
        .as_str()
        .unwrap_or_default();
    let Some(dir) = Path::new(manifest).parent() else {
        return vec!["it is nowhere".to_owned()];
    };
    let changelog = fs::read_to_string(dir.join("CHANGELOG.md")).unwrap_or_default();
    if !has_version(&changelog, &package.version) {
        faults.push(format!("CHANGELOG.md has no part for {}", package.version));
    }
    let library = fs::read_to_string(dir.join("src/lib.rs"));
    if library.is_ok_and(|text| !text.contains(DOC_CFG)) {
        faults.push(format!("src/lib.rs has no {DOC_CFG}"));
    }
    faults
}

fn has_version(changelog: &str, version: &str) -> bool {
    let head = format!("## [{version}]");
    changelog.lines().any(|line| line.starts_with(&head))
}

const DOC_CFG: &str = "#![cfg_attr(docsrs, feature(doc_cfg))]";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn whole() -> Value {
        json!({
            "name": "ws-x", "description": "d", "license": "MIT", "readme": "README.md",
            "rust_version": "1.89", "keywords": ["a"], "categories": ["b"],
            "documentation": "https://docs.rs/ws-x", "targets": [{"kind": ["lib"]}],
            "metadata": {"docs": {"rs": {"all-features": true, "rustdoc-args": ["--cfg", "docsrs"]}}},
        })
    }

    #[test]
    fn each_field_that_is_missing_is_named() {
        assert_eq!(faults(&whole()), Vec::<String>::new());
        for field in [
            "description",
            "readme",
            "keywords",
            "documentation",
            "metadata",
        ] {
            let mut metadata = whole();
            metadata[field] = Value::Null;
            assert!(!faults(&metadata).is_empty(), "{field}");
        }
        let mut metadata = whole();
        metadata["keywords"] = json!(["a", "b", "c", "d", "e", "f"]);
        assert_eq!(faults(&metadata), ["keywords: 6, and not 1 to 5"]);
    }

    #[test]
    fn a_program_has_no_documentation_on_docs_rs() {
        let mut metadata = whole();
        metadata["targets"] = json!([{"kind": ["bin"]}]);
        metadata["documentation"] = Value::Null;
        metadata["metadata"] = Value::Null;
        assert_eq!(faults(&metadata), Vec::<String>::new());
    }

    #[test]
    fn a_changelog_has_the_version_in_a_heading() {
        assert!(has_version(
            "# Changelog\n\n## [0.1.0] - unreleased\n",
            "0.1.0"
        ));
        assert!(!has_version(
            "# Changelog\n\n## Unreleased\n0.1.0\n",
            "0.1.0"
        ));
    }
}
