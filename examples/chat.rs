//! A chat on two loops: rooms with a history, who is there, direct messages, tokens, a limit on how
//! often one may speak, a health check, and an end in order.
//!
//! ```sh
//! cargo run --release -p examples --bin chat -- --token let-me-in
//! ```
//!
//! Then open <http://127.0.0.1:9001/> twice. Programs connect to `/rooms/lobby?name=ada` with
//! `Authorization: Bearer let-me-in`. They send what is to be said in the room, or `/to NAME TEXT`,
//! and get lines of an event and its fields with tabs between them: `said NAME TEXT`,
//! `private NAME TEXT`, `here NAME...` for everybody in the room, and `refused REASON`.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    error::Error,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use lexopt::{Arg, Parser, ValueExt as _};
use ws_handshake::HeaderError;
use ws_mio::{
    Accept, CloseCode, Closed, Config, Decision, Drain, Handler, Incoming, Message, OriginPolicy,
    Peer, PeerId, Prepared, Remote, Request, Response, Server,
};

const HELP: &str = "
A chat.

Usage: chat --token TOKEN [OPTIONS]

  --token TOKEN           lets in who has it; may be given several times
  --listen ADDRESS:PORT   where to listen; port 0 is any free one (default: 127.0.0.1:9001)
  --lame-duck SECONDS     after a signal, fail the health check for this time before the
                          connections are closed (default: 0)
  -h, --help              print this

GET /healthz answers 200, and 503 once the server is about to end.
";

const ROOMS: [&str; 2] = ["lobby", "garden"];
/// How many messages of a room are shown to who joins.
const HISTORY: usize = 50;
/// How many messages a guest may send in a [`WINDOW`].
const MOST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// Codes of Closes from 4000 on are the application's own.
const NAME_TAKEN: CloseCode = CloseCode::application::<4001>();

/// What the handlers of both loops share.
#[derive(Default)]
struct Shared {
    tokens: Vec<String>,
    rooms: HashMap<Arc<str>, Mutex<Room>>,
    /// Where the guests of all rooms are.
    guests: Mutex<HashMap<String, PeerId>>,
}

#[derive(Default)]
struct Room {
    history: VecDeque<Prepared>,
    present: BTreeSet<String>,
}

/// What is kept for a connection.
#[derive(Default)]
struct Guest {
    name: String,
    room: Arc<str>,
    /// The name is this guest's, and the guest is in the room.
    is_in: bool,
    /// When the window began, and how many messages came in it.
    window: Option<Instant>,
    count: u32,
}

/// The handler of one loop.
struct Chat {
    shared: Arc<Shared>,
    remote: Remote<Self>,
}

impl Handler for Chat {
    type Data = Guest;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Guest> {
        let request = incoming.request();
        let room = match request.path() {
            "/" => return page().unwrap_or_else(|_| Response::new(500)).into(),
            "/healthz" if incoming.is_draining() => return Response::new(503).into(),
            "/healthz" => return Response::new(200).into(),
            path => path.strip_prefix("/rooms/"),
        };
        let Some((room, _)) = room.and_then(|room| self.shared.rooms.get_key_value(room)) else {
            return Response::new(404).into();
        };
        if !self.shared.lets_in(request) {
            return Response::new(401).into();
        }
        let name = request.query_value("name").unwrap_or_default();
        if !(1..=20).contains(&name.len()) || !name.chars().all(char::is_alphanumeric) {
            return Response::new(400).body("letters and digits, please").into();
        }
        let guest = Guest {
            name: name.into_owned(),
            room: Arc::clone(room),
            ..Guest::default()
        };
        match incoming.negotiate() {
            Ok(acceptance) => Accept::new(acceptance, guest).into(),
            Err(error) => error.rejection().into(),
        }
    }

