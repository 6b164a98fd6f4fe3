//! What becomes of permessage-deflate in a build without it.

use ws_mio::{ClientConfig, ClientRequest, DeflateOffer, DeflatePolicy, Socket, Uri, memory};

use crate::common::{
    Echo, REPLY, REQUEST,
    bench::{Bench, take},
    config,
};

#[test]
fn server_declines_every_offer() {
    let mut config = config();
    config.handshake = config.handshake.deflate(DeflatePolicy::new());
    // A server refuses the policy; a loop of one's own takes it as it is.
    assert!(config.check().is_err());
    let mut bench = Bench::new(Echo, config);
    let request = String::from_utf8(REQUEST.to_vec()).unwrap();
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let request = format!("{}{offer}", &request[..request.len() - 2]);
    let (mut client, key) = bench.dial(4096, request.as_bytes()).unwrap();
    assert_eq!(take(&mut client), REPLY);
    // So a compressed message breaks the protocol.
    bench.send(&mut client, key, b"\xc1\x80\x00\x00\x00\x00");
    assert_eq!(take(&mut client)[2..4], 1002_u16.to_be_bytes());
}

#[test]
fn client_offers_nothing() {
    let uri = Uri::parse("ws://localhost/").unwrap();
    let request = ClientRequest::new(uri).offer(DeflateOffer::default());
    let (near, mut far) = memory::pair(4096);
    let mut socket: Socket<(), _> =
        Socket::client(near, request, &ClientConfig::default()).unwrap();
    let ready = ws_mio::Ready {
        writable: true,
        ..Default::default()
    };
    socket.ready(ready, &mut Echo).unwrap();
    let mut request = [0; 1024];
    let len = ws_mio::Transport::read(&mut far, &mut request).unwrap();
    let request = str::from_utf8(&request[..len]).unwrap();
    assert!(request.starts_with("GET / HTTP/1.1") && !request.contains("Extensions"));
}
