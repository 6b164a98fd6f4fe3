//! The Autobahn suite, as its last runs left it.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde_json::Value;

use super::page::{Page, Verdict, escape, mark, table};
use crate::tool::{self, Failure};

/// What became of each case of a run.
type Cases = BTreeMap<Number, String>;

/// The number of a case, so that 2.10 comes after 2.9.
type Number = Vec<u32>;

pub(super) fn write(page: &mut Page) -> Result<(), Failure> {
    let runs = read(&tool::target_dir().join("autobahn"))?;
    if runs.is_empty() {
        let why =
            "The suite was not run in this folder; <code>cargo xtask autobahn all</code> does it.";
        page.sum_up("–", "the Autobahn suite was not run here", Verdict::Neutral);
        page.add("autobahn", "Autobahn", format!("<p>{why}</p>\n"));
        return Ok(());
    }
    let all: usize = runs.values().map(BTreeMap::len).sum();
    let failed: usize = runs.values().map(|cases| count(cases, is_failure)).sum();
    page.sum_up(
        format!("{} of {all}", all - failed),
        &format!(
            "Autobahn cases in {} runs are as they should be",
            runs.len()
        ),
        Verdict::of(failed == 0),
    );
    let rows: Vec<_> = runs.iter().map(|(name, cases)| row(name, cases)).collect();
    let mut html = table(
        "Runs of the Autobahn test suite: role, adapter, and what differs. Informational cases have no \
         right answer; non-strict ones come to the right end in another way.",
        &[
            "run",
            "cases",
            "OK",
            "informational",
            "non-strict",
            "not implemented",
            "failed",
        ],
        &rows,
    );
    html += &by_case(&runs);
    page.add("autobahn", "Autobahn", html);
    Ok(())
}

/// The runs that there are, by name.
fn read(dir: &Path) -> Result<BTreeMap<String, Cases>, Failure> {
    let mut runs = BTreeMap::new();
    if !dir.is_dir() {
        return Ok(runs);
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let index = entry.path().join("index.json");
        // A run that did not come to its end has none.
        if !index.is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        let wrong = |why: &str| Failure::new(format!("{}: {why}", index.display()));
        let index: Value = serde_json::from_str(&tool::read(&index)?)
            .map_err(|error| wrong(&error.to_string()))?;
        runs.insert(
            name,
            cases(&index).ok_or_else(|| wrong("not as the suite writes it"))?,
        );
    }
    Ok(runs)
}

/// The cases of the one agent of a run.
fn cases(index: &Value) -> Option<Cases> {
    let agent = index.as_object()?.values().next()?.as_object()?;
    agent
        .iter()
        .map(|(case, result)| {
            let number = case
                .split('.')
                .map(|part| part.parse().ok())
                .collect::<Option<Number>>()?;
            let (how, close) = (
                result["behavior"].as_str()?,
                result["behaviorClose"].as_str()?,
            );
            // A case is as good as the worse of both.
            let worse = if how == "OK" || how == "INFORMATIONAL" {
                close
            } else {
                how
            };
            let told = if worse == "OK" || worse == "INFORMATIONAL" {
                how
            } else {
                worse
            };
            Some((number, told.to_owned()))
        })
        .collect()
}

fn is_failure(told: &str) -> bool {
    !["OK", "INFORMATIONAL", "NON-STRICT", "UNIMPLEMENTED"].contains(&told)
}

fn count(cases: &Cases, is: impl Fn(&str) -> bool) -> usize {
    cases.values().filter(|told| is(told)).count()
}

fn row(name: &str, cases: &Cases) -> Vec<String> {
    let of = |wanted: &str| count(cases, |told| told == wanted).to_string();
    let failed = count(cases, is_failure);
    vec![
        escape(name),
        cases.len().to_string(),
        of("OK"),
        of("INFORMATIONAL"),
        of("NON-STRICT"),
        of("UNIMPLEMENTED"),
        mark(&failed.to_string(), Verdict::of(failed == 0)),
    ]
}

/// Every case of every run.
fn by_case(runs: &BTreeMap<String, Cases>) -> String {
    let mut numbers: Vec<_> = runs.values().flat_map(BTreeMap::keys).collect();
    numbers.sort();
    numbers.dedup();
    let mut out = format!(
        "<details><summary>By case <span class=\"quiet\">({} cases)</span></summary>\n\
         <p>OK, I: informational, N: non-strict, –: not implemented, F: failed; empty: not run.</p>\n\
         <div class=\"scroll\"><table>\n<thead><tr><th scope=\"col\">case</th>",
        numbers.len()
    );
    for name in runs.keys() {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escape(name));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for number in numbers {
        let shown: Vec<_> = number.iter().map(u32::to_string).collect();
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", shown.join("."));
        for cases in runs.values() {
            let letter = cases.get(number).map_or(String::new(), |told| letter(told));
            let _ = write!(out, "<td class=\"case\">{letter}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div></details>\n");
    out
}

fn letter(told: &str) -> String {
    match told {
        "OK" => "OK".to_owned(),
        "INFORMATIONAL" => "I".to_owned(),
        "NON-STRICT" => "N".to_owned(),
        "UNIMPLEMENTED" => "–".to_owned(),
        _ => mark("F", Verdict::Bad),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(behavior: &str, close: &str) -> Value {
        json!({"behavior": behavior, "behaviorClose": close, "duration": 1})
    }

    #[test]
    fn a_case_is_as_good_as_the_worse_of_message_and_close() {
        let index = json!({"agent": {
            "2.10": result("OK", "OK"),
            "2.9": result("OK", "FAILED"),
            "3.1": result("NON-STRICT", "OK"),
            "9.1": result("INFORMATIONAL", "INFORMATIONAL"),
        }});
        let cases = cases(&index).unwrap();
        let told: Vec<_> = cases.values().map(String::as_str).collect();
        assert_eq!(told, ["FAILED", "OK", "NON-STRICT", "INFORMATIONAL"]);
        assert_eq!(count(&cases, is_failure), 1);
        let runs = BTreeMap::from([("server-mio".to_owned(), cases)]);
        let table = by_case(&runs);
        assert!(table.find(">2.9<") < table.find(">2.10<"), "{table}");
        assert!(table.contains(">F<"), "{table}");
    }
}
