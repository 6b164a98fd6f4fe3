//! The examples in processes of their own.

#![allow(dead_code, reason = "every test binary uses its own part of this")]

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

pub(crate) const ECHO: &str = env!("CARGO_BIN_EXE_echo");
pub(crate) const CLIENT: &str = env!("CARGO_BIN_EXE_client");
pub(crate) const ADAPTERS: [&str; 2] = ["mio", "smol"];

/// A server, killed when the test is over.
pub(crate) struct Server {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it says behind `listening on`.
    pub(crate) address: String,
}

impl Server {
    /// Starts a server at a port that nobody else has.
    pub(crate) fn start(
        program: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        Self::listen("127.0.0.1:0", program, arguments)
    }

    pub(crate) fn listen(
        address: &str,
        program: &str,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        let mut child = Command::new(program)
            .args(["--listen", address])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut server = Self {
            child,
            lines,
            address: String::new(),
        };
        server.address = server.said_behind("listening on ");
        server
    }

    /// Waits for the next line, and returns what stands behind its start.
    pub(crate) fn said_behind(&mut self, start: &str) -> String {
        let line = self.lines.next().unwrap().unwrap();
        line.strip_prefix(start).unwrap().to_owned()
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Asks it to end by a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(kill.unwrap().success());
    }

    /// Waits until it ends by itself, and tells whether it did so cleanly.
    #[track_caller]
    pub(crate) fn ends_well(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "the server does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Connects to it, without TLS.
    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address.strip_prefix("ws://").unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and returns the whole response.
pub(crate) fn exchange(mut stream: TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Runs `client` with something to read.
pub(crate) fn client(
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    stdin: &[u8],
) -> Output {
    let mut child = Command::new(CLIENT)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that gives up at once does not read it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    child.wait_with_output().unwrap()
}
