//! Opening-handshake vectors and ws-handshake's view of them.

mod client;
mod deflate;
mod expected;
mod extended;
mod message;
mod request;
mod server;
mod stream;

use client::Client;
use extended::{ConnectReply, ConnectRequest, ExtendedConnect};
use request::Request;
use serde_json::Value;
use server::Server;
use ws_handshake::{Extensions, HeadLimits, Uri, accept_key};

use super::{Receiver, bytes, json::Object};
use crate::Failure;

/// One vector of any of the families.
#[derive(Debug)]
pub(super) enum Test {
    Server(Box<Server>),
    Client(Box<Client>),
    Request(Box<Request>),
    ExtendedConnect(Box<ExtendedConnect>),
    ConnectReply(Box<ConnectReply>),
    ConnectRequest(ConnectRequest),
    Uri { text: String, expect: Value },
    AcceptKey { key: String, expect: String },
    Grammar { value: Vec<u8>, expect: Value },
}

impl Test {
    pub(super) fn parse(kind: &str, vector: &Value, name: &str) -> Result<Self, Failure> {
        let vector = Object::new(vector, name);
        let expect = || vector.get("expect").cloned().unwrap_or(Value::Null);
        Ok(match kind {
            "server" => Self::Server(Box::new(Server::parse(vector)?)),
            "client" => Self::Client(Box::new(Client::parse(vector)?)),
            "client-request" => Self::Request(Box::new(Request::parse(vector)?)),
            "extended-connect" => Self::ExtendedConnect(Box::new(ExtendedConnect::parse(vector)?)),
            "extended-connect-reply" => Self::ConnectReply(Box::new(ConnectReply::parse(vector)?)),
            "extended-connect-request" => Self::ConnectRequest(ConnectRequest::parse(vector)?),
            "uri" => Self::Uri {
                text: vector.text("uri")?.to_owned(),
                expect: expect(),
            },
            "accept-key" => Self::AcceptKey {
                key: vector.text("key")?.to_owned(),
                expect: vector.text("expect")?.to_owned(),
            },
            "extension-grammar" => Self::Grammar {
                value: bytes::latin1(vector.text("value")?)?,
                expect: expect(),
            },
            _ => {
                return Err(Failure::new(format!(
                    "{name}: vectors of kind {kind:?} are not known"
                )));
            }
        })
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Server(vector) => vector.stream.input.len(),
            Self::Client(vector) => vector.stream.input.len(),
            _ => 0,
        }
    }

    pub(super) fn into_input(self) -> Option<(Receiver, Vec<u8>)> {
        match self {
            Self::Server(vector) => Some((Receiver::Request, vector.stream.input)),
            Self::Client(vector) => Some((Receiver::Response, vector.stream.input)),
            _ => None,
        }
    }

    pub(super) fn check(&self, cuts: impl Iterator<Item = usize>) -> Result<(), String> {
        match self {
            Self::Server(vector) => vector.stream.check(cuts, |ends| vector.run(ends)),
            Self::Client(vector) => vector.stream.check(cuts, |ends| vector.run(ends)),
            Self::Request(vector) => vector.check(),
            Self::ExtendedConnect(vector) => vector.check(),
            Self::ConnectReply(vector) => vector.check(),
            Self::ConnectRequest(vector) => vector.check(),
            Self::Uri { text, expect } => same(&read_uri(text), expect),
            Self::AcceptKey { key, expect } => {
                let accept = accept_key(key.as_bytes());
                same(
                    &String::from_utf8_lossy(&accept).into(),
                    &Value::from(expect.as_str()),
                )
            }
            Self::Grammar { value, expect } => same(&read_extensions(value), expect),
        }
    }
}

fn same(found: &Value, expected: &Value) -> Result<(), String> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("gives {found}, not {expected}"))
    }
}

fn read_uri(text: &str) -> Value {
    match Uri::parse(text) {
        Err(error) => serde_json::json!({"error": error.kind()}),
        Ok(uri) => serde_json::json!({
            "secure": uri.is_secure(),
            "host": uri.host(),
            "port": uri.port(),
            "resource_name": uri.resource_name(),
            "host_header": uri.host_header(),
        }),
    }
}

/// The extensions as the vectors write them: `[[name, [[parameter, value or null], …]], …]`.
fn read_extensions(value: &[u8]) -> Value {
    let Ok(extensions) = Extensions::parse(value) else {
        return Value::Null;
    };
    extensions
        .map(|extension| {
            let params: Vec<Value> = extension
                .params()
                .map(|param| {
                    let value: Option<String> = param.value().map(|value| value.chars().collect());
                    serde_json::json!([param.name(), value])
                })
                .collect();
            serde_json::json!([extension.name(), params])
        })
        .collect()
}

fn limits(config: Object<'_>) -> Result<HeadLimits, Failure> {
    let mut limits = HeadLimits::default();
    if config.get("max_head").is_some() {
        limits.max_head = config.size("max_head")?;
    }
    if config.get("max_headers").is_some() {
        limits.max_headers = config.size("max_headers")?;
    }
    Ok(limits)
}
