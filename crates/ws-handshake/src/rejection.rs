//! How a server refuses a handshake.

use alloc::format;

use crate::{error::HandshakeError, response::Response};

impl HandshakeError {
    /// The reply with which a server refuses the handshake before it closes the connection.
    ///
    /// Its body is the [`kind`](Self::kind), with the limit if one was passed: nothing that the
    /// peer sent is reflected.
    #[must_use]
    pub fn rejection(&self) -> Response {
        //= RFC6455-10.7-4
        let kind = self.kind();
        let response = Response::new(self.status());
        let response = match self {
            //= RFC6585-5-1
            Self::HeadTooLarge { limit } => {
                response.text(&format!("{kind}: max_head is {limit} bytes"))
            }
            Self::TooManyHeaders { limit } => {
                response.text(&format!("{kind}: max_headers is {limit} lines"))
            }
            _ => response.text(kind),
        };
        match self {
            //= RFC6455-4.2.2-8
            //= RFC6455-4.4-2
            Self::UnsupportedVersion { .. } => response.supported_version(),
            Self::NotExtendedConnect { .. } => response.allow("CONNECT"),
            _ => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::error::Offered;

    #[test]
    fn a_rejection_closes_the_connection_and_reflects_nothing() {
        //= RFC6455-7.2.2-1
        //= RFC6455-10.7-4
        let mut out = Vec::new();
        HandshakeError::BadKey {
            offered: Offered::new(b"<script>"),
        }
        .rejection()
        .write_to(&mut out);
        assert_eq!(
            out,
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 8\r\n\
            Connection: close\r\n\r\nbad_key\n"
        );
    }
}
