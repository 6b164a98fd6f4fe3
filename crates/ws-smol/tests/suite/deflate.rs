//! permessage-deflate, over in-memory transports.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    time::Instant,
};

use futures_core::Stream as _;
use futures_sink::Sink;
use smol::{
    future::{yield_now, zip},
    io::AsyncReadExt as _,
};
use ws_smol::{
    Acceptor, Budget, ClientMasking, ClientRequest, CloseCode, Config, Connector, Decision,
    DeflateOffer, DeflateParams, DeflatePolicy, Error, InflateConfig, MemoryBudget, Message,
    MessageRef, OriginPolicy, PeerAddr, Prepared, ProtocolError, Replies, SendError, ServerMasking,
    Sleep, Timer, Uncompressed, Uri, WebSocket,
};

use crate::support::{Chaotic, Pipe, Random, config, expect, masked, once, pipe, put, run};

/// All four parameters, both ways.
fn all_params() -> impl Iterator<Item = DeflateParams> {
    (0..4).flat_map(|set| {
        [(15, 15), (8, 15), (15, 8), (9, 10)].map(|(server, client)| DeflateParams {
            server_no_context_takeover: set & 1 == 1,
            client_no_context_takeover: set & 2 == 2,
            server_max_window_bits: server,
            client_max_window_bits: client,
        })
    })
}

fn client<S>(stream: S, config: &Config, params: DeflateParams) -> WebSocket<S>
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    WebSocket::after_handshake(stream, ClientMasking::new(), Vec::new(), config)
        .unwrap()
        .with_deflate(params)
}

fn server<S>(stream: S, config: &Config, params: DeflateParams) -> WebSocket<S>
where
    S: futures_io::AsyncRead + futures_io::AsyncWrite + Unpin,
{
    WebSocket::after_handshake(stream, ServerMasking::new(), Vec::new(), config)
        .unwrap()
        .with_deflate(params)
}

/// Text that compresses well, and refers to what was before it.
fn story(seed: usize, len: usize) -> String {
    let words = [
        "so ", "it ", "goes ", "é ", "🌍 ", "and ", "then ", "again ",
    ];
    let mut random = Random::new(seed as u64 % 5);
    let mut text = String::new();
    while text.len() < len {
        text.push_str(words[random.below(words.len())]);
    }
    text
}

fn noise(len: usize) -> Vec<u8> {
    let mut random = Random::new(len as u64);
    (0..len).map(|_| random.below(256) as u8).collect()
}

/// Messages of every kind and around every length that matters.
fn messages() -> Vec<Message> {
    let mut messages = vec![
        Message::from(""),
        Message::from("short"),
        Message::from(noise(300)),
        Message::from(noise(70_000)),
        Message::from(vec![0; 1_000_000]),
    ];
    for len in [127, 128, 2000, 67_000, 70_000, 200_000] {
        messages.push(story(len, len).into());
        messages.push(story(len, len).into_bytes().into());
    }
    messages
}

fn echo(message: MessageRef<'_>, replies: &mut Replies<'_>) -> Result<(), Error> {
    replies.queue(message)
}

