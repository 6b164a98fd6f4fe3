//! `ws-proto` and `ws-handshake` on tokio, with every deadline and limit: an echo server, and a
//! client of `ws-smol` that talks to it. `cargo run -p examples --bin embed_tokio`

use std::{error::Error, io, process::ExitCode, thread, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use ws_handshake::{OriginPolicy, ServerConfig, ServerProgress};
use ws_proto::{
    Action, Cause, CloseCode, CloseFrame, Endpoint, EndpointConfig, Message, Replies, ServerMasking,
};

type Outcome = Result<Cause, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    examples::demonstrate("An echo on tokio; it takes no arguments.", || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let client = thread::spawn(move || examples::talk(address));
            let (stream, _) = listener.accept().await?;
            let outcome = serve(stream, Duration::from_secs(10), <_>::default()).await?;
            println!("the server's connection ended: {}", outcome.name());
            client.join().expect("the client does not panic")
        })
    })
}

/// Answers a request within `time`, and then messages until the connection ends.
async fn serve(mut stream: TcpStream, time: Duration, config: EndpointConfig) -> Outcome {
    let (start, mut buffer) = (Instant::now(), vec![0; 16 * 1024]);
    let policy = ServerConfig::new(OriginPolicy::Any); // an echo has no users to protect
    let mut handshake = policy.start();
    let rest = loop {
        let left = time.saturating_sub(start.elapsed());
        let Ok(read) = timeout(left, stream.read(&mut buffer)).await else {
            stream.write_all(&handshake.timed_out()).await?;
            return Err("no request in time".into());
        };
        let len = read?;
        match handshake.receive(&buffer[..len]) {
            ServerProgress::Incomplete => {}
            ServerProgress::Accepted { response, consumed } => {
                stream.write_all(&response).await?;
                break consumed..len;
            }
            ServerProgress::Refused { response, error } => {
                stream.write_all(&response).await?;
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
        let interest = match endpoint.action() {
            Action::End(cause) => return Ok(cause),
            Action::Shutdown => {
                let _ = stream.shutdown().await;
                endpoint.note_shutdown(now);
                continue;
            }
            Action::Write(_) if endpoint.wants_input() => Interest::READABLE | Interest::WRITABLE,
            Action::Write(_) => Interest::WRITABLE,
            Action::Read => Interest::READABLE,
        };
        let Ok(ready) = timeout(left, stream.ready(interest)).await else {
            continue; // the time has come for something
        };
        let (ready, now) = (ready?, start.elapsed());
        if let Action::Write(bytes) = endpoint.action()
            && ready.is_writable()
        {
            match stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => endpoint.handle_end(now),
                Ok(len) => endpoint.note_written(len, now),
            }
        }
        if endpoint.wants_input() && ready.is_readable() {
            match stream.try_read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => endpoint.handle_end(now),
                Ok(len) => endpoint.handle_input(&mut buffer[..len], now, echo),
            }
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

#[cfg(test)]
mod deadlines;
