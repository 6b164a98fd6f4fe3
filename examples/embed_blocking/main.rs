//! `ws-proto` and `ws-handshake` over `std::net`, with every deadline and limit: a blocking echo
//! server, and a client of `ws-smol` that talks to it. `cargo run -p examples --bin embed_blocking`

use std::{
    error::Error,
    io::{self, ErrorKind, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    process::ExitCode,
    time::{Duration, Instant},
};

use ws_handshake::{OriginPolicy, ServerConfig, ServerProgress};
use ws_proto::{
    Action, Cause, CloseCode, CloseFrame, Endpoint, EndpointConfig, Message, Replies, ServerMasking,
};

type Outcome = Result<Cause, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    examples::embed("An echo over std::net; it takes no arguments.", |stream| {
        serve(stream, Duration::from_secs(10), EndpointConfig::default())
    })
}

/// Answers a request within `time`, and then messages until the connection ends.
fn serve(mut stream: TcpStream, time: Duration, config: EndpointConfig) -> Outcome {
    let (start, mut buffer) = (Instant::now(), vec![0; 16 * 1024]);
    let policy = ServerConfig::new(OriginPolicy::Any); // an echo has no users to protect
    let mut handshake = policy.start();
    let rest = loop {
        limit(&stream, time.saturating_sub(start.elapsed()))?;
        let Some(len) = done(stream.read(&mut buffer)) else {
            stream.write_all(&handshake.timed_out())?;
            return Err("no request in time".into());
        };
        let (response, accepted) = match handshake.receive(&buffer[..len]) {
            ServerProgress::Incomplete => continue,
            ServerProgress::Accepted { response, consumed } => (response, Ok(consumed..len)),
            ServerProgress::Refused { response, error } => (response, Err(error)),
        };
        stream.write_all(&response)?;
        break accepted?;
    };
    let mut endpoint = Endpoint::new(ServerMasking::new(), config, start.elapsed());
    endpoint.handle_input(&mut buffer[rest], start.elapsed(), echo);
    loop {
        let (action, wait) = endpoint.next_action(start.elapsed());
        limit(&stream, wait)?;
        match action {
            Action::End(cause) => return Ok(cause),
            Action::Shutdown => {
                let _ = stream.shutdown(Shutdown::Write); // it fails where the peer is gone
                endpoint.note_shutdown(start.elapsed());
            }
            Action::Write(bytes) => match done(stream.write(bytes)) {
                Some(0) => endpoint.handle_end(start.elapsed()),
                written => endpoint.note_written(written.unwrap_or(0), start.elapsed()),
            },
            Action::Read => match done(stream.read(&mut buffer)) {
                None => {}
                Some(0) => endpoint.handle_end(start.elapsed()),
                Some(len) => endpoint.handle_input(&mut buffer[..len], start.elapsed(), echo),
            },
        }
    }
}

/// Sends a message back, and closes after "bye".
fn echo(message: Message<'_>, replies: &mut Replies<'_, ServerMasking>) {
    let _ = replies.send(message); // a message that has no room in the outbox is dropped
    if message == Message::Text("bye") {
        let _ = replies.close(CloseFrame::new(CloseCode::NORMAL, ""));
    }
}

/// Limits how long the next read or write may wait.
fn limit(stream: &TcpStream, wait: Duration) -> io::Result<()> {
    let wait = Some(wait.clamp(Duration::from_millis(1), Duration::from_secs(3600)));
    stream.set_read_timeout(wait)?;
    stream.set_write_timeout(wait)
}

/// Returns `None` if the time is over, and 0 if the transport has ended or failed.
fn done(result: io::Result<usize>) -> Option<usize> {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    match result {
        Err(error) if matches!(error.kind(), Interrupted | TimedOut | WouldBlock) => None,
        result => Some(result.unwrap_or(0)),
    }
}

#[cfg(test)]
mod deadlines;
