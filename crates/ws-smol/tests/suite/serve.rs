//! Messages that are handed to a handler, and its replies.

use std::{sync::mpsc, thread, time::Duration};

use smol::{
    future::{yield_now, zip},
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use ws_smol::{
    ClientMasking, CloseCode, Error, Message, MessageRef, Prepared, Replies, ServerMasking,
    WebSocket,
};

use crate::support::{
    Chaotic, Random, client, config, expect, masked, once, pipe, put, run, server,
};

fn echo(message: MessageRef<'_>, replies: &mut Replies<'_>) -> Result<(), Error> {
    replies.queue(message)
}

/// Messages around every length at which something is done in another way.
fn messages() -> impl Iterator<Item = Message> {
    let lengths = [
        0, 1, 125, 126, 4095, 4096, 8191, 8192, 65_535, 65_536, 70_000, 524_288, 600_000, 2_000_000,
    ];
    lengths.into_iter().flat_map(|len| {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 253) as u8).collect();
        [Message::Binary(bytes), Message::Text("é".repeat(len / 2))]
    })
}

#[test]
fn echo_goes_back_as_it_came_whatever_the_flags() {
    //= MSWS-3.1.4-6, MSWS-3.2.5-3, MSWS-3.2.5-4
    for (zero, unmasked, capacity) in [
        (false, false, 1 << 22),
        (true, false, 1000),
        (true, true, 70_000),
        (false, true, 1 << 16),
    ] {
        let (near, far) = pipe(capacity);
        let masking = ClientMasking::with_set_mask_to_zero(zero);
        let mut near = WebSocket::after_handshake(near, masking, Vec::new(), &config()).unwrap();
        let masking = ServerMasking::with_accept_unmasked_frame(unmasked);
        let mut far = WebSocket::after_handshake(far, masking, Vec::new(), &config()).unwrap();
        let asking = async {
            for message in messages() {
                near.send(&message).await.unwrap();
                let echoed = near.receive().await.unwrap().unwrap();
                assert!(echoed == message, "{} bytes", message.len());
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let serving = async {
            while far.receive_with(echo).await.unwrap() {}
            assert_eq!(far.close_status().unwrap().code, 1000);
        };
        run(zip(asking, serving));
    }
}

#[test]
fn unmasked_frames_are_echoed_from_where_they_lie() {
    //= MSWS-3.2.5-3
    run(async {
        for len in [5000_usize, 100_000, 700_000] {
            let (mut near, far) = pipe(1 << 21);
            let masking = ServerMasking::with_accept_unmasked_frame(true);
            let mut far = WebSocket::after_handshake(far, masking, Vec::new(), &config()).unwrap();
            let mut frame = match u16::try_from(len) {
                Ok(len) => [&[0x82, 126][..], &len.to_be_bytes()].concat(),
                Err(_) => [&[0x82, 127][..], &(len as u64).to_be_bytes()].concat(),
            };
            frame.extend((0..len).map(|i| (i % 251) as u8));
            near.write_all(&frame).await.unwrap();
            assert!(far.receive_with(echo).await.unwrap());
            far.flush().await.unwrap();
            expect(&mut near, &frame).await;
        }
    });
}

#[test]
fn client_masks_what_it_echoes() {
    let (near, far) = pipe(1 << 22);
    let (mut near, mut far) = (server(near, &config()), client(far, &config()));
    let asking = async {
        for message in messages() {
            near.send(&message).await.unwrap();
            assert!(near.receive().await.unwrap().unwrap() == message);
        }
        near.close(CloseCode::NORMAL, "").await.unwrap();
    };
    let serving = async { while far.receive_with(echo).await.unwrap() {} };
    run(zip(asking, serving));
}

#[test]
fn replies_keep_their_place_among_pongs_and_each_other() {
    //= RFC6455-5.5.2-2, RFC6455-5.5.2-3
    run(async {
        let (mut near, far) = pipe(1 << 16);
        let mut far = server(far, &config());
        let long = vec![7; 5000];
        for part in [
            masked(0x81, b"a"),
            masked(0x89, b"?"),
            masked(0x01, b"b"),
            masked(0x89, b"!"),
            masked(0x80, b"c"),
            masked(0x82, &long),
        ] {
            put(&mut near, &part).await;
        }
        let prepared = Prepared::new("p".into());
        let mut lengths = Vec::new();
        let handler = |message: MessageRef<'_>, replies: &mut Replies<'_>| {
            lengths.push(message.len());
            replies.queue("<")?;
            replies.queue(message)?;
            // What lies where it was read to is written once from there.
            replies.queue(message)?;
            replies.queue_prepared(&prepared)
        };
        assert!(far.receive_with(handler).await.unwrap());
        assert_eq!(lengths, [1, 2, 5000]);
        expect(&mut near, b"\x81\x01<\x81\x01a\x81\x01a\x81\x01p\x8a\x01?").await;
        expect(
            &mut near,
            b"\x8a\x01!\x81\x01<\x81\x02bc\x81\x02bc\x81\x01p",
        )
        .await;
        expect(&mut near, b"\x81\x01<").await;
        for _ in 0..2 {
            expect(&mut near, b"\x82\x7e\x13\x88").await;
            expect(&mut near, &long).await;
        }
        expect(&mut near, b"\x81\x01p").await;
    });
}

#[test]
fn messages_in_a_row_go_back_in_order_whatever_their_length() {
    let lens = [2048, 3000, 10, 2047, 60_000, 16 * 1024, 0, 5000];
    // After which of them a Ping comes.
    for pings in [0, 0xff, 0b0101_0110] {
        run(async {
            let (mut near, far) = pipe(1 << 20);
            let mut far = server(far, &config());
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for (n, len) in lens.into_iter().enumerate() {
                let payload = vec![n as u8; len];
                sent.extend_from_slice(&masked(0x82, &payload));
                expected.push((0x82, payload));
                if pings & 1 << n != 0 {
                    sent.extend_from_slice(&masked(0x89, &[n as u8]));
                    expected.push((0x8a, vec![n as u8]));
                }
            }
            put(&mut near, &sent).await;
            assert!(far.receive_with(echo).await.unwrap());
            for (opcode, payload) in expected {
                let head = match payload.len() {
                    0..126 => vec![opcode, payload.len() as u8],
                    len => vec![opcode, 126, (len >> 8) as u8, len as u8],
                };
                expect(&mut near, &head).await;
                expect(&mut near, &payload).await;
            }
        });
    }
}

#[test]
fn dropped_futures_lose_nothing_and_answer_nothing_twice() {
    for seed in 0..30 {
        let (near, far) = pipe(500);
        let max_len = [20, 300, 20_000][seed as usize % 3];
        let mut near = client(Chaotic::new(near, seed, max_len), &config());
        let mut far = server(Chaotic::new(far, seed + 99, max_len), &config());
        let asking = async {
            for i in 0..40 {
                let message = Message::Binary(vec![i as u8; i * 977 % 20_000]);
                near.send(&message).await.unwrap();
                assert_eq!(near.receive().await.unwrap(), Some(message));
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let serving = async {
            let mut random = Random::new(seed);
            let mut partial = Vec::new();
            loop {
                // Also turn by turn with the other ways, within a message.
                let goes_on = if random.below(3) == 0 {
                    match once(far.receive_chunk()).await {
                        None => None,
                        Some(chunk) => {
                            let Some(chunk) = chunk.unwrap() else { break };
                            partial.extend_from_slice(chunk.data.as_bytes());
                            if chunk.last {
                                far.queue(&partial[..]).unwrap();
                                partial.clear();
                            }
                            Some(true)
                        }
                    }
                } else {
                    let handler = |message: MessageRef<'_>, replies: &mut Replies<'_>| {
                        partial.extend_from_slice(message.as_bytes());
                        let echoed = replies.queue(&partial[..]);
                        partial.clear();
                        echoed
                    };
                    once(far.receive_with(handler)).await.map(Result::unwrap)
                };
                match goes_on {
                    Some(false) => break,
                    Some(true) => {}
                    None => yield_now().await,
                }
            }
        };
        run(zip(asking, serving));
    }
}

#[test]
fn nothing_more_is_read_while_too_much_waits() {
    run(async {
        let mut config = config();
        config.max_backpressure = 3000;
        let (mut near, far) = pipe(2000);
        let mut far = server(far, &config);
        let frame = masked(0x82, &[5; 990]);
        let mut sent = 0;
        // The peer writes, and reads nothing.
        while once(near.write_all(&frame)).await.is_some() {
            sent += 1;
            let _ = once(far.receive_with(echo)).await;
            // At most one reply goes beyond the limit.
            assert!(far.pending_bytes() < 3000 + 994);
        }
        assert!(sent < 10, "{sent}");
        // Once it reads, all is answered; the last frame went in part.
        let serving = async { while far.receive_with(echo).await.is_ok_and(|open| open) {} };
        let reading = async {
            let mut reply = vec![0; 994];
            for _ in 0..sent {
                near.read_exact(&mut reply).await.unwrap();
                assert_eq!(reply[4..], [5; 990]);
            }
            drop(near);
        };
        zip(serving, reading).await;
    });
}

#[test]
fn flood_of_replies_is_refused_and_the_error_of_a_handler_ends_nothing() {
    run(async {
        let mut config = config();
        config.max_backpressure = 10;
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config);
        put(&mut near, &masked(0x81, b"1")).await;
        put(&mut near, &masked(0x81, b"2")).await;
        let flood = |_: MessageRef<'_>, replies: &mut Replies<'_>| {
            replies.queue("12345678")?;
            replies.queue("over")
        };
        let error = far.receive_with(flood).await.unwrap_err();
        assert!(matches!(error, Error::OutboxFull(_)), "{error:?}");
        assert!(far.receive_with(echo).await.unwrap());
        expect(&mut near, b"\x81\x0812345678\x81\x012").await;
    });
}

#[test]
fn handler_closes() {
    run(async {
        let (near, far) = pipe(1000);
        let (mut near, mut far) = (client(near, &config()), server(far, &config()));
        near.queue("enough").unwrap();
        let close = |_: MessageRef<'_>, replies: &mut Replies<'_>| {
            replies.queue_close(CloseCode::GOING_AWAY, "bye")?;
            assert!(matches!(replies.queue("late"), Err(Error::Closed)));
            Ok(())
        };
        let serving = async {
            assert!(far.receive_with(close).await.unwrap());
            assert!(!far.receive_with(echo).await.unwrap());
        };
        let (received, ()) = zip(near.receive(), serving).await;
        assert_eq!(received.unwrap(), None);
        assert_eq!(near.close_status().unwrap().reason, "bye");
    });
}

#[test]
fn broken_peer_is_told_after_what_was_right_was_answered() {
    //= RFC6455-7.1.7-1
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config());
        put(&mut near, &masked(0x81, b"right")).await;
        put(&mut near, &masked(0x81, b"\xff")).await;
        let serving = async {
            assert!(far.receive_with(echo).await.unwrap());
            let error = far.receive_with(echo).await.unwrap_err();
            assert!(matches!(error, Error::Protocol(_)), "{error:?}");
            assert!(!far.receive_with(echo).await.unwrap());
        };
        let peer = async {
            expect(&mut near, b"\x81\x05right\x88").await;
            drop(near);
        };
        zip(serving, peer).await;
    });
}

