//! The client's side of the opening handshake, as statements about bytes.

mod refusal;
mod reply;
mod request;

use ws_handshake::{
    Agreed, ClientHandshake, ClientProgress, ClientRequest, HandshakeError, Nonce, Uri,
};

const REPLY: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn request(uri: &str) -> ClientRequest {
    ClientRequest::new(Uri::parse(uri).expect("a URI"))
}

/// Starts with the key of the RFC's sample, `dGhlIHNhbXBsZSBub25jZQ==`.
fn start(request: ClientRequest) -> ClientHandshake {
    request.start(Nonce::from_bytes(*b"the sample nonce"))
}

fn plain() -> ClientRequest {
    request("ws://h/")
}

fn agreed(request: ClientRequest, reply: impl AsRef<[u8]>) -> Result<Agreed, HandshakeError> {
    match start(request).receive(reply.as_ref())? {
        ClientProgress::Agreed { agreed, consumed } => {
            assert_eq!(consumed, reply.as_ref().len());
            Ok(agreed)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_logged_of_a_handshake_is_how_far_it_got() {
    let mut handshake = start(plain());
    assert!(format!("{handshake:?}").contains(r#"stage: "head""#));
    let progress = handshake.receive(b"HTTP/1.1 200 x\r\n\r\n");
    assert_eq!(progress, Ok(ClientProgress::Incomplete));
    assert!(format!("{handshake:?}").contains(r#"stage: "body""#));
    assert!(handshake.eof().is_ok());
    assert!(format!("{handshake:?}").contains(r#"stage: "over""#));
    let nonce = Nonce::from_bytes(*b"the sample nonce");
    assert_eq!(format!("{nonce:?}"), "Nonce(dGhlIHNhbXBsZSBub25jZQ==)");
}
