//! The tables of `crates/ws-conformance/HOSTILE.md`.

/// A row: tests, and what is taken out of the library to see that they notice it.
#[derive(Debug, Default)]
pub(super) struct Row<'a> {
    pub(super) line: &'a str,
    pub(super) tests: Vec<Test<'a>>,
    /// Its last cell, in a table that has the column `Taken out`.
    pub(super) taken_out: Option<&'a str>,
}

/// A test, as `crate/file.rs#function` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Test<'a> {
    /// Below `crates`.
    pub(super) file: &'a str,
    pub(super) function: &'a str,
}

impl<'a> Row<'a> {
    pub(super) fn all(document: &'a str) -> Vec<Self> {
        let mut rows = Vec::new();
        let mut before = "";
        let mut has_faults = false;
        for line in document.lines() {
            // A table begins with the names of its columns.
            if line.starts_with("| ") && !before.starts_with('|') {
                has_faults = last_cell(line) == "Taken out";
            } else if line.starts_with("| ") {
                rows.push(Self {
                    line,
                    tests: tests_of(line).collect(),
                    taken_out: has_faults.then(|| last_cell(line)),
                });
            }
            before = line;
        }
        rows
    }

    /// Its first cell.
    pub(super) fn name(&self) -> &'a str {
        self.line.split('|').nth(1).unwrap_or_default().trim()
    }

    /// The faults that are planted to see that its tests notice them.
    pub(super) fn faults(&self) -> impl Iterator<Item = &'a str> {
        let codes = self.taken_out.map(codes).into_iter().flatten();
        codes.filter(|code| is_fault(code))
    }

    /// Tells whether the last cell says why the test need not notice a fault: it names the
    /// function, or `crate::function` if others have the same name.
    pub(super) fn excuses(&self, test: Test<'_>) -> bool {
        let cell = self.taken_out.unwrap_or_default();
        let name = test.file.split('/').next().unwrap_or_default();
        codes(cell).any(|code| match code.split_once("::") {
            Some((package, function)) => package == name && function == test.function,
            None => code == test.function,
        })
    }

    /// Tells whether it has a test, or a cell that is a sentence instead.
    pub(super) fn has_test_or_reason(&self) -> bool {
        let mut cells = self.line.trim_end_matches(['|', ' ']).split('|').rev();
        let of_tests = cells.nth(usize::from(self.taken_out.is_some()));
        !self.tests.is_empty() || of_tests.is_some_and(is_sentence)
    }

    /// Tells whether its guard is taken out, or the last cell is a sentence instead.
    pub(super) fn has_fault_or_reason(&self) -> bool {
        self.taken_out
            .is_none_or(|cell| self.faults().next().is_some() || is_sentence(cell))
    }
}

fn last_cell(line: &str) -> &str {
    let mut cells = line.trim_end_matches(['|', ' ']).rsplit('|');
    cells.next().unwrap_or_default().trim()
}

fn is_sentence(cell: &str) -> bool {
    cell.trim().ends_with('.')
}

fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names of faults are words with hyphens between them; those of tests have underscores.
fn is_fault(code: &str) -> bool {
    code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

fn tests_of(line: &str) -> impl Iterator<Item = Test<'_>> {
    codes(line)
        .filter_map(|code| code.split_once('#'))
        .filter(|(file, _)| file.ends_with(".rs"))
        .map(|(file, function)| Test { file, function })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_names_tests_and_faults_or_reasons() {
        let document = "\
            | Id | Tests | Taken out |\n|---|---|---|\n\
            | A | `ws-proto/src/a.rs#b` `c/d.rs#e_f` | `length-believed`; `e_f` measures time. |\n\
            | B | It cannot be. | There is no guard. |\n\
            | C | no | no |\n\n\
            | Peer | Tests |\n|---|---|\n| D | `c/d.rs#e_f` |\n";
        let rows = Row::all(document);
        let [a, b, c, d] = &rows[..] else {
            panic!("{rows:?}");
        };
        let [first, second] = a.tests[..] else {
            panic!("{a:?}");
        };
        assert_eq!((first.file, first.function), ("ws-proto/src/a.rs", "b"));
        assert!(a.faults().eq(["length-believed"]));
        assert!(a.excuses(second) && !a.excuses(first));
        let there = Row {
            taken_out: Some("`spin`; `c::e_f` is slow."),
            ..Row::default()
        };
        let elsewhere = Test {
            file: "other/d.rs",
            ..second
        };
        assert!(there.excuses(second) && !there.excuses(elsewhere));
        assert!(there.faults().eq(["spin"]));
        assert!([a, b, d].iter().all(|row| row.has_test_or_reason()));
        assert!([a, b, d].iter().all(|row| row.has_fault_or_reason()));
        assert!(!c.has_test_or_reason() && !c.has_fault_or_reason());
        assert_eq!((d.name(), d.taken_out), ("D", None));
    }
}
