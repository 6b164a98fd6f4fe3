//! The server's side: which requests are let in, and the 101 that lets them in.

use alloc::{string::String, vec::Vec};

use crate::{
    deflate::{DeflateAnswer, DeflateParams, DeflatePolicy, answer},
    error::{HandshakeError, Offered},
    fields::bad_pseudo_header,
    head::{HeadLimits, HeadReader},
    headers::{FieldBlock, HeaderError, Headers, append, is_token},
    key::{accept_key, is_key},
    origin::OriginPolicy,
    request::{Once, Request},
};

/// What a server lets in and agrees to, decided before the first connection.
///
/// Building one asks for an [`OriginPolicy`], because no default is right for both a public service
/// and one that knows its users by a cookie.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    limits: HeadLimits,
    subprotocols: Vec<String>,
    deflate: Option<DeflatePolicy>,
    origins: OriginPolicy,
    extended_connect: bool,
}

impl ServerConfig {
    /// Makes a configuration without subprotocols and compression, and with the default
    /// [`HeadLimits`].
    #[must_use]
    pub fn new(origins: OriginPolicy) -> Self {
        Self {
            limits: HeadLimits::default(),
            subprotocols: Vec::new(),
            deflate: None,
            origins,
            extended_connect: true,
        }
    }

    /// Sets how large a request head may be.
    #[must_use]
    pub const fn limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the subprotocols that the server speaks. Of several that the client lists too, its
    /// favourite is chosen.
    ///
    /// Names are compared exactly. One that is not a token is never chosen, because no client can
    /// list it: see [`invalid_subprotocol`](Self::invalid_subprotocol).
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// The first of the server's subprotocols that is not a token, so that no client can list it
    /// (section 4.1).
    #[must_use]
    pub fn invalid_subprotocol(&self) -> Option<&str> {
        let mut names = self.subprotocols.iter();
        names
            .find(|name| !is_token(name.as_bytes()))
            .map(String::as_str)
    }

    /// Sets what to agree to for permessage-deflate; without it every offer is declined.
    ///
    /// What is agreed, the frame layer must be able to do: see [`Acceptance::deflate`].
    #[must_use]
    pub const fn deflate(mut self, policy: DeflatePolicy) -> Self {
        self.deflate = Some(policy);
        self
    }

    /// Returns how the server agrees on compression; `None` if it does not.
    #[must_use]
    pub const fn deflate_policy(&self) -> Option<&DeflatePolicy> {
        self.deflate.as_ref()
    }

    /// Takes no WebSocket over HTTP/2 and HTTP/3, for a server whose HTTP library does not announce
    /// `SETTINGS_ENABLE_CONNECT_PROTOCOL`: a `:protocol` is then a pseudo-header like any that is
    /// not known (RFC 8441 section 3).
    #[must_use]
    pub const fn without_extended_connect(mut self) -> Self {
        self.extended_connect = false;
        self
    }

    /// A reader for the head of a new connection, with the limits set here.
    #[must_use]
    pub const fn head_reader(&self) -> HeadReader {
        HeadReader::request(self.limits)
    }

    /// How large a request head may be.
    #[must_use]
    pub const fn head_limits(&self) -> HeadLimits {
        self.limits
    }

    /// Checks a request by all the rules of RFC 6455 section 4.2.1, and agrees on subprotocol and
    /// compression.
    ///
    /// One of HTTP/2 or HTTP/3 is checked by RFC 8441 section 5 (RFC 9220 section 3): it is an
    /// extended CONNECT for `websocket`, and has no key. All else is as over HTTP/1.1.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks. Send its [`rejection`](HandshakeError::rejection)
    /// and close.
    pub fn negotiate<'r>(
        &self,
        request: &'r Request<'_>,
    ) -> Result<Acceptance<'r>, HandshakeError> {
        let accept = match request.is_field_list() {
            true => {
                self.check_connect(request)?;
                None
            }
            false => Some(accept_key(check_upgrade(request)?)),
        };
        request.check_extensions()?;
        self.origins.check(request)?;

        //= RFC6455-4.2.2-10
        //= RFC8441-5-6
        let subprotocol = request
            .subprotocols()
            .find(|name| self.subprotocols.iter().any(|ours| ours == name));
        //= RFC6455-4.2.2-14
        //= RFC6455-9-2
        //= RFC6455-5.8-1
        let deflate = self
            .deflate
            .as_ref()
            .and_then(|policy| answer(request.extensions(), policy));
        Ok(Acceptance {
            request,
            accept,
            subprotocol,
            deflate,
            fields: FieldBlock::default(),
        })
    }

    /// Checks an extended CONNECT by RFC 8441.
    fn check_connect(&self, request: &Request<'_>) -> Result<(), HandshakeError> {
        let Some(protocol) = request.protocol() else {
            return Err(HandshakeError::NotExtendedConnect {
                offered: Offered::new(request.method().as_bytes()),
            });
        };
        //= RFC8441-3-2
        if !self.extended_connect {
            return Err(bad_pseudo_header(":protocol"));
        }
        //= RFC8441-5-1
        //= RFC9220-3-2
        if !protocol.eq_ignore_ascii_case("websocket") {
            return Err(HandshakeError::UnsupportedProtocol {
                offered: Offered::new(protocol.as_bytes()),
            });
        }
        request.check_target_and_host()?;
        if request.facts.body {
            return Err(HandshakeError::UnexpectedBody);
        }
        //= RFC8441-5-6
        // A key would be proof of nothing here: it is not looked at.
        //= RFC8441-5-5
        check_version(request.facts.ws_version)
    }
}

