//! Ours beside the floor and the best of the others, a line a cell.

use std::fmt::Write;

use super::{cell::Cell, report::Report, statistics::Figure, subject::Subject};

/// What is held against what, where both are ours.
struct Pair {
    what: &'static str,
    /// The name of a cell, and that of a server.
    of: (&'static str, &'static str),
    to: (&'static str, &'static str),
}

/// Both tables.
pub(super) fn of(report: &Report<'_>) -> String {
    let mut out = String::from(
        "| load | figure | ours | ÷ raw | best of the others | ours ÷ best |\n\
         |---|---|---:|---:|---:|---:|\n",
    );
    for cell in report.cells {
        for figure in cell.figures() {
            line(&mut out, report, cell, figure);
        }
    }
    let pairs: Vec<_> = PAIRS
        .iter()
        .filter_map(|pair| Some((pair, ratio(report, pair)?)))
        .collect();
    if !pairs.is_empty() {
        out.push_str("\n| ours against ours | ratio of CPU |\n|---|---:|\n");
    }
    for (pair, ratio) in pairs {
        let _ = writeln!(out, "| {} | {ratio:.2} |", pair.what);
    }
    out
}

fn line(out: &mut String, report: &Report<'_>, cell: &Cell, figure: &Figure) {
    // As for the others, whichever of ours is best: which one is told.
    let Some((ours, our_name)) = best(report, cell, figure, Subject::is_ours_on_one_core) else {
        return;
    };
    let raw = best(report, cell, figure, |subject| {
        subject.is_raw() && cell.has_floor()
    });
    let other = best(report, cell, figure, Subject::is_peer);
    let ratio = |to: Option<(f64, &str)>| match to {
        Some((to, _)) => format!("{:.2}", ours / to),
        None => "–".to_owned(),
    };
    let _ = writeln!(
        out,
        "| {cell} | {} | {} ({our_name}) | {} | {} | {} |",
        figure.name,
        figure.show(ours),
        ratio(raw),
        match other {
            Some((other, name)) => format!("{} ({name})", figure.show(other)),
            None => "–".to_owned(),
        },
        ratio(other),
    );
}

/// The least median among some of the servers, and whose it is.
fn best<'r>(
    report: &Report<'r>,
    cell: &Cell,
    figure: &Figure,
    of: impl Fn(&Subject) -> bool,
) -> Option<(f64, &'r str)> {
    report
        .subjects
        .iter()
        .filter(|subject| of(subject))
        .filter_map(|subject| Some((report.median(cell, subject, figure)?, subject.name)))
        .min_by(|one, other| one.0.total_cmp(&other.0))
}

fn ratio(report: &Report<'_>, pair: &Pair) -> Option<f64> {
    let cpu = |(cell, subject): (&str, &str)| {
        let cell = report
            .cells
            .iter()
            .find(|known| known.to_string() == cell)?;
        let subject = report.subjects.iter().find(|known| known.name == subject)?;
        report.median(cell, subject, &Figure::CPU)
    };
    Some(cpu(pair.of)? / cpu(pair.to)?)
}

const PAIRS: &[Pair] = &[
    Pair {
        what: "256 KiB: zero key ÷ random keys",
        of: ("256K/64/1/zero", "ws-mio"),
        to: ("256K/64/1", "ws-mio"),
    },
    Pair {
        what: "256 KiB: zero key ÷ no masks",
        of: ("256K/64/1/zero", "ws-mio"),
        to: ("256K/64/1/none", "ws-mio"),
    },
    Pair {
        what: "256 KiB: zero key ÷ random keys, with an XOR that does nothing",
        of: ("256K/64/1/zero", "ws-mio"),
        to: ("256K/64/1", "ws-mio-no-xor"),
    },
    Pair {
        what: "1 MiB: zero key ÷ random keys",
        of: ("1M/1/1/zero", "ws-mio"),
        to: ("1M/1/1", "ws-mio"),
    },
    Pair {
        what: "1 MiB: zero key ÷ no masks",
        of: ("1M/1/1/zero", "ws-mio"),
        to: ("1M/1/1/none", "ws-mio"),
    },
    Pair {
        what: "1 MiB: zero key ÷ random keys, with an XOR that does nothing",
        of: ("1M/1/1/zero", "ws-mio"),
        to: ("1M/1/1", "ws-mio-no-xor"),
    },
    Pair {
        what: "client, 16 KiB: zero key ÷ random keys",
        of: ("client/16K/zero", "ws-proto"),
        to: ("client/16K/random", "ws-proto"),
    },
    Pair {
        what: "client, 1 MiB: zero key ÷ random keys",
        of: ("client/1M/zero", "ws-proto"),
        to: ("client/1M/random", "ws-proto"),
    },
    Pair {
        what: "16 KiB over TLS: zero key ÷ random keys",
        of: ("tls/16K/64/1/zero", "ws-mio"),
        to: ("tls/16K/64/1", "ws-mio"),
    },
    Pair {
        what: "16 KiB over TLS: no masks ÷ random keys",
        of: ("tls/16K/64/1/none", "ws-mio"),
        to: ("tls/16K/64/1", "ws-mio"),
    },
    Pair {
        what: "1 MiB over TLS: zero key ÷ random keys",
        of: ("tls/1M/16/1/zero", "ws-mio"),
        to: ("tls/1M/16/1", "ws-mio"),
    },
    Pair {
        what: "1 MiB over TLS: no masks ÷ random keys",
        of: ("tls/1M/16/1/none", "ws-mio"),
        to: ("tls/1M/16/1", "ws-mio"),
    },
    Pair {
        what: "125 B, 64 connections: two loops ÷ one",
        of: ("125/64/1", "ws-mio-2"),
        to: ("125/64/1", "ws-mio"),
    },
    Pair {
        what: "125 B, 512 connections: two loops ÷ one",
        of: ("125/512/1", "ws-mio-2"),
        to: ("125/512/1", "ws-mio"),
    },
];

#[cfg(test)]
mod tests {
    use super::{
        super::{cell, subject},
        *,
    };

    #[test]
    fn pairs_are_of_cells_and_servers_that_there_are() {
        for (cell, subject) in PAIRS.iter().flat_map(|pair| [pair.of, pair.to]) {
            assert!(cell::FULL.contains(&cell), "{cell}");
            let mut known = subject::SUBJECTS.iter();
            let subject = known.find(|known| known.name == subject).unwrap();
            assert!(subject.can(&Cell::parse(cell).unwrap()), "{cell}");
        }
    }
}
