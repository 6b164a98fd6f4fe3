//! A process for each client.

use std::{ffi::OsString, io, net::SocketAddr, pin::pin, time::Duration};

use ws_smol::{CloseCode, Error, Message, Pass, PeerAddr, ReadHalf, Request, WriteHalf};

use crate::{
    runtime::{
        Timer, future,
        io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
        process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    },
    transport::{Socket, Transport},
};

/// Variables of the environment.
pub(crate) type Variables = Vec<(String, OsString)>;

/// A program, and how it is talked to.
#[derive(Debug)]
pub(crate) struct Program {
    program: OsString,
    arguments: Vec<OsString>,
    /// Bytes are passed on as they come, instead of lines.
    is_binary: bool,
}

/// How long a process may go on once its client is gone.
const GRACE: Duration = Duration::from_secs(5);

impl Program {
    pub(crate) const fn new(program: OsString, arguments: Vec<OsString>, is_binary: bool) -> Self {
        Self {
            program,
            arguments,
            is_binary,
        }
    }

    /// Starts a process, and lets it and the client talk until one of them
    /// ends. A process that ends without success closes with 1011.
    pub(crate) async fn talk(
        &self,
        mut websocket: Socket,
        variables: Variables,
        pass: &Pass,
    ) -> Result<(), Error> {
        let mut child = match self.start(variables) {
            Ok(child) => child,
            Err(error) => {
                eprintln!("wsdo: {:?}: {error}", self.program);
                let code = CloseCode::INTERNAL_ERROR;
                return websocket.close(code, "the program cannot be started").await;
            }
        };
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            // INVARIANT: both are piped.
            unreachable!("a process has pipes");
        };
        let (read, mut write) = websocket.split();
        let mut hearing = pin!(self.hear(read, stdin));
        let ended = async {
            self.tell(&mut write, stdout).await?;
            let status = child.status().await?;
            Ok(match status.success() {
                true => (CloseCode::NORMAL, String::new()),
                false => (CloseCode::INTERNAL_ERROR, status.to_string()),
            })
        };
        let drained = async {
            pass.drained().await;
            Ok((CloseCode::GOING_AWAY, String::new()))
        };
        let closing = async { Some(future::or(ended, drained).await) };
        let gone = async {
            hearing.as_mut().await;
            None
        };
        match future::or(closing, gone).await {
            // How the connection ended is told by closing it.
            None => write.close(CloseCode::NORMAL, "").await?,
            Some(Ok((code, reason))) => {
                let closing = write.close(code, &reason);
                // Its Close comes behind what the client still says.
                let hearing = async {
                    hearing.await;
                    future::pending().await
                };
                future::or(closing, hearing).await?;
            }
            Some(Err(error)) => return Err(error),
        }
        self.end(child).await;
        Ok(())
    }

    fn start(&self, variables: Variables) -> io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    /// Waits for a process whose input has ended, and kills it if it goes on.
    async fn end(&self, mut child: Child) {
        let ended = async { child.status().await.is_ok() };
        let late = async {
            Timer::after(GRACE).await;
            false
        };
        if !future::or(ended, late).await {
            eprintln!(
                "wsdo: {:?} goes on without its client, and is killed",
                self.program
            );
        }
    }

    /// Writes what the client says to the process, and ends its input.
    async fn hear(&self, mut read: ReadHalf<Box<dyn Transport>>, stdin: ChildStdin) {
        let mut stdin = Some(stdin);
        while let Ok(Some(message)) = read.receive().await {
            let Some(pipe) = &mut stdin else {
                continue;
            };
            let mut bytes = message.into_bytes();
            if !self.is_binary {
                bytes.push(b'\n');
            }
            let written = async {
                pipe.write_all(&bytes).await?;
                pipe.flush().await
            };
            // A process may close its input, and go on.
            if written.await.is_err() {
                stdin = None;
            }
        }
    }

    /// Sends what the process writes, until it closes its output.
    async fn tell(
        &self,
        write: &mut WriteHalf<Box<dyn Transport>>,
        stdout: ChildStdout,
    ) -> Result<(), Error> {
        let mut stdout = BufReader::with_capacity(64 * 1024, stdout);
        loop {
            let mut bytes = Vec::new();
            if self.is_binary {
                bytes.resize(64 * 1024, 0);
                let n = stdout.read(&mut bytes).await?;
                bytes.truncate(n);
            } else {
                stdout.read_until(b'\n', &mut bytes).await?;
            }
            if bytes.is_empty() {
                return Ok(());
            }
            write.send(self.message(bytes)).await?;
        }
    }

    fn message(&self, mut bytes: Vec<u8>) -> Message {
        if self.is_binary {
            return Message::Binary(bytes);
        }
        if bytes.ends_with(b"\n") {
            bytes.pop();
            if bytes.ends_with(b"\r") {
                bytes.pop();
            }
        }
        match String::from_utf8(bytes) {
            Ok(text) => Message::Text(text),
            // It is no text, and is not lost.
            Err(error) => Message::Binary(error.into_bytes()),
        }
    }
}

/// Makes what a CGI program is told of a request (RFC 3875 section 4.1).
pub(crate) fn variables(request: &Request<'_>, peer: PeerAddr) -> Variables {
    let mut variables = vec![
        ("GATEWAY_INTERFACE".to_owned(), "CGI/1.1".into()),
        ("REQUEST_METHOD".to_owned(), "GET".into()),
        ("SERVER_PROTOCOL".to_owned(), "HTTP/1.1".into()),
        ("REQUEST_URI".to_owned(), request.target().as_ref().into()),
        ("PATH_INFO".to_owned(), request.path().into()),
        (
            "QUERY_STRING".to_owned(),
            request.query().unwrap_or_default().into(),
        ),
    ];
    if let Some(address) = peer.socket() {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        variables.push(("REMOTE_ADDR".to_owned(), address.ip().to_string().into()));
        variables.push(("REMOTE_PORT".to_owned(), address.port().to_string().into()));
    }
    for (name, value) in request.headers() {
        // HTTP_PROXY would name a proxy to the program.
        if name.eq_ignore_ascii_case("Proxy") {
            continue;
        }
        let name = format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
        let value = String::from_utf8_lossy(value).into_owned();
        variables.retain(|(known, _)| *known != name);
        variables.push((name, value.into()));
    }
    variables
}
