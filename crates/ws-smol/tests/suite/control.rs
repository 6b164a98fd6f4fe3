//! Control frames are answered by whatever operation runs.

use std::time::Duration;

use smol::{
    future::zip,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use ws_smol::{Config, Error, KeepaliveConfig, Message, Timeout};

use crate::support::{client, config, expect, expect_end, masked, once, pipe, put, run, server};

#[test]
fn ping_is_answered_by_who_only_reads() {
    //= RFC6455-5.5.2-2, RFC6455-5.5.2-3
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config());
        put(&mut near, &masked(0x89, b"are you there")).await;
        assert!(once(far.receive()).await.is_none());
        expect(&mut near, b"\x8a\x0dare you there").await;

        // Also where a message comes with it, and nobody receives again.
        put(
            &mut near,
            &[masked(0x89, b"?"), masked(0x81, b"m")].concat(),
        )
        .await;
        assert!(far.receive().await.unwrap().is_some());
        expect(&mut near, b"\x8a\x01?").await;
    });
}

#[test]
fn ping_is_answered_by_who_only_writes() {
    //= RFC6455-5.5.2-2, RFC6455-5.5.2-3
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config());
        put(&mut near, &masked(0x81, b"kept")).await;
        put(&mut near, &masked(0x89, b"?")).await;
        far.send("1").await.unwrap();
        far.send("2").await.unwrap();
        expect(&mut near, b"\x81\x011\x81\x012\x8a\x01?").await;
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("kept")));
    });
}

#[test]
fn close_is_answered_by_who_only_writes() {
    //= RFC6455-5.5.1-7, RFC6455-5.5.1-12, RFC6455-7.1.1-5
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &config());
        put(&mut near, &masked(0x81, b"kept")).await;
        put(&mut near, &masked(0x88, b"\x03\xe9bye")).await;
        let mut sent = Vec::new();
        while let Ok(()) = far.send("x").await {
            sent.extend(b"\x81\x01x");
        }
        sent.extend(b"\x88\x02\x03\xe9");
        expect(&mut near, &sent).await;
        expect_end(&mut near).await;
        assert!(matches!(far.send("y").await, Err(Error::Closed)));
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("kept")));
        assert_eq!(far.receive().await.unwrap(), None);
        let status = far.close_status().unwrap();
        assert_eq!((status.code, &status.reason[..]), (1001, "bye"));
    });
}

#[test]
fn ping_is_answered_while_a_write_is_blocked() {
    run(async {
        let (mut near, far) = pipe(10);
        let mut far = server(far, &config());
        let large = [7; 100];
        // A receive that was given up stands in nobody's way.
        assert!(once(far.receive()).await.is_none());
        let sending = async {
            far.send(&large[..]).await.unwrap();
            far.flush().await.unwrap();
        };
        let asking = async {
            put(&mut near, &masked(0x89, b"?")).await;
            let mut read = vec![0; 102 + 3];
            near.read_exact(&mut read).await.unwrap();
            assert_eq!(read[102..], *b"\x8a\x01?");
        };
        zip(sending, asking).await;
    });
}

#[test]
fn both_write_before_either_reads() {
    const LEN: usize = 10 << 20;
    let (near, far) = pipe(1 << 16);
    let mut near = client(near, &config());
    let mut far = server(far, &config());
    let payload: Vec<u8> = (0..LEN).map(|i| (i % 249) as u8).collect();
    let here = async {
        near.send(&payload[..]).await.unwrap();
        assert_eq!(near.receive().await.unwrap().unwrap().as_bytes(), payload);
    };
    let there = async {
        for piece in payload.chunks(LEN / 64) {
            let is_last = piece.as_ptr_range().end == payload.as_ptr_range().end;
            far.send_fragment(piece, is_last).await.unwrap();
        }
        assert_eq!(far.receive().await.unwrap().unwrap().as_bytes(), payload);
    };
    run(zip(here, there));
}