#[test]
fn echo_is_the_same_by_all_parameters_and_all_ways_to_receive() {
    //= RFC7692-7.1.1.1-2, RFC7692-7.2.1-5, RFC7692-7.2.2-3
    for (case, params) in all_params().enumerate() {
        let (near, far) = pipe(100_000);
        let mut near = client(near, &config(), params);
        let mut far = server(far, &config(), params);
        assert_eq!(far.deflate(), Some(params));
        let asking = async {
            for message in messages() {
                near.send(&message).await.unwrap();
                let echoed = near.receive().await.unwrap().unwrap();
                assert!(echoed == message, "{} bytes, {params:?}", message.len());
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let serving = async {
            match case % 4 {
                0 => while far.receive_with(echo).await.unwrap() {},
                1 => {
                    while let Some(message) = far.receive().await.unwrap() {
                        far.send(&message).await.unwrap();
                    }
                }
                2 => {
                    while let Some(message) = far.receive_ref().await.unwrap() {
                        let message = Message::from(message);
                        far.send(&message).await.unwrap();
                    }
                }
                _ => {
                    while let Some(chunk) = far.receive_chunk().await.unwrap() {
                        let (data, last) = (Message::from(chunk.data), chunk.last);
                        far.send_fragment(&data, last).await.unwrap();
                    }
                }
            }
            assert_eq!(far.close_status().unwrap().code, 1000);
        };
        run(zip(asking, serving));
    }
}

#[test]
fn messages_are_compressed_on_the_wire_and_uncompressed_ones_are_not() {
    //= RFC7692-6.1-2, RFC7692-6.1-5
    run(async {
        let (near, mut peer) = pipe(100_000);
        let mut websocket = server(near, &config(), DeflateParams::default());
        let text = "so it goes, ".repeat(100);
        let frame = async |peer: &mut Pipe, websocket: &mut WebSocket<Pipe>| {
            websocket.flush().await.unwrap();
            peer.take_available()
        };
        websocket.queue(&text).unwrap();
        let first = frame(&mut peer, &mut websocket).await;
        assert_eq!(first[0], 0xc1);
        assert!(first.len() < 40, "{}", first.len());
        websocket.queue(Uncompressed(&text)).unwrap();
        let plain = frame(&mut peer, &mut websocket).await;
        assert_eq!((plain[0], plain.len()), (0x81, 4 + text.len()));
        // Below `min_len`, and control frames.
        websocket.queue("short").unwrap();
        websocket.ping(b"there?").await.unwrap();
        expect(&mut peer, b"\x81\x05short\x89\x06there?").await;
        // The window goes on behind what went out plain, from the second
        // message on.
        websocket.queue(&text).unwrap();
        let second = frame(&mut peer, &mut websocket).await;
        websocket.queue(&text).unwrap();
        let third = frame(&mut peer, &mut websocket).await;
        assert!(third.len() < second.len(), "{second:?} {third:?}");
    });
}

#[test]
fn first_fragment_decides_for_its_message() {
    //= RFC7692-6.1-3
    run(async {
        let (near, mut peer) = pipe(100_000);
        let mut websocket = server(near, &config(), DeflateParams::default());
        websocket
            .send_fragment(Uncompressed("a"), false)
            .await
            .unwrap();
        websocket.send_fragment("b", true).await.unwrap();
        expect(&mut peer, b"\x01\x01a\x80\x01b").await;
        websocket.send_fragment("a", false).await.unwrap();
        let refused = websocket.send_fragment(Uncompressed("secret"), true).await;
        assert!(matches!(
            refused,
            Err(Error::Send(SendError::CompressionChanged))
        ));
        websocket.send_fragment("", true).await.unwrap();
        let wire = peer.take_available();
        assert_eq!(wire[0], 0x41);
        let (near, far) = pipe(1000);
        let mut far = client(far, &config(), DeflateParams::default());
        let mut near = near;
        put(&mut near, &wire).await;
        assert_eq!(far.receive().await.unwrap(), Some("a".into()));
    });
}

#[test]
fn handshake_agrees_as_both_want() {
    //= RFC7692-5-2, RFC7692-5-5
    let offered = |offers: &[DeflateOffer]| {
        ClientRequest::new(Uri::parse("ws://example.com/").unwrap()).offers(offers.iter().copied())
    };
    let smaller = DeflateOffer::new().server_max_window_bits(10);
    let policy = DeflatePolicy::new().client_max_window_bits(9);
    let cases = [
        (&[][..], Some(policy), false, None),
        (&[DeflateOffer::default()][..], None, false, None),
        (&[DeflateOffer::default()][..], Some(policy), true, None),
        (&[DeflateOffer::default()][..], Some(policy), false, Some(9)),
        (
            &[smaller, DeflateOffer::default()][..],
            Some(policy),
            false,
            Some(15),
        ),
    ];
    for (offers, policy, declined, client_bits) in cases {
        let (near, far) = pipe(100_000);
        let mut acceptor = Acceptor::new(OriginPolicy::SameHost);
        if let Some(policy) = policy {
            acceptor = acceptor.deflate(policy);
        }
        let decide = |decision: Decision| match declined {
            true => decision.without_deflate(),
            false => decision,
        };
        let connector = Connector::new();
        let opened = zip(
            connector.handshake(near, PeerAddr::Unknown, offered(offers)),
            acceptor.accept_with(far, PeerAddr::Unknown, async |_, _| {
                decide(Decision::accept())
            }),
        );
        let (near, far) = run(opened);
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert_eq!(near.deflate(), far.deflate());
        let bits = near.deflate().map(|params| params.client_max_window_bits);
        assert_eq!(bits, client_bits);
        let text = story(1, 5000);
        let talking = async {
            near.send(&text).await.unwrap();
            assert_eq!(
                far.receive().await.unwrap().unwrap().as_text(),
                Some(&text[..])
            );
        };
        run(talking);
    }
}

#[test]
fn client_refuses_what_it_did_not_offer() {
    //= RFC7692-5-5, RFC7692-7-6
    let cases = [
        (None, "permessage-deflate", "unexpected_extension"),
        (
            Some(DeflateOffer::new()),
            "permessage-deflate; client_max_window_bits=9",
            "bad_extension_params",
        ),
        (
            Some(DeflateOffer::default()),
            "permessage-deflate; server_max_window_bits=7",
            "bad_extension_params",
        ),
        (
            Some(DeflateOffer::default()),
            "permessage-deflate, permessage-deflate; server_no_context_takeover",
            "duplicate_extension",
        ),
    ];
    for (offer, reply, expected) in cases {
        let (near, mut peer) = pipe(1000);
        let mut request = ClientRequest::new(Uri::parse("ws://example.com/").unwrap());
        if let Some(offer) = offer {
            request = request.offer(offer);
        }
        let answering = async {
            let mut head = vec![0; 1000];
            let len = peer.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..len]).into_owned();
            let key = head.split("Sec-WebSocket-Key: ").nth(1).unwrap();
            let accept = ws_handshake::accept_key(&key.as_bytes()[..24]);
            let accept = str::from_utf8(&accept).unwrap();
            let reply = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\
                 Sec-WebSocket-Extensions: {reply}\r\n\r\n"
            );
            put(&mut peer, reply.as_bytes()).await;
        };
        let (outcome, ()) = run(zip(ws_smol::client_on(near, request), answering));
        match outcome {
            Err(Error::Handshake(error)) => assert_eq!(error.kind(), expected),
            other => panic!("{other:?}"),
        }
    }
}

