//! A report for programs.

use std::fmt::Write as _;

use crate::{
    histogram::Histogram,
    plan::Pace,
    report::{Failures, Report, Visited},
};

/// The shares of latencies that are told.
const SHARES: [(&str, f64); 6] = [
    ("p50_ns", 0.5),
    ("p75_ns", 0.75),
    ("p90_ns", 0.9),
    ("p99_ns", 0.99),
    ("p999_ns", 0.999),
    ("p9999_ns", 0.9999),
];

impl Report {
    /// Writes the report as an object of JSON. Times end with their unit in the name: `_ns` for
    /// nanoseconds.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = Object::new();
        out.number("connections", self.connections);
        out.number("idle", self.idle);
        out.number("slow", self.slow);
        out.number("message_bytes", self.message_len);
        match self.pace {
            Pace::Rate { per_second, ramp } => {
                out.text("loop", "open");
                out.number("rate_due", per_second);
                out.number("ramp_seconds", ramp.as_secs_f64());
            }
            Pace::Closed => out.text("loop", "closed"),
        }
        out.number("seconds", self.seconds);
        out.number("sent", self.sent);
        out.number("received", self.received.messages);
        out.number("received_bytes", self.received.bytes);
        out.number("rate", self.rate());
        out.number("unanswered", self.unanswered);
        out.number("lost", self.lost);
        out.raw("latency", &times(&self.latencies));
        out.raw("lateness", &times(&self.lateness));
        out.raw("handshakes", &self.handshakes());
        if let Some(reach) = &self.reach {
            let mut object = Object::new();
            object.number("expected", reach.expected);
            object.number("delivered", reach.delivered);
            object.number("share", reach.share());
            object.raw("complete", &times(&reach.complete));
            out.raw("reach", &object.end());
        }
        if let Some(visited) = &self.visited {
            out.raw("visits", &visits(visited));
        }
        let mut generator = Object::new();
        generator.number("working", self.generator.working);
        generator.optional("busy", self.generator.busy);
        generator.optional("waiting", self.generator.waiting);
        let limit = self.limit().map(|limit| limit.to_string());
        generator.raw(
            "limit",
            &limit.map_or_else(|| "null".to_owned(), |limit| string(&limit)),
        );
        out.raw("generator", &generator.end());
        if let Some(server) = self.server {
            let mut object = Object::new();
            object.number("cpu_ns", server.cpu.as_nanos());
            object.optional("cpu_ns_a_message", self.server_cpu());
            object.number("busy", server.busy);
            object.number("resident_bytes", server.resident);
            out.raw("server", &object.end());
        }
        out.raw("intervals", &self.intervals_array());
        out.end()
    }

    fn handshakes(&self) -> String {
        let mut object = Object::new();
        object.number("open", self.handshakes.open);
        object.number("resumed", self.handshakes.resumed);
        object.number("seconds", self.handshakes.seconds);
        object.raw("times", &times(&self.handshakes.times));
        object.raw("failures", &failures(&self.handshakes.failures));
        object.end()
    }

    fn intervals_array(&self) -> String {
        let intervals = self.intervals.iter().map(|interval| {
            let mut object = Object::new();
            object.number("at", interval.at);
            object.number("seconds", interval.seconds);
            object.number("measured", interval.is_measured);
            object.number("sent", interval.sent);
            object.number("received", interval.received);
            object.number("p50_ns", interval.p50_ns);
            object.number("p99_ns", interval.p99_ns);
            object.number("max_ns", interval.max_ns);
            object.number("working", interval.working);
            object.end()
        });
        format!("[{}]", intervals.collect::<Vec<_>>().join(","))
    }
}

fn visits(visited: &Visited) -> String {
    let mut object = Object::new();
    object.number("begun", visited.begun);
    object.number("opened", visited.opened);
    object.number("resumed", visited.resumed);
    object.number("closed", visited.closed);
    object.raw("opening", &times(&visited.opening));
    object.raw("whole", &times(&visited.whole));
    object.raw("lateness", &times(&visited.lateness));
    object.raw("failures", &failures(&visited.failures));
    object.end()
}

fn failures(failures: &Failures) -> String {
    let mut object = Object::new();
    for (kind, count) in failures.kinds() {
        object.number(kind, count);
    }
    object.end()
}

fn times(times: &Histogram) -> String {
    let mut object = Object::new();
    object.number("count", times.count());
    object.number("mean_ns", times.mean());
    for (name, share) in SHARES {
        object.number(name, times.quantile(share));
    }
    object.number("max_ns", times.max());
    object.end()
}

/// An object that is being written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn raw(&mut self, name: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}{}:{value}", string(name));
    }

    fn number(&mut self, name: &str, value: impl ToString) {
        self.raw(name, &value.to_string());
    }

    fn optional(&mut self, name: &str, value: Option<f64>) {
        self.raw(
            name,
            &value.map_or_else(|| "null".to_owned(), |value| value.to_string()),
        );
    }

    fn text(&mut self, name: &str, value: &str) {
        self.raw(name, &string(value));
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

fn string(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use crate::report::tests::report;

    #[test]
    fn what_a_server_says_does_not_break_the_object() {
        let mut report = report();
        report.handshakes.failures.note(&"a \"b\" \\ \n");
        let json = report.to_json();
        assert!(
            json.contains(r#""failures":{"a \"b\" \\ \u000a":1}"#),
            "{json}"
        );
        assert!(json.contains(r#""p99_ns":100000,"#), "{json}");
        assert!(!json.contains("NaN") && !json.contains("inf"), "{json}");
        assert_eq!(json.matches('{').count(), json.matches('}').count());
    }
}
