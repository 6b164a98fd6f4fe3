use alloc::vec::Vec;

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// No limits but those that a test sets.
#[derive(Clone, Copy)]
struct Setup {
    keepalive: KeepaliveConfig,
    limits: TimeLimits,
    close_timeout: Duration,
    end_by: Option<Duration>,
}

impl Setup {
    const OFF: Self = Self {
        keepalive: KeepaliveConfig::OFF,
        limits: TimeLimits::UNLIMITED,
        close_timeout: s(10),
        end_by: None,
    };

    const KEEPALIVE: Self = Self {
        keepalive: KeepaliveConfig {
            ping_interval: Some(s(30)),
            pong_timeout: Some(s(20)),
            ..KeepaliveConfig::OFF
        },
        ..Self::OFF
    };

    const fn limits(limits: TimeLimits) -> Self {
        Self {
            limits,
            ..Self::OFF
        }
    }

    const fn times(&self) -> Times<'_> {
        Times::new(&self.keepalive, &self.limits, self.close_timeout).with_end_by(self.end_by)
    }
}

/// A connection that is open since 0.
struct Bench {
    setup: Setup,
    clock: Clock,
    busy: BusyTimers,
}

impl Bench {
    fn new(setup: Setup) -> Self {
        Self {
            setup,
            clock: Clock::open(&setup.times(), s(0)),
            busy: BusyTimers::new(),
        }
    }

    fn next(&self, now: Duration) -> Option<Duration> {
        self.clock.next(&self.busy, &self.setup.times(), now)
    }

    fn due(&mut self, now: Duration) -> Option<Due> {
        let times = self.setup.times();
        self.clock.handle_timeout(&mut self.busy, &times, now)
    }

    fn flow(&mut self, flow: Flow, now: Duration) -> bool {
        let times = self.setup.times();
        self.clock.note_flow(&mut self.busy, &flow, &times, now)
    }

    fn pinged(&mut self, now: Duration) -> [u8; 4] {
        match self.due(now) {
            Some(Due::Ping(payload)) => payload,
            due => panic!("{due:?} at {now:?}"),
        }
    }
}

const READING: Flow = Flow {
    is_reading: true,
    is_waiting: false,
    has_moved: false,
    is_begun: false,
    received: 0,
    is_paused: false,
    is_close_sent: false,
};
const WAITING: Flow = Flow {
    is_waiting: true,
    ..READING
};
const BEGUN: Flow = Flow {
    is_begun: true,
    ..READING
};
const CLOSE_SENT: Flow = Flow {
    is_close_sent: true,
    ..READING
};

#[test]
fn clock_of_a_connection_takes_36_bytes() {
    assert_eq!((size_of::<Clock>(), align_of::<Clock>()), (36, 4));
    assert_eq!(size_of::<Stage>(), 2);
}

#[test]
fn idle_flow_is_noted_alike_with_and_without_the_time() {
    let limits = TimeLimits {
        write_progress: Some(s(10)),
        message: Some(s(20)),
        ..TimeLimits::UNLIMITED
    };
    for bits in 0..32 {
        let has = |bit: u32| bits & 1 << bit != 0;
        let flow = Flow {
            is_waiting: has(0),
            is_begun: has(1),
            is_reading: has(2),
            is_paused: has(3),
            is_close_sent: has(4),
            ..READING
        };
        for before in [READING, WAITING, BEGUN] {
            let mut timed = Bench::new(Setup::limits(limits));
            timed.flow(before, s(0));
            timed.busy.note_finished();
            let (mut clock, mut busy) = (timed.clock, timed.busy);
            let is_idle = busy.note_idle(&flow);
            let is_started = timed.flow(flow, s(1));
            if is_idle {
                assert!(!is_started, "{flow:?}");
            } else {
                let times = timed.setup.times();
                clock.note_flow(&mut busy, &flow, &times, s(1));
            }
            let untimed = clock.next(&busy, &timed.setup.times(), s(1));
            assert_eq!(untimed, timed.next(s(1)), "{flow:?} after {before:?}");
            assert_eq!(busy.is_paused, timed.busy.is_paused);
            assert_eq!(busy.has_finished, timed.busy.has_finished);
        }
    }
    // What most connections are.
    assert!(BusyTimers::new().note_idle(&READING));
}

