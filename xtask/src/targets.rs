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
    let mut passed = true;
    for target in TARGETS {
        match tool::add_target(target) {
            Ok(()) => {}
            Err(failure) if allow_missing => {
                println!("LEFT OUT {target}: {failure}");
                continue;
            }
            Err(failure) => return Err(failure),
        }
        let packages = CRATES.iter().flat_map(|name| ["--package", name]);
        let mut check = tool::cargo();
        check.args(["check", "--quiet", "--lib", "--target", target]);
        check.args(packages).args(["--features", FEATURES]);
        if let Err(failure) = tool::run(&mut check) {
            println!("FAILED {target}: {failure}");
            passed = false;
        }
    }
    Ok(Outcome::from_passed(passed))
}
