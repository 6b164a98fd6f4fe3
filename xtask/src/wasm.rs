//! `cargo xtask wasm`: the core crates without the standard library, and in a sandbox.
//!
//! Neither masking flag may be reachable from a sandbox ([MS-WSPE] section 5.1). Small probe crates
//! show it: what uses a flag compiles for the host and does not for wasm.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lexopt::Parser;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask wasm

Checks ws-proto and ws-handshake without default features for thumbv7em-none-eabihf and
wasm32-unknown-unknown, there with deflate too, adding the targets with rustup when they are missing. Then compiles probe
crates for wasm32: one with the default policies, which must compile; one for each public item that
turns a masking flag on, which must compile for the host and not for wasm32, for the reason that
there is no such item; and one for each way round them, which must compile nowhere.
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
            pub fn client(seed: [u8; 32]) -> ws_proto::ClientMasking<ws_proto::SeededKeys> {
                ws_proto::ClientMasking::from_seed(seed)
            }
        ",
        expected: Expected::Everywhere,
    },
    Probe {
        name: "accept-unmasked-frame",
        body: "
            #[must_use]
            pub fn server() -> ws_proto::ServerMasking {
                ws_proto::ServerMasking::with_accept_unmasked_frame(true)
            }
        ",
        expected: Expected::NotInSandbox("with_accept_unmasked_frame"),
    },
    Probe {
        name: "set-mask-to-zero",
        body: "
            #[must_use]
            pub fn client() -> ws_proto::ClientMasking {
                ws_proto::ClientMasking::with_set_mask_to_zero(true)
            }
        ",
        expected: Expected::NotInSandbox("with_set_mask_to_zero"),
    },
    Probe {
        name: "set-mask-to-zero-or-seed",
        body: "
            #[must_use]
            pub fn client() -> ws_proto::ClientMasking<ws_proto::SeededKeys> {
                ws_proto::ClientMasking::with_set_mask_to_zero_or_seed(true, [0; 32])
            }
        ",
        expected: Expected::NotInSandbox("with_set_mask_to_zero_or_seed"),
    },
    Probe {
        name: "receiver-of-unmasked-frames",
        body: "
            #[must_use]
            pub fn receiver(limits: ws_proto::Limits) -> ws_proto::Receiver {
                ws_proto::Receiver::new(ws_proto::Inbound::AcceptUnmasked, limits)
            }
        ",
        expected: Expected::NotInSandbox("AcceptUnmasked"),
    },
    Probe {
        name: "keys-of-ones-own",
        body: "
            #[derive(Debug)]
            pub struct AllZero;

            impl ws_proto::KeySource for AllZero {
                fn draw(&mut self) -> Result<ws_proto::MaskKey, ws_proto::NoEntropy> {
                    Ok(ws_proto::MaskKey::new([0; 4]))
                }
            }
        ",
        expected: Expected::Nowhere("E0277"),
    },
    Probe {
        name: "policy-of-ones-own",
        body: "
            #[derive(Debug)]
            pub struct Moody;

            impl ws_proto::MaskingPolicy for Moody {
                fn inbound(&self) -> ws_proto::Inbound {
                    ws_proto::Inbound::RequireMasked
                }
                fn next_key(&mut self) -> Result<Option<ws_proto::MaskKey>, ws_proto::NoEntropy> {
                    Ok(None)
                }
            }
        ",
        expected: Expected::Nowhere("E0277"),
    },
    Probe {
        name: "flag-of-a-server-by-its-field",
        body: "
            #[must_use]
            pub fn server() -> ws_proto::ServerMasking {
                ws_proto::ServerMasking { accept_unmasked_frame: true }
            }
        ",
        expected: Expected::Nowhere("E0451"),
    },
    Probe {
        name: "keys-of-a-client-by-their-field",
        body: "
            pub fn read(masking: &ws_proto::ClientMasking<ws_proto::SeededKeys>) {
                let _ = &masking.keys;
            }
        ",
        expected: Expected::Nowhere("E0616"),
    },
    Probe {
        name: "policy-of-a-connection-exchanged",
        body: "
            pub fn exchange(sender: &mut ws_proto::Sender<ws_proto::ServerMasking>) {
                *sender.masking() = ws_proto::ServerMasking::new();
            }
        ",
        expected: Expected::Nowhere("E0594"),
    },
];