/// A frame of a client, without a key, that is compressed.
fn compressed(payload: &[u8]) -> Vec<u8> {
    masked(0xc1, payload)
}

/// What a message of so many zeros is compressed to.
fn bomb(len: usize) -> Vec<u8> {
    let (mut near, far) = pipe(1 << 20);
    let mut unlimited = config();
    unlimited.max_backpressure = usize::MAX;
    let mut websocket = client(&mut near, &unlimited, DeflateParams::default());
    run(websocket.send(&vec![0; len])).unwrap();
    drop(websocket);
    far.take_available()
}

#[test]
fn bomb_is_refused_before_it_is_there() {
    //= RFC6455-10.4-1, RFC6455-10.4-2
    let wire = bomb(64 << 20);
    let limit = 1 << 20;
    let mut limited = config();
    limited.limits.max_message = limit;
    for way in 0..4 {
        let (near, mut peer) = pipe(1 << 20);
        let mut websocket = server(near, &limited, DeflateParams::default());
        let receiving = async {
            match way {
                0 => drop(websocket.receive().await?),
                1 => drop(websocket.receive_ref().await?),
                2 => while websocket.receive_chunk().await?.is_some() {},
                _ => while websocket.receive_with(echo).await? {},
            }
            Ok::<(), Error>(())
        };
        let attacking = async {
            put(&mut peer, &wire).await;
            let mut close = [0; 4];
            peer.read_exact(&mut close).await.unwrap();
            drop(peer);
            close
        };
        let mut ended = None;
        let memory = allocation_counter::measure(|| ended = Some(run(zip(receiving, attacking))));
        let (outcome, close) = ended.unwrap();
        // The message so far, in a buffer that doubles, and the thread's own.
        assert!(memory.bytes_max < 5 << 20, "{memory:?}");
        assert!(
            matches!(
                outcome,
                Err(Error::Protocol(ProtocolError::MessageTooBig { limit: l, .. })) if l == limit
            ),
            "{outcome:?}"
        );
        assert_eq!(close[2..], 1009u16.to_be_bytes());
    }
}

#[test]
fn what_is_equal_to_the_limit_passes() {
    let limit = 100_000;
    let mut limited = config();
    limited.limits.max_message = limit;
    for (len, passes) in [(limit, true), (limit + 1, false)] {
        let (near, far) = pipe(1 << 20);
        let mut near = client(near, &config(), DeflateParams::default());
        let mut far = server(far, &limited, DeflateParams::default());
        run(async {
            near.queue("before").unwrap();
            near.queue(vec![1; len as usize]).unwrap();
            near.flush().await.unwrap();
            // What was whole before comes first.
            assert_eq!(far.receive().await.unwrap(), Some("before".into()));
            let next = once(far.receive()).await;
            assert_eq!(matches!(next, Some(Ok(Some(_)))), passes);
        });
    }
}

