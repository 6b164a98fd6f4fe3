//! Connecting, and the opening handshake in its shortest form.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::Deflate;

/// How many connections leave from one address, at most.
const PER_ADDRESS: usize = 4096;

/// The address that connection `number` leaves from: a loopback address has ports for some ten
/// thousand only.
#[must_use]
pub fn address(number: usize) -> SocketAddr {
    let last = (number / PER_ADDRESS % 250) as u8 + 1;
    SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0).into()
}

/// Connects connection `number` to a port of this machine, without a delay for small frames.
///
/// # Errors
///
/// Those of the system.
pub fn connect(port: u16, number: usize) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    if number >= PER_ADDRESS {
        socket.bind(&address(number).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    // Reset when it is dropped: nothing waits, and holds its port, after a run.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The request that every connection begins with.
#[must_use]
pub fn upgrade_request(port: u16) -> Vec<u8> {
    request(port, "")
}

fn request(port: u16, more: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
    .into_bytes()
}

/// Makes a WebSocket of a connection, and returns what came behind the reply's head.
///
/// # Errors
///
/// Any reply but 101, and those of the system.
pub fn upgrade(stream: &mut (impl Read + Write), port: u16) -> io::Result<Vec<u8>> {
    upgrade_with(stream, port, None)
}

/// Does the same, and agrees on compression, if there is to be any.
///
/// # Errors
///
/// As [`upgrade`], and of a server that agrees to something else.
pub fn upgrade_with(
    stream: &mut (impl Read + Write),
    port: u16,
    deflate: Option<Deflate>,
) -> io::Result<Vec<u8>> {
    let offer = deflate.map_or(String::new(), |deflate| {
        format!("Sec-WebSocket-Extensions: {}\r\n", deflate.offer())
    });
    stream.write_all(&request(port, &offer))?;
    let mut reply = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let len = stream.read(&mut buffer)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        reply.extend_from_slice(&buffer[..len]);
        if let Some(end) = reply.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = reply.split_off(end + 4);
            if !reply.starts_with(b"HTTP/1.1 101") {
                let reply = String::from_utf8_lossy(&reply);
                return Err(io::Error::other(format!("refused: {reply}")));
            }
            deflate.map_or(Ok(()), |deflate| deflate.check(&reply))?;
            return Ok(rest);
        }
    }
}

/// How long to wait for a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);
