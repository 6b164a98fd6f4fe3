//! Replies to a client, and what it makes of them.

use ws_handshake::{ClientHandshake, ClientProgress, HandshakeError, Nonce};

use super::{expected::Agreement, limits, request::request, stream::Stream};
use crate::{Failure, bytes, json::Object};

/// A reply, and what is to come of it.
#[derive(Debug)]
pub(crate) struct Client {
    handshake: ClientHandshake,
    pub(super) stream: Stream,
    is_end_of_input: bool,
    expect: ClientExpect,
}

#[derive(Debug)]
enum ClientExpect {
    Incomplete,
    Fail {
        kinds: Vec<String>,
    },
    HttpStatus(u64),
    Accept {
        agreement: Agreement,
        leftover: Vec<u8>,
    },
}

impl Client {
    pub(super) fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let settings = vector.object("config")?;
        let key = settings.text_or_none("key")?.unwrap_or(SAMPLE_KEY);
        let nonce = Nonce::from_key(key.as_bytes())
            .ok_or_else(|| settings.wrong("key", "16 bytes in base64"))?;
        let request = request(SAMPLE_URI, settings)
            .map_err(|kind| Failure::new(format!("a client's config is refused: {kind}")))?
            .limits(limits(settings)?);
        let expect = vector.object("expect")?;
        let expect = match expect.text("outcome")? {
            "incomplete" => ClientExpect::Incomplete,
            "fail" => ClientExpect::Fail {
                kinds: expect.strings("kinds")?,
            },
            "http_status" => ClientExpect::HttpStatus(expect.number("status")?),
            "accept" => ClientExpect::Accept {
                agreement: Agreement::parse(expect)?,
                leftover: bytes::latin1(expect.text("leftover")?)?,
            },
            _ => return Err(expect.wrong("outcome", "incomplete, fail, http_status or accept")),
        };
        Ok(Self {
            handshake: request.start(nonce),
            stream: Stream::parse(vector)?,
            is_end_of_input: vector.flag("eof")?,
            expect,
        })
    }

    pub(super) fn run(&self, ends: &[usize]) -> Result<(), String> {
        let mut handshake = self.handshake.clone();
        for (start, piece) in self.stream.pieces(ends) {
            match handshake.receive(piece) {
                Ok(ClientProgress::Incomplete) => {}
                Ok(ClientProgress::Agreed { agreed, consumed }) => {
                    let ClientExpect::Accept {
                        agreement,
                        leftover,
                    } = &self.expect
                    else {
                        return Err(format!("accepts; due is {:?}", self.expect));
                    };
                    agreement.check(&agreed)?;
                    return self.stream.check_leftover(start, consumed, leftover);
                }
                Ok(ClientProgress::Refused { response, .. }) => {
                    return self.on_status(response.status);
                }
                Err(error) => return self.on_failure(&error),
            }
        }
        // The head of a final status is there; the body may still be on its way.
        if let Some(response) = handshake.response() {
            return self.on_status(response.status);
        }
        if self.is_end_of_input {
            return match handshake.eof() {
                Ok(response) => self.on_status(response.status),
                Err(error) => self.on_failure(&error),
            };
        }
        match self.expect {
            ClientExpect::Incomplete => Ok(()),
            _ => Err(format!("waits for more; due is {:?}", self.expect)),
        }
    }

    fn on_status(&self, status: u16) -> Result<(), String> {
        match self.expect {
            ClientExpect::HttpStatus(expected) if expected == u64::from(status) => Ok(()),
            _ => Err(format!("gives status {status}; due is {:?}", self.expect)),
        }
    }

    fn on_failure(&self, error: &HandshakeError) -> Result<(), String> {
        let kind = error.kind();
        match &self.expect {
            ClientExpect::Fail { kinds } if kinds.iter().any(|one| one == kind) => Ok(()),
            _ => Err(format!("fails: {kind}; due is {:?}", self.expect)),
        }
    }
}

const SAMPLE_URI: &str = "ws://server.example.com/chat";
const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
