//! The client's side: the request that is sent, and what may answer it.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::body::{Body, Collected};
use crate::date;
use crate::deflate::{DeflateOffer, DeflateParams, agree_all};
use crate::error::{HandshakeError, Offered};
use crate::head::{Head, HeadLimits, HeadReader};
use crate::headers::{
    FieldBlock, HeaderError, Headers, append, elements, has_element, is_token, is_value,
};
#[cfg(feature = "std")]
use crate::key::NoEntropy;
use crate::key::{Nonce, accept_key};
use crate::page::{Short, first_line};
use crate::request::Version;
use crate::uri::Uri;

/// An opening handshake in the making, for one URI.
///
/// Whatever is added is checked at once, so that what comes out is always one well-formed request.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub(crate) uri: Uri,
    pub(crate) terms: Terms,
    pub(crate) origin: Option<FieldBlock>,
    pub(crate) user_agent: FieldBlock,
    pub(crate) fields: FieldBlock,
    pub(crate) limits: HeadLimits,
    pub(crate) max_body: usize,
}

impl ClientRequest {
    /// Starts a request for the resource that the URI names.
    ///
    /// It says `User-Agent: ws-handshake/` and the version, as firewalls of web servers answer 403 to a request without;
    /// [`header`](Self::header) changes it. User name and password of the URI become an `Authorization` header.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        let mut user_agent = FieldBlock::default();
        user_agent.push_own("User-Agent", USER_AGENT.as_bytes());
        Self {
            uri,
            terms: Terms::default(),
            origin: None,
            user_agent,
            fields: FieldBlock::default(),
            limits: HeadLimits::default(),
            max_body: DEFAULT_MAX_BODY,
        }
    }

    /// Adds a subprotocol, the one liked best first.
    ///
    /// # Errors
    ///
    /// [`ClientRequestError::BadSubprotocol`] if it is not a token or was added before.
    pub fn subprotocol(mut self, name: &str) -> Result<Self, ClientRequestError> {
        //= RFC6455-4.1-29
        //= RFC6455-4.1-30
        //= RFC6455-8.1-2
        if !is_token(name.as_bytes()) || self.terms.subprotocols.iter().any(|known| known == name) {
            return Err(ClientRequestError::BadSubprotocol {
                offered: Offered::new(name.as_bytes()),
            });
        }
        self.terms.subprotocols.push(name.to_owned());
        Ok(self)
    }

    /// Adds an offer of permessage-deflate, the one liked best first.
    #[must_use]
    pub fn offer(mut self, offer: DeflateOffer) -> Self {
        self.terms.offers.push(offer);
        self
    }

    /// Adds several offers, such as those that [`DeflateOffer::parse_list`] reads.
    #[must_use]
    pub fn offers(mut self, offers: impl IntoIterator<Item = DeflateOffer>) -> Self {
        self.terms.offers.extend(offers);
        self
    }

    /// Takes all offers back, for a frame layer that cannot keep them.
    #[must_use]
    pub fn without_offers(mut self) -> Self {
        self.terms.offers = Vec::new();
        self
    }

    /// Sets `Origin`, which a browser must send and anything else may.
    ///
    /// # Errors
    ///
    /// [`ClientRequestError::BadHeader`] if the value has a control character.
    pub fn origin(mut self, origin: &str) -> Result<Self, ClientRequestError> {
        //= RFC6455-4.1-25
        //= RFC6455-4.1-26
        let mut field = FieldBlock::default();
        field.push("Origin", origin.as_bytes())?;
        self.origin = Some(field);
        Ok(self)
    }

    /// Adds a header, such as `Authorization` or `Cookie`. It may be called several times with the same name, which adds
    /// one each time; `User-Agent` and `Authorization` replace those that [`new`](Self::new) sets.
    ///
    /// # Errors
    ///
    /// [`ClientRequestError::BadHeader`] if the name is not a token, the value has a control character, or the header is
    /// one that the handshake writes: `Host`, `Upgrade`, `Connection`, `Sec-WebSocket-*`, `Content-Length`,
    /// `Transfer-Encoding`.
    pub fn header(
        mut self,
        name: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<Self, ClientRequestError> {
        //= RFC6455-4.1-32
        if name.eq_ignore_ascii_case("User-Agent") {
            let mut field = FieldBlock::default();
            field.push(name, value.as_ref())?;
            self.user_agent = field;
        } else {
            self.fields.push(name, value.as_ref())?;
        }
        Ok(self)
    }

    /// Leaves `User-Agent` out.
    #[must_use]
    pub fn without_user_agent(mut self) -> Self {
        self.user_agent = FieldBlock::default();
        self
    }

    /// Sets how large the head of a reply may be.
    #[must_use]
    pub const fn limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how much of the body of a reply other than 101 is kept; 64 KiB by default, 0 to wait for none of it.
    #[must_use]
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The URI asked for: where to connect to.
    #[must_use]
    pub const fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Starts the handshake with a nonce from the operating system.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] if it gives no random bytes.
    #[cfg(feature = "std")]
    pub fn start_random(self) -> Result<ClientHandshake, NoEntropy> {
        //= RFC6455-4.1-24
        Ok(self.start(Nonce::random()?))
    }

    /// Starts the handshake with a nonce, which must be fresh for this connection.
    #[must_use]
    pub fn start(self, nonce: Nonce) -> ClientHandshake {
        let key = nonce.key();
        ClientHandshake {
            request: self.to_bytes(&key),
            accept: accept_key(&key),
            terms: self.terms,
            limits: self.limits,
            interim: Interim::default(),
            max_body: self.max_body,
            stage: Stage::Head(HeadReader::reply(self.limits)),
        }
    }

    fn to_bytes(&self, key: &[u8]) -> Vec<u8> {
        //= RFC6455-4.1-16
        let mut out = Vec::with_capacity(256);
        //= RFC6455-4.1-17
        //= RFC6455-4.1-18
        //= RFC6455-4.1-19
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(self.uri.resource_name().as_bytes());
        //= RFC6455-4.1-20
        //= RFC9110-7.2-1
        out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
        out.extend_from_slice(self.uri.host_header().as_bytes());
        //= RFC6455-4.1-21
        //= RFC6455-4.1-22
        //= RFC9110-7.8-2
        out.extend_from_slice(
            b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ",
        );
        //= RFC6455-4.1-23
        //= RFC6455-11.3.1-1
        out.extend_from_slice(key);
        //= RFC6455-4.1-27
        //= RFC6455-4.4-1
        //= RFC6455-11.3.5-2
        out.extend_from_slice(b"\r\nSec-WebSocket-Version: 13\r\n");
        //= RFC6455-4.1-28
        if !self.terms.subprotocols.is_empty() {
            out.extend_from_slice(b"Sec-WebSocket-Protocol: ");
            append(&mut out, &Listed(&self.terms.subprotocols));
            out.extend_from_slice(b"\r\n");
        }
        // Offers are all that the extensions header ever holds: [MS-WSPE] masking is told to nobody.
        //= MSWS-1.7-1
        //= RFC6455-4.1-31
        //= RFC6455-9-1
        //= RFC6455-9.1-3
        if !self.terms.offers.is_empty() {
            out.extend_from_slice(b"Sec-WebSocket-Extensions: ");
            append(&mut out, &Listed(&self.terms.offers));
            out.extend_from_slice(b"\r\n");
        }
        if let Some(origin) = &self.origin {
            out.extend_from_slice(origin.as_bytes());
        }
        out.extend_from_slice(self.user_agent.as_bytes());
        if let Some(credentials) = self.uri.authorization()
            && !self.fields.contains("Authorization")
        {
            out.extend_from_slice(b"Authorization: ");
            out.extend_from_slice(credentials.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(b"\r\n");
        out
    }
}

/// Why something cannot be added to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientRequestError {
    /// A subprotocol is not a token, or is in the list already (RFC 6455 section 4.1).
    #[error("subprotocol is not a token or is listed twice: \"{offered}\"")]
    BadSubprotocol {
        /// The start of the name.
        offered: Offered,
    },
    /// A header that cannot be sent.
    #[error(transparent)]
    BadHeader(#[from] HeaderError),
}

impl ClientRequestError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::BadSubprotocol { .. } => "bad_subprotocol",
            Self::BadHeader(error) => error.kind(),
        }
    }
}

