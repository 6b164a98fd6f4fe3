//! Opening-handshake vectors and ws-handshake's view of them.

use serde_json::Value;
use ws_handshake::{
    ClientHandshake, ClientProgress, ClientRequest, DeflateOffer, DeflateParams, DeflatePolicy,
    Extensions, HandshakeError, HeadLimits, Nonce, OriginPolicy, ServerConfig, Uri, accept_key,
};

use super::Receiver;
use super::bytes;
use super::json::Object;
use crate::tool::Failure;

/// One vector of any of the families.
#[derive(Debug)]
pub(super) enum Test {
    Server(Box<Server>),
    Client(Box<Client>),
    Request(Box<Request>),
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
            Self::Request(_) | Self::Uri { .. } | Self::AcceptKey { .. } | Self::Grammar { .. } => {
                0
            }
        }
    }

    pub(super) fn into_input(self) -> Option<(Receiver, Vec<u8>)> {
        match self {
            Self::Server(vector) => Some((Receiver::Request, vector.stream.input)),
            Self::Client(vector) => Some((Receiver::Response, vector.stream.input)),
            Self::Request(_) | Self::Uri { .. } | Self::AcceptKey { .. } | Self::Grammar { .. } => {
                None
            }
        }
    }

    pub(super) fn check(&self, cuts: impl Iterator<Item = usize>) -> Result<(), String> {
        match self {
            Self::Server(vector) => vector.stream.check(cuts, |ends| vector.run(ends)),
            Self::Client(vector) => vector.stream.check(cuts, |ends| vector.run(ends)),
            Self::Request(vector) => vector.check(),
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

/// Bytes that come in any pieces.
#[derive(Debug)]
struct Stream {
    input: Vec<u8>,
    /// Where the vector's own chunks end.
    ends: Vec<usize>,
}

impl Stream {
    fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let mut stream = Self {
            input: Vec::new(),
            ends: Vec::new(),
        };
        for chunk in vector.texts("chunks")? {
            stream.input.extend(bytes::latin1(chunk)?);
            stream.ends.push(stream.input.len());
        }
        Ok(stream)
    }

    /// Runs in the vector's chunks, whole, cut in two everywhere, and byte by byte.
    fn check(
        &self,
        cuts: impl Iterator<Item = usize>,
        run: impl Fn(&[usize]) -> Result<(), String>,
    ) -> Result<(), String> {
        let end = self.input.len();
        run(&self.ends).map_err(|why| format!("in the vector's chunks: {why}"))?;
        run(&[end]).map_err(|why| format!("whole: {why}"))?;
        for cut in cuts {
            run(&[cut, end]).map_err(|why| format!("cut after {cut} bytes: {why}"))?;
        }
        let single: Vec<usize> = (1..=end).collect();
        run(&single).map_err(|why| format!("byte by byte: {why}"))
    }

    /// The pieces that end at `ends`, and where each begins.
    fn pieces<'s>(&'s self, ends: &'s [usize]) -> impl Iterator<Item = (usize, &'s [u8])> {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts
            .zip(ends)
            .map(|(start, &end)| (start, &self.input[start..end]))
    }

    /// The bytes behind a head of which `consumed` bytes lie in the piece that begins at `start`.
    fn check_leftover(&self, start: usize, consumed: usize, leftover: &[u8]) -> Result<(), String> {
        let found = self.input.get(start + consumed..).unwrap_or_default();
        if found == leftover {
            Ok(())
        } else {
            Err(format!(
                "leaves {} for the frames, not {}",
                bytes::show(found),
                bytes::show(leftover)
            ))
        }
    }
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

/// A request to a server, and what the server makes of it.
#[derive(Debug)]
pub(super) struct Server {
    config: ServerConfig,
    stream: Stream,
    expect: ServerExpect,
}

#[derive(Debug)]
enum ServerExpect {
    Incomplete,
    Reject {
        kinds: Vec<String>,
        statuses: Vec<u64>,
        headers: Vec<(String, String)>,
    },
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

impl Server {
    fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let settings = vector.object("config")?;
        let origins = match settings.get("origins") {
            None => OriginPolicy::Any,
            Some(_) => OriginPolicy::list(settings.texts("origins")?),
        };
        let mut config = ServerConfig::new(origins)
            .limits(limits(settings)?)
            .subprotocols(settings.texts("subprotocols")?);
        if settings.get("deflate").is_some() {
            config = config.deflate(policy(settings.object("deflate")?)?);
        }
        let expect = vector.object("expect")?;
        let texts = |field| -> Result<Vec<String>, Failure> {
            Ok(expect
                .texts(field)?
                .into_iter()
                .map(str::to_owned)
                .collect())
        };
        let expect = match expect.text("outcome")? {
            "incomplete" => ServerExpect::Incomplete,
            "reject" => ServerExpect::Reject {
                kinds: texts("kinds")?,
                statuses: expect
                    .list("statuses")?
                    .iter()
                    .filter_map(Value::as_u64)
                    .collect(),
                headers: pairs(expect, "headers")?,
            },
            "accept" => ServerExpect::Accept {
                status: expect.number("status")?,
                headers: pairs(expect, "headers")?,
                absent: texts("absent")?,
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

    fn run(&self, ends: &[usize]) -> Result<(), String> {
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
        let kind = error.kind();
        let ServerExpect::Reject {
            kinds,
            statuses,
            headers,
        } = &self.expect
        else {
            return Err(format!("refuses: {kind}; due is {:?}", self.expect));
        };
        if !kinds.iter().any(|one| one == kind) {
            return Err(format!("refuses: {kind}, not one of {kinds:?}"));
        }
        let mut reply = Vec::new();
        error.rejection().write_to(&mut reply);
        let reply = Reply::parse(&reply)?;
        if !statuses.contains(&reply.status) {
            return Err(format!(
                "answers {kind} with {}, not one of {statuses:?}",
                reply.status
            ));
        }
        reply.expect_all(headers)?;
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
                check_answer(header, expected)?;
                // What the frame layer is told must be what the peer is told.
                let told = told(header);
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

/// Parameters of a vector's `deflate`, with the defaults of RFC 7692.
fn params(value: Object<'_>) -> Result<DeflateParams, Failure> {
    let bits = |field| -> Result<u8, Failure> {
        let bits = value.number_or_none(field)?.unwrap_or(15);
        u8::try_from(bits).map_err(|_| value.wrong(field, "a size of a window"))
    };
    Ok(DeflateParams {
        server_no_context_takeover: value.flag("server_no_context_takeover")?,
        client_no_context_takeover: value.flag("client_no_context_takeover")?,
        server_max_window_bits: bits("server_max_window_bits")?,
        client_max_window_bits: bits("client_max_window_bits")?,
    })
}

fn policy(value: Object<'_>) -> Result<DeflatePolicy, Failure> {
    let params = params(value)?;
    Ok(DeflatePolicy::new()
        .server_no_context_takeover(params.server_no_context_takeover)
        .client_no_context_takeover(params.client_no_context_takeover)
        .server_max_window_bits(params.server_max_window_bits)
        .client_max_window_bits(params.client_max_window_bits))
}

/// The name and value of each parameter in a server's answer.
fn answered(header: &str) -> Result<Vec<(&str, Option<&str>)>, String> {
    let mut parts = header.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return Err(format!("answers with extensions {header:?}"));
    }
    Ok(parts
        .map(|part| match part.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (part, None),
        })
        .collect())
}

/// Holds an answer against `present`, `absent`, `optional` or `{max, required}` of each parameter.
fn check_answer(header: &str, expected: &Value) -> Result<(), String> {
    let answered = answered(header)?;
    let expected = expected
        .as_object()
        .ok_or("an expectation that is no object")?;
    if let Some((stranger, _)) = answered
        .iter()
        .find(|(name, _)| !expected.contains_key(*name))
    {
        return Err(format!("answers with a parameter {stranger}"));
    }
    for (name, rule) in expected {
        let values: Vec<_> = answered.iter().filter(|(given, _)| given == name).collect();
        let is_good = match (rule.as_str(), values.as_slice()) {
            (Some("present"), [(_, None)])
            | (Some("absent"), [])
            | (Some("optional"), [] | [(_, None)]) => true,
            (None, []) => rule["required"] == false,
            (None, [(_, Some(bits))]) => {
                let max = rule["max"].as_u64().unwrap_or_default();
                bits.parse()
                    .is_ok_and(|bits: u64| (8..=max).contains(&bits))
            }
            _ => false,
        };
        if !is_good {
            return Err(format!("answers {header:?}; {name} should be {rule}"));
        }
    }
    Ok(())
}

/// What an answer says to a client.
fn told(header: &str) -> DeflateParams {
    let mut params = DeflateParams::default();
    for (name, value) in answered(header).unwrap_or_default() {
        let bits = || value.and_then(|bits| bits.parse().ok()).unwrap_or_default();
        match name {
            "server_no_context_takeover" => params.server_no_context_takeover = true,
            "client_no_context_takeover" => params.client_no_context_takeover = true,
            "server_max_window_bits" => params.server_max_window_bits = bits(),
            "client_max_window_bits" => params.client_max_window_bits = bits(),
            _ => {}
        }
    }
    params
}

/// A reply to a client, and what the client makes of it.
#[derive(Debug)]
pub(super) struct Client {
    handshake: ClientHandshake,
    stream: Stream,
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
        subprotocol: Option<String>,
        deflate: Option<DeflateParams>,
        leftover: Vec<u8>,
    },
}

impl Client {
    fn parse(vector: Object<'_>) -> Result<Self, Failure> {
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
                kinds: expect
                    .texts("kinds")?
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            },
            "http_status" => ClientExpect::HttpStatus(expect.number("status")?),
            "accept" => ClientExpect::Accept {
                subprotocol: expect.text_or_none("subprotocol")?.map(str::to_owned),
                deflate: match expect.get("deflate") {
                    None => None,
                    Some(_) => Some(params(expect.object("deflate")?)?),
                },
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

    fn run(&self, ends: &[usize]) -> Result<(), String> {
        let mut handshake = self.handshake.clone();
        for (start, piece) in self.stream.pieces(ends) {
            match handshake.receive(piece) {
                Ok(ClientProgress::Incomplete) => {}
                Ok(ClientProgress::Agreed { agreed, consumed }) => {
                    let ClientExpect::Accept {
                        subprotocol,
                        deflate,
                        leftover,
                    } = &self.expect
                    else {
                        return Err(format!("accepts; due is {:?}", self.expect));
                    };
                    if agreed.subprotocol != *subprotocol {
                        return Err(format!(
                            "subprotocol {:?}, not {subprotocol:?}",
                            agreed.subprotocol
                        ));
                    }
                    if agreed.deflate != *deflate {
                        return Err(format!("agrees to {:?}, not {deflate:?}", agreed.deflate));
                    }
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

/// What a client sends.
#[derive(Debug)]
pub(super) struct Request {
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
    fn parse(vector: Object<'_>) -> Result<Self, Failure> {
        let expect = vector.object("expect")?;
        let texts = |field| -> Result<Vec<String>, Failure> {
            Ok(expect
                .texts(field)?
                .into_iter()
                .map(str::to_owned)
                .collect())
        };
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
                    headers: pairs(expect, "headers")?,
                    absent: texts("absent")?,
                    once: texts("once")?,
                    body: expect.text("body")?.to_owned(),
                },
            },
        })
    }

    fn check(&self) -> Result<(), String> {
        let config = Object::new(&self.config, &self.uri);
        let handshake = match (request(&self.uri, config), &self.expect) {
            (Err(kind), RequestExpect::Error(expected)) if kind == *expected => return Ok(()),
            (Err(kind), expect) => return Err(format!("refused: {kind}; due is {expect:?}")),
            (Ok(request), _) => request.start_random(),
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
fn request(uri: &str, config: Object<'_>) -> Result<ClientRequest, String> {
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

/// The fields of an object of strings.
fn pairs(of: Object<'_>, field: &str) -> Result<Vec<(String, String)>, Failure> {
    let object = of
        .get(field)
        .and_then(Value::as_object)
        .ok_or_else(|| of.wrong(field, "an object"))?;
    object
        .iter()
        .map(|(name, value)| {
            let value = value.as_str().ok_or_else(|| of.wrong(field, "strings"))?;
            Ok((name.clone(), value.to_owned()))
        })
        .collect()
}

/// An HTTP message that ws-handshake wrote, read by other means than its own.
#[derive(Debug)]
struct Message {
    start: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    fn parse(message: &[u8]) -> Result<Self, String> {
        let end = message
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or("writes a head without an end")?;
        let head = str::from_utf8(&message[..end]).map_err(|_| "writes a head that is not text")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(": ")
                    .filter(|_| !line.contains(['\r', '\n']))
                    .ok_or_else(|| format!("writes the line {line:?}"))?;
                Ok((name.to_ascii_lowercase(), value.to_owned()))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self {
            start,
            headers,
            body: message[end + 4..].to_vec(),
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn expect(&self, name: &str, value: &str) -> Result<(), String> {
        match self.header(name) {
            Some(given) if given == value => Ok(()),
            given => Err(format!("writes {name}: {given:?}, not {value:?}")),
        }
    }
}

/// A server's reply.
#[derive(Debug)]
struct Reply {
    status: u64,
    message: Message,
}

impl std::ops::Deref for Reply {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl Reply {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let message = Message::parse(bytes)?;
        let status = message
            .start
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| format!("writes the status line {:?}", message.start))?;
        Ok(Self { status, message })
    }

    fn expect_all(&self, headers: &[(String, String)]) -> Result<(), String> {
        headers
            .iter()
            .try_for_each(|(name, value)| self.expect(name, value))
    }
}

const SAMPLE_URI: &str = "ws://server.example.com/chat";
const SAMPLE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
