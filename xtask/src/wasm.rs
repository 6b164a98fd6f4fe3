//! `cargo xtask wasm`: the core crates without the standard library, and in a sandbox.
//!
//! Neither masking flag may be reachable from a sandbox ([MS-WSPE] section 5.1). Small probe crates
//! show it: what uses a flag compiles for the host and does not for wasm.

use std::fs;
use std::path::{Path, PathBuf};

use lexopt::Parser;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask wasm

Checks ws-proto and ws-handshake without default features for thumbv7em-none-eabihf and
wasm32-unknown-unknown, there with deflate too, adding the targets with rustup when they are missing. Then compiles probe
crates for wasm32: one with the default policies, which must compile, and one for each constructor
that sets a masking flag, which must compile for the host and not for wasm32, for the reason that
there is no such function.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    if let Some(other) = arguments.next()? {
        return Err(other.unexpected().into());
    }
    for target in [EMBEDDED, SANDBOX] {
        tool::add_target(target)?;
    }
    for (target, package, features) in BUILDS {
        tool::run(
            tool::cargo()
                .args(["check", "--quiet", "--package", package])
                .args(["--no-default-features", "--features", features])
                .args(["--target", target]),
        )?;
    }
    let mut passed = true;
    for probe in PROBES {
        let verdict = probe.check()?;
        println!("{}: {verdict}", probe.name);
        passed &= verdict.is_good();
    }
    Ok(Outcome::from_passed(passed))
}

const EMBEDDED: &str = "thumbv7em-none-eabihf";
const SANDBOX: &str = "wasm32-unknown-unknown";

/// What is built: target, crate and features.
const BUILDS: [(&str, &str, &str); 6] = [
    (EMBEDDED, "ws-proto", ""),
    (EMBEDDED, "ws-handshake", ""),
    (EMBEDDED, "ws-handshake", "proxy"),
    (SANDBOX, "ws-proto", ""),
    // zlib-rs needs a target with a standard library.
    (SANDBOX, "ws-proto", "deflate"),
    (SANDBOX, "ws-handshake", ""),
];

const PROBES: &[Probe] = &[
    Probe {
        name: "default-policies",
        body: "
            #[must_use]
            pub fn server() -> ws_proto::ServerMasking {
                ws_proto::ServerMasking::new()
            }

            #[must_use]
            pub fn client<R: rand::CryptoRng>(rng: R) -> ws_proto::ClientMasking<R> {
                ws_proto::ClientMasking::with_rng(rng)
            }
        ",
        forbidden: None,
    },
    Probe {
        name: "accept-unmasked-frame",
        body: "
            #[must_use]
            pub fn server() -> ws_proto::ServerMasking {
                ws_proto::ServerMasking::with_accept_unmasked_frame(true)
            }
        ",
        forbidden: Some("with_accept_unmasked_frame"),
    },
    Probe {
        name: "set-mask-to-zero",
        body: "
            #[must_use]
            pub fn client() -> ws_proto::ClientMasking {
                ws_proto::ClientMasking::with_set_mask_to_zero(true)
            }
        ",
        forbidden: Some("with_set_mask_to_zero"),
    },
    Probe {
        name: "set-mask-to-zero-or-rng",
        body: "
            #[must_use]
            pub fn client<R: rand::CryptoRng>(rng: R) -> ws_proto::ClientMasking<R> {
                ws_proto::ClientMasking::with_set_mask_to_zero_or_rng(true, rng)
            }
        ",
        forbidden: Some("with_set_mask_to_zero_or_rng"),
    },
];

/// A crate of a few lines on top of ws-proto.
#[derive(Debug)]
struct Probe {
    name: &'static str,
    body: &'static str,
    /// The function that must not exist in a sandbox.
    forbidden: Option<&'static str>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Compiles,
    NoSuchFunction,
    Wrong(String),
}

impl Verdict {
    fn is_good(&self) -> bool {
        !matches!(self, Self::Wrong(_))
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Compiles => f.write_str("compiles for wasm32"),
            Self::NoSuchFunction => {
                f.write_str("compiles for the host; for wasm32 there is no such function")
            }
            Self::Wrong(why) => write!(f, "FAILED {why}"),
        }
    }
}