/// Checks an upgrade of HTTP/1.1 by RFC 6455 section 4.2.1, and returns its key.
fn check_upgrade<'a>(request: &Request<'a>) -> Result<&'a [u8], HandshakeError> {
    //= RFC6455-4.2.1-1
    let facts = &request.facts;
    //= RFC6455-4.2.1-2
    if !request.version().allows_upgrade() {
        return Err(HandshakeError::BadHttpVersion {
            offered: request.version(),
        });
    }
    if request.method() != "GET" {
        return Err(HandshakeError::BadMethod {
            offered: Offered::new(request.method().as_bytes()),
        });
    }
    request.check_target_and_host()?;
    //= RFC9112-6.3-2
    if facts.body {
        return Err(HandshakeError::UnexpectedBody);
    }
    //= RFC6455-4.2.1-4
    //= RFC9110-7.8-1
    if !facts.upgrade {
        return Err(HandshakeError::NotUpgrade);
    }
    //= RFC6455-4.2.1-5
    if !facts.connection {
        return Err(HandshakeError::NotConnectionUpgrade);
    }
    check_version(facts.ws_version)?;
    check_key(facts.key)
}

/// A correct handshake that the server is about to accept.
///
/// Write it with [`write_to`](Self::write_to), or send its [`to_fields`](Self::to_fields) over
/// HTTP/2, and the connection is open; or send a [`Response`](crate::Response) instead
/// and close. Nothing is agreed before it is written.
#[derive(Clone, Debug)]
#[must_use = "the handshake is accepted by writing it to the client"]
pub struct Acceptance<'r> {
    request: &'r Request<'r>,
    /// None of HTTP/2 and HTTP/3, whose streams need no proof.
    accept: Option<[u8; 28]>,
    subprotocol: Option<&'r str>,
    deflate: Option<DeflateAnswer>,
    fields: FieldBlock,
}