#[test]
fn data_in_the_last_input_is_data_at_that_time() {
    let mut setup = Setup::OFF;
    setup.keepalive.idle_timeout = Some(s(100));
    let mut bench = Bench::new(setup);
    bench.clock.note_input(s(10));
    assert_eq!(bench.next(s(10)), Some(s(100)));
    bench.clock.note_data_in_input();
    assert_eq!(bench.next(s(10)), Some(s(110)));
}

#[test]
fn nothing_is_due_when_all_is_off() {
    let mut bench = Bench::new(Setup::OFF);
    assert_eq!(bench.next(s(0)), None);
    assert_eq!(bench.due(Duration::MAX), None);
}

#[test]
fn round_trip_of_a_peer_that_is_never_silent_is_measured() {
    let mut bench = Bench::new(Setup {
        keepalive: KeepaliveConfig::default(),
        ..Setup::OFF
    });
    let mut sent = Vec::new();
    for now in 1..=180 {
        bench.clock.note_data(s(now));
        if let Some(Due::Ping(payload)) = bench.due(s(now)) {
            sent.push(now);
            let later = s(now) + Duration::from_millis(30);
            let measured = bench.clock.note_pong(&payload, later);
            assert_eq!(measured, Some(Duration::from_millis(30)));
        }
    }
    assert_eq!(sent, [60, 120, 180]);
}

#[test]
fn peer_that_only_answers_pings_stays_by_default() {
    let limits = TimeLimits {
        lifetime: None,
        ..TimeLimits::default()
    };
    let mut bench = Bench::new(Setup {
        keepalive: KeepaliveConfig::default(),
        ..Setup::limits(limits)
    });
    let mut now = s(0);
    while now < s(3 * 86_400) {
        now = bench.next(now).unwrap();
        let payload = bench.pinged(now);
        assert!(bench.clock.note_pong(&payload, now).is_some());
    }
}

#[test]
fn answer_to_no_ping_tells_nothing() {
    let mut bench = Bench::new(Setup::KEEPALIVE);
    let clock = &mut bench.clock;
    assert_eq!(clock.note_pong(&[0; 4], s(1)), None);
    let answered = u32::from(ANSWERED).to_be_bytes();
    assert_eq!(clock.note_pong(&answered, s(1)), None);
    // The number of a Ping comes back after 32 thousand others.
    clock.pings = ANSWERED - 1;
    assert_eq!(bench.pinged(s(90)), [0; 4]);
}

#[test]
fn silent_peer_is_pinged_once_and_then_dropped() {
    let mut bench = Bench::new(Setup::KEEPALIVE);
    assert_eq!(bench.due(s(29)), None);
    bench.pinged(s(30));
    assert_eq!(bench.due(s(49)), None);
    assert_eq!(bench.next(s(30)), Some(s(50)));
    assert_eq!(bench.due(s(50)), Some(Due::Drop(Timeout::Pong)));
}

#[test]
fn exact_pong_tells_the_round_trip_time() {
    let mut bench = Bench::new(Setup::KEEPALIVE);
    let payload = bench.pinged(s(30));
    assert_eq!(bench.clock.note_pong(b"unsolicited", s(30)), None);
    assert_eq!(bench.clock.note_pong(&payload, s(31)), Some(s(1)));
    assert_eq!(bench.clock.note_pong(&payload, s(32)), None);
    assert_eq!(bench.next(s(32)), Some(s(62)));
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let notes: [fn(&mut Clock, Duration); 2] = [Clock::note_input, Clock::note_data];
    for note in notes {
        let mut bench = Bench::new(Setup::KEEPALIVE);
        bench.pinged(s(30));
        note(&mut bench.clock, s(40));
        assert_eq!(bench.due(s(60)), None);
        bench.pinged(s(70));
    }
    // What was sent at the moment of the last input is unanswered.
    let mut bench = Bench::new(Setup::KEEPALIVE);
    bench.pinged(s(30));
    bench.clock.note_input(s(30));
    assert_eq!(bench.next(s(30)), Some(s(50)));
}

