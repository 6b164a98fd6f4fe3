//! A WebSocket as a stream of bytes.

use std::{
    io::ErrorKind,
    task::{Context, Poll, Waker},
};

use futures_io::AsyncWrite;
use smol::{
    future::zip,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use ws_smol::{ByteStream, CloseCode, Error, Message};

use crate::support::{
    Chaotic, Pipe, Random, client, config, expect, expect_end, masked, once, pipe, put, run, server,
};

fn streams(capacity: usize) -> (ByteStream<Pipe>, ByteStream<Pipe>) {
    let (near, far) = pipe(capacity);
    let (near, far) = (client(near, &config()), server(far, &config()));
    (near.into_stream(), far.into_stream())
}

#[test]
fn bytes_arrive_in_order_however_they_are_cut() {
    for seed in 0..20 {
        let (near, far) = pipe(700);
        let mut near = client(Chaotic::new(near, seed, 300), &config()).into_stream();
        let mut far = server(Chaotic::new(far, seed + 1000, 300), &config()).into_stream();
        let sent: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        let mut random = Random::new(seed);
        let writing = async {
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let len = random.below(rest.len().min(9_000)) + 1;
                near.write_all(&rest[..len]).await.unwrap();
                rest = &rest[len..];
            }
            near.close().await.unwrap();
        };
        let reading = async {
            let mut random = Random::new(seed + 1);
            let mut received = Vec::new();
            let mut buffer = [0; 5_000];
            loop {
                let len = random.below(buffer.len()) + 1;
                // Reads that are dropped lose nothing.
                match once(far.read(&mut buffer[..len])).await {
                    None => smol::future::yield_now().await,
                    Some(Ok(0)) => return received,
                    Some(read) => received.extend_from_slice(&buffer[..read.unwrap()]),
                }
            }
        };
        let ((), received) = run(zip(writing, reading));
        assert!(received == sent, "seed {seed}");
    }
}

#[test]
fn a_write_is_a_binary_message_that_leaves_at_once() {
    run(async {
        let (near, mut far) = pipe(1 << 20);
        let mut near = server(near, &config()).into_stream();
        near.write_all(b"abc").await.unwrap();
        expect(&mut far, b"\x82\x03abc").await;
        assert_eq!(near.write(b"").await.unwrap(), 0);
        assert_eq!(far.take_available(), b"", "nothing is no message");
        let long = vec![7; 100_000];
        assert_eq!(near.write(&long).await.unwrap(), 65_536);
    });
}

#[test]
fn an_empty_message_is_no_end_and_control_frames_are_nothing() {
    run(async {
        let (near, mut far) = pipe(1 << 20);
        let mut near = server(near, &config()).into_stream();
        put(&mut far, &masked(0x82, b"")).await;
        put(&mut far, &masked(0x89, b"ping")).await;
        put(&mut far, &masked(0x02, b"a")).await;
        put(&mut far, &masked(0x80, b"bc")).await;
        let mut read = [0; 3];
        near.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"abc");
        assert!(
            once(near.read(&mut read)).await.is_none(),
            "there is no more"
        );
        expect(&mut far, b"\x8a\x04ping").await;
    });
}

#[test]
fn a_normal_close_of_the_peer_is_the_end_of_file() {
    run(async {
        for code in [CloseCode::NORMAL, CloseCode::GOING_AWAY] {
            let (near, far) = pipe(1 << 20);
            let mut near = client(near, &config()).into_stream();
            let mut far = server(far, &config());
            let peer = async {
                far.send(Message::Binary(b"last".to_vec())).await.unwrap();
                far.close(code, "").await.unwrap();
            };
            let reading = async {
                let mut all = Vec::new();
                near.read_to_end(&mut all).await.unwrap();
                assert_eq!(all, b"last");
                assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
                let error = near.write(b"x").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
                assert_eq!(near.websocket().close_status().unwrap().code, code.get());
            };
            zip(peer, reading).await;
        }
    });
}

