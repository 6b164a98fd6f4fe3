//! A future that is dropped loses nothing.

use smol::future::{yield_now, zip};
use ws_smol::{CloseCode, Message};

use crate::support::{Chaotic, Random, client, config, once, pipe, run, server};

/// The messages that one side sends, in order.
fn message(i: usize) -> Message {
    if i.is_multiple_of(3) {
        Message::Text(format!("{i} é 🌍 ").repeat(1 + i % 50))
    } else {
        Message::Binary(vec![i as u8; i * 37 % 3000])
    }
}

const MESSAGES: usize = 60;

#[test]
fn receive_that_is_polled_once_and_dropped_loses_nothing() {
    for seed in 0..30 {
        let (near, far) = pipe(500);
        let mut near = client(Chaotic::new(near, seed, 200), &config());
        let mut far = server(Chaotic::new(far, seed + 1000, 200), &config());
        let sending = async {
            for i in 0..MESSAGES {
                if i % 7 == 0 {
                    near.ping(b"!").await.unwrap();
                }
                near.send(&message(i)).await.unwrap();
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let receiving = async {
            let mut random = Random::new(seed);
            let mut partial = Vec::new();
            let mut next = 0;
            loop {
                let expected = message(next);
                // All three ways mixed, also within a message.
                let done = match random.below(3) {
                    0 => once(far.receive()).await.map(|outcome| {
                        outcome.unwrap().map(|message| {
                            partial.extend_from_slice(message.as_bytes());
                            true
                        })
                    }),
                    1 => once(far.receive_ref()).await.map(|outcome| {
                        outcome.unwrap().map(|message| {
                            partial.extend_from_slice(message.as_bytes());
                            true
                        })
                    }),
                    _ => once(far.receive_chunk()).await.map(|outcome| {
                        outcome.unwrap().map(|chunk| {
                            assert_eq!(
                                chunk.first,
                                partial.is_empty() || chunk.data.is_empty() && chunk.first
                            );
                            partial.extend_from_slice(chunk.data.as_bytes());
                            chunk.last
                        })
                    }),
                };
                match done {
                    None => yield_now().await,
                    Some(None) => break,
                    Some(Some(false)) => {}
                    Some(Some(true)) => {
                        assert_eq!(partial, expected.as_bytes(), "message {next}");
                        partial.clear();
                        next += 1;
                    }
                }
            }
            assert_eq!(next, MESSAGES);
        };
        run(zip(sending, receiving));
    }
}

#[test]
fn room_queue_and_flush_can_be_dropped_anywhere() {
    for seed in 0..30 {
        let (near, far) = pipe(300);
        let mut limited = config();
        limited.max_backpressure = 4000;
        let mut near = client(Chaotic::new(near, seed, 200), &limited);
        let mut far = server(Chaotic::new(far, seed + 1000, 200), &limited);
        let sending = async {
            for i in 0..MESSAGES {
                let message = message(i);
                while once(near.room(message.len())).await.is_none() {
                    yield_now().await;
                }
                near.queue(&message).unwrap();
                let _ = once(near.flush()).await;
            }
            while once(near.close(CloseCode::NORMAL, "")).await.is_none() {
                yield_now().await;
            }
        };
        let receiving = async {
            for i in 0..MESSAGES {
                assert_eq!(far.receive().await.unwrap(), Some(message(i)));
            }
            assert_eq!(far.receive().await.unwrap(), None);
        };
        run(zip(sending, receiving));
    }
}

#[test]
fn send_that_is_dropped_has_taken_all_or_nothing() {
    for seed in 0..30 {
        let (near, far) = pipe(300);
        let mut limited = config();
        limited.max_backpressure = 2000;
        let mut near = client(Chaotic::new(near, seed, 100), &limited);
        let mut far = server(Chaotic::new(far, seed + 1000, 100), &limited);
        let sending = async {
            let mut certain = Vec::new();
            for i in 0..MESSAGES {
                if once(near.send(&message(i))).await.is_some() {
                    certain.push(i);
                }
                if i % 4 == 0 {
                    yield_now().await;
                }
            }
            near.send("last").await.unwrap();
            near.close(CloseCode::NORMAL, "").await.unwrap();
            certain
        };
        let receiving = async {
            let mut received = Vec::new();
            let mut candidates = 0..MESSAGES;
            loop {
                let got = far.receive().await.unwrap().unwrap();
                if got == Message::from("last") {
                    assert_eq!(far.receive().await.unwrap(), None);
                    break received;
                }
                // In order, whole, and no more than once.
                received.push(candidates.find(|i| message(*i) == got).unwrap());
            }
        };
        let (certain, received) = run(zip(sending, receiving));
        assert!(certain.iter().all(|i| received.contains(i)));
    }
}

#[test]
fn echo_with_everything_dropped_at_random() {
    for seed in 0..20 {
        let (near, far) = pipe(400);
        let mut near = client(Chaotic::new(near, seed, 150), &config());
        let mut far = server(Chaotic::new(far, seed + 1000, 150), &config());
        let asking = async {
            let mut random = Random::new(seed);
            let (mut sent, mut received) = (0, 0);
            while received < MESSAGES {
                if sent < MESSAGES && random.below(2) == 0 && near.pending_bytes() < 1000 {
                    near.queue(message(sent)).unwrap();
                    sent += 1;
                }
                match random.below(3) {
                    0 => drop(once(near.flush()).await),
                    1 => drop(once(near.ping(b"?")).await),
                    _ => {
                        if let Some(outcome) = once(near.receive()).await {
                            assert_eq!(outcome.unwrap(), Some(message(received)));
                            received += 1;
                        }
                    }
                }
                yield_now().await;
            }
            near.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let echoing = async {
            while let Some(message) = far.receive().await.unwrap() {
                far.send(&message).await.unwrap();
            }
        };
        run(zip(asking, echoing));
    }
}