#[test]
fn next_ping_is_not_missed_for_a_long_pong_timeout() {
    let mut setup = Setup::KEEPALIVE;
    setup.keepalive.pong_timeout = Some(s(1000));
    let mut bench = Bench::new(setup);
    let payload = bench.pinged(s(30));
    // The peer's answer asks for nothing: who waits looks again in time.
    assert_eq!(bench.next(s(30)), Some(s(60)));
    bench.clock.note_pong(&payload, s(31));
    assert_eq!(bench.due(s(60)), None);
    assert_eq!(bench.next(s(60)), Some(s(61)));
    // With no answer it looks again and again.
    bench.pinged(s(61));
    assert_eq!(bench.next(s(91)), Some(s(121)));
    setup.keepalive.measure_interval = Some(s(10));
    bench.setup = setup;
    assert_eq!(bench.next(s(91)), Some(s(101)));
}

#[test]
fn idle_timeout_counts_data_alone_and_closes() {
    let mut setup = Setup::OFF;
    setup.keepalive.idle_timeout = Some(s(100));
    let mut bench = Bench::new(setup);
    bench.clock.note_data(s(10));
    bench.clock.note_input(s(90));
    assert_eq!(bench.next(s(90)), Some(s(110)));
    assert_eq!(bench.due(s(110)), Some(Due::Close(Timeout::Idle)));
    assert_eq!(bench.clock.stage(), Stage::Closing(Some(Timeout::Idle)));
    // The peer has close_timeout for its Close, and nothing else is due.
    assert_eq!(bench.next(s(110)), Some(s(120)));
    assert_eq!(bench.due(s(119)), None);
    assert_eq!(bench.due(s(120)), Some(Due::Drop(Timeout::Idle)));
}

#[test]
fn first_timer_is_due_and_a_ping_comes_before_giving_up() {
    for (ping, idle, is_ping) in [(30, 29, false), (30, 30, true), (30, 31, true)] {
        let mut setup = Setup::OFF;
        setup.keepalive.ping_interval = Some(s(ping));
        setup.keepalive.idle_timeout = Some(s(idle));
        let mut bench = Bench::new(setup);
        assert_eq!(bench.next(s(0)), Some(s(ping.min(idle))));
        let due = bench.due(s(30));
        assert_eq!(matches!(due, Some(Due::Ping(_))), is_ping, "{due:?}");
    }
}

#[test]
fn paused_peer_is_not_given_up() {
    let mut setup = Setup::KEEPALIVE;
    setup.keepalive.idle_timeout = Some(s(45));
    let mut bench = Bench::new(setup);
    bench.pinged(s(30));
    let paused = Flow {
        is_paused: true,
        ..Flow::default()
    };
    assert!(!bench.flow(paused, s(31)));
    for now in [45, 50, 70] {
        assert_eq!(bench.due(s(now)), None);
    }
    bench.flow(READING, s(71));
    bench.pinged(s(75));
    assert_eq!(bench.due(s(200)), Some(Due::Close(Timeout::Idle)));
}

#[test]
fn control_frames_are_counted_by_the_second() {
    let mut clock = Bench::new(Setup::OFF).clock;
    for _ in 0..3 {
        assert!(!clock.note_control(3, s(5)));
    }
    assert!(clock.note_control(3, Duration::from_millis(5999)));
    assert!(!clock.note_control(3, s(6)));
    for rate in [65_534, 65_535, u32::MAX] {
        let is_flood = (0..65_600).any(|_| clock.note_control(rate, s(rate.into())));
        assert_eq!(is_flood, rate == 65_534);
    }
}

#[test]
fn peer_that_takes_nothing_is_dropped() {
    let mut bench = Bench::new(Setup::limits(TimeLimits {
        write_progress: Some(s(30)),
        ..TimeLimits::UNLIMITED
    }));
    assert!(bench.flow(WAITING, s(1)));
    assert!(!bench.flow(WAITING, s(5)));
    assert_eq!(bench.next(s(5)), Some(s(31)));
    let moved = Flow {
        has_moved: true,
        ..WAITING
    };
    assert!(!bench.flow(moved, s(20)));
    assert_eq!(bench.due(s(49)), None);
    // After our Close, too: what waits is in front of it.
    bench.setup.close_timeout = s(1000);
    bench.flow(
        Flow {
            is_close_sent: true,
            ..WAITING
        },
        s(49),
    );
    assert_eq!(bench.due(s(50)), Some(Due::Drop(Timeout::Write)));
    assert!(!bench.flow(READING, s(50)));
    assert_eq!(bench.due(s(500)), None);
}

