//! `cargo xtask miri`: the tests of ws-proto, run where undefined behaviour is seen.

use lexopt::Parser;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask miri [-- TEST-ARGUMENTS]

Runs tests of ws-proto in Miri, which sees undefined behaviour of what it is built on: the unit tests
without features and with all, and those of closing, masking and compression. They try fewer cases
there, and take some ten minutes. Needs a nightly toolchain with Miri:
rustup +nightly component add miri rust-src
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let rest: Vec<_> = arguments
        .raw_args()?
        .skip_while(|word| word == "--")
        .collect();
    let has_miri = tool::rustup_cargo()
        .args(["+nightly", "miri", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_miri {
        return Err(Failure::new(
            "no Miri: rustup +nightly component add miri rust-src",
        ));
    }
    for what in [&WITHOUT_FEATURES[..], &WITH_ALL] {
        tool::run(
            tool::rustup_cargo()
                .args(["+nightly", "miri", "test", "--package", "ws-proto"])
                .args(what)
                .arg("--")
                .args(&rest),
        )?;
    }
    Ok(Outcome::Passed)
}

const WITHOUT_FEATURES: [&str; 2] = ["--no-default-features", "--lib"];

/// The other tests vary what these do, with more bytes than Miri gets through in minutes.
const WITH_ALL: [&str; 8] = [
    "--all-features",
    "--lib",
    "--test",
    "closing",
    "--test",
    "deflate",
    "--test",
    "masking",
];
