//! What a task does with its connection, and the books that it keeps.

use std::{cell::RefCell, future::poll_fn, pin::pin, rc::Rc, task::Poll};

use ws_handshake::{ClientRequest, Uri};
use ws_proto::{Chunk, CloseCode, Message};
use ws_smol::{Acceptor, Connector, Error, PeerAddr, WebSocket};

use super::stream::TaskStream;
use crate::{
    message::{Name, Row},
    plan::Plan,
    random::Random,
};

/// What a task knows of its connection.
#[derive(Debug, Default)]
pub(super) struct Book {
    number: u32,
    pub(super) is_open: bool,
    /// Messages that came.
    pub(super) received: u32,
    /// Messages that were taken to be sent.
    pub(super) sent: u32,
    /// Messages that were sent back, each with how many were sent before.
    pub(super) echoes: Vec<(u32, u32)>,
    /// It has closed the connection, or dropped it, by itself.
    pub(super) is_left: bool,
    pub(super) end: Option<End>,
}

/// How a connection ended, for its task.
#[derive(Debug)]
pub(super) enum End {
    /// By the peer's Close, or by both.
    Closed,
    /// The stream ended.
    Lost,
    /// The peer broke a rule.
    Protocol,
    /// It was never open.
    Never(#[expect(dead_code, reason = "it is shown")] Error),
    Other(#[expect(dead_code, reason = "it is shown")] Error),
}

impl Book {
    pub(super) fn new(number: u32) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// Returns how many messages were sent, and how many sent back.
    pub(super) fn said(&self) -> (u32, u32) {
        (self.sent, self.echoes.len() as u32)
    }

    /// Notes a message that came, which is the next of the peer's.
    fn hear(&mut self, message: Message<'_>) -> u32 {
        let name =
            Name::read(message).unwrap_or_else(|error| panic!("to the application: {error}"));
        let expected = Name {
            row: Row::Peer,
            connection: self.number,
            number: self.received,
        };
        assert_eq!(name, expected, "a message to the application");
        self.received += 1;
        name.number
    }

    fn note_echo(&mut self, number: u32, queued: Result<(), Error>) {
        if queued.is_ok() {
            self.echoes.push((number, self.sent));
        }
    }
}

/// A task, of either role.
pub(super) struct Task {
    pub(super) stream: TaskStream,
    pub(super) book: Rc<RefCell<Book>>,
    pub(super) plan: Rc<Plan>,
    pub(super) random: Random,
    pub(super) text: String,
}

impl Task {
    /// Serves a client.
    pub(super) async fn accept(self, acceptor: Rc<Acceptor>) {
        let opened = acceptor.accept(self.stream, PeerAddr::Local).await;
        converse(opened, self.book, &self.plan, self.random, self.text).await;
    }

    /// Connects to a server.
    pub(super) async fn connect(mut self, connector: Rc<Connector>) {
        let request = ClientRequest::new(Uri::parse("ws://simulation/").expect("a URI"));
        let request = match self.plan.offer(&mut self.random) {
            Some(offer) => request.offer(offer),
            None => request,
        };
        let opened = connector
            .handshake(self.stream, PeerAddr::Local, request)
            .await;
        converse(opened, self.book, &self.plan, self.random, self.text).await;
    }
}

async fn converse(
    opened: Result<WebSocket<TaskStream>, Error>,
    book: Rc<RefCell<Book>>,
    plan: &Plan,
    random: Random,
    text: String,
) {
    let socket = match opened {
        Ok(socket) => socket,
        Err(error) => {
            book.borrow_mut().end = Some(End::Never(error));
            return;
        }
    };
    book.borrow_mut().is_open = true;
    let mut talk = Talk {
        socket,
        book: &book,
        plan,
        random,
        text,
    };
    let end = match talk.go_on().await {
        Ok(()) => End::Closed,
        Err(Error::Protocol(_)) => End::Protocol,
        Err(Error::ConnectionLost) => End::Lost,
        Err(error) => End::Other(error),
    };
    book.borrow_mut().end = Some(end);
}

struct Talk<'t> {
    socket: WebSocket<TaskStream>,
    book: &'t RefCell<Book>,
    plan: &'t Plan,
    random: Random,
    text: String,
}

impl Talk<'_> {
    /// Receives and sends in all ways there are, up to the end.
    async fn go_on(&mut self) -> Result<(), Error> {
        loop {
            let is_open = match self.random.below(6) {
                0 => self.receive_and_change_mind().await?,
                1 => self.receive_in_pieces().await?,
                2 | 3 => self.serve().await?,
                _ => self.receive().await?,
            };
            if !is_open {
                return Ok(());
            }
            if self.random.chance(self.plan.answers / 2) {
                // Why nothing more can be sent, receiving tells, behind what has come.
                let _ = self.send().await;
            }
            if self.random.chance(self.plan.moods / 4) {
                self.book.borrow_mut().is_left = true;
                if self.random.chance(700) {
                    self.socket.close(CloseCode::NORMAL, "that was it").await?;
                }
                return Ok(());
            }
        }
    }

