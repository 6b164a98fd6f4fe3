//! Peers that break rules, and transports that break.

use std::{io, time::Duration};

use smol::future::zip;
use ws_smol::{Error, Message, ProtocolError};

use crate::support::{client, config, expect, expect_end, masked, once, pipe, put, run, server};

#[test]
fn end_at_every_byte_is_a_lost_connection_unless_closed() {
    //= RFC6455-7.2.1-2, RFC6455-7.1.5-1
    let mut wire = masked(0x81, b"first");
    let first = wire.len();
    wire.extend(masked(0x01, b"sec"));
    wire.extend(masked(0x89, b"ping"));
    wire.extend(masked(0x80, b"ond"));
    let second = wire.len();
    wire.extend(masked(0x88, b"\x03\xe8bye"));
    for end in 0..=wire.len() {
        run(async {
            let (mut near, far) = pipe(1000);
            let mut far = server(far, &config());
            put(&mut near, &wire[..end]).await;
            drop(near);
            let mut received = Vec::new();
            let outcome = loop {
                match far.receive().await {
                    Ok(Some(message)) => received.push(message),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            let expected = usize::from(end >= first) + usize::from(end >= second);
            assert_eq!(received.len(), expected, "at {end}");
            let code = far.close_status().unwrap().code;
            if end == wire.len() {
                outcome.unwrap();
                assert_eq!(code, 1000);
            } else {
                assert!(outcome.is_err(), "at {end}");
                assert_eq!(code, 1006);
            }
            assert!(far.receive().await.unwrap().is_none());
            assert!(far.send("x").await.is_err());
        });
    }
}

#[test]
fn reset_is_an_io_error_after_what_was_received() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config());
        put(&mut near, &masked(0x81, b"kept")).await;
        far.send("1").await.unwrap();
        far.send("2").await.unwrap();
        near.reset();
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("kept")));
        let Err(Error::Io(error)) = far.receive().await else {
            panic!("no I/O error");
        };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(far.close_status().unwrap().code, 1006);
        assert!(matches!(far.send("x").await, Err(Error::Io(_))));
        assert!(far.close(ws_smol::CloseCode::NORMAL, "").await.is_err());
    });
}

#[test]
fn failed_write_does_not_hide_what_the_peer_has_sent() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config());
        put(&mut near, &masked(0x81, b"kept")).await;
        put(&mut near, &masked(0x88, b"\x03\xe8")).await;
        drop(near);
        assert!(matches!(far.send("x").await, Err(Error::Io(_))));
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("kept")));
        assert_eq!(far.receive().await.unwrap(), None);
        assert_eq!(far.close_status().unwrap().code, 1000);
    });
}

#[test]
fn peer_is_told_which_rule_it_broke_and_messages_before_are_received() {
    //= RFC6455-7.1.7-1, RFC6455-7.1.7-3, RFC6455-10.7-2
    let mut limited = config();
    limited.limits.max_message = 100;
    limited.limits.max_fragments = 3;
    let cases: [(Vec<u8>, &[u8]); 6] = [
        (masked(0x83, b""), b"\x03\xeareserved_opcode"),
        (masked(0xc1, b""), b"\x03\xeareserved_bits"),
        (masked(0x81, b"\xff"), b"\x03\xeftext_not_utf8"),
        (masked(0x82, &[0; 101]), b"\x03\xf1message_too_big"),
        (masked(0x88, b"\x03\xed"), b"\x03\xeaclose_code_invalid"),
        (
            [
                masked(0x01, b""),
                masked(0, b""),
                masked(0, b""),
                masked(0, b""),
            ]
            .concat(),
            b"\x03\xf0too_many_fragments",
        ),
    ];
    for (wire, told) in cases {
        run(async {
            let (mut near, far) = pipe(100_000);
            let mut far = server(far, &limited);
            put(&mut near, &masked(0x81, b"kept")).await;
            put(&mut near, &wire).await;
            // The peer goes on, and must get its Close all the same.
            put(&mut near, &[0xee; 50_000]).await;
            assert_eq!(far.receive().await.unwrap(), Some(Message::from("kept")));
            let (outcome, ()) = zip(far.receive(), async {
                let frame = [&[0x88, told.len() as u8], told].concat();
                expect(&mut near, &frame).await;
                expect_end(&mut near).await;
                drop(near);
            })
            .await;
            assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
            assert_eq!(far.receive().await.unwrap(), None);
            assert_eq!(far.close_status().unwrap().code, 1006);
        });
    }
}

#[test]
fn masked_frame_of_a_server_fails_the_client() {
    run(async {
        let (near, mut far) = pipe(1000);
        let mut near = client(near, &config());
        put(&mut far, &masked(0x81, b"x")).await;
        let (outcome, ()) = zip(near.receive(), async {
            let mut close = [0; 8];
            smol::io::AsyncReadExt::read_exact(&mut far, &mut close)
                .await
                .unwrap();
            assert_eq!(close[0], 0x88);
            drop(far);
        })
        .await;
        assert!(matches!(
            outcome,
            Err(Error::Protocol(ProtocolError::MaskedFrame))
        ));
    });
}

#[test]
fn limits_are_exact_and_named() {
    run(async {
        let (mut near, far) = pipe(100_000);
        let mut limited = config();
        limited.limits.max_message = 100;
        let mut far = server(far, &limited);
        put(&mut near, &masked(0x82, &[0; 100])).await;
        assert_eq!(far.receive().await.unwrap().unwrap().len(), 100);
        // The header alone is enough.
        put(&mut near, &masked(0x82, &[0; 101])[..8]).await;
        let (outcome, ()) = zip(far.receive(), async {
            smol::future::yield_now().await;
            drop(near);
        })
        .await;
        let error = outcome.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("max_message = 100"), "{source}");
    });
}

#[test]
fn hostile_length_reserves_nothing() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut unlimited = config();
        unlimited.limits = ws_smol::Limits::UNLIMITED;
        let mut far = server(far, &unlimited);
        put(&mut near, b"\x82\xff\x40\0\0\0\0\0\0\0key!").await;
        assert!(once(far.receive()).await.is_none());
        drop(near);
        assert!(matches!(far.receive().await, Err(Error::ConnectionLost)));
    });
}

#[test]
fn buffer_grows_by_what_came_and_not_by_what_is_declared() {
    run(async {
        let (mut near, far) = pipe(2 << 20);
        let mut unlimited = config();
        unlimited.limits = ws_smol::Limits::UNLIMITED;
        unlimited.memory = ws_smol::MemoryBudget::new(usize::MAX);
        let budget = unlimited.memory.clone();
        let mut far = server(far, &unlimited);
        put(&mut near, b"\x82\xff\x40\0\0\0\0\0\0\0key!").await;
        put(&mut near, &[0; 1 << 20]).await;
        assert!(once(far.receive_with(|_, _| Ok(()))).await.is_none());
        let held = budget.held();
        assert!((1 << 19..4 << 20).contains(&held), "{held} bytes");
    });
}

#[test]
fn times_beyond_the_clock_are_as_good_as_none() {
    run(async {
        let (near, far) = pipe(1000);
        let mut endless = config();
        endless.close_timeout = Duration::MAX;
        endless.keepalive.ping_interval = Some(Duration::MAX);
        endless.keepalive.idle_timeout = Some(Duration::MAX);
        let mut near = client(near, &endless);
        let mut far = server(far, &endless);
        assert!(once(near.receive()).await.is_none());
        let (closed, end) = zip(near.close(ws_smol::CloseCode::NORMAL, ""), far.receive()).await;
        closed.unwrap();
        assert_eq!(end.unwrap(), None);
    });
}
