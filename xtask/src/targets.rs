//! `cargo xtask targets`: the crates for systems that the tests do not run on.

use lexopt::{Arg, Parser};

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask targets [--allow-missing]

Checks the types of the crates for processors of 32 bits, Windows, macOS and FreeBSD, adding the
targets with rustup where they are missing. Nothing is run, and what takes TLS is left out, as ring
asks for a C compiler for each target: so do the tests of the adapters, and those of ws-proto and
ws-handshake alone are checked too.

  --allow-missing   leave out targets that rustup cannot add, and say so
";

const TARGETS: [&str; 5] = [
    "i686-unknown-linux-gnu",
    "armv7-unknown-linux-gnueabihf",
    "x86_64-pc-windows-msvc",
    "aarch64-apple-darwin",
    "x86_64-unknown-freebsd",
];

const CRATES: [&str; 4] = ["ws-proto", "ws-handshake", "ws-mio", "ws-smol"];

/// Those whose tests take no TLS.
const TESTED: [&str; 2] = ["ws-proto", "ws-handshake"];

const FEATURES: &str = "ws-proto/deflate,ws-handshake/http,ws-handshake/proxy,ws-mio/deflate,\
    ws-mio/proxy,ws-smol/deflate,ws-smol/net,ws-smol/proxy";

const FEATURES_OF_TESTED: &str = "ws-proto/deflate,ws-handshake/http,ws-handshake/proxy";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut allow_missing = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("allow-missing") => allow_missing = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut targets = Vec::new();
    for target in TARGETS {
        match tool::add_target(target) {
            Ok(()) => targets.push(target),
            Err(failure) if allow_missing => println!("LEFT OUT {target}: {failure}"),
            Err(failure) => return Err(failure),
        }
    }
    let passed = targets.is_empty() || {
        let libraries = check(&CRATES, "--lib", FEATURES, &targets);
        libraries & check(&TESTED, "--tests", FEATURES_OF_TESTED, &targets)
    };
    Ok(Outcome::from_passed(passed))
}

/// Checks crates for all targets at once, as they have much in common that is built for this
/// machine.
fn check(crates: &[&str], what: &str, features: &str, targets: &[&str]) -> bool {
    let mut check = tool::cargo();
    check.args(["check", "--quiet", what, "--features", features]);
    check.args(crates.iter().flat_map(|name| ["--package", name]));
    check.args(targets.iter().flat_map(|target| ["--target", target]));
    tool::run(&mut check).is_ok()
}
