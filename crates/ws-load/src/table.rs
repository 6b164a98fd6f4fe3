//! A report for people.

use std::fmt::{self, Formatter};

use crate::{
    histogram::Histogram,
    plan::Pace,
    report::{Failures, Report, Visited},
};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write_load(f)?;
        self.write_messages(f)?;
        if let Some(visited) = &self.visited {
            write_visited(f, visited)?;
        }
        self.write_connections(f)?;
        self.write_machines(f)
    }
}

/// The shares of latencies that a line shows.
const SHARES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];

impl Report {
    fn write_load(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pace = match self.pace {
            Pace::Rate { per_second, .. } => format!("{per_second} a second due, an open loop"),
            Pace::Closed => "each after the answer to the last, a closed loop".to_owned(),
        };
        writeln!(
            f,
            "load         {} connections, {:.0} B, {pace}, {:.1} s",
            self.connections, self.message_len, self.seconds
        )
    }

    fn write_messages(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (sent, received) = (self.sent, self.received.messages);
        let (rate, unanswered) = (self.rate(), self.unanswered);
        match &self.reach {
            None => writeln!(
                f,
                "messages     {sent} sent, {received} answers ({rate:.0}/s, {}/s), {unanswered} unanswered",
                bytes(self.received.bytes as f64 / self.seconds.max(f64::MIN_POSITIVE)),
            )?,
            Some(reach) => writeln!(
                f,
                "broadcast    {sent} sent, {} of {} deliveries ({:.2} %), {rate:.0}/s",
                reach.delivered,
                reach.expected,
                reach.share() * 100.0
            )?,
        }
        write_times(f, "latency", &self.latencies)?;
        if let Some(reach) = &self.reach {
            write_times(f, "until all", &reach.complete)?;
        }
        match self.pace {
            Pace::Rate { .. } => write_times(f, "sent late by", &self.lateness),
            Pace::Closed => Ok(()),
        }
    }

    fn write_connections(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let handshakes = &self.handshakes;
        write!(
            f,
            "connections  {} open in {:.2} s, {} failed, {} lost",
            handshakes.open,
            handshakes.seconds,
            handshakes.failures.count(),
            self.lost
        )?;
        if handshakes.resumed > 0 {
            write!(f, ", {} resumed", handshakes.resumed)?;
        }
        if self.idle + self.slow > 0 {
            write!(f, "; {} idle, {} slow", self.idle, self.slow)?;
        }
        if let Some(deflate) = self.deflate {
            let [(server, _), (client, _)] = deflate.windows();
            let word = |none| if none { "no takeover" } else { "takeover" };
            write!(f, "; deflate, {} out, {} in", word(client), word(server))?;
        }
        writeln!(f)?;
        if let Some(why) = &self.last_loss {
            writeln!(f, "             lost: {why}")?;
        }
        write_failures(f, &handshakes.failures)?;
        write_times(f, "to open", &handshakes.times)
    }

    fn write_machines(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let generator = self.generator;
        write!(
            f,
            "generator    worked {:.0} % of the time",
            generator.working * 100.0
        )?;
        if let Some(busy) = generator.busy {
            write!(f, ", {:.0} % of a CPU", busy * 100.0)?;
        }
        if let Some(waiting) = generator.waiting {
            write!(f, ", {:.0} % waiting for one", waiting * 100.0)?;
        }
        writeln!(f)?;
        if let (Some(server), Some(cpu)) = (self.server, self.server_cpu()) {
            writeln!(
                f,
                "server       {} of CPU time a message, {:.0} % of a CPU, {} resident",
                time(cpu as u64),
                server.busy * 100.0,
                bytes(server.resident as f64)
            )?;
        }
        Ok(())
    }
}

fn write_visited(f: &mut Formatter<'_>, visited: &Visited) -> fmt::Result {
    write!(
        f,
        "handshakes   {} begun, {} open, {} failed",
        visited.begun,
        visited.opened,
        visited.failures.count()
    )?;
    if visited.resumed > 0 {
        write!(f, ", {} resumed", visited.resumed)?;
    }
    writeln!(f)?;
    write_failures(f, &visited.failures)?;
    write_times(f, "to open", &visited.opening)?;
    if visited.closed > 0 {
        write_times(f, "until closed", &visited.whole)?;
    }
    write_times(f, "begun late by", &visited.lateness)
}

fn write_failures(f: &mut Formatter<'_>, failures: &Failures) -> fmt::Result {
    for (kind, count) in failures.kinds() {
        writeln!(f, "             {count} × {kind}")?;
    }
    Ok(())
}

fn write_times(f: &mut Formatter<'_>, name: &str, times: &Histogram) -> fmt::Result {
    if times.count() == 0 {
        return Ok(());
    }
    write!(f, "{name:<13}")?;
    for (label, share) in SHARES {
        write!(f, "{label} {:<9}", time(times.quantile(share)))?;
    }
    writeln!(f, "max {}", time(times.max()))
}

/// Writes nanoseconds with three digits and a unit.
pub(crate) fn time(nanos: u64) -> String {
    let nanos = nanos as f64;
    let (value, unit) = match nanos {
        _ if nanos < 1e3 => return format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => (nanos / 1e3, "µs"),
        _ if nanos < 1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

fn bytes(bytes: f64) -> String {
    match bytes {
        _ if bytes < 1024.0 => format!("{bytes:.0} B"),
        _ if bytes < 1_048_576.0 => format!("{:.1} KiB", bytes / 1024.0),
        _ => format!("{:.1} MiB", bytes / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn times_have_three_digits() {
        for (nanos, text) in [
            (7, "7 ns"),
            (1_234, "1.23 µs"),
            (99_960, "100 µs"),
            (45_678_000, "45.7 ms"),
            (1_000_000_000, "1.00 s"),
        ] {
            assert_eq!(time(nanos), text);
        }
    }

    #[test]
    fn table_has_a_line_for_each_thing() {
        let text = report().to_string();
        let names: Vec<_> = text.lines().map(|line| line[..13].trim()).collect();
        assert_eq!(
            names,
            ["load", "messages", "latency", "connections", "generator"]
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= 110),
            "{text}"
        );
    }
}