impl Probe {
    fn check(&self) -> Result<Verdict, Failure> {
        let manifest = self.write()?;
        let Some(forbidden) = self.forbidden else {
            let errors = compile(&manifest, Some(SANDBOX))?;
            return Ok(match errors {
                None => Verdict::Compiles,
                Some(errors) => Verdict::Wrong(format!("does not compile for wasm32:\n{errors}")),
            });
        };
        // Without this half, a misspelt name would pass.
        if let Some(errors) = compile(&manifest, None)? {
            return Ok(Verdict::Wrong(format!(
                "does not compile for the host either:\n{errors}"
            )));
        }
        Ok(match compile(&manifest, Some(SANDBOX))? {
            None => Verdict::Wrong("compiles for wasm32".to_owned()),
            Some(errors) if is_missing(&errors, forbidden) => Verdict::NoSuchFunction,
            Some(errors) => {
                Verdict::Wrong(format!("does not compile for another reason:\n{errors}"))
            }
        })
    }

    fn write(&self) -> Result<PathBuf, Failure> {
        let dir = probes_dir().join(self.name);
        fs::create_dir_all(dir.join("src"))?;
        fs::write(
            dir.join("src/lib.rs"),
            format!(
                "//! A probe, written by `cargo xtask wasm`.\n#![no_std]\n{}",
                self.body
            ),
        )?;
        let proto = tool::root().join("crates/ws-proto");
        let manifest = dir.join("Cargo.toml");
        fs::write(
            &manifest,
            format!(
                "[package]\nname = \"probe-{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
                 [workspace]\n\n\
                 [features]\nstd = [\"ws-proto/std\"]\n\n\
                 [dependencies]\n\
                 rand = {{ version = \"0.10\", default-features = false }}\n\
                 ws-proto = {{ path = {:?}, default-features = false }}\n",
                self.name,
                proto.display().to_string()
            ),
        )?;
        // The same versions as everywhere else.
        fs::copy(tool::root().join("Cargo.lock"), dir.join("Cargo.lock"))?;
        Ok(manifest)
    }
}

fn probes_dir() -> PathBuf {
    tool::target_dir().join("wasm-probes")
}

/// Compiles a probe: for the host with all that ws-proto has, or for a target without the standard
/// library. Returns what the compiler says if it fails.
fn compile(manifest: &Path, target: Option<&str>) -> Result<Option<String>, Failure> {
    let mut command = tool::cargo();
    command
        .args(["check", "--quiet", "--color", "never", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(probes_dir().join("target"));
    match target {
        Some(target) => command.args(["--target", target]),
        None => command.args(["--features", "std"]),
    };
    let output = command.output()?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Whether the compiler's only complaint is that the function does not exist.
fn is_missing(errors: &str, function: &str) -> bool {
    let complaints: Vec<_> = errors
        .lines()
        .filter(|line| line.starts_with("error[") || line.starts_with("error:"))
        .filter(|line| !line.starts_with("error: could not compile"))
        .collect();
    matches!(complaints.as_slice(), [complaint]
        if complaint.starts_with("error[E0599]")
            && complaint.contains("no function or associated item named")
            && complaint.contains(&format!("`{function}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What needs no second toolchain to see: wherever ws-proto has a constructor with a flag, the
    /// line before it takes it away from wasm.
    #[test]
    fn flags_are_not_compiled_into_a_sandbox() {
        //= MSWS-1.6-1, MSWS-5.1-1
        let file = tool::root().join("crates/ws-proto/src/masking.rs");
        let source = tool::read(&file).expect("the masking policies");
        let lines: Vec<_> = source.lines().map(str::trim).collect();
        let mut constructors = 0;
        for (index, line) in lines.iter().enumerate() {
            if !line.contains("fn with_accept_unmasked_frame")
                && !line.contains("fn with_set_mask_to_zero")
            {
                continue;
            }
            constructors += 1;
            let attributes = lines[..index].iter().rev();
            let is_kept_out = attributes
                .take_while(|line| line.starts_with("#["))
                .any(|line| *line == "#[cfg(not(target_family = \"wasm\"))]");
            assert!(is_kept_out, "{line}");
        }
        let probed = PROBES.iter().filter(|probe| probe.forbidden.is_some());
        assert_eq!(
            constructors,
            probed.count(),
            "each constructor has its probe"
        );
    }

    #[test]
    fn only_the_missing_function_counts() {
        let missing = "error[E0599]: no function or associated item named `with_flag` found for struct\n\
                       error: could not compile `probe` (lib) due to 1 previous error\n";
        assert!(is_missing(missing, "with_flag"));
        assert!(!is_missing(missing, "with_other"));
        let other = format!("error[E0433]: failed to resolve\n{missing}");
        assert!(!is_missing(&other, "with_flag"));
        assert!(!is_missing("error: no matching package", "with_flag"));
    }
}
