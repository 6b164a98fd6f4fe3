//! A request: read from a head or taken over from an HTTP server, and what it asks for.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::fmt;

use crate::{
    error::{HandshakeError, Offered},
    extensions::{Extension, Extensions},
    fields::{self, FieldList, bad_pseudo_header, missing},
    head::{Head, HeadLimits, Scanned, Scanner},
    headers::{Escaped, elements, has_element, is_token, is_value, lines, parse_field, trim},
    target::{self, Target, is_authority},
    version::Version,
};

/// A request whose HTTP syntax is sound, borrowed from the bytes or headers it came in.
///
/// That is all that it promises. Whether it is a correct opening handshake is the question that
/// [`ServerConfig::negotiate`](crate::ServerConfig::negotiate) answers, so that a server can look
/// at any request first: route it by [`path`](Self::path), or answer it with a page if it is [no
/// upgrade](Self::is_upgrade).
#[derive(Clone)]
pub struct Request<'a> {
    method: &'a str,
    raw_target: &'a [u8],
    target: Option<Target<'a>>,
    version: Version,
    fields: Fields<'a>,
    /// Of a list of fields: the `:protocol`, if there is one.
    list: Option<Option<&'a str>>,
    pub(crate) facts: Facts<'a>,
}

impl<'a> Request<'a> {
    /// Reads a whole head, from the request line to the empty line; bytes after it are ignored.
    ///
    /// For a head that comes in pieces there is [`HeadReader`](crate::HeadReader).
    ///
    /// # Errors
    ///
    /// The syntax errors of a head: [`BadLineEnding`](HandshakeError::BadLineEnding),
    /// [`HeadTooLarge`](HandshakeError::HeadTooLarge),
    /// [`IncompleteHead`](HandshakeError::IncompleteHead),
    /// [`BadRequestLine`](HandshakeError::BadRequestLine), [`BadHeader`](HandshakeError::BadHeader)
    /// and [`TooManyHeaders`](HandshakeError::TooManyHeaders).
    pub fn parse(head: &'a [u8], limits: &HeadLimits) -> Result<Self, HandshakeError> {
        let Scanned { start, end } = Scanner::new(limits.max_head, true).scan(head)?;
        let end = end.ok_or(HandshakeError::IncompleteHead)?;
        Self::parse_scanned(&head[start..end], limits.max_headers)
    }

    // The parser is our own because httparse cannot say what the handshake has to: it takes bare
    // line feeds, knows no HTTP version but 1.0 and 1.1 (a 1.2 request is to be accepted, a 2.0
    // one to get 505), takes control bytes in a target for a bad request line, and needs an
    // array for the largest number of headers before it starts.
    pub(crate) fn parse_scanned(
        head: &'a [u8],
        max_headers: usize,
    ) -> Result<Self, HandshakeError> {
        let (line, block) = Head::split(head);
        let (method, raw_target, version) =
            parse_request_line(line).ok_or_else(|| HandshakeError::BadRequestLine {
                offered: Offered::new(line),
            })?;
        let mut facts = Facts::default();
        for (index, line) in lines(block).enumerate() {
            if index == max_headers && !fault!("headers-unlimited") {
                return Err(HandshakeError::TooManyHeaders { limit: max_headers });
            }
            // A folded line has no token before its colon, and so is refused as RFC 9112 section
            // 5.2 allows.
            //= RFC9112-5.2-1
            let (name, value) = parse_field(line)?;
            facts.note(name, value);
        }
        let target = Target::parse(raw_target);
        Ok(Self {
            method,
            raw_target,
            target,
            version,
            fields: Fields::Block(block),
            list: None,
            facts,
        })
    }

