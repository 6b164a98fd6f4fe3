//! Who is let in, and how all go.

use std::{
    io::{Error as IoError, ErrorKind},
    net::SocketAddr,
    pin::pin,
    time::{Duration, Instant},
};

use smol::{
    LocalExecutor,
    future::{or, zip},
};
use ws_smol::{
    Acceptor, CloseCode, Config, Error, Gate, Message, NotAdmitted, OriginPolicy, PeerAddr,
};

use crate::support::{config, expect, expect_end, masked, once, pipe, put, read_all, run, server};

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 1000))
}

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn too_many_connections_are_not_admitted_until_others_go() {
    let gate = Gate::new(3, 2);
    let passes = [1, 1, 2].map(|host| gate.admit(address(host)).unwrap());
    assert_eq!(gate.open(), 3);
    assert_eq!(
        gate.admit(address(3)).unwrap_err(),
        NotAdmitted::MaxConnections(3)
    );
    let [first, second, third] = passes;
    drop(third);
    assert_eq!(
        gate.admit(address(1)).unwrap_err(),
        NotAdmitted::MaxPerAddress(2)
    );
    let _local = gate.admit(PeerAddr::Local).unwrap();
    drop((first, second));
    assert_eq!(gate.open(), 1);
    let _again = [(); 2].map(|()| gate.admit(address(1)).unwrap());
}

#[test]
fn network_of_one_customer_counts_as_one() {
    let gate = Gate::new(10, 1);
    let admit = |ip: &str| gate.admit(SocketAddr::new(ip.parse().unwrap(), 1));
    let _first = admit("2001:db8::1").unwrap();
    assert!(admit("2001:db8::ffff:0:0:1").is_err());
    let _second = admit("2001:db8:0:1::1").unwrap();
    let _third = admit("192.0.2.1").unwrap();
    assert!(admit("::ffff:192.0.2.1").is_err());
}

#[test]
fn connection_through_a_proxy_counts_for_its_client() {
    let gate = Gate::new(10, 1);
    let mut passes = [(); 3].map(|()| gate.admit(PeerAddr::Unknown).unwrap());
    let [first, second, third] = &mut passes;
    first.comes_from(address(1)).unwrap();
    first.comes_from(address(1)).unwrap();
    assert_eq!(
        second.comes_from(address(1)).unwrap_err(),
        NotAdmitted::MaxPerAddress(1)
    );
    second.comes_from(address(2)).unwrap();
    assert!(third.comes_from(address(2)).is_err());
    // An address that is left is free again.
    second.comes_from(address(3)).unwrap();
    third.comes_from(address(2)).unwrap();
    assert_eq!(gate.open(), 3);
    drop(passes);
    let _again = [1, 2, 3].map(|host| gate.admit(address(host)).unwrap());
}

#[test]
fn drain_tells_each_in_its_turn_and_ends_with_the_last() {
    run(async {
        let gate = Gate::new(1000, usize::MAX);
        let executor = LocalExecutor::new();
        let start = Instant::now();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let pass = gate.admit(address(1)).unwrap();
                executor.spawn(async move {
                    pass.drained().await;
                    start.elapsed()
                })
            })
            .collect();
        let drain = async {
            smol::Timer::after(SHORT).await;
            assert!(once(gate.gone()).await.is_none());
            gate.drain(10 * SHORT, 300 * SHORT);
            assert_eq!(gate.admit(address(1)).unwrap_err(), NotAdmitted::Draining);
            assert!(gate.gone().await);
        };
        executor.run(drain).await;
        let mut times = Vec::new();
        for task in tasks {
            times.push(task.await);
        }
        times.sort_unstable();
        // However late a busy machine is, none is early.
        assert!(times[0] >= SHORT && times[50] >= 5 * SHORT && times[98] >= 10 * SHORT);
    });
}

#[test]
fn drain_that_is_to_come_is_seen_while_all_goes_on() {
    run(async {
        let gate = Gate::new(1000, usize::MAX);
        let first = gate.admit(address(1)).unwrap();
        assert!(!gate.is_draining());
        let start = Instant::now();
        let mut drain = pin!(gate.drain_after(SHORT, Duration::ZERO, 10 * SHORT));
        assert!(once(&mut drain).await.is_none());
        assert!(gate.is_draining());
        let second = gate.admit(address(2)).unwrap();
        assert!(once(first.drained()).await.is_none());
        drain.await;
        assert!(start.elapsed() >= SHORT);
        assert_eq!(gate.admit(address(3)).unwrap_err(), NotAdmitted::Draining);
        first.drained().await;
        second.drained().await;
        assert!(gate.is_draining());
    });
}

