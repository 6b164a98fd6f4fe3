//! What a server does with a frame that has no mask: a client written by hand,
//! over a plain `TcpStream`.

use std::{
    error::Error,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use ws_handshake::{ClientProgress, ClientRequest, Uri};
use ws_proto::{
    ClientMasking, CloseCode, CloseFrame, Connection, Event, Header, Limits, MAX_HEADER_LEN,
    Message, OpCode,
};

use crate::server::{Ending, Server};

/// What came of a message with a mask and one without.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What came back.
    pub(crate) echoes: Vec<String>,
    /// Code and reason of the Close that came back.
    pub(crate) close: Option<(u16, String)>,
    /// What the server says of the connection.
    pub(crate) ending: Ending,
}

pub(crate) const MASKED: &str = "with a mask";
pub(crate) const UNMASKED: &str = "without a mask";

/// Sends a message with a mask and one without to a server with the flag as
/// given.
pub(crate) fn send(accept_unmasked_frame: bool) -> Result<Outcome, Box<dyn Error + Send + Sync>> {
    let server = Server::start(accept_unmasked_frame, Limits::default())?;
    let mut stream = TcpStream::connect(server.address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut input = shake_hands(&mut stream, &server.url())?;

    let mut connection = Connection::new(ClientMasking::new(), Limits::default());
    let (_, _, tx) = connection.parts();
    let mut out = Vec::new();
    tx.message(Message::Text(MASKED))?.append_to(&mut out, 0);
    append_unmasked(&mut out, UNMASKED)?;
    stream.write_all(&out)?;

    let (mut echoes, mut close) = (Vec::new(), None);
    loop {
        let (rx, messages, tx) = connection.parts();
        let mut rest = &mut input[..];
        let mut out = Vec::new();
        while let Some(event) = rx.receive(&mut rest)? {
            if let Some(reply) = tx.respond(&event) {
                reply.append_to(&mut out, 0);
            }
            match event {
                Event::Data(chunk) => {
                    if let Some(Message::Text(text)) = messages.push(chunk) {
                        echoes.push(text.to_owned());
                    }
                    if echoes.len() == 2 {
                        let (code, reason) = (CloseCode::NORMAL, "");
                        tx.close(Some(CloseFrame { code, reason }))?
                            .append_to(&mut out, 0);
                    }
                }
                Event::Close(Some(CloseFrame { code, reason })) => {
                    close = Some((code.get(), reason.to_owned()));
                }
                _ => {}
            }
        }
        stream.write_all(&out)?;
        input = read(&mut stream)?;
        if input.is_empty() {
            break;
        }
    }
    // The server, having failed the connection, waits for our side to end.
    drop(stream);
    let ending = server.ending()?;
    server.stop()?;
    Ok(Outcome {
        echoes,
        close,
        ending,
    })
}

/// Appends a frame as no client of RFC 6455 may send it.
fn append_unmasked(out: &mut Vec<u8>, text: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let header = Header::new(true, OpCode::Text, None, text.len() as u64)?;
    let mut head = [0; MAX_HEADER_LEN];
    let len = header.encode(&mut head);
    out.extend_from_slice(&head[..len]);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Makes the opening handshake, and returns what was read after it.
fn shake_hands(stream: &mut TcpStream, url: &str) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let mut handshake = ClientRequest::new(Uri::parse(url)?).start_random()?;
    stream.write_all(handshake.request_bytes())?;
    loop {
        let input = read(stream)?;
        if input.is_empty() {
            return Err(handshake
                .eof()
                .map_or_else(Box::from, |response| response.reason.into()));
        }
        match handshake.receive(&input)? {
            ClientProgress::Incomplete => {}
            ClientProgress::Agreed { consumed, .. } => return Ok(input[consumed..].to_vec()),
            ClientProgress::Refused { response, .. } => return Err(response.reason.into()),
        }
    }
}

/// Reads once; nothing at the end.
fn read(stream: &mut TcpStream) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    let mut buffer = vec![0; 4096];
    let len = stream.read(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}
