//! What came of a soak test, as a table and as a picture.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use bench_rig::Histogram;

use super::{
    Task,
    client::{Counts, Totals},
};

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// What was asked for.
    pub task: Task,
    /// The rows of the table.
    pub periods: Vec<Period>,
    /// In all.
    pub counts: Totals,
}

/// A twentieth of the time.
#[derive(Debug, Default)]
pub struct Period {
    until: Duration,
    connections: u64,
    messages: u64,
    /// p50, p99, p99.9 and the longest, in nanoseconds.
    latencies: [u64; 4],
    resident: Mean,
    descriptors: Mean,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: u64,
    count: u64,
}

impl Mean {
    const fn add(&mut self, value: u64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }
}

impl Period {
    pub(super) const fn look(&mut self, (resident, descriptors): (u64, u64)) {
        self.resident.add(resident);
        self.descriptors.add(descriptors);
    }

    pub(super) fn end(&mut self, until: Duration, latencies: &Histogram, counts: &mut Counts) {
        self.until = until;
        (self.connections, self.messages) = (counts.connections, counts.messages);
        counts.turn_over();
        self.latencies = [0.5, 0.99, 0.999, 1.0].map(|share| latencies.quantile(share));
    }
}

/// How much the last quarter may be above the second.
const GROWTH: f64 = 1.05;

impl Report {
    /// Returns what must not be, if anything.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let Totals {
            messages,
            wrong,
            stuck,
            ..
        } = self.counts;
        if messages == 0 {
            faults.push("no message came back".to_owned());
        }
        if wrong > 0 {
            faults.push(format!("{wrong} times the server said something wrong"));
        }
        if stuck > 0 {
            faults.push(format!("{stuck} clients waited in vain"));
        }
        let mut flat = |name, value: fn(&Period) -> f64| {
            let [second, last] = [1, 3].map(|quarter| self.mean_of(quarter, value));
            if last > second * GROWTH {
                faults.push(format!(
                    "{name}: {second:.0} in the second quarter, {last:.0} in the last"
                ));
            }
        };
        flat("resident bytes", |period| period.resident.value());
        flat("file descriptors", |period| period.descriptors.value());
        faults
    }

    fn mean_of(&self, quarter: usize, value: fn(&Period) -> f64) -> f64 {
        let len = (self.periods.len() / 4).max(1);
        let periods = self.periods.iter().skip(quarter * len).take(len);
        periods.map(value).sum::<f64>() / len as f64
    }

    /// Draws latencies and memory over the time.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut out = String::from(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"340\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        );
        let _ = writeln!(
            out,
            "<text x=\"12\" y=\"22\" font-size=\"15\">{} connections for {} s: each line from 0 to its highest</text>",
            self.task.connections,
            self.task.length.as_secs()
        );
        type Line = (
            &'static str,
            &'static str,
            fn(&Period) -> f64,
            f64,
            &'static str,
        );
        let lines: [Line; 5] = [
            (
                "p50",
                "#0a7",
                |period| period.latencies[0] as f64,
                1e6,
                "ms",
            ),
            (
                "p99",
                "#07a",
                |period| period.latencies[1] as f64,
                1e6,
                "ms",
            ),
            (
                "p99.9",
                "#a50",
                |period| period.latencies[2] as f64,
                1e6,
                "ms",
            ),
            (
                "resident",
                "#a07",
                |period| period.resident.value(),
                1048576.0,
                "MiB",
            ),
            (
                "descriptors",
                "#555",
                |period| period.descriptors.value(),
                1.0,
                "",
            ),
        ];
        for (row, (name, color, value, unit, suffix)) in lines.into_iter().enumerate() {
            let highest = self.periods.iter().map(value).fold(1.0, f64::max);
            let points: Vec<_> = self
                .periods
                .iter()
                .enumerate()
                .map(|(at, period)| {
                    let x = 20.0 + 640.0 * at as f64 / self.periods.len() as f64;
                    let y = 320.0 - 270.0 * value(period) / highest;
                    format!("{x:.1},{y:.1}")
                })
                .collect();
            let y = 70 + 20 * row;
            let _ = write!(
                out,
                "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"2\" points=\"{}\"/>\n\
                 <text x=\"690\" y=\"{y}\" fill=\"{color}\">{name}: up to {:.2} {suffix}</text>\n",
                points.join(" "),
                highest / unit,
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| until | opened | messages | p50 ms | p99 ms | p99.9 ms | longest ms | resident MiB | descriptors |"
        )?;
        writeln!(f, "|---:|---:|---:|---:|---:|---:|---:|---:|---:|")?;
        for period in &self.periods {
            let [p50, p99, p999, longest] = period.latencies.map(|nanos| nanos as f64 / 1e6);
            writeln!(
                f,
                "| {:.0} s | {} | {} | {p50:.2} | {p99:.2} | {p999:.2} | {longest:.2} | {:.2} | {:.0} |",
                period.until.as_secs_f64(),
                period.connections,
                period.messages,
                period.resident.value() / 1048576.0,
                period.descriptors.value(),
            )?;
        }
        let Totals {
            connections,
            messages,
            wrong,
            stuck,
        } = self.counts;
        write!(
            f,
            "{connections} connections, {messages} messages, {wrong} wrong, {stuck} stuck"
        )
    }
}
