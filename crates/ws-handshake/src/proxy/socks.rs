//! SOCKS version 5 (RFC 1928), and its authentication by user name and password (RFC 1929).

use alloc::{vec, vec::Vec};
use core::net::IpAddr;

use super::{
    outcome::{MAX_HOST, SocksReply, TunnelError, TunnelProgress},
    url::{Proxy, without_brackets},
};
use crate::{error::Offered, uri::split_authority};

/// The dialogue with a SOCKS5 proxy.
pub(super) struct Socks {
    stage: Stage,
    /// What is to be sent, or was.
    output: Vec<u8>,
    sent: usize,
    /// What came of the next answer; the longest has 262 bytes.
    input: Vec<u8>,
    /// What follows if the proxy asks for user name and password.
    authentication: Option<Vec<u8>>,
    request: Vec<u8>,
}

/// Which answer is waited for.
#[derive(Clone, Copy)]
enum Stage {
    Method,
    Authentication,
    Reply,
}

impl Socks {
    pub(super) fn new(proxy: &Proxy, host: &str, port: u16) -> Result<Self, TunnelError> {
        let request = connect_request(host, port)?;
        let authentication = proxy.its_credentials().map(|known| {
            let mut message = vec![AUTHENTICATION_VERSION];
            for text in [&known.user, &known.password] {
                // INVARIANT: a `Proxy` of this scheme has credentials of 255 bytes at most.
                message.push(text.len() as u8);
                message.extend_from_slice(text.as_bytes());
            }
            message
        });
        let output = match authentication {
            None => vec![VERSION, 1, NO_AUTHENTICATION],
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
        };
        Ok(Self {
            stage: Stage::Method,
            output,
            sent: 0,
            input: Vec::new(),
            authentication,
            request,
        })
    }

    pub(super) fn to_send(&self) -> &[u8] {
        &self.output[self.sent..]
    }

    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes.min(self.to_send().len());
    }

    pub(super) fn room(&self) -> usize {
        self.needed().map_or(1, |needed| needed - self.input.len())
    }

    pub(super) fn receive(&mut self, input: &[u8]) -> Result<TunnelProgress, TunnelError> {
        let mut consumed = 0;
        while consumed < input.len() {
            if !self.to_send().is_empty() {
                return Err(TunnelError::TooEarly);
            }
            let needed = self.needed()?;
            let rest = &input[consumed..];
            let taken = rest.len().min(needed - self.input.len());
            self.input.extend_from_slice(&rest[..taken]);
            consumed += taken;
            if self.input.len() == self.needed()? && self.answered()? {
                return Ok(TunnelProgress::Open { consumed });
            }
        }
        Ok(TunnelProgress::Incomplete)
    }

    /// How long the answer is, as far as it can be told from what came of it. It is judged as it
    /// comes, so that what is no answer is not waited for.
    fn needed(&self) -> Result<usize, TunnelError> {
        let version = match self.stage {
            Stage::Authentication => AUTHENTICATION_VERSION,
            Stage::Method | Stage::Reply => VERSION,
        };
        let answer = self.input.as_slice();
        match (self.stage, answer) {
            (Stage::Authentication, [offered, ..]) if *offered != version => {
                Err(TunnelError::BadSocksReply)
            }
            (_, [offered, ..]) if *offered != version => {
                Err(TunnelError::NotSocks5 { offered: *offered })
            }
            (Stage::Method | Stage::Authentication, _) => Ok(2),
            (Stage::Reply, [_, code, ..]) if *code != 0 => {
                Err(TunnelError::Socks(SocksReply::from_code(*code)))
            }
            (Stage::Reply, [_, _, _, IPV4, ..]) => Ok(4 + 4 + 2),
            (Stage::Reply, [_, _, _, IPV6, ..]) => Ok(4 + 16 + 2),
            (Stage::Reply, [_, _, _, NAME, length, ..]) => Ok(5 + usize::from(*length) + 2),
            (Stage::Reply, [_, _, _, NAME]) => Ok(5),
            (Stage::Reply, [_, _, _, ..]) if answer.len() > 3 => Err(TunnelError::BadSocksReply),
            (Stage::Reply, _) => Ok(4),
        }
    }

    /// Takes a whole answer; `true` if it was the last.
    fn answered(&mut self) -> Result<bool, TunnelError> {
        let second = self.input[1];
        self.input.clear();
        match self.stage {
            Stage::Method => match (second, self.authentication.take()) {
                (NO_AUTHENTICATION, _) => self.ask(),
                (USER_AND_PASSWORD, Some(message)) => {
                    self.send(message);
                    self.stage = Stage::Authentication;
                }
                (NO_METHOD, _) => return Err(TunnelError::NoMethod),
                _ => return Err(TunnelError::BadSocksReply),
            },
            Stage::Authentication if second == 0 => self.ask(),
            Stage::Authentication => return Err(TunnelError::BadCredentials { status: second }),
            Stage::Reply => return Ok(true),
        }
        Ok(false)
    }

    fn ask(&mut self) {
        let request = core::mem::take(&mut self.request);
        self.send(request);
        self.stage = Stage::Reply;
    }

    fn send(&mut self, message: Vec<u8>) {
        self.output = message;
        self.sent = 0;
    }
}

/// Asks for a connection to a name, which the proxy resolves, or to an address.
fn connect_request(host: &str, port: u16) -> Result<Vec<u8>, TunnelError> {
    let bad = || TunnelError::BadTarget {
        offered: Offered::new(host.as_bytes()),
    };
    let mut request = vec![VERSION, CONNECT, 0];
    match without_brackets(host).parse() {
        Ok(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.octets());
        }
        Err(_) => {
            if !matches!(split_authority(host), Some((_, None))) || host.len() > MAX_HOST {
                return Err(bad());
            }
            request.push(NAME);
            request.push(host.len() as u8);
            request.extend_from_slice(host.as_bytes());
        }
    }
    if port == 0 {
        return Err(bad());
    }
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

const VERSION: u8 = 5;
const AUTHENTICATION_VERSION: u8 = 1;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