/// A handshake under way: the request to send, and the reply as it comes in.
///
/// 1. Send [`request_bytes`](Self::request_bytes), and nothing after them.
/// 2. Hand everything that is read to [`receive`](Self::receive), and the end of the transport to [`eof`](Self::eof).
/// 3. On [`ClientProgress::Agreed`] the connection is open, and the rest of the input is the server's first frames.
#[derive(Clone)]
pub struct ClientHandshake {
    request: Vec<u8>,
    accept: [u8; 28],
    terms: Terms,
    limits: HeadLimits,
    interim: Interim,
    max_body: usize,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    Head(HeadReader),
    Body(Body, HttpResponse),
    Over(HandshakeError),
}

impl ClientHandshake {
    /// The request, whole. The client sends these bytes and then waits for the reply.
    #[must_use]
    pub fn request_bytes(&self) -> &[u8] {
        //= RFC6455-4.1-1
        //= RFC6455-4.1-15
        //= RFC6455-4.1-33
        &self.request
    }

    /// Takes the next bytes from the transport.
    ///
    /// Interim replies (1xx) before the 101 are passed over: 16 at most, which together are no longer than
    /// [`HeadLimits::max_head`]. The time that a server may take is for the caller to bound.
    ///
    /// # Errors
    ///
    /// The first rule that the reply breaks: the client then closes the connection. The handshake is over after an error
    /// as after an outcome, and only gives an error from then on.
    pub fn receive(&mut self, input: &[u8]) -> Result<ClientProgress, HandshakeError> {
        let progress = self.advance(input);
        match &progress {
            //= RFC6455-7.2.1-1
            Err(error) => self.stage = Stage::Over(*error),
            Ok(ClientProgress::Incomplete) => {}
            Ok(_) => self.stage = Stage::Over(HandshakeError::ConnectionLost),
        }
        progress
    }

