//! How the program ends.

use std::{error::Error, fmt, io, process::ExitCode};

use ws_smol::Error as WsError;

/// What the exit code of the program says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Success = 0,
    Failure = 1,
    Usage = 2,
    Unreachable = 3,
    Tls = 4,
    Handshake = 5,
    Protocol = 6,
    Closed = 7,
    Lost = 8,
    TimedOut = 9,
    Broken = 10,
    Missed = 11,
    Overrun = 12,
    Interrupted = 130,
}

/// All codes, and what they mean: for the help and the man page.
pub(crate) const CODES: &[(Exit, &str)] = &[
    (
        Exit::Success,
        "it went well: the connection was closed with 1000, 1001 or no code",
    ),
    (
        Exit::Failure,
        "another failure, such as a file that cannot be read",
    ),
    (Exit::Usage, "a mistake on the command line"),
    (
        Exit::Unreachable,
        "no connection: refused, no such host, or no way through the proxy",
    ),
    (
        Exit::Tls,
        "TLS failed, such as by a certificate that is not trusted",
    ),
    (
        Exit::Handshake,
        "the server answered with another status than 101, or broke a rule of the opening handshake",
    ),
    (
        Exit::Protocol,
        "the peer broke a rule of the protocol, or passed a limit",
    ),
    (
        Exit::Closed,
        "the peer closed with another code than 1000 and 1001; the message names it",
    ),
    (Exit::Lost, "the connection ended without a Close (1006)"),
    (
        Exit::TimedOut,
        "something took too long, such as by --timeout",
    ),
    (Exit::Broken, "check: the server breaks a rule"),
    (Exit::Missed, "bench: a condition of --expect is not met"),
    (
        Exit::Overrun,
        "bench: the generator was the limit, and not the server",
    ),
    (Exit::Interrupted, "Ctrl-C or SIGTERM"),
];

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why the program ends, for the exit code and for people.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// A mistake on the command line.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What went wrong before a connection to a URL was open.
    pub(crate) fn connecting(url: impl fmt::Display, error: &WsError) -> Self {
        let exit = match error {
            WsError::Io(_) | WsError::Lookup(_) | WsError::Proxy(_) | WsError::ProxyUrl(_) => {
                Exit::Unreachable
            }
            _ => exit_of(error),
        };
        Self::new(
            exit,
            format!("cannot connect to {url}: {}", with_causes(error)),
        )
    }

    /// Names the file that something went wrong with.
    pub(crate) fn file(path: impl fmt::Debug, error: impl fmt::Display) -> Self {
        Self::new(Exit::Failure, format!("{path:?}: {error}"))
    }
}

/// What went wrong on a connection.
impl From<WsError> for Failure {
    fn from(error: WsError) -> Self {
        Self::new(exit_of(&error), with_causes(&error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Failure, error.to_string())
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::usage(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.exit {
            Exit::Usage => f.write_str("\nwsdo: --help shows what there is"),
            _ => Ok(()),
        }
    }
}

fn exit_of(error: &WsError) -> Exit {
    match error {
        WsError::Io(_) | WsError::ConnectionLost => Exit::Lost,
        WsError::Tls(_) | WsError::TlsConfig(_) => Exit::Tls,
        WsError::Handshake(_)
        | WsError::Refused(_)
        | WsError::Redirect(_)
        | WsError::TooManyRedirects { .. } => Exit::Handshake,
        WsError::Protocol(_) | WsError::ControlFlood => Exit::Protocol,
        WsError::ClosedByPeer(_) => Exit::Closed,
        WsError::Timeout(_) => Exit::TimedOut,
        WsError::Uri(_) | WsError::Request(_) | WsError::Config(_) => Exit::Usage,
        _ => Exit::Failure,
    }
}

/// Tells an error, and of its causes those that it does not tell itself; of a
/// refusal also the page.
fn with_causes(error: &WsError) -> String {
    let mut text = crate::text::printable(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = crate::text::printable(&error.to_string());
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    if let WsError::Refused(response) = error {
        if let Some(location) = response.location() {
            let location = crate::text::printable(location);
            text = format!("{text}: it is at {location}, and -L goes there");
        }
        let body = String::from_utf8_lossy(&response.body);
        for line in body.trim().lines() {
            text.push_str("\n  | ");
            text.push_str(&crate::text::printable(line));
        }
        if response.truncated {
            text.push_str("\n  | ... and so on");
        }
    }
    text
}