#[test]
fn message_that_does_not_end_fails_the_connection() {
    let mut bench = Bench::new(Setup::limits(TimeLimits {
        message: Some(s(100)),
        min_message_rate: 10,
        ..TimeLimits::UNLIMITED
    }));
    assert!(bench.flow(BEGUN, s(0)));
    // What came earns time.
    let more = Flow {
        received: 200,
        ..BEGUN
    };
    assert!(!bench.flow(more, s(90)));
    assert_eq!(bench.next(s(90)), Some(s(120)));
    // The next message has its own.
    bench.busy.note_finished();
    assert!(!bench.flow(BEGUN, s(110)));
    assert_eq!(bench.next(s(110)), Some(s(210)));
    // While nothing is read, the time does not count.
    let stalled = Flow {
        is_reading: false,
        ..BEGUN
    };
    bench.flow(stalled, s(200));
    assert_eq!(bench.next(s(200)), None);
    assert!(bench.flow(BEGUN, s(300)));
    assert_eq!(bench.due(s(400)), Some(Due::Fail(Timeout::Message)));
    assert_eq!(bench.due(s(400)), None);
}

#[test]
fn old_connection_is_closed_and_ends_with_that() {
    let mut bench = Bench::new(Setup::limits(TimeLimits {
        lifetime: Some(s(1000)),
        ..TimeLimits::UNLIMITED
    }));
    assert_eq!(bench.next(s(0)), Some(s(1000)));
    assert_eq!(bench.due(s(1000)), Some(Due::Close(Timeout::Lifetime)));
    let cause = Cause::<()>::Timeout(Timeout::Lifetime);
    assert_eq!(bench.clock.cause_of_close(true), cause);
    assert_eq!(bench.clock.cause_of_loss(), cause);
    assert_eq!(bench.due(s(1010)), Some(Due::Drop(Timeout::Lifetime)));
}

#[test]
fn close_is_to_be_answered_in_time() {
    //= RFC6455-7.1.1-2
    let mut bench = Bench::new(Setup {
        keepalive: KeepaliveConfig::default(),
        ..Setup::limits(TimeLimits::default())
    });
    assert_eq!(bench.clock.cause_of_loss::<()>(), Cause::Lost);
    assert_eq!(bench.clock.cause_of_close::<()>(false), Cause::Peer);
    assert!(bench.flow(CLOSE_SENT, s(1)));
    assert_eq!(bench.clock.cause_of_loss::<()>(), Cause::Lost);
    assert_eq!(bench.clock.cause_of_close::<()>(true), Cause::Local);
    // Later flows do not move it, and nothing else runs.
    assert!(!bench.flow(CLOSE_SENT, s(5)));
    assert_eq!(bench.next(s(5)), Some(s(11)));
    assert_eq!(bench.due(s(11)), Some(Due::Drop(Timeout::Close)));
    // In a drain, it has until the end of that.
    let mut bench = Bench::new(Setup {
        end_by: Some(s(60)),
        ..Setup::OFF
    });
    bench.flow(CLOSE_SENT, s(1));
    assert_eq!(bench.next(s(1)), Some(s(60)));
}

#[test]
fn each_step_of_the_end_has_its_time() {
    //= RFC6455-5.5.1-14, RFC6455-7.1.1-6
    let wait = |order, end_by| {
        let mut bench = Bench::new(Setup {
            end_by,
            ..Setup::OFF
        });
        let times = bench.setup.times();
        bench.clock.begin_end(order, &times, s(0));
        let mut waits = Vec::new();
        for now in 1.. {
            let until = bench.clock.until().unwrap();
            waits.push((until + s(1)).saturating_sub(s(now)).as_secs());
            assert_eq!(bench.next(s(now)), Some(until));
            if bench.clock.end_step(&times, s(now)).is_none() {
                break;
            }
        }
        assert_eq!(bench.clock.stage(), Stage::Ended);
        waits
    };
    assert_eq!(wait(EndOrder::Now, None), [10, 10]);
    assert_eq!(wait(EndOrder::AfterServer, None), [10, 1, 10]);
    assert_eq!(wait(EndOrder::Linger, None), [10, 10, 10]);
    // A drain cuts it short, and does not prolong it.
    assert_eq!(wait(EndOrder::Linger, Some(s(5))), [5, 4, 3]);
    assert_eq!(wait(EndOrder::Linger, Some(s(500))), [10, 10, 10]);
}

