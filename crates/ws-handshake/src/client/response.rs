//! What a server answers that does not open a WebSocket.

use alloc::{string::String, vec::Vec};
use core::{fmt, time::Duration};

use crate::{
    date,
    headers::{Headers, elements},
    page::{Short, first_line},
};

/// A reply other than 101, to be handled by the rules of HTTP (RFC 6455 section 4.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpResponse {
    /// The three digits of the status code; never 1xx.
    pub status: u16,
    /// The words beside it, which mean nothing; `U+FFFD` stands for what is not UTF-8.
    pub reason: String,
    /// The headers.
    pub headers: Headers,
    /// The body, at most as much of it as
    /// [`ClientRequest::max_body`](crate::ClientRequest::max_body) says.
    pub body: Vec<u8>,
    /// Whether the body goes on after what is kept, or was malformed or cut short there.
    pub truncated: bool,
}

impl HttpResponse {
    /// Where a redirect leads, to be given to [`Uri::join`](crate::Uri::join). `None` if the status
    /// is not 3xx or there is no such header.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        //= RFC6455-4.1-35
        let location = self
            .headers
            .get("Location")
            .filter(|_| (300..400).contains(&self.status))?;
        str::from_utf8(location).ok()
    }

    /// How long the server asks to be left alone, by `Retry-After` in seconds or as a date (RFC
    /// 9110 section 10.2.3); `None` if it does not, or not by its grammar. A date that is over
    /// is no time at all.
    ///
    /// `now` is the time in seconds since the start of 1970 (Unix time).
    #[must_use]
    pub fn retry_after(&self, now: u64) -> Option<Duration> {
        //= RFC9110-10.2.3-1
        let value = str::from_utf8(self.headers.get("Retry-After")?).ok()?;
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
        }
        let at = date::parse(value)?;
        Some(Duration::from_secs(at.saturating_sub(now)))
    }

    /// The first line of text in the body, without the tags of HTML: at most 120 characters, and
    /// none that controls a terminal. `None` if there is no text, or if it is compressed.
    #[must_use]
    pub fn first_line(&self) -> Option<String> {
        let mut codings = self.headers.get_all("Content-Encoding");
        let is_plain = codings.all(|coding| coding.eq_ignore_ascii_case(b"identity"));
        is_plain.then(|| first_line(&self.body)).flatten()
    }

    /// What the server or proxy asks for, by a 401 or 407: the values of `WWW-Authenticate` or
    /// `Proxy-Authenticate`, which begin with a scheme and often a realm (RFC 9110 section
    /// 11.6.1).
    pub fn challenges(&self) -> impl Iterator<Item = &[u8]> {
        let name = match self.status {
            407 => "Proxy-Authenticate",
            _ => "WWW-Authenticate",
        };
        self.headers.get_all(name)
    }

    /// The protocol versions that the server says it speaks, for a 426.
    pub fn versions(&self) -> impl Iterator<Item = u8> + '_ {
        //= RFC6455-4.4-3
        //= RFC6455-11.3.5-1
        //= RFC6455-4.3-3
        self.headers
            .get_all("Sec-WebSocket-Version")
            .flat_map(elements)
            .filter(|version| *version == b"0" || !version.starts_with(b"0"))
            .filter(|version| version.iter().all(u8::is_ascii_digit))
            .filter_map(|version| str::from_utf8(version).ok()?.parse().ok())
    }
}

impl fmt::Display for HttpResponse {
    /// Tells, safely for a log, the status and the words beside it, the challenges, the location,
    /// and the first line of the body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        if !self.reason.is_empty() {
            write!(f, " {}", Short(self.reason.as_bytes()))?;
        }
        for challenge in self.challenges() {
            write!(f, "; it asks for {}", Short(challenge))?;
        }
        if let Some(location) = self.location() {
            write!(f, "; it leads to {}", Short(location.as_bytes()))?;
        }
        match self.first_line() {
            Some(line) => write!(f, "; its page begins \"{}\"", Short(line.as_bytes())),
            None => Ok(()),
        }
    }
}
