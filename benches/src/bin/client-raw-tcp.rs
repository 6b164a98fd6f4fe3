//! The floor of a client: writes the same bytes again and again.

use std::{error::Error, io::Write, process::ExitCode};

use bench_rig::{ClientRun, OPCODE_BINARY, Placed, append_frame, finish, upgrade};

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let mut stream = run.connect()?;
    upgrade(&mut stream, run.port)?;
    let mut frame = Vec::new();
    append_frame(&mut frame, true, OPCODE_BINARY, run.masks, 1, &run.payload);
    let frame = Placed::of(&frame);
    while run.goes_on()? {
        stream.write_all(frame.as_slice())?;
    }
    run.print();
    Ok(())
}
