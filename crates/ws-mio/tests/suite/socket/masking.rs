//! The flag of a client.

use std::io::{Read, Write};

use ws_mio::{
    ClientConfig, ControlledNetwork, Handler, Message, MessageKind, Peer, SocketState,
    ws_proto::{self, Header},
};

use super::{Loop, connect, script, upgrade};
use crate::common::{Echo, expect, pattern, unmasked};

#[test]
fn client_sends_zero_keys_with_the_flag_and_random_ones_without() {
    //= MSWS-3.1.1-1, MSWS-3.1.3-1, MSWS-3.1.4-3, MSWS-4-2, RFC6455-5.3-2
    for flag in [true, false] {
        let (address, server) = script(move |stream| {
            upgrade(stream);
            let mut frames = [[0; 10]; 2];
            stream.read_exact(&mut frames[0]).unwrap();
            stream.write_all(b"\x81\x04more").unwrap();
            stream.read_exact(&mut frames[1]).unwrap();
            for frame in frames {
                // The MASK bit is set in any case.
                assert_eq!(frame[..2], *b"\x81\x84");
                let mut payload = [frame[6], frame[7], frame[8], frame[9]];
                if flag {
                    assert_eq!(frame[2..], *b"\x00\x00\x00\x00ping");
                }
                payload
                    .iter_mut()
                    .zip(&frame[2..6])
                    .for_each(|(byte, key)| *byte ^= key);
                assert_eq!(payload, *b"ping");
            }
            assert_eq!(frames[0][2..6] == frames[1][2..6], flag);
        });
        let mut config = ClientConfig::default();
        config.set_mask_to_zero = flag.into();
        let socket = connect(address, &config);
        let mut sockets = Loop::new();
        sockets.add(socket);
        let mut handlers = [Pinger];
        sockets.run(&mut handlers);
        server.join().unwrap();
    }
}

#[test]
fn client_with_the_flag_echoes_what_came_in_one_read() {
    //= MSWS-3.1.4-3, MSWS-3.1.4-4, MSWS-3.1.4-6
    let payloads = [4_000, 4_096, 10_000, 70_000].map(pattern);
    let expected: Vec<u8> = payloads
        .iter()
        .flat_map(|payload| {
            // As a server would send it, with the MASK bit and a key of zeros.
            let mut frame = unmasked(0x82, payload);
            let head = frame.len() - payload.len();
            frame[1] |= 0x80;
            frame.splice(head..head, [0; 4]);
            frame
        })
        .collect();
    let (address, server) = script(move |stream| {
        let wire: Vec<u8> = payloads
            .iter()
            .flat_map(|payload| unmasked(0x82, payload))
            .collect();
        upgrade(stream);
        stream.write_all(&wire).unwrap();
        expect(stream, &expected);
    });
    let mut config = ClientConfig::default();
    config.set_mask_to_zero = true.into();
    let mut sockets = Loop::new();
    sockets.add(connect(address, &config));
    let mut handlers = [Echo];
    sockets.run(&mut handlers);
    server.join().unwrap();
}

/// Sends "ping" at the start and for every message.
struct Pinger;

impl Handler for Pinger {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        peer.send_text("ping");
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, _: Message<'_>) {
        peer.send_text("ping");
    }
}

#[test]
fn allow_list_decides_for_the_client_by_the_server() {
    //= MSWS-1.6-3, MSWS-3.1.3-1, MSWS-5.1-2
    for (network, flag) in [
        (ControlledNetwork::new().loopback(), true),
        (ControlledNetwork::new().loopback().require_tls(), false),
        (
            ControlledNetwork::new().network("10.0.0.0/8".parse().unwrap()),
            false,
        ),
        (ControlledNetwork::new(), false),
    ] {
        let (address, server) = script(upgrade);
        let mut config = ClientConfig::default();
        config.set_mask_to_zero = network;
        let mut sockets = Loop::new();
        sockets.add(connect(address, &config));
        let mut handlers = [Echo];
        sockets.run_until(&mut handlers, |sockets, _| {
            sockets.sockets[0].state() != SocketState::Opening
        });
        let ws_proto::Masking::Client(masking) = sockets.sockets[0].masking() else {
            panic!("it is a client")
        };
        assert_eq!(masking.set_mask_to_zero(), flag);
        drop(sockets);
        server.join().unwrap();
    }
}

#[test]
fn client_masks_each_fragment_of_a_long_message_with_a_key_of_its_own() {
    //= RFC6455-5.3-2, RFC6455-6.1-3
    const MAX: usize = 1000;
    for flag in [true, false] {
        let payload = pattern(20_000);
        let sent = payload.clone();
        let (address, server) = script(move |stream| {
            upgrade(stream);
            stream.write_all(&unmasked(0x82, &sent)).unwrap();
            let (mut keys, mut messages) = (Vec::new(), Vec::new());
            while messages.len() < 2 || keys.len() < 2 * 21 {
                let mut head = [0; 8];
                stream.read_exact(&mut head[..6]).unwrap();
                if head[1] & 0x7f == 126 {
                    stream.read_exact(&mut head[6..]).unwrap();
                }
                let (header, len) = Header::decode(&head).unwrap().unwrap();
                let mut part = vec![0; header.payload_len() as usize];
                assert!(len + part.len() <= MAX);
                stream.read_exact(&mut part).unwrap();
                ws_proto::xor(&mut part, header.mask().unwrap());
                match head[0] & 0xf {
                    0 => Vec::extend(messages.last_mut().unwrap(), part),
                    _ => messages.push(part),
                }
                keys.push(header.mask().unwrap());
            }
            assert!(messages == [sent.clone(), sent]);
            keys.sort_unstable_by_key(|key| key.bytes());
            keys.dedup();
            assert_eq!(keys.len() == 1, flag);
            assert!(flag || keys.len() > 40);
        });
        let mut config = ClientConfig::default();
        config.set_mask_to_zero = flag.into();
        config.max_frame_sent = MAX;
        let mut sockets = Loop::new();
        sockets.add(connect(address, &config));
        sockets.run(&mut [Twice]);
        server.join().unwrap();
    }
}

/// Sends each message back, and again masked where it lies.
struct Twice;

impl Handler for Twice {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
        peer.send_in_place(MessageKind::Binary, &mut message.as_bytes().to_vec());
    }
}
