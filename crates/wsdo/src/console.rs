//! What people and programs are told: messages on the standard output, all
//! else on the standard error, or events as JSON.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ws_smol::MessageRef;

use crate::{
    exit::Failure,
    frame::Frame,
    json,
    options::{Given, Group, Opt, Value},
    tap::{Observer, Way},
    text::{hex, printable},
};

/// What is shown, and how.
pub(crate) const SHOW: Group = Group {
    title: "What is shown",
    options: &[
        Opt {
            short: Some('w'),
            long: "wire",
            value: Value::None,
            help: &[
                "show each frame: its direction, FIN, RSV, opcode, MASK",
                "and key, length and first bytes",
            ],
        },
        Opt {
            short: Some('v'),
            long: "verbose",
            value: Value::None,
            help: &["show the heads of the opening handshake, and Pings"],
        },
        Opt {
            short: None,
            long: "jsonl",
            value: Value::None,
            help: &["write every event as a line of JSON, with its time"],
        },
        Opt {
            short: None,
            long: "color",
            value: Value::Word(&["auto", "always", "never"]),
            help: &[
                "whether to use colours (default: on a terminal, if",
                "NO_COLOR is not set)",
            ],
        },
    ],
};

/// How messages are written to the standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Each with a line end.
    Lines,
    /// Each with a zero byte behind it.
    Null,
    /// Each behind its length, 4 bytes from the highest.
    Length,
    /// As they are, one behind the other.
    Raw,
    /// In hexadecimal digits, each with a line end.
    Hex,
    /// JSON laid out over lines, and what is no JSON as it is.
    Json,
}

/// Who prints while a line is edited.
pub(crate) type Printer = Box<dyn FnMut(String) -> io::Result<()>>;

pub(crate) struct Console {
    form: Form,
    is_jsonl: bool,
    shows_wire: bool,
    is_verbose: bool,
    /// Round trips are shown.
    shows_pongs: bool,
    is_coloured: bool,
    /// The standard output is a terminal, which must not obey what peers send.
    is_terminal: bool,
    /// Lines are typed meanwhile.
    is_interactive: bool,
    printer: Option<Printer>,
    started: Instant,
    /// Pings that were sent, and when.
    pings: VecDeque<(Vec<u8>, Instant)>,
    /// Stands in front of all that is told of one of several connections.
    label: String,
    /// The standard output failed.
    failed: Option<io::Error>,
}

impl Console {
    pub(crate) fn new(given: &Given, form: Form) -> Result<Self, Failure> {
        let is_coloured = match given.text("color")?.as_deref() {
            None | Some("auto") => {
                io::stderr().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
            }
            Some("always") => true,
            Some("never") => false,
            Some(other) => {
                return Err(Failure::usage(format!(
                    "--color is auto, always or never, not {other:?}"
                )));
            }
        };
        Ok(Self {
            form,
            is_jsonl: given.has("jsonl"),
            shows_wire: given.has("wire"),
            is_verbose: given.has("verbose"),
            shows_pongs: false,
            is_coloured,
            is_terminal: io::stdout().is_terminal(),
            is_interactive: false,
            printer: None,
            started: Instant::now(),
            pings: VecDeque::new(),
            label: String::new(),
            failed: None,
        })
    }

    pub(crate) fn show_pongs(&mut self) {
        self.shows_pongs = true;
    }

    /// Says of which connection all is that is told from now on.
    pub(crate) fn label(mut self, label: String) -> Self {
        self.label = label;
        self
    }

    /// Talks to somebody who types, and has everything printed by who edits the
    /// line, if the terminal can do that.
    pub(crate) fn print_with(&mut self, printer: Option<Printer>) {
        self.is_interactive = true;
        self.printer = printer;
    }

    /// Has all that was printed appear, and takes the line away that is edited.
    pub(crate) fn end_editing(&mut self) {
        if let Some(mut printer) = self.printer.take() {
            let _ = settle(&mut printer);
            self.write(b"\r\x1b[K");
        }
    }

    pub(crate) const fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// Tells whether anybody wants to hear more than messages.
    pub(crate) const fn is_talkative(&self) -> bool {
        self.is_verbose || self.is_jsonl
    }

