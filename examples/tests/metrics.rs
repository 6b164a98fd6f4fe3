//! The example `metrics`, scraped as Prometheus does it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// A server in a process of its own, killed when the test is over.
struct Server {
    child: Child,
    url: String,
    pages: String,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_metrics"))
            .args(["--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let mut behind = |prefix: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(prefix).unwrap().to_owned()
        };
        let url = behind("listening on ");
        let pages = behind("counters at http://");
        let pages = pages.strip_suffix("/metrics").unwrap().to_owned();
        Self { child, url, pages }
    }

    /// Sends a request and returns the whole response.
    fn request(&self, line: &str) -> String {
        let mut stream = TcpStream::connect(&self.pages).unwrap();
        write!(stream, "{line}\r\nHost: localhost\r\n\r\n").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends two messages and waits for their echoes.
fn talk(url: &str) {
    let mut client = Command::new(env!("CARGO_BIN_EXE_client"))
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client
        .stdin
        .take()
        .unwrap()
        .write_all(b"one\ntwo\n")
        .unwrap();
    assert!(client.wait().unwrap().success());
}

#[test]
fn counters_are_served_while_the_server_runs() {
    let server = Server::start();
    talk(&server.url);
    let page = server.request("GET /metrics HTTP/1.1");
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
    let server = Server::start();
    for (request, status) in [
        ("GET / HTTP/1.1", "404"),
        ("POST /metrics HTTP/1.1", "405"),
        ("nonsense", "400"),
    ] {
        let response = server.request(request);
        let expected = format!("HTTP/1.1 {status} ");
        assert!(response.starts_with(&expected), "{request}: {response}");
    }
}
