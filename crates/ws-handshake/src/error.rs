//! What goes wrong in a handshake, by rule, and the HTTP status that says so.

use core::fmt::{self, Debug, Display, Write as _};

use crate::version::Version;

/// A rule of the opening handshake that the peer broke.
///
/// One variant a rule. A server answers with [`rejection`](Self::rejection) and closes; a client
/// closes. Where a limit or an option decides, the variant names it, and it shows the first bytes
/// of what the peer offered.
///
/// The type is small, `Copy` and owns no heap, so that a flood of bad requests costs nothing to
/// report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The head is longer than [`HeadLimits::max_head`](crate::HeadLimits::max_head) (RFC 9110
    /// section 5.4).
    #[error("message head is larger than max_head ({limit} bytes)")]
    HeadTooLarge {
        /// The value of `max_head`.
        limit: usize,
    },
    /// There are more field lines than [`HeadLimits::max_headers`](crate::HeadLimits::max_headers).
    #[error("message head has more than max_headers ({limit}) field lines")]
    TooManyHeaders {
        /// The value of `max_headers`.
        limit: usize,
    },
    /// There are more than `limit` empty lines before a request (RFC 9112 section 2.2).
    #[error("more than {limit} empty lines before the request")]
    TooManyEmptyLines {
        /// How many there may be.
        limit: usize,
    },
    /// The peer starts a TLS handshake where plaintext is spoken: it has a `wss://` URL for a port
    /// that wants `ws://`. An answer in HTTP is no TLS record, and TLS clients name that.
    #[error("TLS spoken to a plaintext port")]
    TlsClientHello,
    /// A line does not end in CR LF (RFC 9112 section 2.2).
    #[error("carriage return or line feed on its own in the message head")]
    BadLineEnding,
    /// The bytes given as a whole head stop before its empty line.
    #[error("message head stops before the empty line that ends it")]
    IncompleteHead,
    /// The request line is not `method SP target SP HTTP/x.y` (RFC 9112 section 3).
    #[error("malformed request line: \"{offered}\"")]
    BadRequestLine {
        /// The start of the line.
        offered: Offered,
    },
    /// A field line is not `name: value`, or holds a control character (RFC 9112 section 5).
    #[error("malformed header field: \"{offered}\"")]
    BadHeader {
        /// The start of the line, up to the colon.
        offered: Offered,
    },
    /// The message is not HTTP/1.1 or a later HTTP/1 (RFC 6455 sections 4.1 and 4.2.1).
    #[error("HTTP/1.1 is needed, {offered} was offered")]
    BadHttpVersion {
        /// The version of the message.
        offered: Version,
    },
    /// The method is not GET (RFC 6455 section 4.2.1).
    #[error("method GET is needed, \"{offered}\" was offered")]
    BadMethod {
        /// The start of the method.
        offered: Offered,
    },
    /// The target is neither an absolute path nor an `http` or `https` URI (RFC 6455 section
    /// 4.2.1).
    #[error("request target is neither a path nor an http URI: \"{offered}\"")]
    BadTarget {
        /// The start of the target.
        offered: Offered,
    },
    /// There is no `Host` (RFC 9112 section 3.2).
    #[error("no Host header")]
    MissingHost,
    /// There is more than one `Host` (RFC 9112 section 3.2).
    #[error("more than one Host header")]
    DuplicateHost,
    /// `Host` is not `host [":" port]` (RFC 9112 section 3.2).
    #[error("malformed Host header: \"{offered}\"")]
    BadHost {
        /// The start of the value.
        offered: Offered,
    },
    /// A message of HTTP/2 or HTTP/3 lacks a pseudo-header that it has to have (RFC 8441 section 4,
    /// RFC 9113 section 8.3).
    #[error("no {name} pseudo-header")]
    MissingPseudoHeader {
        /// The name, with its colon.
        name: &'static str,
    },
    /// A pseudo-header is unknown, repeated, behind another field or out of place, or its value is
    /// outside its grammar (RFC 9113 section 8.3).
    #[error("pseudo-header out of place, repeated or malformed: \"{offered}\"")]
    BadPseudoHeader {
        /// The start of the name.
        offered: Offered,
    },
    /// A message of HTTP/2 or HTTP/3 has a field that speaks of a connection of HTTP/1.1, such as
    /// `connection` or `upgrade` (RFC 8441 section 5, RFC 9113 section 8.2.2).
    #[error(
        "header field of an HTTP/1.1 connection in a message of HTTP/2 or HTTP/3: \"{offered}\""
    )]
    ConnectionHeader {
        /// The start of the name.
        offered: Offered,
    },
    /// `host` names something else than `:authority` (RFC 9113 section 8.3.1).
    #[error("Host is not the same as :authority: \"{offered}\"")]
    HostMismatch {
        /// The start of the value of `host`.
        offered: Offered,
    },
    /// A request of HTTP/2 or HTTP/3 is no extended CONNECT (RFC 8441 section 4).
    #[error(
        "an extended CONNECT is needed over HTTP/2 and HTTP/3, method \"{offered}\" was offered"
    )]
    NotExtendedConnect {
        /// The start of the method.
        offered: Offered,
    },
    /// The `:protocol` of an extended CONNECT is not `websocket` (RFC 8441 section 5).
    #[error(":protocol \"websocket\" is needed, \"{offered}\" was offered")]
    UnsupportedProtocol {
        /// The start of the protocol.
        offered: Offered,
    },
    /// The request announces a body, whose bytes would be taken for frames (RFC 9112 section 6.3).
    #[error("an upgrade request has no body, but this one announces one")]
    UnexpectedBody,
    /// `Upgrade` does not name `websocket` (RFC 6455 section 4.2.1).
    #[error("no \"websocket\" in an Upgrade header")]
    NotUpgrade,
    /// `Connection` does not name `Upgrade` (RFC 6455 section 4.2.1).
    #[error("no \"Upgrade\" in a Connection header")]
    NotConnectionUpgrade,
    /// There is no `Sec-WebSocket-Version` (RFC 6455 section 4.2.1).
    #[error("no Sec-WebSocket-Version header")]
    MissingVersion,
    /// There is more than one `Sec-WebSocket-Version` (RFC 6455 section 11.3.5).
    #[error("more than one Sec-WebSocket-Version header")]
    DuplicateVersion,
    /// `Sec-WebSocket-Version` is not a number from 0 to 255 (RFC 6455 section 4.3).
    #[error("Sec-WebSocket-Version is not a number from 0 to 255: \"{offered}\"")]
    BadVersion {
        /// The start of the value.
        offered: Offered,
    },
    /// `Sec-WebSocket-Version` is not 13 (RFC 6455 section 4.4).
    #[error("WebSocket version 13 is needed, {offered} was offered")]
    UnsupportedVersion {
        /// The version in the request.
        offered: u8,
    },
    /// There is no `Sec-WebSocket-Key` (RFC 6455 section 4.2.1).
    #[error("no Sec-WebSocket-Key header")]
    MissingKey,
    /// There is more than one `Sec-WebSocket-Key` (RFC 6455 section 11.3.1).
    #[error("more than one Sec-WebSocket-Key header")]
    DuplicateKey,
    /// `Sec-WebSocket-Key` is not the base64 form of 16 bytes (RFC 6455 section 4.2.1).
    #[error("Sec-WebSocket-Key is not 16 bytes in base64: \"{offered}\"")]
    BadKey {
        /// The start of the value.
        offered: Offered,
    },
    /// `Sec-WebSocket-Protocol` in a reply is not one token (RFC 6455 section 4.3).
    #[error("malformed Sec-WebSocket-Protocol header in the reply: \"{offered}\"")]
    BadSubprotocolHeader {
        /// The start of the element at fault.
        offered: Offered,
    },
    /// `Sec-WebSocket-Extensions` is outside its grammar (RFC 6455 section 9.1).
    #[error("malformed Sec-WebSocket-Extensions header: \"{offered}\"")]
    BadExtensionsHeader {
        /// The start of the element at fault.
        offered: Offered,
    },
    /// The origin is not one that the [`OriginPolicy`](crate::OriginPolicy) lets in (RFC 6455
    /// section 10.2).
    #[error("origins (OriginPolicy) does not let in \"{offered}\"")]
    OriginRefused {
        /// The start of the origin.
        offered: Offered,
    },
    /// There is no `Origin`, and the [`OriginPolicy`](crate::OriginPolicy) requires one.
    #[error("origins (OriginPolicy) requires an Origin header, but there is none")]
    OriginMissing,
    /// There are more interim replies (1xx) than a client passes over (RFC 9110 section 15.2).
    #[error("more than {limit} interim replies (1xx) before the reply")]
    TooManyInterim {
        /// How many it passes over.
        limit: usize,
    },
    /// The reply begins as an alert of TLS does (RFC 8446 section 6), and not as HTTP.
    #[error("the other side answers in TLS: its URI has wss://, or its proxy https://")]
    TlsReply,
    /// The transport ended before the reply did.
    #[error("connection lost before the server's reply was complete")]
    ConnectionLost,
    /// The first line of the reply is not `HTTP/x.y SP status [SP reason]` (RFC 9112 section 4).
    #[error("malformed status line: \"{offered}\"")]
    BadStatusLine {
        /// The start of the line.
        offered: Offered,
    },
    /// The reply has no `Upgrade` (RFC 6455 section 4.1).
    #[error("no Upgrade header in the reply")]
    MissingUpgrade,
    /// The reply's `Upgrade` is something else than `websocket`, once or repeated (RFC 6455 section
    /// 4.1).
    #[error("Upgrade in the reply is not \"websocket\" but \"{offered}\"")]
    BadUpgrade {
        /// The start of the value.
        offered: Offered,
    },
    /// The reply has no `Connection` (RFC 6455 section 4.1).
    #[error("no Connection header in the reply")]
    MissingConnection,
    /// The reply's `Connection` does not name `Upgrade` (RFC 6455 section 4.1).
    #[error("no \"Upgrade\" in the reply's Connection header")]
    BadConnection,
    /// The reply has no `Sec-WebSocket-Accept` (RFC 6455 section 4.1).
    #[error("no Sec-WebSocket-Accept header in the reply")]
    MissingAccept,
    /// The reply has several `Sec-WebSocket-Accept` that differ (RFC 6455 section 11.3.3).
    #[error("several Sec-WebSocket-Accept headers in the reply, with different values")]
    DuplicateAccept,
    /// `Sec-WebSocket-Accept` does not prove that the server read our key (RFC 6455 section 4.1).
    #[error("Sec-WebSocket-Accept does not fit the key that was sent: \"{offered}\"")]
    BadAccept {
        /// The start of the value.
        offered: Offered,
    },
    /// The reply names several subprotocols that differ (RFC 6455 section 11.3.4).
    #[error("more than one subprotocol in the reply")]
    DuplicateSubprotocol,
    /// The reply names a subprotocol that was not requested (RFC 6455 section 4.1).
    #[error("subprotocol in the reply was not requested: \"{offered}\"")]
    UnexpectedSubprotocol {
        /// The start of the name.
        offered: Offered,
    },
    /// The reply names an extension that was not offered (RFC 6455 section 4.1).
    #[error("extension in the reply was not offered: \"{offered}\"")]
    UnexpectedExtension {
        /// The start of the name.
        offered: Offered,
    },
    /// The reply accepts the same extension twice, with different parameters (RFC 7692 section
    /// 5.1).
    #[error("extension accepted more than once in the reply, with different parameters")]
    DuplicateExtension,
    /// The reply's extension parameters answer none of the offers (RFC 7692 section 7.1).
    #[error("parameters of permessage-deflate in the reply fit no offer: \"{offered}\"")]
    BadExtensionParams {
        /// The start of the parameters.
        offered: Offered,
    },
}