    /// Tells that the transport has ended.
    ///
    /// A reply other than 101 that was under way is handed out: the end of the transport may be what ends its body.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::ConnectionLost`] if there is no such reply, or the error that ended the handshake before.
    pub fn eof(&mut self) -> Result<HttpResponse, HandshakeError> {
        match core::mem::replace(&mut self.stage, Stage::Over(HandshakeError::ConnectionLost)) {
            Stage::Head(_) => Err(HandshakeError::ConnectionLost),
            Stage::Body(body, mut response) => {
                response.truncated = !body.ends_at_eof();
                Ok(response)
            }
            Stage::Over(error) => {
                self.stage = Stage::Over(error);
                Err(error)
            }
        }
    }

    /// A reply other than 101 whose body is still coming in, for a caller that does not want to wait for it.
    #[must_use]
    pub const fn response(&self) -> Option<&HttpResponse> {
        match &self.stage {
            Stage::Body(_, response) => Some(response),
            _ => None,
        }
    }

    fn advance(&mut self, input: &[u8]) -> Result<ClientProgress, HandshakeError> {
        let mut consumed = 0;
        if let Stage::Head(reader) = &mut self.stage {
            let reply = loop {
                let rest = &input[consumed..];
                if reader.is_idle() {
                    refuse_other_protocols(rest)?;
                }
                let Some(head) = reader.receive(rest)? else {
                    return Ok(ClientProgress::Incomplete);
                };
                consumed += head.consumed();
                let reply = Reply::parse(head.as_bytes(), self.limits.max_headers)?;
                if reply.version.major != 1 {
                    return Err(HandshakeError::BadHttpVersion {
                        offered: reply.version,
                    });
                }
                //= RFC9110-15.2-1
                //= RFC9112-6.3-1
                if reply.status == 101 || !(100..200).contains(&reply.status) {
                    break reply;
                }
                self.interim.count(head.as_bytes().len(), self.limits)?;
            };
            if reply.status == 101 {
                return self
                    .agree(reply)
                    .map(|agreed| ClientProgress::Agreed { agreed, consumed });
            }
            //= RFC6455-4.1-34
            let (body, response) = reply.refuse(self.max_body);
            self.stage = Stage::Body(body, response);
        }
        match &mut self.stage {
            Stage::Body(body, response) => {
                let (taken, collected) = body.receive(&input[consumed..], &mut response.body);
                consumed += taken;
                if collected == Collected::Partly {
                    return Ok(ClientProgress::Incomplete);
                }
                let mut response = core::mem::take(response);
                response.truncated = collected == Collected::Truncated;
                Ok(ClientProgress::Refused { response, consumed })
            }
            Stage::Over(error) => Err(*error),
            // Left above, with `Incomplete` or for another stage.
            Stage::Head(_) => Ok(ClientProgress::Incomplete),
        }
    }

