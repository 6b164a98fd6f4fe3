//! Each future is dropped at each of its polls in turn, and asked for again:
//! what a conversation comes to is the same.

use std::{cell::Cell, future::Future, pin::pin, task::Poll, time::Duration};

use futures_io::{AsyncRead, AsyncWrite};
use smol::{
    future::{poll_fn, zip},
    net::TcpListener,
};
use ws_smol::{
    Acceptor, ClientRequest, CloseCode, Connector, Error, Gate, Message, OriginPolicy, PeerAddr,
    Reconnect, Uri, WebSocket,
};
#[cfg(feature = "tls")]
use ws_smol::{ClientTls, ServerTls};

use crate::support::{Chaotic, client, config, once, pipe, run, server};

/// Drops the future that is polled when the count comes to a number.
struct Cut {
    polls: Cell<usize>,
    at: usize,
}

impl Cut {
    const fn new(at: usize) -> Self {
        let polls = Cell::new(0);
        Self { polls, at }
    }

    /// Polls a future to its end; `None` if it was dropped before.
    async fn run<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        poll_fn(|cx| {
            let polls = self.polls.replace(self.polls.get() + 1);
            match future.as_mut().poll(cx) {
                Poll::Pending if polls == self.at => Poll::Ready(None),
                outcome => outcome.map(Some),
            }
        })
        .await
    }

    /// Tells whether the conversation was over before the count came so far.
    const fn is_beyond(&self) -> bool {
        self.polls.get() <= self.at
    }
}

/// Plays a conversation once for each of its polls, and in every mood of the
/// transport.
fn at_every_poll(play: impl Fn(&Cut, u64)) {
    for seed in 0..6 {
        for at in 0.. {
            let cut = Cut::new(at);
            play(&cut, seed);
            if cut.is_beyond() {
                assert!(at > 20, "there was nothing to drop");
                break;
            }
        }
    }
}

const MESSAGES: usize = 12;

fn message(number: usize) -> Message {
    match number.is_multiple_of(2) {
        true => Message::Text(format!("{number} é ").repeat(1 + number * 7)),
        false => Message::Binary(vec![number as u8; number * 97]),
    }
}

#[test]
fn receive_queue_flush_and_close_lose_nothing_at_any_poll() {
    at_every_poll(|cut, seed| {
        let (near, far) = pipe(200);
        let mut near = client(Chaotic::new(near, seed, 150), &config());
        let mut far = server(Chaotic::new(far, seed + 1000, 150), &config());
        let sending = async {
            for number in 0..MESSAGES {
                near.queue(message(number)).unwrap();
                while cut
                    .run(near.flush())
                    .await
                    .map(|done| done.unwrap())
                    .is_none()
                {}
            }
            while cut
                .run(near.close(CloseCode::NORMAL, "bye"))
                .await
                .is_none()
            {}
            assert_eq!(near.close_status().unwrap().code, 1000);
        };
        let receiving = async {
            for number in 0..MESSAGES {
                let received = loop {
                    if let Some(received) = cut.run(far.receive()).await {
                        break received;
                    }
                };
                assert_eq!(
                    received.unwrap(),
                    Some(message(number)),
                    "cut at {}",
                    cut.at
                );
            }
            while cut.run(far.receive()).await.is_none() {}
            assert_eq!(far.close_status().unwrap().code, 1000);
        };
        run(zip(sending, receiving));
    });
}

