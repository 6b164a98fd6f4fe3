//! The example `metrics`, scraped as Prometheus does it.

use std::net::TcpStream;

mod common;

use common::{Server, client, exchange};

/// Starts the server, and tells where its counters are.
fn start() -> (Server, String) {
    let arguments = ["--metrics", "127.0.0.1:0"];
    let mut server = Server::start(env!("CARGO_BIN_EXE_metrics"), arguments);
    let pages = server.said_behind("counters at http://");
    let pages = pages.strip_suffix("/metrics").unwrap().to_owned();
    (server, pages)
}

/// Sends a request and returns the whole response.
fn request(pages: &str, line: &str) -> String {
    let request = format!("{line}\r\nHost: localhost\r\n\r\n");
    exchange(TcpStream::connect(pages).unwrap(), &request)
}

#[test]
fn counters_are_served_while_the_server_runs() {
    let (server, pages) = start();
    let talk = client([&server.address], b"one\ntwo\n");
    assert!(talk.status.success());
    let page = request(&pages, "GET /metrics HTTP/1.1");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"));
    for line in [
        "websocket_opened_total 1",
        "websocket_messages_received_total 2",
        "websocket_frames_sent_total{opcode=\"text\"} 2",
    ] {
        assert!(page.contains(&format!("\n{line}\n")), "{line}: {page}");
    }
}

#[test]
fn other_requests_get_the_status_that_fits() {
    let (_server, pages) = start();
    for (line, status) in [
        ("GET / HTTP/1.1", "404"),
        ("POST /metrics HTTP/1.1", "405"),
        ("nonsense", "400"),
    ] {
        let response = request(&pages, line);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(response.starts_with(&expected), "{line}: {response}");
    }
}