    /// Returns what failed, once.
    pub(crate) fn take_failure(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Tells people something, if they do not get events.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.is_jsonl {
            self.print_note(text);
        }
    }

    /// Writes an event, with fields that are JSON already; nothing without
    /// `--jsonl`.
    pub(crate) fn event(&mut self, name: &str, fields: &[(&str, String)]) {
        if !self.is_jsonl {
            return;
        }
        let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let mut line = format!(
            "{{\"time\":{}.{:06},\"event\":{}",
            time.as_secs(),
            time.subsec_micros(),
            json::string(name)
        );
        if !self.label.is_empty() {
            let _ = write!(line, ",\"connection\":{}", self.label);
        }
        for (name, value) in fields {
            let _ = write!(line, ",{}:{value}", json::string(name));
        }
        line.push_str("}\n");
        self.write(line.as_bytes());
    }

    /// Writes a message that came.
    pub(crate) fn message(&mut self, message: MessageRef<'_>) {
        if self.is_jsonl {
            let (kind, field, data) = match message {
                MessageRef::Text(text) => ("text", "text", json::string(text)),
                MessageRef::Binary(bytes) => {
                    let data = format!("\"{}\"", BASE64_STANDARD.encode(bytes));
                    ("binary", "base64", data)
                }
            };
            return self.event("message", &[("type", json::string(kind)), (field, data)]);
        }
        if self.is_interactive {
            let text = self.for_terminal(message).replace('\n', "\n  ");
            let line = self.paint(GREEN, "<") + " " + &text + "\n";
            return self.write(line.as_bytes());
        }
        let bytes = message.as_bytes();
        let mut out = Vec::with_capacity(bytes.len() + 5);
        match self.form {
            Form::Length => {
                let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                out.extend(len.to_be_bytes());
                out.extend(bytes);
            }
            Form::Raw => out.extend(bytes),
            Form::Null => {
                out.extend(bytes);
                out.push(0);
            }
            Form::Lines | Form::Hex | Form::Json if self.is_terminal => {
                out.extend(self.for_terminal(message).as_bytes());
                out.push(b'\n');
            }
            Form::Lines | Form::Hex | Form::Json => {
                match self.laid_out(message) {
                    Some(text) => out.extend(text.as_bytes()),
                    None => out.extend(bytes),
                }
                // A line that came with its end has it.
                if self.form != Form::Lines || out.last() != Some(&b'\n') {
                    out.push(b'\n');
                }
            }
        }
        self.write(&out);
    }

    /// Lays a message out as text, where the form says so.
    fn laid_out(&self, message: MessageRef<'_>) -> Option<String> {
        match (self.form, message) {
            (Form::Hex, message) => Some(hex(message.as_bytes(), "")),
            (Form::Json, MessageRef::Text(text)) => json::pretty(text),
            _ => None,
        }
    }

