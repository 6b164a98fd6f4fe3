//! `cargo xtask targets`: the crates for systems that the tests do not run on.

use lexopt::{Arg, Parser};

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask targets [--allow-missing]

Checks the types of the crates for processors of 32 bits, Windows, macOS and FreeBSD, adding the
targets with rustup where they are missing. Nothing is run, and what takes TLS is left out, as ring
asks for a C compiler for each target.

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

const FEATURES: &str = "ws-proto/deflate,ws-handshake/http,ws-handshake/proxy,ws-mio/deflate,\
    ws-mio/proxy,ws-smol/deflate,ws-smol/net,ws-smol/proxy";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut allow_missing = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("allow-missing") => allow_missing = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut check = tool::cargo();
    check.args(["check", "--quiet", "--lib", "--features", FEATURES]);
    check.args(CRATES.iter().flat_map(|name| ["--package", name]));
    let mut has_target = false;
    for target in TARGETS {
        match tool::add_target(target) {
            Ok(()) => {
                check.args(["--target", target]);
                has_target = true;
            }
            Err(failure) if allow_missing => println!("LEFT OUT {target}: {failure}"),
            Err(failure) => return Err(failure),
        }
    }
    // All at once, as they have much in common that is built for this machine.
    let passed = !has_target || tool::run(&mut check).is_ok();
    Ok(Outcome::from_passed(passed))
}
