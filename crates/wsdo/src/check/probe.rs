//! What is done with a server to see whether it keeps a rule.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ws_smol::Error;

use super::rules::{About, CLOSE, Change, Frame, Len, PING, PONG, Probe, Rule, frame};
use crate::{
    client::Client,
    exit::Failure,
    frame::{self as wire, FrameReader},
    runtime::{
        Timer, future,
        io::{AsyncReadExt as _, AsyncWriteExt as _},
    },
    transport::Transport,
};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    Broken(String),
    /// The server takes what it should refuse, which does no harm.
    Lenient(String),
    /// It could not be seen.
    Undecided(String),
}

/// Looks at a server, one connection at a time.
pub(crate) struct Prober {
    client: Client,
    /// How long the server may take for an answer.
    timeout: Duration,
}

/// What the Ping says by which it is seen that a server goes on.
const STILL_THERE: &[u8] = b"still there?";

/// How long a server that has answered a Ping has to fail the connection.
const LATE: Duration = Duration::from_secs(1);

impl Prober {
    pub(crate) const fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout }
    }

    /// Makes sure that there is a server.
    pub(crate) async fn reach(&self) -> Result<(), Failure> {
        let uri = self.client.request.uri();
        match self.client.transport(uri).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::connecting(uri, &error)),
        }
    }

    /// Tells whether the server keeps a rule.
    pub(crate) async fn judge(&self, rule: &Rule) -> Verdict {
        let judged = match rule.probe {
            Probe::Answer(about) => self.answer(about).await,
            Probe::Refuses(changes) => self.refuses(changes).await,
            Probe::Version { must_list } => self.version(must_list).await,
            Probe::Fails(cases) => self.fails(cases).await,
            Probe::ShouldFail(cases) => self.fails(cases).await.map(Verdict::or_lenient),
            Probe::GoesOn(frames) => self.goes_on(frames).await,
            Probe::Pongs(payloads) => self.pongs(payloads).await,
            Probe::Closes(bodies) => self.closes(bodies).await,
            Probe::HalfCode => self.half_code().await,
            Probe::WrongCodes(codes) => self.wrong_codes(codes).await,
            Probe::Ends => self.ends().await,
            Probe::Unmasked => self.unmasked().await,
        };
        judged.unwrap_or_else(|unseen| Verdict::Undecided(unseen.0))
    }

    async fn answer(&self, about: About) -> Result<Verdict, Unseen> {
        let mut request = self.request()?;
        match about {
            About::UnknownHeaders => request.shuffle(),
            About::ListedSubprotocol => request.add("Sec-WebSocket-Protocol", "wsdo-a, wsdo-b"),
            _ => {}
        }
        let (answer, _) = self.ask(&request).await?;
        if !matches!(about, About::Status | About::UnknownHeaders) && answer.status != 101 {
            return Err(Unseen(format!("the answer has status {}", answer.status)));
        }
        let is_wrong = match about {
            About::Status => answer.status != 101,
            About::UnknownHeaders => {
                let (plain, _) = self.ask(&self.request()?).await?;
                plain.status == 101 && answer.status != 101
            }
            About::Upgrade => !answer.has_token("Upgrade", "websocket"),
            About::Connection => !answer.has_token("Connection", "Upgrade"),
            About::Accept => {
                let key = request.value("Sec-WebSocket-Key").unwrap_or_default();
                let accept = ws_handshake::accept_key(key.as_bytes());
                answer
                    .values("Sec-WebSocket-Accept")
                    .map(str::as_bytes)
                    .ne([&accept[..]])
            }
            About::ListedSubprotocol => answer
                .values("Sec-WebSocket-Protocol")
                .any(|name| !["wsdo-a", "wsdo-b"].contains(&name)),
            // What the command line asks for is asked for.
            About::NoSubprotocol => {
                request.value("Sec-WebSocket-Protocol").is_none()
                    && answer.values("Sec-WebSocket-Protocol").next().is_some()
            }
            About::NoExtension => {
                request.value("Sec-WebSocket-Extensions").is_none()
                    && answer.values("Sec-WebSocket-Extensions").next().is_some()
            }
        };
        Ok(Verdict::broken_if(is_wrong, || answer.first_lines()))
    }

    async fn refuses(&self, changes: &[Change]) -> Result<Verdict, Unseen> {
        for change in changes {
            let mut request = self.request()?;
            request.change(*change);
            let accepted = match self.ask(&request).await {
                Ok((answer, _)) => answer.status == 101,
                // It refuses by ending the connection.
                Err(_) => false,
            };
            if accepted {
                return Ok(Verdict::Lenient(change.told()));
            }
        }
        Ok(Verdict::Kept)
    }

    async fn version(&self, must_list: bool) -> Result<Verdict, Unseen> {
        let mut request = self.request()?;
        request.change(Change::Value("Sec-WebSocket-Version", "99"));
        let (answer, _) = self.ask(&request).await?;
        let listed = answer
            .values("Sec-WebSocket-Version")
            .flat_map(|list| list.split(','));
        let lists = listed.map(str::trim).any(|version| version == "13");
        Ok(match (must_list, answer.status) {
            (false, 101) => Verdict::Lenient("version 99 is accepted".to_owned()),
            (true, 101) => return Err(Unseen("version 99 is accepted".to_owned())),
            (true, status) if !lists => {
                Verdict::Lenient(format!("status {status} without Sec-WebSocket-Version: 13"))
            }
            _ => Verdict::Kept,
        })
    }

    async fn fails(&self, cases: &[&[Frame]]) -> Result<Verdict, Unseen> {
        for frames in cases {
            let mut open = self.open().await?;
            open.send(frames).await;
            open.send(&[frame(PING, STILL_THERE)]).await;
            // Who judges a message when it is taken may answer the Ping before that.
            let (mut until, mut is_answered) = (Instant::now() + self.timeout, false);
            let seen = loop {
                match open.next_until(until).await {
                    Seen::Frame(frame) if frame.is(CLOSE) => break None,
                    Seen::End => break None,
                    Seen::Frame(frame) if frame.is(PONG) && frame.start == STILL_THERE => {
                        until = Instant::now() + self.timeout.min(LATE);
                        is_answered = true;
                    }
                    Seen::Frame(_) => {}
                    Seen::Nothing if is_answered => {
                        break Some("the server goes on, and answers a Ping");
                    }
                    Seen::Nothing => break Some("the connection is neither closed nor ended"),
                }
            };
            if let Some(seen) = seen {
                return Ok(Verdict::Broken(format!("after {}: {seen}", told(frames))));
            }
        }
        Ok(Verdict::Kept)
    }

    async fn goes_on(&self, frames: &[Frame]) -> Result<Verdict, Unseen> {
        let mut open = self.open().await?;
        open.send(frames).await;
        open.send(&[frame(PING, STILL_THERE)]).await;
        let after = || match frames.is_empty() {
            true => String::new(),
            false => format!("after {}: ", told(frames)),
        };
        loop {
            return Ok(Verdict::Broken(match open.next(self.timeout).await {
                Seen::Frame(frame) if frame.is(PONG) && frame.start == STILL_THERE => {
                    return Ok(Verdict::Kept);
                }
                Seen::Frame(frame) if frame.is(CLOSE) => match frame.start.first_chunk() {
                    // An application may have enough of us for reasons of its own.
                    Some(code) if !matches!(u16::from_be_bytes(*code), 1002 | 1007) => {
                        let code = u16::from_be_bytes(*code);
                        return Err(Unseen(format!("the server closed with {code}")));
                    }
                    None => return Err(Unseen("the server closed".to_owned())),
                    Some(code) => {
                        format!("{}closed with {}", after(), u16::from_be_bytes(*code))
                    }
                },
                Seen::Frame(_) => continue,
                Seen::End => format!("{}the connection has ended", after()),
                Seen::Nothing => format!("{}no Pong has come", after()),
            }));
        }
    }

    async fn pongs(&self, payloads: &[&'static [u8]]) -> Result<Verdict, Unseen> {
        for payload in payloads {
            let mut open = self.open().await?;
            open.send(&[frame(PING, payload)]).await;
            loop {
                match open.next(self.timeout).await {
                    Seen::Frame(frame) if frame.is(PONG) && frame.start == *payload => break,
                    Seen::Frame(frame) if frame.is(PONG) => {
                        let (sent, got) = (payload.len(), frame.len);
                        return Ok(Verdict::Broken(format!(
                            "a Ping of {sent} bytes, and a Pong of {got} others"
                        )));
                    }
                    Seen::Frame(_) => {}
                    Seen::End | Seen::Nothing => return Err(Unseen("no Pong has come".to_owned())),
                }
            }
        }
        Ok(Verdict::Kept)
    }

    /// Sends a Close with a body, and returns the body of the server's.
    async fn close(&self, body: &[u8]) -> Result<(Option<Vec<u8>>, Open), Unseen> {
        let mut open = self.open().await?;
        open.send_bytes(&encode(CLOSE, Len::Short, true, body))
            .await;
        loop {
            match open.next(self.timeout).await {
                Seen::Frame(frame) if frame.is(CLOSE) => return Ok((Some(frame.start), open)),
                Seen::Frame(_) => {}
                Seen::End | Seen::Nothing => return Ok((None, open)),
            }
        }
    }

    async fn closes(&self, bodies: &[&[u8]]) -> Result<Verdict, Unseen> {
        for body in bodies {
            if let (None, _) = self.close(body).await? {
                let len = body.len();
                return Ok(Verdict::Broken(format!(
                    "no Close after one with {len} bytes"
                )));
            }
        }
        Ok(Verdict::Kept)
    }

    async fn half_code(&self) -> Result<Verdict, Unseen> {
        let (reply, _) = self.close(&[3]).await?;
        let is_wrong = reply.is_some_and(|body| body.len() == 1);
        Ok(Verdict::broken_if(is_wrong, || {
            "the Close that comes back has half a code".to_owned()
        }))
    }

    async fn wrong_codes(&self, codes: &[u16]) -> Result<Verdict, Unseen> {
        for code in codes {
            let (reply, _) = self.close(&code.to_be_bytes()).await?;
            if reply.is_some_and(|body| body.starts_with(&code.to_be_bytes())) {
                return Ok(Verdict::Broken(format!("{code} comes back")));
            }
        }
        Ok(Verdict::Kept)
    }

    async fn ends(&self) -> Result<Verdict, Unseen> {
        let (reply, mut open) = self.close(&1000u16.to_be_bytes()).await?;
        if reply.is_none() {
            return Err(Unseen("no Close has come back".to_owned()));
        }
        loop {
            match open.next(self.timeout).await {
                Seen::End => return Ok(Verdict::Kept),
                Seen::Frame(_) => {}
                Seen::Nothing => {
                    return Ok(Verdict::Broken("the connection stays open".to_owned()));
                }
            }
        }
    }

    async fn unmasked(&self) -> Result<Verdict, Unseen> {
        let mut open = self.open().await?;
        open.send(&[frame(0x81, b"Hello"), frame(PING, STILL_THERE)])
            .await;
        open.send_bytes(&encode(CLOSE, Len::Short, true, &1000u16.to_be_bytes()))
            .await;
        let mut frames = 0;
        loop {
            match open.next(self.timeout).await {
                Seen::Frame(frame) if frame.key.is_some() => {
                    return Ok(Verdict::Broken(format!("a masked {}", frame.name())));
                }
                Seen::Frame(_) => frames += 1,
                Seen::End | Seen::Nothing if frames == 0 => {
                    return Err(Unseen("no frame has come".to_owned()));
                }
                Seen::End | Seen::Nothing => return Ok(Verdict::Kept),
            }
        }
    }

    fn request(&self) -> Result<Request, Unseen> {
        let handshake = self.client.request.clone().start_random();
        let handshake = handshake.map_err(|error| Unseen(error.to_string()))?;
        Ok(Request::parse(handshake.request_bytes()))
    }

    /// Opens a connection as it should be.
    async fn open(&self) -> Result<Open, Unseen> {
        let (answer, open) = self.ask(&self.request()?).await?;
        match answer.status {
            101 => Ok(open),
            status => Err(Unseen(format!("the answer has status {status}"))),
        }
    }

    /// Sends a request, and reads the head of the answer.
    async fn ask(&self, request: &Request) -> Result<(Answer, Open), Unseen> {
        let (stream, _) = self.client.transport(self.client.request.uri()).await?;
        let mut open = Open {
            stream,
            reader: FrameReader::default(),
            frames: VecDeque::new(),
        };
        open.send_bytes(&request.to_bytes()).await;
        let mut head = Vec::new();
        let until = Instant::now() + self.timeout;
        loop {
            if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                open.take(&head[end + 4..]);
                head.truncate(end);
                return Ok((Answer::parse(&head)?, open));
            }
            if head.len() > MAX_HEAD {
                return Err(Unseen("the head of the answer has no end".to_owned()));
            }
            match open.read(until).await {
                Some(bytes) if !bytes.is_empty() => head.extend(bytes),
                Some(_) => return Err(Unseen("the connection ended in the handshake".to_owned())),
                None => return Err(Unseen("no answer has come".to_owned())),
            }
        }
    }
}

