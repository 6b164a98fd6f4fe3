//! What the crate must never depend on.

use std::process::Command;

#[test]
fn tokio_is_not_in_the_tree() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--package", "ws-smol"])
        .args([
            "--edges",
            "normal,build,dev",
            "--prefix",
            "none",
            "--all-features",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && tree.contains("futures-io"),
        "{output:?}"
    );
    let runtimes = ["tokio", "async-std", "mio", "async-global-executor"];
    let found = tree.lines().filter_map(|line| line.split(' ').next());
    for name in found {
        assert!(!runtimes.contains(&name), "{name} is in the tree");
    }
}
