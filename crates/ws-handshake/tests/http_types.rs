//! Conversions to and from the types of the `http` crate.
#![cfg(feature = "http")]

use ws_handshake::{
    ClientProgress, ClientRequest, DeflatePolicy, Nonce, OriginPolicy, Request, Response,
    ServerConfig, Uri, Version,
};

fn upgrade(uri: &str) -> http::Request<()> {
    http::Request::get(uri)
        .header("Host", "h")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Protocol", "chat")
        .header("Sec-WebSocket-Extensions", "permessage-deflate")
        .body(())
        .expect("a request")
}

#[test]
fn a_request_of_an_http_server_is_accepted_in_its_own_types() {
    let config = ServerConfig::new(OriginPolicy::Any)
        .subprotocols(["chat"])
        .deflate(DeflatePolicy::new());
    let original = upgrade("/chat?x=1");
    let request = Request::from_http(&original).expect("sound");
    assert_eq!(
        (request.target().as_ref(), request.authority()),
        ("/chat?x=1", Some("h"))
    );
    let acceptance = config
        .negotiate(&request)
        .expect("correct")
        .header("Set-Cookie", "a=b")
        .expect("fine");
    let reply = acceptance.to_http();
    assert_eq!(reply.status(), 101);
    assert_eq!(
        reply.headers()["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    assert_eq!(reply.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(
        reply.headers()["sec-websocket-extensions"],
        "permessage-deflate"
    );
    assert_eq!(reply.headers()["upgrade"], "websocket");
    assert_eq!(reply.headers()["connection"], "Upgrade");
    assert_eq!(reply.headers()["set-cookie"], "a=b");
}

#[test]
fn the_authority_of_an_absolute_target_counts() {
    //= RFC9112-3.2.2-1
    let original = upgrade("http://other:81/chat");
    let request = Request::from_http(&original).expect("sound");
    assert_eq!(
        (request.path(), request.authority()),
        ("/chat", Some("other:81"))
    );
}

#[test]
fn an_absolute_target_without_a_path_asks_for_the_root() {
    for (uri, target) in [
        ("http://other:81", "/"),
        ("http://other:81/", "/"),
        ("http://other:81?x", "/?x"),
    ] {
        let original = upgrade(uri);
        let request = Request::from_http(&original).expect("sound");
        assert_eq!(
            (request.target().as_ref(), request.authority()),
            (target, Some("other:81"))
        );
        let config = ServerConfig::new(OriginPolicy::Any);
        assert!(config.negotiate(&request).is_ok(), "{uri}");
    }
}

/// An extended CONNECT as `h2` and `hyper` hand it over.
fn connect(version: http::Version) -> http::Request<()> {
    http::Request::connect("https://h/chat?x=1")
        .version(version)
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "chat")
        .body(())
        .expect("a request")
}

#[test]
fn an_extended_connect_is_accepted_with_200() {
    //= RFC8441-5-7
    for version in [http::Version::HTTP_2, http::Version::HTTP_3] {
        let original = connect(version);
        let request = Request::from_http_connect(&original, "websocket").expect("sound");
        assert!(request.is_upgrade());
        assert_eq!(
            (request.target().as_ref(), request.authority()),
            ("/chat?x=1", Some("h"))
        );
        let config = ServerConfig::new(OriginPolicy::Any).subprotocols(["chat"]);
        let reply = config.negotiate(&request).expect("correct").to_http();
        assert_eq!(reply.status(), 200);
        let names: Vec<_> = reply.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["sec-websocket-protocol"]);
    }
}

#[test]
fn http_2_without_protocol_asks_for_no_websocket() {
    let mut original = http::Request::get("https://h/chat")
        .body(())
        .expect("sound");
    *original.version_mut() = http::Version::HTTP_2;
    let request = Request::from_http(&original).expect("sound");
    assert!(!request.is_upgrade());
    let mut original = upgrade("/");
    *original.version_mut() = http::Version::HTTP_2;
    let error = Request::from_http(&original).expect_err("it has Upgrade");
    assert_eq!(error.kind(), "connection_header");
    let mut original = http::Request::connect("h:443").body(()).expect("sound");
    *original.version_mut() = http::Version::HTTP_2;
    let request = Request::from_http(&original).expect("sound");
    let config = ServerConfig::new(OriginPolicy::Any);
    let error = config.negotiate(&request).map(drop).expect_err("a tunnel");
    assert_eq!(error.kind(), "not_extended_connect");
}

