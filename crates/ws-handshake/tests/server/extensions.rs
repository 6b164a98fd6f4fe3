//! Which extensions are accepted.

use ws_handshake::DeflatePolicy;

use super::{REPLY, REQUEST, answer, any, assert_refused, with};

#[test]
fn extensions_are_accepted_only_from_the_clients_list() {
    //= RFC6455-4.2.2-13
    //= RFC6455-4.2.2-14
    //= RFC6455-4.2.1-10
    //= RFC6455-9-2
    //= RFC6455-9-3
    //= RFC6455-9.1-8
    //= RFC6455-5.8-1
    let config = any().deflate(DeflatePolicy::new());
    assert_eq!(answer(&config, REQUEST).as_deref(), Ok(REPLY));
    assert_eq!(
        answer(
            &config,
            with("Sec-WebSocket-Extensions: foo; permessage-deflate")
        )
        .as_deref(),
        Ok(REPLY)
    );
    assert_eq!(
        answer(&any(), with("Sec-WebSocket-Extensions: permessage-deflate")).as_deref(),
        Ok(REPLY)
    );
    let reply = answer(
        &config,
        with("Sec-WebSocket-Extensions: foo, permessage-deflate"),
    )
    .expect("accepted");
    assert!(
        reply.contains("\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"),
        "{reply}"
    );
}

#[test]
fn the_first_acceptable_offer_wins_over_several_headers() {
    //= RFC6455-9.1-6
    //= RFC6455-9.1-2
    //= RFC6455-9.1-4
    //= RFC6455-9-4
    //= RFC6455-11.3.2-1
    let config = any().deflate(DeflatePolicy::new());
    let lines = "Sec-WebSocket-Extensions: permessage-deflate; unknown, permessage-deflate; server_max_window_bits=7\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9, permessage-deflate";
    let reply = answer(&config, with(lines)).expect("accepted");
    assert!(
        reply.contains(
            "\r\nSec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n"
        ),
        "{reply}"
    );
}

#[test]
fn extensions_outside_the_grammar_are_refused_even_if_none_is_wanted() {
    //= RFC6455-9.1-1
    //= RFC6455-4.3-1
    for value in [
        "foo; =1",
        "foo bar",
        "a; b=\"c",
        "a; b=\"1 0\"",
        "caf\u{e9}",
    ] {
        assert_refused(
            with(&format!("Sec-WebSocket-Extensions: {value}")),
            "bad_extensions_header",
            400,
        );
    }
}

#[test]
fn a_list_that_names_no_extension_asks_for_none() {
    //= RFC9110-5.6.1-1
    let config = any().deflate(DeflatePolicy::new());
    for value in ["", " ", ",", ";", " ;, ,", ",,,;"] {
        let head = with(&format!("Sec-WebSocket-Extensions: {value}"));
        assert_eq!(answer(&config, head).as_deref(), Ok(REPLY), "{value}");
    }
    for value in [
        "permessage-deflate;",
        ", permessage-deflate ; ,",
        "\r\nSec-WebSocket-Extensions: permessage-deflate",
    ] {
        let reply = answer(&config, with(&format!("Sec-WebSocket-Extensions: {value}")));
        let reply = reply.expect("accepted");
        assert!(reply.contains("\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"));
    }
}
