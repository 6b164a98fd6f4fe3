//! Runs against servers of the tests' own.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use ws_handshake::{ClientRequest, DeflateOffer, Uri, accept_key};
use ws_load::{
    BroadcastPlan, LoadError, Masks, Messages, OpenError, Pace, Plan, Report, Slow, Target,
    VisitPlan, run,
};
use ws_mio::{Config, DeflatePolicy, Handler, Message, OriginPolicy, Peer, Prepared, Server};
use ws_tls::{ClientTls, ServerTls, rustls::client::Resumption};

/// Sends messages back, or to all.
#[derive(Clone, Copy)]
enum Room {
    Echo,
    All,
    /// One message in two goes to nobody.
    Half(u64),
}

impl Handler for Room {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        match self {
            Self::Echo => drop(peer.send(message)),
            Self::All => peer.broadcast(&Prepared::new(message)),
            Self::Half(count) => {
                *count += 1;
                if count.is_multiple_of(2) {
                    peer.broadcast(&Prepared::new(message));
                }
            }
        }
    }
}

fn serve(room: Room, configure: impl FnOnce(&mut Config)) -> SocketAddr {
    let mut config = Config::new(OriginPolicy::Any);
    configure(&mut config);
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || server.run(room).unwrap());
    address
}

fn target(address: SocketAddr) -> Target {
    Target::websocket(address, &format!("ws://{address}/")).unwrap()
}

/// A plan of a tenth of a second.
fn plan(target: Target) -> Plan {
    let mut plan = Plan::new(target, Messages::of_size(125, Masks::Random));
    plan.connections = 8;
    plan.window.warm_up = Duration::from_millis(20);
    plan.window.measured = Duration::from_millis(100);
    plan
}

fn carry_out(plan: &Plan) -> Report {
    let report = run(plan, &mut |_| {}).unwrap();
    assert_eq!(report.lost, 0, "{report}");
    assert!(report.seconds >= 0.1, "{report}");
    report
}

#[test]
fn every_message_of_an_open_loop_is_sent_and_answered() {
    let mut plan = plan(target(serve(Room::Echo, |_| {})));
    plan.pace = Pace::Rate {
        per_second: 2000.0,
        ramp: Duration::from_millis(20),
    };
    let report = carry_out(&plan);
    // However late the machine is, what was due is sent.
    assert!((190..=1000).contains(&report.sent), "{report}");
    assert_eq!((report.unanswered, report.failed()), (0, 0), "{report}");
    assert!(report.latencies.count() >= report.sent, "{report}");
    assert_eq!(report.lateness.count(), report.sent);
    assert_eq!(report.handshakes.open, 8);
}

#[test]
fn messages_have_the_masks_that_were_asked_for() {
    let address = serve(Room::Echo, |config| {
        config.accept_unmasked_frame = true.into()
    });
    for masks in [Masks::Random, Masks::Zero, Masks::None] {
        let mut plan = plan(target(address));
        plan.messages = Messages::of_sizes(&[0, 1, 70_000], masks);
        plan.pace = Pace::Closed;
        let report = carry_out(&plan);
        assert!(report.received.messages > 10, "{report}");
    }
    let mut plan = plan(target(serve(Room::Echo, |_| {})));
    plan.messages = Messages::of_size(10, Masks::None);
    assert!(matches!(
        run(&plan, &mut |_| {}),
        Err(LoadError::AllLost(_))
    ));
}

#[test]
fn closed_loop_keeps_every_connection_busy() {
    let mut plan = plan(target(serve(Room::Echo, |_| {})));
    plan.messages = Messages::of_size(16, Masks::Random).pipelined(16);
    plan.pace = Pace::Closed;
    let report = carry_out(&plan);
    assert!(report.received.messages > 1000, "{report}");
    // A batch of 16 is timed as one.
    assert!(
        report.latencies.count() <= report.received.messages / 16 + 8,
        "{report}"
    );
}

#[test]
fn compressed_messages_are_understood_and_answered_compressed() {
    let address = serve(Room::Echo, |config| {
        config.handshake = config.handshake.clone().deflate(DeflatePolicy::new());
    });
    for offer in [
        DeflateOffer::new(),
        DeflateOffer::new().client_max_window_bits(Some(9)),
        DeflateOffer::new()
            .client_no_context_takeover(true)
            .server_no_context_takeover(true),
    ] {
        let request = ClientRequest::new(Uri::parse(&format!("ws://{address}/")).unwrap());
        let mut plan = plan(Target::with_request(address, request.offer(offer)));
        let text = "to be or not to be ".repeat(100).into_bytes();
        plan.messages = Messages::of_payloads(vec![text], true, Masks::Random).unwrap();
        let report = carry_out(&plan);
        assert!(
            report.deflate.is_some() && report.unanswered == 0,
            "{report}"
        );
        let mean = report.received.bytes / report.received.messages.max(1);
        assert!(mean < 400, "{mean} bytes came back for 1,900");
    }
}

