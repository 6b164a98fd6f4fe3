//! A build whose XOR does nothing, to hold the zero key against.
//!
//! The library has no switch for it, so that nobody can set one by mistake: a copy of the sources
//! does, in the target folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::tool::{self, Failure};

/// The one function through which all masking goes, and what it becomes.
const XOR: &str = "pub fn xor(data: &mut [u8], key: MaskKey) {\n";
const NOTHING: &str = "#[allow(unreachable_code, unused_variables)]\npub fn xor(data: &mut [u8], key: MaskKey) {\n    \
                       return;\n";

/// Compiles the server from the copy.
pub(super) fn build() -> Result<(), Failure> {
    let copy = target().join("sources");
    fs::create_dir_all(&copy)?;
    for part in [
        "Cargo.toml",
        "Cargo.lock",
        "crates",
        "benches",
        "examples",
        "xtask",
    ] {
        copy_all(&tool::root().join(part), &copy.join(part))?;
    }
    tool::run(
        tool::cargo()
            .args(["build", "--release", "--locked", "--package", "benches"])
            .args(["--bin", "server-ws-mio", "--manifest-path"])
            .arg(copy.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(target()),
    )
}

/// A folder of its own, as programs of the same names are in there.
pub(super) fn target() -> PathBuf {
    tool::target_dir().join("without-xor")
}

fn copy_all(from: &Path, to: &Path) -> Result<(), Failure> {
    if !from.is_dir() {
        return copy(from, to);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if name != "target" && name != "node_modules" {
            copy_all(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

/// What is there already keeps its time, so that Cargo need not compile it again.
fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut content = fs::read(from)?;
    if from.ends_with("ws-proto/src/xor.rs") {
        content = emptied(&tool::read(from)?)?.into_bytes();
    }
    if fs::read(to).ok().as_ref() != Some(&content) {
        fs::write(to, content)?;
    }
    Ok(())
}

fn emptied(source: &str) -> Result<String, Failure> {
    match source.matches(XOR).count() {
        1 => Ok(source.replace(XOR, NOTHING)),
        _ => Err(Failure::new(format!(
            "crates/ws-proto/src/xor.rs has no function that begins with {:?}",
            XOR.trim()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_to_empty_is_there() {
        let source = tool::read(&tool::root().join("crates/ws-proto/src/xor.rs")).unwrap();
        assert!(emptied(&source).unwrap().contains("return;"));
    }
}
