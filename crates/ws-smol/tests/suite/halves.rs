//! Two halves, on two tasks and on two threads.

use std::{future::poll_fn, pin::Pin, time::Duration};

use futures_core::Stream as _;
use futures_sink::Sink as _;
use smol::future::zip;
use ws_smol::{CloseCode, Error, Message, Prepared};

use crate::support::{Chaotic, client, config, expect, masked, once, pipe, put, run, server};

const MESSAGES: usize = 3000;

#[test]
fn halves_on_two_threads_lose_no_wake_up() {
    for (seed, max_len) in [(1, 10), (2, 1000), (3, 10_000)] {
        let (near, far) = pipe(2000);
        let (mut near_in, mut near_out) =
            client(Chaotic::new(near, seed, max_len), &config()).split();
        let (mut far_in, mut far_out) =
            server(Chaotic::new(far, seed + 9, max_len), &config()).split();
        let count = if max_len < 100 { 100 } else { MESSAGES };
        let sender = std::thread::spawn(move || {
            run(async {
                for i in 0..count {
                    near_out.send(&vec![i as u8; i % 500][..]).await.unwrap();
                }
                near_out.close(CloseCode::NORMAL, "").await.unwrap();
            });
        });
        let echo = std::thread::spawn(move || {
            run(async {
                while let Some(message) = far_in.receive().await.unwrap() {
                    if let Err(error) = far_out.send(&message).await {
                        assert!(matches!(error, Error::Closed));
                    }
                }
            });
        });
        let received = run(async {
            let mut received = 0;
            while let Some(message) = near_in.receive().await.unwrap() {
                assert_eq!(message.as_bytes(), vec![received as u8; received % 500]);
                received += 1;
            }
            received
        });
        sender.join().unwrap();
        echo.join().unwrap();
        // The Close may overtake echoes that were not sent yet.
        assert!(received <= count);
    }
}

#[test]
fn both_directions_are_busy_at_once() {
    const LEN: usize = 1 << 20;
    let (near, far) = pipe(4096);
    let (mut near_in, mut near_out) = client(near, &config()).split();
    let (mut far_in, mut far_out) = server(far, &config()).split();
    let payload: Vec<u8> = (0..LEN).map(|i| (i % 247) as u8).collect();
    let send_near = async { near_out.send(&payload[..]).await.unwrap() };
    let send_far = async { far_out.send(&payload[..]).await.unwrap() };
    let receive_near = async { near_in.receive().await.unwrap().unwrap() };
    let receive_far = async {
        let mut message = Vec::new();
        loop {
            let chunk = far_in.receive_chunk().await.unwrap().unwrap();
            message.extend_from_slice(chunk.data.as_bytes());
            if chunk.last {
                return message;
            }
        }
    };
    let (((), ()), (at_near, at_far)) = run(zip(
        zip(send_near, send_far),
        zip(receive_near, receive_far),
    ));
    assert_eq!(at_near.as_bytes(), payload);
    assert_eq!(at_far, payload);
}

#[test]
fn each_half_alone_answers_pings() {
    //= RFC6455-5.5.2-2, RFC6455-5.5.2-3
    run(async {
        let (mut near, far) = pipe(1000);
        let (mut read, write) = server(far, &config()).split();
        put(&mut near, &masked(0x89, b"r")).await;
        assert!(once(read.receive()).await.is_none());
        expect(&mut near, b"\x8a\x01r").await;
        drop((read, write));

        let (mut near, far) = pipe(1000);
        let (read, mut write) = server(far, &config()).split();
        put(&mut near, &masked(0x89, b"w")).await;
        write.send("1").await.unwrap();
        write.send("2").await.unwrap();
        expect(&mut near, b"\x81\x011\x81\x012\x8a\x01w").await;
        drop(read);
    });
}

#[test]
fn reader_is_woken_by_what_the_writer_has_read() {
    run(async {
        let (mut near, far) = pipe(10);
        let (mut read, mut write) = server(far, &config()).split();
        // The reader waits once and is left alone; the writer is blocked.
        assert!(once(read.receive()).await.is_none());
        let writing = async {
            write.send(&[1; 100][..]).await.unwrap();
            write
        };
        let peer = async {
            put(&mut near, &masked(0x81, b"for the reader")).await;
            let mut frame = [0; 102];
            smol::io::AsyncReadExt::read_exact(&mut near, &mut frame)
                .await
                .unwrap();
        };
        let reading = async { read.receive().await.unwrap() };
        let ((_, ()), message) = zip(zip(writing, peer), reading).await;
        assert_eq!(message, Some(Message::from("for the reader")));
    });
}

