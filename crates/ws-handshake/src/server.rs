//! The server's side: which requests are let in, and the 101 that lets them in.

use alloc::string::String;
use alloc::vec::Vec;

use crate::deflate::{DeflateAnswer, DeflateParams, DeflatePolicy, answer};
use crate::error::{HandshakeError, Offered};
use crate::head::{HeadLimits, HeadReader};
use crate::headers::{FieldBlock, HeaderError, append, is_token};
use crate::key::{accept_key, is_key};
use crate::origin::OriginPolicy;
use crate::request::{Once, Request};

/// What a server lets in and agrees to, decided before the first connection.
///
/// Building one asks for an [`OriginPolicy`], because no default is right for both a public service and one that knows
/// its users by a cookie.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    limits: HeadLimits,
    subprotocols: Vec<String>,
    deflate: Option<DeflatePolicy>,
    origins: OriginPolicy,
}

impl ServerConfig {
    /// Makes a configuration without subprotocols and compression, and with the default [`HeadLimits`].
    #[must_use]
    pub fn new(origins: OriginPolicy) -> Self {
        Self {
            limits: HeadLimits::default(),
            subprotocols: Vec::new(),
            deflate: None,
            origins,
        }
    }

    /// Sets how large a request head may be.
    #[must_use]
    pub const fn limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the subprotocols that the server speaks. Of several that the client lists too, its favourite is chosen.
    ///
    /// Names are compared exactly. One that is not a token is never chosen, because no client can list it: see
    /// [`invalid_subprotocol`](Self::invalid_subprotocol).
    #[must_use]
    pub fn subprotocols<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// The first of the server's subprotocols that is not a token, so that no client can list it (section 4.1).
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

    /// Checks a request by all the rules of RFC 6455 section 4.2.1, and agrees on subprotocol and compression.
    ///
    /// # Errors
    ///
    /// The first rule that the request breaks. Send its [`rejection`](HandshakeError::rejection) and close.
    pub fn negotiate<'r>(
        &self,
        request: &'r Request<'_>,
    ) -> Result<Acceptance<'r>, HandshakeError> {
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
        let key = check_key(facts.key)?;
        request.check_extensions()?;
        self.origins.check(request)?;

        //= RFC6455-4.2.2-10
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
            accept: accept_key(key),
            subprotocol,
            deflate,
            fields: FieldBlock::default(),
        })
    }
}

/// A correct handshake that the server is about to accept.
///
/// Write it with [`write_to`](Self::write_to) and the connection is open; or send a [`Response`](crate::Response) instead
/// and close. Nothing is agreed before it is written.
#[derive(Clone, Debug)]
#[must_use = "the handshake is accepted by writing it to the client"]
pub struct Acceptance<'r> {
    request: &'r Request<'r>,
    accept: [u8; 28],
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

    /// Adds a header to the 101, such as a cookie.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] if the name is not a token, the value has a control character, or the header is one that the
    /// handshake writes: `Upgrade`, `Connection` and `Sec-WebSocket-*`. `Content-Length` and `Transfer-Encoding` are
    /// refused because a 101 has no body.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        self.fields.push(name, value.as_ref())?;
        Ok(self)
    }

    /// The value of `Sec-WebSocket-Accept`.
    #[must_use]
    pub fn accept_key(&self) -> &str {
        // INVARIANT: base64 is ASCII.
        str::from_utf8(&self.accept).unwrap_or_default()
    }

    /// Appends the 101 to `out`. Frames may follow it at once.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        //= RFC6455-4.2.2-1
        //= RFC6455-4.2.2-15
        //= RFC6455-4.2.2-16
        //= RFC6455-4.2.2-17
        //= RFC9110-7.8-2
        // No length and no coding of a body: a 101 has none.
        //= RFC9110-8.6-1
        //= RFC9112-6.1-1
        // And nothing about masking: [MS-WSPE] has no negotiation, so the same request gets the same bytes whatever the
        // frame layer will accept.
        //= MSWS-1.7-1
        out.reserve(REPLY_BYTES + self.fields.as_bytes().len());
        //= RFC6455-11.3.3-1
        out.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: ",
        );
        out.extend_from_slice(&self.accept);
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

    #[cfg(feature = "http")]
    pub(crate) const fn deflate_answer(&self) -> Option<DeflateAnswer> {
        self.deflate
    }

    #[cfg(feature = "http")]
    pub(crate) const fn fields(&self) -> &FieldBlock {
        &self.fields
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
