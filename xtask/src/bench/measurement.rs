//! What a run came to.

use std::fmt;

use serde_json::Value;

/// What the generator, or a client, said of a run.
#[derive(Debug, Clone)]
pub(super) struct Measurement(pub(super) Value);

impl Measurement {
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    /// CPU time a message, in nanoseconds.
    pub(super) fn cpu(&self) -> Option<f64> {
        let messages = self.number("messages").filter(|messages| *messages > 0.0)?;
        Some(self.number("cpu_ns")? / messages)
    }

    /// Of what was sent back, how much of each hundred bytes was left by compressing it.
    pub(super) fn reply_share(&self) -> Option<f64> {
        let plain = self.number("plain_bytes").filter(|bytes| *bytes > 0.0)?;
        Some(self.number("reply_bytes")? / plain * 100.0)
    }

    pub(super) fn per_second(&self) -> Option<f64> {
        Some(self.number("messages")? / self.number("seconds")?)
    }

    /// System calls a message.
    pub(super) fn calls(&self) -> Option<f64> {
        Some(self.number("calls")? / self.number("messages")?)
    }

    /// Resident bytes a connection: after the opening handshakes, and after an echo over each.
    pub(super) fn memory(&self) -> Option<[f64; 2]> {
        let before = self.number("rss_before")?;
        let connections = self.number("connections")?;
        let each = |name| Some((self.number(name)? - before) / connections);
        Some([each("rss_open")?, each("rss_echoed")?])
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some([open, echoed]) = self.memory() {
            return write!(f, "{open:.0} B, after an echo {echoed:.0} B");
        }
        if let Some(calls) = self.calls() {
            return write!(f, "{calls:.3} system calls");
        }
        let (Some(cpu), Some(per_second)) = (self.cpu(), self.per_second()) else {
            return write!(f, "{}", self.0);
        };
        write!(f, "{:.3} µs, {per_second:.0}/s", cpu / 1e3)?;
        if let Some(busy) = self.number("busy") {
            write!(f, ", busy {:.0} %", busy * 100.0)?;
        }
        Ok(())
    }
}