impl HandshakeError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::HeadTooLarge { .. } => "head_too_large",
            Self::TooManyHeaders { .. } => "too_many_headers",
            Self::TooManyEmptyLines { .. } => "too_many_empty_lines",
            Self::TlsClientHello => "tls_client_hello",
            Self::BadLineEnding => "bad_line_ending",
            Self::IncompleteHead => "incomplete_head",
            Self::BadRequestLine { .. } => "bad_request_line",
            Self::BadHeader { .. } => "bad_header",
            Self::BadHttpVersion { .. } => "bad_http_version",
            Self::BadMethod { .. } => "bad_method",
            Self::BadTarget { .. } => "bad_target",
            Self::MissingHost => "missing_host",
            Self::DuplicateHost => "duplicate_host",
            Self::BadHost { .. } => "bad_host",
            Self::MissingPseudoHeader { .. } => "missing_pseudo_header",
            Self::BadPseudoHeader { .. } => "bad_pseudo_header",
            Self::ConnectionHeader { .. } => "connection_header",
            Self::HostMismatch { .. } => "host_mismatch",
            Self::NotExtendedConnect { .. } => "not_extended_connect",
            Self::UnsupportedProtocol { .. } => "unsupported_protocol",
            Self::UnexpectedBody => "unexpected_body",
            Self::NotUpgrade => "not_upgrade",
            Self::NotConnectionUpgrade => "not_connection_upgrade",
            Self::MissingVersion => "missing_version",
            Self::DuplicateVersion => "duplicate_version",
            Self::BadVersion { .. } => "bad_version",
            Self::UnsupportedVersion { .. } => "unsupported_version",
            Self::MissingKey => "missing_key",
            Self::DuplicateKey => "duplicate_key",
            Self::BadKey { .. } => "bad_key",
            Self::BadSubprotocolHeader { .. } => "bad_subprotocol_header",
            Self::BadExtensionsHeader { .. } => "bad_extensions_header",
            Self::OriginRefused { .. } | Self::OriginMissing => "origin_refused",
            Self::TooManyInterim { .. } => "too_many_interim",
            Self::TlsReply => "tls_reply",
            Self::ConnectionLost => "connection_lost",
            Self::BadStatusLine { .. } => "bad_status_line",
            Self::MissingUpgrade => "missing_upgrade",
            Self::BadUpgrade { .. } => "bad_upgrade",
            Self::MissingConnection => "missing_connection",
            Self::BadConnection => "bad_connection",
            Self::MissingAccept => "missing_accept",
            Self::DuplicateAccept => "duplicate_accept",
            Self::BadAccept { .. } => "bad_accept",
            Self::DuplicateSubprotocol => "duplicate_subprotocol",
            Self::UnexpectedSubprotocol { .. } => "unexpected_subprotocol",
            Self::UnexpectedExtension { .. } => "unexpected_extension",
            Self::DuplicateExtension => "duplicate_extension",
            Self::BadExtensionParams { .. } => "bad_extension_params",
        }
    }

    /// The HTTP status with which a server tells of the error.
    ///
    /// Errors that only a client finds, in a reply, are told to nobody; for those it is 400.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            //= RFC6585-5-1
            //= RFC9110-5.4-1
            //= RFC9112-3-2
            Self::HeadTooLarge { .. } | Self::TooManyHeaders { .. } => 431,
            //= RFC9110-15.6.6-1
            Self::BadHttpVersion { .. } => 505,
            Self::BadMethod { .. } | Self::NotExtendedConnect { .. } => 405,
            //= RFC9220-3-2
            Self::UnsupportedProtocol { .. } => 501,
            Self::NotUpgrade | Self::NotConnectionUpgrade | Self::UnsupportedVersion { .. } => 426,
            //= RFC6455-4.2.2-6
            //= RFC6455-10.2-2
            Self::OriginRefused { .. } | Self::OriginMissing => 403,
            //= RFC6455-4.2.1-1
            //= RFC9112-3-1
            //= RFC9112-3.2-1
            _ => 400,
        }
    }

    /// Whether it makes a message of HTTP/2 or HTTP/3 malformed: where a server of HTTP/1.1 closes
    /// the connection, one of these resets the stream, with `PROTOCOL_ERROR` (RFC 9113 section
    /// 8.1.1) or `H3_MESSAGE_ERROR` (RFC 9114 section 4.1.2). It may send the
    /// [`rejection`](Self::rejection) before.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        //= RFC9113-8.1.1-1
        matches!(
            self,
            Self::MissingPseudoHeader { .. }
                | Self::BadPseudoHeader { .. }
                | Self::ConnectionHeader { .. }
                | Self::HostMismatch { .. }
                | Self::BadHeader { .. }
        )
    }
}

