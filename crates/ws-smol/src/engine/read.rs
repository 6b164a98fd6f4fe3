//! Receiving: from the transport to messages.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_proto::{
    Chunk, Event, InflatePool, Masking, Message as MessageRef, MessageKind, ProtocolError, Sender,
};

use super::{Engine, READ_COST, time::Life};
use crate::{
    CloseStatus, Config,
    backlog::Backlog,
    compression::LentPool,
    error::{Error, Failure},
    message::{Joiner, Message, Piece},
    outgoing::Output,
};

/// What the application asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// A message of its own.
    Message,
    /// A message to look at.
    Lend,
    /// A piece of a message to look at.
    Chunk,
}

/// What was received.
#[derive(Debug)]
pub(crate) enum Found {
    Owned(Piece),
    /// It lies in the input; see [`Engine::lend`].
    InPlace(Span),
}

/// Where in the input a piece of a message lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    end: usize,
    kind: MessageKind,
    first: bool,
    last: bool,
}

impl<S> Engine<S> {
    /// Lends what was received, until the connection is used again.
    pub(crate) fn lend(&mut self, found: Found) -> Chunk<'_> {
        match found {
            Found::Owned(Piece { data, first, last }) => Chunk {
                data: (**self.lent.insert(Box::new(data))).as_ref(),
                first,
                last,
            },
            Found::InPlace(span) => {
                let bytes = &*self.input.bytes(span.start..span.end);
                let data = match span.kind {
                    MessageKind::Binary => MessageRef::Binary(bytes),
                    // INVARIANT: it was validated when it was received. This
                    // second look is what it costs not to borrow it through
                    // the loop that received it.
                    MessageKind::Text => MessageRef::Text(as_text(bytes)),
                };
                Chunk {
                    data,
                    first: span.first,
                    last: span.last,
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Engine<S> {
    /// Receives what is wanted next; `None` once the connection is closed.
    pub(crate) fn poll_receive(&mut self, want: Want) -> Poll<Result<Option<Found>, Error>> {
        self.is_writing = false;
        loop {
            if let Some(found) = self.take_backlog(want) {
                self.end_if_due();
                return Poll::Ready(Ok(Some(found)));
            }
            if !self.is_receiving() {
                ready!(self.poll_end());
                return Poll::Ready(self.take_outcome());
            }
            match self.parse(Some(want)) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    if matches!(found, Found::Owned(_)) {
                        self.input.park();
                    }
                    if self.output.has_reply {
                        let _ = self.poll_drain();
                    }
                    return Poll::Ready(Ok(Some(found)));
                }
                Err(error) => {
                    self.fail(error);
                    continue;
                }
            }
            if self.receiver.is_closed() {
                self.end_after_close();
                continue;
            }
            if self.poll_fill(usize::MAX).is_pending() {
                // All that was there is read: now what waits goes out.
                let _ = self.poll_drain();
                ready!(self.poll_time());
            }
        }
    }

    /// Reads and parses while the application only writes; ready if there was
    /// something to do.
    pub(crate) fn poll_read_ahead(&mut self) -> Poll<()> {
        if !self.is_receiving() || self.has_reader() || self.is_ahead() {
            return Poll::Pending;
        }
        match self.parse(None) {
            Ok(_) => {}
            Err(error) => {
                self.fail(error);
                return Poll::Ready(());
            }
        }
        if self.receiver.is_closed() {
            self.end_after_close();
            return Poll::Ready(());
        }
        if self.is_ahead() {
            self.input.park();
            return Poll::Pending;
        }
        let has_rest = self.compression.is_inflating() || !self.input.unparsed().is_empty();
        if has_rest && self.left > 0 {
            // There was no room for all of it, and now it is discarded.
            return Poll::Ready(());
        }
        self.poll_fill(self.backlog.room())
    }

    /// Tells whether nothing more is read ahead. Once we close, what there is
    /// no room for is discarded instead: the peer's Close stands behind it.
    fn is_ahead(&mut self) -> bool {
        if self.is_closing() {
            self.backlog.discard_rest();
        }
        self.backlog.is_full()
    }

    /// Takes what was read ahead.
    pub(super) fn take_backlog(&mut self, want: Want) -> Option<Found> {
        if want == Want::Chunk
            && let Some(piece) = self.joiner.take()
        {
            return Some(Found::Owned(piece));
        }
        loop {
            let piece = self.backlog.pop()?;
            self.has_progress = true;
            if want == Want::Chunk {
                return Some(Found::Owned(piece));
            }
            if let Some(message) = self.joiner.push_piece(piece) {
                return Some(Found::Owned(message));
            }
        }
    }

    /// Parses what was read, up to what is wanted. `None` wants nothing: data
    /// goes to the backlog.
    pub(super) fn parse(&mut self, want: Option<Want>) -> Result<Option<Found>, ProtocolError> {
        // What comes behind what was discarded is discarded too.
        let want = want.filter(|_| !self.backlog.is_discarding());
        self.spill();
        loop {
            let found = self.inflate(want)?;
            // A backlog that is full leaves some of it.
            if found.is_some() || self.compression.is_inflating() {
                return Ok(found);
            }
            let found = self.parse_plain(want)?;
            if found.is_some() || !self.compression.is_inflating() {
                return Ok(found);
            }
        }
    }

    /// Inflates the piece that was parsed last, if it is one of a compressed
    /// message, up to what is wanted.
    fn inflate(&mut self, want: Option<Want>) -> Result<Option<Found>, ProtocolError> {
        if !self.compression.is_inflating() {
            return Ok(None);
        }
        let mut pool = LentPool::default();
        while self.left > 0
            && let Some(chunk) = self.inflate_chunk(&mut pool)?
        {
            let found = keep(chunk, want, &mut self.joiner, &mut self.backlog);
            if found.is_some() || (want.is_none() && self.backlog.is_full()) {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Inflates the next chunk; `None` once there is nothing more of the piece.
    pub(super) fn inflate_chunk<'p>(
        &mut self,
        pool: &'p mut LentPool<InflatePool>,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        self.life.has_data = true;
        let inflated = self.compression.inflate(&mut self.input, pool);
        self.life.has_finished |= matches!(&inflated, Ok(Some(chunk)) if chunk.last);
        if let Ok(Some(chunk)) = &inflated {
            self.spend(chunk.data.len());
        }
        if inflated.is_err() {
            self.receiver.refuse();
        }
        inflated
    }

    /// Parses up to what is wanted, or up to a piece of a compressed message.
    fn parse_plain(&mut self, want: Option<Want>) -> Result<Option<Found>, ProtocolError> {
        let Self {
            input,
            receiver,
            sender,
            output,
            joiner,
            backlog,
            life,
            close_status,
            compression,
            config,
            ..
        } = self;
        let std::ops::Range { start, end } = input.span();
        let mut rest = input.unparsed();
        let address = rest.as_ptr().addr();
        let mut put_back = 0;
        let found = loop {
            let event = match receiver.receive(&mut rest) {
                Ok(Some(event)) => event,
                Ok(None) => break Ok(None),
                Err(error) => break Err(error),
            };
            match event {
                Event::Data(chunk) => {
                    life.has_data = true;
                    life.has_finished |= chunk.last;
                    let is_whole = chunk.first && chunk.last;
                    if want == Some(Want::Chunk) || (want == Some(Want::Lend) && is_whole) {
                        // A piece lies right before the rest, except for a
                        // character that was split between reads.
                        let at = end - rest.len();
                        let span = Span {
                            start: at - chunk.data.len().min(at),
                            end: at,
                            kind: chunk.data.kind(),
                            first: chunk.first,
                            last: chunk.last,
                        };
                        let lies = chunk.data.as_bytes().as_ptr().addr();
                        if lies == address + span.start - start {
                            break Ok(Some(Found::InPlace(span)));
                        }
                    }
                    let found = keep(chunk, want, joiner, backlog);
                    if found.is_some() || (want.is_none() && backlog.is_full()) {
                        break Ok(found);
                    }
                }
                Event::Compressed(piece) => {
                    compression.hold(&piece);
                    put_back = piece.data.len();
                    break Ok(None);
                }
                control => answer(&control, config, sender, output, None, life, close_status),
            }
        };
        let left = rest.len() + put_back;
        input.set_left(left);
        found
    }

    /// Goes on with a message that was read to where it belongs, where all
    /// others are joined.
    pub(super) fn spill(&mut self) {
        if let Some(span) = self.input.end_message() {
            let data = MessageRef::Binary(self.input.bytes(span));
            let (first, last) = (true, false);
            self.joiner.push(&Chunk { data, first, last });
        }
    }

    /// Reads at most `limit` bytes; ready if there was something, also the end.
    pub(super) fn poll_fill(&mut self, limit: usize) -> Poll<()> {
        if let Some(len) = ready!(self.poll_gain(Target::Next(limit))) {
            self.input.fill(len);
        }
        Poll::Ready(())
    }

    /// Reads as a sign of life, and returns how many bytes; none at the end.
    pub(super) fn poll_gain(&mut self, target: Target) -> Poll<Option<usize>> {
        if self.life.is_flooded() {
            self.turn_away(Failure::ControlFlood);
            return Poll::Ready(None);
        }
        if self.is_time_up() && self.poll_time().is_ready() {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.poll_read(target)) {
            Ok(0) => {
                self.lose(None);
                None
            }
            Ok(len) => {
                self.life.handle_input();
                Some(len)
            }
            Err(error) => {
                self.lose(Some(error));
                None
            }
        })
    }

    /// Reads behind the input, all of which is parsed.
    pub(super) fn poll_read(&mut self, target: Target) -> Poll<io::Result<usize>> {
        if self.left == 0 {
            // Others have their turn.
            self.waker.wake_by_ref();
            self.input.park();
            return Poll::Pending;
        }
        if !self.signals.take_readable() {
            self.input.park();
            return Poll::Pending;
        }
        loop {
            let Some(stream) = &mut self.stream else {
                return Poll::Ready(Ok(0));
            };
            let buffer = match target {
                Target::Message(missing) => self.input.room(missing),
                Target::Next(limit) => {
                    let buffer = self.input.buffer();
                    let len = limit.min(buffer.len());
                    &mut buffer[..len]
                }
            };
            let len = buffer.len();
            let cx = &mut Context::from_waker(&self.waker);
            match Pin::new(stream).poll_read(cx, buffer) {
                Poll::Ready(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
                Poll::Ready(result) => {
                    self.signals.set_readable();
                    self.has_progress = true;
                    // A count beyond the buffer is the transport's mistake.
                    let result = match fault!("count-believed") {
                        true => result,
                        false => result.map(|n| n.min(len)),
                    };
                    let read = result.as_ref().map_or(0, |len| *len);
                    self.spend(read.max(READ_COST));
                    return Poll::Ready(result);
                }
                Poll::Pending => {
                    self.input.park();
                    return Poll::Pending;
                }
            }
        }
    }
}

/// What is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// At most so many bytes, which are to be parsed.
    Next(usize),
    /// So many bytes of the message that is read to where it belongs, or the
    /// first of them.
    Message(u64),
}

/// Keeps a chunk for later, or makes of it what is wanted.
fn keep(
    chunk: Chunk<'_>,
    want: Option<Want>,
    joiner: &mut Joiner,
    backlog: &mut Backlog,
) -> Option<Found> {
    let Some(want) = want else {
        backlog.push(chunk);
        return None;
    };
    if want == Want::Chunk || (chunk.first && chunk.last) {
        return Some(Found::Owned(chunk.into()));
    }
    joiner.push(&chunk).map(Found::Owned)
}

/// Deals with a control frame, and queues the reply that is owed, or corks it.
pub(super) fn answer(
    event: &Event<'_>,
    config: &Config,
    sender: &mut Sender<Masking>,
    output: &mut Output,
    cork: Option<&mut Vec<u8>>,
    life: &mut Life,
    close_status: &mut Option<Box<CloseStatus>>,
) {
    let max_rate = config.time_limits.max_control_rate;
    match event {
        Event::Data(_) | Event::Compressed(_) => {}
        Event::Pong(payload) => {
            life.handle_control(max_rate);
            life.handle_pong(payload);
        }
        Event::Ping(payload)
            if !output.has_room(payload.len() + 6, true) && !fault!("pongs-pile-up") =>
        {
            life.handle_control(max_rate);
            // Of the Pings that wait, the last is answered.
            //= RFC6455-5.5.3-2
            output.held_pong = Some((*payload).into());
        }
        Event::Ping(_) | Event::Close(_) => {
            output.held_pong = None;
            if let Event::Ping(_) = event {
                life.handle_control(max_rate);
            }
            if let Event::Close(frame) = *event {
                let is_reply = sender.is_close_sent();
                let status = Box::new(CloseStatus::received(frame, is_reply));
                close_status.get_or_insert(status);
            }
            //= RFC6455-5.5.2-2, RFC6455-5.5.2-3, RFC6455-5.5.1-7
            if let Some(reply) = sender.respond(event) {
                match cork {
                    // What is in the cork comes first.
                    Some(cork) if output.outbox.is_empty() => reply.append_to(cork, 0),
                    _ => output.push(&reply, 0),
                }
                output.has_reply = true;
            }
        }
    }
}

fn as_text(bytes: &[u8]) -> &str {
    simdutf8::basic::from_utf8(bytes).unwrap_or_default()
}

impl Found {
    /// Takes the message out; `Want::Message` finds no other.
    pub(crate) fn into_message(self) -> Option<Message> {
        match self {
            Self::Owned(piece) => Some(piece.data),
            Self::InPlace(_) => None,
        }
    }
}
