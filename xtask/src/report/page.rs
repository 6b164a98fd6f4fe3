//! The page: its head, its parts, and how numbers stand in it.

use std::fmt::{self, Write as _};

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    about: String,
    /// What the whole comes to, each a number and a few words.
    summary: Vec<(String, String, Verdict)>,
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    id: &'static str,
    title: &'static str,
    html: String,
}

/// How a number is to be taken; told in words too, as not everybody sees colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Bad,
    Neutral,
}

impl Verdict {
    pub(super) const fn of(is_good: bool) -> Self {
        if is_good { Self::Good } else { Self::Bad }
    }

    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Neutral => "neutral",
        }
    }
}

impl Page {
    pub(super) fn new(title: &str, about: &str) -> Self {
        Self {
            title: title.to_owned(),
            about: about.to_owned(),
            summary: Vec::new(),
            sections: Vec::new(),
        }
    }

    /// Adds a number to the top of the page.
    pub(super) fn sum_up(&mut self, number: impl fmt::Display, what: &str, verdict: Verdict) {
        let (number, what) = (escape(&number.to_string()), escape(what));
        self.summary.push((number, what, verdict));
    }

    /// Adds a part, whose text is HTML.
    pub(super) fn add(&mut self, id: &'static str, title: &'static str, html: String) {
        self.sections.push(Section { id, title, html });
    }

    pub(super) fn finish(self) -> String {
        let title = escape(&self.title);
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n\
             <h1>{title}</h1>\n<p>{}. Less is better wherever a number has a unit.</p>\n\
             <ul class=\"summary\">\n",
            self.about
        );
        for (number, what, verdict) in &self.summary {
            let class = verdict.class();
            let _ = writeln!(out, "<li class=\"{class}\"><b>{number}</b> {what}</li>");
        }
        out.push_str("</ul>\n<nav aria-label=\"Parts\"><ul>\n");
        for Section { id, title, .. } in &self.sections {
            let _ = writeln!(out, "<li><a href=\"#{id}\">{title}</a></li>");
        }
        out.push_str("</ul></nav>\n</header>\n<main>\n");
        for Section { id, title, html } in &self.sections {
            let _ = write!(
                out,
                "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n\
                 <h2 id=\"{id}-title\">{title}</h2>\n{html}</section>\n"
            );
        }
        out.push_str("</main>\n</body>\n</html>\n");
        out
    }
}

/// Text as HTML has it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A table: its caption, the heads of its columns, and the rows, all of them HTML. The first cell
/// of a row is its head; all others but the first are numbers.
pub(super) fn table(caption: &str, heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut out =
        format!("<div class=\"scroll\"><table>\n<caption>{caption}</caption>\n<thead><tr>");
    for head in heads {
        let _ = write!(out, "<th scope=\"col\">{head}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let _ = match index {
                0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                _ => write!(out, "<td>{cell}</td>"),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// A word with the colour of a verdict.
pub(super) fn mark(text: &str, verdict: Verdict) -> String {
    format!(
        "<span class=\"{}\">{}</span>",
        verdict.class(),
        escape(text)
    )
}

const STYLE: &str = "\
:root { --ground: #fff; --text: #1c2024; --quiet: #5b6570; --line: #d5dae0; --panel: #f4f6f8; \
--ours: #0b7a5b; --others: #8a97a6; --floor: #c9ced6; --good: #0a6b4d; --bad: #a8321f; }\n\
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --text: #e7eaee; --quiet: #a0abb8; \
--line: #343b43; --panel: #1d2227; --ours: #3ecb9b; --others: #78879a; --floor: #4a5563; \
--good: #5bd6aa; --bad: #ff9a85; } }\n\
* { box-sizing: border-box; }\n\
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem; background: var(--ground); \
color: var(--text); font: 1rem/1.5 system-ui, sans-serif; }\n\
h1 { font-size: 1.7rem; line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); } \
h3 { margin-bottom: .3rem; }\n\
p, caption, figcaption { color: var(--quiet); } p { max-width: 46rem; }\n\
a { color: inherit; }\n\
ul.summary { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; \
list-style: none; padding: 0; }\n\
ul.summary li { background: var(--panel); border-left: 4px solid var(--line); padding: .7rem .9rem; \
color: var(--text); font-weight: normal; }\n\
ul.summary li.good { border-color: var(--good); } ul.summary li.bad { border-color: var(--bad); }\n\
ul.summary b { display: block; font-size: 1.5rem; line-height: 1.2; }\n\
nav ul { display: flex; flex-wrap: wrap; gap: .4rem 1.2rem; list-style: none; padding: 0; }\n\
.scroll { overflow-x: auto; }\n\
table { border-collapse: collapse; margin: .8rem 0 1.6rem; font-variant-numeric: tabular-nums; }\n\
caption { text-align: left; padding-bottom: .3rem; }\n\
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); text-align: right; }\n\
th:first-child { text-align: left; } tbody th { font-weight: normal; min-width: 7rem; }\n\
thead th { font-weight: 600; vertical-align: bottom; }\n\
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }\n\
table.bars { width: 100%; } table.bars td.bar { width: 55%; text-align: left; } table.bars th { white-space: nowrap; }\n\
td.bar span { display: block; height: .8rem; background: var(--others); min-width: 1px; }\n\
td.bar span.ours, svg .ours { background: var(--ours); fill: var(--ours); }\n\
td.bar span.floor { background: var(--floor); }\n\
tr.ours th, tr.ours td { font-weight: 600; }\n\
details { margin: .4rem 0; } summary { cursor: pointer; }\n\
summary .quiet { color: var(--quiet); }\n\
figure { margin: 1rem 0; } svg { width: 100%; height: auto; max-width: 60rem; }\n\
svg text { fill: var(--text); font: 12px system-ui, sans-serif; } svg text.quiet { fill: var(--quiet); }\n\
svg line { stroke: var(--line); } svg line.one { stroke: var(--text); }\n\
svg .lost { fill: var(--bad); background: none; }\n\
td.case { padding: .1rem .3rem; text-align: center; font-size: .8rem; }\n\
@media print { body { max-width: none; } details { display: block; } }\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escape("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let mut page = Page::new("A & B", "of today");
        page.sum_up(3, "things", Verdict::Good);
        page.add(
            "x",
            "X",
            table("c", &["a", "b"], &[vec!["1".into(), "2".into()]]),
        );
        let page = page.finish();
        for outside in ["http://", "https://", "<script", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert!(page.contains("<h1>A &amp; B</h1>"));
        assert!(page.contains("<th scope=\"row\">1</th><td>2</td>"));
    }
}
