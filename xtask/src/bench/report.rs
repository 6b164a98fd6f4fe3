//! The runs as a table.

use std::fmt::Write;

use super::{
    cell::{Cell, Load},
    machine,
    measure::Pace,
    measurement::Measurement,
    quote,
    statistics::{Figure, median, smallest},
    subject::Subject,
};
use crate::tool::Failure;

/// All runs so far.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) cells: &'a [Cell],
    pub(super) subjects: &'a [&'static Subject],
    runs: Vec<Run>,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Run {
    cell: String,
    subject: &'static str,
    repeat: u32,
    measurement: Measurement,
}

impl<'a> Report<'a> {
    pub(super) fn new(cells: &'a [Cell], subjects: &'a [&'static Subject]) -> Self {
        Self {
            cells,
            subjects,
            runs: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        cell: &Cell,
        subject: &Subject,
        repeat: u32,
        measurement: Measurement,
    ) {
        self.runs.push(Run {
            cell: cell.to_string(),
            subject: subject.name,
            repeat,
            measurement,
        });
    }

    pub(super) fn note(&mut self, cell: &Cell, subject: &Subject, failure: &Failure) {
        let note = format!("{} in {cell}: {failure}", subject.name);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Whether no run failed.
    pub(super) fn is_complete(&self) -> bool {
        self.notes.is_empty()
    }

    /// The cell's figure ÷ that of the raw server: of the medians, and of the best runs.
    pub(super) fn ratios(&self, cell: &Cell, subject: &Subject) -> Option<(f64, f64)> {
        if !cell.has_floor() {
            return None;
        }
        let raw = self.subjects.iter().find(|subject| subject.is_raw())?;
        let ours = self.numbers(cell, subject, cell.figures()[0].of);
        let floor = self.numbers(cell, raw, cell.figures()[0].of);
        Some((
            median(ours.clone())? / median(floor.clone())?,
            smallest(&ours)? / smallest(&floor)?,
        ))
    }

    pub(super) fn median(&self, cell: &Cell, subject: &Subject, figure: &Figure) -> Option<f64> {
        median(self.numbers(cell, subject, figure.of))
    }

    fn numbers(
        &self,
        cell: &Cell,
        subject: &Subject,
        number: impl Fn(&Measurement) -> Option<f64>,
    ) -> Vec<f64> {
        self.runs
            .iter()
            .filter(|run| run.subject == subject.name && run.cell == cell.to_string())
            .filter_map(|run| number(&run.measurement))
            .collect()
    }

    /// `verdict` is what stands in front of the figures.
    pub(super) fn markdown(&self, name: &str, repeats: u32, pace: Pace, verdict: &str) -> String {
        let mut out = format!(
            "# cargo xtask bench: {name}\n\n{begin}{machine}. {repeats} interleaved runs of {} s \
             each after {} s of warming up; medians. {versions}.\n\n",
            pace.measured,
            pace.warm_up,
            begin = quote::BEGIN,
            machine = machine::description(),
            versions = self.versions(),
        );
        out.push_str(verdict);
        let _ = write!(
            out,
            "{end}\nCPU time a message (in the cells of latencies p99, in those of calls system \
             calls) ÷ that of the raw server, and in brackets best run against best run:\n\n",
            end = quote::END,
        );
        self.summary(&mut out);
        self.descriptions(&mut out);
        for cell in self.cells {
            self.section(&mut out, cell);
        }
        if !self.notes.is_empty() {
            out.push_str("\n## Runs that failed\n\n");
            for note in &self.notes {
                let _ = writeln!(out, "- {note}");
            }
        }
        out
    }

    /// What was measured, in a line.
    fn versions(&self) -> String {
        let mut known = Vec::new();
        for subject in self.subjects {
            let version = machine::version(subject.package).unwrap_or_default();
            let version = format!("{} {version}", subject.package);
            if !known.contains(&version) {
                known.push(version);
            }
        }
        known.join(", ")
    }

    /// Ratios: a row a cell, a column a subject.
    fn summary(&self, out: &mut String) {
        let columns: Vec<_> = self
            .subjects
            .iter()
            .filter(|subject| !subject.is_raw())
            .filter(|subject| {
                let mut cells = self.cells.iter();
                cells.any(|cell| self.ratios(cell, subject).is_some())
            })
            .collect();
        let cells: Vec<_> = self
            .cells
            .iter()
            .filter(|cell| {
                columns
                    .iter()
                    .any(|subject| self.ratios(cell, subject).is_some())
            })
            .collect();
        if cells.is_empty() {
            return;
        }
        let _ = write!(out, "| ÷ raw |");
        for subject in &columns {
            let _ = write!(out, " {} |", subject.name);
        }
        let _ = write!(out, "\n|---|{}\n", "---:|".repeat(columns.len()));
        for cell in cells {
            let _ = write!(out, "| {cell} |");
            for subject in &columns {
                match self.ratios(cell, subject) {
                    Some((median, best)) => {
                        let _ = write!(out, " {median:.2} ({best:.2}) |");
                    }
                    None => out.push_str(" – |"),
                }
            }
            out.push('\n');
        }
    }

    fn descriptions(&self, out: &mut String) {
        out.push_str("\n| server | of | how it is driven |\n|---|---|---|\n");
        for subject in self.subjects {
            let (name, package, driven) = (subject.name, subject.package, subject.driven);
            let _ = writeln!(out, "| {name} | {package} | {driven} |");
        }
    }

    fn section(&self, out: &mut String, cell: &Cell) {
        let _ = write!(out, "\n## {cell}\n\n{}\n\n", capitalized(&cell.title()));
        if let Load::Memory { .. } | Load::Calls { .. } = cell.load {
            return self.figures(out, cell);
        }
        let (unit, units) = cell.unit();
        let _ = write!(
            out,
            "| server | CPU µs a {unit} | least – most | ÷ raw | best ÷ best | {units} a second \
             | p50 µs | p99 µs | p99.9 µs | RSS MiB | busy % | generator busy % |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for subject in self.subjects {
            let cpu = self.numbers(cell, subject, Measurement::cpu);
            let Some(middle) = median(cpu.clone()) else {
                continue;
            };
            let most = cpu.iter().copied().fold(0.0, f64::max);
            let (ratio, best) = self.ratios(cell, subject).unzip();
            let value = |number: Option<f64>, factor: f64, digits: usize| match number {
                Some(number) => format!("{:.digits$}", number * factor),
                None => "–".to_owned(),
            };
            let of = |name| median(self.numbers(cell, subject, |run| run.number(name)));
            let rate = median(self.numbers(cell, subject, Measurement::per_second));
            let _ = writeln!(
                out,
                "| {} | {} | {} – {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                subject.name,
                value(Some(middle), 1e-3, 3),
                value(smallest(&cpu), 1e-3, 3),
                value(Some(most), 1e-3, 3),
                value(ratio, 1.0, 3),
                value(best, 1.0, 3),
                value(rate, 1.0, 0),
                value(of("p50_ns"), 1e-3, 0),
                value(of("p99_ns"), 1e-3, 0),
                value(of("p999_ns"), 1e-3, 0),
                value(of("rss"), 1.0 / f64::from(1 << 20), 1),
                value(of("busy"), 100.0, 0),
                value(of("generator_busy"), 100.0, 0),
            );
        }
        if cell.figures().len() > 1 {
            out.push('\n');
            self.figures(out, cell);
        }
    }

    /// The cell's figures and nothing else.
    fn figures(&self, out: &mut String, cell: &Cell) {
        let figures = cell.figures();
        out.push_str("| server |");
        for figure in figures {
            let _ = write!(out, " {} |", figure.name);
        }
        let _ = writeln!(out, "\n|---|{}", "---:|".repeat(figures.len()));
        for subject in self.subjects {
            let values: Option<Vec<_>> = figures
                .iter()
                .map(|figure| Some(figure.show(self.median(cell, subject, figure)?)))
                .collect();
            if let Some(values) = values {
                let _ = writeln!(out, "| {} | {} |", subject.name, values.join(" | "));
            }
        }
    }

    /// Every run, a line of JSON each.
    pub(super) fn raw_data(&self) -> String {
        let mut out = String::new();
        for run in &self.runs {
            let line = serde_json::json!({
                "cell": run.cell,
                "server": run.subject,
                "repeat": run.repeat,
                "said": run.measurement.0,
            });
            let _ = writeln!(out, "{line}");
        }
        out
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    }) + "."
}
