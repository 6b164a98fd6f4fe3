//! The program in processes of its own.

#![allow(dead_code, reason = "every test binary uses its own part of this")]

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Lines, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::{self, JoinHandle},
};

pub(crate) const WSDO: &str = env!("CARGO_BIN_EXE_wsdo");

/// A `wsdo serve`, killed when the test is over.
pub(crate) struct Server {
    pub(crate) child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it says behind `listening on`.
    pub(crate) address: String,
}

impl Server {
    /// Starts an echo at a port that nobody else has.
    pub(crate) fn echo() -> Self {
        Self::start::<&str>(&[], &[])
    }

    pub(crate) fn start<A: AsRef<OsStr>>(options: &[A], program: &[A]) -> Self {
        Self::listen("127.0.0.1:0", options, program)
    }

    pub(crate) fn listen<A: AsRef<OsStr>>(address: &str, options: &[A], program: &[A]) -> Self {
        let mut command = Command::new(WSDO);
        command
            .arg("serve")
            .args(options)
            .arg(address)
            .args(program);
        Self::spawn(&mut command)
    }

    /// Starts what says that it is listening.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut server = Self {
            child,
            lines,
            address: String::new(),
        };
        let line = server.next_line();
        server.address = line.strip_prefix("listening on ").unwrap().to_owned();
        server
    }

    pub(crate) fn next_line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Waits for the end of a server that ends by itself.
    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), errors)
    }

    /// Waits until it tells of something on its standard error.
    pub(crate) fn tells(mut self, text: &str) {
        let stderr = BufReader::new(self.child.stderr.take().unwrap());
        let told = stderr
            .lines()
            .map(Result::unwrap)
            .any(|line| line.contains(text));
        assert!(told, "nothing of {text:?}");
    }

    /// Kills it, and returns what it has told.
    pub(crate) fn told(mut self) -> String {
        let _ = self.child.kill();
        let mut errors = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        errors
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) errors: String,
}

impl Ran {
    fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: output.stdout,
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Makes sure of the exit code and of what it wrote.
    #[track_caller]
    pub(crate) fn wrote(&self, code: i32, out: &[u8]) {
        assert_eq!((self.code, &*self.out), (Some(code), out), "{self:?}");
    }
}

/// Runs the program with something to read.
pub(crate) fn wsdo(arguments: &[&str], stdin: &[u8]) -> Ran {
    run(Command::new(WSDO).args(arguments), stdin)
}

/// Runs `wsdo connect` with something to read.
pub(crate) fn connect(options: &[&str], url: &str, stdin: &[u8]) -> Ran {
    run(
        Command::new(WSDO).arg("connect").args(options).arg(url),
        stdin,
    )
}

pub(crate) fn run(command: &mut Command, stdin: &[u8]) -> Ran {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let stdin = stdin.to_vec();
    // One that gives up at once does not read it, and one that answers a lot is read meanwhile.
    let writing = thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    Ran::new(output)
}

/// A server that a test plays by hand: each connection is given to `serve`
/// with its request.
pub(crate) fn played<T: Send + 'static>(
    serve: impl FnOnce(&TcpListener) -> T + Send + 'static,
) -> (String, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    (url, thread::spawn(move || serve(&listener)))
}

/// Accepts a client, and makes the opening handshake; returns its request.
pub(crate) fn accept(listener: &TcpListener) -> (TcpStream, String) {
    shake(listener.accept().unwrap().0)
}

/// Makes the opening handshake with a client; returns its request.
pub(crate) fn shake(mut stream: TcpStream) -> (TcpStream, String) {
    let request = read_head(&mut stream);
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    let accept = ws_handshake::accept_key(key.as_bytes());
    let accept = str::from_utf8(&accept).unwrap();
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .unwrap();
    (stream, request)
}

pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Sends a Close with a code, and waits for the client to end.
pub(crate) fn close_with(mut stream: TcpStream, code: u16) {
    let [high, low] = code.to_be_bytes();
    stream.write_all(&[0x88, 2, high, low]).unwrap();
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A folder of the test's own, removed when it is over.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wsdo-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Returns the path of a file in it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