#[test]
fn error_of_a_handler_leaves_the_next_frame_where_it_begins() {
    // What lies in the fragments looks like frames.
    let fragments = [
        masked(0x02, b"\x81\x82\0\0\0\0no"),
        masked(0x80, b"\x88\x80\0\0\0\0"),
    ];
    let wire = [
        masked(0x81, b"whole"),
        fragments.concat(),
        masked(0x89, b"?"),
        masked(0x01, b"first "),
        masked(0x80, b"message"),
        masked(0x82, &[5; 5000]),
        masked(0x02, &[6; 9000]),
        masked(0x80, &[7; 9000]),
        masked(0x81, b"second message"),
    ]
    .concat();
    let expected: [&[u8]; 6] = [
        b"whole",
        b"\x81\x82\0\0\0\0no\x88\x80\0\0\0\0",
        b"first message",
        &[5; 5000],
        &[&[6; 9000][..], &[7; 9000]].concat(),
        b"second message",
    ];
    // Read in one piece, and in pieces that cut every frame.
    for piece in [wire.len(), 7000, 100, 3] {
        run(async {
            let (mut near, far) = pipe(1 << 16);
            let mut far = server(far, &config());
            let mut seen: Vec<Vec<u8>> = Vec::new();
            let writing = async {
                for piece in wire.chunks(piece) {
                    put(&mut near, piece).await;
                    yield_now().await;
                }
                put(&mut near, &masked(0x88, b"\x03\xe8")).await;
            };
            let serving = async {
                loop {
                    let fail = |message: MessageRef<'_>, replies: &mut Replies<'_>| {
                        seen.push(message.as_bytes().to_vec());
                        replies.queue("seen")?;
                        Err(Error::Closed)
                    };
                    match far.receive_with(fail).await {
                        Err(Error::Closed) | Ok(true) => {}
                        Err(error) => panic!("{error:?}"),
                        Ok(false) => break,
                    }
                }
            };
            zip(writing, serving).await;
            assert_eq!(seen, expected, "pieces of {piece} bytes");
        });
    }
}