    /// Takes over a request from an HTTP server that has parsed its head.
    ///
    /// `target` is the target of the request line, and `headers` are names and values in the order
    /// received.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::BadRequestLine`] and [`HandshakeError::BadHeader`], should the other
    /// parser have let pass what HTTP forbids.
    pub fn from_parts(
        method: &'a str,
        target: &'a str,
        version: Version,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, HandshakeError> {
        if !is_token(method.as_bytes()) || target.is_empty() || target.contains([' ', '\r', '\n']) {
            let line = format!("{method} {target} {version}");
            return Err(HandshakeError::BadRequestLine {
                offered: Offered::new(line.as_bytes()),
            });
        }
        let mut fields = Vec::new();
        let mut facts = Facts::default();
        for (name, value) in headers {
            if !is_token(name.as_bytes()) || !is_value(value) {
                return Err(HandshakeError::BadHeader {
                    offered: Offered::new(name.as_bytes()),
                });
            }
            let value = trim(value);
            facts.note(name.as_bytes(), value);
            fields.push((name, value));
        }
        let raw_target = target.as_bytes();
        Ok(Self {
            method,
            raw_target,
            target: Target::parse(raw_target),
            version,
            fields: Fields::Parts(fields),
            list: None,
            facts,
        })
    }

    /// Takes over a request of HTTP/2 or HTTP/3: the list of its fields, pseudo-headers first, in
    /// the order received.
    ///
    /// An extended CONNECT ([`protocol`](Self::protocol)) may be a WebSocket's opening handshake
    /// (RFC 8441, RFC 9220); any other request is one to be answered with a
    /// [`Response`](crate::Response). How long the list may be is for the HTTP library to say,
    /// in `SETTINGS_MAX_HEADER_LIST_SIZE`.
    ///
    /// ```
    /// use ws_handshake::{OriginPolicy, Request, ServerConfig, Version};
    ///
    /// let list: [(&str, &[u8]); 6] = [
    ///     (":method", b"CONNECT"),
    ///     (":protocol", b"websocket"),
    ///     (":scheme", b"https"),
    ///     (":path", b"/chat"),
    ///     (":authority", b"example.com"),
    ///     ("sec-websocket-version", b"13"),
    /// ];
    /// let request = Request::from_fields(Version::HTTP_2, list)?;
    /// assert_eq!((request.path(), request.authority()), ("/chat", Some("example.com")));
    /// let acceptance = ServerConfig::new(OriginPolicy::SameHost).negotiate(&request)?;
    /// let reply = acceptance.to_fields(); // send it, and leave the stream open
    /// assert_eq!(reply.iter().collect::<Vec<_>>(), [(":status", &b"200"[..])]);
    /// # Ok::<(), ws_handshake::HandshakeError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What makes the request malformed, whose stream is to be reset
    /// ([`is_malformed`](HandshakeError::is_malformed)):
    /// [`MissingPseudoHeader`](HandshakeError::MissingPseudoHeader),
    /// [`BadPseudoHeader`](HandshakeError::BadPseudoHeader),
    /// [`ConnectionHeader`](HandshakeError::ConnectionHeader),
    /// [`HostMismatch`](HandshakeError::HostMismatch) and [`BadHeader`](HandshakeError::BadHeader).
    /// [`BadHttpVersion`](HandshakeError::BadHttpVersion) for a version that has no such lists.
    pub fn from_fields(
        version: Version,
        list: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, HandshakeError> {
        if version.major < 2 {
            return Err(HandshakeError::BadHttpVersion { offered: version });
        }
        let FieldList {
            pseudo: [method, protocol, scheme, path, authority],
            regular: fields,
        } = fields::read(REQUEST_PSEUDO, list)?;
        let method = method.ok_or_else(|| missing(":method"))?;
        let method = ascii(method)
            .filter(|method| is_token(method.as_bytes()))
            .ok_or_else(|| bad_pseudo_header(":method"))?;
        let protocol = protocol
            .map(|name| check_protocol(method, name))
            .transpose()?;
        let mut facts = Facts::default();
        for (name, value) in &fields {
            facts.note(name.as_bytes(), value);
        }
        let authority = check_authority(authority, facts.host)?;
        let target = match method == "CONNECT" && protocol.is_none() {
            // An ordinary CONNECT asks for a host and for no resource.
            true if scheme.is_some() => return Err(bad_pseudo_header(":scheme")),
            true if path.is_some() => return Err(bad_pseudo_header(":path")),
            true => None,
            false => {
                //= RFC8441-4-2
                check_scheme(scheme.ok_or_else(|| missing(":scheme"))?)?;
                Some(path.ok_or_else(|| missing(":path"))?)
            }
        };
        //= RFC8441-5-4
        if method == "CONNECT" && authority.is_none() {
            return Err(missing(":authority"));
        }
        Ok(Self {
            method,
            raw_target: match (target, authority) {
                (Some(path), _) => path,
                (None, authority) => authority.unwrap_or_default().as_bytes(),
            },
            target: target
                .and_then(Target::parse)
                .filter(|target| target.authority.is_none())
                .map(|target| Target {
                    authority,
                    ..target
                }),
            version,
            fields: Fields::Parts(fields),
            list: Some(protocol),
            facts,
        })
    }

    /// The method; `GET` in an opening handshake, and `CONNECT` over HTTP/2 and HTTP/3.
    #[must_use]
    pub const fn method(&self) -> &'a str {
        self.method
    }

    /// The protocol that an extended CONNECT asks for, as `websocket` (RFC 8441 section 4); `None`
    /// of any other request.
    #[must_use]
    pub const fn protocol(&self) -> Option<&'a str> {
        //= RFC8441-4-1
        match self.list {
            Some(protocol) => protocol,
            None => None,
        }
    }

