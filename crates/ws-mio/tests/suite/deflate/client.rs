//! Clients that offer compression, in a loop and alone.

use std::{io::IoSlice, rc::Rc, sync::Arc, time::Duration};

use ws_mio::{
    ClientConfig, ClientRequest, Connect, DeflateOffer, DeflateParams, DeflatePolicy, EventLoop,
    Message, OpenError, Socket, SocketState, Transport,
    memory::{self, Duplex},
};

use super::{BOTH, Side, prose, request, serving};
use crate::common::config;

/// Two loops, one the client of the other.
fn connect(
    server: Side,
    policy: DeflatePolicy,
    client: Side,
    request: ClientRequest,
    turns: usize,
) -> [EventLoop<Side, Duplex>; 2] {
    let mut server = EventLoop::new(serving(policy), server, || Ok(())).unwrap();
    let mut client = EventLoop::new(config(), client, || Ok(())).unwrap();
    let (near, far) = memory::pair(10_000);
    for inner in [&mut server, &mut client] {
        inner.start_turn(Duration::ZERO);
    }
    let server_key = server.admit(far).unwrap();
    let id = client
        .lend()
        .connect_over(near, Connect::new(request, ()))
        .unwrap();
    for _ in 0..turns {
        for (inner, key) in [(&mut client, id.key()), (&mut server, server_key)] {
            inner.start_turn(Duration::ZERO);
            inner.wake(key, BOTH);
            inner.finish_turn();
        }
    }
    [server, client]
}

#[test]
fn loop_is_the_client_of_another() {
    let offers = [
        DeflateOffer::new().server_max_window_bits(10),
        DeflateOffer::default(),
    ];
    let policy = DeflatePolicy::new().client_no_context_takeover(true);
    let params = DeflateParams {
        client_no_context_takeover: true,
        server_max_window_bits: 10,
        ..DeflateParams::default()
    };
    let client = Side::new(move |peer, what, message| {
        assert_eq!(peer.deflate(), Some(params));
        match message {
            None if what == "open" => {
                for len in [10, 1000, 50_000, 1000] {
                    peer.send(prose(len, len));
                }
            }
            Some(Message::Text(text)) => assert_eq!(text, prose(text.len(), text.len())),
            _ => {}
        }
    });
    let notes = Rc::clone(&client.notes);
    let [server, client] = connect(Side::echo(), policy, client, request().offers(offers), 200);
    assert_eq!(
        *notes.borrow(),
        ["10 bytes", "1000 bytes", "50000 bytes", "1000 bytes"]
    );
    for inner in [server, client] {
        let metrics = inner.remote().metrics();
        assert_eq!(metrics.compressed_messages_received, 3);
        assert_eq!(metrics.compressed_messages_sent, 3);
    }
}

#[test]
fn client_refuses_what_it_did_not_offer() {
    for (offer, reply) in [
        (None, "permessage-deflate"),
        (
            Some(DeflateOffer::new()),
            "permessage-deflate; client_max_window_bits=10",
        ),
        (
            Some(DeflateOffer::default()),
            "permessage-deflate; server_max_window_bits=7",
        ),
        (
            Some(DeflateOffer::default()),
            "permessage-deflate, permessage-deflate; server_no_context_takeover",
        ),
    ] {
        let request = request().offers(offer);
        let (near, mut far) = memory::pair(10_000);
        let mut socket: Socket<(), Duplex> =
            Socket::client(near, request, &ClientConfig::default()).unwrap();
        let mut side = Side::<false>::echo();
        socket.ready(BOTH, &mut side).unwrap();
        let answer = reply_to(&far_head(&mut far), reply);
        far.write(&[IoSlice::new(&answer)]).unwrap();
        let error = socket.ready(BOTH, &mut side).unwrap_err();
        assert!(matches!(error, OpenError::Handshake(_)), "{reply}: {error}");
        assert_eq!(socket.state(), SocketState::Closed);
    }
}

/// Reads a request.
fn far_head(far: &mut Duplex) -> String {
    let mut buffer = [0; 1000];
    let len = far.read(&mut buffer).unwrap();
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

/// Agrees to a request, and to the extensions named.
fn reply_to(request: &str, extensions: &str) -> Vec<u8> {
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap();
    let key = ws_handshake::accept_key(&key.as_bytes()[..24]);
    let key = str::from_utf8(&key).unwrap();
    format!(
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Extensions: {extensions}\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn sockets_compress_both_ways() {
    for policy in [
        DeflatePolicy::new(),
        DeflatePolicy::new()
            .server_no_context_takeover(true)
            .client_max_window_bits(9),
    ] {
        let (near, far) = memory::pair(5000);
        let request = request().offer(DeflateOffer::default());
        let mut client: Socket<(), Duplex> =
            Socket::client(near, request, &ClientConfig::default()).unwrap();
        let mut server = Socket::accept(far, Arc::new(serving(policy))).unwrap();
        let mut echo = Side::<false>::echo();
        let mut side = Side::<false>::new(|peer, what, _| {
            if what == "open" {
                for len in [100, 1000, 100_000, 3] {
                    peer.send(prose(len, len));
                }
            }
        });
        for round in 0..200 {
            client.ready(BOTH, &mut side).unwrap();
            server.ready(BOTH, &mut echo).unwrap();
            if round == 100 {
                let mut peer = client.peer().unwrap();
                assert_eq!(peer.deflate(), client_params(&policy));
                peer.send(prose(1, 2000));
                client.flush(&mut side).unwrap();
            }
        }
        assert_eq!(client.agreed().unwrap().deflate, client_params(&policy));
        let expected = [100, 1000, 100_000, 3, 2000].map(|len| format!("{len} bytes"));
        assert_eq!(*side.notes.borrow(), expected);
        assert_eq!(echo.notes.borrow()[1..], expected);
        // Memory goes when the time has come.
        assert!(client.next_timeout().is_some());
    }
}

/// What is agreed on by default.
fn client_params(policy: &DeflatePolicy) -> Option<DeflateParams> {
    let is_default = *policy == DeflatePolicy::new();
    Some(DeflateParams {
        server_no_context_takeover: !is_default,
        client_max_window_bits: if is_default { 15 } else { 9 },
        ..DeflateParams::default()
    })
}
