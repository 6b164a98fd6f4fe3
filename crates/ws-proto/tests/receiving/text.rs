//! Text is UTF-8, however it comes.

use ws_proto::{Limits, ProtocolError, ServerMasking};

use super::{assert_failed, assert_received};
use crate::common::{accepting, binary, client, masked, receive, strict, text, unmasked};

#[test]
fn text_must_be_utf8_over_all_its_fragments() {
    //= RFC6455-5.6-1, RFC6455-5.6-2, RFC6455-8.1-1, RFC3629-3-1, RFC6455-10.7-1
    let bad: &[&[u8]] = &[
        b"\x81\x01\xff",
        b"\x81\x02\xc3\x28",
        b"\x81\x03\xed\xa0\x80",
        b"\x81\x04\xf4\x90\x80\x80",
        b"\x81\x02\xc0\x80",
        b"\x81\x02\xe2\x82",             // ends inside a character
        b"\x01\x02\xe2\x82\x80\x00",     // the same, with an empty last fragment
        b"\x01\x02\xe2\x82\x80\x01\x28", // the next fragment does not go on
        b"\x01\x01\xe2\x00\x01\x28",     // known before the message ends
        b"\x01\x01\xf0\x00\x00\x00\x01\x8f",
        b"\x01\x01\xe2\x89\x00\x80\x01\x82",
    ];
    for wire in bad {
        let outcome = receive(client, wire);
        assert_eq!(outcome.error, Some(ProtocolError::TextNotUtf8), "{wire:x?}");
        let close = b"\x88\x8f\0\0\0\0\x03\xeftext_not_utf8";
        assert!(outcome.replies.ends_with(close));
        let outcome = receive(accepting, wire);
        assert_eq!(outcome.error, Some(ProtocolError::TextNotUtf8), "{wire:x?}");
        let close = unmasked(0x88, b"\x03\xeftext_not_utf8");
        assert!(outcome.replies.ends_with(&close));
    }
}

#[test]
fn bad_text_fails_at_the_byte_that_makes_it_bad() {
    //= RFC6455-8.1-1
    // 2^32 bytes are promised; the fourth of them is enough.
    let wire = b"\x81\x7f\0\0\0\x01\0\0\0\0abc\xff";
    let server = || {
        let masking = ServerMasking::with_accept_unmasked_frame(true);
        ws_proto::Connection::new(masking, Limits::UNLIMITED)
    };
    assert_eq!(receive(server, &wire[..13]).error, None);
    assert_failed(&receive(server, wire), &[], ProtocolError::TextNotUtf8);
}

#[test]
fn noncharacters_and_a_byte_order_mark_are_kept() {
    //= RFC3629-3-2, RFC6455-5.6-2
    let outcome = receive(client, b"\x81\x06\xef\xbb\xbf\xef\xbf\xbe\x81\x01\0");
    assert_received(&outcome, &[text("\u{feff}\u{fffe}"), text("\0")]);
}

#[test]
fn text_is_the_same_however_fragments_cut_its_characters() {
    //= RFC6455-5.6-1, RFC6455-5.4-1
    for character in ["a", "é", "€", "𝄞"] {
        let bytes = character.as_bytes();
        // Every way to cut the bytes of one character, with an empty fragment at each cut.
        for cuts in 0..1 << (bytes.len() - 1) {
            let mut wire = b"\x01\x01<".to_vec();
            for (i, byte) in bytes.iter().enumerate() {
                if i > 0 && cuts >> (i - 1) & 1 == 1 {
                    wire.extend(b"\x00\x00");
                }
                wire.extend([0x00, 1, *byte]);
            }
            wire.extend(b"\x80\x01>");
            let expected = format!("<{character}>");
            assert_received(&receive(client, &wire), &[text(&expected)]);
        }
    }
}

#[test]
fn binary_may_hold_anything() {
    //= RFC6455-5.6-3
    let bytes: Vec<u8> = (0..=255).rev().collect();
    assert_received(&receive(strict, &masked(0x82, &bytes)), &[binary(&bytes)]);
}