#[test]
fn drain_gives_up_at_its_deadline() {
    run(async {
        let gate = Gate::new(1000, usize::MAX);
        let stays = gate.admit(PeerAddr::Unknown).unwrap();
        gate.drain(SHORT, 2 * SHORT);
        stays.drained().await;
        assert!(!gate.gone().await);
        // Asked again it is no later.
        gate.drain(SHORT, 10_000 * SHORT);
        assert!(!gate.gone().await);
        drop(stays);
        assert!(gate.gone().await);
    });
}

#[test]
fn drain_that_is_asked_for_again_is_sooner() {
    run(async {
        let gate = Gate::new(1000, usize::MAX);
        let passes = [(); 10].map(|()| gate.admit(PeerAddr::Unknown).unwrap());
        gate.drain(Duration::from_secs(1000), Duration::from_secs(2000));
        let again = async { gate.drain(Duration::ZERO, SHORT) };
        let all = async {
            for pass in &passes {
                pass.drained().await;
            }
        };
        zip(all, again).await;
        assert!(!gate.gone().await);
    });
}

/// Its clients have long to read what they are answered.
fn acceptor(gate: &Gate) -> Acceptor {
    let mut config = Config::default();
    config.close_timeout = Duration::from_secs(1000);
    Acceptor::new(OriginPolicy::Any).config(config).gate(gate)
}

#[test]
fn drain_answers_requests_that_are_not_whole_and_later_ones_with_503() {
    for begin in [&b""[..], b"GET / HTTP/1.1\r\nHost: ex"] {
        for is_late in [false, true] {
            run(async {
                let gate = Gate::new(10, 10);
                let acceptor = acceptor(&gate);
                let (mut near, far) = pipe(1000);
                put(&mut near, begin).await;
                if is_late {
                    gate.drain(SHORT, 300 * SHORT);
                }
                let mut accepting = Box::pin(acceptor.accept(far, PeerAddr::Local));
                if !is_late {
                    assert!(once(&mut accepting).await.is_none());
                    gate.drain(300 * SHORT, 300 * SHORT);
                }
                let (outcome, answer) = zip(accepting, read_all(near)).await;
                let error = outcome.unwrap_err();
                assert!(
                    matches!(error, Error::NotAdmitted(NotAdmitted::Draining)),
                    "{error}"
                );
                assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
                assert!(answer.contains("Connection: close\r\n"), "{answer}");
            });
        }
    }
}

#[test]
fn who_does_not_read_the_503_is_dropped_with_the_end_of_the_drain() {
    run(async {
        let gate = Gate::new(10, 10);
        let acceptor = acceptor(&gate);
        let (near, far) = pipe(5);
        let accepting = acceptor.accept(far, PeerAddr::Local);
        gate.drain(Duration::ZERO, SHORT);
        assert!(accepting.await.is_err());
        assert!(near.is_dropped());
    });
}

#[test]
fn accepting_is_tried_again_until_the_server_ends() {
    run(async {
        let gate = Gate::new(10, 10);
        let mut results = vec![
            Ok(2),
            // No file descriptors, as it were.
            Err(IoError::from(ErrorKind::Other)),
            Err(ErrorKind::Other.into()),
            Ok(1),
            Err(ErrorKind::ConnectionAborted.into()),
            Err(ErrorKind::Interrupted.into()),
        ];
        let mut accept = async || match results.pop() {
            Some(result) => result,
            None => smol::future::pending().await,
        };
        assert_eq!(gate.accept(&mut accept).await, Some(1));
        let start = Instant::now();
        assert_eq!(gate.accept(&mut accept).await, Some(2));
        assert!(start.elapsed() >= 2 * SHORT);
        let drain = async { gate.drain(SHORT, SHORT) };
        assert_eq!(zip(gate.accept(&mut accept), drain).await.0, None);
        assert_eq!(gate.accept(&mut accept).await, None);
    });
}

#[test]
fn nothing_is_lost_on_the_way_out() {
    run(async {
        let gate = Gate::new(1000, usize::MAX);
        let (mut near, far) = pipe(10);
        let mut far = server(far, &config());
        let pass = gate.admit(PeerAddr::Unknown).unwrap();
        let serving = async {
            far.queue(&[7; 100][..]).unwrap();
            let talk = async { far.receive().await.unwrap() };
            let drained = async {
                pass.drained().await;
                None
            };
            assert_eq!(or(talk, drained).await, None);
            far.close(CloseCode::GOING_AWAY, "").await.unwrap();
            // What came meanwhile was kept.
            let last = far.receive().await.unwrap();
            assert_eq!(last, Some(Message::from("last")));
            drop(pass);
        };
        let reading = async {
            gate.drain(Duration::ZERO, 300 * SHORT);
            let all = [&b"\x82\x64"[..], &[7; 100], b"\x88\x02\x03\xe9"].concat();
            expect(&mut near, &all).await;
            put(&mut near, &masked(0x81, b"last")).await;
            put(&mut near, &masked(0x88, b"\x03\xe9")).await;
            expect_end(&mut near).await;
            assert!(gate.gone().await);
        };
        zip(serving, reading).await;
    });
}
