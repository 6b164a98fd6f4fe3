//! The vectors, the requirements, and the defects of others.

use super::page::{Page, Verdict, escape, mark, table};
use crate::{hostile, spec, tool::Failure, vectors};

pub(super) fn write(page: &mut Page) -> Result<(), Failure> {
    let mut html = requirements(page)?;
    html += &vectors(page)?;
    html += &defects(page)?;
    page.add("conformance", "Conformance", html);
    Ok(())
}

fn requirements(page: &mut Page) -> Result<String, Failure> {
    let counts = spec::obeyed()?;
    let (mut required, mut obeyed, mut rows) = (0, 0, Vec::new());
    for (source, count) in &counts {
        required += count.required;
        obeyed += count.obeyed;
        let verdict = match count.required {
            0 => Verdict::Neutral,
            required => Verdict::of(count.obeyed == required),
        };
        rows.push(vec![
            match source.as_str() {
                "MSWS" => "[MS-WSPE]".to_owned(),
                source => escape(source),
            },
            count.required.to_string(),
            mark(&count.obeyed.to_string(), verdict),
            count.advised.to_string(),
        ]);
    }
    page.sum_up(
        format!("{obeyed} of {required}"),
        "rules of the specifications (MUST and MUST NOT) have code and a test",
        Verdict::of(obeyed == required),
    );
    Ok(table(
        "Rules of the specifications, each matched with the code that obeys it and a test that would \
         notice if it did not (<code>cargo xtask spec --table</code> names them).",
        &[
            "specification",
            "MUST, MUST NOT",
            "with code and test",
            "SHOULD, MAY with code and test",
        ],
        &rows,
    ))
}

fn vectors(page: &mut Page) -> Result<String, Failure> {
    let suite = vectors::read(&vectors::dir())?;
    let report = suite.check();
    let counts = report.counts();
    let all: usize = counts.iter().map(|(_, all, _)| all).sum();
    let passed: usize = counts.iter().map(|(.., passed)| passed).sum();
    page.sum_up(
        format!("{passed} of {all}"),
        "conformance vectors pass, each whole and cut at every place",
        Verdict::of(passed == all),
    );
    let rows: Vec<_> = counts
        .iter()
        .map(|(class, all, passed)| {
            let shown = mark(&passed.to_string(), Verdict::of(passed == all));
            vec![escape(class), all.to_string(), shown]
        })
        .collect();
    let table = table("Vectors by class", &["class", "vectors", "passed"], &rows);
    Ok(format!(
        "<details><summary>Vectors by class <span class=\"quiet\">({passed} of {all} passed)</span>\
         </summary>\n{table}</details>\n"
    ))
}

fn defects(page: &mut Page) -> Result<String, Failure> {
    let counts = hostile::counts()?;
    page.sum_up(
        counts.defects,
        "published defects of other implementations, each with a test that would notice it",
        Verdict::Neutral,
    );
    Ok(format!(
        "<p>{} published defects of other implementations have tests here: {} tests in all. To see that \
         the tests notice them, {} guards are taken out one by one (<code>cargo xtask hostile \
         --plant</code>).</p>\n",
        counts.defects, counts.tests, counts.faults
    ))
}
