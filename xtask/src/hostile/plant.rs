//! `cargo xtask hostile --plant`: whether tests notice it if what they are there for is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use super::table::{Row, Test};
use crate::{
    faulty,
    test::{self, Program},
    tool::{self, Failure, Job},
};

/// How long the tests of a program may take with a fault. Many a limit that is missing is noticed
/// by a test that does not end.
const LIMIT: Duration = Duration::from_secs(10);

/// Tests of one program that are run with one fault.
type Runs<'a> = BTreeMap<(&'a str, usize), BTreeSet<Test<'a>>>;

/// Which tests failed, with which faults.
type Noticed<'a> = BTreeSet<(&'a str, Test<'a>)>;

/// Runs the tests of all rows with their faults; returns what nobody noticed.
pub(super) fn run(rows: &[Row<'_>]) -> Result<Vec<String>, Failure> {
    let programs = Programs::build()?;
    let began = Instant::now();
    let mut runs = Runs::new();
    for row in rows {
        for (fault, test) in pairs(row) {
            let tests = runs.entry((fault, programs.of(test)?)).or_default();
            tests.insert(test);
        }
    }
    let noticed = programs.run(&runs)?;
    let wrong: Vec<_> = rows.iter().flat_map(|row| judge(row, &noticed)).collect();
    for complaint in &wrong {
        println!("{complaint}");
    }
    let rows = rows.iter().filter(|row| row.faults().next().is_some());
    println!(
        "{} rows have {} faults planted in {} runs of {:.0} s together; {} are wrong",
        rows.count(),
        runs.keys()
            .map(|(fault, _)| fault)
            .collect::<BTreeSet<_>>()
            .len(),
        runs.len(),
        began.elapsed().as_secs_f64(),
        wrong.len()
    );
    Ok(wrong)
}

/// Every fault of a row with every test of it.
fn pairs<'a>(row: &Row<'a>) -> impl Iterator<Item = (&'a str, Test<'a>)> {
    let tests = row.tests.iter().copied();
    let tests = tests.filter(|&test| !row.excuses(test));
    row.faults()
        .flat_map(move |fault| tests.clone().map(move |test| (fault, test)))
        .collect::<Vec<_>>()
        .into_iter()
}

/// What is wrong with a row.
fn judge<'a>(row: &Row<'a>, noticed: &Noticed<'a>) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = row.name();
    for fault in row.faults() {
        if !row
            .tests
            .iter()
            .any(|&test| noticed.contains(&(fault, test)))
        {
            wrong.push(format!("{name}: no test notices {fault}"));
        }
    }
    if row.faults().next().is_none() {
        return wrong;
    }
    for &test in row.tests.iter().filter(|&&test| !row.excuses(test)) {
        if !row.faults().any(|fault| noticed.contains(&(fault, test))) {
            wrong.push(format!("{name}: {} notices no fault", test.function));
        }
    }
    wrong
}

/// The programs that have the tests, built with all faults.
struct Programs {
    programs: Vec<Program>,
    /// The names of their tests, with those of modules in front.
    tests: Vec<Vec<String>>,
}

impl Programs {
    fn build() -> Result<Self, Failure> {
        let mut programs = test::programs(&mut faulty::cargo())?;
        let crates = tool::root().join("crates");
        programs.retain(|program| !program.is_bench && program.folder.starts_with(&crates));
        let list = |program: &Program| -> Result<Vec<String>, Failure> {
            let said = tool::output_of(program.command().args(["--list", "--format", "terse"]))?;
            let tests = said.lines().filter_map(|line| line.strip_suffix(": test"));
            Ok(tests.map(str::to_owned).collect())
        };
        let tests = programs.iter().map(list).collect::<Result<_, _>>()?;
        Ok(Self { programs, tests })
    }

    /// The program that has a test.
    fn of(&self, test: Test<'_>) -> Result<usize, Failure> {
        let file = tool::root().join("crates").join(test.file);
        let has = |&at: &usize| {
            is_of(&self.programs[at].source, &file) && self.name_in(at, test).is_some()
        };
        (0..self.programs.len())
            .find(has)
            .ok_or_else(|| Failure::new(format!("no program has {}#{}", test.file, test.function)))
    }

    /// What a program calls a test.
    fn name_in(&self, at: usize, test: Test<'_>) -> Option<&str> {
        let source = &self.programs[at].source;
        let file = tool::root().join("crates").join(test.file);
        let module = (file != *source).then(|| module_of(&file)).flatten();
        let is_it = |name: &&String| {
            let mut path: Vec<_> = name.split("::").collect();
            path.pop() == Some(test.function) && module.is_none_or(|module| path.contains(&module))
        };
        self.tests[at].iter().find(is_it).map(String::as_str)
    }

