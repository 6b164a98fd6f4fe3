//! Extended CONNECT of HTTP/2 and HTTP/3: lists of fields, and what either side makes of them.

use serde_json::Value;
use ws_handshake::{ConnectProgress, HandshakeError, Headers, Request, ServerConfig, Version};

use super::{
    deflate,
    expected::{Agreement, Refusal},
    limits,
    request::request,
    same,
    server::config,
};
use crate::{Failure, bytes, json::Object};

/// A list of fields, as name and value.
type Fields = Vec<(String, Vec<u8>)>;

/// A request to a server, and the answer that is due.
#[derive(Debug)]
pub(crate) struct ExtendedConnect {
    config: ServerConfig,
    version: Version,
    fields: Fields,
    expect: Expect,
}

#[derive(Debug)]
enum Expect {
    Reject {
        is_malformed: bool,
        refusal: Refusal,
    },
    Accept {
        headers: Vec<(String, String)>,
        absent: Vec<String>,
        target: String,
        authority: String,
        deflate: Option<Value>,
    },
}

impl ExtendedConnect {
    pub(super) fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let config = config(vector.object("config")?)?;
        let expect = vector.object("expect")?;
        let outcome = expect.text("outcome")?;
        Ok(Self {
            config: match vector.number("setting_enable_connect_protocol")? {
                0 => config.without_extended_connect(),
                _ => config,
            },
            version: match vector.text("http")? {
                "h2" => Version::HTTP_2,
                "h3" => Version::HTTP_3,
                _ => return Err(vector.wrong("http", "h2 or h3")),
            },
            fields: fields(vector, vector.list("headers")?)?,
            expect: match outcome {
                "reject" | "malformed" => Expect::Reject {
                    is_malformed: outcome == "malformed",
                    refusal: Refusal::parse(expect)?,
                },
                "accept" => Expect::Accept {
                    headers: expect.pairs("headers")?,
                    absent: expect.strings("absent")?,
                    target: expect.text("target")?.to_owned(),
                    authority: expect.text("authority")?.to_owned(),
                    deflate: expect.get("deflate").cloned(),
                },
                _ => return Err(expect.wrong("outcome", "accept, reject or malformed")),
            },
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let request = match Request::from_fields(self.version, borrowed(&self.fields)) {
            Ok(request) => request,
            Err(error) => return self.on_refusal(&error),
        };
        let acceptance = match self.config.negotiate(&request) {
            Ok(acceptance) => acceptance,
            Err(error) => return self.on_refusal(&error),
        };
        let Expect::Accept {
            headers,
            absent,
            target,
            authority,
            deflate,
        } = &self.expect
        else {
            return Err(format!("accepts; due is {:?}", self.expect));
        };
        same(&request.target().as_ref().into(), &target.as_str().into())
            .map_err(|why| format!("target {why}"))?;
        same(&request.authority().into(), &authority.as_str().into())
            .map_err(|why| format!("authority {why}"))?;
        let reply = acceptance.to_fields();
        expect_all(&reply, headers)?;
        if let Some(name) = absent.iter().find(|name| reply.get(name).is_some()) {
            return Err(format!("answers with {name}"));
        }
        match (deflate, acceptance.deflate()) {
            (None, None) => Ok(()),
            (Some(expected), Some(agreed)) => {
                let header = text(&reply, "sec-websocket-extensions");
                deflate::check_answer(&header, expected)?;
                match deflate::told(&header) == agreed {
                    true => Ok(()),
                    false => Err(format!("answers {header:?} and hands over {agreed:?}")),
                }
            }
            (expected, agreed) => Err(format!("agrees to {agreed:?}; due is {expected:?}")),
        }
    }

    fn on_refusal(&self, error: &HandshakeError) -> Result<(), String> {
        let kind = error.kind();
        let Expect::Reject {
            is_malformed,
            refusal,
        } = &self.expect
        else {
            return Err(format!("refuses: {kind}; due is {:?}", self.expect));
        };
        refusal.check_kind(error)?;
        if error.is_malformed() != *is_malformed {
            return Err(format!("takes {kind} for malformed: {}", !is_malformed));
        }
        let reply = error.rejection().to_fields();
        refusal.check_status(error, &text(&reply, ":status"))?;
        if reply.get("connection").is_some() || reply.get("upgrade").is_some() {
            return Err("answers with a field of a connection of HTTP/1.1".to_owned());
        }
        expect_all(&reply, &refusal.headers)
    }
}

/// Replies to a client, and what is to come of them.
#[derive(Debug)]
pub(crate) struct ConnectReply {
    handshake: ws_handshake::ExtendedConnect,
    replies: Vec<Fields>,
    expect: ReplyExpect,
}

#[derive(Debug)]
enum ReplyExpect {
    Incomplete,
    Fail { kinds: Vec<String> },
    HttpStatus(u64),
    Accept(Agreement),
}

impl ConnectReply {
    pub(super) fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let settings = vector.object("config")?;
        let request = request("wss://server.example.com/chat", settings)
            .map_err(|kind| Failure::new(format!("a client's config is refused: {kind}")))?
            .limits(limits(settings)?);
        let replies = vector.list("replies")?.iter();
        let expect = vector.object("expect")?;
        Ok(Self {
            handshake: request.extended_connect(),
            replies: replies
                .map(|reply| {
                    let reply = reply.as_array().map(Vec::as_slice);
                    fields(vector, reply.unwrap_or_default())
                })
                .collect::<Result<_, Failure>>()?,
            expect: match expect.text("outcome")? {
                "incomplete" => ReplyExpect::Incomplete,
                "fail" => ReplyExpect::Fail {
                    kinds: expect.strings("kinds")?,
                },
                "http_status" => ReplyExpect::HttpStatus(expect.number("status")?),
                "accept" => ReplyExpect::Accept(Agreement::parse(expect)?),
                _ => {
                    return Err(expect.wrong("outcome", "incomplete, fail, http_status or accept"));
                }
            },
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let mut handshake = self.handshake.clone();
        for reply in &self.replies {
            let progress = handshake.receive(borrowed(reply));
            let is_due = match (&progress, &self.expect) {
                (Ok(ConnectProgress::Interim), _) => continue,
                (Ok(ConnectProgress::Agreed(agreed)), ReplyExpect::Accept(agreement)) => {
                    return agreement.check(agreed);
                }
                (Ok(ConnectProgress::Refused(response)), ReplyExpect::HttpStatus(status)) => {
                    u64::from(response.status) == *status
                }
                (Err(error), ReplyExpect::Fail { kinds }) => {
                    kinds.iter().any(|kind| kind == error.kind())
                }
                _ => false,
            };
            return match is_due {
                true => Ok(()),
                false => Err(format!("comes to {progress:?}; due is {:?}", self.expect)),
            };
        }
        match self.expect {
            ReplyExpect::Incomplete => Ok(()),
            _ => Err(format!("waits for more; due is {:?}", self.expect)),
        }
    }
}

/// A client's configuration, and the request that is due.
#[derive(Debug)]
pub(crate) struct ConnectRequest {
    fields: Headers,
    expect: Fields,
}

impl ConnectRequest {
    pub(super) fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let request = request(vector.text("uri")?, vector.object("config")?)
            .map_err(|kind| Failure::new(format!("a client's config is refused: {kind}")))?;
        let request = request.without_user_agent().extended_connect();
        Ok(Self {
            fields: request.fields().clone(),
            expect: fields(vector, vector.list("expect")?)?,
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.fields.iter().eq(borrowed(&self.expect)) {
            true => Ok(()),
            false => Err(format!("sends {:?}, not {:?}", self.fields, self.expect)),
        }
    }
}

fn fields(vector: Object<'_>, list: &[Value]) -> Result<Fields, Failure> {
    list.iter()
        .map(|pair| match (pair[0].as_str(), pair[1].as_str()) {
            (Some(name), Some(value)) => Ok((name.to_owned(), bytes::latin1(value)?)),
            _ => Err(vector.wrong("a list of fields", "pairs of strings")),
        })
        .collect()
}

fn borrowed(fields: &Fields) -> impl Iterator<Item = (&str, &[u8])> {
    fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_slice()))
}

fn text(reply: &Headers, name: &str) -> String {
    String::from_utf8_lossy(reply.get(name).unwrap_or_default()).into_owned()
}

fn expect_all(reply: &Headers, headers: &[(String, String)]) -> Result<(), String> {
    let wrong = headers
        .iter()
        .find(|(name, value)| reply.get(name) != Some(value.as_bytes()));
    match wrong {
        None => Ok(()),
        Some((name, value)) => Err(format!(
            "writes {name}: {:?}, not {value:?}",
            text(reply, name)
        )),
    }
}