    fn for_terminal(&self, message: MessageRef<'_>) -> String {
        match (self.laid_out(message), message) {
            (Some(text), _) => printable(&text),
            (None, MessageRef::Text(text)) => printable(text),
            (None, MessageRef::Binary(bytes)) => {
                let start = &bytes[..bytes.len().min(32)];
                let rest = if start.len() < bytes.len() {
                    " ..."
                } else {
                    ""
                };
                format!("({} bytes: {}{rest})", bytes.len(), hex(start, " "))
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.printer.is_some() {
            return self.print(String::from_utf8_lossy(bytes).into_owned());
        }
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            self.failed.get_or_insert(error);
        }
    }

    fn print_note(&mut self, text: &str) {
        let label = match self.label.is_empty() {
            true => String::new(),
            false => format!("[{}] ", self.label),
        };
        let line = label + text;
        match &mut self.printer {
            Some(_) => self.print(line + "\n"),
            // There is nobody to be told if this fails.
            None => drop(writeln!(io::stderr().lock(), "{line}")),
        }
    }

    fn print(&mut self, line: String) {
        if let Some(printer) = &mut self.printer
            && let Err(error) = printer(line)
        {
            self.failed.get_or_insert(error);
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        match self.is_coloured {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    fn pong(&mut self, payload: &[u8]) {
        let Some(at) = self.pings.iter().position(|(sent, _)| sent == payload) else {
            return;
        };
        let Some((_, sent)) = self.pings.drain(..=at).next_back() else {
            return;
        };
        let round_trip = sent.elapsed();
        if self.shows_pongs {
            self.note(&format!("pong after {}", millis(round_trip)));
        }
        let seconds = format!("{:.6}", round_trip.as_secs_f64());
        self.event("pong", &[("round_trip", seconds)]);
    }

    fn wire(&mut self, way: Way, frame: &Frame) {
        if self.is_jsonl {
            let key = frame
                .key
                .map_or_else(|| "null".to_owned(), |key| json::string(&hex(&key, "")));
            let mut fields = vec![
                ("way", json::string(way.name())),
                ("fin", frame.is_fin().to_string()),
                ("rsv", frame.reserved().to_string()),
                ("opcode", frame.opcode().to_string()),
                ("mask", frame.key.is_some().to_string()),
                ("key", key),
                ("len", frame.len.to_string()),
                ("start", json::string(&hex(&frame.start, ""))),
            ];
            if let Some(error) = frame.broken {
                fields.push(("broken", json::string(&error.to_string())));
            }
            return self.event("frame", &fields);
        }
        let colour = match (frame.broken, way) {
            (Some(_), _) => RED,
            (None, Way::Sent) => CYAN,
            (None, Way::Received) => GREEN,
        };
        let time = self.started.elapsed().as_secs_f64();
        let line = format!("{time:9.6} {} {frame}", way.arrow());
        let line = self.paint(colour, &printable(&line));
        self.print_note(&line);
    }
}

/// Has what was printed appear before the program ends: who edits a line takes
/// one print at a time, and so has done all before once it takes a second.
fn settle(printer: &mut Printer) -> io::Result<()> {
    // Up, and down again.
    const NOTHING: &str = "\x1b[A\n";
    printer(NOTHING.to_owned())?;
    printer(NOTHING.to_owned())
}

/// So many Pings are waited for.
const MAX_PINGS: usize = 64;

const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }

    const fn arrow(self) -> char {
        match self {
            Self::Sent => '>',
            Self::Received => '<',
        }
    }
}

/// Tells a time in milliseconds.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

impl Observer for Console {
    fn head(&mut self, way: Way, head: &[u8]) {
        if !self.is_verbose {
            return;
        }
        let text = String::from_utf8_lossy(head);
        let lines: Vec<String> = text.trim_end().lines().map(without_secret).collect();
        if self.is_jsonl {
            let head = json::string(&lines.join("\r\n"));
            return self.event("head", &[("way", json::string(way.name())), ("head", head)]);
        }
        let lines: Vec<String> = lines
            .iter()
            .map(|line| format!("{} {}", way.arrow(), printable(line)))
            .collect();
        self.note(&lines.join("\n"));
    }

    fn frame(&mut self, way: Way, frame: &Frame) {
        if self.shows_wire {
            self.wire(way, frame);
        }
        match (way, frame.opcode()) {
            (Way::Sent, PING) => {
                if self.pings.len() == MAX_PINGS {
                    self.pings.pop_front();
                }
                self.pings.push_back((frame.start.clone(), Instant::now()));
            }
            (Way::Received, PONG) => self.pong(&frame.start),
            (Way::Received, PING) => {
                if self.is_verbose {
                    self.note("ping from the peer");
                }
                self.event("ping", &[]);
            }
            _ => {}
        }
    }
}

const PING: u8 = 9;
const PONG: u8 = 10;

/// Takes credentials out of a line of a head.
fn without_secret(line: &str) -> String {
    let name = line.split(':').next().unwrap_or_default();
    let secrets = [
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "Proxy-Authorization",
    ];
    match secrets
        .iter()
        .any(|secret| secret.eq_ignore_ascii_case(name))
    {
        true => format!("{name}: (not shown)"),
        false => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_a_head_are_not_shown() {
        assert_eq!(
            without_secret("authorization: Basic abc"),
            "authorization: (not shown)"
        );
        assert_eq!(without_secret("Host: a"), "Host: a");
    }
}
