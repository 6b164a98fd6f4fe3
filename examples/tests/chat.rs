//! The example `chat`, with clients of `ws-smol`.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use smol::future;
use ws_smol::{ClientRequest, Connector, Error, Message, Uri, WebSocket};

mod common;

use common::{Server, exchange};

type Client = WebSocket<ws_smol::MaybeTls<smol::net::TcpStream>>;

const PATIENCE: Duration = Duration::from_secs(10);

fn start(arguments: &[&str]) -> Server {
    let required = ["--token", "secret"];
    Server::start(env!("CARGO_BIN_EXE_chat"), [&required, arguments].concat())
}

fn enter_with(server: &Server, path: &str, token: &str) -> Result<Guest, Error> {
    let uri = Uri::parse(&format!("{}{path}", server.address)).unwrap();
    let token = format!("Bearer {token}");
    let request = ClientRequest::new(uri).header("Authorization", token);
    smol::block_on(Connector::new().connect(request.unwrap())).map(Guest)
}

fn enter(server: &Server, room: &str, name: &str) -> Guest {
    enter_with(server, &format!("/rooms/{room}?name={name}"), "secret").unwrap()
}

struct Guest(Client);

impl Guest {
    fn say(&mut self, text: &str) {
        smol::block_on(self.0.send(text)).unwrap();
    }

    fn receive(&mut self) -> Result<Option<Message>, Error> {
        smol::block_on(future::or(self.0.receive(), async {
            smol::Timer::after(PATIENCE).await;
            panic!("nothing came");
        }))
    }

    #[track_caller]
    fn hears(&mut self, line: &str) {
        let message = self.receive().unwrap();
        assert_eq!(message, Some(Message::Text(line.to_owned())));
    }

    /// Is told nothing more, and that the server ends the connection so.
    #[track_caller]
    fn ends(mut self, code: u16, reason: &str) {
        // Only some codes are an error.
        assert!(!matches!(self.receive(), Ok(Some(_))));
        let status = self.0.close_status().unwrap();
        assert_eq!((status.code, &*status.reason), (code, reason));
    }
}

/// The status of an answer to a plain request.
fn status(server: &Server, path: &str) -> String {
    let stream: TcpStream = server.connect();
    let response = exchange(stream, &format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
    response[9..12].to_owned()
}

#[test]
fn guests_of_a_room_hear_each_other_in_one_order_whatever_their_loop() {
    let server = start(&[]);
    let mut ada = enter(&server, "lobby", "ada");
    ada.hears("here\tada");
    let mut ben = enter(&server, "lobby", "ben");
    ben.hears("here\tada\tben");
    ada.hears("here\tada\tben");
    let mut eve = enter(&server, "garden", "eve");
    eve.hears("here\teve");
    for (index, text) in ["one", "two\tand a half", "three"].into_iter().enumerate() {
        let (name, speaker) = match index % 2 {
            0 => ("ada", &mut ada),
            _ => ("ben", &mut ben),
        };
        speaker.say(text);
        let line = format!("said\t{name}\t{text}");
        ada.hears(&line);
        ben.hears(&line);
    }
    smol::block_on(ada.0.close(ws_smol::CloseCode::NORMAL, "")).unwrap();
    ben.hears("here\tben");
    eve.say("alone");
    eve.hears("said\teve\talone");
}

#[test]
fn direct_message_reaches_its_guest_alone_in_any_room() {
    let server = start(&[]);
    let mut ada = enter(&server, "lobby", "ada");
    ada.hears("here\tada");
    let mut ben = enter(&server, "lobby", "ben");
    ben.hears("here\tada\tben");
    ada.hears("here\tada\tben");
    let mut eve = enter(&server, "garden", "eve");
    eve.hears("here\teve");
    ada.say("/to eve come over");
    eve.hears("private\tada\tcome over");
    ada.say("/to nobody hello");
    ada.hears("refused\tthere is no nobody");
    ben.say("was there anything?");
    for guest in [&mut ada, &mut ben] {
        guest.hears("said\tben\twas there anything?");
    }
}

#[test]
fn who_joins_is_shown_the_last_fifty_messages() {
    let server = start(&[]);
    let mut speakers: Vec<Guest> = ["ada", "ben", "eve"]
        .map(|name| enter(&server, "lobby", name))
        .into();
    speakers[2].hears("here\tada\tben\teve");
    for number in 0..60 {
        speakers[number / 20].say(&format!("{number}"));
        // In this order, as they come by several connections.
        while speakers[2].receive().unwrap()
            != Some(Message::Text(format!(
                "said\t{}\t{number}",
                ["ada", "ben", "eve"][number / 20]
            )))
        {}
    }
    let mut late = enter(&server, "lobby", "late");
    for number in 10..60 {
        let name = ["ada", "ben", "eve"][number / 20];
        late.hears(&format!("said\t{name}\t{number}"));
    }
    late.hears("here\tada\tben\teve\tlate");
}

#[test]
fn guest_who_says_too_much_at_once_is_told_and_not_heard() {
    let server = start(&[]);
    let mut ada = enter(&server, "lobby", "ada");
    ada.hears("here\tada");
    for number in 0..21 {
        ada.say(&number.to_string());
    }
    let mut heard = 0;
    loop {
        match ada.receive().unwrap() {
            Some(Message::Text(line)) if line.starts_with("said\t") => heard += 1,
            last => {
                let expected = "refused\tthat was too much at once".to_owned();
                assert_eq!(last, Some(Message::Text(expected)));
                break;
            }
        }
    }
    // What is refused comes back at once, and what is published at the end of the turn.
    assert!(heard <= 20);
    for _ in heard..20 {
        assert!(matches!(ada.receive(), Ok(Some(Message::Text(line))) if line.starts_with("said")));
    }
}

#[test]
fn strangers_and_wrong_rooms_and_names_are_refused() {
    let server = start(&[]);
    for (path, token, status) in [
        ("/rooms/lobby?name=ada", "wrong", "401"),
        ("/rooms/cellar?name=ada", "secret", "404"),
        ("/rooms/lobby?name=a%20b", "secret", "400"),
        ("/rooms/lobby", "secret", "400"),
    ] {
        let error = enter_with(&server, path, token).map(drop).unwrap_err();
        assert!(error.to_string().contains(status), "{path}: {error}");
    }
    let mut ada = enter(&server, "lobby", "ada");
    ada.hears("here\tada");
    enter(&server, "garden", "ada").ends(4001, "somebody else has this name");
    // It is still hers.
    let mut ben = enter(&server, "lobby", "ben");
    ben.hears("here\tada\tben");
    ben.say("/to ada hello");
    ada.hears("here\tada\tben");
    ada.hears("private\tben\thello");
}

#[cfg(unix)]
#[test]
fn server_fails_its_health_check_and_then_ends_in_order() {
    let mut server = start(&["--lame-duck", "1"]);
    assert_eq!(status(&server, "/"), "200");
    assert_eq!(status(&server, "/healthz"), "200");
    let mut ada = enter(&server, "lobby", "ada");
    ada.hears("here\tada");
    server.signal("TERM");
    let deadline = Instant::now() + PATIENCE;
    while status(&server, "/healthz") != "503" {
        assert!(Instant::now() < deadline);
    }
    ada.say("still here");
    ada.hears("said\tada\tstill here");
    ada.ends(1001, "the chat closes");
    assert!(server.ends_well());
}
