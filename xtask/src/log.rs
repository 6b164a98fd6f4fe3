//! What was checked with other people's programs, and how that went.

use crate::tool::{Failure, Outcome};

/// One line a check, said again at the end.
#[derive(Debug, Default)]
pub(crate) struct Log {
    lines: Vec<String>,
    has_failure: bool,
}

impl Log {
    pub(crate) fn note(&mut self, name: &str, result: Result<(), Failure>) {
        match result {
            Ok(()) => self.lines.push(format!("passed  {name}")),
            Err(failure) => {
                println!("{failure}");
                self.has_failure = true;
                self.lines.push(format!("FAILED  {name}: {failure}"));
            }
        }
    }

    /// Adds what another log has noted.
    pub(crate) fn add(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.has_failure |= other.has_failure;
    }

    /// Notes what cannot be checked here.
    pub(crate) fn leave_out(&mut self, name: &str, why: &dyn std::fmt::Display) {
        println!("LEFT OUT {name}: {why}");
        self.lines.push(format!("LEFT OUT {name}: {why}"));
    }

    /// Says everything again.
    pub(crate) fn finish(self) -> Outcome {
        println!();
        for line in &self.lines {
            println!("{line}");
        }
        Outcome::from_passed(!self.has_failure)
    }
}