#[test]
fn reading_ahead_stops_at_its_bound() {
    run(async {
        let (mut near, far) = pipe(1 << 16);
        let mut config = config();
        config.max_read_ahead = 10_000;
        let mut far = server(far, &config);
        let wire = masked(0x82, &[1; 1000]).repeat(100);
        let mut written = 0;
        for _ in 0..200 {
            // A writer that is not blocked still looks at what comes.
            far.send("x").await.unwrap();
            near.take_available();
            written += once(near.write(&wire[written..]))
                .await
                .map_or(0, Result::unwrap);
        }
        assert!((70_000..80_000).contains(&written), "{written}");
        let mut received = 0;
        while let Some(message) = once(far.receive()).await {
            assert_eq!(message.unwrap().unwrap().len(), 1000);
            received += 1;
            written += once(near.write(&wire[written..]))
                .await
                .map_or(0, Result::unwrap);
        }
        assert_eq!(received, 100);
    });
}

#[test]
fn flood_of_pings_holds_one_pong_beyond_the_limit() {
    //= RFC6455-5.5.3-2
    run(async {
        let (mut near, far) = pipe(64);
        let mut config = config();
        config.max_backpressure = 200;
        config.time_limits.max_control_rate = u32::MAX;
        let mut far = server(far, &config);
        for i in 0..2000u32 {
            put_all(&mut near, &mut far, &masked(0x89, &i.to_be_bytes())).await;
            assert!(
                far.pending_bytes() < 200 + 8 * 139 + 200,
                "{}",
                far.pending_bytes()
            );
        }
        // The last is answered whatever became of those in between.
        let mut pongs = Vec::new();
        while once(far.receive()).await.is_none() {
            let bytes = near.take_available();
            if bytes.is_empty() {
                break;
            }
            pongs.extend(bytes);
        }
        assert!(pongs.ends_with(&[&b"\x8a\x04"[..], &1999u32.to_be_bytes()].concat()));
    });
}

/// Writes while the other end receives, and reads nothing.
async fn put_all(
    near: &mut crate::support::Pipe,
    far: &mut ws_smol::WebSocket<crate::support::Pipe>,
    mut bytes: &[u8],
) {
    while !bytes.is_empty() {
        let n = near.write(bytes).await.unwrap();
        bytes = &bytes[n..];
        assert!(once(far.receive()).await.is_none());
    }
}

#[test]
fn keepalive_asks_and_measures() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut config = config();
        config.keepalive.ping_interval = Some(Duration::from_millis(5));
        config.keepalive.pong_timeout = Some(Duration::from_secs(50));
        let mut far = server(far, &config);
        let peer = async {
            let mut ping = [0; 6];
            near.read_exact(&mut ping).await.unwrap();
            assert_eq!(ping[..2], *b"\x89\x04");
            put(&mut near, &masked(0x8a, &ping[2..])).await;
            put(&mut near, &masked(0x81, b"done")).await;
        };
        let (message, ()) = zip(far.receive(), peer).await;
        assert_eq!(message.unwrap(), Some(Message::from("done")));
        assert!(far.round_trip_time().is_some());
    });
}

#[test]
fn silent_peer_is_given_up() {
    //= RFC6455-7.1.1-2
    fn short() -> Config {
        let mut config = config();
        config.keepalive.ping_interval = Some(Duration::from_millis(1));
        config.keepalive.pong_timeout = Some(Duration::from_millis(1));
        config
    }
    run(async {
        let (near, far) = pipe(1000);
        let mut far = server(far, &short());
        let error = far.receive().await.unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Pong)));
        assert!(near.is_dropped());
        assert_eq!(far.close_status().unwrap().code, 1006);
        assert_eq!(far.receive().await.unwrap(), None);

        // Also while it is writing that waits.
        let (near, far) = pipe(10);
        let mut far = server(far, &short());
        let error = far.send(&[0; 100][..]).await.unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Pong)));
        assert!(near.is_dropped());
    });
}

