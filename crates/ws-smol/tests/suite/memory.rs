//! What all connections may hold together.

use std::time::Duration;

use smol::{
    LocalExecutor,
    future::{or, zip},
};
use ws_smol::{
    Acceptor, Config, Error, MemoryBudget, Message, MessageRef, OriginPolicy, PeerAddr, WebSocket,
};

use crate::support::{Pipe, config, expect, masked, once, pipe, put, run, server};

fn limited(limit: usize) -> Config {
    let mut config = config();
    config.memory = MemoryBudget::new(limit);
    config
}

fn assert_over_memory<T: std::fmt::Debug>(outcome: Result<T, Error>, limit: usize) {
    match outcome {
        Err(Error::OverMemory { limit: named }) => assert_eq!(named, limit),
        other => panic!("{other:?}"),
    }
}

const ROOM: usize = 1_000_000;

/// A connection that has received the start of a message.
async fn joining(config: &Config, len: usize) -> (Pipe, WebSocket<Pipe>) {
    let (mut near, far) = pipe(ROOM);
    let mut far = server(far, config);
    put(&mut near, &masked(0x02, &vec![1; len])).await;
    assert!(once(far.receive()).await.is_none());
    (near, far)
}

/// A connection whose peer does not read.
async fn blocked(config: &Config, len: usize) -> (Pipe, WebSocket<Pipe>) {
    let (near, far) = pipe(10);
    let mut far = server(far, config);
    assert!(once(far.send(&vec![2; len][..])).await.is_none());
    (near, far)
}

/// A connection that has read ahead as its peer does not read.
async fn reading_ahead(config: &Config, len: usize) -> (Pipe, WebSocket<Pipe>) {
    let (mut near, far) = pipe(ROOM);
    let mut far = server(far, config);
    put(&mut near, &masked(0x82, &vec![3; len])).await;
    for _ in 0..2 {
        far.send("").await.unwrap();
    }
    expect(&mut near, b"\x81\0\x81\0").await;
    (near, far)
}

#[test]
fn connections_that_hold_most_are_dropped_when_memory_is_short() {
    run(async {
        let config = limited(200_000);
        let (mut client, mut joining) = joining(&config, 40_000).await;
        let (_stays, mut blocked) = blocked(&config, 90_000).await;
        let (_also, mut ahead) = reading_ahead(&config, 50_000).await;
        let held = config.memory.held();
        assert!((180_000..185_000).contains(&held), "{held}");
        // Another is one too many, and it is not the one that goes.
        let (_other, mut last) = reading_ahead(&config, 30_000).await;
        assert_over_memory(blocked.flush().await, 200_000);
        assert!(blocked.stream().is_none());
        assert_over_memory(blocked.send("more").await, 200_000);
        let held = config.memory.held();
        assert!((120_000..125_000).contains(&held), "{held}");
        for (websocket, len) in [(&mut ahead, 50_000), (&mut last, 30_000)] {
            let message = websocket.receive().await.unwrap().unwrap();
            assert_eq!(message.len(), len);
        }
        put(&mut client, &masked(0x80, b"end")).await;
        assert_eq!(joining.receive().await.unwrap().unwrap().len(), 40_003);
        once(joining.receive()).await;
        assert_eq!(config.memory.held(), 0);
    });
}

#[test]
fn connection_that_has_to_go_is_woken_by_another() {
    run(async {
        let config = limited(100_000);
        let (near, mut waits) = joining(&config, 60_000).await;
        let waiting = async { assert_over_memory(waits.receive().await, 100_000) };
        let other = async {
            smol::future::yield_now().await;
            let _other = joining(&config, 50_000).await;
        };
        zip(waiting, other).await;
        assert!(near.is_dropped());
        assert!(waits.receive().await.unwrap().is_none(), "it is told once");
        assert_eq!(waits.close_status().unwrap().code, 1006);
        drop(waits);
        assert_eq!(config.memory.held(), 0);
    });
}

#[test]
fn both_halves_are_told() {
    run(async {
        let config = limited(100_000);
        let (_near, waits) = blocked(&config, 60_000).await;
        let (mut read, mut write) = waits.split();
        let reading = async { assert_over_memory(read.receive().await, 100_000) };
        let writing = async { assert_over_memory(write.flush().await, 100_000) };
        let other = async {
            smol::future::yield_now().await;
            let _other = joining(&config, 50_000).await;
        };
        zip(zip(reading, writing), other).await;
    });
}