#[test]
fn what_does_not_inflate_fails_the_connection() {
    //= RFC7692-7.2.2-1
    let cases = [
        (compressed(&[0xff; 20]), 1007u16),
        // A message that broke off.
        (compressed(b"\xf2\x48\xcd"), 1007),
        // Text that is none: "\xff".
        (compressed(b"\xfa\x0f\x00"), 1007),
        // RSV1 in the middle of a message, and on a control frame.
        ([masked(0x41, b""), masked(0xc0, b"")].concat(), 1002),
        (masked(0xc9, b""), 1002),
    ];
    for (wire, code) in cases {
        let (near, mut peer) = pipe(10_000);
        let mut websocket = server(near, &config(), DeflateParams::default());
        let receiving = async {
            assert_eq!(websocket.receive().await.unwrap(), Some("Hello".into()));
            websocket.receive().await
        };
        let breaking = async {
            let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
            put(&mut peer, &compressed(hello)).await;
            put(&mut peer, &wire).await;
            let mut close = [0; 4];
            peer.read_exact(&mut close).await.unwrap();
            drop(peer);
            close
        };
        let (outcome, close) = run(zip(receiving, breaking));
        assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
        assert_eq!(close[2..], code.to_be_bytes(), "{wire:x?}");
    }
}

#[test]
fn budget_and_ratio_are_kept() {
    let mut strict = config();
    let mut inflate = InflateConfig::default();
    inflate.max_ratio = 20;
    strict.inflate = inflate;
    let mut poor = config();
    poor.inflate.budget = Budget::new(50 * 1024);
    for (config, code) in [(strict, 1009u16), (poor, 1013)] {
        let (near, mut peer) = pipe(1 << 20);
        let mut websocket = server(near, &config, DeflateParams::default());
        let attacking = async {
            put(&mut peer, &bomb(200_000)).await;
            let mut close = [0; 4];
            peer.read_exact(&mut close).await.unwrap();
            drop(peer);
            close
        };
        let (outcome, close) = run(zip(websocket.receive(), attacking));
        assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
        assert_eq!(close[2..], code.to_be_bytes());
        // A thread keeps its decoder, and the connection nothing.
        assert!(config.inflate.budget.held() <= 50 * 1024);
    }
}

/// Each of the attackers sends one byte of a compressed message, and nothing
/// more: a decoder for each would take twice the budget.
#[test]
fn beginnings_of_compressed_messages_keep_nobody_from_being_served() {
    //= RFC6455-10.4-2
    const ATTACKERS: usize = 10_000;
    let mut config = config();
    config.inflate = InflateConfig::default();
    let budget = &config.inflate.budget;
    let mut attackers = Vec::new();
    for _ in 0..ATTACKERS {
        let (near, mut far) = pipe(64);
        let mut near = server(near, &config, DeflateParams::default());
        run(put(&mut far, b"\xc2\xe4\x01\x02\x03\x04\x00"));
        assert!(run(once(near.receive())).is_none());
        attackers.push((near, far));
    }
    assert!(budget.held() < budget.limit() / 100, "{}", budget.held());
    let text = story(3, 4096);
    for _ in 0..100 {
        // In many reads, so that it is not finished in between.
        let (near, far) = pipe(100);
        let mut near = server(near, &config, DeflateParams::default());
        let mut far = client(far, &config, DeflateParams::default());
        let (received, sent) = run(zip(near.receive(), far.send(&text)));
        sent.unwrap();
        assert!(received.unwrap().unwrap() == Message::from(text.as_str()));
    }
}

#[test]
fn prepared_message_is_compressed_once_for_many() {
    let text = story(1, 10_000);
    let prepared = Prepared::new(MessageRef::Text(&text));
    let mut frames = Vec::new();
    for params in all_params() {
        let (near, far) = pipe(1 << 20);
        let mut near = server(near, &config(), params);
        near.queue(
            "before, and longer than what goes out plain "
                .repeat(5)
                .as_str(),
        )
        .unwrap();
        run(near.send_prepared(&prepared.clone())).unwrap();
        near.queue_prepared(&prepared).unwrap();
        run(near.flush()).unwrap();
        let wire = far.take_available();
        assert!(wire.len() < text.len());
        frames.push((params.server_max_window_bits, wire));
        let (mut near, far) = pipe(1 << 20);
        let mut far = client(far, &config(), params);
        run(async {
            put(&mut near, &frames.last().unwrap().1).await;
            far.receive().await.unwrap().unwrap();
            for _ in 0..2 {
                let message = far.receive().await.unwrap().unwrap();
                assert_eq!(message.as_text(), Some(&text[..]));
            }
        });
    }
    for (bits, wire) in &frames {
        for (other_bits, other) in &frames {
            assert!(bits != other_bits || wire == other);
        }
    }
}

