//! yawc.

use std::error::Error;
use std::process::ExitCode;

use bench_rig::{ClientRun, finish};
use bytes::Bytes;
use futures_util::SinkExt;
use yawc::{Frame, Options, WebSocket};

fn main() -> ExitCode {
    finish(peers::block_on(run()))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let options = Options::default().without_compression();
    let mut socket = WebSocket::connect(run.url().parse()?)
        .with_options(options)
        .await?;
    let payload = Bytes::copy_from_slice(&run.payload);
    while run.goes_on()? {
        socket.send(Frame::binary(payload.clone())).await?;
    }
    run.print();
    Ok(())
}
