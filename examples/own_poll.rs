//! ws-mio's `Socket` in a hand-written `mio::Poll` loop, as a server that
//! accepts and as a client, both on one thread.
//!
//! ```sh
//! cargo run -p examples --bin own_poll
//! ```

use std::{collections::HashMap, error::Error, io, process::ExitCode, sync::Arc, time::Instant};

use mio::{Events, Interest, Poll, Token, net::TcpListener};
use ws_mio::{
    ClientConfig, ClientRequest, CloseCode, Closed, Config, Handler, Message, OriginPolicy, Peer,
    Socket, SocketState, Uri,
};

fn main() -> ExitCode {
    examples::demonstrate("Sockets in one's own mio loop; it takes no arguments.", run)
}

/// The server's side of the conversation.
struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

/// The client's side of the conversation.
struct Greeter;

impl Handler for Greeter {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        peer.send_text("Hello");
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        println!("the server says {message:?}");
        peer.close(CloseCode::NORMAL, "that was all");
    }

    fn on_close(&mut self, _: &mut Peer<'_, ()>, closed: Closed<'_>) {
        println!("closed with code {}", closed.code);
    }
}

const LISTENER: Token = Token(0);
const CLIENT: Token = Token(1);

fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let both = Interest::READABLE | Interest::WRITABLE;

    let mut listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let address = listener.local_addr()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    // Whoever asks gets an echo, so it does not matter whose page it is.
    let config = Arc::new(Config::new(OriginPolicy::Any));
    let mut accepted: HashMap<Token, Socket> = HashMap::new();
    let mut tokens = (CLIENT.0 + 1..).map(Token);

    let request = ClientRequest::new(Uri::parse(&format!("ws://{address}/"))?);
    let mut client: Socket = Socket::connect(address, request, &ClientConfig::default())?;
    poll.registry().register(&mut client, CLIENT, both)?;

    while client.state() != SocketState::Closed || !accepted.is_empty() {
        let sockets = accepted.values().chain([&client]);
        let next = sockets.filter_map(Socket::next_timeout).min();
        let wait = next.map(|next| next.saturating_duration_since(Instant::now()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => {
                    while let Some(stream) = accept(&listener)? {
                        let mut socket = Socket::accept(stream, Arc::clone(&config))?;
                        let token = tokens.next().expect("it has no end");
                        poll.registry().register(&mut socket, token, both)?;
                        accepted.insert(token, socket);
                    }
                }
                CLIENT => {
                    client.ready(event, &mut Greeter)?;
                }
                token => {
                    let socket = accepted.get_mut(&token);
                    // A client that cannot shake hands is its own trouble.
                    if let Some(Err(error)) = socket.map(|socket| socket.ready(event, &mut Echo)) {
                        eprintln!("a client was not let in: {error}");
                    }
                }
            }
        }
        let now = Instant::now();
        let is_due = |socket: &Socket| socket.next_timeout().is_some_and(|at| at <= now);
        if is_due(&client) {
            client.handle_timeout(&mut Greeter)?;
        }
        for socket in accepted.values_mut().filter(|socket| is_due(socket)) {
            if let Err(error) = socket.handle_timeout(&mut Echo) {
                eprintln!("a client was not let in: {error}");
            }
        }
        accepted.retain(|_, socket| socket.state() != SocketState::Closed);
    }
    Ok(())
}

fn accept(listener: &TcpListener) -> io::Result<Option<mio::net::TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