#[test]
fn message_that_is_more_than_all_may_hold_is_given_up() {
    run(async {
        let config = limited(100_000);
        let (mut near, far) = pipe(50_000);
        let mut far = server(far, &config);
        let sending = async {
            put(&mut near, &masked(0x02, &[1; 40_000])).await;
            loop {
                put(&mut near, &masked(0x00, &[1; 40_000])).await;
            }
        };
        let receiving = async { assert_over_memory(far.receive().await, 100_000) };
        or(receiving, sending).await;
    });
}

#[test]
fn what_was_read_ahead_is_dropped_too_and_its_loss_is_told() {
    run(async {
        let config = limited(100_000);
        let (mut near, mut ahead) = reading_ahead(&config, 60_000).await;
        put(&mut near, &masked(0x88, b"\x03\xe8")).await;
        ahead.flush().await.unwrap();
        drop(near);
        let (_other, _joining) = joining(&config, 50_000).await;
        assert_over_memory(ahead.receive().await, 100_000);
        let held = config.memory.held();
        assert!((50_000..60_000).contains(&held), "{held}");
    });
}

#[test]
fn what_is_held_is_given_back_with_the_connection() {
    run(async {
        let config = limited(200_000);
        for round in 0..1000 {
            let (_near, _far) = match round % 3 {
                0 => joining(&config, 50_000).await,
                1 => blocked(&config, 50_000).await,
                _ => reading_ahead(&config, 50_000).await,
            };
            assert!(config.memory.held() >= 49_000);
        }
        assert_eq!(config.memory.held(), 0);
    });
}

#[test]
fn whole_messages_are_not_counted() {
    run(async {
        // Nothing may be held at all.
        let config = limited(1);
        let (mut near, far) = pipe(ROOM);
        let mut far = server(far, &config);
        for _ in 0..3 {
            put(&mut near, &masked(0x82, &[1; 60_000])).await;
            let message = far.receive().await.unwrap().unwrap();
            assert_eq!(message, Message::Binary(vec![1; 60_000]));
            far.send(&message).await.unwrap();
            expect(
                &mut near,
                &[&b"\x82\x7e\xea\x60"[..], &[1; 60_000]].concat(),
            )
            .await;
            put(&mut near, &masked(0x82, &[2; 60_000])).await;
            let message = far.receive_ref().await.unwrap().unwrap();
            assert!(matches!(message, MessageRef::Binary(bytes) if bytes == [2; 60_000]));
            put(&mut near, &masked(0x82, &[3; 60_000])).await;
            let echo = far.receive_with(|message, replies| replies.queue(message));
            assert!(echo.await.unwrap());
            expect(
                &mut near,
                &[&b"\x82\x7e\xea\x60"[..], &[3; 60_000]].concat(),
            )
            .await;
        }
    });
}

fn acceptor(config: &Config) -> Acceptor {
    let mut config = config.clone();
    config.handshake_timeout = Duration::MAX;
    config.min_head_rate = 0;
    Acceptor::new(OriginPolicy::Any).config(config)
}

#[test]
fn nobody_is_taken_on_when_memory_is_short() {
    run(async {
        let config = limited(100_000);
        let held = joining(&config, 55_000).await;
        let more = joining(&config, 25_000).await;
        let (near, far) = pipe(1000);
        assert_over_memory(
            acceptor(&config).accept(far, PeerAddr::Local).await,
            100_000,
        );
        assert!(near.is_dropped());
        drop((held, more));
        let (_near, far) = pipe(1000);
        let acceptor = acceptor(&config);
        assert!(once(acceptor.accept(far, PeerAddr::Local)).await.is_none());
    });
}

#[test]
fn requests_that_never_end_are_dropped_when_memory_is_short() {
    run(async {
        let config = limited(10_000);
        let acceptor = acceptor(&config);
        let executor = LocalExecutor::new();
        let head = [b"GET / HTTP/1.1\r\nX: ", &[b'x'; 3000][..]].concat();
        let mut clients = Vec::new();
        let mut tasks = Vec::new();
        for _ in 0..10 {
            let (near, far) = pipe(5000);
            let accepting = acceptor.accept(far, PeerAddr::Unknown);
            tasks.push(executor.spawn(async move { accepting.await.map(drop) }));
            clients.push(near);
        }
        let sending = async {
            smol::future::yield_now().await;
            for client in &mut clients {
                put(client, &head).await;
            }
            while clients.iter().filter(|client| client.is_dropped()).count() < 7 {
                smol::Timer::after(Duration::from_millis(1)).await;
            }
        };
        executor.run(sending).await;
        let held = config.memory.held();
        assert!((1..10_000).contains(&held), "{held}");
        for task in tasks.extract_if(.., |task| task.is_finished()) {
            assert_over_memory(task.await, 10_000);
        }
    });
}
