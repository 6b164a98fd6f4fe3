//! `ws-proto` and `ws-handshake` over `std::net`: a blocking echo server on a
//! thread, and a client. `cargo run -p examples --bin embed_blocking`

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::{error::Error, process::ExitCode, thread};

use ws_handshake::{ClientProgress, ClientRequest, OriginPolicy, ServerConfig, Uri};
use ws_proto::{ClientMasking, CloseCode, CloseFrame, Connection, ConnectionState, Event, Limits};
use ws_proto::{MaskingPolicy, Message, OutFrame, Sender, ServerMasking};

fn main() -> ExitCode {
    examples::demonstrate("An echo over std::net; it takes no arguments.", || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = BufReader::new(TcpStream::connect(listener.local_addr()?)?);
        let server = thread::spawn(move || serve(BufReader::new(listener.accept()?.0)));
        talk(client)?;
        server.join().expect("the server does not panic")
    })
}

fn serve(mut stream: BufReader<TcpStream>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let config = ServerConfig::new(OriginPolicy::Any); // an echo has no users to protect
    let (mut reader, mut out) = (config.head_reader(), Vec::new());
    while out.is_empty() {
        let input = fill(&mut stream)?;
        let mut used = input.len();
        if let Some(head) = reader.receive(input)? {
            used = head.consumed();
            config.negotiate(&head.request()?)?.write_to(&mut out);
        }
        stream.consume(used);
    }
    let connection = Connection::new(ServerMasking::new(), Limits::default());
    converse(stream, connection, out, |tx, echo| tx.message(echo).ok())
}

fn talk(mut stream: BufReader<TcpStream>) -> Result<(), Box<dyn Error + Send + Sync>> {
    let uri = Uri::parse("ws://localhost/")?;
    let mut handshake = ClientRequest::new(uri).start_random()?;
    stream.get_mut().write_all(handshake.request_bytes())?;
    let mut is_open = false;
    while !is_open {
        let input = fill(&mut stream)?;
        let mut used = input.len();
        match handshake.receive(input)? {
            ClientProgress::Incomplete => {}
            ClientProgress::Agreed { consumed, .. } => (used, is_open) = (consumed, true),
            ClientProgress::Refused { response, .. } => Err(response.reason)?,
        }
        stream.consume(used);
    }
    let mut connection = Connection::new(ClientMasking::new(), Limits::default());
    let mut out = Vec::new();
    let hello = connection.parts().2.message(Message::Text("Hello"))?;
    hello.append_to(&mut out, 0);
    converse(stream, connection, out, |tx, message| {
        println!("the server says {message:?}");
        let (code, reason) = (CloseCode::NORMAL, "that was all");
        tx.close(Some(CloseFrame { code, reason })).ok()
    })
}

/// Writes `out`, then answers messages with `reply` until both have closed.
fn converse<P: MaskingPolicy>(
    mut stream: BufReader<TcpStream>,
    mut connection: Connection<P>,
    mut out: Vec<u8>,
    mut reply: impl for<'m> FnMut(&mut Sender<P>, Message<'m>) -> Option<OutFrame<'m>>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut result = Ok(());
    while result.is_ok() && connection.state() != ConnectionState::Closed {
        stream.get_mut().write_all(&out)?;
        out.clear();
        let mut input = fill(&mut stream)?.to_vec();
        stream.consume(input.len());
        let (rx, messages, tx) = connection.parts();
        let mut bytes = &mut input[..];
        let mut write = |frame: &OutFrame<'_>| frame.append_to(&mut out, 0);
        while let Some(event) = rx.receive(&mut bytes).unwrap_or_else(|error| {
            tx.fail(&error).iter().for_each(&mut write);
            result = Err(error.into());
            None
        }) {
            tx.respond(&event).iter().for_each(&mut write); // a Pong, or the Close
            let Event::Data(chunk) = event else { continue };
            let answer = messages.push(chunk).and_then(|whole| reply(tx, whole));
            answer.iter().for_each(&mut write);
        }
    }
    stream.get_mut().write_all(&out)?;
    result
}

fn fill(stream: &mut BufReader<TcpStream>) -> io::Result<&[u8]> {
    let bytes = stream.fill_buf()?;
    let lost = io::Error::from(io::ErrorKind::UnexpectedEof);
    (!bytes.is_empty()).then_some(bytes).ok_or(lost)
}
