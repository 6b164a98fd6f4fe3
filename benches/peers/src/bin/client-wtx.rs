//! wtx, which masks a payload where it lies: every message is what the last one was masked to.

use std::error::Error;
use std::process::ExitCode;

use bench_rig::{ClientRun, finish};
use tokio::net::TcpStream;
use wtx::misc::UriRef;
use wtx::web_socket::{Frame, OpCode, WebSocketConnector};

fn main() -> ExitCode {
    finish(peers::block_on(run()))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let stream = TcpStream::connect(("127.0.0.1", run.port)).await?;
    stream.set_nodelay(true)?;
    let url = run.url();
    let mut socket = WebSocketConnector::default()
        .connect(stream, &UriRef::new(&url))
        .await?;
    let mut payload = run.payload.clone();
    while run.goes_on()? {
        let mut frame = Frame::new_fin(OpCode::Binary, &mut payload[..]);
        socket.write_frame(&mut frame).await?;
    }
    run.print();
    Ok(())
}