/// The first bytes of something that a peer sent, kept to show them in an error.
///
/// It never owns heap, and `Display` escapes everything outside printable ASCII, so that it is safe
/// in a log. The alternate form `{:#}` shows letters of other scripts as they are, for what the
/// user wrote.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Offered {
    length: u8,
    bytes: [u8; OFFERED_BYTES],
}

impl Offered {
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut bytes = [0; OFFERED_BYTES];
        let shown = text.len().min(OFFERED_BYTES);
        bytes[..shown].copy_from_slice(&text[..shown]);
        // One more than fits says that something was cut off.
        Self {
            length: text.len().min(OFFERED_BYTES + 1) as u8,
            bytes,
        }
    }

    /// The bytes kept: at most the first 30 of what was offered.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length).min(OFFERED_BYTES)]
    }

    /// Escapes control characters and what is not UTF-8. A character that was cut is left out.
    fn write_utf8(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_bytes();
        for chunk in self.as_bytes().utf8_chunks() {
            for char in chunk.valid().chars() {
                Display::fmt(&char.escape_debug(), f)?;
            }
            rest = &rest[chunk.valid().len() + chunk.invalid().len()..];
            if !rest.is_empty() || !self.is_truncated() {
                Display::fmt(&chunk.invalid().escape_ascii(), f)?;
            }
        }
        Ok(())
    }

    /// Whether there was more than what is kept.
    #[must_use]
    pub const fn is_truncated(&self) -> bool {
        self.length as usize > OFFERED_BYTES
    }
}

