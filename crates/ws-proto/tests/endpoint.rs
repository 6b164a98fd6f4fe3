//! Two endpoints over a transport in memory, with time as an argument.

use std::time::Duration;

use ws_proto::{
    Action, Cause, ClientMasking, CloseCode, CloseFrame, EndOrder, Ending, Endpoint,
    EndpointConfig, KeepaliveConfig, MaskingPolicy, Message, ProtocolError, QueueError, SendError,
    ServerMasking, Stage, TimeLimits, Timeout,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Nothing but the close_timeout.
fn quiet() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.keepalive = KeepaliveConfig::OFF;
    config.time_limits = TimeLimits::UNLIMITED;
    config
}

fn server(config: EndpointConfig) -> Endpoint<ServerMasking> {
    Endpoint::new(ServerMasking::new(), config, s(0))
}

fn client(config: EndpointConfig) -> Endpoint<ClientMasking> {
    Endpoint::new(ClientMasking::new(), config, s(0))
}

const NORMAL: CloseFrame<'_> = CloseFrame {
    code: CloseCode::NORMAL,
    reason: "",
};

/// Takes all that is to be written.
fn written<P: MaskingPolicy>(endpoint: &mut Endpoint<P>, now: Duration) -> Vec<u8> {
    let Action::Write(output) = endpoint.action() else {
        return Vec::new();
    };
    let output = output.to_vec();
    endpoint.note_written(output.len(), now);
    output
}

/// Gives bytes to an endpoint that sends each message back.
fn give<P: MaskingPolicy>(endpoint: &mut Endpoint<P>, bytes: &[u8], now: Duration) {
    endpoint.handle_input(&mut bytes.to_vec(), now, |message, replies| {
        replies.send(message).unwrap();
    });
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let len = payload.len() as u8;
    [&[first, 0x80 | len, 0, 0, 0, 0], payload].concat()
}

/// Goes on to the next time that an endpoint wants.
fn wait<P: MaskingPolicy>(endpoint: &mut Endpoint<P>, now: Duration) -> Duration {
    let now = endpoint.next_timeout(now).unwrap();
    endpoint.handle_timeout(now);
    now
}

#[test]
fn messages_are_answered_and_pings_too() {
    //= RFC6455-5.5.2-2
    let mut server = server(quiet());
    let input = [masked(0x81, b"Hello"), masked(0x89, b"?")].concat();
    for (at, byte) in input.iter().enumerate() {
        give(&mut server, &[*byte], s(at as u64));
    }
    assert_eq!(written(&mut server, s(20)), b"\x81\x05Hello\x8a\x01?");
    assert_eq!(server.next_timeout(s(20)), None);
}

#[test]
fn closing_handshake_ends_both() {
    //= RFC6455-5.5.1-7, RFC6455-7.1.1-3, RFC6455-7.1.1-6
    let (mut client, mut server) = (client(quiet()), server(quiet()));
    client.replies().close(NORMAL).unwrap();
    assert_eq!(client.replies().close(NORMAL), Err(SendError::Closing));
    let full = client.replies().send(Message::Text("late"));
    assert_eq!(full, Err(QueueError::Send(SendError::Closing)));
    let close = written(&mut client, s(1));
    assert_eq!(client.stage(), Stage::Closing(None));
    give(&mut server, &close, s(2));
    assert_eq!(server.cause(), Some(Cause::Peer));
    let answer = written(&mut server, s(2));
    let order = EndOrder::Now;
    assert_eq!(server.stage(), Stage::Ending(Ending::Shutdown(order)));
    server.note_shutdown(s(2));
    assert_eq!(server.stage(), Stage::Ended);
    give(&mut client, &answer, s(3));
    assert_eq!(client.cause(), Some(Cause::Local));
    let order = EndOrder::AfterServer;
    assert_eq!(client.stage(), Stage::Ending(Ending::Discard(order)));
    assert!(client.wants_input());
    client.handle_end(s(3));
    assert_eq!(client.stage(), Stage::Ending(Ending::Shutdown(order)));
    client.note_shutdown(s(3));
    assert_eq!(client.stage(), Stage::Ended);
    assert_eq!(client.next_timeout(s(3)), None);
}

#[test]
fn broken_peer_is_told_and_discarded() {
    //= RFC6455-7.1.1-1, RFC6455-7.1.7-1
    let mut server = server(quiet());
    give(&mut server, b"\x81\x01x", s(1));
    let cause = Cause::Protocol(ProtocolError::UnmaskedFrame);
    assert_eq!(server.cause(), Some(cause));
    assert!(!server.wants_input());
    assert_eq!(
        written(&mut server, s(1)),
        b"\x88\x10\x03\xeaunmasked_frame"
    );
    server.note_shutdown(s(1));
    let order = EndOrder::Linger;
    assert_eq!(server.stage(), Stage::Ending(Ending::Discard(order)));
    give(&mut server, &masked(0x81, b"more"), s(2));
    assert_eq!(server.action(), Action::Read);
    server.handle_end(s(3));
    assert_eq!(server.stage(), Stage::Ended);
    assert_eq!(server.cause(), Some(cause));
}

