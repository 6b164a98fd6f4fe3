//! What a peer may take its time for. Times are short, and what is waited for
//! is the end.

use std::time::{Duration, Instant};

use smol::io::AsyncReadExt as _;
use ws_smol::{Acceptor, Config, Error, OriginPolicy, PeerAddr, TimeLimits, Timeout};

use crate::support::{config, expect, expect_end, masked, pipe, put, read_all, run, server};

const SHORT: Duration = Duration::from_millis(100);

fn limited(limit: impl FnOnce(&mut TimeLimits)) -> Config {
    let mut config = config();
    limit(&mut config.time_limits);
    config
}

#[test]
fn limits_are_finite_by_default() {
    let config = Config::default();
    assert_eq!(config.time_limits, TimeLimits::default());
    assert_eq!(config.min_head_rate, 10);
    assert_eq!(config.handshake_timeout, Duration::from_secs(10));
    assert_eq!(config.close_timeout, Duration::from_secs(10));
    assert_eq!(config.memory.limit(), 1 << 30);
}

#[test]
fn peer_that_takes_nothing_of_what_waits_is_given_up() {
    run(async {
        let (near, far) = pipe(10);
        let mut far = server(far, &limited(|times| times.write_progress = Some(SHORT)));
        let error = far.send(&[7; 100][..]).await.unwrap_err();
        assert!(matches!(error, Error::Timeout(Timeout::Write)), "{error}");
        drop(near);
    });
}

#[test]
fn peer_that_takes_some_now_and_then_is_not_given_up() {
    run(async {
        let (mut near, far) = pipe(10);
        let times = |times: &mut TimeLimits| times.write_progress = Some(20 * SHORT);
        let mut far = server(far, &limited(times));
        let sending = async { far.send(&[7; 50][..]).await.unwrap() };
        let reading = async {
            for _ in 0..52 {
                smol::Timer::after(SHORT).await;
                near.read_exact(&mut [0; 1]).await.unwrap();
            }
        };
        smol::future::zip(sending, reading).await;
    });
}

#[test]
fn message_that_never_ends_is_refused_with_1008() {
    for begin in [
        &masked(0x01, b"a")[..],
        b"\x82\xfe\xff\xff\0\0\0\0",
        b"\x81",
    ] {
        run(async {
            let (mut near, far) = pipe(1000);
            let mut far = server(far, &limited(|times| times.message = Some(SHORT)));
            put(&mut near, begin).await;
            let receiving = async {
                let error = far.receive().await.unwrap_err();
                assert!(matches!(error, Error::Timeout(Timeout::Message)), "{error}");
            };
            let reading = async {
                expect(&mut near, b"\x88\x11\x03\xf0message_timeout").await;
                expect_end(&mut near).await;
                drop(near);
            };
            smol::future::zip(receiving, reading).await;
        });
    }
}

#[test]
fn message_of_which_something_came_has_time_for_that() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut config = limited(|times| {
            times.message = Some(SHORT);
            times.min_message_rate = 1;
        });
        // Its Pings tell that the time is over that an empty message has.
        config.keepalive.ping_interval = Some(2 * SHORT);
        config.keepalive.pong_timeout = None;
        let mut far = server(far, &config);
        let message = masked(0x82, &[7; 100]);
        put(&mut near, &message[..60]).await;
        let sending = async {
            expect(&mut near, b"\x89\x04\0\0\0\x01").await;
            put(&mut near, &message[60..]).await;
        };
        let (received, ()) = smol::future::zip(far.receive(), sending).await;
        assert_eq!(received.unwrap().unwrap().len(), 100);
    });
}

#[test]
fn round_trip_is_measured_without_silence() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut config = config();
        config.keepalive.ping_interval = Some(Duration::from_secs(3600));
        config.keepalive.measure_interval = Some(SHORT);
        let mut far = server(far, &config);
        let answering = async {
            expect(&mut near, b"\x89\x04\0\0\0\x01").await;
            put(&mut near, &masked(0x8a, &[0, 0, 0, 1])).await;
            put(&mut near, &masked(0x81, b"on")).await;
        };
        let (received, ()) = smol::future::zip(far.receive(), answering).await;
        received.unwrap().unwrap();
        assert!(far.round_trip_time().is_some());
    });
}

