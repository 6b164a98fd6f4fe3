//! `cargo xtask miri`, `coverage` and `mutants`: checks by other tools, too slow for every change.

pub(crate) mod coverage;
pub(crate) mod miri;
pub(crate) mod mutants;

use lexopt::{Arg, Parser, ValueExt as _};

use crate::tool::{self, Failure};

/// A crate, and the share of it below which a command fails, in percent.
type Bar = (&'static str, f64);

/// The crates that `-p` names, or all, each with its bar.
fn chosen(arguments: &mut Parser, all: &[Bar]) -> Result<Vec<Bar>, Failure> {
    let mut wanted = Vec::new();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Short('p') | Arg::Long("package") => {
                let name = arguments.value()?.string()?;
                let known = all.iter().find(|(known, _)| *known == name);
                wanted.push(
                    *known.ok_or_else(|| Failure::new(format!("{name} has no bar; see --help")))?,
                );
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(if wanted.is_empty() {
        all.to_vec()
    } else {
        wanted
    })
}

/// Installs a subcommand of Cargo's, if it is not there.
fn require(command: &str, package: &str) -> Result<(), Failure> {
    let is_there = tool::rustup_cargo()
        .args([command, "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if is_there {
        return Ok(());
    }
    println!("{package} is not installed; installing it");
    tool::run(tool::rustup_cargo().args(["install", package, "--locked"]))
}

/// One crate's line of a table, and whether it is over its bar.
#[derive(Debug)]
struct Share {
    package: &'static str,
    bar: f64,
    part: usize,
    whole: usize,
}

impl Share {
    fn percent(&self) -> f64 {
        100.0 * self.part as f64 / self.whole.max(1) as f64
    }

    /// Of nothing there is no share.
    fn passes(&self) -> bool {
        self.whole > 0 && self.percent() >= self.bar
    }
}

/// Prints a table of all, and tells whether each is over its bar.
fn all_pass(what: &str, part: &str, shares: &[Share]) -> bool {
    println!(
        "\n{:<14} {what:>9} {part:>9} {:>9} {:>6}",
        "crate", "share", "bar"
    );
    for share in shares {
        println!(
            "{:<14} {:>9} {:>9} {:>7.2} % {:>4} %{}",
            share.package,
            share.whole,
            share.part,
            share.percent(),
            share.bar,
            if share.passes() { "" } else { "  TOO LOW" },
        );
    }
    shares.iter().all(Share::passes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_at_its_bar_passes_and_one_of_nothing_does_not() {
        let share = |part, whole| Share {
            package: "ws-proto",
            bar: 97.0,
            part,
            whole,
        };
        assert!(share(97, 100).passes());
        assert!(!share(969, 1000).passes());
        assert!(!share(0, 0).passes());
    }

    #[test]
    fn named_crates_keep_their_bars_and_others_are_refused() {
        let all = [("a", 1.0), ("b", 2.0)];
        let chosen = |words: &[&str]| chosen(&mut Parser::from_args(words), &all).ok();
        assert_eq!(chosen(&[]), Some(all.to_vec()));
        assert_eq!(chosen(&["-p", "b"]), Some(vec![("b", 2.0)]));
        assert_eq!(chosen(&["-p", "c"]), None);
    }
}
