//! The two flags of [MS-WSPE], from outside.

#![cfg(feature = "std")]

mod common;

use common::{receive, text};
use ws_proto::{
    ClientMasking, Connection, ConnectionState, Header, Inbound, Limits, MaskKey, Masking,
    MaskingPolicy, Message, ProtocolError, Sender, ServerMasking,
};

fn first_key(masking: ClientMasking) -> MaskKey {
    let mut tx = Sender::new(masking);
    let mut frame = Vec::new();
    tx.message(Message::Text("x"))
        .unwrap()
        .append_to(&mut frame, 0);
    let (header, _) = Header::decode(&frame).unwrap().unwrap();
    header.mask().unwrap()
}

#[test]
fn application_decides_before_the_connection_starts() {
    //= MSWS-1.5-1, MSWS-3.1.3-1, MSWS-3.2.3-1, MSWS-4-1, MSWS-4-2
    let zero = MaskKey::new([0; 4]);
    assert_eq!(first_key(ClientMasking::with_set_mask_to_zero(true)), zero);
    // Three keys that are zero by chance are one in 2^96.
    let random = [0; 3].map(|_| first_key(ClientMasking::with_set_mask_to_zero(false)));
    assert_ne!(random, [zero; 3]);
    for flag in [false, true] {
        let masking = ServerMasking::with_accept_unmasked_frame(flag);
        let connection = Connection::new(masking, Limits::default());
        assert_eq!(connection.masking().accept_unmasked_frame(), flag);
        let masking = ClientMasking::with_set_mask_to_zero(flag);
        let connection = Connection::new(masking, Limits::default());
        assert_eq!(connection.masking().set_mask_to_zero(), flag);
    }
}

#[test]
fn flag_is_as_it_was_whatever_happens_on_the_connection() {
    //= MSWS-3.1.3-2, MSWS-3.2.3-2
    for flag in [false, true] {
        let mut connection = Connection::new(
            ServerMasking::with_accept_unmasked_frame(flag),
            Limits::default(),
        );
        for mut wire in [
            *b"\x81\x80\0\0\0\0",
            *b"\x89\x80\0\0\0\0",
            *b"\x83\x80\0\0\0\0",
        ] {
            let (rx, _, tx) = connection.parts();
            if let Err(error) = rx.receive(&mut &mut wire[..]) {
                assert!(tx.fail(&error).is_some());
            }
            assert_eq!(connection.masking().accept_unmasked_frame(), flag);
        }
        assert_eq!(connection.state(), ConnectionState::Failed);
    }
}

#[test]
fn all_combinations_of_flags_behave_as_their_parts() {
    //= MSWS-3.1.1-2, MSWS-3.2.1-3, MSWS-3.1.5-1, MSWS-3.2.1-1, MSWS-3.2.1-2
    for zero in [false, true] {
        for accept in [false, true] {
            let mut client = Sender::new(ClientMasking::with_set_mask_to_zero(zero));
            let mut wire = Vec::new();
            client
                .message(Message::Text("hi"))
                .unwrap()
                .append_to(&mut wire, 0);
            let server = || -> Connection<Masking> {
                let masking = ServerMasking::with_accept_unmasked_frame(accept);
                Connection::new(masking.into(), Limits::default())
            };
            // A server takes masked frames with any key, whatever its flag.
            assert_eq!(receive(server, &wire).got, [text("hi")]);
            let outcome = receive(server, b"\x81\x02hi");
            let expected = (!accept).then_some(ProtocolError::UnmaskedFrame);
            assert_eq!(outcome.error, expected);
            // A client takes unmasked ones alone, whatever its flag.
            let client = || {
                let masking = ClientMasking::with_set_mask_to_zero_or_seed(zero, [1; 32]);
                assert_eq!(masking.set_mask_to_zero(), zero);
                Connection::new(masking, Limits::default())
            };
            assert_eq!(receive(client, b"\x81\x02hi").got, [text("hi")]);
            let outcome = receive(client, &wire);
            assert_eq!(outcome.error, Some(ProtocolError::MaskedFrame));
        }
    }
    let server: Masking = ServerMasking::new().into();
    assert_eq!(server.inbound(), Inbound::RequireMasked);
}

#[test]
fn same_bytes_give_the_same_events_whatever_carries_them() {
    //= MSWS-2.1-1
    // The crate sees bytes alone: what a transport does to them, it does the
    // same under both settings of the flag.
    let wire = b"\x01\x81\x01\x02\x03\x04\x69\x80\x81\x01\x02\x03\x04\x68\x89\x80\0\0\0\0";
    let outcomes = [false, true].map(|flag| {
        let masking = ServerMasking::with_accept_unmasked_frame(flag);
        receive(|| Connection::new(masking, Limits::default()), wire)
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0].error, None);
}

/// What turns a flag on is not compiled where code runs in a sandbox that has
/// web access only.
#[test]
fn neither_flag_exists_on_wasm() {
    //= MSWS-1.6-1, MSWS-5.1-1
    let source = include_str!("../src/masking.rs");
    let code = source.split("mod tests {").next().unwrap();
    let lines: Vec<&str> = code.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let turns_on = line.starts_with("pub const fn with_accept_unmasked_frame(")
            || line.starts_with("pub fn with_set_mask_to_zero(")
            || line.starts_with("pub fn with_set_mask_to_zero_or_seed(")
            || line.starts_with("AcceptUnmasked,")
            || line.starts_with("Zero,")
            || line.starts_with("Keys::Zero =>");
        if turns_on {
            found.push(*line);
            let above = lines[..i].iter().rev();
            let attributes: Vec<_> = above.take_while(|line| line.starts_with("#[")).collect();
            assert!(
                attributes.contains(&&"#[cfg(not(target_family = \"wasm\"))]"),
                "{line} is there on wasm"
            );
        }
    }
    // The three constructors, what a receiver is told, the variant, and its two uses.
    assert_eq!(found.len(), 7, "{found:#?}");
    // Nothing else makes the zero key, or sets the flag.
    assert_eq!(code.matches("Keys::Zero\n").count(), 2);
    assert_eq!(code.matches("accept_unmasked_frame: false").count(), 1);
    assert_eq!(code.matches("accept_unmasked_frame: true").count(), 0);
}

#[test]
fn documentation_names_the_flags_and_what_they_give_up() {
    //= MSWS-1.6-1, MSWS-1.6-2, MSWS-1.6-3, MSWS-5.2-1
    let source = include_str!("../src/masking.rs");
    let documented = |said| {
        let mut lines = source.lines().map(str::trim);
        lines.any(|line| line.starts_with("///") && line.contains(said))
    };
    for said in [
        "# What the flags give up",
        "with_accept_unmasked_frame",
        "with_set_mask_to_zero",
        "poison its cache",
        "under TLS",
    ] {
        assert!(documented(said), "{said}");
    }
}
