//! A server's opening handshake as one state, for servers that have nothing to ask about a request.

use alloc::vec::Vec;

use crate::{HandshakeError, HeadReader, Response, ServerConfig};

/// A server's opening handshake: reads the request, and makes the answer.
///
/// A server that looks at the request itself, or adds headers to the answer, uses
/// [`ServerConfig::head_reader`] and [`ServerConfig::negotiate`].
///
/// ```
/// use ws_handshake::{OriginPolicy, ServerConfig, ServerProgress};
///
/// let config = ServerConfig::new(OriginPolicy::Any);
/// let mut handshake = config.start();
/// match handshake.receive(b"GET / HTTP/1.0\r\n\r\n") {
///     ServerProgress::Refused { response, .. } => assert!(response.starts_with(b"HTTP/1.1 505 ")),
///     progress => panic!("{progress:?}"),
/// }
/// ```
#[derive(Debug)]
pub struct ServerHandshake<'c> {
    config: &'c ServerConfig,
    reader: HeadReader,
}

/// How far a [`ServerHandshake`] is.
#[derive(Debug)]
pub enum ServerProgress {
    /// The request is not whole yet.
    Incomplete,
    /// The request is accepted. The connection is open once the answer is written.
    Accepted {
        /// The answer to write.
        response: Vec<u8>,
        /// How many bytes of the last input were the request's; frames follow.
        consumed: usize,
    },
    /// The request is refused.
    Refused {
        /// The answer to write before the transport is closed.
        response: Vec<u8>,
        /// The rule that the request breaks.
        error: HandshakeError,
    },
}

impl ServerConfig {
    /// Starts to read a client's request.
    #[must_use]
    pub fn start(&self) -> ServerHandshake<'_> {
        ServerHandshake {
            config: self,
            reader: self.head_reader(),
        }
    }
}

impl ServerHandshake<'_> {
    /// Reads more of the request. No bytes are the end of the stream: then the request is lost, and
    /// there is no answer.
    pub fn receive(&mut self, input: &[u8]) -> ServerProgress {
        let mut response = Vec::new();
        if input.is_empty() {
            let error = HandshakeError::ConnectionLost;
            return ServerProgress::Refused { response, error };
        }
        match self.answer(input, &mut response) {
            Ok(None) => ServerProgress::Incomplete,
            Ok(Some(consumed)) => ServerProgress::Accepted { response, consumed },
            Err(error) => {
                response.clear();
                error.rejection().write_to(&mut response);
                ServerProgress::Refused { response, error }
            }
        }
    }

    /// Returns the answer to a request that did not come in time: status 408.
    #[must_use]
    pub fn timed_out(&self) -> Vec<u8> {
        let mut response = Vec::new();
        Response::new(408).write_to(&mut response);
        response
    }

    fn answer(
        &mut self,
        input: &[u8],
        response: &mut Vec<u8>,
    ) -> Result<Option<usize>, HandshakeError> {
        let Some(head) = self.reader.receive(input)? else {
            return Ok(None);
        };
        self.config.negotiate(&head.request()?)?.write_to(response);
        Ok(Some(head.consumed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OriginPolicy;

    const REQUEST: &[u8] =
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    #[test]
    fn request_is_answered_wherever_it_is_cut() {
        let config = ServerConfig::new(OriginPolicy::Any);
        for cut in 1..REQUEST.len() {
            let mut handshake = config.start();
            let (first, rest) = REQUEST.split_at(cut);
            assert!(matches!(
                handshake.receive(first),
                ServerProgress::Incomplete
            ));
            let rest = [rest, b"frames"].concat();
            let ServerProgress::Accepted { response, consumed } = handshake.receive(&rest) else {
                panic!("cut at {cut}");
            };
            assert_eq!(&rest[consumed..], b"frames");
            assert!(
                response.ends_with(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
            );
        }
    }

    #[test]
    fn bad_request_is_answered_with_the_status_of_its_error() {
        let config = ServerConfig::new(OriginPolicy::Any);
        let mut handshake = config.start();
        let ServerProgress::Refused { response, error } =
            handshake.receive(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        else {
            panic!();
        };
        let status = alloc::format!("HTTP/1.1 {} ", error.rejection().status());
        assert!(response.starts_with(status.as_bytes()));
        assert!(handshake.timed_out().starts_with(b"HTTP/1.1 408 "));
        let ServerProgress::Refused { response, error } = config.start().receive(b"") else {
            panic!();
        };
        assert_eq!(
            (&response[..], error),
            (&b""[..], HandshakeError::ConnectionLost)
        );
    }
}