    fn on_open(&mut self, peer: &mut Peer<'_, Guest>) {
        let id = peer.id();
        let (guest, mut peer) = peer.split();
        let mut guests = self.shared.guests.lock().unwrap();
        guest.is_in = !guests.contains_key(&guest.name);
        if !guest.is_in {
            peer.close(NAME_TAKEN, "somebody else has this name");
            return;
        }
        guests.insert(guest.name.clone(), id);
        drop(guests);
        // Who subscribes and looks at the history under the lock under which others write it and
        // publish gets every message once.
        let mut room = self.shared.rooms[&guest.room].lock().unwrap();
        room.present.insert(guest.name.clone());
        peer.subscribe(Arc::clone(&guest.room));
        for message in &room.history {
            peer.send_prepared(message);
        }
        peer.publish_to_all(Arc::clone(&guest.room), &room.here());
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Guest>, message: Message<'_>) {
        let (guest, mut peer) = peer.split();
        let Message::Text(text) = message else {
            peer.close(CloseCode::UNSUPPORTED_DATA, "a chat is text");
            return;
        };
        if !guest.may_speak() {
            peer.send("refused\tthat was too much at once");
        } else if let Some(rest) = text.strip_prefix("/to ") {
            let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let to = self.shared.guests.lock().unwrap().get(name).copied();
            let line = format!("private\t{}\t{text}", guest.name);
            let sent = to.map(|to| self.remote.send(to, &Prepared::new(Message::Text(&line))));
            if !matches!(sent, Some(Ok(()))) {
                peer.send(format!("refused\tthere is no {name}"));
            }
        } else {
            let line = Prepared::new(Message::Text(&format!("said\t{}\t{text}", guest.name)));
            let mut room = self.shared.rooms[&guest.room].lock().unwrap();
            if room.history.len() == HISTORY {
                room.history.pop_front();
            }
            room.history.push_back(line.clone());
            peer.publish_to_all(Arc::clone(&guest.room), &line);
        }
    }

    fn on_close(&mut self, peer: &mut Peer<'_, Guest>, _: Closed<'_>) {
        let (guest, mut peer) = peer.split();
        if guest.is_in {
            self.shared.guests.lock().unwrap().remove(&guest.name);
            let mut room = self.shared.rooms[&guest.room].lock().unwrap();
            room.present.remove(&guest.name);
            peer.publish(Arc::clone(&guest.room), &room.here());
        }
    }
}

impl Shared {
    /// Programs show their token in a header. A page cannot set one, and an address is written to
    /// logs, so a page offers its token as a subprotocol beside `chat`.
    fn lets_in(&self, request: &Request<'_>) -> bool {
        let offered = |token: &str| {
            let mut names = request.subprotocols();
            names.any(|name| name.strip_prefix("token.") == Some(token))
        };
        let mut tokens = self.tokens.iter();
        tokens.any(|token| request.bearer() == Some(token) || offered(token))
    }
}

impl Room {
    fn here(&self) -> Prepared {
        let names: Vec<_> = self.present.iter().map(String::as_str).collect();
        Prepared::new(Message::Text(&format!("here\t{}", names.join("\t"))))
    }
}

impl Guest {
    fn may_speak(&mut self) -> bool {
        if self.window.is_none_or(|began| began.elapsed() > WINDOW) {
            (self.window, self.count) = (Some(Instant::now()), 0);
        }
        self.count += 1;
        self.count <= MOST
    }
}

fn page() -> Result<Response, HeaderError> {
    let page = Response::new(200).header("Content-Type", "text/html; charset=utf-8")?;
    Ok(page.body(include_str!("chat.html")))
}

fn main() -> ExitCode {
    examples::finish(run())
}

fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (mut shared, mut lame_duck) = (Shared::default(), 0);
    let mut listen = "127.0.0.1:9001".to_owned();
    let rooms = ROOMS.into_iter();
    shared.rooms = rooms.map(|name| (name.into(), Mutex::default())).collect();
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("token") => shared.tokens.push(arguments.value()?.string()?),
            Arg::Long("listen") => listen = arguments.value()?.string()?,
            Arg::Long("lame-duck") => lame_duck = examples::value(&mut arguments, "--lame-duck")?,
            argument => return Err(examples::unexpected(argument, HELP).into()),
        }
    }
    examples::log_to_stderr(false);
    // Other pages may not speak in the name of who has our page open.
    let mut config = Config::new(OriginPolicy::SameHost);
    config.handshake = config.handshake.subprotocols(["chat"]);
    config.limits.max_message = 2000;
    config.threads = 2;
    let server =
        Server::bind(&*listen, config).map_err(examples::cannot_listen("--listen", &listen))?;
    let remote = server.remote();
    let mut drain = Drain::new(Duration::from_secs(1), Duration::from_secs(5));
    drain.lame_duck = Duration::from_secs(lame_duck);
    drain.reason = "the chat closes".into();
    examples::on_stop(move || drop(remote.drain(&drain)))?;
    println!("listening on ws://{}", server.local_addr()?);
    let (shared, remote) = (Arc::new(shared), server.remote());
    server.run_with(|_| Chat {
        shared: Arc::clone(&shared),
        remote: remote.clone(),
    })?;
    Ok(())
}
