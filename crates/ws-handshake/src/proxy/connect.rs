//! The method CONNECT (RFC 9110 section 9.3.6).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::tunnel::{TunnelError, TunnelProgress};
use super::url::{Proxy, without_brackets};
use crate::client::Reply;
use crate::error::{HandshakeError, Offered};
use crate::head::{HeadLimits, HeadReader};
use crate::uri::split_authority;

/// A request for a tunnel, and the answer to it.
pub(super) struct Connect {
    request: Vec<u8>,
    sent: usize,
    reader: HeadReader,
}

impl Connect {
    pub(super) fn new(proxy: &Proxy, host: &str, port: u16) -> Result<Self, TunnelError> {
        let authority = authority(host, port)?;
        let mut request =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(known) = proxy.its_credentials() {
            let credentials = STANDARD.encode(format!("{}:{}", known.user, known.password));
            request.extend_from_slice(b"Proxy-Authorization: Basic ");
            request.extend_from_slice(credentials.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        Ok(Self {
            request,
            sent: 0,
            reader: HeadReader::reply(LIMITS),
        })
    }

    pub(super) fn to_send(&self) -> &[u8] {
        &self.request[self.sent..]
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes.min(self.to_send().len());
    }

    pub(super) fn receive(&mut self, input: &[u8]) -> Result<TunnelProgress, TunnelError> {
        let mut consumed = 0;
        loop {
            let head = self.reader.receive(&input[consumed..]);
            let Some(head) = head.map_err(TunnelError::BadReply)? else {
                return Ok(TunnelProgress::Incomplete);
            };
            consumed += head.consumed();
            let reply = Reply::parse(head.as_bytes(), LIMITS.max_headers);
            let reply = reply.map_err(TunnelError::BadReply)?;
            match reply.status {
                _ if reply.version.major != 1 => {
                    return Err(TunnelError::BadReply(HandshakeError::BadHttpVersion {
                        offered: reply.version,
                    }));
                }
                // It says that something is to come.
                100..200 if reply.status != 101 => {}
                // Whatever it announces, such an answer has no body.
                200..300 if self.to_send().is_empty() => {
                    return Ok(TunnelProgress::Open { consumed });
                }
                200..300 => return Err(TunnelError::TooEarly),
                status => {
                    return Err(TunnelError::Refused {
                        status,
                        reason: Offered::new(reply.reason.as_bytes()),
                    });
                }
            }
        }
    }
}

/// `host ":" port`, as nothing else can be in a request line.
fn authority(host: &str, port: u16) -> Result<String, TunnelError> {
    let bad = || TunnelError::BadTarget {
        offered: Offered::new(host.as_bytes()),
    };
    let host = without_brackets(host);
    let authority = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{host}:{port}"),
    };
    // The port is the last of the digits, so a host with a colon is none.
    let (name, _) = split_authority(&authority).ok_or_else(bad)?;
    if name.len() > MAX_HOST || port == 0 {
        return Err(bad());
    }
    Ok(authority)
}

/// No name is longer.
pub(super) const MAX_HOST: usize = 255;

const LIMITS: HeadLimits = HeadLimits {
    max_head: 8192,
    max_headers: 100,
};