    /// Whether it came as a list of fields, over HTTP/2 or HTTP/3.
    pub(crate) const fn is_field_list(&self) -> bool {
        self.list.is_some()
    }

    /// The HTTP version.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The resource asked for: path and query, also where the target is an absolute URI.
    ///
    /// A target that is neither (such as `*`), which no handshake has, comes as it was received,
    /// with `U+FFFD` for what is not UTF-8.
    #[must_use]
    pub fn target(&self) -> Cow<'a, str> {
        //= RFC6455-4.2.1-2
        match self.target {
            Some(Target { resource, .. }) if resource.starts_with('/') => Cow::Borrowed(resource),
            Some(Target { resource: "", .. }) => Cow::Borrowed("/"),
            Some(Target { resource, .. }) => Cow::Owned(format!("/{resource}")),
            None => String::from_utf8_lossy(self.raw_target),
        }
    }

    /// The path of the resource, still percent-encoded. It starts with `/`, or is empty if the
    /// target is no resource.
    ///
    /// It is as the client sent it: dot segments and empty segments stand, and characters that
    /// browsers do not escape, such as `[` and `|`, may be escaped or not. Compare what
    /// [`path_segments`](Self::path_segments) gives where that matters.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.target.map_or("", Target::path)
    }

    /// The segments of the [`path`](Self::path), percent-decoded; none if the target is no
    /// resource.
    ///
    /// The path is cut at each `/` first and decoded then, so that a segment may hold a `/`. A path
    /// that ends in `/` has an empty last segment. A `%` that no two hexadecimal digits follow
    /// stays as it is, and `U+FFFD` stands for what is not UTF-8.
    ///
    /// ```
    /// use ws_handshake::{HeadLimits, Request};
    ///
    /// let head = b"GET /rooms/caf%C3%A9/[42] HTTP/1.1\r\nHost: h\r\n\r\n";
    /// let request = Request::parse(head, &HeadLimits::default())?;
    /// assert_eq!(request.path_segments().collect::<Vec<_>>(), ["rooms", "caf\u{e9}", "[42]"]);
    /// # Ok::<(), ws_handshake::HandshakeError>(())
    /// ```
    pub fn path_segments(&self) -> impl Iterator<Item = Cow<'a, str>> + use<'a> {
        target::segments(self.path())
    }

    /// The query of the resource, without its `?` and still percent-encoded.
    #[must_use]
    pub fn query(&self) -> Option<&'a str> {
        self.target.and_then(Target::query)
    }

    /// The pairs of name and value in the [`query`](Self::query), decoded as a form encodes them:
    /// `+` is a space.
    ///
    /// A name without `=` has an empty value. A `%` that no two hexadecimal digits follow stays as
    /// it is, and `U+FFFD` stands for what is not UTF-8.
    ///
    /// ```
    /// use ws_handshake::{HeadLimits, Request};
    ///
    /// let head = b"GET /?ids[]=1&user=J.+Doe HTTP/1.1\r\nHost: h\r\n\r\n";
    /// let request = Request::parse(head, &HeadLimits::default())?;
    /// assert_eq!(request.query_value("ids[]").as_deref(), Some("1"));
    /// assert_eq!(request.query_value("user").as_deref(), Some("J. Doe"));
    /// # Ok::<(), ws_handshake::HandshakeError>(())
    /// ```
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> + use<'a> {
        target::pairs(self.query().unwrap_or_default())
    }

    /// The value of the first of the [`query_pairs`](Self::query_pairs) of that name.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        self.query_pairs()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value)
    }

    /// The host and port the client meant: from an absolute target or `:authority` if there is one,
    /// else from `Host`.
    ///
    /// `None` if there is none that is well formed and unambiguous.
    #[must_use]
    pub fn authority(&self) -> Option<&'a str> {
        //= RFC9112-3.2.2-1
        match (self.target, self.facts.host) {
            (
                Some(Target {
                    authority: Some(authority),
                    ..
                }),
                _,
            ) => Some(authority),
            (_, Once::One(host)) => as_authority(host),
            _ => None,
        }
    }

    /// The value of the first header of that name, such as `Cookie` or `Authorization`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        //= RFC6455-10.5-1
        self.headers()
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All headers as name and value, in order, without the blanks around a value.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + '_ {
        let (block, parts): (&'a [u8], &[(&'a str, &'a [u8])]) = match &self.fields {
            Fields::Block(block) => (block, &[]),
            Fields::Parts(parts) => (&[], parts),
        };
        lines(block)
            // INVARIANT: every line was read when the request was made, and a name is a token and
            // so ASCII.
            .filter_map(|line| parse_field(line).ok())
            .map(|(name, value)| (str::from_utf8(name).unwrap_or_default(), value))
            .chain(parts.iter().copied())
    }

    /// The origin of the page that asks, which browsers always send.
    ///
    /// `None` if there is none, more than one or one outside ASCII.
    #[must_use]
    pub fn origin(&self) -> Option<&'a str> {
        self.facts.origin.one().and_then(ascii)
    }

    /// The subprotocols that the client can speak, the one it likes best first. One that it lists
    /// twice comes twice.
    ///
    /// What is no token cannot be the name of a subprotocol, so it cannot be agreed on, and is not
    /// among them: see [`subprotocols_as_sent`](Self::subprotocols_as_sent).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> + '_ {
        //= RFC6455-4.2.1-9
        //= RFC6455-11.3.4-1
        //= RFC6455-4.3-1
        //= RFC6455-8.1-2
        self.subprotocols_as_sent()
            .filter(|name| is_token(name))
            .filter_map(ascii)
    }

    /// All elements of `Sec-WebSocket-Protocol` but empty ones, also those that are no token.
    ///
    /// A page cannot send an `Authorization`, so some send an access token here, whose `=` or `/`
    /// no token may have. None of these is ever echoed: let the page list a subprotocol too, as
    /// browsers fail a connection without an answer.
    pub fn subprotocols_as_sent(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.values(PROTOCOL, self.facts.protocol)
            .flat_map(elements)
    }

    /// The extensions that the client offers, the one it likes best first, up to the first that is
    /// malformed.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'a>> + '_ {
        //= RFC6455-4.2.1-10
        //= RFC6455-11.3.2-1
        //= RFC6455-9.1-2
        self.values(EXTENSIONS, self.facts.extensions)
            .flat_map(Extensions::unchecked)
    }

    /// The value of `Sec-WebSocket-Key` if there is exactly one.
    #[must_use]
    pub const fn key(&self) -> Option<&'a [u8]> {
        self.facts.key.one()
    }

    /// Whether the request asks to upgrade to WebSocket, be it correctly or not.
    ///
    /// A request that does not is an ordinary one, to be answered with a
    /// [`Response`](crate::Response); one that does
    /// goes to [`ServerConfig::negotiate`](crate::ServerConfig::negotiate).
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        match self.list {
            //= RFC8441-5-1
            Some(protocol) => protocol.is_some_and(|name| name.eq_ignore_ascii_case("websocket")),
            //= RFC9110-7.8-3
            None => self.facts.upgrade && !(self.version.major == 1 && self.version.minor == 0),
        }
    }

    /// Checks the request line and `Host` as RFC 9112 wants them in any request.
    ///
    /// For a server that answers ordinary requests too; `negotiate` includes it. HTTP/1.0 needs no
    /// `Host`, and the target of OPTIONS may be `*`: so health checks ask.
    ///
    /// # Errors
    ///
    /// [`BadHttpVersion`](HandshakeError::BadHttpVersion),
    /// [`BadTarget`](HandshakeError::BadTarget), [`MissingHost`](HandshakeError::MissingHost),
    /// [`DuplicateHost`](HandshakeError::DuplicateHost) and
    /// [`BadHost`](HandshakeError::BadHost).
    pub fn check_http(&self) -> Result<(), HandshakeError> {
        if self.version.major != 1 && !self.is_field_list() {
            return Err(HandshakeError::BadHttpVersion {
                offered: self.version,
            });
        }
        self.check_target_and_host()
    }

    pub(crate) fn check_target_and_host(&self) -> Result<(), HandshakeError> {
        let is_of_server = self.method == "OPTIONS" && self.raw_target == b"*";
        if self.target.is_none() && !is_of_server {
            return Err(HandshakeError::BadTarget {
                offered: Offered::new(self.raw_target),
            });
        }
        //= RFC6455-4.2.1-3
        //= RFC9112-3.2-1
        match self.facts.host {
            // `:authority`, which was looked at when the list was read, stands for it.
            _ if self.is_field_list() => Ok(()),
            Once::None if self.version < Version::HTTP_11 => Ok(()),
            Once::None => Err(HandshakeError::MissingHost),
            Once::Many(_) => Err(HandshakeError::DuplicateHost),
            Once::One(host) if as_authority(host).is_none() => Err(HandshakeError::BadHost {
                offered: Offered::new(host),
            }),
            Once::One(_) => Ok(()),
        }
    }

    /// Checks that `Sec-WebSocket-Extensions`, where present, is within its grammar. A list that
    /// names none is one of none: libwebsockets 1.x and devices built on it send an empty one.
    pub(crate) fn check_extensions(&self) -> Result<(), HandshakeError> {
        //= RFC6455-9.1-1
        self.values(EXTENSIONS, self.facts.extensions)
            .try_for_each(|value| Extensions::check(value).map(drop))
    }

    /// All origins: more than one is unusual, but then each must be let in.
    pub(crate) fn origins(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.values(ORIGIN, self.facts.origin)
    }

    /// The values of all fields of a name, of which one or more were noted.
    fn values(&self, name: &'static str, noted: Once<'a>) -> impl Iterator<Item = &'a [u8]> + '_ {
        //= RFC9110-5.3-1
        let is_repeated = matches!(noted, Once::Many(_));
        let all = is_repeated.then(|| {
            self.headers()
                .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
        });
        noted
            .one()
            .into_iter()
            .chain(all.into_iter().flatten().map(|(_, value)| value))
    }

    /// Takes the target for the resource of an absolute URI, for requests of other parsers that
    /// keep its parts.
    #[cfg(feature = "http")]
    pub(crate) fn with_authority(mut self, authority: &'a str) -> Self {
        let resource = ascii(self.raw_target);
        self.target = resource.and_then(|resource| Target::absolute(authority, resource));
        self
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target())
            .field("version", &self.version)
            .field("headers", &DebugFields(self))
            .finish_non_exhaustive()
    }
}