const MAX_HEAD: usize = 64 * 1024;

/// Why something could not be seen.
#[derive(Debug)]
struct Unseen(String);

impl From<Error> for Unseen {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl Verdict {
    fn broken_if(is_wrong: bool, why: impl FnOnce() -> String) -> Self {
        match is_wrong {
            true => Self::Broken(why()),
            false => Self::Kept,
        }
    }

    fn or_lenient(self) -> Self {
        match self {
            Self::Broken(why) => Self::Lenient(why),
            other => other,
        }
    }
}

/// A connection.
struct Open {
    stream: Box<dyn Transport>,
    reader: FrameReader,
    frames: VecDeque<wire::Frame>,
}

enum Seen {
    Frame(wire::Frame),
    End,
    /// Not in time.
    Nothing,
}

impl Open {
    async fn send(&mut self, frames: &[Frame]) {
        for frame in frames {
            let bytes = encode(frame.first, frame.len, frame.is_masked, frame.payload);
            self.send_bytes(&bytes).await;
        }
    }

    /// Sends as much as the server takes: it may have ended already.
    async fn send_bytes(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).await.is_ok() {
            let _ = self.stream.flush().await;
        }
    }

    /// Reads what comes next: nothing at the end, `None` if it does not come in
    /// time.
    async fn read(&mut self, until: Instant) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 4096];
        let reading = async { Some(self.stream.read(&mut bytes).await.unwrap_or(0)) };
        let late = async {
            Timer::at(until).await;
            None
        };
        let n = future::or(reading, late).await?;
        bytes.truncate(n);
        Some(bytes)
    }

    fn take(&mut self, bytes: &[u8]) {
        let frames = &mut self.frames;
        self.reader
            .read(bytes, |frame| frames.push_back(frame.clone()));
    }

    async fn next(&mut self, timeout: Duration) -> Seen {
        self.next_until(Instant::now() + timeout).await
    }

    async fn next_until(&mut self, until: Instant) -> Seen {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Seen::Frame(frame);
            }
            match self.read(until).await {
                None => return Seen::Nothing,
                Some(bytes) if bytes.is_empty() => return Seen::End,
                Some(bytes) => self.take(&bytes),
            }
        }
    }
}

