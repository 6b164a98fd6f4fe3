//! Compressed messages from a peer: whole, in pieces, too large, wrong.

use std::{cell::RefCell, io::IoSlice, rc::Rc};

use ws_mio::{Backpressure, DeflatePolicy, Message, Transport};

use super::{Bench, Client, PLAIN_OFFER, Side, prose, serving};
use crate::common::{CLOSE, masked};

#[test]
fn fragments_are_one_message() {
    for policy in [
        DeflatePolicy::new(),
        DeflatePolicy::new().server_no_context_takeover(true),
    ] {
        let side = Side::<false>::new(|peer, _, message| {
            let Some(Message::Text(text)) = message else {
                return;
            };
            for part in [&text[..1000], "", &text[1000..3000]] {
                peer.send_fragment(part, false);
                peer.ping(b"between");
            }
            peer.send_fragment(&text[3000..], true);
            peer.send(text);
        });
        let mut bench = Bench::new(side, serving(policy), PLAIN_OFFER);
        let (first, second) = (prose(1, 5000), prose(2, 3000));
        bench.tell(&first);
        bench.tell(&second);
        let expected = [&first, &first, &second, &second].map(|text| text.clone().into_bytes());
        assert_eq!(bench.client.messages, expected);
        assert_eq!(bench.client.compressed, 4);
        let metrics = bench.inner.remote().metrics();
        assert_eq!(metrics.compressed_messages_sent, 4);
        assert_eq!(metrics.deflated_bytes, 16_000);
    }
}

#[test]
fn message_that_inflates_to_much_goes_through_in_pieces() {
    // More than may wait for a peer, from less than is read at once.
    let mut config = serving(DeflatePolicy::new());
    config.max_backpressure = 256 * 1024;
    let side = Side::<true>::new(|peer, what, message| {
        if let Some(message) = message {
            let sent = peer.uncompressed().send_fragment(message, what == "last");
            assert!(!matches!(sent, Backpressure::Refused(_)), "{sent:?}");
        }
    });
    let mut bench = Bench::narrow(side, config, PLAIN_OFFER, 100_000);
    let zeros = vec![0; 8 << 20];
    let frame = bench.client.frame(Message::Binary(&zeros));
    assert!(frame.len() < 20_000);
    // With a plain message right behind it, and one more.
    bench.send(&[frame, masked(0x81, b"Hi")].concat());
    bench.tell(&zeros[..1 << 20]);
    let messages = &bench.client.messages;
    assert_eq!(messages.len(), 3);
    assert!(messages[0] == zeros && messages[1] == b"Hi" && messages[2].len() == 1 << 20);
    assert_eq!(bench.client.compressed, 0);
}

#[test]
fn pause_in_the_middle_of_a_message_loses_nothing() {
    let paused = Rc::new(RefCell::new((false, 0)));
    let state = Rc::clone(&paused);
    let side = Side::<true>::new(move |peer, _, message| {
        let Some(message) = message else { return };
        let (is_paused, len) = &mut *state.borrow_mut();
        assert!(!*is_paused, "a chunk while paused");
        *is_paused = true;
        *len += message.len();
        peer.pause();
    });
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let zeros = vec![0; 1_000_000];
    let mut wire = bench.client.frame(Message::Binary(&zeros));
    wire.extend(bench.client.frame(Message::Binary(&zeros[..1000])));
    wire.extend(CLOSE);
    bench.client.end.write(&[IoSlice::new(&wire)]).unwrap();
    bench.run();
    let mut turns = 0;
    while bench.client.closed.is_none() {
        assert!(paused.borrow().0);
        assert!(turns < 100);
        turns += 1;
        let peers: Vec<_> = bench.inner.lend().peers().collect();
        paused.borrow_mut().0 = false;
        for peer in peers {
            let _ = bench.inner.lend().with_peer(peer, |_, peer| peer.resume());
        }
        bench.run();
    }
    assert_eq!(paused.borrow().1, 1_001_000);
    assert!(turns >= 16, "{turns}");
}

#[test]
fn one_who_sends_bombs_has_its_share_of_the_turn() {
    let len = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&len);
    let side = Side::<false>::new(move |_, _, message| {
        *counted.borrow_mut() += message.map_or(0, Message::len);
    });
    let mut bench = Bench::new(side, serving(DeflatePolicy::new()), PLAIN_OFFER);
    let zeros = vec![0; 400_000];
    let wire: Vec<u8> = (0..100)
        .flat_map(|_| bench.client.frame(Message::Binary(&zeros)))
        .collect();
    bench.client.end.write(&[IoSlice::new(&wire)]).unwrap();
    let mut turns = 0;
    while *len.borrow() < 40_000_000 {
        let before = *len.borrow();
        bench.turn();
        // One of its own, and one for the connection's readiness.
        assert!(*len.borrow() - before <= 2 * (1 << 20) + 800_000);
        turns += 1;
    }
    assert!(turns >= 15, "{turns}");
}

/// Makes a frame that breaks a rule.
type Wrong = Box<dyn Fn(&mut Client) -> Vec<u8>>;

#[test]
fn what_is_wrong_is_told_behind_what_was_right() {
    let limit = 100_000;
    let stored = |bytes: &[u8]| {
        let mut block = vec![0];
        block.extend((bytes.len() as u16).to_le_bytes());
        block.extend((!bytes.len() as u16).to_le_bytes());
        [&block, bytes, &[0]].concat()
    };
    let bomb = |deflater: &mut Client, len| deflater.frame(Message::Binary(&vec![0; len]));
    let cases: [(&str, u16, Wrong); 5] = [
        ("data", 1007, Box::new(|_| masked(0xc2, b"\xff\xff\xff"))),
        (
            "text",
            1007,
            Box::new(move |_| masked(0xc1, &stored(b"\xff"))),
        ),
        (
            "rest",
            1007,
            Box::new(|_| masked(0xc2, b"\x00\x05\x00\xfa\xffab")),
        ),
        (
            "long",
            1009,
            Box::new(move |client| bomb(client, limit + 1)),
        ),
        ("bits", 1002, Box::new(|_| masked(0xa2, b""))),
    ];
    for (what, code, wrong) in cases {
        let mut config = serving(DeflatePolicy::new());
        config.limits.max_message = limit as u64;
        let side = Side::<false>::echo();
        let notes = Rc::clone(&side.notes);
        let mut bench = Bench::new(side, config, PLAIN_OFFER);
        // As long as is allowed.
        let wire = [bomb(&mut bench.client, limit), wrong(&mut bench.client)].concat();
        bench.send(&[&wire[..], &masked(0x81, b"never seen")].concat());
        assert_eq!(bench.client.closed, Some(code), "{what}");
        assert_eq!(bench.client.messages, [vec![0; limit]], "{what}");
        assert_eq!(
            *notes.borrow(),
            ["offered true", "100000 bytes", "1006 protocol"],
            "{what}"
        );
    }
}