impl<'a> Head<'a> {
    /// Reads the head as a request.
    ///
    /// # Errors
    ///
    /// As [`Request::parse`].
    pub fn request(&self) -> Result<Request<'a>, HandshakeError> {
        Request::parse_scanned(self.as_bytes(), self.max_headers())
    }
}

struct DebugFields<'r, 'a>(&'r Request<'a>);

impl fmt::Debug for DebugFields<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.headers().map(|(name, value)| (name, Escaped(value))))
            .finish()
    }
}

/// What one pass over the fields finds out about those that matter to the handshake.
#[derive(Clone, Copy, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) host: Once<'a>,
    pub(crate) ws_version: Once<'a>,
    pub(crate) key: Once<'a>,
    pub(crate) protocol: Once<'a>,
    pub(crate) extensions: Once<'a>,
    pub(crate) origin: Once<'a>,
    pub(crate) upgrade: bool,
    pub(crate) connection: bool,
    pub(crate) body: bool,
}

impl<'a> Facts<'a> {
    fn note(&mut self, name: &[u8], value: &'a [u8]) {
        //= RFC6455-4.1-42
        //= RFC6455-4.2.1-11
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            4 if is("Host") => self.host.note(value),
            6 if is(ORIGIN) => self.origin.note(value),
            7 if is("Upgrade") => self.upgrade |= has_element(value, "websocket"),
            10 if is("Connection") => self.connection |= has_element(value, "upgrade"),
            14 if is("Content-Length") => self.body |= value != b"0",
            17 if is("Transfer-Encoding") => self.body = true,
            17 if is("Sec-WebSocket-Key") => self.key.note(value),
            21 if is("Sec-WebSocket-Version") => self.ws_version.note(value),
            22 if is(PROTOCOL) => self.protocol.note(value),
            24 if is(EXTENSIONS) => self.extensions.note(value),
            _ => {}
        }
    }
}