#[test]
fn an_end_without_a_close_is_no_end_of_file() {
    run(async {
        let (near, mut far) = pipe(1 << 20);
        let mut near = server(near, &config()).into_stream();
        put(&mut far, &masked(0x82, b"half")).await;
        drop(far);
        let mut read = [0; 4];
        near.read_exact(&mut read).await.unwrap();
        for _ in 0..2 {
            let error = near.read(&mut read).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        }
    });
}

#[test]
fn a_close_that_says_what_is_wrong_is_an_error() {
    run(async {
        let (near, mut far) = pipe(1 << 20);
        let mut near = server(near, &config()).into_stream();
        put(&mut far, &masked(0x88, &1008_u16.to_be_bytes())).await;
        let error = near.read(&mut [0]).await.unwrap_err();
        expect(&mut far, b"\x88\x02\x03\xf0").await;
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        let inner = error.into_inner().unwrap().downcast::<Error>().unwrap();
        assert!(matches!(*inner, Error::ClosedByPeer(status) if status.code == 1008));
    });
}

#[test]
fn closing_sends_a_close_and_keeps_what_comes_before_that_of_the_peer() {
    run(async {
        let (near, mut far) = pipe(1 << 20);
        let mut near = server(near, &config()).into_stream();
        let peer = async {
            expect(&mut far, b"\x82\x01x\x88\x02\x03\xe8").await;
            put(&mut far, &masked(0x82, b"on the way")).await;
            put(&mut far, &masked(0x88, &1000_u16.to_be_bytes())).await;
            expect_end(&mut far).await;
        };
        let closing = async {
            near.write_all(b"x").await.unwrap();
            near.close().await.unwrap();
            let mut rest = Vec::new();
            near.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"on the way");
        };
        zip(peer, closing).await;
    });
}

#[test]
fn a_text_message_is_refused_with_1003() {
    run(async {
        let (near, mut far) = pipe(1 << 20);
        let mut near = server(near, &config()).into_stream();
        put(&mut far, &masked(0x82, b"a")).await;
        put(&mut far, &masked(0x81, b"text")).await;
        put(&mut far, &masked(0x82, b"b")).await;
        let mut read = [0; 2];
        assert_eq!(near.read(&mut read).await.unwrap(), 1);
        for _ in 0..2 {
            let error = near.read(&mut read).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
        }
        expect(&mut far, b"\x88\x02\x03\xeb").await;
        let error = near.write(b"x").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_peer_that_is_not_read_waits_and_so_does_a_writer_whom_nobody_reads() {
    let mut config = config();
    config.max_backpressure = 10_000;
    let (near, far) = pipe(1_000);
    let mut near = client(near, &config).into_stream();
    let far = server(far, &config).into_stream();
    let mut taken = 0;
    let cx = &mut Context::from_waker(Waker::noop());
    // The pipe, the outbox and one message beyond it.
    while let Poll::Ready(len) = std::pin::Pin::new(&mut near).poll_write(cx, &[1; 4_000]) {
        taken += len.unwrap();
        assert!(taken <= 20_000, "nobody reads");
    }
    assert!(taken >= 10_000);
    assert_eq!(far.websocket().pending_bytes(), 0);
    let mut far = far;
    run(async {
        let mut read = vec![0; taken];
        let flushing = async { near.flush().await.unwrap() };
        let reading = async { far.read_exact(&mut read).await.unwrap() };
        zip(flushing, reading).await;
    });
}

#[test]
fn halves_of_a_stream_serve_two_tasks() {
    let (near, far) = streams(2_000);
    let (mut near_read, mut near_write) = smol::io::split(near);
    let (mut far_read, mut far_write) = smol::io::split(far);
    let all = vec![3; 300_000];
    run(async {
        let there = async {
            near_write.write_all(&all).await.unwrap();
            near_write.flush().await.unwrap();
        };
        let echo = async {
            let mut buffer = vec![0; 1_500];
            let mut echoed = 0;
            while echoed < all.len() {
                let len = far_read.read(&mut buffer).await.unwrap();
                far_write.write_all(&buffer[..len]).await.unwrap();
                echoed += len;
            }
            far_write.flush().await.unwrap();
        };
        let back = async {
            let mut read = vec![0; all.len()];
            near_read.read_exact(&mut read).await.unwrap();
            assert!(read == all);
        };
        zip(there, zip(echo, back)).await;
    });
}