/// A crate of a few lines on top of ws-proto.
#[derive(Debug)]
struct Probe {
    name: &'static str,
    body: &'static str,
    expected: Expected,
}

/// Where a probe has to compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Everywhere,
    /// On the host alone: in a sandbox there is no item of that name.
    NotInSandbox(&'static str),
    /// Neither there nor on the host, for the reason with that code.
    Nowhere(&'static str),
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Compiles,
    NoSuchItem,
    NowhereFor(&'static str),
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
            Self::NoSuchItem => {
                f.write_str("compiles for the host; for wasm32 there is no such item")
            }
            Self::NowhereFor(code) => write!(f, "compiles neither for wasm32 nor the host: {code}"),
            Self::Wrong(why) => write!(f, "FAILED {why}"),
        }
    }
}

impl Probe {
    fn check(&self) -> Result<Verdict, Failure> {
        let manifest = self.write()?;
        let on_host = compile(&manifest, None)?;
        let in_sandbox = compile(&manifest, Some(SANDBOX))?;
        Ok(self.expected.judge(on_host, in_sandbox))
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

impl Expected {
    /// Judges by what the compiler said for the host and for wasm32, if it failed.
    fn judge(self, on_host: Option<String>, in_sandbox: Option<String>) -> Verdict {
        // Without the host's half, a misspelt name would pass.
        match (self, on_host, in_sandbox) {
            (Self::Everywhere, None, None) => Verdict::Compiles,
            (Self::NotInSandbox(item), None, Some(errors)) if is_missing(&errors, item) => {
                Verdict::NoSuchItem
            }
            (Self::Nowhere(code), Some(host), Some(sandbox))
                if is_only(&host, code) && is_only(&sandbox, code) =>
            {
                Verdict::NowhereFor(code)
            }
            (expected, host, sandbox) => {
                let said = |errors: Option<String>| errors.unwrap_or_else(|| "compiles".to_owned());
                Verdict::Wrong(format!(
                    "{expected:?} is expected; for the host:\n{}\nfor wasm32:\n{}",
                    said(host),
                    said(sandbox)
                ))
            }
        }
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

/// Whether the compiler's only complaint is that the item does not exist.
fn is_missing(errors: &str, item: &str) -> bool {
    let names_it = |complaint: &str| {
        complaint.contains("or associated item named") && complaint.contains(&format!("`{item}`"))
    };
    matches!(complaints(errors).as_slice(), [complaint]
        if complaint.starts_with("error[E0599]") && names_it(complaint))
}

/// Whether the compiler's only complaint is the one with that code.
fn is_only(errors: &str, code: &str) -> bool {
    matches!(complaints(errors).as_slice(), [complaint]
        if complaint.starts_with(&format!("error[{code}]")))
}

fn complaints(errors: &str) -> Vec<&str> {
    errors
        .lines()
        .filter(|line| line.starts_with("error[") || line.starts_with("error:"))
        .filter(|line| !line.starts_with("error: could not compile"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What needs no second toolchain to see: wherever ws-proto has something that turns a flag on,
    /// the line before it takes it away from wasm, and it has its probe.
    #[test]
    fn flags_are_not_compiled_into_a_sandbox() {
        //= MSWS-1.6-1, MSWS-5.1-1
        let file = tool::root().join("crates/ws-proto/src/masking.rs");
        let source = tool::read(&file).expect("the masking policies");
        let lines: Vec<_> = source.lines().map(str::trim).collect();
        let mut items = 0;
        for (index, line) in lines.iter().enumerate() {
            if !line.contains("fn with_accept_unmasked_frame")
                && !line.contains("fn with_set_mask_to_zero")
                && *line != "AcceptUnmasked,"
            {
                continue;
            }
            items += 1;
            let attributes = lines[..index].iter().rev();
            let is_kept_out = attributes
                .take_while(|line| line.starts_with("#["))
                .any(|line| *line == "#[cfg(not(target_family = \"wasm\"))]");
            assert!(is_kept_out, "{line}");
        }
        let probed = PROBES.iter();
        let probed = probed.filter(|probe| matches!(probe.expected, Expected::NotInSandbox(_)));
        assert_eq!(items, probed.count(), "each has its probe");
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