/// The value of a header that may be absent or repeated.
#[derive(Clone, Copy, Default)]
pub(crate) enum Once<'a> {
    #[default]
    None,
    One(&'a [u8]),
    /// More than one; the first of them.
    Many(&'a [u8]),
}

impl<'a> Once<'a> {
    const fn note(&mut self, value: &'a [u8]) {
        *self = match *self {
            Self::None => Self::One(value),
            Self::One(first) | Self::Many(first) => Self::Many(first),
        };
    }

    pub(crate) const fn one(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
            _ => None,
        }
    }
}

#[derive(Clone)]
enum Fields<'a> {
    /// The lines of a head.
    Block(&'a [u8]),
    /// Headers from another parser.
    Parts(Vec<(&'a str, &'a [u8])>),
}

fn parse_request_line(line: &[u8]) -> Option<(&str, &[u8], Version)> {
    let mut words = line.split(|&byte| byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !is_token(method) || target.is_empty() {
        return None;
    }
    Some((ascii(method)?, target, Version::parse(version)?))
}

fn check_protocol<'a>(method: &str, name: &'a [u8]) -> Result<&'a str, HandshakeError> {
    //= RFC8441-4-1
    let is_sound = method == "CONNECT" && is_token(name);
    ascii(name)
        .filter(|_| is_sound)
        .ok_or_else(|| bad_pseudo_header(":protocol"))
}

