//! Redirects, over loopback TCP.

use smol::{
    future::zip,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use ws_smol::{Acceptor, ClientRequest, Connector, Error, OriginPolicy, RedirectError, Uri};

use crate::support::run;

/// Reads a request and answers with a redirect; returns the request.
async fn redirect(stream: &mut TcpStream, status: u16, location: &str) -> String {
    let request = read_head(stream).await;
    let answer =
        format!("HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    request
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn request(port: u16) -> ClientRequest {
    let uri = Uri::parse(&format!("ws://127.0.0.1:{port}/start")).unwrap();
    let request = ClientRequest::new(uri).header("Authorization", "secret");
    request.unwrap()
}

#[test]
fn redirects_are_followed_up_to_the_limit_and_secrets_stay_behind() {
    //= RFC6455-4.1-35
    run(async {
        let (here, near) = listen().await;
        let (there, far) = listen().await;
        let server = async {
            let (mut stream, _) = here.accept().await.unwrap();
            let first = redirect(&mut stream, 301, "/next").await;
            assert!(first.starts_with("GET /start "), "{first}");
            let (mut stream, _) = here.accept().await.unwrap();
            let to = format!("http://127.0.0.1:{far}/other?x=1");
            let second = redirect(&mut stream, 307, &to).await;
            assert!(second.starts_with("GET /next ") && second.contains("secret"));
            let (stream, peer) = there.accept().await.unwrap();
            let acceptor = Acceptor::new(OriginPolicy::SameHost);
            let websocket = acceptor.accept_with(stream, peer, async |request, _| {
                assert_eq!(request.path(), "/other");
                assert!(request.header("Authorization").is_none());
                ws_smol::Decision::accept()
            });
            drop(websocket.await.unwrap());
        };
        let client = async {
            let connector = Connector::new().redirects(2);
            connector.connect(request(near)).await.unwrap();
        };
        zip(server, client).await;
    });
}

#[test]
fn circle_ends_at_the_limit() {
    run(async {
        let (listener, port) = listen().await;
        let server = async {
            for _ in 0..4 {
                let (mut stream, _) = listener.accept().await.unwrap();
                redirect(&mut stream, 302, "/start").await;
            }
        };
        let client = async {
            let outcome = Connector::new().redirects(3).connect(request(port)).await;
            assert!(matches!(outcome, Err(Error::TooManyRedirects { limit: 3 })));
        };
        zip(server, client).await;
    });
}

#[test]
fn redirect_is_a_refusal_for_who_does_not_ask_for_it() {
    //= RFC6455-4.1-35
    run(async {
        let (listener, port) = listen().await;
        let server = async {
            for location in ["/b", "ftp://b/"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                redirect(&mut stream, 302, location).await;
            }
        };
        let client = async {
            let Err(Error::Refused(response)) = Connector::new().connect(request(port)).await
            else {
                panic!("not refused");
            };
            assert_eq!(response.location(), Some("/b"));
            let outcome = Connector::new().redirects(1).connect(request(port)).await;
            assert!(matches!(
                outcome,
                Err(Error::Redirect(RedirectError::BadLocation(_)))
            ));
        };
        zip(server, client).await;
    });
}