#[test]
fn a_refusal_over_http_2_has_no_connection_header() {
    //= RFC9113-8.2.2-1
    let original = connect(http::Version::HTTP_2);
    let request = Request::from_http_connect(&original, "websocket").expect("sound");
    let reply = Response::new(404).body("x").for_request(&request).to_http();
    assert_eq!(reply.headers().len(), 0);
    assert_eq!(reply.body(), b"x");
}

#[test]
fn a_refusal_carries_what_its_status_demands() {
    //= RFC9110-15.5.6-1
    //= RFC9110-15.5.22-1
    let reply = Response::new(405).to_http();
    assert_eq!(
        (reply.status().as_u16(), &reply.headers()["allow"]),
        (405, &http::HeaderValue::from_static("GET"))
    );
    let reply = Response::new(426).body("x").to_http();
    assert_eq!(reply.headers()["upgrade"], "websocket");
    assert_eq!(reply.headers()["connection"], "Upgrade, close");
    assert_eq!(reply.body(), b"x");
}

#[test]
fn an_answer_to_head_tells_the_length_of_what_it_leaves_out() {
    let original = http::Request::head("/healthz").body(()).expect("sound");
    let request = Request::from_http(&original).expect("sound");
    let reply = Response::new(200).body("healthy");
    assert_eq!(reply.to_http().headers().get("content-length"), None);
    let reply = reply.for_request(&request).to_http();
    assert_eq!(reply.headers()["content-length"], "7");
    assert!(reply.body().is_empty());
    let reply = Response::new(204).for_request(&request).to_http();
    assert!(!reply.headers().contains_key("content-length"));
}

#[test]
fn an_answer_to_a_client_becomes_a_response() {
    let uri = Uri::try_from(&http::Uri::from_static("ws://h/chat")).expect("a URI");
    let mut handshake = ClientRequest::new(uri).start(Nonce::from_bytes([0; 16]));
    let input = b"HTTP/1.1 404 x\r\nA: 1\r\nA: 2\r\nContent-Length: 2\r\n\r\nno";
    let Ok(ClientProgress::Refused { response, .. }) = handshake.receive(input) else {
        panic!("a refusal")
    };
    let response: http::Response<Vec<u8>> = response.into();
    assert_eq!(response.status(), 404);
    assert_eq!(
        response.headers().get_all("a").iter().collect::<Vec<_>>(),
        ["1", "2"]
    );
    assert_eq!(response.body(), b"no");
}

#[test]
fn the_version_of_a_request_is_the_one_it_came_with() {
    for (version, expected) in [
        (http::Version::HTTP_09, Version { major: 0, minor: 9 }),
        (http::Version::HTTP_10, Version::HTTP_10),
        (http::Version::HTTP_11, Version::HTTP_11),
    ] {
        let mut original = upgrade("/");
        *original.version_mut() = version;
        let request = Request::from_http(&original).expect("sound");
        assert_eq!(request.version(), expected);
    }
    for (version, expected) in [
        (http::Version::HTTP_2, Version::HTTP_2),
        (http::Version::HTTP_3, Version::HTTP_3),
    ] {
        let original = connect(version);
        let request = Request::from_http_connect(&original, "websocket").expect("sound");
        assert_eq!(request.version(), expected);
    }
}

#[test]
fn a_405_keeps_the_methods_that_were_given_and_others_name_none() {
    //= RFC9110-15.5.6-1
    let own = Response::new(405)
        .header("Allow", "GET, HEAD")
        .expect("fine");
    let reply = own.to_http();
    let allowed: Vec<_> = reply.headers().get_all("allow").iter().collect();
    assert_eq!(allowed, ["GET, HEAD"]);
    let reply = Response::new(404).to_http();
    assert!(!reply.headers().contains_key("allow"));
}

#[test]
fn an_authority_alone_is_no_target_of_a_get() {
    let original = upgrade("h:80");
    let request = Request::from_http(&original).expect("sound");
    let refused = ServerConfig::new(OriginPolicy::Any)
        .negotiate(&request)
        .map(|_| ())
        .expect_err("the form of a CONNECT");
    assert_eq!(refused.kind(), "bad_target");
}
