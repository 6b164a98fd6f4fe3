//! A report as a picture.

use std::fmt::Write as _;

use crate::{histogram::Histogram, report::Report, table::time};

const WIDTH: f64 = 860.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 30.0;
const PLOT: f64 = 190.0;
const GAP: f64 = 62.0;
const TOP: f64 = 74.0;

const STYLE: &str = "<style>\
    text{font:11px sans-serif;fill:#333}.t{font-size:15px}.s{fill:#666}\
    .b{fill:#fff}.g{stroke:#ddd}.a{stroke:#07a}.c{stroke:#c52}.d{stroke:#888;stroke-dasharray:4 3}\
    polyline{fill:none;stroke-width:1.6}.w{fill:#8881}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.s{fill:#aaa}.b{fill:#181a1b}.g{stroke:#3a3d3f}\
    .a{stroke:#4bd}.c{stroke:#f85}}</style>\n";

impl Report {
    /// Draws latencies by their share, and rate and latency by the second, as an SVG for light and
    /// dark pages. `title` stands above it.
    #[must_use]
    pub fn to_svg(&self, title: &str) -> String {
        let height = TOP + 3.0 * (PLOT + GAP);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\">\n{STYLE}<rect class=\"b\" width=\"100%\" height=\"100%\"/>\n\
             <text class=\"t\" x=\"12\" y=\"22\">{}</text>\n",
            escaped(title)
        );
        let says = match self.limit() {
            Some(limit) => limit.to_string(),
            None => format!(
                "{} messages in {:.1} s; {} unanswered; the generator worked {:.0} % of the time",
                self.received.messages,
                self.seconds,
                self.unanswered,
                self.generator.working * 100.0
            ),
        };
        let _ = writeln!(
            out,
            "<text class=\"s\" x=\"12\" y=\"40\">{}</text>",
            escaped(&says)
        );
        self.draw_shares(&mut out, TOP);
        self.draw_rates(&mut out, TOP + PLOT + GAP);
        self.draw_seconds(&mut out, TOP + 2.0 * (PLOT + GAP));
        out.push_str("</svg>\n");
        out
    }

    /// Latency by share: 90 %, 99 %, 99.9 % … are equally far apart.
    fn draw_shares(&self, out: &mut String, top: f64) {
        let times = &self.latencies;
        let nines = (times.count().max(10) as f64).log10().ceil().min(6.0);
        let axes = Axes {
            top,
            x: (0.0, nines),
            y: log_range([times.quantile(0.0), times.max()].into_iter()),
        };
        axes.frame(
            out,
            "latency by share of the messages (line), sent late by (dashed)",
        );
        axes.times(out);
        for at in 0..=nines as u32 {
            let label = match at {
                0 => "0 %".to_owned(),
                1 => "90 %".to_owned(),
                2 => "99 %".to_owned(),
                _ => format!("99.{} %", "9".repeat(at as usize - 2)),
            };
            axes.x_label(out, at.into(), &label);
        }
        let mut draw = |times: &Histogram, class| {
            let steps = (nines * 40.0) as u32;
            let points = (0..=steps).map(|step| {
                let x = f64::from(step) / 40.0;
                (x, log(times.quantile(1.0 - 10f64.powf(-x))))
            });
            if times.count() > 0 {
                axes.line(out, class, points);
            }
        };
        draw(times, "a");
        draw(&self.lateness, "d");
    }

    /// Messages a second, by the second.
    fn draw_rates(&self, out: &mut String, top: f64) {
        let rates = |count: fn(&crate::Interval) -> u64| {
            self.intervals
                .iter()
                .map(move |interval| (interval.at, count(interval) as f64 / interval.seconds))
        };
        let (sent, received) = (
            rates(|interval| interval.sent),
            rates(|interval| interval.received),
        );
        let most = sent
            .clone()
            .chain(received.clone())
            .map(|(_, rate)| rate)
            .fold(1.0, f64::max);
        let axes = Axes {
            top,
            x: self.seconds_range(),
            y: (0.0, most * 1.05),
        };
        axes.frame(
            out,
            "messages a second: received (line), sent (dashed); shaded: not measured",
        );
        self.shade(out, &axes);
        for part in 0..=4 {
            let rate = most * f64::from(part) / 4.0;
            axes.y_label(out, rate, &format!("{rate:.0}"));
        }
        axes.seconds(out);
        axes.line(out, "a", received);
        axes.line(out, "d", sent);
    }

    /// Latencies by the second.
    fn draw_seconds(&self, out: &mut String, top: f64) {
        let with_messages = self.intervals.iter().filter(|interval| interval.max_ns > 0);
        let all = with_messages
            .clone()
            .flat_map(|interval| [interval.p50_ns, interval.p99_ns]);
        let axes = Axes {
            top,
            x: self.seconds_range(),
            y: log_range(all),
        };
        axes.frame(
            out,
            "latency by the second: p50 (line), p99 (orange); shaded: not measured",
        );
        self.shade(out, &axes);
        axes.times(out);
        axes.seconds(out);
        axes.line(
            out,
            "a",
            with_messages
                .clone()
                .map(|each| (each.at, log(each.p50_ns))),
        );
        axes.line(
            out,
            "c",
            with_messages.map(|each| (each.at, log(each.p99_ns))),
        );
    }

    fn seconds_range(&self) -> (f64, f64) {
        (
            0.0,
            self.intervals.last().map_or(1.0, |interval| interval.at),
        )
    }

    fn shade(&self, out: &mut String, axes: &Axes) {
        let before = self
            .intervals
            .iter()
            .take_while(|interval| !interval.is_measured);
        if let Some(last) = before.last() {
            let width = axes.x_of(last.at) - LEFT;
            let _ = writeln!(
                out,
                "<rect class=\"w\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{PLOT}\"/>",
                axes.top
            );
        }
    }
}

