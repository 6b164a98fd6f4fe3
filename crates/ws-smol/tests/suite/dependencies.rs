//! What the crate must never depend on.

use std::process::Command;

/// Lists the names of what the crate depends on, for all that is built.
fn tree(features: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "ws-smol"])
        .args(["--edges", "normal,build,dev", "--prefix", "none"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && tree.contains("futures-io"),
        "{output:?}"
    );
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

#[test]
fn tokio_is_not_in_the_tree() {
    for name in tree(&["--all-features"]) {
        let runtimes = ["tokio", "async-std", "async-global-executor"];
        assert!(!runtimes.contains(&&name[..]), "{name} is in the tree");
    }
}

#[test]
fn selector_of_its_own_is_there_for_who_asks() {
    assert!(!tree(&[]).contains(&"mio".to_owned()));
    assert!(tree(&["--features", "net"]).contains(&"mio".to_owned()));
}

#[test]
fn tls_is_there_for_who_asks_and_needs_no_c_compiler_but_for_ring() {
    let has = |tree: &[String], name: &str| tree.iter().any(|known| known == name);
    let with_tls = tree(&["--features", "tls"]);
    assert!(has(&with_tls, "rustls") && has(&with_tls, "ring"));
    for name in ["aws-lc-rs", "openssl", "native-tls"] {
        assert!(!has(&with_tls, name), "{name} is in the tree");
    }
}
