//! A client of `ws-smol`, which sends one message after the other.

use std::{error::Error, process::ExitCode};

use bench_rig::{ClientRun, Masks, Placed, finish};
use ws_smol::{ClientRequest, Connector, Uri};

fn main() -> ExitCode {
    finish(smol::block_on(run()))
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let request = ClientRequest::new(Uri::parse(&run.url())?);
    let connector = Connector::new().set_mask_to_zero(run.masks == Masks::Zero);
    let mut websocket = connector.connect(request).await?;
    let payload = Placed::of(&run.payload);
    while run.goes_on()? {
        websocket.send(payload.as_slice()).await?;
    }
    run.print();
    Ok(())
}
