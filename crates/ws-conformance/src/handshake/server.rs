//! Requests to a server, and what it makes of them.

use serde_json::Value;
use ws_handshake::{DeflateParams, HandshakeError, OriginPolicy, ServerConfig};

use super::{deflate, expected::Refusal, limits, message::Reply, same, stream::Stream};
use crate::{Failure, bytes, json::Object};

/// A request, and the answer that is due.
#[derive(Debug)]
pub(crate) struct Server {
    config: ServerConfig,
    pub(super) stream: Stream,
    expect: ServerExpect,
}

#[derive(Debug)]
enum ServerExpect {
    Incomplete,
    Reject(Refusal),
    Accept {
        status: u64,
        headers: Vec<(String, String)>,
        absent: Vec<String>,
        target: String,
        authority: String,
        subprotocol: Option<String>,
        deflate: Option<Value>,
        leftover: Vec<u8>,
    },
}

/// Builds a server's configuration from that of a vector.
pub(super) fn config(settings: Object<'_>) -> Result<ServerConfig, Failure> {
    let origins = match settings.get("origins") {
        None => OriginPolicy::Any,
        Some(policy) if policy == "same_host" => OriginPolicy::SameHost,
        Some(_) => OriginPolicy::list(settings.texts("origins")?)
            .map_err(|_| settings.wrong("origins", "origins of pages"))?,
    };
    let config = ServerConfig::new(origins)
        .limits(limits(settings)?)
        .subprotocols(settings.texts("subprotocols")?);
    Ok(match settings.get("deflate") {
        None => config,
        Some(_) => config.deflate(deflate::policy(settings.object("deflate")?)?),
    })
}

impl Server {
    pub(super) fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let settings = vector.object("config")?;
        let config = config(settings)?;
        let expect = vector.object("expect")?;
        let expect = match expect.text("outcome")? {
            "incomplete" => ServerExpect::Incomplete,
            "reject" => ServerExpect::Reject(Refusal::parse(expect)?),
            "accept" => ServerExpect::Accept {
                status: expect.number("status")?,
                headers: expect.pairs("headers")?,
                absent: expect.strings("absent")?,
                target: expect.text("target")?.to_owned(),
                authority: expect.text("authority")?.to_owned(),
                subprotocol: expect.text_or_none("subprotocol")?.map(str::to_owned),
                deflate: expect.get("deflate").cloned(),
                leftover: bytes::latin1(expect.text("leftover")?)?,
            },
            _ => return Err(expect.wrong("outcome", "incomplete, reject or accept")),
        };
        Ok(Self {
            config,
            stream: Stream::parse(vector)?,
            expect,
        })
    }

    pub(super) fn run(&self, ends: &[usize]) -> Result<(), String> {
        let mut reader = self.config.head_reader();
        for (start, piece) in self.stream.pieces(ends) {
            let head = match reader.receive(piece) {
                Ok(None) => continue,
                Ok(Some(head)) => head,
                Err(error) => return self.on_refusal(&error),
            };
            let request = match head.request() {
                Ok(request) => request,
                Err(error) => return self.on_refusal(&error),
            };
            return match self.config.negotiate(&request) {
                Err(error) => self.on_refusal(&error),
                Ok(acceptance) => {
                    let mut reply = Vec::new();
                    acceptance.write_to(&mut reply);
                    let ServerExpect::Accept {
                        target,
                        authority,
                        subprotocol,
                        leftover,
                        ..
                    } = &self.expect
                    else {
                        return Err(format!("accepts; due is {:?}", self.expect));
                    };
                    same(&request.target().as_ref().into(), &target.as_str().into())
                        .map_err(|why| format!("target {why}"))?;
                    same(&request.authority().into(), &authority.as_str().into())
                        .map_err(|why| format!("authority {why}"))?;
                    same(
                        &acceptance.agreed_subprotocol().into(),
                        &subprotocol.as_deref().into(),
                    )
                    .map_err(|why| format!("subprotocol {why}"))?;
                    self.stream
                        .check_leftover(start, head.consumed(), leftover)?;
                    self.check_acceptance(&reply, acceptance.deflate())
                }
            };
        }
        match self.expect {
            ServerExpect::Incomplete => Ok(()),
            _ => Err(format!("waits for more; due is {:?}", self.expect)),
        }
    }

    fn on_refusal(&self, error: &HandshakeError) -> Result<(), String> {
        let ServerExpect::Reject(refusal) = &self.expect else {
            let kind = error.kind();
            return Err(format!("refuses: {kind}; due is {:?}", self.expect));
        };
        refusal.check_kind(error)?;
        let mut reply = Vec::new();
        error.rejection().write_to(&mut reply);
        let reply = Reply::parse(&reply)?;
        refusal.check_status(error, &reply.status.to_string())?;
        reply.expect_all(&refusal.headers)?;
        // What HTTP asks of these two, whatever the reason.
        match reply.status {
            405 => reply.expect("allow", "GET"),
            426 => reply.expect("upgrade", "websocket"),
            _ => Ok(()),
        }
    }

    fn check_acceptance(&self, reply: &[u8], agreed: Option<DeflateParams>) -> Result<(), String> {
        let ServerExpect::Accept {
            status,
            headers,
            absent,
            deflate,
            ..
        } = &self.expect
        else {
            return Err("accepts".to_owned());
        };
        let reply = Reply::parse(reply)?;
        if reply.status != *status {
            return Err(format!("answers with status {}", reply.status));
        }
        reply.expect_all(headers)?;
        for name in absent {
            if let Some(value) = reply.header(name) {
                return Err(format!("answers with {name}: {value}"));
            }
        }
        if !reply.body.is_empty() {
            return Err("sends bytes behind the head of a 101".to_owned());
        }
        match (deflate, agreed) {
            (None, None) => Ok(()),
            (Some(expected), Some(agreed)) => {
                let header = reply.header("sec-websocket-extensions").unwrap_or_default();
                deflate::check_answer(header, expected)?;
                // What the frame layer is told must be what the peer is told.
                let told = deflate::told(header);
                if told == agreed {
                    Ok(())
                } else {
                    Err(format!("answers {header:?} and hands over {agreed:?}"))
                }
            }
            (expected, agreed) => Err(format!("agrees to {agreed:?}; due is {expected:?}")),
        }
    }
}
