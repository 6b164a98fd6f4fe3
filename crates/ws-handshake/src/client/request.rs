//! The request of a client in the making.

use alloc::{borrow::ToOwned as _, vec::Vec};
use core::fmt;

use super::{ClientHandshake, terms::Terms};
#[cfg(feature = "std")]
use crate::key::NoEntropy;
use crate::{
    deflate::DeflateOffer,
    error::Offered,
    head::HeadLimits,
    headers::{FieldBlock, HeaderError, append, is_token},
    key::{Nonce, accept_key},
    request_fields::RequestFields,
    uri::Uri,
};

/// An opening handshake in the making, for one URI.
///
/// Whatever is added is checked at once, so that what comes out is always one well-formed request.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub(crate) uri: Uri,
    pub(crate) terms: Terms,
    pub(crate) origin: Option<FieldBlock>,
    pub(crate) fields: RequestFields,
    pub(crate) limits: HeadLimits,
    pub(crate) max_body: usize,
}

impl ClientRequest {
    /// Starts a request for the resource that the URI names.
    ///
    /// It says `User-Agent: ws-handshake/` and the version, as firewalls of web servers answer 403
    /// to a request without; [`header`](Self::header) changes it. User name and password of the
    /// URI become an `Authorization` header.
    #[must_use]
    pub fn new(uri: Uri) -> Self {
        Self {
            uri,
            terms: Terms::default(),
            origin: None,
            fields: RequestFields::new(),
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

    /// Whether permessage-deflate is offered.
    #[must_use]
    pub const fn has_offers(&self) -> bool {
        !self.terms.offers.is_empty()
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

    /// Adds a header, such as `Authorization` or `Cookie`. It may be called several times with the
    /// same name, which adds one each time; `User-Agent` and `Authorization` replace those that
    /// [`new`](Self::new) sets.
    ///
    /// # Errors
    ///
    /// [`ClientRequestError::BadHeader`] if the name is not a token, the value has a control
    /// character, or the header is one that the handshake writes: `Host`, `Upgrade`,
    /// `Connection`, `Sec-WebSocket-*`, `Content-Length`, `Transfer-Encoding`.
    pub fn header(
        mut self,
        name: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<Self, ClientRequestError> {
        //= RFC6455-4.1-32
        self.fields.add(name, value.as_ref())?;
        Ok(self)
    }

    /// Leaves `User-Agent` out.
    #[must_use]
    pub fn without_user_agent(mut self) -> Self {
        self.fields.remove_user_agent();
        self
    }

    /// Sets how large the head of a reply may be.
    #[must_use]
    pub const fn limits(mut self, limits: HeadLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets how much of the body of a reply other than 101 is kept; 64 KiB by default, 0 to wait
    /// for none of it.
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
        let request = self.to_bytes(&key);
        ClientHandshake::new(self, request, accept_key(&key))
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
        // Offers are all that the extensions header ever holds: [MS-WSPE] masking is told to
        // nobody.
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
        out.extend_from_slice(self.fields.user_agent().as_bytes());
        if let Some(credentials) = self.uri.authorization()
            && !self.fields.has_added("Authorization")
        {
            out.extend_from_slice(b"Authorization: ");
            out.extend_from_slice(credentials.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(self.fields.added().as_bytes());
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