#[test]
fn end_without_a_close_is_a_loss() {
    //= RFC6455-7.1.5-1
    let mut server = server(quiet());
    server.replies().send(Message::Text("waits")).unwrap();
    server.handle_end(s(1));
    assert_eq!(server.cause(), Some(Cause::Lost));
    assert_eq!(server.action(), Action::End(Cause::Lost));
}

#[test]
fn flood_of_control_frames_is_refused() {
    let mut config = quiet();
    config.time_limits.max_control_rate = 3;
    let mut server = server(config);
    give(&mut server, &masked(0x8a, b"").repeat(4), s(1));
    assert_eq!(server.cause(), Some(Cause::ControlFlood));
    let close = b"\x88\x0f\x03\xf0control_flood";
    assert_eq!(server.action(), Action::Write(close));
}

#[test]
fn outbox_is_limited_and_stops_reading() {
    let mut config = quiet();
    config.max_backpressure = 10;
    let mut server = server(config);
    let mut refused = None;
    let mut input = masked(0x81, b"12345").repeat(2);
    server.handle_input(&mut input, s(1), |message, replies| {
        refused = replies.send(message).err();
    });
    assert!(matches!(refused, Some(QueueError::Full(_))));
    assert!(refused.unwrap().to_string().contains("max_backpressure"));
    assert!(server.wants_input());
    server.replies().send(Message::Text("x")).unwrap();
    assert!(!server.wants_input());
}

/// Sets one limit alone.
type Set = fn(&mut EndpointConfig);

#[test]
fn every_deadline_ends_a_connection_with_its_cause() {
    //= RFC6455-7.1.1-2
    let long = s(1000);
    let cases: [(Timeout, Set); 6] = [
        (Timeout::Pong, |config| {
            config.keepalive.ping_interval = Some(s(30));
            config.keepalive.pong_timeout = Some(s(20));
        }),
        (Timeout::Idle, |config| {
            config.keepalive.idle_timeout = Some(s(30))
        }),
        (Timeout::Lifetime, |config| {
            config.time_limits.lifetime = Some(s(30))
        }),
        (Timeout::Message, |config| {
            config.time_limits.message = Some(s(30))
        }),
        (Timeout::Write, |config| {
            config.time_limits.write_progress = Some(s(30))
        }),
        (Timeout::Close, |config| config.close_timeout = s(30)),
    ];
    for (timeout, set) in cases {
        let mut config = quiet();
        set(&mut config);
        let mut server = server(config);
        match timeout {
            Timeout::Message => give(&mut server, &masked(0x01, b"begin"), s(0)),
            Timeout::Write => server.replies().send(Message::Text("waits")).unwrap(),
            Timeout::Close => server.replies().close(NORMAL).unwrap(),
            _ => {}
        }
        server.note_written(0, s(0));
        if timeout != Timeout::Write {
            written(&mut server, s(0));
        }
        let mut now = s(0);
        while server.stage() != Stage::Ended {
            now = wait(&mut server, now);
            if timeout != Timeout::Write {
                written(&mut server, now);
            }
            server.note_shutdown(now);
            assert!(now < long, "{timeout:?}");
        }
        assert_eq!(server.cause(), Some(Cause::Timeout(timeout)));
    }
}

#[test]
fn closed_for_idleness_it_receives_up_to_the_close() {
    let mut config = quiet();
    config.keepalive.idle_timeout = Some(s(30));
    let mut server = server(config);
    let now = wait(&mut server, s(0));
    assert_eq!(written(&mut server, now), b"\x88\x0e\x03\xe9idle_timeout");
    let mut received = 0;
    let mut input = [masked(0x81, b"last"), masked(0x88, b"\x03\xe8")].concat();
    server.handle_input(&mut input, now, |_, _| received += 1);
    assert_eq!(received, 1);
    assert_eq!(server.cause(), Some(Cause::Timeout(Timeout::Idle)));
}

#[test]
fn silent_peer_is_pinged_and_one_that_answers_stays() {
    let mut server = server(EndpointConfig::default());
    let now = wait(&mut server, s(0));
    let ping = written(&mut server, now);
    assert_eq!(ping[..2], *b"\x89\x04");
    give(&mut server, &masked(0x8a, &ping[2..]), now);
    assert_eq!(server.next_timeout(now), Some(now + s(30)));
}

#[test]
fn ping_that_the_transport_takes_is_no_sign_of_life() {
    let mut config = quiet();
    config.keepalive.ping_interval = Some(s(10));
    config.keepalive.pong_timeout = Some(s(5));
    let mut endpoint = server(config);
    endpoint.handle_timeout(s(10));
    // The clock goes on between the two.
    let later = s(10) + Duration::from_millis(3);
    assert_eq!(written(&mut endpoint, later), b"\x89\x04\0\0\0\x01");
    let (action, _) = endpoint.next_action(s(15));
    assert_eq!(action, Action::End(Cause::Timeout(Timeout::Pong)));
}