impl wire::Frame {
    fn is(&self, first: u8) -> bool {
        self.is_fin() && self.opcode() == first & 0xf
    }
}

/// Writes a frame as it is asked for, right or wrong.
fn encode(first: u8, len: Len, is_masked: bool, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let bit = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match (len, payload.len()) {
        (Len::Short, len @ 0..=125) => bytes.push(bit | len as u8),
        (Len::Short | Len::Two, len) => {
            bytes.push(bit | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        (Len::Eight, len) => {
            bytes.push(bit | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
        (Len::Wrong(len), _) => {
            bytes.push(bit | 127);
            bytes.extend(len.to_be_bytes());
        }
    }
    if !is_masked {
        bytes.extend(payload);
        return bytes;
    }
    bytes.extend(KEY);
    bytes.extend(
        payload
            .iter()
            .zip(KEY.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

/// Names frames by their heads.
fn told(frames: &[Frame]) -> String {
    let heads = frames.iter().map(|frame| {
        let bytes = encode(frame.first, frame.len, frame.is_masked, b"");
        let len = match frame.len {
            Len::Short => format!("{} bytes", frame.payload.len()),
            _ => format!(
                "a length in {} bytes more",
                bytes.len() - if frame.is_masked { 6 } else { 2 }
            ),
        };
        let mask = if frame.is_masked {
            "masked"
        } else {
            "unmasked"
        };
        format!("{:02x} {mask} with {len}", frame.first)
    });
    heads.collect::<Vec<_>>().join(", ")
}

/// A request as lines.
struct Request {
    method: String,
    rest: String,
    fields: Vec<(String, String)>,
}

impl Request {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.trim_end().split("\r\n");
        let first = lines.next().unwrap_or_default();
        let (method, rest) = first.split_once(' ').unwrap_or((first, ""));
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        Self {
            method: method.to_owned(),
            rest: rest.to_owned(),
            fields: lines.filter_map(field).collect(),
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Method(method) => method.clone_into(&mut self.method),
            Change::Without(name) => self.fields.retain(|(known, _)| known != name),
            Change::Value(name, value) => {
                self.change(Change::Without(name));
                self.add(name, value);
            }
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// Turns the order of the headers round, writes their names in another
    /// case, and adds what nobody knows.
    fn shuffle(&mut self) {
        self.fields.reverse();
        for (name, value) in &mut self.fields {
            *name = name.to_ascii_lowercase();
            if value.eq_ignore_ascii_case("websocket") {
                *value = "WebSocket".to_owned();
            }
        }
        self.add("X-Wsdo-Unknown", "a, b; c");
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let (_, value) = fields.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {}\r\n", self.method, self.rest);
        for (name, value) in &self.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }
}

impl Change {
    fn told(self) -> String {
        match self {
            Self::Method(method) => format!("{method} is accepted"),
            Self::Without(name) => format!("a request without {name} is accepted"),
            Self::Value(name, value) => format!("{name}: {value} is accepted"),
        }
    }
}

/// The head of an answer.
struct Answer {
    status: u16,
    text: String,
}

impl Answer {
    fn parse(head: &[u8]) -> Result<Self, Unseen> {
        let text = String::from_utf8_lossy(head).into_owned();
        let status = text
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.get(2..5)?.parse().ok())
            .ok_or_else(|| Unseen("the answer is no HTTP/1.1".to_owned()))?;
        Ok(Self { status, text })
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.split("\r\n").skip(1).filter_map(move |line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|list| list.split(','))
            .any(|element| element.trim().eq_ignore_ascii_case(token))
    }

    fn first_lines(&self) -> String {
        self.text.lines().take(8).collect::<Vec<_>>().join(" | ")
    }
}