#[test]
fn close_by_the_writer_ends_the_reader() {
    run(async {
        let (near, far) = pipe(1000);
        let (mut read, mut write) = client(near, &config()).split();
        let mut far = server(far, &config());
        let reading = async {
            assert_eq!(read.receive().await.unwrap(), Some(Message::from("x")));
            assert_eq!(read.receive_ref().await.unwrap(), None);
            assert_eq!(read.close_status().unwrap().code, 1000);
        };
        let writing = async {
            write.close(CloseCode::NORMAL, "").await.unwrap();
            assert!(matches!(write.send("late").await, Err(Error::Closed)));
        };
        let peer = async {
            far.queue("x").unwrap();
            assert_eq!(far.receive().await.unwrap(), None);
        };
        zip(zip(reading, writing), peer).await;
    });
}

#[test]
fn queued_close_gives_a_waiting_reader_its_deadline() {
    let mut config = config();
    config.close_timeout = Duration::from_millis(5);
    let (near, _far) = pipe(1000);
    let (mut read, mut write) = client(near, &config).split();
    let (outcome, ()) = run(zip(read.receive(), async {
        write.queue_close(CloseCode::NORMAL, "").unwrap();
    }));
    assert!(matches!(outcome, Err(Error::Timeout(_))));
}

#[test]
fn halves_are_stream_and_sink_and_one_again() {
    run(async {
        let (near, far) = pipe(1000);
        let (mut read, mut write) = client(near, &config()).split();
        let mut far = server(far, &config());
        poll_fn(|cx| Pin::new(&mut write).poll_ready(cx))
            .await
            .unwrap();
        Pin::new(&mut write).start_send(Message::from("a")).unwrap();
        poll_fn(|cx| Pin::new(&mut write).poll_flush(cx))
            .await
            .unwrap();
        write
            .send_prepared(&Prepared::new("b".into()))
            .await
            .unwrap();
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("a")));
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("b")));
        far.send("c").await.unwrap();
        let c = poll_fn(|cx| Pin::new(&mut read).poll_next(cx)).await;
        assert_eq!(c.unwrap().unwrap(), Message::from("c"));

        let (other, _) = client(pipe(10).0, &config()).split();
        let error = other.reunite(write).unwrap_err();
        let mut near = read.reunite(error.write).unwrap();
        near.send("d").await.unwrap();
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("d")));
    });
}

#[test]
fn writer_whose_reader_is_gone_is_not_stuck_behind_what_nobody_receives() {
    run(async {
        let mut config = config();
        config.max_read_ahead = 10_000;
        let (near, far) = pipe(1000);
        let mut near = client(near, &config);
        let (mut read, mut write) = server(far, &config).split();
        // Some is read ahead before, and a message is begun.
        near.queue(&[1; 8000][..]).unwrap();
        assert!(once(near.flush()).await.is_none());
        assert!(once(write.send(&[0; 3000][..])).await.is_none());
        assert!(once(read.receive()).await.is_none());
        drop(read);
        let peer = async {
            for _ in 0..100 {
                near.send(&[2; 8000][..]).await.unwrap();
            }
            while near.receive().await.unwrap().is_some() {}
        };
        let writer = async {
            for _ in 0..100 {
                write.send(&[3; 8000][..]).await.unwrap();
            }
            write.close(CloseCode::NORMAL, "").await.unwrap();
        };
        zip(peer, writer).await;
        assert_eq!(near.close_status().unwrap().code, 1000);
    });
}

#[test]
fn writer_that_waits_learns_that_its_reader_is_gone() {
    run(async {
        let mut config = config();
        config.max_read_ahead = 1000;
        let (near, far) = pipe(1000);
        let mut near = client(near, &config);
        let (read, mut write) = server(far, &config).split();
        let peer = async {
            near.send(&[2; 100_000][..]).await.unwrap();
            while near.receive().await.unwrap().is_some() {}
        };
        let writer = async {
            write.send(&[3; 100_000][..]).await.unwrap();
            write.close(CloseCode::NORMAL, "").await.unwrap();
        };
        let reader = async {
            // Both wait for each other by now.
            for _ in 0..20 {
                smol::future::yield_now().await;
            }
            drop(read);
        };
        zip(peer, zip(writer, reader)).await;
    });
}
