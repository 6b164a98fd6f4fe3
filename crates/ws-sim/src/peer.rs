//! The other end of a connection: an independent model that is made of
//! ws-proto's own parts, numbers what it sends, and checks what comes.

use std::{cell::RefCell, rc::Rc, time::Duration};

use ws_handshake::{
    ClientHandshake, ClientProgress, ClientRequest, DeflateParams, HeadReader, Nonce, ServerConfig,
    Uri,
};
use ws_mio::SlowConsumer;
use ws_proto::{
    Assembler, ClientMasking, CloseCode, CloseFrame, DeflatePool, DeflateWindow, Deflater, Event,
    InflatePool, Inflater, Limits, Masking, MaskingPolicy as _, Message, Receiver, Sender,
    ServerMasking,
};

use crate::{
    app::{KEYS, TOPICS},
    message::{Name, Row},
    plan::{MOST_PIECES, Plan},
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

/// A conversation.
#[derive(Debug)]
pub(crate) struct Talk {
    sender: Sender<Masking>,
    receiver: Receiver,
    assembler: Assembler,
    codecs: Option<(Inflater, Deflater)>,
    /// Messages that were made, and their bytes.
    pub(crate) sent: u32,
    pub(crate) sent_bytes: u64,
    pub(crate) heard: Heard,
    /// How many Pings were sent, and which was answered last.
    pub(crate) pings: u32,
    pub(crate) pong: u32,
    pub(crate) is_close_received: bool,
}

/// What came.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Messages for this peer alone.
    pub(crate) direct: u32,
    /// The newest of them.
    pub(crate) last_direct: Option<u32>,
    /// Messages of its own that came back.
    pub(crate) echoes: u32,
    last_echo: Option<u32>,
    /// The last of each key.
    keyed: [Option<u32>; KEYS as usize],
    /// The last message of each topic.
    pub(crate) topics: [Option<u32>; TOPICS],
}

