//! What becomes of permessage-deflate in a build without it.

use ws_mio::{
    ClientConfig, ClientRequest, DeflateOffer, DeflatePolicy, OpenError, Socket, Uri, memory,
};

use crate::common::{
    Echo, REPLY, REQUEST,
    bench::{Bench, take},
    config,
};

#[test]
fn server_declines_every_offer() {
    let mut bench = Bench::new(Echo, config());
    let (mut client, key) = bench.dial(4096, &offering()).unwrap();
    assert_eq!(take(&mut client), REPLY);
    // So a compressed message breaks the protocol.
    bench.send(&mut client, key, b"\xc1\x80\x00\x00\x00\x00");
    assert_eq!(take(&mut client)[2..4], 1002_u16.to_be_bytes());
}

#[test]
fn policy_that_agrees_is_refused() {
    let mut config = config();
    config.handshake = config.handshake.deflate(DeflatePolicy::new());
    assert_eq!(config.check().unwrap_err().field, "handshake.deflate");
}

/// A request with an offer to compress.
fn offering() -> Vec<u8> {
    let end = REQUEST.len() - 2;
    let offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    [&REQUEST[..end], offer].concat()
}

#[test]
fn client_that_offers_is_refused_before_anything_is_sent() {
    let uri = Uri::parse("ws://localhost/").unwrap();
    let request = ClientRequest::new(uri).offer(DeflateOffer::default());
    let (near, mut far) = memory::pair(4096);
    let mut socket: Socket<(), _> =
        Socket::client(near, request, &ClientConfig::default()).unwrap();
    let ready = ws_mio::Ready {
        writable: true,
        ..Default::default()
    };
    let Err(OpenError::Config(error)) = socket.ready(ready, &mut Echo) else {
        panic!("it is not refused");
    };
    assert_eq!(error.field, "request.offers");
    assert!(error.to_string().contains("the feature `deflate`"));
    assert!(ws_mio::Transport::read(&mut far, &mut [0; 10]).is_err());
}
