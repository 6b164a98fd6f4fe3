//! `wsdo connect`: a client for people and for scripts.

mod editor;
mod input;
mod talk;

use std::{
    cell::RefCell,
    io::{self, IsTerminal as _},
    rc::Rc,
    time::{Duration, Instant},
};

use ws_smol::{Backoff, Error, Reconnect};

use self::{
    editor::Editor,
    input::{Format, Framing, Kind},
    talk::{End, Ended, Talk},
};
use crate::{
    client::{self, Client},
    console::{self, Console, Form},
    exit::{Exit, Failure},
    json,
    options::{Command, Given, Group, Opt, Value},
    runtime::future,
    signal,
    transport::Socket,
};

pub(crate) const COMMAND: Command = Command {
    name: "connect",
    operands: "URL",
    max_operands: 1,
    verbatim_from: None,
    summary: "connect to a server, send and receive messages",
    about: &[
        "Connects to a WebSocket server, ws:// or wss://. On a terminal, lines that are",
        "typed are messages, with editing and a history; Ctrl-D closes. In a pipe, lines of",
        "the standard input are messages, and messages that come go to the standard output.",
        "At the end of the input it closes once nothing has come for a second: --idle,",
        "--count and --timeout say otherwise.",
    ],
    groups: &[
        &MESSAGES,
        &TIME,
        &console::SHOW,
        &client::REQUEST,
        &client::TLS,
        &client::TRANSPORT,
        &client::FRAMES,
    ],
    examples: &[
        ("wsdo connect wss://example.com/feed", "talk to a server"),
        (
            "wsdo connect -x '{\"op\":\"time\"}' --count 1 --json URL",
            "ask, and show one answer",
        ),
        (
            "wsdo connect --binary --whole --count 1 URL < photo.jpg > reply",
            "send a file, keep the reply",
        ),
        (
            "wsdo connect --set-mask-to-zero --wire --count 1 URL",
            "see frames without masking",
        ),
    ],
};

const MESSAGES: Group = Group {
    title: "Messages",
    options: &[
        Opt {
            short: Some('x'),
            long: "execute",
            value: Value::One("MESSAGE"),
            help: &[
                "send this message, and do not read the standard",
                "input; may be given several times",
            ],
        },
        Opt {
            short: Some('b'),
            long: "binary",
            value: Value::None,
            help: &["send binary messages"],
        },
        Opt {
            short: None,
            long: "hex",
            value: Value::None,
            help: &[
                "send binary messages, and show all messages, in",
                "hexadecimal digits",
            ],
        },
        Opt {
            short: Some('0'),
            long: "null",
            value: Value::None,
            help: &["messages end with a zero byte, in and out"],
        },
        Opt {
            short: None,
            long: "length",
            value: Value::None,
            help: &[
                "messages stand behind their length in 4 bytes, from",
                "the highest, in and out",
            ],
        },
        Opt {
            short: None,
            long: "whole",
            value: Value::None,
            help: &[
                "the whole input is one message, and messages that",
                "come are written as they are",
            ],
        },
        Opt {
            short: None,
            long: "crlf",
            value: Value::None,
            help: &["send CR LF at the end of each message"],
        },
        Opt {
            short: None,
            long: "slash",
            value: Value::None,
            help: &[
                "lines may be commands: /ping TEXT, /pong TEXT,",
                "/close CODE REASON; // begins a line with a slash",
            ],
        },
        Opt {
            short: Some('j'),
            long: "json",
            value: Value::None,
            help: &["lay JSON out over lines"],
        },
        Opt {
            short: None,
            long: "history",
            value: Value::File,
            help: &[
                "keep what is typed here; an empty name for nowhere",
                "(default: ~/.local/state/wsdo/history)",
            ],
        },
    ],
};

