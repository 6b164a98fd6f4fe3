//! A client's handshake under way.

use alloc::vec::Vec;
use core::fmt;

use super::{
    ClientRequest, HttpResponse, TLS_ALERT,
    reply::{Interim, Reply},
    terms::{Agreed, Terms},
};
use crate::{
    body::{Body, Collected},
    error::{HandshakeError, Offered},
    head::{HeadLimits, HeadReader},
    headers::{Headers, elements, has_element},
};

/// A handshake under way: the request to send, and the reply as it comes in.
///
/// 1. Send [`request_bytes`](Self::request_bytes), and nothing after them.
/// 2. Hand everything that is read to [`receive`](Self::receive), and the end of the transport to
///    [`eof`](Self::eof).
/// 3. On [`ClientProgress::Agreed`] the connection is open, and the rest of the input is the
///    server's first frames.
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
    pub(super) fn new(request: ClientRequest, bytes: Vec<u8>, accept: [u8; 28]) -> Self {
        Self {
            request: bytes,
            accept,
            terms: request.terms,
            limits: request.limits,
            interim: Interim::default(),
            max_body: request.max_body,
            stage: Stage::Head(HeadReader::reply(request.limits)),
        }
    }

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
    /// Interim replies (1xx) before the 101 are passed over: 16 at most, which together are no
    /// longer than [`HeadLimits::max_head`]. The time that a server may take is for the caller
    /// to bound.
    ///
    /// # Errors
    ///
    /// The first rule that the reply breaks: the client then closes the connection. The handshake
    /// is over after an error as after an outcome, and only gives an error from then on.
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
    /// A reply other than 101 that was under way is handed out: the end of the transport may be
    /// what ends its body.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::ConnectionLost`] if there is no such reply, or the error that ended the
    /// handshake before.
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

    /// A reply other than 101 whose body is still coming in, for a caller that does not want to
    /// wait for it.
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
        /// How many bytes of the input belong to the reply; the rest are the server's first
        /// frames.
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

/// Knows a peer that speaks something else than HTTP by its first byte: it may say no more, or end
/// no line.
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
