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
fn axum_http_2_and_mio_are_there_for_who_asks() {
    let has = |tree: &[String], name: &str| tree.iter().any(|known| known == name);
    let plain = tree(&[]);
    for name in ["axum", "h2", "hyper-util", "mio", "ws-h2", "ws-mio"] {
        assert!(!has(&plain, name), "{name} is in the tree");
    }
    let all = tree(&["--all-features"]);
    assert!(has(&all, "axum") && has(&all, "h2"));
    assert!(!has(&all, "ws-h2"));
    let mio = tree(&["--features", "mio"]);
    assert!(has(&mio, "ws-mio") && !has(&mio, "axum") && !has(&mio, "h2"));
}

#[test]
fn the_crates_below_know_no_http_library_and_no_runtime_of_tokio() {
    for package in ["ws-proto", "ws-handshake", "ws-tls", "ws-mio", "ws-smol"] {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--locked", "--all-features", "--package", package])
            .args(["--edges", "normal,build", "--prefix", "none"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        let tree = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && tree.starts_with(package),
            "{output:?}"
        );
        for name in [
            "tokio",
            "tokio-util",
            "hyper",
            "hyper-util",
            "h2",
            "axum",
            "tower",
        ] {
            let is_there = tree
                .lines()
                .any(|line| line.split(' ').next() == Some(name));
            assert!(!is_there, "{name} is in the tree of {package}");
        }
    }
}
