//! fastwebsockets, after an opening handshake by other means.

use std::error::Error;
use std::process::ExitCode;

use bench_rig::{ClientRun, finish, upgrade};
use fastwebsockets::{Frame, Payload, Role, WebSocket};

fn main() -> ExitCode {
    finish(peers::block_on(run()))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let mut stream = run.connect()?;
    upgrade(&mut stream, run.port)?;
    stream.set_nonblocking(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let mut socket = WebSocket::after_handshake(stream, Role::Client);
    let payload = run.payload.clone();
    while run.goes_on()? {
        let frame = Frame::binary(Payload::Borrowed(&payload));
        socket.write_frame(frame).await?;
    }
    run.print();
    Ok(())
}
