//! sockudo-ws by its interface without I/O, `Protocol`: one write for all that a read brought, and
//! long payloads from where they lie.

use std::io::{self, IoSlice};
use std::process::ExitCode;

use bytes::BytesMut;
use sockudo_ws::frame::encode_frame_header;
use sockudo_ws::protocol::Protocol;
use sockudo_ws::{Error, Message, OpCode, Role};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_MESSAGE: usize = 16 * 1024 * 1024;
const READ: usize = 64 * 1024;
/// A payload up to this size is copied beside other frames.
const COPY_MAX: usize = 16 * 1024;

fn main() -> ExitCode {
    peers::run(|stream| tokio::task::unconstrained(serve(stream)))
}

async fn serve(mut stream: TcpStream) -> Result<(), Error> {
    let mut input = peers::sockudo::accept(&mut stream, |_| None).await?;
    let mut protocol = Protocol::new(Role::Server, MAX_MESSAGE, MAX_MESSAGE);
    let mut messages = Vec::new();
    let mut output = BytesMut::new();
    loop {
        protocol.process_into(&mut input, &mut messages)?;
        for message in messages.drain(..) {
            match &message {
                Message::Text(payload) | Message::Binary(payload) if payload.len() > COPY_MAX => {
                    let opcode = match message.is_text() {
                        true => OpCode::Text,
                        false => OpCode::Binary,
                    };
                    encode_frame_header(&mut output, opcode, payload.len(), true, None);
                    write_both(&mut stream, &output, payload).await?;
                    output.clear();
                }
                Message::Text(_) | Message::Binary(_) => {
                    protocol.encode_message(&message, &mut output)?;
                }
                Message::Ping(payload) => protocol.encode_pong(payload, &mut output),
                Message::Pong(_) => {}
                Message::Close(_) => {
                    protocol.encode_close_response(&mut output);
                    stream.write_all(&output).await?;
                    return Ok(());
                }
            }
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        input.reserve(READ);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

async fn write_both(stream: &mut TcpStream, mut head: &[u8], mut payload: &[u8]) -> io::Result<()> {
    while !head.is_empty() {
        let slices = [IoSlice::new(head), IoSlice::new(payload)];
        let written = stream.write_vectored(&slices).await?;
        let of_head = written.min(head.len());
        head = &head[of_head..];
        payload = &payload[written - of_head..];
    }
    stream.write_all(payload).await
}