#[test]
fn broadcast_reaches_all_and_it_is_told_if_not() {
    for (pace, room, share) in [
        (Pace::Closed, Room::All, 1.0),
        (
            Pace::Rate {
                per_second: 500.0,
                ramp: Duration::ZERO,
            },
            Room::Half(0),
            0.5,
        ),
    ] {
        let mut plan = plan(target(serve(room, |_| {})));
        plan.broadcast = Some(BroadcastPlan::All);
        plan.pace = pace;
        plan.drain = Duration::from_millis(300);
        let report = carry_out(&plan);
        let reach = report.reach.as_ref().unwrap();
        assert!(
            reach.expected >= 8 * 20 && reach.complete.count() >= 10,
            "{report}"
        );
        assert!((reach.share() - share).abs() < 0.05, "{report}");
        assert!(report.latencies.count() >= reach.delivered, "{report}");
    }
}

#[test]
fn storm_is_measured_beside_the_messages() {
    let mut plan = plan(target(serve(Room::Echo, |_| {})));
    plan.idle = 5;
    plan.visits = Some(VisitPlan::Storm(40));
    plan.window.measured = Duration::from_millis(300);
    let report = carry_out(&plan);
    let visited = report.visited.as_ref().unwrap();
    assert_eq!(
        (visited.begun, visited.opened, visited.failures.count()),
        (40, 40, 0),
        "{report}"
    );
    assert_eq!(visited.opening.count(), 40);
    assert_eq!(
        (report.handshakes.open, report.unanswered),
        (13, 0),
        "{report}"
    );
}

#[test]
fn churn_comes_and_goes_at_its_rate() {
    let address = serve(Room::Echo, |_| {});
    let mut plan = plan(target(address));
    plan.visits = Some(VisitPlan::Churn(500.0));
    plan.window.measured = Duration::from_millis(200);
    let report = carry_out(&plan);
    let visited = report.visited.as_ref().unwrap();
    assert!(
        visited.closed >= 50 && visited.failures.count() == 0,
        "{report}"
    );
    plan.visits = Some(VisitPlan::ChurnAtOnce(4));
    plan.connections = 0;
    let report = carry_out(&plan);
    assert!(report.visited.unwrap().closed >= 50);
}

/// A configuration of both sides, for `localhost`.
fn tls(resumption: Resumption) -> (ServerTls, ClientTls) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = key.cert.pem();
    let server = ServerTls::from_pem(
        certificate.as_bytes(),
        key.signing_key.serialize_pem().as_bytes(),
    );
    let client = ClientTls::with_ca(certificate.as_bytes()).unwrap();
    let mut config = (**client.config()).clone();
    config.resumption = resumption;
    (server.unwrap(), ClientTls::from_rustls(Arc::new(config)))
}

fn serve_tls(tls: &ServerTls) -> SocketAddr {
    let server = Server::bind_tls("127.0.0.1:0", tls, Config::new(OriginPolicy::Any)).unwrap();
    let address = server.local_addr().unwrap();
    thread::spawn(move || server.run(Room::Echo).unwrap());
    address
}

#[test]
fn sessions_of_tls_are_resumed_if_that_is_configured() {
    for (resumption, is_resumed) in [
        (Resumption::disabled(), false),
        (Resumption::in_memory_sessions(16), true),
    ] {
        let (server_tls, client_tls) = tls(resumption);
        let address = serve_tls(&server_tls);
        let mut plan = plan(target(address).over_tls(client_tls, "localhost").unwrap());
        plan.visits = Some(VisitPlan::ChurnAtOnce(1));
        plan.window.measured = Duration::from_millis(500);
        let report = carry_out(&plan);
        let visited = report.visited.as_ref().unwrap();
        assert!(
            visited.closed >= 2 && visited.failures.count() == 0,
            "{report}"
        );
        assert_eq!(visited.resumed > 0, is_resumed, "{report}");
        assert_eq!(report.unanswered, 0, "{report}");
    }
}

#[test]
fn certificate_that_is_not_trusted_ends_the_run() {
    let (server_tls, _) = tls(Resumption::disabled());
    let (_, client_tls) = tls(Resumption::disabled());
    let address = serve_tls(&server_tls);
    let plan = plan(target(address).over_tls(client_tls, "localhost").unwrap());
    let error = run(&plan, &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, LoadError::NoConnection(OpenError::Tls(_))),
        "{error}"
    );
}

