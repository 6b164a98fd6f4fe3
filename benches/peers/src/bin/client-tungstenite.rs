//! tungstenite over a blocking stream.

use std::error::Error;
use std::process::ExitCode;

use bench_rig::{ClientRun, finish};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::{Message, client};

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let (mut socket, _) = client(run.url(), run.connect()?)?;
    let payload = Bytes::copy_from_slice(&run.payload);
    while run.goes_on()? {
        socket.send(Message::Binary(payload.clone()))?;
    }
    run.print();
    Ok(())
}
