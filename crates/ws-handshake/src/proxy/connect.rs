//! The method CONNECT (RFC 9110 section 9.3.6).

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    outcome::{MAX_HOST, TunnelError, TunnelProgress},
    url::{Proxy, without_brackets},
};
use crate::{
    body::{Body, Collected},
    client::{HttpResponse, Interim, Reply, TLS_ALERT},
    error::{HandshakeError, Offered},
    head::{HeadLimits, HeadReader},
    uri::split_authority,
};

/// A request for a tunnel, and the answer to it.
pub(super) struct Connect {
    request: Vec<u8>,
    sent: usize,
    reader: HeadReader,
    interim: Interim,
    /// The proxy's no, of whose page the end is not there.
    refusal: Option<Box<(Body, HttpResponse)>>,
}

impl Connect {
    pub(super) fn new(proxy: &Proxy, host: &str, port: u16) -> Result<Self, TunnelError> {
        let authority = authority(host, port)?;
        let mut request =
            format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        request.extend_from_slice(proxy.fields().user_agent().as_bytes());
        if let Some(known) = proxy.its_credentials()
            && !proxy.fields().has_added("Proxy-Authorization")
        {
            let credentials = STANDARD.encode(format!("{}:{}", known.user, known.password));
            request.extend_from_slice(b"Proxy-Authorization: Basic ");
            request.extend_from_slice(credentials.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(proxy.fields().added().as_bytes());
        request.extend_from_slice(b"\r\n");
        Ok(Self {
            request,
            sent: 0,
            reader: HeadReader::reply(LIMITS),
            interim: Interim::default(),
            refusal: None,
        })
    }

    pub(super) fn to_send(&self) -> &[u8] {
        &self.request[self.sent..]
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes.min(self.to_send().len());
    }

    pub(super) fn room(&self) -> usize {
        match self.refusal {
            None => self.reader.lacks(),
            Some(_) => usize::MAX,
        }
    }

    pub(super) fn receive(&mut self, input: &[u8]) -> Result<TunnelProgress, TunnelError> {
        let mut consumed = 0;
        while self.refusal.is_none() {
            let rest = &input[consumed..];
            if self.reader.is_idle() && rest.first() == Some(&TLS_ALERT) {
                return Err(TunnelError::BadReply(HandshakeError::TlsReply));
            }
            let head = self.reader.receive(rest);
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
                100..200 if reply.status != 101 => {
                    let counted = self.interim.count(head.as_bytes().len(), LIMITS);
                    counted.map_err(TunnelError::BadReply)?;
                }
                // Whatever it announces, such an answer has no body.
                200..300 if self.to_send().is_empty() => {
                    return Ok(TunnelProgress::Open { consumed });
                }
                200..300 => return Err(TunnelError::TooEarly),
                _ => self.refusal = Some(Box::new(reply.refuse(MAX_PAGE))),
            }
        }
        self.receive_page(&input[consumed..])
    }

    /// Takes the page that tells why there is no way.
    fn receive_page(&mut self, input: &[u8]) -> Result<TunnelProgress, TunnelError> {
        let Some((body, response)) = self.refusal.as_deref_mut() else {
            return Ok(TunnelProgress::Incomplete);
        };
        let (_, collected) = body.receive(input, &mut response.body);
        if collected == Collected::Partly {
            return Ok(TunnelProgress::Incomplete);
        }
        response.truncated = collected == Collected::Truncated;
        Err(TunnelError::Refused(Box::new(core::mem::take(response))))
    }

    /// The proxy's no, as far as it has come.
    pub(super) fn take_refusal(&mut self) -> Option<HttpResponse> {
        let (body, mut response) = *self.refusal.take()?;
        response.truncated = !body.ends_at_eof();
        Some(response)
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

/// How much is kept of the page that comes with a refusal.
const MAX_PAGE: usize = 4096;

const LIMITS: HeadLimits = HeadLimits {
    max_head: 8192,
    max_headers: 100,
};
