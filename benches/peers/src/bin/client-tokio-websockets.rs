//! tokio-websockets.

use std::error::Error;
use std::process::ExitCode;

use bench_rig::{ClientRun, finish};
use bytes::Bytes;
use futures_util::SinkExt;
use tokio_websockets::{ClientBuilder, Config, Message};

fn main() -> ExitCode {
    finish(peers::block_on(run()))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let config = Config::default().frame_size(usize::MAX);
    let url = run.url();
    let (mut socket, _) = ClientBuilder::new()
        .config(config)
        .uri(&url)?
        .connect()
        .await?;
    let payload = Bytes::copy_from_slice(&run.payload);
    while run.goes_on()? {
        socket.send(Message::binary(payload.clone())).await?;
    }
    run.print();
    Ok(())
}
