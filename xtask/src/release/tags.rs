//! The public interface since the last release.

use std::process::Command;

use super::{has, manifest};
use crate::{
    log::Log,
    package::Package,
    tool::{self, Failure},
};

/// Compares each library with the last tag. The inner failure says that a tool is missing.
pub(super) fn check_interface(
    packages: &[Package],
    log: &mut Log,
) -> Result<Result<(), Failure>, Failure> {
    let mut list = Command::new("git");
    list.args(["tag", "--list"]).current_dir(tool::root());
    let tags = tool::output_of(&mut list)?;
    let Some(tag) = last(&tags) else {
        log.leave_out(
            "the public interface",
            &"nothing was released: there is no tag vX.Y.Z",
        );
        return Ok(Ok(()));
    };
    if let Err(failure) = has("semver-checks") {
        return Ok(Err(failure));
    }
    let mut check = tool::cargo();
    check.args(["semver-checks", "check-release", "--baseline-rev", tag]);
    for package in packages
        .iter()
        .filter(|package| manifest::is_library(package))
    {
        check.args(["--package", &package.name]);
    }
    log.note(
        &format!("the public interface since {tag}"),
        tool::run(&mut check),
    );
    Ok(Ok(()))
}

/// The highest version among tags such as `v0.1.0`.
fn last(tags: &str) -> Option<&str> {
    tags.lines()
        .filter_map(|tag| Some((version(tag)?, tag)))
        .max()
        .map(|(_, tag)| tag)
}

fn version(tag: &str) -> Option<[u64; 3]> {
    let mut parts = tag.strip_prefix('v')?.split('.');
    let mut next = || parts.next()?.parse().ok();
    let version = [next()?, next()?, next()?];
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_the_last_tag() {
        assert_eq!(last("v0.1.0\nv0.10.0\nv0.9.3\n"), Some("v0.10.0"));
        assert_eq!(last("nightly\nv0.1\nv0.2.0-rc.1\n"), None);
        assert_eq!(last(""), None);
    }
}