    async fn receive(&mut self) -> Result<bool, Error> {
        let Some(message) = self.socket.receive().await? else {
            return Ok(false);
        };
        let number = self.book.borrow_mut().hear(message.as_ref());
        if self.random.chance(self.plan.echoes) {
            let queued = self.socket.queue(message.as_ref());
            self.book.borrow_mut().note_echo(number, queued);
        }
        Ok(true)
    }

    /// Asks once, and drops the future if nothing is there.
    async fn receive_and_change_mind(&mut self) -> Result<bool, Error> {
        let received = {
            let mut receiving = pin!(self.socket.receive());
            poll_fn(|cx| Poll::Ready(receiving.as_mut().poll(cx))).await
        };
        match received {
            Poll::Pending => Ok(true),
            Poll::Ready(received) => {
                let Some(message) = received? else {
                    return Ok(false);
                };
                self.book.borrow_mut().hear(message.as_ref());
                Ok(true)
            }
        }
    }

    async fn receive_in_pieces(&mut self) -> Result<bool, Error> {
        let mut bytes = Vec::new();
        loop {
            let Some(Chunk { data, last, .. }) = self.socket.receive_chunk().await? else {
                assert!(bytes.is_empty(), "a message without an end");
                return Ok(false);
            };
            bytes.extend_from_slice(data.as_bytes());
            if last {
                let message = match data {
                    Message::Text(_) => Message::Text(std::str::from_utf8(&bytes).expect("text")),
                    Message::Binary(_) => Message::Binary(&bytes),
                };
                self.book.borrow_mut().hear(message);
                return Ok(true);
            }
        }
    }

    /// Answers all that is there; a handler may fail, and the connection goes on.
    async fn serve(&mut self) -> Result<bool, Error> {
        let (book, plan, random) = (self.book, self.plan, &mut self.random);
        let mut has_failed = false;
        let served = self.socket.receive_with(|message, replies| {
            let mut book = book.borrow_mut();
            let number = book.hear(message);
            if random.chance(plan.echoes) {
                let queued = replies.queue(message);
                book.note_echo(number, queued);
            }
            has_failed = random.chance(20);
            match has_failed {
                true => Err(Error::Closed),
                false => Ok(()),
            }
        });
        match served.await {
            Err(Error::Closed) if has_failed => Ok(true),
            served => served,
        }
    }

    /// Sends the next message, and waits for it or does not.
    async fn send(&mut self) -> Result<(), Error> {
        let name = {
            let book = self.book.borrow();
            Name {
                row: Row::Direct,
                connection: book.number,
                number: book.sent,
            }
        };
        name.write(self.plan.len(&mut self.random), &mut self.text);
        let message = name.message(&self.text);
        match self.random.chance(500) {
            // Whether it was sent is known where there was room.
            true => {
                self.socket.room(message.len()).await?;
                match self.socket.queue(message) {
                    // It is larger than all that may wait.
                    Err(Error::OutboxFull(_)) => return Ok(()),
                    queued => queued?,
                }
            }
            false if self.socket.queue(message).is_err() => return Ok(()),
            false => {}
        }
        self.book.borrow_mut().sent += 1;
        match self.random.below(3) {
            0 => self.socket.flush().await,
            1 => self.socket.ping(b"ping").await,
            _ => Ok(()),
        }
    }
}