#[test]
fn end_is_over_when_its_time_is() {
    let mut bench = Bench::new(Setup::OFF);
    let times = bench.setup.times();
    bench.clock.begin_end(EndOrder::Linger, &times, s(0));
    bench.flow(WAITING, s(0));
    assert_eq!(bench.due(s(10)), Some(Due::Drop(Timeout::Close)));
    bench.clock.end();
    assert_eq!(bench.due(Duration::MAX), None);
}

#[test]
fn opening_handshake_has_a_deadline_that_can_be_moved() {
    let setup = Setup::KEEPALIVE;
    let mut clock = Clock::opening(s(10), s(0));
    assert_eq!(clock.until(), Some(s(10)));
    clock.set_until(s(20));
    let mut busy = BusyTimers::default();
    let times = setup.times();
    assert_eq!(clock.next(&busy, &times, s(0)), Some(s(20)));
    assert_eq!(
        clock.handle_timeout(&mut busy, &times, s(20)),
        Some(Due::Drop(Timeout::Handshake))
    );
    assert_eq!(Clock::opening(Duration::MAX, s(0)).until(), None);
}

#[test]
fn largest_time_is_a_time_and_not_never() {
    for now in [Duration::from_millis(u64::MAX), Duration::MAX] {
        let mut bench = Bench::new(Setup::KEEPALIVE);
        let payload = bench.pinged(now);
        assert!(bench.clock.note_pong(&payload, now).is_some());
    }
    let mut bench = Bench::new(Setup::KEEPALIVE);
    let late = Duration::from_millis(u64::MAX - 30_000);
    bench.pinged(late);
    assert_eq!(bench.next(late), Some(late + s(20)));
    // An interval for ever never ends.
    let mut setup = Setup::limits(TimeLimits {
        lifetime: Some(Duration::MAX),
        ..TimeLimits::UNLIMITED
    });
    setup.keepalive.ping_interval = Some(Duration::MAX);
    setup.keepalive.idle_timeout = Some(Duration::MAX);
    assert_eq!(Bench::new(setup).next(s(0)), None);
}

#[test]
fn close_names_the_limit_that_was_passed() {
    let close = |cause: Cause<()>| {
        let close = cause.close_frame()?;
        Some((close.code.get(), close.reason))
    };
    assert_eq!(
        close(Cause::Timeout(Timeout::Idle)),
        Some((1001, "idle_timeout"))
    );
    assert_eq!(
        close(Cause::Timeout(Timeout::Lifetime)),
        Some((1001, "lifetime"))
    );
    assert_eq!(
        close(Cause::Timeout(Timeout::Message)),
        Some((1008, "message_timeout"))
    );
    assert_eq!(close(Cause::ControlFlood), Some((1008, "control_flood")));
    assert_eq!(close(Cause::Panicked), Some((1011, "")));
    for cause in [
        Cause::Timeout(Timeout::Pong),
        Cause::Peer,
        Cause::Lost,
        Cause::Io(()),
    ] {
        assert_eq!(close(cause), None);
    }
}

#[test]
fn peer_that_sends_without_end_is_discarded_up_to_a_limit() {
    let mut bench = Bench::new(Setup::OFF);
    let times = bench.setup.times();
    // What was counted before is another matter.
    assert!(!bench.clock.note_control(10, s(0)));
    bench.clock.begin_end(EndOrder::Linger, &times, s(0));
    for _ in 0..DISCARD_MAX / 1024 {
        assert!(bench.clock.note_discarded(1));
    }
    assert!(!bench.clock.note_discarded(1));
}