/// Something that a peer has seen and the rest of the world may judge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// A message of a topic, and the one before.
    Published {
        topic: usize,
        before: Option<u32>,
        number: u32,
    },
    /// A message of its own came back, after others.
    Echo { number: u32, direct: u32 },
    /// The loop's Close.
    Close,
    /// The end of the stream.
    End,
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
        peer.out = out;
        peer.is_client = true;
        peer
    }

    /// Makes a server, which waits to be asked.
    pub(crate) fn server(stream: Rc<RefCell<Stream>>, shared: &Shared) -> Self {
        let reader = shared.server.head_reader();
        Self::new(stream, Stage::Answering(Box::new(reader)))
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
        self.out.is_empty() && self.ends == self.has_ended
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

    /// Makes the request of a client, of which nothing has left, larger than may be: by its lines or
    /// by its bytes.
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
        let len = stream.push(&self.out[..most.min(self.out.len())]);
        self.out.drain(..len);
        if self.ends && self.out.is_empty() {
            stream.end();
            self.has_ended = true;
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
        let pulled = self.stream.borrow_mut().pull(most, &mut bytes);
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
                    let talk = Talk::new(masking.into(), agreed.deflate, true);
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
                let talk = Talk::new(masking.into(), acceptance.deflate(), false);
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

impl Talk {
    fn new(masking: Masking, deflate: Option<DeflateParams>, is_client: bool) -> Self {
        let codecs = deflate.map(|params| {
            let server = DeflateWindow::new(
                params.server_no_context_takeover,
                params.server_max_window_bits,
            );
            let client = DeflateWindow::new(
                params.client_no_context_takeover,
                params.client_max_window_bits,
            );
            let [receives, sends] = match is_client {
                true => [server, client],
                false => [client, server],
            };
            (Inflater::new(receives), Deflater::new(sends))
        });
        let limits = Limits::default();
        Self {
            receiver: Receiver::new(masking.inbound(), limits).accept_compressed(codecs.is_some()),
            sender: Sender::new(masking),
            assembler: Assembler::new(),
            codecs,
            sent: 0,
            sent_bytes: 0,
            heard: Heard::default(),
            pings: 0,
            pong: 0,
            is_close_received: false,
        }
    }

    /// Returns how many messages came for this peer, and how many came back.
    pub(crate) const fn heard(&self) -> (u32, u32) {
        (self.heard.direct, self.heard.echoes)
    }

    pub(crate) fn is_client(&self) -> bool {
        matches!(self.sender.masking(), Masking::Client(_))
    }

    pub(crate) const fn is_compressed(&self) -> bool {
        self.codecs.is_some()
    }

    pub(crate) const fn is_close_sent(&self) -> bool {
        self.sender.is_close_sent()
    }

    /// A client masks with zero if it was told to, and only then.
    fn check_keys(&mut self, plan: &Plan) {
        let counts = self.receiver.take_counts();
        let frames: u32 = counts.by_opcode.iter().sum();
        let expected = match plan.config.set_mask_to_zero == Default::default() {
            true => 0,
            false => frames,
        };
        if !self.is_client() {
            assert_eq!(counts.zero_key, expected, "frames with the key of zero");
        }
    }

    /// Appends a frame whatever may be said of it, with a key of zero where a client sends it.
    fn append_raw(&self, out: &mut Vec<u8>, first: u8, payload: &[u8]) {
        let mask = match self.is_client() {
            true => 0x80,
            false => 0,
        };
        append_header(out, first, mask, payload.len() as u64);
        out.extend_from_slice(payload);
    }

    fn ping(&mut self, out: &mut Vec<u8>) {
        let number = self.pings + 1;
        if let Ok(ping) = self.sender.ping(&number.to_be_bytes()) {
            ping.append_to(out, 0);
            self.pings = number;
        }
    }

    /// Appends the message that is in `shared.text`.
    fn append(&mut self, name: Name, shared: &mut Shared, out: &mut Vec<u8>) {
        let text = shared.text.as_str();
        let kind = name.message("").kind();
        let pieces = match shared.random.below(6) {
            0 => shared.random.between(2, MOST_PIECES),
            _ => 1,
        };
        let compressed = self.codecs.is_some() && shared.random.chance(700);
        let mut rest = text.as_bytes();
        for piece in 1..=pieces {
            let last = piece == pieces;
            let (part, after) = match last {
                true => (rest, &[][..]),
                false => rest.split_at(shared.random.below(rest.len() + 1)),
            };
            rest = after;
            let frame = match (&mut self.codecs, pieces) {
                (Some((_, deflater)), 1) if compressed => {
                    deflater.message(&mut self.sender, name.message(text), &mut shared.deflate)
                }
                (Some((_, deflater)), _) if compressed => {
                    deflater.fragment_bytes(&mut self.sender, kind, part, last, &mut shared.deflate)
                }
                (_, 1) => self.sender.message(name.message(text)),
                _ => self.sender.fragment_bytes(kind, part, last),
            };
            frame.expect("a peer may send").append_to(out, 0);
            if !last && shared.random.chance(100) {
                self.ping(out);
            }
        }
    }

    fn receive(
        &mut self,
        number: u32,
        mut input: &mut [u8],
        shared: &mut Shared,
        mut replies: Option<&mut Vec<u8>>,
        seen: &mut Vec<Seen>,
    ) {
        loop {
            let event = match self.receiver.receive(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => return self.check_keys(&shared.plan),
                Err(error) => panic!("peer {number} gets bytes that are wrong: {error}"),
            };
            if let Some(replies) = &mut replies
                && let Some(reply) = self.sender.respond(&event)
            {
                reply.append_to(replies, 0);
            }
            let plan = &shared.plan;
            match event {
                Event::Data(chunk) => {
                    if let Some(message) = self.assembler.push(chunk) {
                        self.heard.hear(number, message, plan, seen);
                    }
                }
                Event::Compressed(mut piece) => {
                    let (inflater, _) = self.codecs.as_mut().expect("agreed");
                    loop {
                        let most = Limits::default().max_message;
                        let chunk = inflater
                            .inflate(&mut piece, most, &mut shared.inflate)
                            .unwrap_or_else(|error| panic!("peer {number}: {error}"));
                        let Some(chunk) = chunk else {
                            break;
                        };
                        if let Some(message) = self.assembler.push(chunk) {
                            self.heard.hear(number, message, plan, seen);
                        }
                    }
                }
                Event::Ping(_) => {}
                Event::Pong(payload) => {
                    let answered = payload.try_into().map(u32::from_be_bytes);
                    let answered = answered.expect("the Pong of a Ping");
                    assert!(
                        self.pong < answered && answered <= self.pings,
                        "peer {number} gets Pong {answered} after {}",
                        self.pong
                    );
                    self.pong = answered;
                }
                Event::Close(_) => {
                    self.is_close_received = true;
                    seen.push(Seen::Close);
                }
            }
        }
    }
}

/// Appends a header; its key is zero.
fn append_header(out: &mut Vec<u8>, first: u8, mask: u8, len: u64) {
    out.push(first);
    match len {
        0..126 => out.push(mask | len as u8),
        126..0x1_0000 => {
            out.push(mask | 126);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend(len.to_be_bytes());
        }
    }
    if mask != 0 {
        out.extend([0; 4]);
    }
}

/// A rule or a limit that a peer does not keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    UnknownOpcode,
    ReservedBits,
    /// A client that does not mask, or a server that does.
    Mask,
    CloseOfOneByte,
    Continuation,
    /// A header that declares more than any limit.
    Huge,
    Frame,
    Message,
    Fragments,
    /// Compressed, and too long once it is inflated.
    Inflated,
    /// Compressed, and too long while it inflates to nothing.
    Compressed,
}

impl Wrong {
    const ALL: [Self; 11] = [
        Self::UnknownOpcode,
        Self::ReservedBits,
        Self::Mask,
        Self::CloseOfOneByte,
        Self::Continuation,
        Self::Huge,
        Self::Frame,
        Self::Message,
        Self::Fragments,
        Self::Inflated,
        Self::Compressed,
    ];

    fn choose(talk: &Talk, shared: &mut Shared) -> Self {
        let config = &shared.plan.config;
        let limits = &config.limits;
        let is_possible = |wrong: &Self| match wrong {
            Self::Mask => !talk.is_client() || config.accept_unmasked_frame == Default::default(),
            Self::Message => limits.max_message < 100_000,
            Self::Frame => limits.max_frame < limits.max_message,
            Self::Fragments => limits.max_fragments < 100,
            Self::Inflated => talk.codecs.is_some(),
            Self::Compressed => talk.codecs.is_some() && limits.max_message < 10_000,
            _ => true,
        };
        let possible: Vec<_> = Self::ALL.into_iter().filter(is_possible).collect();
        shared.random.choose(&possible)
    }

    fn append(self, talk: &mut Talk, shared: &mut Shared, out: &mut Vec<u8>) {
        let limits = &shared.plan.config.limits;
        let mask = match talk.is_client() {
            true => 0x80,
            false => 0,
        };
        match self {
            Self::UnknownOpcode => talk.append_raw(out, 0x83, b""),
            Self::ReservedBits => talk.append_raw(out, 0xa1, b""),
            Self::Mask => append_header(out, 0x82, mask ^ 0x80, 0),
            Self::CloseOfOneByte => talk.append_raw(out, 0x88, b"a"),
            Self::Continuation => talk.append_raw(out, 0x80, b""),
            Self::Huge => append_header(out, 0x82, mask, 1 << 62),
            Self::Frame => append_header(out, 0x82, mask, limits.max_frame + 1),
            Self::Message => {
                let half = vec![0; limits.max_message as usize / 2 + 1];
                talk.append_raw(out, 0x02, &half);
                talk.append_raw(out, 0x80, &half);
            }
            Self::Fragments => {
                talk.append_raw(out, 0x02, b"");
                for _ in 0..limits.max_fragments {
                    talk.append_raw(out, 0x00, b"");
                }
            }
            Self::Inflated => {
                let zeros = vec![0; limits.max_message as usize + 1];
                let message = Message::Binary(&zeros);
                if let Some((_, deflater)) = &mut talk.codecs {
                    let frame = deflater.message(&mut talk.sender, message, &mut shared.deflate);
                    frame.expect("a peer may send").append_to(out, 0);
                }
            }
            Self::Compressed => {
                // Empty blocks that are stored, and not the last.
                let block = b"\0\0\0\xff\xff";
                let most = limits.max_frame as usize / block.len();
                let frame = block.repeat(most);
                talk.append_raw(out, 0x42, &frame);
                for _ in 0..10 + limits.max_message as usize * 2 / frame.len() {
                    talk.append_raw(out, 0x00, &frame);
                }
            }
        }
    }
}

impl Heard {
    fn hear(&mut self, peer: u32, message: Message<'_>, plan: &Plan, seen: &mut Vec<Seen>) {
        let name = Name::read(message).unwrap_or_else(|error| panic!("to peer {peer}: {error}"));
        let Name {
            row,
            connection,
            number,
        } = name;
        match row {
            Row::Direct => {
                assert_eq!(connection, peer, "a message for another peer");
                let expected = self.direct;
                let key = (number % KEYS) as usize;
                match plan.config.slow_consumer {
                    SlowConsumer::Conflate => {
                        let before = self.keyed[key].replace(number);
                        assert!(before < Some(number), "{name:?} after {before:?}");
                    }
                    SlowConsumer::DropOldest => {
                        let before = self.keyed[0].replace(number);
                        assert!(before < Some(number), "{name:?} after {before:?}");
                    }
                    _ => assert_eq!(number, expected, "a message to peer {peer}"),
                }
                self.direct += 1;
                self.last_direct = self.last_direct.max(Some(number));
            }
            Row::Topic => {
                let topic = connection as usize;
                let before = self.topics[topic].replace(number);
                assert!(before < Some(number), "{name:?} after {before:?}");
                seen.push(Seen::Published {
                    topic,
                    before,
                    number,
                });
            }
            Row::Peer => {
                assert_eq!(connection, peer, "a message for another peer");
                let before = self.last_echo.replace(number);
                assert!(before < Some(number), "{name:?} after {before:?}");
                self.echoes += 1;
                let direct = self.direct;
                seen.push(Seen::Echo { number, direct });
            }
        }
    }
}
