//! The closing handshake, from either side, to its end or its deadline.

use std::time::{Duration, Instant};

use smol::{future::zip, stream::StreamExt as _};
use ws_smol::{CloseCode, Error, Message, MessageRef, ProtocolError, Replies, Timeout};

use crate::support::{
    Chaotic, client, config, expect, expect_end, masked, once, pipe, put, run, server,
};

#[test]
fn server_closes_the_transport_first() {
    //= RFC6455-5.5.1-11, RFC6455-5.5.1-12, RFC6455-7.1.1-1, RFC6455-7.1.1-3
    //= RFC6455-7.1.1-5, RFC6455-7.1.2-2
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config());
        put(&mut near, &masked(0x88, b"\x0f\xa0bye")).await;
        let error = far.receive().await.unwrap_err();
        assert!(matches!(error, Error::ClosedByPeer(_)), "{error:?}");
        expect(&mut near, b"\x88\x02\x0f\xa0").await;
        expect_end(&mut near).await;
        assert!(near.is_dropped());
        let status = far.close_status().unwrap();
        assert_eq!((status.code, &status.reason[..]), (4000, "bye"));
        assert_eq!(far.receive().await.unwrap(), None);
        assert!(matches!(
            far.send("late").await,
            Err(Error::ClosedByPeer(_))
        ));
        far.close(CloseCode::NORMAL, "").await.unwrap();
    });
}

#[test]
fn client_waits_for_the_server_to_close() {
    //= RFC6455-5.5.1-13, RFC6455-7.1.1-6
    run(async {
        let (near, mut far) = pipe(1000);
        let mut near = client(near, &config());
        put(&mut far, b"\x88\x02\x03\xe8").await;
        assert!(once(near.receive()).await.is_none());
        assert_eq!(far.take_available().len(), 8);
        assert!(!far.is_ended() && !far.is_dropped());
        // What comes after a Close is discarded.
        put(&mut far, b"\x81\x01x").await;
        assert!(once(near.receive()).await.is_none());
        drop(far);
        assert_eq!(near.receive().await.unwrap(), None);
        assert_eq!(near.close_status().unwrap().code, 1000);
    });
}

#[test]
fn client_ends_the_transport_of_a_server_that_does_not() {
    //= RFC6455-5.5.1-14, RFC6455-7.1.1-4
    run(async {
        let (near, mut far) = pipe(1000);
        let mut config = config();
        config.close_timeout = Duration::from_millis(5);
        let mut near = client(near, &config);
        put(&mut far, b"\x88\x02\x03\xe8").await;
        assert_eq!(near.receive().await.unwrap(), None);
        assert!(far.is_dropped());
    });
}

#[test]
fn close_without_an_answer_ends_at_its_deadline() {
    //= RFC6455-7.1.1-2, RFC6455-7.1.5-1
    run(async {
        for is_server in [false, true] {
            let (near, far) = pipe(1000);
            let mut config = config();
            config.close_timeout = Duration::from_millis(10);
            let mut near = if is_server {
                server(near, &config)
            } else {
                client(near, &config)
            };
            let start = Instant::now();
            let error = near.close(CloseCode::GOING_AWAY, "bye").await.unwrap_err();
            assert!(matches!(error, Error::Timeout(Timeout::Close)));
            assert!(start.elapsed() >= Duration::from_millis(10));
            assert!(far.is_dropped());
            assert_eq!(near.close_status().unwrap().code, 1006);
        }
    });
}

#[test]
fn both_can_close_at_once_over_any_transport() {
    //= RFC6455-5.5.1-15
    for seed in 0..10 {
        let (near, far) = pipe(100);
        let mut near = client(Chaotic::new(near, seed, 3), &config());
        let mut far = server(Chaotic::new(far, seed + 10, 3), &config());
        let (here, there) = run(zip(
            near.close(CloseCode::NORMAL, "client"),
            far.close(CloseCode::GOING_AWAY, "server"),
        ));
        here.unwrap();
        there.unwrap();
        assert_eq!(near.close_status().unwrap().code, 1001);
        assert_eq!(far.close_status().unwrap().reason, "client");
    }
}

#[test]
fn messages_before_the_peers_close_are_still_received() {
    run(async {
        let (near, mut far) = pipe(1000);
        let mut near = client(near, &config());
        let closing = async { near.close(CloseCode::NORMAL, "").await };
        let peer = async {
            let mut close = [0; 8];
            smol::io::AsyncReadExt::read_exact(&mut far, &mut close)
                .await
                .unwrap();
            put(&mut far, b"\x81\x01a\x81\x01b\x88\x00").await;
            drop(far);
        };
        let (closed, ()) = zip(closing, peer).await;
        closed.unwrap();
        assert_eq!(near.receive().await.unwrap(), Some(Message::from("a")));
        assert_eq!(near.receive().await.unwrap(), Some(Message::from("b")));
        assert_eq!(near.receive().await.unwrap(), None);
        //= RFC6455-7.1.5-1, RFC6455-7.1.6-1
        let status = near.close_status().unwrap();
        assert_eq!((status.code, &status.reason[..]), (1005, ""));
    });
}

