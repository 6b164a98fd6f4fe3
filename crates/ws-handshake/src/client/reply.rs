//! The heads of replies.

use alloc::{string::String, vec::Vec};

use super::HttpResponse;
use crate::{
    body::Body,
    error::{HandshakeError, Offered},
    head::{Head, HeadLimits},
    headers::{Headers, is_value},
    version::Version,
};

/// Interim replies that were passed over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Interim {
    count: usize,
    bytes: usize,
}

impl Interim {
    /// Counts one more, whose head has so many bytes.
    pub(crate) fn count(&mut self, bytes: usize, limits: HeadLimits) -> Result<(), HandshakeError> {
        self.count += 1;
        self.bytes += bytes;
        if self.count > MAX_INTERIM {
            return Err(HandshakeError::TooManyInterim { limit: MAX_INTERIM });
        }
        if self.bytes > limits.max_head {
            return Err(HandshakeError::HeadTooLarge {
                limit: limits.max_head,
            });
        }
        Ok(())
    }
}

/// The head of a reply.
pub(crate) struct Reply {
    pub(crate) version: Version,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(super) headers: Headers,
}

impl Reply {
    pub(crate) fn parse(head: &[u8], max_headers: usize) -> Result<Self, HandshakeError> {
        let (line, block) = Head::split(head);
        //= RFC9112-4-1
        let (version, status, reason) =
            parse_status_line(line).ok_or_else(|| HandshakeError::BadStatusLine {
                offered: Offered::new(line),
            })?;
        let headers = Headers::parse_reply(block, max_headers)?;
        Ok(Self {
            version,
            status,
            reason: String::from_utf8_lossy(reason).into_owned(),
            headers,
        })
    }

    /// Makes an answer other than 101 of it, whose body is still to come.
    pub(crate) fn refuse(self, max_body: usize) -> (Body, HttpResponse) {
        let Self {
            status,
            reason,
            headers,
            ..
        } = self;
        let body = Body::of_reply(status, &headers, max_body);
        let response = HttpResponse {
            status,
            reason,
            headers,
            body: Vec::new(),
            truncated: false,
        };
        (body, response)
    }
}

/// Reads `HTTP-version SP 3DIGIT [SP reason]`.
fn parse_status_line(line: &[u8]) -> Option<(Version, u16, &[u8])> {
    let (version, rest) = line.split_at_checked(8)?;
    let version = Version::parse(version)?;
    let [
        b' ',
        a @ b'0'..=b'9',
        b @ b'0'..=b'9',
        c @ b'0'..=b'9',
        reason @ ..,
    ] = rest
    else {
        return None;
    };
    let status = [a, b, c]
        .iter()
        .fold(0, |status, &&digit| status * 10 + u16::from(digit - b'0'));
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] if is_value(reason) => reason,
        _ => return None,
    };
    Some((version, status, reason))
}

/// How many interim replies there may be.
const MAX_INTERIM: usize = 16;