#[test]
fn handler_that_closes_and_fails_still_has_a_deadline() {
    run(async {
        let mut config = config();
        config.close_timeout = Duration::from_millis(5);
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config);
        put(&mut near, &masked(0x81, b"enough")).await;
        let close = |_: MessageRef<'_>, replies: &mut Replies<'_>| {
            replies.queue_close(CloseCode::GOING_AWAY, "bye")?;
            Err(Error::Closed)
        };
        assert!(matches!(far.receive_with(close).await, Err(Error::Closed)));
        let error = far.receive().await.unwrap_err();
        assert!(matches!(error, Error::Timeout(_)), "{error:?}");
    });
}

#[test]
fn messages_before_a_close_that_was_read_ahead_are_handed_out_and_then_it_ends() {
    let (sender, receiver) = mpsc::channel();
    // A task that never waits would keep the time limit of this thread from being seen.
    thread::spawn(move || {
        let heard = smol::block_on(async {
            let (mut near, far) = pipe(1000);
            let mut far = server(far, &config());
            let close = masked(0x88, &1000_u16.to_be_bytes());
            put(
                &mut near,
                &[masked(0x81, b"one"), masked(0x81, b"two"), close].concat(),
            )
            .await;
            // Who only writes reads ahead, the Close and all.
            while far.send("").await.is_ok() {}
            drop(near);
            let mut heard = Vec::new();
            let mut hear = |message: MessageRef<'_>, _: &mut Replies<'_>| {
                heard.push(message.as_bytes().to_vec());
                Ok(())
            };
            while far.receive_with(&mut hear).await.unwrap() {}
            heard
        });
        sender.send(heard)
    });
    let heard = receiver.recv_timeout(Duration::from_secs(30));
    assert_eq!(heard.expect("it ends"), [b"one", b"two"]);
}