fn check_scheme(scheme: &[u8]) -> Result<(), HandshakeError> {
    //= RFC8441-5-2
    let is_of_web = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    match is_of_web(b"https") || is_of_web(b"http") {
        true => Ok(()),
        false => Err(bad_pseudo_header(":scheme")),
    }
}

/// Returns whom a request of HTTP/2 is addressed to: `:authority`, and `host` where there is none.
/// Gateways send both.
fn check_authority<'a>(
    authority: Option<&'a [u8]>,
    host: Once<'a>,
) -> Result<Option<&'a str>, HandshakeError> {
    //= RFC9113-8.3.1-1
    let Some(value) = authority else {
        return Ok(host.one().and_then(as_authority));
    };
    let authority = as_authority(value).ok_or_else(|| bad_pseudo_header(":authority"))?;
    match host {
        Once::None => Ok(Some(authority)),
        Once::One(host) if host.eq_ignore_ascii_case(value) => Ok(Some(authority)),
        Once::One(host) | Once::Many(host) => Err(HandshakeError::HostMismatch {
            offered: Offered::new(host),
        }),
    }
}

fn as_authority(host: &[u8]) -> Option<&str> {
    ascii(host).filter(|host| is_authority(host))
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        str::from_utf8(bytes).ok()
    } else {
        None
    }
}

/// The pseudo-headers of a request (RFC 9113 section 8.3.1, RFC 8441 section 4).
const REQUEST_PSEUDO: [&str; 5] = [":method", ":protocol", ":scheme", ":path", ":authority"];

const ORIGIN: &str = "Origin";
const PROTOCOL: &str = "Sec-WebSocket-Protocol";
const EXTENSIONS: &str = "Sec-WebSocket-Extensions";