#[test]
fn message_that_ends_and_the_next_have_the_time_each() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &limited(|times| times.message = Some(20 * SHORT)));
        put(&mut near, &masked(0x01, b"begin")).await;
        let sending = async {
            for _ in 0..30 {
                smol::Timer::after(SHORT).await;
                let next = [masked(0x80, b"end"), masked(0x01, b"begin")].concat();
                put(&mut near, &next).await;
            }
        };
        let receiving = async {
            for _ in 0..30 {
                far.receive().await.unwrap().unwrap();
            }
        };
        smol::future::zip(sending, receiving).await;
    });
}

#[test]
fn flood_of_control_frames_is_refused_with_1008() {
    for first in [0x89, 0x8a] {
        run(async {
            let (mut near, far) = pipe(10_000);
            let mut far = server(far, &limited(|times| times.max_control_rate = 10));
            // More than ten in a second, wherever that begins.
            put(&mut near, &masked(first, b"").repeat(21)).await;
            let receiving = async {
                let error = far.receive().await.unwrap_err();
                assert!(matches!(error, Error::ControlFlood), "{error}");
            };
            let reading = async {
                let mut all = Vec::new();
                near.read_to_end(&mut all).await.unwrap();
                assert!(all.ends_with(b"\x88\x0f\x03\xf0control_flood"));
                drop(near);
            };
            smol::future::zip(receiving, reading).await;
        });
    }
}

#[test]
fn connection_that_is_too_old_is_closed_with_1001() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut far = server(far, &limited(|times| times.lifetime = Some(SHORT)));
        let receiving = async {
            // What was under way still comes.
            assert!(far.receive().await.unwrap().is_some());
            let error = far.receive().await.unwrap_err();
            assert!(
                matches!(error, Error::Timeout(Timeout::Lifetime)),
                "{error}"
            );
            assert!(far.receive().await.unwrap().is_none());
        };
        let reading = async {
            expect(&mut near, b"\x88\x0a\x03\xe9lifetime").await;
            put(&mut near, &masked(0x81, b"last")).await;
            put(&mut near, &masked(0x88, b"\x03\xe9")).await;
            expect_end(&mut near).await;
        };
        smol::future::zip(receiving, reading).await;
    });
}

#[test]
fn device_that_prints_its_request_line_by_line_is_served() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut config = config();
        // More than any device has.
        config.min_head_rate = u32::MAX;
        config.handshake_timeout = 1000 * SHORT;
        let acceptor = Acceptor::new(OriginPolicy::Any).config(config);
        let printing = async {
            let request =
                b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
            for line in request.split_inclusive(|byte| *byte == b'\n') {
                put(&mut near, line).await;
                smol::Timer::after(SHORT).await;
            }
        };
        let accepting = acceptor.accept(far, PeerAddr::Unknown);
        let (accepted, ()) = smol::future::zip(accepting, printing).await;
        accepted.unwrap();
    });
}

#[test]
fn request_that_trickles_is_answered_with_408_before_the_handshake_timeout() {
    run(async {
        let (mut near, far) = pipe(1000);
        let mut config = config();
        config.min_head_rate = 1000;
        config.handshake_timeout = 10 * SHORT;
        let acceptor = Acceptor::new(OriginPolicy::Any).config(config);
        let trickling = async {
            for byte in b"GET / HTTP/1.1\r\nX-Slow: 111111111111111" {
                put(&mut near, &[*byte]).await;
                smol::Timer::after(SHORT / 10).await;
            }
            let answer = read_all(near).await;
            assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        };
        let start = Instant::now();
        let accepting = async {
            let error = acceptor.accept(far, PeerAddr::Unknown).await.unwrap_err();
            assert!(matches!(error, Error::Timeout(Timeout::Head)), "{error}");
        };
        smol::future::zip(accepting, trickling).await;
        // Half of the time, whatever comes.
        assert!(start.elapsed() >= 4 * SHORT);
    });
}
