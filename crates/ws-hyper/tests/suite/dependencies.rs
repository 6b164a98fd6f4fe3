//! What is in the tree, and what is not.

use std::process::Command;

/// Lists the names of what is built with this crate.
fn tree(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "ws-hyper"])
        .args(["--edges", "normal,build", "--prefix", "none"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && tree.contains("hyper"),
        "{output:?}"
    );
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn axum_and_http_2_are_there_for_who_asks() {
    let has = |tree: &[String], name: &str| tree.iter().any(|known| known == name);
    let plain = tree(&[]);
    for name in ["axum", "h2", "hyper-util", "mio", "ws-h2", "ws-mio"] {
        assert!(!has(&plain, name), "{name} is in the tree");
    }
    let all = tree(&["--all-features"]);
    assert!(has(&all, "axum") && has(&all, "h2"));
    assert!(!has(&all, "ws-mio") && !has(&all, "ws-h2"));
}
