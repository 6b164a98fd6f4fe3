//! The client's side over HTTP/2 and HTTP/3: an extended CONNECT (RFC 8441, RFC 9220), and what may
//! answer it.

use alloc::{string::String, vec::Vec};

use crate::{
    client::{Agreed, ClientRequest, HttpResponse, Interim, Listed, Terms},
    error::HandshakeError,
    fields::{self, FieldList, bad_pseudo_header, missing},
    head::HeadLimits,
    headers::Headers,
};

impl ClientRequest {
    /// Starts the handshake in a stream of HTTP/2 or HTTP/3, which needs no nonce.
    ///
    /// Wait for the server's SETTINGS first: without `SETTINGS_ENABLE_CONNECT_PROTOCOL` of 1 it
    /// takes no such request (RFC 8441 section 3).
    #[must_use]
    pub fn extended_connect(self) -> ExtendedConnect {
        ExtendedConnect {
            fields: self.to_fields(),
            terms: self.terms,
            limits: self.limits,
            max_body: self.max_body,
            interim: Interim::default(),
        }
    }

    fn to_fields(&self) -> Headers {
        let mut list = Headers::default();
        let scheme = match self.uri.is_secure() {
            //= RFC8441-5-2
            true => &b"https"[..],
            false => b"http",
        };
        //= RFC8441-4-1
        //= RFC8441-4-2
        //= RFC8441-5-1
        //= RFC8441-5-4
        list.push(b":method", b"CONNECT");
        list.push(b":protocol", b"websocket");
        list.push(b":scheme", scheme);
        list.push(b":path", self.uri.resource_name().as_bytes());
        list.push_shown(":authority", &self.uri.host_header());
        // There is no upgrade to ask for, and no key: who answers in this stream has read the
        // request.
        //= RFC8441-5-3
        //= RFC8441-5-5
        //= RFC8441-5-6
        list.push(b"sec-websocket-version", b"13");
        let Terms {
            subprotocols,
            offers,
        } = &self.terms;
        if !subprotocols.is_empty() {
            list.push_shown("sec-websocket-protocol", &Listed(subprotocols));
        }
        if !offers.is_empty() {
            list.push_shown("sec-websocket-extensions", &Listed(offers));
        }
        if let Some(origin) = &self.origin {
            list.push_block(origin);
        }
        list.push_block(self.fields.user_agent());
        if let Some(credentials) = self.uri.authorization()
            && !self.fields.has_added("Authorization")
        {
            list.push(b"authorization", credentials.as_bytes());
        }
        list.push_block(self.fields.added());
        list
    }
}

/// An opening handshake in a stream of HTTP/2 or HTTP/3: the fields to send, and the judgement of
/// those that answer.
///
/// 1. Send [`fields`](Self::fields) in a stream of its own, and leave the stream open.
/// 2. Hand the list of fields that comes back to [`receive`](Self::receive).
/// 3. On [`ConnectProgress::Agreed`] the stream carries the frames, both ways.
///
/// ```
/// use ws_handshake::{ClientRequest, ConnectProgress, Uri};
///
/// let request = ClientRequest::new(Uri::parse("wss://example.com/chat")?).without_user_agent();
/// let mut handshake = request.subprotocol("chat")?.extended_connect();
/// let sent: Vec<_> = handshake.fields().iter().map(|(name, _)| name).collect();
/// assert_eq!(sent[..5], [":method", ":protocol", ":scheme", ":path", ":authority"]);
/// assert_eq!(sent[5..], ["sec-websocket-version", "sec-websocket-protocol"]);
///
/// let reply: [(&str, &[u8]); 2] = [(":status", b"200"), ("sec-websocket-protocol", b"chat")];
/// let ConnectProgress::Agreed(agreed) = handshake.receive(reply)? else { unreachable!("it is a 200") };
/// assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ExtendedConnect {
    fields: Headers,
    terms: Terms,
    limits: HeadLimits,
    max_body: usize,
    interim: Interim,
}

impl ExtendedConnect {
    /// The request: its pseudo-headers, then its headers, whose names are in lower case.
    #[must_use]
    pub const fn fields(&self) -> &Headers {
        &self.fields
    }

    /// How many bytes of the body of a refusal are to be kept: [`ClientRequest::max_body`].
    #[must_use]
    pub const fn max_body(&self) -> usize {
        self.max_body
    }

    /// Takes the list of fields of a reply, as name and value.
    ///
    /// Interim replies (1xx) are counted as those of HTTP/1.1 are: 16 at most, which together are
    /// no longer than [`HeadLimits::max_head`]. `sec-websocket-accept` is not looked at. The
    /// time that a server may take is for the caller to bound.
    ///
    /// # Errors
    ///
    /// The first rule that the reply breaks: the client then resets the stream. A 101 is malformed
    /// here (RFC 9113 section 8.6).
    pub fn receive<'a>(
        &mut self,
        list: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<ConnectProgress, HandshakeError> {
        let FieldList {
            pseudo: [status],
            regular,
        } = fields::read([":status"], list)?;
        let status = check_status(status.ok_or_else(|| missing(":status"))?)?;
        let mut headers = Headers::default();
        let mut bytes = 0;
        for (index, (name, value)) in regular.into_iter().enumerate() {
            if index == self.limits.max_headers {
                let limit = self.limits.max_headers;
                return Err(HandshakeError::TooManyHeaders { limit });
            }
            bytes += name.len() + value.len() + LINE_BYTES;
            headers.push(name.as_bytes(), value);
        }
        if bytes > self.limits.max_head {
            let limit = self.limits.max_head;
            return Err(HandshakeError::HeadTooLarge { limit });
        }
        Ok(match status {
            //= RFC9110-15.2-1
            100..200 => {
                self.interim.count(bytes, self.limits)?;
                ConnectProgress::Interim
            }
            //= RFC8441-5-7
            //= RFC8441-5-5
            200..300 => ConnectProgress::Agreed(self.terms.agree(headers)?),
            //= RFC6455-4.1-34
            _ => ConnectProgress::Refused(HttpResponse {
                status,
                reason: String::new(),
                headers,
                body: Vec::new(),
                truncated: false,
            }),
        })
    }
}

/// What a reply to an extended CONNECT comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectProgress {
    /// A reply that others follow.
    Interim,
    /// The WebSocket is open: the stream carries its frames.
    Agreed(Agreed),
    /// The server answered otherwise, and there is no WebSocket: a redirect, a refusal, a page. Its
    /// body is what the stream carries until it ends; here it is empty.
    Refused(HttpResponse),
}

/// Reads three digits. 101 has no meaning here.
fn check_status(value: &[u8]) -> Result<u16, HandshakeError> {
    let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else {
        return Err(bad_pseudo_header(":status"));
    };
    let status = [a, b, c]
        .iter()
        .fold(0, |status, &&digit| status * 10 + u16::from(digit - b'0'));
    //= RFC8441-5-7
    //= RFC9113-8.6-1
    match status {
        101 => Err(bad_pseudo_header(":status")),
        status => Ok(status),
    }
}

/// What a line of HTTP/1.1 has beside name and value: the colon, a blank and its end. So a limit is
/// worth the same.
const LINE_BYTES: usize = 4;