    fn run<'a>(&self, runs: &Runs<'a>) -> Result<Noticed<'a>, Failure> {
        let job = |((fault, program), tests): (&(&'a str, usize), &BTreeSet<Test<'a>>)| {
            let (fault, program, tests) = (*fault, *program, tests.clone());
            let job: Job<'_, Result<Vec<(&'a str, Test<'a>)>, Failure>> = Box::new(move || {
                let failed = self.run_one(fault, program, &tests)?;
                Ok(failed.into_iter().map(|test| (fault, test)).collect())
            });
            job
        };
        let done = tool::at_once(tool::processors(), runs.iter().map(job).collect());
        let noticed: Vec<_> = done.into_iter().collect::<Result<_, _>>()?;
        Ok(noticed.into_iter().flatten().collect())
    }

    /// Runs tests of a program with a fault; returns those that failed or did not end.
    fn run_one<'a>(
        &self,
        fault: &str,
        program: usize,
        tests: &BTreeSet<Test<'a>>,
    ) -> Result<Vec<Test<'a>>, Failure> {
        let names = tests.iter().filter_map(|&test| self.name_in(program, test));
        let file = tool::target_dir().join(format!("planted-{fault}-{program}"));
        let began = Instant::now();
        let mut child = self.programs[program]
            .command()
            .args(["--exact", "--test-threads", "16"])
            .args(names)
            .env(faulty::VARIABLE, fault)
            .stdin(Stdio::null())
            .stdout(File::create(&file)?)
            .stderr(Stdio::null())
            .spawn()?;
        let ended = tool::end_at_most(&mut child, LIMIT)?;
        let said = tool::read(&file)?;
        std::fs::remove_file(file)?;
        // Which it did not, if it knows fewer of them.
        if !said.contains(&format!("running {} test", tests.len())) {
            let program = &self.programs[program].name;
            return Err(Failure::new(format!("{program} ran other tests: {said}")));
        }
        let has_failed = |test: &Test<'_>| {
            let name = self.name_in(program, *test);
            name.is_some_and(|name| !has_passed(&said, name))
        };
        let failed: Vec<_> = tests.iter().copied().filter(has_failed).collect();
        println!(
            "{:>6.1} s  {fault}: {} of {} tests of {} fail{}",
            began.elapsed().as_secs_f64(),
            failed.len(),
            tests.len(),
            self.programs[program].name,
            if ended.is_none() {
                "; it does not end"
            } else {
                ""
            }
        );
        Ok(failed)
    }
}

/// Tells whether a file may be part of a program, by the file that the program begins with.
fn is_of(source: &Path, file: &Path) -> bool {
    let names_a_folder = source.ends_with("main.rs") || source.ends_with("lib.rs");
    let folder = source.parent().filter(|_| names_a_folder);
    source == file || folder.is_some_and(|folder| file.starts_with(folder))
}

/// The module that a file is, if its name says so.
fn module_of(file: &Path) -> Option<&str> {
    let stem = file.file_stem()?.to_str()?;
    match stem {
        "mod" | "main" | "lib" => None,
        _ => Some(stem),
    }
}

fn has_passed(said: &str, name: &str) -> bool {
    let head = format!("test {name} ");
    said.lines()
        .any(|line| line.starts_with(&head) && line.ends_with(" ok"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_part_of_the_program_beside_it() {
        let suite = Path::new("/c/tests/suite/main.rs");
        assert!(is_of(suite, Path::new("/c/tests/suite/limits.rs")));
        assert!(!is_of(suite, Path::new("/c/tests/limits.rs")));
        let alone = Path::new("/c/tests/limits.rs");
        assert!(is_of(alone, alone) && !is_of(alone, Path::new("/c/tests/other.rs")));
    }

    #[test]
    fn faults_are_noticed_by_a_test_and_tests_notice_one() {
        let document = "| Id | T | Taken out |\n|---|---|---|\n\
            | A | `c/d.rs#one` `c/d.rs#two` | `a-fault` |\n";
        let rows = Row::all(document);
        let [one, two] = rows[0].tests[..] else {
            panic!("{rows:?}");
        };
        let all = judge(&rows[0], &Noticed::new());
        assert_eq!(all.len(), 3, "{all:?}");
        let some = judge(&rows[0], &Noticed::from([("a-fault", one)]));
        assert_eq!(some, ["A: two notices no fault"]);
        let none = judge(
            &rows[0],
            &Noticed::from([("a-fault", one), ("a-fault", two)]),
        );
        assert!(none.is_empty());
    }

    #[test]
    fn line_tells_that_a_test_passed() {
        let said = "test a::b ... ok\ntest a::bc ... FAILED\n";
        assert!(has_passed(said, "a::b") && !has_passed(said, "a::bc") && !has_passed(said, "a"));
    }
}
