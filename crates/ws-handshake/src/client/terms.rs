//! What a client asks for, and what a server agrees to.

use alloc::{string::String, vec::Vec};

use crate::{
    deflate::{DeflateOffer, DeflateParams, agree_all},
    error::{HandshakeError, Offered},
    headers::{Headers, elements, is_token},
};

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

    /// The subprotocol that was requested by that name; by the same letters in another case if
    /// there is no other.
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
