//! What a client sends.

use serde_json::Value;
use ws_handshake::{ClientRequest, DeflateOffer, Nonce, Uri};

use super::message::Message;
use crate::{Failure, bytes, json::Object};

/// A client's configuration, and the request that is due.
#[derive(Debug)]
pub(crate) struct Request {
    uri: String,
    config: Value,
    expect: RequestExpect,
}

#[derive(Debug)]
enum RequestExpect {
    Error(String),
    Request {
        line: String,
        headers: Vec<(String, String)>,
        absent: Vec<String>,
        once: Vec<String>,
        body: String,
    },
}

impl Request {
    pub(super) fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let expect = vector.object("expect")?;
        Ok(Self {
            uri: vector.text("uri")?.to_owned(),
            config: vector
                .get("config")
                .cloned()
                .ok_or_else(|| vector.wrong("config", "an object"))?,
            expect: match expect.text_or_none("error")? {
                Some(kind) => RequestExpect::Error(kind.to_owned()),
                None => RequestExpect::Request {
                    line: expect.text("request_line")?.to_owned(),
                    headers: expect.pairs("headers")?,
                    absent: expect.strings("absent")?,
                    once: expect.strings("once")?,
                    body: expect.text("body")?.to_owned(),
                },
            },
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let config = Object::new(&self.config, &self.uri);
        let handshake = match (request(&self.uri, config), &self.expect) {
            (Err(kind), RequestExpect::Error(expected)) if kind == *expected => return Ok(()),
            (Err(kind), expect) => return Err(format!("refused: {kind}; due is {expect:?}")),
            (Ok(request), _) => request.start_random().map_err(|error| error.to_string())?,
        };
        let RequestExpect::Request {
            line,
            headers,
            absent,
            once,
            body,
        } = &self.expect
        else {
            return Err(format!("not refused; due is {:?}", self.expect));
        };
        let message = Message::parse(handshake.request_bytes())?;
        if message.start != *line {
            return Err(format!("starts with {:?}, not {line:?}", message.start));
        }
        for (name, value) in headers {
            message.expect(name, value)?;
        }
        for name in absent {
            if let Some(value) = message.header(name) {
                return Err(format!("sends {name}: {value}"));
            }
        }
        for name in once {
            let count = message
                .headers
                .iter()
                .filter(|(given, _)| given == name)
                .count();
            if count != 1 {
                return Err(format!("sends {name} {count} times"));
            }
        }
        if message.body != body.as_bytes() {
            return Err("sends a body".to_owned());
        }
        let key = message.header("sec-websocket-key").unwrap_or_default();
        if Nonce::from_key(key.as_bytes()).is_none() {
            return Err(format!("its key {key:?} is not 16 bytes in base64"));
        }
        Ok(())
    }
}

/// Builds a client's request from a vector's config; an error is the kind that forbids it.
pub(super) fn request(uri: &str, config: Object<'_>) -> Result<ClientRequest, String> {
    let uri = Uri::parse(uri).map_err(|error| error.kind().to_owned())?;
    let mut request = ClientRequest::new(uri);
    let of_format = |failure: Failure| failure.to_string();
    for name in config.texts("subprotocols").map_err(of_format)? {
        request = request
            .subprotocol(name)
            .map_err(|error| error.kind().to_owned())?;
    }
    if let Some(offers) = config.text_or_none("offer").map_err(of_format)? {
        let offers = DeflateOffer::parse_list(offers).map_err(|error| error.kind().to_owned())?;
        for offer in offers {
            request = request.offer(offer);
        }
    }
    if let Some(origin) = config.text_or_none("origin").map_err(of_format)? {
        request = request
            .origin(origin)
            .map_err(|error| error.kind().to_owned())?;
    }
    for pair in config.list_or_empty("extra").map_err(of_format)? {
        let (Some(name), Some(value)) = (pair[0].as_str(), pair[1].as_str()) else {
            return Err("extra should be pairs of strings".to_owned());
        };
        let value = bytes::latin1(value).map_err(of_format)?;
        request = request
            .header(name, value)
            .map_err(|error| error.kind().to_owned())?;
    }
    Ok(request)
}