    /// Checks a 101 by RFC 6455 section 4.1.
    fn agree(&self, reply: Reply) -> Result<Agreed, HandshakeError> {
        //= RFC6455-4.1-41
        if !reply.version.allows_upgrade() {
            return Err(HandshakeError::BadHttpVersion {
                offered: reply.version,
            });
        }
        let headers = reply.headers;
        check_upgrade(&headers)?;
        //= RFC6455-4.1-37
        if headers.get("Connection").is_none() {
            return Err(HandshakeError::MissingConnection);
        }
        //= RFC9110-5.3-1
        //= RFC9110-7.6.1-1
        if !headers
            .get_all("Connection")
            .any(|value| has_element(value, "upgrade"))
        {
            return Err(HandshakeError::BadConnection);
        }
        self.check_accept(&headers)?;
        self.terms.agree(headers)
    }

    fn check_accept(&self, headers: &Headers) -> Result<(), HandshakeError> {
        //= RFC6455-4.1-38
        //= RFC6455-11.3.3-1
        let mut values = headers.get_all("Sec-WebSocket-Accept");
        let value = values.next().ok_or(HandshakeError::MissingAccept)?;
        if values.any(|other| other != value) {
            return Err(HandshakeError::DuplicateAccept);
        }
        if value != self.accept {
            return Err(HandshakeError::BadAccept {
                offered: Offered::new(value),
            });
        }
        Ok(())
    }
}

/// What a client asks for, and a server may agree to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) subprotocols: Vec<String>,
    pub(crate) offers: Vec<DeflateOffer>,
}

impl Terms {
    /// Reads what a reply that accepts agrees to.
    pub(crate) fn agree(&self, headers: Headers) -> Result<Agreed, HandshakeError> {
        //= RFC8441-5-6
        let subprotocol = self.agree_subprotocol(&headers)?;
        //= RFC6455-9.1-1
        let deflate = agree_all(headers.get_all("Sec-WebSocket-Extensions"), &self.offers)?;
        //= RFC6455-4.1-43
        Ok(Agreed {
            subprotocol,
            deflate,
            headers,
        })
    }