#[test]
fn halves_compress_both_ways() {
    for params in all_params() {
        let (near, far) = pipe(5000);
        let (mut reader, mut writer) = client(near, &config(), params).split();
        let mut far = server(far, &config(), params);
        let sending = async {
            for message in messages() {
                writer.send(&message).await.unwrap();
            }
            writer.send(Uncompressed("last")).await.unwrap();
        };
        let receiving = async {
            for expected in messages() {
                let message = reader.receive_ref().await.unwrap().unwrap();
                assert!(Message::from(message) == expected);
            }
            assert_eq!(reader.receive().await.unwrap(), Some("last".into()));
        };
        let serving = async {
            loop {
                far.receive_with(echo).await.unwrap();
            }
        };
        let talking = async {
            zip(sending, receiving).await;
        };
        run(smol::future::or(talking, serving));
    }
}

#[test]
fn everything_can_be_dropped_in_the_middle_of_a_compressed_message() {
    for (seed, params) in all_params().enumerate() {
        let seed = seed as u64;
        let (near, far) = pipe(300);
        let mut limited = config();
        limited.max_backpressure = 20_000;
        let mut near = client(Chaotic::new(near, seed, 100), &limited, params);
        let mut far = server(Chaotic::new(far, seed + 1000, 100), &limited, params);
        let message = |i: usize| match i % 4 {
            0 => Message::from(noise(200 + i)),
            1 => Message::from("short"),
            _ => Message::from(story(i, 500 + i * 300)),
        };
        const MESSAGES: usize = 40;
        let sending = async {
            let mut certain = Vec::new();
            for i in 0..MESSAGES {
                if once(near.send(&message(i))).await.is_some() {
                    certain.push(i);
                }
                if i % 3 == 0 {
                    let _ = near.queue(message(i));
                }
                yield_now().await;
            }
            near.send("last").await.unwrap();
            near.close(CloseCode::NORMAL, "").await.unwrap();
            certain
        };
        let receiving = async {
            let mut random = Random::new(seed);
            let (mut received, mut partial) = (Vec::new(), Vec::new());
            loop {
                let last = if random.below(2) == 0 {
                    let whole = once(far.receive()).await;
                    whole.map(|whole| {
                        whole.unwrap().map(|message| {
                            partial.extend_from_slice(message.as_bytes());
                            true
                        })
                    })
                } else {
                    let chunk = once(far.receive_chunk()).await;
                    chunk.map(|chunk| {
                        chunk.unwrap().map(|chunk| {
                            partial.extend_from_slice(chunk.data.as_bytes());
                            chunk.last
                        })
                    })
                };
                match last {
                    None => yield_now().await,
                    Some(None) => break received,
                    Some(Some(false)) => {}
                    Some(Some(true)) => received.push(std::mem::take(&mut partial)),
                }
            }
        };
        let (certain, received) = run(zip(sending, receiving));
        assert_eq!(received.last().unwrap(), b"last");
        // In order and whole.
        let mut next = 0;
        for got in &received[..received.len() - 1] {
            while message(next).as_bytes() != got {
                next += 1;
            }
        }
        for i in certain {
            assert!(received.iter().any(|got| got == message(i).as_bytes()));
        }
    }
}

#[test]
fn reading_ahead_inflates_no_more_than_is_allowed() {
    let mut limited = config();
    limited.max_read_ahead = 100_000;
    let (near, mut peer) = pipe(1 << 20);
    let mut websocket = server(near, &limited, DeflateParams::default());
    run(async {
        put(&mut peer, &bomb(1_000_000)).await;
        put(&mut peer, &compressed(b"\xf2\x48\xcd\xc9\xc9\x07\x00")).await;
        for _ in 0..10 {
            websocket.send("only writes").await.unwrap();
        }
        let message = websocket.receive().await.unwrap().unwrap();
        assert!(message == Message::from(vec![0; 1_000_000]));
        assert_eq!(websocket.receive().await.unwrap(), Some("Hello".into()));
    });
}

