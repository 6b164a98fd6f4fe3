//! The flag `accept-unmasked-frame`, chosen for each connection when it is
//! initialized.

use std::io::Write;

use ws_mio::{Accept, Config, ControlledNetwork, Decision, Handler};

use crate::{
    common,
    common::{CLOSE, Probe, REQUEST, Running, closed, config, echo, expect, head, rest, text},
};

/// Connects, with the flag as the server's test chose it, sends a masked and
/// an unmasked message, and returns the answer.
fn converse<H: Handler + 'static>(server: &Running<H>, target: &str) -> Vec<u8> {
    let mut stream = server.dial();
    let request = String::from_utf8(REQUEST.into()).unwrap();
    stream
        .write_all(request.replace("/chat", target).as_bytes())
        .unwrap();
    assert!(head(&mut stream).starts_with(b"HTTP/1.1 101 "));
    // In one segment, so that the second is there when the first is answered.
    let masked = b"\x81\x86\x37\xfa\x21\x3d\x5a\x9b\x52\x56\x52\x9e";
    stream
        .write_all(&[&masked[..], b"\x81\x05plain", CLOSE].concat())
        .unwrap();
    rest(stream)
}

const ACCEPTED: &[u8] = b"\x81\x06masked\x81\x05plain\x88\x02\x03\xe8";
const REFUSED: &[u8] = b"\x81\x06masked\x88\x10\x03\xeaunmasked_frame";

fn with(network: impl Into<ControlledNetwork>) -> Config {
    let mut config = config();
    config.accept_unmasked_frame = network.into();
    config
}

#[test]
fn unmasked_frame_is_refused_by_default_after_what_came_before_it() {
    //= MSWS-1.5-1, MSWS-1.6-2, MSWS-1.6-3, RFC6455-5.1-3, RFC6455-7.1.7-3
    let (probe, log) = Probe::<false>::new(echo);
    let mut server = Running::start(probe, config());
    assert_eq!(converse(&server, "/"), REFUSED);
    server.stop();
    assert_eq!(
        log.all()[2..],
        [text("masked"), closed(1006, "", "unmasked_frame")]
    );
}

#[test]
fn plain_flag_accepts_both_forms_within_one_connection() {
    //= MSWS-3.2.3-1, MSWS-3.2.5-2, MSWS-4-1
    let (probe, log) = Probe::<false>::new(|peer, seen| {
        assert!(peer.accept_unmasked_frame());
        echo(peer, seen);
    });
    let mut server = Running::start(probe, with(true));
    assert_eq!(converse(&server, "/"), ACCEPTED);
    // Within one message, too, and fed byte by byte.
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    let wire = [
        &b"\x01\x03mix\x00\x81\x01\x02\x03\x04\x64\x80\x01!"[..],
        b"\x89\x02hi",
        b"\x88\x02\x03\xe8",
    ]
    .concat();
    for byte in wire {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(rest(stream), b"\x81\x05mixe!\x8a\x02hi\x88\x02\x03\xe8");
    server.stop();
    assert!(log.all().contains(&text("mixe!")));
}

#[test]
fn allow_list_decides_by_the_peer() {
    //= MSWS-1.6-3, MSWS-5.1-2
    let elsewhere = ControlledNetwork::new().network("10.0.0.0/8".parse().unwrap());
    for (network, answer) in [
        (ControlledNetwork::new().loopback(), ACCEPTED),
        (elsewhere, REFUSED),
        (ControlledNetwork::new().loopback().require_tls(), REFUSED),
        (ControlledNetwork::new(), REFUSED),
        (ControlledNetwork::from(false), REFUSED),
    ] {
        let server = Running::start(common::Echo, with(network));
        assert_eq!(converse(&server, "/"), answer);
    }
}

#[test]
fn handler_decides_for_each_connection_by_what_the_handshake_shows() {
    //= MSWS-3.2.3-1, MSWS-3.2.3-2, MSWS-4-1
    for flag in [false, true] {
        let (probe, _log) = Probe::<false>::new(|peer, seen| {
            echo(peer, seen);
        });
        let probe = probe.deciding(|incoming| {
            let accept = Accept::new(incoming.negotiate().unwrap(), ());
            Decision::Accept(match incoming.request().path() {
                "/yes" => accept.accept_unmasked_frame(true),
                "/no" => accept.accept_unmasked_frame(false),
                _ => accept,
            })
        });
        // The handler chooses among the peers that the configuration names.
        let server = Running::start(probe, with(flag));
        let among = if flag { ACCEPTED } else { REFUSED };
        for _ in 0..3 {
            assert_eq!(converse(&server, "/yes"), among);
            assert_eq!(converse(&server, "/no"), REFUSED);
            assert_eq!(converse(&server, "/"), among);
        }
    }
}

#[test]
fn flag_of_one_connection_is_not_that_of_another() {
    //= MSWS-3.2.3-2
    let (probe, _log) = Probe::<false>::new(echo);
    let probe = probe.deciding(|incoming| {
        let flag = incoming.request().path() == "/yes";
        Accept::new(incoming.negotiate().unwrap(), ())
            .accept_unmasked_frame(flag)
            .into()
    });
    let server = Running::start(probe, with(true));
    let open = |target: &str| {
        let mut stream = server.dial();
        let request = String::from_utf8(REQUEST.into()).unwrap();
        stream
            .write_all(request.replace("/chat", target).as_bytes())
            .unwrap();
        head(&mut stream);
        stream
    };
    // In the middle of a message each, and turn by turn.
    let (mut yes, mut no) = (open("/yes"), open("/no"));
    yes.write_all(b"\x01\x01a").unwrap();
    no.write_all(b"\x01\x81\x00\x00\x00\x00a\x89\x80\x00\x00\x00\x00")
        .unwrap();
    expect(&mut no, b"\x8a\x00");
    yes.write_all(b"\x80\x81\x00\x00\x00\x00b").unwrap();
    expect(&mut yes, b"\x81\x02ab");
    no.write_all(b"\x80\x01b").unwrap();
    assert_eq!(rest(no), b"\x88\x10\x03\xeaunmasked_frame");
    yes.write_all(b"\x81\x01c").unwrap();
    expect(&mut yes, b"\x81\x01c");
}