    fn agree_subprotocol(&self, headers: &Headers) -> Result<Option<String>, HandshakeError> {
        //= RFC6455-11.3.4-2
        //= RFC6455-4.3-4
        //= RFC6455-4.2.2-12
        let mut names = headers.get_all("Sec-WebSocket-Protocol").flat_map(elements);
        let Some(name) = names.next() else {
            return Ok(None);
        };
        if !is_token(name) {
            return Err(HandshakeError::BadSubprotocolHeader {
                offered: Offered::new(name),
            });
        }
        // A proxy that writes a header twice says nothing new.
        if names.any(|other| !other.eq_ignore_ascii_case(name)) {
            return Err(HandshakeError::DuplicateSubprotocol);
        }
        //= RFC6455-4.1-40
        self.requested(name).cloned().map(Some).ok_or_else(|| {
            HandshakeError::UnexpectedSubprotocol {
                offered: Offered::new(name),
            }
        })
    }

    /// The subprotocol that was requested by that name; by the same letters in another case if there is no other.
    fn requested(&self, name: &[u8]) -> Option<&String> {
        let exact = self
            .subprotocols
            .iter()
            .find(|requested| requested.as_bytes() == name);
        exact.or_else(|| {
            self.subprotocols
                .iter()
                .find(|requested| requested.as_bytes().eq_ignore_ascii_case(name))
        })
    }
}

impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match &self.stage {
            Stage::Head(_) => "head",
            Stage::Body(..) => "body",
            Stage::Over(_) => "over",
        };
        f.debug_struct("ClientHandshake")
            .field("stage", &stage)
            .finish_non_exhaustive()
    }
}

/// What a handshake has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientProgress {
    /// All of the input was taken in; more is needed.
    Incomplete,
    /// The connection is open.
    Agreed {
        /// What was agreed on.
        agreed: Agreed,
        /// How many bytes of the input belong to the reply; the rest are the server's first frames.
        consumed: usize,
    },
    /// The server answered otherwise, and there is no WebSocket: a redirect, a refusal, a page.
    Refused {
        /// The answer.
        response: HttpResponse,
        /// How many bytes of the input belong to the reply.
        consumed: usize,
    },
}

/// What server and client agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreed {
    /// The subprotocol, one of those requested; `None` for none.
    pub subprotocol: Option<String>,
    /// The compression; `None` for none.
    pub deflate: Option<DeflateParams>,
    /// All headers of the reply.
    pub headers: Headers,
}

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
    /// The body, at most as much of it as [`ClientRequest::max_body`] says.
    pub body: Vec<u8>,
    /// Whether the body goes on after what is kept, or was malformed or cut short there.
    pub truncated: bool,
}

impl HttpResponse {
    /// Where a redirect leads, to be given to [`Uri::join`]. `None` if the status is not 3xx or there is no such header.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        //= RFC6455-4.1-35
        let location = self
            .headers
            .get("Location")
            .filter(|_| (300..400).contains(&self.status))?;
        str::from_utf8(location).ok()
    }

    /// How long the server asks to be left alone, by `Retry-After` in seconds or as a date (RFC 9110 section 10.2.3);
    /// `None` if it does not, or not by its grammar. A date that is over is no time at all.
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

    /// The first line of text in the body, without the tags of HTML: at most 120 characters, and none that controls a
    /// terminal. `None` if there is no text, or if it is compressed.
    #[must_use]
    pub fn first_line(&self) -> Option<String> {
        let mut codings = self.headers.get_all("Content-Encoding");
        let is_plain = codings.all(|coding| coding.eq_ignore_ascii_case(b"identity"));
        is_plain.then(|| first_line(&self.body)).flatten()
    }

    /// What the server or proxy asks for, by a 401 or 407: the values of `WWW-Authenticate` or `Proxy-Authenticate`, which
    /// begin with a scheme and often a realm (RFC 9110 section 11.6.1).
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
    /// Tells, safely for a log, the status and the words beside it, the challenges, the location, and the first line of
    /// the body.
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

/// Interim replies that were passed over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interim {
    count: usize,
    bytes: usize,
}

