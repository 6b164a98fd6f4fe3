//! Time that a test moves itself, by the trait that runtimes implement.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use smol::future::poll_once;
use ws_smol::{
    Acceptor, Config, Error, Gate, KeepaliveConfig, OriginPolicy, PeerAddr, ServerMasking, Sleep,
    Timeout, Timer, WebSocket, duplex,
};

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
struct Clock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: Instant,
    waiting: Vec<Waker>,
}

impl Clock {
    fn new() -> Self {
        let (now, waiting) = (Instant::now(), Vec::new());
        Self(Arc::new(Mutex::new(State { now, waiting })))
    }

    fn advance(&self, time: Duration) {
        let mut state = self.0.lock().unwrap();
        state.now += time;
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Timer for Clock {
    fn now(&self) -> Instant {
        self.0.lock().unwrap().now
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let clock = self.clone();
        Box::pin(poll_fn(move |cx| {
            let mut state = clock.0.lock().unwrap();
            if state.now >= deadline {
                return Poll::Ready(());
            }
            state.waiting.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// Waits, by the clock: returns what came of it, and after how many minutes.
async fn minutes_until<T>(clock: &Clock, future: impl Future<Output = T>) -> (T, u32) {
    let mut future = pin!(future);
    let mut minutes = 0;
    loop {
        if let Some(outcome) = poll_once(&mut future).await {
            return (outcome, minutes);
        }
        assert!(minutes < 1000, "nothing happens");
        clock.advance(MINUTE);
        minutes += 1;
    }
}

#[test]
fn request_that_does_not_come_is_waited_for_by_the_acceptors_clock() {
    smol::block_on(async {
        let clock = Clock::new();
        let acceptor = Acceptor::new(OriginPolicy::Any)
            .timer(clock.clone())
            .handshake_timeout(30 * MINUTE);
        let (stream, silent) = duplex(1000);
        let accepting = acceptor.accept(stream, PeerAddr::Unknown);
        let (outcome, minutes) = minutes_until(&clock, accepting).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Handshake))));
        // It is given a little to read the answer.
        assert!((30..=31).contains(&minutes), "{minutes}");
        drop(silent);
    });
}

#[test]
fn keepalive_is_kept_by_the_connections_clock() {
    smol::block_on(async {
        let clock = Clock::new();
        let mut config = Config::default();
        config.keepalive = KeepaliveConfig::OFF;
        config.keepalive.ping_interval = Some(10 * MINUTE);
        config.keepalive.pong_timeout = Some(5 * MINUTE);
        let (stream, silent) = duplex(1000);
        let masking = ServerMasking::new();
        let websocket = WebSocket::after_handshake(stream, masking, Vec::new(), &config).unwrap();
        let mut websocket = websocket.with_timer(clock.clone());
        let (outcome, minutes) = minutes_until(&clock, websocket.receive()).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Pong))));
        assert!((15..=16).contains(&minutes), "{minutes}");
        drop(silent);
    });
}

#[test]
fn drain_is_spread_and_ends_by_the_gates_clock() {
    smol::block_on(async {
        let clock = Clock::new();
        let gate = Gate::new(10, 10).timer(clock.clone());
        let pass = gate.admit(PeerAddr::Unknown).unwrap();
        gate.drain(20 * MINUTE, 30 * MINUTE);
        let ((), spread) = minutes_until(&clock, pass.drained()).await;
        assert!(spread <= 20);
        let (is_gone, rest) = minutes_until(&clock, gate.gone()).await;
        assert!(!is_gone);
        assert_eq!(spread + rest, 30);
    });
}