#[test]
fn idle_peer_is_told_and_heard_up_to_its_close() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut config = config();
        config.keepalive = KeepaliveConfig::OFF;
        config.keepalive.idle_timeout = Some(Duration::from_millis(1));
        let mut far = server(far, &config);
        let peer = async {
            expect(&mut near, b"\x88\x0e\x03\xe9idle_timeout").await;
            put(&mut near, &masked(0x81, b"last")).await;
            put(&mut near, &masked(0x88, b"\x03\xe9")).await;
            expect_end(&mut near).await;
            drop(near);
        };
        let receiving = async {
            // What was under way still comes.
            let last = far.receive().await.unwrap();
            assert_eq!(last, Some(Message::from("last")));
            let error = far.receive().await.unwrap_err();
            assert!(matches!(error, Error::Timeout(Timeout::Idle)), "{error}");
        };
        zip(receiving, peer).await;
    });
}

#[test]
fn control_frames_go_out_beside_a_message_in_pieces() {
    run(async {
        let (near, far) = pipe(1000);
        let mut near = client(near, &config());
        let mut far = server(far, &config());
        near.send_fragment("a", false).await.unwrap();
        assert!(matches!(near.send("b").await, Err(Error::Send(_))));
        near.ping(b"p").await.unwrap();
        near.pong(b"q").await.unwrap();
        assert!(matches!(near.ping(&[0; 126]).await, Err(Error::Send(_))));
        near.send_fragment("b", true).await.unwrap();
        assert_eq!(far.receive().await.unwrap(), Some(Message::from("ab")));
        assert_eq!(far.take_frame_counts().by_opcode[9], 1);
    });
}

#[test]
fn peer_that_is_not_read_from_is_not_given_up() {
    run(async {
        let (mut near, far) = pipe(1 << 12);
        let mut short = config();
        short.max_read_ahead = 100;
        short.keepalive.ping_interval = Some(Duration::from_millis(1));
        short.keepalive.pong_timeout = Some(Duration::from_millis(1));
        let mut far = server(far, &short);
        let wire = masked(0x82, &[1; 1000]);
        put(&mut near, &wire).await;
        let blocked = far.send(&[0; 10_000][..]);
        let patience = async {
            smol::Timer::after(Duration::from_millis(50)).await;
            Ok(())
        };
        smol::future::or(blocked, patience).await.unwrap();
        assert_eq!(far.receive().await.unwrap().unwrap().len(), 1000);
    });
}

#[test]
fn latency_is_measured_on_a_feed_that_never_pauses() {
    //= RFC6455-5.5.3-3
    run(async {
        let (mut near, far) = pipe(1 << 20);
        let mut far = server(far, &config());
        assert_eq!(far.last_pong(), None);
        assert_eq!(far.round_trip_time(), None);
        let messages = masked(0x81, b"tick").repeat(100);
        put(&mut near, &messages).await;
        far.ping(b"1").await.unwrap();
        far.ping(b"2").await.unwrap();
        expect(&mut near, b"\x89\x011\x89\x012").await;
        // An unsolicited one, then the answer to the second, then more.
        for frame in [masked(0x8a, b"0"), masked(0x8a, b"2"), messages] {
            put(&mut near, &frame).await;
        }
        for _ in 0..150 {
            assert!(far.receive().await.unwrap().is_some());
        }
        let pong = far.last_pong().unwrap();
        assert_eq!(pong.payload, b"2");
        assert_eq!(far.round_trip_time(), Some(pong.round_trip_time));
        // The halves know it too.
        let (read, write) = far.split();
        assert_eq!(read.last_pong(), Some(pong.clone()));
        assert_eq!(write.last_pong(), Some(pong));
        assert_eq!(write.round_trip_time(), read.round_trip_time());
    });
}
