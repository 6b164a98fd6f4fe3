//! The other end of a connection: an independent model that is made of
//! ws-proto's own parts, numbers what it sends, and checks what comes.

mod heard;
mod line;
mod talk;
mod wrong;

use std::{cell::RefCell, rc::Rc, time::Duration};

use ws_handshake::{
    ClientHandshake, ClientProgress, ClientRequest, HeadReader, Nonce, ServerConfig, Uri,
};
use ws_proto::{ClientMasking, CloseCode, CloseFrame, DeflatePool, InflatePool, ServerMasking};

pub(crate) use self::{
    heard::{Heard, Seen},
    talk::Talk,
};
use self::{line::Line, wrong::Wrong};
use crate::{
    front::{Layer, Said},
    message::{Name, Row},
    plan::Plan,
    random::Random,
    wire::Stream,
};

/// What the peers of a simulation share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: Rc<Plan>,
    pub(crate) random: Random,
    server: ServerConfig,
    inflate: InflatePool,
    deflate: DeflatePool,
    text: String,
    bytes: Vec<u8>,
}

/// A peer of the loop.
#[derive(Debug)]
pub(crate) struct ModelPeer {
    pub(crate) number: u32,
    pub(crate) stream: Rc<RefCell<Stream>>,
    pub(crate) stage: Stage,
    pub(crate) mood: Mood,
    /// What waits to be put on the wire.
    out: Vec<u8>,
    /// It ends its direction when that has left.
    ends: bool,
    has_ended: bool,
    /// It broke a rule of the protocol, or passed a limit, on purpose.
    pub(crate) is_wrong: bool,
    /// It does not finish the message that it has begun.
    dawdles: bool,
    /// When all that it had begun was read.
    pub(crate) dawdles_since: Option<Duration>,
    /// Its request is larger than may be.
    is_too_large: bool,
    /// It has connected to the loop.
    pub(crate) is_client: bool,
    line: Line,
}

#[derive(Debug)]
pub(crate) enum Stage {
    /// A client waits for the answer.
    Asking(Box<ClientHandshake>),
    /// A server waits for the request.
    Answering(Box<HeadReader>),
    Open(Box<Talk>),
    /// The stream is over. What is left tells what had come.
    Over(Option<Box<Talk>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Normal,
    /// Reads nothing for now.
    Stalled,
    /// Reads nothing more, ever.
    Deaf,
    /// Neither reads nor writes, ever.
    Silent,
}

impl Shared {
    pub(crate) fn new(plan: &Rc<Plan>, random: &mut Random) -> Self {
        Self {
            plan: Rc::clone(plan),
            random: random.fork(),
            server: plan.config.handshake.clone(),
            inflate: InflatePool::default(),
            deflate: DeflatePool::new(plan.config.deflate),
            text: String::new(),
            bytes: Vec::new(),
        }
    }

    fn nonce(&mut self) -> Nonce {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.random.bits().to_le_bytes());
        Nonce::from_bytes(bytes)
    }
}

impl ModelPeer {
    /// Makes a client, which asks at once.
    pub(crate) fn client(stream: Rc<RefCell<Stream>>, shared: &mut Shared) -> Self {
        let number = stream.borrow().number;
        let uri = Uri::parse(&format!("ws://simulation/{number}")).expect("a URI");
        let request = ClientRequest::new(uri);
        let request = match shared.plan.offer(&mut shared.random) {
            Some(offer) => request.offer(offer),
            None => request,
        };
        let handshake = request.start(shared.nonce());
        let out = handshake.request_bytes().to_vec();
        let mut peer = Self::new(stream, Stage::Asking(Box::new(handshake)));
        match shared.plan.layer {
            Layer::None => {}
            Layer::Proxy => peer.out = Said::of(number).header(shared.random.chance(500)),
            Layer::Tls => peer.line = Line::client(shared.plan.identity()),
        }
        peer.out.extend(out);
        peer.is_client = true;
        peer
    }

    /// Makes a server, which waits to be asked; the loop has `dialled` it, or has been given a
    /// stream to it.
    pub(crate) fn server(stream: Rc<RefCell<Stream>>, shared: &Shared, dialled: bool) -> Self {
        let reader = shared.server.head_reader();
        let mut peer = Self::new(stream, Stage::Answering(Box::new(reader)));
        if shared.plan.layer == Layer::Tls && !dialled {
            peer.line = Line::server(shared.plan.identity());
        }
        peer
    }

