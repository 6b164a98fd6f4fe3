//! A build whose XOR does nothing, to hold the zero key against.
//!
//! The library has no switch for it, so that nobody can set one by mistake: a copy of the sources
//! does, in the target folder.

use std::path::PathBuf;

use crate::{
    altered::{self, Alteration},
    tool::{self, Failure},
};

/// The one function through which all masking goes, and what it becomes.
const XOR: &str = "pub fn xor(data: &mut [u8], key: MaskKey) {\n";
const NOTHING: &str = "#[allow(unreachable_code, unused_variables)]\npub fn xor(data: &mut [u8], key: MaskKey) {\n    \
                       return;\n";

/// Compiles the server from the copy.
pub(super) fn build() -> Result<(), Failure> {
    let copy = target().join("sources");
    altered::copy_manifest(&copy, "")?;
    altered::copy_members(&copy, &[emptied()])?;
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

fn emptied() -> Alteration {
    Alteration {
        file: "crates/ws-proto/src/xor.rs".into(),
        place: XOR.into(),
        with: NOTHING.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_to_empty_is_there() {
        let emptied = emptied();
        let source = tool::read(&tool::root().join(&emptied.file)).unwrap();
        assert!(emptied.apply(&source).unwrap().contains("return;"));
    }
}