/// A clock that stands still.
#[derive(Debug)]
struct Standstill(Instant);

impl Timer for Standstill {
    fn now(&self) -> Instant {
        self.0
    }

    fn sleep_until(&self, _: Instant) -> Sleep {
        Box::pin(pending())
    }
}

#[test]
fn idle_connection_holds_what_is_owed() {
    // What a thread keeps for those who sent last is not the connection's.
    let mut config = config();
    config.deflate.max_live = 1;
    let started = Instant::now();
    let owed = |params| {
        let (near, far) = pipe(1 << 20);
        // Nor is what a reactor of timers holds, and gives back when it likes.
        let mut near = client(near, &config, params).with_timer(Standstill(started));
        let mut far = server(far, &config, params).with_timer(Standstill(started));
        let text = story(1, 5000);
        // The buffers of the transport grow, too.
        run(async {
            near.send(Uncompressed(&text)).await.unwrap();
            far.receive().await.unwrap().unwrap();
            far.send(Uncompressed(&text)).await.unwrap();
            near.receive().await.unwrap().unwrap();
        });
        let mut talk = || {
            // Without the reactor, which would work for other tests on this thread.
            smol::future::block_on(async {
                near.send(&text).await.unwrap();
                far.receive().await.unwrap().unwrap();
                far.send(&text).await.unwrap();
                near.receive().await.unwrap().unwrap();
            });
        };
        let first = allocation_counter::measure(&mut talk);
        let second = allocation_counter::measure(|| (0..20).for_each(|_| talk()));
        (first.bytes_current, second.bytes_current)
    };
    let without = DeflateParams {
        server_no_context_takeover: true,
        client_no_context_takeover: true,
        ..DeflateParams::default()
    };
    // What a thread lends is made once.
    owed(DeflateParams::default());
    owed(without);
    assert_eq!(owed(without), (0, 0));
    let (first, second) = owed(DeflateParams::default());
    assert!((10_000..10_300).contains(&first), "{first}");
    assert!(second <= 2 * 32_768 - first + 300, "{second}");
}

#[test]
fn connection_may_move_between_threads() {
    for params in all_params() {
        let (near, far) = pipe(1 << 20);
        let mut near = client(near, &config(), params);
        let mut far = server(far, &config(), params);
        for round in 0..6 {
            let thread = std::thread::spawn(move || {
                run(async {
                    for i in 0..3 {
                        let text = story(round * 3 + i, 3000);
                        near.send(&text).await.unwrap();
                        assert!(far.receive_with(echo).await.unwrap());
                        let echoed = near.receive().await.unwrap().unwrap();
                        assert_eq!(echoed.as_text(), Some(&text[..]));
                    }
                });
                (near, far)
            });
            (near, far) = thread.join().unwrap();
        }
    }
}

#[test]
fn stream_and_sink_compress_and_inflate() {
    run(async {
        let (near, far) = pipe(5000);
        let mut near = client(near, &config(), DeflateParams::default());
        let mut far = server(far, &config(), DeflateParams::default());
        let sending = async {
            for message in messages() {
                poll_fn(|cx| Pin::new(&mut near).poll_ready(cx))
                    .await
                    .unwrap();
                Pin::new(&mut near).start_send(message).unwrap();
            }
            poll_fn(|cx| Sink::poll_close(Pin::new(&mut near), cx))
                .await
                .unwrap();
        };
        let receiving = async {
            for expected in messages() {
                let message = poll_fn(|cx| Pin::new(&mut far).poll_next(cx)).await;
                assert!(message.unwrap().unwrap() == expected);
            }
            assert!(
                poll_fn(|cx| Pin::new(&mut far).poll_next(cx))
                    .await
                    .is_none()
            );
        };
        zip(sending, receiving).await;
    });
}

#[test]
fn compressor_of_an_unfinished_message_counts_as_memory() {
    let mut config = config();
    config.memory = MemoryBudget::new(1 << 20);
    let params = all_params().next().unwrap();
    let (_near, far) = pipe(100_000);
    let mut far = server(far, &config, params);
    run(async {
        let text = story(1, 5000);
        far.send_fragment(&text, false).await.unwrap();
        let held = config.memory.held();
        assert!((300_000..500_000).contains(&held), "{held}");
        far.send_fragment("", true).await.unwrap();
        assert!(config.memory.held() < 1000, "{}", config.memory.held());
    });
}