    fn new(stream: Rc<RefCell<Stream>>, stage: Stage) -> Self {
        let number = stream.borrow().number;
        Self {
            number,
            stream,
            stage,
            mood: Mood::Normal,
            out: Vec::new(),
            ends: false,
            has_ended: false,
            is_wrong: false,
            dawdles: false,
            dawdles_since: None,
            is_too_large: false,
            is_client: false,
            line: Line::default(),
        }
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over(_))
    }

    /// Tells whether it has sent all it has to say, and will end, or has.
    pub(crate) const fn is_ending(&self) -> bool {
        self.ends
    }

    pub(crate) const fn has_sent_all(&self) -> bool {
        self.out.is_empty() && self.ends == self.has_ended && !self.line.is_blocked()
    }

    /// Lends what was said and heard, also after the end.
    pub(crate) fn talk(&self) -> Option<&Talk> {
        match &self.stage {
            Stage::Open(talk) | Stage::Over(Some(talk)) => Some(talk),
            _ => None,
        }
    }

    /// Has nothing more to say, and says so.
    pub(crate) const fn end(&mut self) {
        self.ends = true;
    }

    /// Drops its end of a stream that is over for it.
    pub(crate) fn hang_up(&self) {
        let mut stream = self.stream.borrow_mut();
        if self.is_over() && !stream.inbound.is_ended {
            stream.end();
        }
    }

    pub(crate) fn vanish(&mut self) {
        self.stream.borrow_mut().reset();
        self.over();
    }

    fn over(&mut self) {
        self.out = Vec::new();
        self.ends = self.has_ended;
        let stage = std::mem::replace(&mut self.stage, Stage::Over(None));
        if let Stage::Open(talk) | Stage::Over(Some(talk)) = stage {
            self.stage = Stage::Over(Some(talk));
        }
    }

    /// Does something, or nothing; returns how much it reads then.
    pub(crate) fn act(&mut self, random: &mut Random, shared: &mut Shared) -> usize {
        if self.stream.borrow().is_connecting() {
            match random.below(20) {
                0 => self.vanish(),
                1..=8 => self.stream.borrow_mut().accept(),
                _ => {}
            }
        }
        if random.chance(shared.plan.wrongs) {
            match random.below(8) {
                0 => self.be_wrong(shared),
                1 => self.vanish(),
                2 => self.end(),
                3 => self.mood = Mood::Deaf,
                4 => self.mood = Mood::Silent,
                5 => self.dawdle(),
                6 => self.flood(shared),
                _ => self.close(),
            }
        }
        match self.mood {
            Mood::Normal if random.chance(10) => self.mood = Mood::Stalled,
            Mood::Stalled if random.chance(100) => self.mood = Mood::Normal,
            _ => {}
        }
        match random.below(100) {
            0..60 => {
                for _ in 0..random.choose(&[1, 1, 2, 10]) {
                    self.send(shared);
                }
            }
            60..63 => self.ping(),
            63 if random.chance(200) => self.close(),
            _ => {}
        }
        let [push, pull] = [(); 2].map(|()| random.choose(&[1, 100, 10_000, usize::MAX]));
        self.push(push);
        pull
    }

    /// Sends the next message, in one of many ways.
    pub(crate) fn send(&mut self, shared: &mut Shared) {
        // What waits here is no business of the loop.
        if self.out.len() > 64 * 1024 || !self.may_talk() {
            return;
        }
        let Stage::Open(talk) = &mut self.stage else {
            return;
        };
        let name = Name {
            row: Row::Peer,
            connection: self.number,
            number: talk.sent,
        };
        name.write(shared.plan.len(&mut shared.random), &mut shared.text);
        talk.sent += 1;
        talk.sent_bytes += shared.text.len() as u64;
        talk.append(name, shared, &mut self.out);
    }

    pub(crate) fn ping(&mut self) {
        if self.may_talk()
            && let Stage::Open(talk) = &mut self.stage
        {
            talk.ping(&mut self.out);
        }
    }

    pub(crate) fn close(&mut self) {
        if self.may_talk()
            && let Stage::Open(talk) = &mut self.stage
            && let Ok(frame) = talk.sender.close(Some(CloseFrame {
                code: CloseCode::NORMAL,
                reason: "bye",
            }))
        {
            frame.append_to(&mut self.out, 0);
        }
    }

    /// Breaks a rule, or a limit.
    pub(crate) fn be_wrong(&mut self, shared: &mut Shared) {
        if !self.may_talk() {
            return;
        }
        if let Stage::Open(talk) = &mut self.stage {
            let wrong = Wrong::choose(talk, shared);
            wrong.append(talk, shared, &mut self.out);
            self.is_wrong = true;
        }
    }

    /// Begins a message, and says nothing more.
    pub(crate) fn dawdle(&mut self) {
        if !self.may_talk() {
            return;
        }
        if let Stage::Open(talk) = &self.stage {
            talk.append_raw(&mut self.out, 0x02, b"");
            self.dawdles = true;
        }
    }

    /// Sends more Pings than there may be.
    pub(crate) fn flood(&mut self, shared: &Shared) {
        let most = shared.plan.config.time_limits.max_control_rate;
        if most < 200 && self.may_talk() {
            for _ in 0..2 * most {
                self.ping();
            }
        }
    }

    /// Tells whether it may send what it likes.
    fn may_talk(&self) -> bool {
        let may_send = |talk: &Talk| !talk.is_close_sent();
        let is_open = matches!(&self.stage, Stage::Open(talk) if may_send(talk));
        is_open && !self.ends && !self.is_wrong && !self.dawdles
    }

    /// Notes that nothing is on its way to the loop.
    pub(crate) fn note_all_read(&mut self, now: Duration) {
        if self.dawdles {
            self.dawdles_since.get_or_insert(now);
        }
    }

    /// Makes the request of a client, of which nothing has left, larger than may be: by its lines
    /// or by its bytes.
    pub(crate) fn exaggerate(&mut self, shared: &mut Shared) {
        let limits = shared.server.head_limits();
        if !self.is_client {
            return;
        }
        self.is_too_large = true;
        self.out.truncate(self.out.len() - 2);
        match shared.random.chance(500) {
            true => self.out.extend(b"a: b\r\n".repeat(limits.max_headers)),
            false => {
                self.out.extend(b"a: ");
                self.out.extend(vec![b'b'; limits.max_head]);
                self.out.extend(b"\r\n");
            }
        }
        self.out.extend(b"\r\n");
    }

    /// Puts up to `most` bytes on the wire.
    pub(crate) fn push(&mut self, most: usize) {
        if self.mood == Mood::Silent || self.has_ended || self.is_over() {
            return;
        }
        let mut stream = self.stream.borrow_mut();
        if stream.is_connecting() {
            return;
        }
        let len = most.min(self.out.len());
        let len = self.line.push(&mut stream, &self.out[..len]);
        self.out.drain(..len);
        if self.ends && self.out.is_empty() {
            self.has_ended = self.line.end(&mut stream);
        }
    }

    /// Says in one line how it stands.
    pub(crate) fn sketch(&self) -> String {
        let stage = match self.stage {
            Stage::Asking(_) => "asks",
            Stage::Answering(_) => "answers",
            Stage::Open(_) => "is open",
            Stage::Over(_) => "is over",
        };
        let stream = self.stream.borrow();
        format!(
            "peer {} {stage}, {:?}, with {} bytes to send, {} on their way to the loop, {} from it",
            self.number,
            self.mood,
            self.out.len(),
            stream.inbound.bytes.len(),
            stream.outbound.bytes.len(),
        )
    }

    /// Reads up to `most` bytes and looks at what they say.
    pub(crate) fn pull(&mut self, most: usize, shared: &mut Shared, seen: &mut Vec<Seen>) {
        if self.mood != Mood::Normal || self.is_over() {
            return;
        }
        let mut bytes = std::mem::take(&mut shared.bytes);
        bytes.clear();
        let pulled = self
            .line
            .pull(&mut self.stream.borrow_mut(), most, &mut bytes);
        self.receive(&mut bytes, shared, seen);
        if pulled.is_none() && !self.is_over() {
            seen.push(Seen::End);
            self.over();
        }
        shared.bytes = bytes;
    }

    fn receive(&mut self, mut bytes: &mut [u8], shared: &mut Shared, seen: &mut Vec<Seen>) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.stage {
            Stage::Asking(handshake) => match handshake.receive(bytes) {
                Ok(ClientProgress::Incomplete) => return,
                Ok(ClientProgress::Agreed { agreed, consumed }) => {
                    assert!(!self.is_too_large, "a request that is too large is granted");
                    let masking = ClientMasking::with_set_mask_to_zero(
                        shared.plan.config.set_mask_to_zero != Default::default()
                            && shared.random.chance(500),
                    );
                    let talk = Talk::new(
                        masking.into(),
                        agreed.deflate,
                        true,
                        shared.plan.config.max_frame_sent,
                    );
                    self.stage = Stage::Open(Box::new(talk));
                    bytes = &mut bytes[consumed..];
                }
                // The loop stops, or took too long to ask.
                Ok(ClientProgress::Refused { .. }) => return self.over(),
                Err(error) => panic!("a client gets no answer but {error}"),
            },
            Stage::Answering(reader) => {
                let head = reader.receive(bytes).expect("a request of the loop's");
                let Some(head) = head else {
                    return;
                };
                let request = head.request().expect("a request of the loop's");
                let acceptance = shared.server.negotiate(&request).expect("a good request");
                acceptance.write_to(&mut self.out);
                let masking = ServerMasking::with_accept_unmasked_frame(false);
                let talk = Talk::new(
                    masking.into(),
                    acceptance.deflate(),
                    false,
                    shared.plan.config.max_frame_sent,
                );
                let consumed = head.consumed();
                self.stage = Stage::Open(Box::new(talk));
                bytes = &mut bytes[consumed..];
            }
            Stage::Open(_) | Stage::Over(_) => {}
        }
        if let Stage::Open(talk) = &mut self.stage {
            let may_send = !self.ends && !self.is_wrong;
            let replies = may_send.then_some(&mut self.out);
            talk.receive(self.number, bytes, shared, replies, seen);
            if talk.is_close_received && !talk.is_client() {
                // A server ends the stream.
                self.ends = true;
            }
        }
    }
}