#[test]
fn slow_readers_do_not_count_as_answers() {
    for bytes_per_second in [0, 1_000_000] {
        let mut plan = plan(target(serve(Room::Echo, |_| {})));
        plan.slow = Some(Slow {
            connections: 8,
            bytes_per_second,
        });
        let report = carry_out(&plan);
        // Half of what is sent is sent by them.
        assert!(report.latencies.count() < report.sent * 3 / 4, "{report}");
        assert_eq!(report.unanswered, 0, "{report}");
    }
}

#[test]
fn server_that_is_not_there_is_told() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = run(&plan(target(address)), &mut |_| {}).unwrap_err();
    assert!(
        matches!(error, LoadError::NoConnection(OpenError::Io(_))),
        "{error}"
    );
}

#[test]
fn plan_that_makes_no_sense_is_refused() {
    let target = target("127.0.0.1:1".parse().unwrap());
    let refuse = |change: fn(&mut Plan)| {
        let mut plan = plan(target.clone());
        change(&mut plan);
        assert!(matches!(run(&plan, &mut |_| {}), Err(LoadError::Plan(_))));
    };
    refuse(|plan| plan.connections = 0);
    refuse(|plan| plan.connect_rate = Some(0.0));
    refuse(|plan| plan.visits = Some(VisitPlan::Churn(f64::NAN)));
    refuse(|plan| plan.messages = plan.messages.clone().pipelined(2));
    refuse(|plan| plan.target.sources = "::1".parse().unwrap());
}

/// A server that a test plays by hand, for one connection.
fn played(play: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || play(listener.accept().unwrap().0));
    address
}

fn shake(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    let accept = accept_key(key.as_bytes());
    let accept = str::from_utf8(&accept).unwrap();
    let answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    write!(stream, "{answer}Sec-WebSocket-Accept: {accept}\r\n\r\n").unwrap();
}

#[test]
fn pings_are_answered() {
    let (sender, pong) = std::sync::mpsc::channel();
    let address = played(move |mut stream| {
        shake(&mut stream);
        // In two pieces, and behind the answer.
        stream.write_all(&[0x89, 3, b'a']).unwrap();
        stream.write_all(b"bc").unwrap();
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).unwrap();
        sender.send(frame).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut plan = plan(target(address));
    (plan.connections, plan.idle) = (0, 1);
    plan.messages = Messages::of_size(0, Masks::Zero);
    carry_out(&plan);
    assert_eq!(
        &pong.recv_timeout(Duration::from_secs(10)).unwrap(),
        b"\x8a\x83\0\0\0\0abc"
    );
}

#[test]
fn refusal_has_its_status() {
    let address = played(|mut stream| {
        let _ = stream.read(&mut [0; 1024]);
        stream
            .write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 1000000\r\n\r\n")
            .unwrap();
    });
    let mut plan = plan(target(address));
    plan.connections = 1;
    let error = run(&plan, &mut |_| {}).unwrap_err();
    let status = match error {
        LoadError::NoConnection(OpenError::Refused { status }) => status,
        other => panic!("{other}"),
    };
    assert_eq!(status, 503);
}

#[test]
fn server_that_stalls_is_charged_for_what_was_due() {
    let address = played(|mut stream| {
        shake(&mut stream);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut plan = plan(target(address));
    plan.connections = 1;
    plan.drain = Duration::from_millis(50);
    let report = carry_out(&plan);
    assert!(report.unanswered >= 100, "{report}");
    assert_eq!(report.latencies.count(), report.unanswered);
    assert!(report.latencies.quantile(0.5) > 50_000_000, "{report}");
}

#[test]
fn connection_that_is_lost_is_counted_and_others_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut streams: Vec<_> = (0..2).map(|_| listener.accept().unwrap().0).collect();
        streams.iter_mut().for_each(shake);
        let mut first = streams.remove(0);
        first.read_exact(&mut [0; 20]).unwrap();
        drop(first);
        let _ = streams[0].read_to_end(&mut Vec::new());
    });
    let mut plan = plan(target(address));
    plan.connections = 2;
    plan.drain = Duration::from_millis(20);
    let report = run(&plan, &mut |_| {}).unwrap();
    assert_eq!(report.lost, 1, "{report}");
    assert!(report.last_loss.is_some());
}

#[test]
fn plain_tcp_echo_is_measured_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
    });
    let mut plan = plan(Target::raw(address));
    plan.connections = 1;
    let report = carry_out(&plan);
    assert_eq!(report.unanswered, 0, "{report}");
    assert!(report.received.messages >= 90, "{report}");
}
