//! What is in the tree, and what is not.

use std::process::Command;

/// Lists the crates that are built with this one, with the features of each.
fn tree(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "ws-h2"])
        .args(features)
        .args(["--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p} [{f}]"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && tree.contains("h2 "),
        "{output:?}"
    );
    tree.lines().map(str::to_owned).collect()
}

#[test]
fn tokio_is_there_for_its_traits_and_without_a_runtime() {
    let tree = tree(&["--all-features"]);
    let tokio = tree.iter().find(|line| line.starts_with("tokio "));
    let tokio = tokio.expect("h2 needs it");
    for feature in ["rt", "net", "time", "fs", "process", "signal"] {
        let features = tokio.split(['[', ']', ',']).skip(1);
        assert!(features.clone().all(|one| one != feature), "{tokio}");
    }
    let has = |tree: &[String], name| tree.iter().any(|line| line.split(' ').next() == Some(name));
    for name in ["hyper", "axum", "tower"] {
        assert!(!has(&tree, name), "{name} is in the tree");
    }
    let plain = self::tree(&[]);
    assert!(!has(&plain, "mio") && !has(&plain, "ws-mio"));
}