impl Interim {
    /// Counts one more, whose head has so many bytes.
    pub(crate) fn count(&mut self, bytes: usize, limits: HeadLimits) -> Result<(), HandshakeError> {
        self.count += 1;
        self.bytes += bytes;
        if self.count > MAX_INTERIM {
            return Err(HandshakeError::TooManyInterim { limit: MAX_INTERIM });
        }
        if self.bytes > limits.max_head {
            return Err(HandshakeError::HeadTooLarge {
                limit: limits.max_head,
            });
        }
        Ok(())
    }
}

/// Knows a peer that speaks something else than HTTP by its first byte: it may say no more, or end no line.
fn refuse_other_protocols(input: &[u8]) -> Result<(), HandshakeError> {
    match input.first() {
        None | Some(b'H') => Ok(()),
        Some(&TLS_ALERT) => Err(HandshakeError::TlsReply),
        Some(_) => Err(HandshakeError::BadStatusLine {
            offered: Offered::new(up_to_line_end(input)),
        }),
    }
}

fn up_to_line_end(input: &[u8]) -> &[u8] {
    let mut lines = input.split(|byte| matches!(byte, b'\r' | b'\n'));
    lines.next().unwrap_or_default()
}

/// The head of a reply.
pub(crate) struct Reply {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason: String,
    headers: Headers,
}

impl Reply {
    pub(crate) fn parse(head: &[u8], max_headers: usize) -> Result<Self, HandshakeError> {
        let (line, block) = Head::split(head);
        //= RFC9112-4-1
        let (version, status, reason) =
            parse_status_line(line).ok_or_else(|| HandshakeError::BadStatusLine {
                offered: Offered::new(line),
            })?;
        let headers = Headers::parse_reply(block, max_headers)?;
        Ok(Self {
            version,
            status,
            reason: String::from_utf8_lossy(reason).into_owned(),
            headers,
        })
    }

    /// Makes an answer other than 101 of it, whose body is still to come.
    pub(crate) fn refuse(self, max_body: usize) -> (Body, HttpResponse) {
        let Self {
            status,
            reason,
            headers,
            ..
        } = self;
        let body = Body::of_reply(status, &headers, max_body);
        let response = HttpResponse {
            status,
            reason,
            headers,
            body: Vec::new(),
            truncated: false,
        };
        (body, response)
    }
}

/// Reads `HTTP-version SP 3DIGIT [SP reason]`.
fn parse_status_line(line: &[u8]) -> Option<(Version, u16, &[u8])> {
    let (version, rest) = line.split_at_checked(8)?;
    let version = Version::parse(version)?;
    let [
        b' ',
        a @ b'0'..=b'9',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        reason @ ..,
    ] = rest
    else {
        return None;
    };
    let status = [a, b, c]
        .iter()
        .fold(0, |status, &&digit| status * 10 + u16::from(digit - b'0'));
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] if is_value(reason) => reason,
        _ => return None,
    };
    Some((version, status, reason))
}

/// Checks that `Upgrade` names `websocket`, once or more, and nothing else.
fn check_upgrade(headers: &Headers) -> Result<(), HandshakeError> {
    //= RFC6455-4.1-36
    let mut last = None;
    for value in headers.get_all("Upgrade") {
        let is_websocket = |element: &[u8]| element.eq_ignore_ascii_case(b"websocket");
        if elements(value).next().is_none() || !elements(value).all(is_websocket) {
            return Err(HandshakeError::BadUpgrade {
                offered: Offered::new(value),
            });
        }
        last = Some(value);
    }
    last.map(drop).ok_or(HandshakeError::MissingUpgrade)
}

/// Shows a list with commas.
pub(crate) struct Listed<'a, T>(pub(crate) &'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            item.fmt(f)?;
        }
        Ok(())
    }
}

const DEFAULT_MAX_BODY: usize = 64 * 1024;

/// How many interim replies there may be.
const MAX_INTERIM: usize = 16;

/// The first byte of a record that refuses what is not TLS (RFC 8446 section 5.1); no reply of HTTP begins with it.
pub(crate) const TLS_ALERT: u8 = 21;

/// Who asks, if the user does not say it.
pub(crate) const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
