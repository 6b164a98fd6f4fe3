//! What may be built with each crate that is published, and what may not.

use ws_testkit::tree::Tree;

/// Who has a runtime, or a protocol, that a crate of a lower layer does not know.
const ABOVE: [&str; 8] = [
    "async-std",
    "axum",
    "h2",
    "hyper",
    "hyper-util",
    "tokio",
    "tokio-util",
    "tower",
];

/// TLS that is not safe Rust, or needs more than a C compiler.
const OTHER_TLS: [&str; 4] = ["aws-lc-rs", "native-tls", "openssl", "openssl-sys"];

/// How many crates each of the lower layers is built with, itself among them, without a feature
/// that is not a default and with all.
const LOWER: [(&str, usize, usize); 5] = [
    ("ws-proto", 12, 14),
    ("ws-handshake", 19, 23),
    ("ws-tls", 26, 26),
    ("ws-mio", 35, 50),
    ("ws-smol", 54, 72),
];

#[test]
fn lower_layers_know_no_runtime_of_tokio_and_no_http_library() {
    for (package, default, all) in LOWER {
        let tree = Tree::of(package, &[]);
        tree.has_at_most(default);
        tree.lacks(&["rustls"][usize::from(package == "ws-tls")..]);
        let tree = Tree::of(package, &["--all-features"]);
        tree.has_at_most(all);
        tree.lacks(&ABOVE);
        tree.lacks(&OTHER_TLS);
    }
}

#[test]
fn layers_without_io_have_none() {
    for package in ["ws-proto", "ws-handshake", "ws-tls"] {
        let tree = Tree::of(package, &["--all-features"]);
        tree.lacks(&["async-io", "async-net", "mio", "polling", "socket2"]);
    }
}

#[test]
fn tests_of_ws_smol_need_no_tokio_either() {
    Tree::of_tests("ws-smol", &["--all-features"]).lacks(&["tokio", "async-std"]);
}

#[test]
fn each_adapter_has_its_own_selector_and_ws_smol_another_for_who_asks() {
    Tree::of("ws-mio", &["--all-features"]).lacks(&["async-io", "polling", "ws-smol"]);
    Tree::of("ws-smol", &[]).lacks(&["mio", "ws-mio"]);
    Tree::of("ws-smol", &["--features", "net"]).has(&["mio"]);
}

#[test]
fn tls_is_there_for_who_asks() {
    for package in ["ws-mio", "ws-smol"] {
        Tree::of(package, &["--features", "tls"]).has(&["rustls", "ring"]);
    }
}

#[test]
fn ws_tokio_has_tokio_and_no_http_library() {
    let tree = Tree::of("ws-tokio", &["--all-features"]);
    tree.has(&["tokio", "ws-smol"]);
    tree.lacks(&["axum", "h2", "hyper", "tokio-util", "tower", "ws-mio"]);
    tree.lacks(&OTHER_TLS);
    let plain = Tree::of("ws-tokio", &["--no-default-features"]);
    plain.lacks(&["mio"]);
    plain.lacks_features("tokio", &["net", "rt"]);
}

#[test]
fn ws_h2_has_tokio_for_its_traits_and_without_a_runtime() {
    let tree = Tree::of("ws-h2", &["--all-features"]);
    tree.has(&["h2"]);
    tree.lacks_features("tokio", &["rt", "net", "time", "fs", "process", "signal"]);
    tree.lacks(&["hyper", "axum", "tower"]);
    Tree::of("ws-h2", &[]).lacks(&["mio", "rustls", "ws-mio"]);
}

#[test]
fn ws_hyper_has_axum_http_2_and_mio_for_who_asks() {
    let plain = Tree::of("ws-hyper", &[]);
    plain.has(&["hyper", "ws-smol", "ws-tokio"]);
    plain.lacks(&["axum", "h2", "hyper-util", "mio", "ws-h2", "ws-mio"]);
    plain.lacks_features("tokio", &["net", "rt"]);
    let all = Tree::of("ws-hyper", &["--all-features"]);
    all.has(&["axum", "h2"]);
    all.lacks(&["ws-h2"]);
    let mio = Tree::of("ws-hyper", &["--features", "mio"]);
    mio.has(&["ws-mio"]);
    mio.lacks(&["axum", "ws-h2"]);
}

#[test]
fn ws_backplane_takes_an_adapter_for_who_asks() {
    Tree::of("ws-backplane", &[])
        .lacks(&["async-io", "mio", "rustls", "tokio", "ws-mio", "ws-smol"]);
    Tree::of("ws-backplane", &["--all-features"]).lacks(&ABOVE);
}
