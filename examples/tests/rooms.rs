//! The example `rooms`, as one process on the memory engine.

mod common;

use common::{Server, exchange};
use smol::net::TcpStream;
use ws_smol::{MaybeTls, Message, WebSocket, connect};

type Guest = WebSocket<MaybeTls<TcpStream>>;

fn start() -> Server {
    Server::start(env!("CARGO_BIN_EXE_rooms"), [""; 0])
}

async fn join(server: &Server, since: &str) -> Guest {
    let mut guest = connect(&server.url()).await.unwrap();
    guest.send(&*format!("join room{since}")).await.unwrap();
    guest
}

async fn hear(guest: &mut Guest) -> String {
    match guest.receive().await.unwrap() {
        Some(Message::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn guest_who_comes_back_is_told_what_was_said() {
    let server = start();
    smol::block_on(async {
        let mut ann = join(&server, "").await;
        let begin = hear(&mut ann).await;
        let (epoch, _) = begin.strip_prefix("at ").unwrap().split_once('-').unwrap();
        let mut bob = join(&server, "").await;
        assert_eq!(hear(&mut bob).await, format!("at {epoch}-0"));
        drop(bob);
        for text in ["one", "two"] {
            ann.send(&*format!("say {text}")).await.unwrap();
        }
        assert_eq!(hear(&mut ann).await, format!("message {epoch}-1 one"));
        assert_eq!(hear(&mut ann).await, format!("message {epoch}-2 two"));
        let mut bob = join(&server, &format!(" {epoch}-1")).await;
        assert_eq!(hear(&mut bob).await, format!("message {epoch}-2 two"));
        assert_eq!(hear(&mut bob).await, format!("at {epoch}-2"));
        let mut cid = join(&server, " 1234-1").await;
        let lost = hear(&mut cid).await;
        assert!(lost.starts_with(&format!("lost {epoch}-2 ")), "{lost}");
    });
}

#[test]
fn browser_gets_a_page_with_the_servers() {
    let server = start();
    let page = exchange(
        server.connect(),
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    let address = server.address.strip_prefix("ws://").unwrap();
    assert!(
        page.contains(&format!("const servers = \"{address}\".split")),
        "{page}"
    );
}