impl Display for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            self.write_utf8(f)?;
        } else {
            Display::fmt(&self.as_bytes().escape_ascii(), f)?;
        }
        if self.is_truncated() {
            f.write_str("...")
        } else {
            Ok(())
        }
    }
}

impl Debug for Offered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        Display::fmt(self, f)?;
        f.write_char('"')
    }
}

const OFFERED_BYTES: usize = 30;

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString as _};

    use super::*;

    #[test]
    fn the_error_is_small() {
        assert!(size_of::<HandshakeError>() <= 32);
        assert!(size_of::<Result<(), HandshakeError>>() <= 32);
    }

    #[test]
    fn what_was_offered_is_cut_and_escaped() {
        assert_eq!(Offered::new(b"a\r\n\xff\"").to_string(), "a\\r\\n\\xff\\\"");
        assert_eq!(Offered::new(&[b'x'; 30]).to_string(), "x".repeat(30));
        assert_eq!(
            format!("{:?}", Offered::new(&[b'x'; 31])),
            format!("\"{}...\"", "x".repeat(30))
        );
        assert_eq!(Offered::new(&[b'x'; 1000]).as_bytes().len(), 30);
    }

    #[test]
    fn what_the_user_wrote_is_shown_in_its_own_letters() {
        let shown = |text: &str| format!("{:#}", Offered::new(text.as_bytes()));
        assert_eq!(shown("b\u{fc}cher\n\u{1b}"), "b\u{fc}cher\\n\\u{1b}");
        assert_eq!(shown(&"\u{20ac}".repeat(10)), "\u{20ac}".repeat(10));
        assert_eq!(
            shown(&format!("x{}", "\u{20ac}".repeat(10))),
            format!("x{}...", "\u{20ac}".repeat(9))
        );
        assert_eq!(format!("{:#}", Offered::new(b"a\xff")), "a\\xff");
    }

    #[test]
    fn the_value_of_a_malformed_header_is_not_shown() {
        let error = crate::headers::parse_field(b"Authorization : secret").expect_err("malformed");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_error_is_an_error_without_std() {
        let error: &dyn core::error::Error = &HandshakeError::HeadTooLarge { limit: 10 };
        assert_eq!(
            error.to_string(),
            "message head is larger than max_head (10 bytes)"
        );
    }
}