const TIME: Group = Group {
    title: "How long",
    options: &[
        Opt {
            short: Some('n'),
            long: "count",
            value: Value::One("N"),
            help: &["close after so many messages have come"],
        },
        Opt {
            short: None,
            long: "idle",
            value: Value::One("SECONDS"),
            help: &[
                "after the end of the input, close once no message has",
                "come for so long; never waits for the server",
                "(default: 1, with --count never)",
            ],
        },
        Opt {
            short: Some('t'),
            long: "timeout",
            value: Value::One("SECONDS"),
            help: &["close after so long in any case, with exit code 9"],
        },
        Opt {
            short: Some('P'),
            long: "ping",
            value: Value::One("SECONDS"),
            help: &[
                "send a Ping each so many seconds, and show how long",
                "its Pong took",
            ],
        },
        Opt {
            short: Some('r'),
            long: "reconnect",
            value: Value::Optional("SECONDS"),
            help: &[
                "connect again when the connection is lost, after",
                "SECONDS (default: 1) and longer each time, at most",
                "60, at random",
            ],
        },
    ],
};

/// Runs the subcommand.
pub(crate) fn run(given: &Given) -> Result<Exit, Failure> {
    let [url] = &given.operands[..] else {
        return Err(Failure::usage("which URL?"));
    };
    let url = url
        .to_str()
        .ok_or_else(|| Failure::usage("the URL is no text"))?;
    let client = Client::new(given, url)?;
    let format = format(given)?;
    let mut console = Console::new(given, form(given, format)?)?;
    let ping = given.seconds("ping")?;
    if ping.is_some() {
        console.show_pongs();
    }
    let messages = given.texts("execute")?;
    let is_interactive = messages.is_empty()
        && format.framing == Framing::Lines
        && io::stdin().is_terminal()
        && io::stdout().is_terminal();
    let mut editor = None;
    let input = if !messages.is_empty() {
        format.read_arguments(messages)?
    } else if is_interactive {
        let history = match given.path("history") {
            Some(file) => Some(file).filter(|file| !file.as_os_str().is_empty()),
            None => editor::default_history(),
        };
        let editor = editor.insert(Editor::start(format, history)?);
        console.print_with(editor.printer.take());
        editor.orders.clone()
    } else {
        format.read_stdin()?
    };
    let mut talk = Talk::new(input);
    talk.count = given.parsed("count")?;
    talk.ping = ping;
    talk.idle = idle(given, talk.count.is_some())?.filter(|_| !is_interactive);
    talk.closes_at_end = is_interactive;
    let deadline = given
        .seconds("timeout")?
        .and_then(|time| Instant::now().checked_add(time));
    talk.deadline = deadline;
    let session = Session {
        client,
        talk,
        console: Rc::new(RefCell::new(console)),
        backoff: backoff(given)?,
    };
    let console = Rc::clone(&session.console);
    let outcome = crate::runtime::block_on(session.run());
    let mut console = console.borrow_mut();
    if let Err(failure) = &outcome {
        let code = (failure.exit as u8).to_string();
        console.event(
            "error",
            &[("exit", code), ("message", json::string(&failure.message))],
        );
    }
    if editor.is_some() {
        console.end_editing();
    }
    drop(editor);
    outcome
}

fn format(given: &Given) -> Result<Format, Failure> {
    let framings = [
        ("null", Framing::Null),
        ("length", Framing::Length),
        ("whole", Framing::Whole),
    ];
    let kinds = [("binary", Kind::Binary), ("hex", Kind::Hex)];
    Ok(Format {
        framing: given.one_of(&framings)?.unwrap_or(Framing::Lines),
        kind: given.one_of(&kinds)?.unwrap_or(Kind::Text),
        crlf: given.has("crlf"),
        slash: given.has("slash"),
    })
}

fn form(given: &Given, format: Format) -> Result<Form, Failure> {
    let asked = given.one_of(&[("json", Form::Json), ("hex", Form::Hex)])?;
    Ok(match (asked, format.framing) {
        (Some(form), _) => form,
        (None, Framing::Lines) => Form::Lines,
        (None, Framing::Null) => Form::Null,
        (None, Framing::Length) => Form::Length,
        (None, Framing::Whole) => Form::Raw,
    })
}

/// How long to wait after the end of the input; `None` for ever.
fn idle(given: &Given, counts: bool) -> Result<Option<Duration>, Failure> {
    match given.text("idle")?.as_deref() {
        Some("never") => Ok(None),
        Some(_) => given.seconds("idle"),
        None => Ok(Some(Duration::from_secs(1)).filter(|_| !counts)),
    }
}

