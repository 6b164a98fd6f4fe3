//! `ws-proto` and `ws-handshake` over `std::net`, with every deadline and limit: a blocking echo
//! server, and a client of `ws-smol` that talks to it. `cargo run -p examples --bin embed_blocking`

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use std::{error::Error, process::ExitCode, thread};

use ws_handshake::{OriginPolicy, ServerConfig, ServerProgress};
use ws_proto::{Action, Cause, CloseCode, CloseFrame, Endpoint, EndpointConfig};
use ws_proto::{Message, Replies, ServerMasking};

type Outcome = Result<Cause, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    examples::demonstrate("An echo over std::net; it takes no arguments.", || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let client = thread::spawn(move || examples::talk(address));
        let outcome = serve(
            listener.accept()?.0,
            Duration::from_secs(10),
            <_>::default(),
        )?;
        println!("the server's connection ended: {}", outcome.name());
        client.join().expect("the client does not panic")
    })
}

/// Answers a request within `time`, and then messages until the connection ends.
fn serve(mut stream: TcpStream, time: Duration, config: EndpointConfig) -> Outcome {
    let (start, mut buffer) = (Instant::now(), vec![0; 16 * 1024]);
    let policy = ServerConfig::new(OriginPolicy::Any); // an echo has no users to protect
    let mut handshake = policy.start();
    let rest = loop {
        let left = time.saturating_sub(start.elapsed());
        let Some(len) = within(left, &stream, |mut stream| stream.read(&mut buffer)) else {
            stream.write_all(&handshake.timed_out())?;
            return Err("no request in time".into());
        };
        match handshake.receive(&buffer[..len]) {
            ServerProgress::Incomplete => {}
            ServerProgress::Accepted { response, consumed } => {
                stream.write_all(&response)?;
                break consumed..len;
            }
            ServerProgress::Refused { response, error } => {
                stream.write_all(&response)?;
                return Err(error.into());
            }
        }
    };
    let mut endpoint = Endpoint::new(ServerMasking::new(), config, start.elapsed());
    endpoint.handle_input(&mut buffer[rest], start.elapsed(), echo);
    loop {
        let now = start.elapsed();
        endpoint.handle_timeout(now);
        let left = endpoint
            .next_timeout(now)
            .map_or(Duration::MAX, |at| at.saturating_sub(now));
        match endpoint.action() {
            Action::End(cause) => return Ok(cause),
            Action::Shutdown => {
                let _ = stream.shutdown(Shutdown::Write);
                endpoint.note_shutdown(now);
            }
            Action::Write(bytes) => match within(left, &stream, |mut stream| stream.write(bytes)) {
                Some(0) => endpoint.handle_end(start.elapsed()),
                written => endpoint.note_written(written.unwrap_or(0), start.elapsed()),
            },
            Action::Read => match within(left, &stream, |mut stream| stream.read(&mut buffer)) {
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

/// Reads or writes: `None` once the time is over, 0 if the transport has ended or failed.
fn within(
    time: Duration,
    stream: &TcpStream,
    act: impl FnOnce(&TcpStream) -> io::Result<usize>,
) -> Option<usize> {
    let time = time.clamp(Duration::from_millis(1), Duration::from_secs(3600));
    stream.set_read_timeout(Some(time)).ok();
    stream.set_write_timeout(Some(time)).ok();
    match act(stream).map_err(|error| error.kind()) {
        Err(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
            None
        }
        done => Some(done.unwrap_or(0)),
    }
}

#[cfg(test)]
mod deadlines;
