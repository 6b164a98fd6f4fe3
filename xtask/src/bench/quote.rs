//! `cargo xtask bench --quote`: the verdicts of a report, in the README.

use std::path::Path;

use crate::tool::{self, Failure, Outcome};

/// What is between these is the same in a report and in the README.
pub(super) const BEGIN: &str = "<!-- bench -->\n";
pub(super) const END: &str = "<!-- end of bench -->\n";

/// Copies from `report` to the README.
pub(super) fn write(report: &Path) -> Result<Outcome, Failure> {
    let path = tool::root().join("README.md");
    let (_, quoted, _) = parts(&tool::read(report)?, report)?;
    let (before, _, after) = parts(&tool::read(&path)?, &path)?;
    std::fs::write(&path, format!("{before}{quoted}{after}"))?;
    println!("README.md quotes {} from now on", tool::relative(report));
    Ok(Outcome::Passed)
}

/// What is before the markers' inside, the inside, and what is after it.
fn parts(text: &str, path: &Path) -> Result<(String, String, String), Failure> {
    let inside = || {
        let begin = text.find(BEGIN)? + BEGIN.len();
        let end = begin + text[begin..].find(END)?;
        Some((begin, end))
    };
    let (begin, end) = inside().ok_or_else(|| {
        let path = tool::relative(path);
        Failure::new(format!("{path} lacks {} or {}", BEGIN.trim(), END.trim()))
    })?;
    Ok((
        text[..begin].to_owned(),
        text[begin..end].to_owned(),
        text[end..].to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readme_has_a_place_for_the_verdicts() {
        let path = tool::root().join("README.md");
        assert!(parts(&tool::read(&path).unwrap(), &path).is_ok());
    }

    #[test]
    fn inside_is_between_the_markers() {
        let text = format!("a\n{BEGIN}b\n{END}c\n");
        let (before, inside, after) = parts(&text, Path::new("x")).unwrap();
        assert_eq!(before, format!("a\n{BEGIN}"));
        assert_eq!(inside, "b\n");
        assert_eq!(after, format!("{END}c\n"));
        assert!(parts("a", Path::new("x")).is_err());
    }
}