fn backoff(given: &Given) -> Result<Option<Backoff>, Failure> {
    if !given.has("reconnect") {
        return Ok(None);
    }
    let least = given
        .seconds("reconnect")?
        .unwrap_or(Duration::from_secs(1));
    Ok(Some(Backoff::new(least, Duration::from_secs(60))))
}

struct Session {
    client: Client,
    talk: Talk,
    console: Rc<RefCell<Console>>,
    /// How long to wait before connecting again, if that is wanted.
    backoff: Option<Backoff>,
}

impl Session {
    /// Connects and talks, as often as is wanted.
    async fn run(mut self) -> Result<Exit, Failure> {
        let mut signals = signal::Interrupts::new()?;
        let (client, console) = (self.client.clone(), Rc::clone(&self.console));
        let connect = async move |_| client.connect(Some(&console)).await;
        let mut reconnect = Reconnect::new(connect, self.client.request.clone());
        let comes_back = self.backoff.is_some();
        reconnect = match self.backoff.take() {
            Some(backoff) => reconnect.backoff(backoff),
            None => reconnect.max_attempts(1),
        };
        loop {
            let connecting = async { Ok(reconnect.connect().await) };
            let interrupted = async {
                signals.next().await;
                Err(Failure::new(
                    Exit::Interrupted,
                    "interrupted while connecting",
                ))
            };
            let late = talk::until(self.talk.deadline, || {
                Err(Failure::new(
                    Exit::TimedOut,
                    "no connection within --timeout",
                ))
            });
            let outcome = future::or(connecting, future::or(interrupted, late)).await?;
            let websocket =
                outcome.map_err(|error| Failure::connecting(self.client.request.uri(), &error))?;
            self.greet(&websocket);
            let end = self
                .talk
                .run(websocket, &self.console, &mut signals)
                .await?;
            self.part(&end);
            match end.outcome {
                Ended::Ours(exit) => return self.talk.finish(exit),
                Ended::Theirs(_) if comes_back && end.is_temporary() => {
                    let mut console = self.console.borrow_mut();
                    console.note(&format!("{}; connecting again", end.why()));
                }
                Ended::Theirs(Err(error)) => return Err(error.into()),
                Ended::Theirs(Ok(())) => return self.talk.finish(Exit::Success),
            }
        }
    }

    fn greet(&self, websocket: &Socket) {
        let mut console = self.console.borrow_mut();
        let subprotocol = websocket.subprotocol();
        let is_compressed = websocket.deflate().is_some();
        if console.is_interactive() || console.is_talkative() {
            let mut text = format!("connected to {}", self.client.request.uri());
            if let Some(name) = subprotocol {
                text = format!("{text}, subprotocol {name}");
            }
            if is_compressed {
                text.push_str(", compressed");
            }
            if console.is_interactive() {
                text.push_str("; Ctrl-D closes");
            }
            console.note(&text);
        }
        let name = subprotocol.map_or_else(|| "null".to_owned(), json::string);
        console.event(
            "open",
            &[
                ("url", json::string(&self.client.request.uri().to_string())),
                ("subprotocol", name),
                ("deflate", is_compressed.to_string()),
            ],
        );
    }

    /// Says how the connection ended.
    fn part(&self, end: &End) {
        let mut console = self.console.borrow_mut();
        let Some(status) = &end.status else {
            return;
        };
        if console.is_interactive() || console.is_talkative() {
            console.note(&crate::text::printable(&format!("closed with {status}")));
        }
        let fields = [
            ("code", status.code.to_string()),
            ("reason", json::string(&status.reason)),
        ];
        console.event("close", &fields);
    }
}

impl End {
    /// Tells whether connecting again may help: the connection was lost, or the
    /// server goes away.
    fn is_temporary(&self) -> bool {
        match &self.outcome {
            Ended::Theirs(Err(error)) => error.is_temporary(),
            Ended::Theirs(Ok(())) => self
                .status
                .as_ref()
                .is_some_and(|status| status.code == 1001),
            Ended::Ours(_) => false,
        }
    }

    fn why(&self) -> String {
        match &self.outcome {
            Ended::Theirs(Err(error)) => Error::to_string(error),
            _ => "the server goes away".to_owned(),
        }
    }
}