#[test]
fn queued_close_leaves_the_rest_to_receive() {
    run(async {
        let (near, far) = pipe(1000);
        let mut near = client(near, &config());
        let mut far = server(far, &config());
        far.queue("last words").unwrap();
        near.queue_close(CloseCode::NORMAL, "").unwrap();
        assert!(matches!(near.queue("x"), Err(Error::Closed)));
        assert!(matches!(
            near.queue_close(CloseCode::NORMAL, ""),
            Err(Error::Closed)
        ));
        let (message, end) = zip(near.receive(), far.receive()).await;
        assert_eq!(message.unwrap(), Some(Message::from("last words")));
        assert_eq!(end.unwrap(), None);
        assert_eq!(near.receive().await.unwrap(), None);
    });
}

#[test]
fn reason_that_is_too_long_is_cut_and_the_connection_closes() {
    let (near, far) = pipe(1000);
    let mut near = server(near, &config());
    let mut far = client(far, &config());
    let reason = "€".repeat(42);
    run(zip(
        async {
            // 1010 is not for servers: 1011 goes out.
            let code = CloseCode::MANDATORY_EXTENSION;
            near.close(code, &reason).await.unwrap();
        },
        async {
            // 1011 is no normal end.
            assert!(far.receive().await.is_err());
            let status = far.close_status().unwrap();
            assert_eq!(status.code, 1011);
            assert_eq!(status.reason, reason[..123]);
        },
    ));
}

#[test]
fn data_beyond_the_bound_does_not_keep_a_close_waiting() {
    let (near, far) = pipe(1000);
    let mut config = config();
    config.max_read_ahead = 5000;
    let mut near = client(near, &config);
    let mut far = server(far, &config);
    run(zip(
        async {
            near.close(CloseCode::NORMAL, "").await.unwrap();
            let mut received = 0;
            while let Some(message) = near.receive().await.unwrap() {
                assert_eq!(message.as_bytes()[0], received);
                received += 1;
            }
            assert!((4..10).contains(&received), "{received}");
        },
        async {
            for i in 0..100 {
                far.queue(&[i; 1000][..]).unwrap();
            }
            assert_eq!(far.receive().await.unwrap(), None);
        },
    ));
}

#[test]
fn end_that_is_not_normal_is_an_error_once_and_a_normal_one_is_none() {
    let body = |code: u16| [&code.to_be_bytes()[..], b"why"].concat();
    let normal = [Vec::new(), body(1000), body(1001)];
    let others = [
        1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999,
    ];
    for body in normal.into_iter().chain(others.map(body)) {
        let code = body.first_chunk().map(|code| u16::from_be_bytes(*code));
        let judge = |error: Error| match error {
            Error::ClosedByPeer(status) => {
                assert!(!status.is_normal());
                assert_eq!(Some(status.code), code);
                assert_eq!(status.reason, "why");
                assert!(status.to_string().contains("why"));
                true
            }
            error => panic!("{error:?}"),
        };
        let is_normal = matches!(code, None | Some(1000 | 1001));
        run(async {
            for way in 0..6 {
                let (mut near, far) = pipe(1000);
                let mut far = server(far, &config());
                put(&mut near, &masked(0x81, b"before")).await;
                put(&mut near, &masked(0x88, &body)).await;
                let mut told = Vec::new();
                let mut seen = 0;
                // Every way to receive, until the end was said twice.
                let (mut read, mut write) = (None, None);
                if way == 5 {
                    let halves = far.split();
                    (read, write) = (Some(halves.0), Some(halves.1));
                    far = server(pipe(1).0, &config());
                }
                while told.len() < 2 {
                    let end = match way {
                        0 => far.receive().await.map(|message| message.is_some()),
                        1 => far.receive_ref().await.map(|message| message.is_some()),
                        2 => far.receive_chunk().await.map(|chunk| chunk.is_some()),
                        3 => {
                            let count = |_: MessageRef<'_>, _: &mut Replies<'_>| {
                                seen += 1;
                                Ok(())
                            };
                            match far.receive_with(count).await {
                                // Those are counted already.
                                Ok(true) => continue,
                                end => end,
                            }
                        }
                        4 => far
                            .next()
                            .await
                            .transpose()
                            .map(|message| message.is_some()),
                        _ => {
                            let read = read.as_mut().unwrap();
                            read.receive().await.map(|message| message.is_some())
                        }
                    };
                    match end {
                        Ok(true) => seen += 1,
                        Ok(false) => told.push(false),
                        Err(error) => told.push(judge(error)),
                    }
                }
                assert_eq!((seen, &told[..]), (1, &[!is_normal, false][..]));
                // Whoever sends hears of it too, and closing is no error.
                let (sent, closed) = match &mut write {
                    Some(write) => (
                        write.send("late").await,
                        write.close(CloseCode::NORMAL, "").await,
                    ),
                    None => (
                        far.send("late").await,
                        far.close(CloseCode::NORMAL, "").await,
                    ),
                };
                match sent.unwrap_err() {
                    Error::Closed => assert!(is_normal),
                    error => assert!(judge(error)),
                }
                closed.unwrap();
            }
        });
    }
}

