//! Clients that do not mask: `unmasked fastwebsockets|wtx URL...`; see ../README.md. The opening handshake is by hand.

use std::error::Error;
use std::time::Duration;

use fastwebsockets::{Frame, OpCode, Payload, Role};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wtx::collection::Vector;
use wtx::rng::Xorshift64;
use wtx::web_socket::{WebSocketBuffer, WebSocketOwned, WebSocketPayloadOrigin};

type Failure = Box<dyn Error>;

const LENGTHS: [usize; 6] = [5, 125, 126, 65_535, 65_536, 1024 * 1024];
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let library = arguments.next().unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    for url in arguments {
        let talk = async {
            match library.as_str() {
                "fastwebsockets" => by_fastwebsockets(&url).await,
                "wtx" => by_wtx(&url).await,
                _ => Err("there are fastwebsockets and wtx".into()),
            }
        };
        let line = runtime.block_on(async { tokio::time::timeout(LIMIT, talk).await })??;
        println!("{line}");
    }
    Ok(())
}

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + (at % 23) as u8).collect()
}

async fn by_fastwebsockets(url: &str) -> Result<String, Failure> {
    let mut socket = fastwebsockets::WebSocket::after_handshake(opened(url).await?, Role::Client);
    // A client that does not mask: what is written stays as it is.
    socket.set_auto_apply_mask(false);
    socket.set_auto_close(false);
    for (echoes, len) in LENGTHS.into_iter().enumerate() {
        let sent = message(len);
        socket
            .write_frame(Frame::binary(Payload::Borrowed(&sent)))
            .await?;
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(closed(&frame.payload, echoes)),
            _ if frame.payload[..] == sent[..] => {}
            _ => return Err(format!("another message came back than the {len} bytes sent").into()),
        }
    }
    socket.write_frame(Frame::close(1000, b"")).await?;
    let frame = socket.read_frame().await?;
    Ok(closed(&frame.payload, LENGTHS.len()))
}

async fn by_wtx(url: &str) -> Result<String, Failure> {
    use wtx::web_socket::{Frame, OpCode};

    let rng = Xorshift64::from(1);
    let stream = opened(url).await?;
    let mut socket: WebSocketOwned<(), _, _, true> =
        WebSocketOwned::new((), true, rng, stream, WebSocketBuffer::default());
    let mut buffer = Vector::new();
    for (echoes, len) in LENGTHS.into_iter().enumerate() {
        let mut sent = message(len);
        socket
            .write_frame(&mut Frame::new_fin(OpCode::Binary, &mut sent[..]))
            .await?;
        buffer.clear();
        let frame = match socket
            .read_frame(&mut buffer, WebSocketPayloadOrigin::Consistent)
            .await
        {
            // It answers a Close itself, and keeps the code.
            Err(wtx::Error::ClosedWebSocketConnection) => return Ok(unknown(echoes)),
            frame => frame?,
        };
        match frame.op_code() {
            OpCode::Close => return Ok(closed(frame.payload(), echoes)),
            _ if frame.payload()[..] == message(len)[..] => {}
            _ => return Err(format!("another message came back than the {len} bytes sent").into()),
        }
    }
    let mut code = 1000_u16.to_be_bytes();
    socket
        .write_frame(&mut Frame::new_fin(OpCode::Close, &mut code[..]))
        .await?;
    buffer.clear();
    match socket
        .read_frame(&mut buffer, WebSocketPayloadOrigin::Consistent)
        .await
    {
        Err(wtx::Error::ClosedWebSocketConnection) => Ok(unknown(LENGTHS.len())),
        frame => Ok(closed(frame?.payload(), LENGTHS.len())),
    }
}

fn unknown(echoes: usize) -> String {
    format!("closed unknown after {echoes} echoes")
}

fn closed(payload: &[u8], echoes: usize) -> String {
    let code = payload
        .first_chunk()
        .map_or(1005, |code| u16::from_be_bytes(*code));
    format!("closed {code} after {echoes} echoes")
}

/// Connects, and makes the opening handshake.
async fn opened(url: &str) -> Result<TcpStream, Failure> {
    let authority = url.strip_prefix("ws://").ok_or("not a ws:// URL")?;
    let authority = authority.trim_end_matches('/');
    let mut stream = TcpStream::connect(authority).await?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte: what is behind the head stays in the stream.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    match head.starts_with(b"HTTP/1.1 101 ") && head.len() < 8192 {
        true => Ok(stream),
        false => Err(String::from_utf8_lossy(&head).into()),
    }
}
