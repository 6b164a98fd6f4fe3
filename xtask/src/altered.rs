//! A copy of the workspace's sources with some places altered, in the target folder.
//!
//! The copy can do what the library must not be able to, not even by mistake.

use std::{fs, path::Path};

use crate::tool::{self, Failure};

/// A place in a file, and what stands there in the copy.
#[derive(Clone, Debug)]
pub(crate) struct Alteration {
    /// Its path in the repository.
    pub(crate) file: String,
    /// Found there once, or it is not the place that was meant.
    pub(crate) place: String,
    pub(crate) with: String,
}

/// What a build of the workspace needs, without the manifest.
const PARTS: [&str; 4] = ["benches", "crates", "examples", "xtask"];

/// Copies the members of the workspace to a folder.
///
/// What is there already keeps its time, so that Cargo need not compile it again.
pub(crate) fn copy_members(to: &Path, alterations: &[Alteration]) -> Result<(), Failure> {
    for alteration in alterations {
        // One that no file asks for would never be missed.
        alteration.apply(&tool::read(&tool::root().join(&alteration.file))?)?;
    }
    PARTS
        .into_iter()
        .try_for_each(|part| copy_all(part, &to.join(part), alterations))
}

/// Copies manifest and lock file to a folder, for members that lie in its subfolder `members`, or
/// beside the manifest if that is empty.
pub(crate) fn copy_manifest(to: &Path, members: &str) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    let mut manifest = tool::read(&tool::root().join("Cargo.toml"))?;
    for part in PARTS {
        let moved = format!("\"{}", Path::new(members).join(part).display());
        manifest = manifest.replace(&format!("\"{part}"), &moved);
    }
    write(&to.join("Cargo.toml"), manifest.as_bytes())?;
    let lock = fs::read(tool::root().join("Cargo.lock"))?;
    write(&to.join("Cargo.lock"), &lock)
}

fn copy_all(from: &str, to: &Path, alterations: &[Alteration]) -> Result<(), Failure> {
    let path = tool::root().join(from);
    if !path.is_dir() {
        let mut content = fs::read(&path)?;
        for alteration in alterations.iter().filter(|other| other.file == from) {
            content = alteration.apply(&String::from_utf8_lossy(&content))?.into();
        }
        return write(to, &content);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name != "target" && name != "node_modules" {
            copy_all(&format!("{from}/{name}"), &to.join(&*name), alterations)?;
        }
    }
    Ok(())
}

fn write(to: &Path, content: &[u8]) -> Result<(), Failure> {
    if fs::read(to).ok().as_deref() != Some(content) {
        fs::write(to, content)?;
    }
    Ok(())
}

impl Alteration {
    /// Returns a file's content with the place altered.
    pub(crate) fn apply(&self, content: &str) -> Result<String, Failure> {
        match content.matches(&self.place).count() {
            1 => Ok(content.replace(&self.place, &self.with)),
            count => Err(Failure::new(format!(
                "{} has {count} places, not one, that read:\n{}",
                self.file, self.place
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_altered_if_there_is_one() {
        let alteration = Alteration {
            file: "a".into(),
            place: "two".into(),
            with: "2".into(),
        };
        assert_eq!(alteration.apply("one two three").unwrap(), "one 2 three");
        for content in ["one three", "two two"] {
            assert!(alteration.apply(content).is_err());
        }
    }
}