fn log(nanos: u64) -> f64 {
    (nanos.max(1) as f64).log10()
}

/// Whole powers of ten around some times.
fn log_range(times: impl Iterator<Item = u64>) -> (f64, f64) {
    let logs = times.map(log);
    let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), log| {
        (low.min(log), high.max(log))
    });
    match low <= high {
        true => (low.floor(), high.ceil().max(low.floor() + 1.0)),
        false => (3.0, 6.0),
    }
}

/// A plot, and what its edges stand for.
struct Axes {
    top: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Axes {
    fn x_of(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, y: f64) -> f64 {
        self.top + PLOT - (y - self.y.0) / (self.y.1 - self.y.0) * PLOT
    }

    fn frame(&self, out: &mut String, title: &str) {
        let bottom = self.top + PLOT;
        let _ = writeln!(
            out,
            "<text x=\"{LEFT}\" y=\"{:.1}\">{title}</text>\n\
             <line class=\"g\" x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"{:.1}\" y2=\"{bottom:.1}\"/>",
            self.top - 8.0,
            self.top
        );
    }

    fn x_label(&self, out: &mut String, x: f64, label: &str) {
        let (x, y) = (self.x_of(x), self.top + PLOT + 16.0);
        let _ = writeln!(
            out,
            "<text class=\"s\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>"
        );
    }

    fn y_label(&self, out: &mut String, y: f64, label: &str) {
        let (y, right) = (self.y_of(y), WIDTH - RIGHT);
        let _ = writeln!(
            out,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n\
             <text class=\"s\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }

    /// Labels powers of ten.
    fn times(&self, out: &mut String) {
        for power in self.y.0 as i32..=self.y.1 as i32 {
            self.y_label(
                out,
                power.into(),
                &time(10u64.saturating_pow(power.max(0) as u32)),
            );
        }
    }

    fn seconds(&self, out: &mut String) {
        for part in 0..=5 {
            let second = self.x.1 * f64::from(part) / 5.0;
            self.x_label(out, second, &format!("{second:.1} s"));
        }
    }

    fn line(&self, out: &mut String, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let _ = write!(out, "<polyline class=\"{class}\" points=\"");
        for (x, y) in points {
            let y = y.clamp(self.y.0, self.y.1);
            let _ = write!(out, "{:.1},{:.1} ", self.x_of(x), self.y_of(y));
        }
        out.push_str("\"/>\n");
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use crate::report::tests::report;

    #[test]
    fn picture_is_well_formed_whatever_the_title_is() {
        let mut report = report();
        for svg in [report.to_svg("a <b> & \"c\""), {
            report.intervals.clear();
            report.latencies.clear();
            report.to_svg("")
        }] {
            assert!(
                svg.starts_with("<svg ") && svg.ends_with("</svg>\n"),
                "{svg}"
            );
            assert!(
                !svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<b>"),
                "{svg}"
            );
        }
    }
}
