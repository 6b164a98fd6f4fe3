//! What was measured and is kept in `benches/results`, for `cargo xtask report`.

use std::path::PathBuf;

use serde_json::Value;

use super::{
    cell::Cell,
    measurement::Measurement,
    quote,
    statistics::{Figure, median},
    subject::{SUBJECTS, Subject},
};
use crate::tool::{self, Failure};

/// One number by which servers were compared in one load; less is better.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// As `--cells` names the load.
    pub(crate) name: String,
    pub(crate) title: String,
    /// What the number is, with its unit.
    pub(crate) figure: &'static str,
    /// The least first.
    pub(crate) servers: Vec<Measured>,
}

/// The median of a server's, or a client's, runs.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) whose: Whose,
    pub(crate) value: f64,
    /// The value as tables have it.
    pub(crate) shown: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    /// TCP without WebSocket.
    Floor,
    Others,
}

impl Comparison {
    /// The best of ours, or of the others.
    pub(crate) fn best(&self, whose: Whose) -> Option<&Measured> {
        self.servers.iter().find(|server| server.whose == whose)
    }

    /// The best of ours ÷ the best of the others.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (ours, others) = (self.best(Whose::Ours)?, self.best(Whose::Others)?);
        (others.value > 0.0).then_some(ours.value / others.value)
    }
}

/// Reads `benches/results/NAME.jsonl`, in the order of the runs.
pub(crate) fn read(name: &str) -> Result<Vec<Comparison>, Failure> {
    let path = file(name, "jsonl");
    let runs = runs(&tool::read(&path)?)
        .map_err(|why| Failure::new(format!("{}: {why}", tool::relative(&path))))?;
    let mut cells: Vec<&str> = Vec::new();
    for run in &runs {
        if !cells.contains(&run.cell.as_str()) {
            cells.push(&run.cell);
        }
    }
    let mut comparisons = Vec::new();
    for name in cells {
        let cell = Cell::parse(name)?;
        for figure in cell.figures() {
            comparisons.push(compare(&cell, figure, &runs));
        }
    }
    Ok(comparisons)
}

/// The machine and the versions, as the report beside the runs tells them.
pub(crate) fn machine(name: &str) -> Result<String, Failure> {
    let text = tool::read(&file(name, "md"))?;
    let quoted = text.split(quote::BEGIN).nth(1).unwrap_or_default();
    Ok(quoted.lines().next().unwrap_or_default().to_owned())
}

fn file(name: &str, extension: &str) -> PathBuf {
    let dir = tool::root().join("benches/results");
    dir.join(name).with_extension(extension)
}

struct Run {
    cell: String,
    server: String,
    measurement: Measurement,
}

fn runs(text: &str) -> Result<Vec<Run>, String> {
    text.lines()
        .map(|line| {
            let run: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            let field = |name: &str| run[name].as_str().map(str::to_owned);
            Ok(Run {
                cell: field("cell").ok_or("a run without cell")?,
                server: field("server").ok_or("a run without server")?,
                measurement: Measurement(run["said"].clone()),
            })
        })
        .collect()
}

fn compare(cell: &Cell, figure: &Figure, runs: &[Run]) -> Comparison {
    let mut servers: Vec<_> = SUBJECTS
        .iter()
        .filter_map(|subject| {
            let whose = whose(subject, cell)?;
            let of = |run: &&Run| run.server == subject.name && run.cell == cell.to_string();
            let numbers = runs.iter().filter(of);
            let value = median(
                numbers
                    .filter_map(|run| (figure.of)(&run.measurement))
                    .collect(),
            )?;
            Some(Measured {
                name: subject.name,
                whose,
                value,
                shown: figure.show(value),
            })
        })
        .collect();
    servers.sort_by(|one, other| one.value.total_cmp(&other.value));
    Comparison {
        name: cell.to_string(),
        title: cell.title(),
        figure: figure.name,
        servers,
    }
}

/// Whose it is; `None` of what is no measure for others here.
fn whose(subject: &Subject, cell: &Cell) -> Option<Whose> {
    if subject.is_ours_on_one_core() {
        Some(Whose::Ours)
    } else if subject.is_peer() {
        Some(Whose::Others)
    } else if subject.is_raw() && cell.has_floor() {
        Some(Whose::Floor)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_ours_is_compared_with_the_best_of_the_others() {
        for name in ["selection", "tls", "tls-storm"] {
            let comparisons = read(name).unwrap();
            assert!(
                comparisons.iter().any(|one| one.ratio().is_some()),
                "{name}"
            );
            for comparison in comparisons {
                let values = comparison.servers.iter().map(|server| server.value);
                assert!(values.is_sorted(), "{name} {}", comparison.name);
            }
        }
        assert!(machine("selection").unwrap().contains("rustc"));
    }

    #[test]
    fn the_median_of_the_runs_counts() {
        let line = |server: &str, cpu: u32| {
            format!(
                "{{\"cell\":\"16/1/1\",\"server\":\"{server}\",\"said\":{{\"cpu_ns\":{cpu},\"messages\":1}}}}"
            )
        };
        let lines = [("ws-mio", 1), ("ws-mio", 9), ("ws-mio", 2), ("uws", 4)];
        let text = lines.map(|(server, cpu)| line(server, cpu)).join("\n");
        let comparison = compare(
            &Cell::parse("16/1/1").unwrap(),
            &Figure::CPU,
            &runs(&text).unwrap(),
        );
        assert_eq!(comparison.ratio(), Some(0.5));
        assert_eq!(
            comparison.best(Whose::Floor).map(|server| server.value),
            None
        );
    }
}