#[test]
fn answer_to_our_close_is_a_normal_end_whatever_the_code() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config());
        far.queue_close(CloseCode::POLICY_VIOLATION, "").unwrap();
        put(&mut near, &masked(0x88, b"\x03\xf0")).await;
        assert_eq!(far.receive().await.unwrap(), None);
        let status = far.close_status().unwrap();
        assert_eq!((status.code, status.is_normal()), (1008, true));
    });
}

#[test]
fn connection_that_is_lost_has_an_error_of_its_own() {
    run(async {
        for wire in [vec![], masked(0x01, b"begun")] {
            let (mut near, far) = pipe(1000);
            let mut far = server(far, &config());
            put(&mut near, &wire).await;
            drop(near);
            let error = far.receive().await.unwrap_err();
            assert!(matches!(error, Error::ConnectionLost), "{error:?}");
            assert!(error.is_temporary());
            let status = far.close_status().unwrap();
            assert_eq!((status.code, status.is_normal()), (1006, false));
        }
    });
}

#[test]
fn close_whose_reason_is_broken_still_tells_its_code() {
    //= RFC6455-7.1.5-1, RFC6455-8.1-1
    run(async {
        // Cut inside of a character, and Latin-1.
        for reason in [&b"gr\xc3"[..], b"gr\xfc\xdfe"] {
            let (mut near, far) = pipe(1000);
            let mut far = server(far, &config());
            put(&mut near, &masked(0x88, &[b"\x0f\xa1", reason].concat())).await;
            let told = async {
                let error = far.receive().await.unwrap_err();
                assert!(matches!(
                    error,
                    Error::Protocol(ProtocolError::CloseReasonNotUtf8 { code })
                        if code.get() == 4001
                ));
            };
            let peer = async {
                expect(&mut near, b"\x88\x17\x03\xefclose_reason_not_utf8").await;
                drop(near);
            };
            zip(told, peer).await;
            let status = far.close_status().unwrap();
            assert_eq!((status.code, &status.reason[..]), (4001, ""));
        }
    });
}

#[test]
fn close_does_not_wait_for_room_in_what_was_read_ahead() {
    run(async {
        for (message, count) in [(1000, 70), (70_000, 1), (10, 5000)] {
            let (mut near, far) = pipe(1 << 20);
            let mut config = config();
            config.max_read_ahead = 64 * 1024;
            let mut far = server(far, &config);
            let frame = masked(0x82, &vec![7; message.min(60_000)]);
            put(&mut near, &frame.repeat(count.max(2))).await;
            put(&mut near, &masked(0x88, b"\x03\xe8")).await;
            // Without its time being over.
            far.close(CloseCode::NORMAL, "").await.unwrap();
            assert_eq!(far.close_status().unwrap().code, 1000);
        }
    });
}

#[test]
fn what_comes_behind_discarded_data_is_discarded_too() {
    run(async {
        let (mut near, far) = pipe(1 << 20);
        let mut config = config();
        config.max_read_ahead = 3000;
        let mut far = server(far, &config);
        put(&mut near, &masked(0x82, b"whole")).await;
        put(&mut near, &masked(0x02, &[1; 5000])).await;
        assert!(once(far.close(CloseCode::NORMAL, "")).await.is_none());
        put(&mut near, &masked(0x00, &[2; 5000])).await;
        assert!(once(far.close(CloseCode::NORMAL, "")).await.is_none());
        assert_eq!(far.receive().await.unwrap().unwrap().as_bytes(), b"whole");
        // The rest of a message, and others, would follow on a hole.
        put(&mut near, &masked(0x80, &[3; 5000])).await;
        put(&mut near, &masked(0x82, b"late")).await;
        put(&mut near, &masked(0x88, b"\x03\xe8")).await;
        assert_eq!(far.receive().await.unwrap(), None);
        assert_eq!(far.close_status().unwrap().code, 1000);
    });
}