impl<'r> Acceptance<'r> {
    /// The subprotocol agreed on.
    #[must_use]
    pub const fn agreed_subprotocol(&self) -> Option<&'r str> {
        self.subprotocol
    }

    /// The compression agreed on, `None` for none.
    #[must_use]
    pub fn deflate(&self) -> Option<DeflateParams> {
        self.deflate.map(|answer| answer.params())
    }

    /// The request that is accepted.
    #[must_use]
    pub const fn request(&self) -> &'r Request<'r> {
        self.request
    }

    /// Chooses a subprotocol, whatever the configuration lists.
    ///
    /// # Errors
    ///
    /// [`SubprotocolError`] if the client does not list it: it would have to fail the connection.
    pub fn subprotocol(mut self, name: &str) -> Result<Self, SubprotocolError> {
        //= RFC6455-4.2.2-10
        //= RFC6455-4.2.2-12
        let listed = self.request.subprotocols().find(|listed| *listed == name);
        self.subprotocol = Some(listed.ok_or_else(|| SubprotocolError {
            offered: Offered::new(name.as_bytes()),
        })?);
        Ok(self)
    }

    /// Agrees on no subprotocol, whatever the configuration lists.
    pub const fn without_subprotocol(mut self) -> Self {
        self.subprotocol = None;
        self
    }

    /// Declines compression, whatever the configuration says.
    pub const fn without_deflate(mut self) -> Self {
        self.deflate = None;
        self
    }

    /// Adds a header to the reply, such as a cookie.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] if the name is not a token, the value has a control character, or the header
    /// is one that the handshake writes: `Upgrade`, `Connection` and `Sec-WebSocket-*`.
    /// `Content-Length` and `Transfer-Encoding` are refused because a 101 has no body.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        self.fields.push(name, value.as_ref())?;
        Ok(self)
    }

    /// The value of `Sec-WebSocket-Accept`; `None` over HTTP/2 and HTTP/3, which do without.
    #[must_use]
    pub fn accept_key(&self) -> Option<&str> {
        // INVARIANT: base64 is ASCII.
        self.accept
            .as_ref()
            .map(|accept| str::from_utf8(accept).unwrap_or_default())
    }

    /// The status that accepts: 101, or 200 over HTTP/2 and HTTP/3.
    #[must_use]
    pub const fn status(&self) -> u16 {
        //= RFC8441-5-7
        match self.accept {
            Some(_) => 101,
            None => 200,
        }
    }

    /// The reply as a list of fields for an HTTP library that writes it: `:status`, then the
    /// headers in lower case.
    ///
    /// Over HTTP/2 and HTTP/3 the stream stays open behind it, and carries the frames. Nobody
    /// connects to anywhere for it: `:authority` names the server itself (RFC 8441 section 4).
    #[must_use]
    pub fn to_fields(&self) -> Headers {
        //= RFC8441-4-3
        let mut list = Headers::default();
        list.push_shown(":status", &self.status());
        if let Some(accept) = &self.accept {
            list.push(b"upgrade", b"websocket");
            list.push(b"connection", b"Upgrade");
            list.push(b"sec-websocket-accept", accept);
        }
        if let Some(name) = self.subprotocol {
            list.push(b"sec-websocket-protocol", name.as_bytes());
        }
        if let Some(answer) = &self.deflate {
            list.push_shown("sec-websocket-extensions", answer);
        }
        list.push_block(&self.fields);
        list
    }

    /// Appends the 101 to `out`. Frames may follow it at once.
    ///
    /// For HTTP/1.1: the reply over HTTP/2 and HTTP/3 is a list of fields
    /// ([`to_fields`](Self::to_fields)), and nothing is written.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let Some(accept) = &self.accept else { return };
        //= RFC6455-4.2.2-1
        //= RFC6455-4.2.2-15
        //= RFC6455-4.2.2-16
        //= RFC6455-4.2.2-17
        //= RFC9110-7.8-2
        // No length and no coding of a body: a 101 has none.
        //= RFC9110-8.6-1
        //= RFC9112-6.1-1
        // And nothing about masking: [MS-WSPE] has no negotiation, so the same request gets the
        // same bytes whatever the frame layer will accept.
        //= MSWS-1.7-1
        out.reserve(REPLY_BYTES + self.fields.as_bytes().len());
        //= RFC6455-11.3.3-1
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(accept);
        //= RFC6455-4.2.2-11
        //= RFC6455-4.3-4
        //= RFC6455-11.3.4-2
        if let Some(name) = self.subprotocol {
            out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
            out.extend_from_slice(name.as_bytes());
        }
        //= RFC6455-9-3
        //= RFC6455-9.1-8
        if let Some(answer) = self.deflate {
            out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
            append(out, &answer);
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// A subprotocol that the client did not list, and so cannot be chosen (RFC 6455 section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client did not list subprotocol \"{offered}\"")]
pub struct SubprotocolError {
    offered: Offered,
}

fn check_version(version: Once<'_>) -> Result<(), HandshakeError> {
    //= RFC6455-4.2.1-7
    //= RFC6455-11.3.5-2
    let value = match version {
        Once::None => return Err(HandshakeError::MissingVersion),
        Once::Many(_) => return Err(HandshakeError::DuplicateVersion),
        Once::One(value) => value,
    };
    //= RFC6455-4.3-3
    let is_canonical =
        value == b"0" || (value.iter().all(u8::is_ascii_digit) && !value.starts_with(b"0"));
    let number = str::from_utf8(value)
        .ok()
        .filter(|_| is_canonical)
        .and_then(|text| text.parse::<u8>().ok());
    //= RFC6455-4.2.2-8
    match number {
        Some(13) => Ok(()),
        Some(offered) => Err(HandshakeError::UnsupportedVersion { offered }),
        None => Err(HandshakeError::BadVersion {
            offered: Offered::new(value),
        }),
    }
}

fn check_key(key: Once<'_>) -> Result<&[u8], HandshakeError> {
    //= RFC6455-4.2.1-6
    //= RFC6455-11.3.1-1
    match key {
        Once::None => Err(HandshakeError::MissingKey),
        Once::Many(_) => Err(HandshakeError::DuplicateKey),
        Once::One(key) if !is_key(key) => Err(HandshakeError::BadKey {
            offered: Offered::new(key),
        }),
        Once::One(key) => Ok(key),
    }
}

/// About what a 101 takes without headers of the application's.
const REPLY_BYTES: usize = 192;
