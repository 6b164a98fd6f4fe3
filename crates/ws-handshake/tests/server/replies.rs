//! Replies other than a 101, and the application's own headers.

use ws_handshake::{HandshakeError, HeadLimits, Request, Response};

use super::{REPLY, REQUEST, any, with};

#[test]
fn a_resource_that_does_not_exist_gets_404_and_no_101() {
    //= RFC6455-4.2.2-9
    //= RFC6455-4.2.2-4
    //= RFC6455-7.2.2-1
    let mut out = Vec::new();
    Response::new(404).write_to(&mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let mut out = Vec::new();
    Response::new(302)
        .header("Location", "wss://other.example/")
        .expect("fine")
        .write_to(&mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 302 Found\r\nLocation: wss://other.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn a_401_comes_with_its_challenge() {
    //= RFC9110-11.6.1-1
    //= RFC6455-4.2.2-3
    let mut out = Vec::new();
    Response::unauthorized("Basic realm=\"chat\"")
        .expect("fine")
        .body("no")
        .write_to(&mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"chat\"\r\nContent-Length: 2\r\n\
        Connection: close\r\n\r\nno"
    );
}

#[test]
fn a_server_sees_what_authenticates_a_client() {
    //= RFC6455-10.5-1
    let head = with("Cookie: a=b\r\nAuthorization: Bearer t");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert_eq!(request.header("authorization"), Some(&b"Bearer t"[..]));
    assert_eq!(request.header("COOKIE"), Some(&b"a=b"[..]));
    assert_eq!(request.header("X"), None);
}

#[test]
fn a_cookie_is_found_by_its_name() {
    //= RFC6455-10.5-1
    let head = with(
        "Cookie: theme=dark;session=1a=2b==;  q=\"quoted\" ; =x; alone\r\ncookie: session=late; e=",
    );
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert_eq!(request.cookie("theme"), Some("dark"));
    assert_eq!(request.cookie("session"), Some("1a=2b=="));
    assert_eq!(request.cookie("q"), Some("quoted"));
    assert_eq!(request.cookie("e"), Some(""));
    for name in ["Theme", "alone", "heme", "session "] {
        assert_eq!(request.cookie(name), None, "{name}");
    }
    assert_eq!(request.cookies().count(), 6);
    let head = [
        REQUEST.trim_end().as_bytes(),
        b"\r\nCookie: a=\xff; b=2\r\n\r\n",
    ]
    .concat();
    let request = Request::parse(&head, &HeadLimits::default()).expect("sound");
    assert_eq!(
        (request.cookie("a"), request.cookie("b")),
        (None, Some("2"))
    );
}

#[test]
fn credentials_are_read_from_the_one_authorization() {
    let read = |lines: &str| {
        let head = with(lines);
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
        let basic = request.basic().map(|known| (known.user, known.password));
        (request.bearer().map(str::to_owned), basic)
    };
    let pair = |user: &str, password: &str| Some((user.to_owned(), password.as_bytes().to_vec()));
    for (value, token) in [
        ("Bearer abc.def-_~+/==", "abc.def-_~+/=="),
        ("bearer   12|token", "12|token"),
    ] {
        let found = read(&format!("Authorization: {value}"));
        assert_eq!(found, (Some(token.to_owned()), None));
    }
    for (value, known) in [
        (
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            pair("Aladdin", "open sesame"),
        ),
        (
            "BASIC QWxhZGRpbjpvcGVuIHNlc2FtZQ",
            pair("Aladdin", "open sesame"),
        ),
        ("Basic YTpiOmM=", pair("a", "b:c")),
        ("Basic Og==", pair("", "")),
        ("Basic dGVzdDoxMjPCow==", pair("test", "123\u{a3}")),
    ] {
        assert_eq!(
            read(&format!("Authorization: {value}")),
            (None, known),
            "{value}"
        );
    }
    for lines in [
        "X: y",
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer ",
        "Authorization: Bearer a b",
        "Authorization: Bearertoken",
        "Authorization: Digest a",
        "Authorization: Basic %%%",
        "Authorization: Basic YWI=",
        "Authorization: Basic /zphYg==",
        "Authorization: Basic CjphYg==",
        "Authorization: Bearer a\r\nAuthorization: Bearer b",
        "Authorization: Basic Og==\r\nAuthorization: Basic Og==",
    ] {
        assert_eq!(read(lines), (None, None), "{lines}");
    }
    let charger = read("Authorization: Basic YTr/AA==")
        .1
        .expect("a key of bytes");
    assert_eq!(charger, ("a".to_owned(), b"\xff\0".to_vec()));
    let head = with("Authorization: Basic YTpzZWNyZXQ=");
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    let shown = format!("{:?}", request.basic());
    assert!(
        shown.contains("\"a\"") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn a_plain_request_can_be_answered_with_a_page() {
    let head = "GET /index.html?v=1 HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";
    let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
    assert!(!request.is_upgrade());
    assert_eq!(
        (request.method(), request.path(), request.query()),
        ("GET", "/index.html", Some("v=1"))
    );
    assert_eq!(request.check_http(), Ok(()));
    assert_eq!(
        any().negotiate(&request).err(),
        Some(HandshakeError::NotUpgrade)
    );
    let mut out = Vec::new();
    let page = Response::new(200)
        .header("Content-Type", "text/html")
        .expect("fine")
        .body("<p>hi</p>");
    page.write_to(&mut out);
    assert_eq!(
        out,
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<p>hi</p>"
    );
}

#[test]
fn an_answer_to_head_has_the_length_of_the_body_and_no_body() {
    let answer_to = |line: &str| {
        let head = format!("{line}\r\nHost: h\r\n\r\n");
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
        let mut out = Vec::new();
        let page = Response::new(200).body("<p>hi</p>").for_request(&request);
        page.write_to(&mut out);
        String::from_utf8(out).expect("ASCII")
    };
    let page = answer_to("GET / HTTP/1.1");
    assert!(page.ends_with("\r\n\r\n<p>hi</p>"), "{page}");
    let head = page.strip_suffix("<p>hi</p>").expect("the body");
    assert_eq!(answer_to("HEAD / HTTP/1.1"), head);
    assert_eq!(answer_to("head / HTTP/1.1"), page, "another method");
}

#[test]
fn a_health_check_in_http_1_0_needs_no_host() {
    //= RFC9112-3.2-1
    for line in [
        "OPTIONS / HTTP/1.0",
        "OPTIONS * HTTP/1.0",
        "GET /healthz HTTP/1.0",
        "HEAD / HTTP/1.0",
    ] {
        let head = format!("{line}\r\n\r\n");
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
        assert_eq!(request.check_http(), Ok(()), "{line}");
        assert!(!request.is_upgrade());
        let head = head.replace("1.0", "1.1");
        let request = Request::parse(head.as_bytes(), &HeadLimits::default()).expect("sound");
        assert_eq!(request.check_http(), Err(HandshakeError::MissingHost));
    }
    let head = b"GET * HTTP/1.0\r\n\r\n";
    let request = Request::parse(head, &HeadLimits::default()).expect("sound");
    assert_eq!(
        request.check_http().expect_err("no path").kind(),
        "bad_target"
    );
}

#[test]
fn headers_of_a_reply_cannot_be_injected_or_overridden() {
    let request = Request::parse(REQUEST.as_bytes(), &HeadLimits::default()).expect("sound");
    let acceptance = || any().negotiate(&request).expect("correct");
    for (name, value) in [
        ("X", "a\r\nEvil: 1"),
        ("X", "a\nEvil: 1"),
        ("X", "a\rb"),
        ("X", "a\0b"),
        ("X\r\nEvil", "1"),
        ("X: 1\r\nEvil", "1"),
        ("", "1"),
        ("X ", "1"),
        ("Upgrade", "h2c"),
        ("connection", "close"),
        ("sec-websocket-accept", "x"),
        ("Sec-WebSocket-Anything", "x"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
    ] {
        assert_eq!(
            acceptance().header(name, value).expect_err(name).kind(),
            "bad_header"
        );
        assert_eq!(
            Response::new(200)
                .header(name, value)
                .expect_err(name)
                .kind(),
            "bad_header"
        );
    }
    let mut out = Vec::new();
    acceptance()
        .header("Set-Cookie", "a=b")
        .expect("fine")
        .header("Set-Cookie", "c=d")
        .expect("fine")
        .write_to(&mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        format!(
            "{}\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
            REPLY.trim_end()
        )
    );
}