#[test]
fn send_has_taken_all_or_nothing_at_any_poll() {
    at_every_poll(|cut, seed| {
        let (near, far) = pipe(200);
        let mut small = config();
        small.max_backpressure = 500;
        let mut near = client(Chaotic::new(near, seed, 150), &small);
        let mut far = server(Chaotic::new(far, seed + 1000, 150), &small);
        let dropped = Cell::new(None);
        let sending = async {
            for number in 0..MESSAGES {
                while cut.run(near.send(&message(number))).await.is_none() {
                    dropped.set(Some(number));
                }
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let receiving = async {
            let mut numbers = Vec::new();
            while let Some(received) = far.receive().await.unwrap() {
                let number = (0..MESSAGES).find(|number| message(*number) == received);
                numbers.push(number.expect("a message that was sent"));
            }
            // That which was dropped may have been taken, and was sent again.
            let before = numbers.len();
            numbers.dedup();
            assert!(
                numbers.iter().copied().eq(0..MESSAGES),
                "cut at {}: {numbers:?}",
                cut.at
            );
            assert!(before - numbers.len() <= usize::from(dropped.get().is_some()));
        };
        run(zip(sending, receiving));
    });
}

#[test]
fn receive_with_answers_each_message_once_at_any_poll() {
    at_every_poll(|cut, seed| {
        let (near, far) = pipe(300);
        let mut near = client(Chaotic::new(near, seed, 150), &config());
        let mut far = server(Chaotic::new(far, seed + 1000, 150), &config());
        let asking = async {
            for number in 0..MESSAGES {
                near.send(&message(number)).await.unwrap();
            }
            for number in 0..MESSAGES {
                let answer = near.receive().await.unwrap();
                assert_eq!(answer, Some(message(number)), "cut at {}", cut.at);
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let answering = async {
            loop {
                let turn = far.receive_with(|message, replies| replies.queue(message));
                let is_open = cut.run(turn).await.map(|turn| turn.unwrap());
                if is_open == Some(false) {
                    break;
                }
            }
        };
        run(zip(asking, answering));
    });
}

#[test]
fn pieces_are_handed_out_once_at_any_poll() {
    at_every_poll(|cut, seed| {
        let (near, far) = pipe(200);
        let mut near = client(Chaotic::new(near, seed, 150), &config());
        let mut far = server(Chaotic::new(far, seed + 1000, 150), &config());
        let sending = async {
            for number in 0..MESSAGES {
                let message = message(number);
                while cut.run(near.room(message.len())).await.is_none() {}
                near.queue(&message).unwrap();
                // One that is dropped may have been sent.
                while cut.run(near.ping(b"there?")).await.is_none() {}
                while cut.run(near.pong(b"here")).await.is_none() {}
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let receiving = async {
            for number in 0..MESSAGES {
                let mut joined = Vec::new();
                loop {
                    let chunk = cut.run(far.receive_chunk()).await;
                    let Some(chunk) = chunk.map(|chunk| chunk.unwrap().unwrap()) else {
                        continue;
                    };
                    assert_eq!(chunk.first, joined.is_empty(), "cut at {}", cut.at);
                    joined.extend_from_slice(chunk.data.as_bytes());
                    if chunk.last {
                        break;
                    }
                }
                assert_eq!(joined, message(number).as_bytes(), "cut at {}", cut.at);
            }
            while cut.run(far.receive_ref()).await.is_none() {}
            assert_eq!(far.close_status().unwrap().code, 1000);
        };
        run(zip(sending, receiving));
    });
}

#[test]
fn gate_that_is_asked_again_at_any_poll_still_tells() {
    for at in 0..4 {
        let cut = Cut::new(at);
        let gate = Gate::new(10, 10);
        let pass = gate.admit(PeerAddr::Local).unwrap();
        let waiting = async {
            while cut.run(pass.drained()).await.is_none() {}
            drop(pass);
        };
        let draining = async {
            assert!(once(gate.gone()).await.is_none());
            gate.drain(Duration::from_millis(5), Duration::from_secs(50));
            let are_gone = loop {
                if let Some(are_gone) = cut.run(gate.gone()).await {
                    break are_gone;
                }
            };
            assert!(are_gone, "cut at {at}");
        };
        run(zip(waiting, draining));
    }
}

#[test]
fn client_comes_back_after_an_attempt_that_was_dropped_at_any_poll() {
    for at in 0.. {
        let cut = Cut::new(at);
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("ws://{}/", listener.local_addr().unwrap());
            let request = ClientRequest::new(Uri::parse(&url).unwrap());
            let mut reconnect = Reconnect::new(Connector::new(), request);
            let connecting = async {
                loop {
                    if let Some(websocket) = cut.run(reconnect.connect()).await {
                        break talk(websocket.unwrap()).await;
                    }
                }
            };
            let accepting = async {
                while !answer(ws_smol::accept(listener.accept().await.unwrap().0).await).await {}
            };
            zip(connecting, accepting).await;
        });
        if cut.is_beyond() {
            assert!(at > 1, "there was nothing to drop");
            break;
        }
    }
}

#[cfg(feature = "tls")]
#[test]
fn tls_handshake_that_is_dropped_at_any_poll_is_made_again() {
    let ca = ws_testkit::certificates::Ca::new("ours");
    let identity = ca.issue("localhost");
    let tls = ServerTls::from_pem(identity.cert.as_bytes(), identity.key.as_bytes()).unwrap();
    let acceptor = Acceptor::new(OriginPolicy::Any).tls(tls);
    let connector = Connector::new().tls(ClientTls::with_ca(ca.pem().as_bytes()).unwrap());
    for (is_client, at) in (0..).flat_map(|at| [(true, at), (false, at)]) {
        let cut = Cut::new(at);
        let never = Cut::new(usize::MAX);
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let uri = Uri::parse(&format!("wss://localhost:{port}/")).unwrap();
            let [client, server] = match is_client {
                true => [&cut, &never],
                false => [&never, &cut],
            };
            let connecting = async {
                loop {
                    let request = ClientRequest::new(uri.clone());
                    // The other side may have dropped it.
                    if let Some(Ok(websocket)) = client.run(connector.connect(request)).await {
                        break talk(websocket).await;
                    }
                }
            };
            let accepting = async {
                loop {
                    let (stream, peer) = listener.accept().await.unwrap();
                    if let Some(accepted) = server.run(acceptor.accept(stream, peer)).await
                        && answer(accepted).await
                    {
                        break;
                    }
                }
            };
            zip(connecting, accepting).await;
        });
        if cut.is_beyond() {
            assert!(at > 1, "there was nothing to drop");
            break;
        }
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(mut websocket: WebSocket<S>) {
    websocket.send("here").await.unwrap();
    let answer = websocket.receive().await.unwrap();
    assert_eq!(answer, Some(Message::Text("here".into())));
}

/// Answers a message; tells whether the client was there to send one.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(accepted: Result<WebSocket<S>, Error>) -> bool {
    let Ok(mut websocket) = accepted else {
        return false;
    };
    let Ok(Some(message)) = websocket.receive().await else {
        return false;
    };
    websocket.send(&message).await.unwrap();
    true
}

#[test]
fn opening_handshake_that_is_dropped_at_any_poll_drops_its_stream() {
    for is_client in [true, false] {
        at_every_poll(|cut, seed| {
            let (near, far) = pipe(20);
            let (near, far) = (
                Chaotic::new(near, seed, 9),
                Chaotic::new(far, seed + 1000, 9),
            );
            let request = ClientRequest::new(Uri::parse("ws://example.com/").unwrap());
            let connector = Connector::new();
            let acceptor = Acceptor::new(OriginPolicy::Any);
            let asking = connector.handshake(near, PeerAddr::Unknown, request);
            let accepting = acceptor.accept(far, PeerAddr::Unknown);
            // The other side is told, and does not wait.
            let (dropped, other) = match is_client {
                true => run(zip(cut_off(cut, asking), accepting)),
                false => {
                    let (other, dropped) = run(zip(asking, cut_off(cut, accepting)));
                    (dropped, other)
                }
            };
            if !dropped {
                assert!(other.is_ok());
            }
        });
    }
}

/// Tells whether a handshake was dropped.
async fn cut_off<T>(cut: &Cut, handshake: impl Future<Output = T>) -> bool {
    cut.run(handshake).await.is_none()
}
