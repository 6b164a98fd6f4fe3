//! A client of `ws-proto` over a blocking stream: vectored writes where no key must be applied,
//! else a buffer that is masked into.

use std::{
    error::Error,
    io::{IoSlice, Write},
    net::TcpStream,
    process::ExitCode,
};

use bench_rig::{ClientRun, Masks, Placed, finish, upgrade};
use ws_proto::{ClientMasking, Message, OutFrame, Sender};

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let mut stream = run.connect()?;
    upgrade(&mut stream, run.port)?;
    let masking = ClientMasking::with_set_mask_to_zero(run.masks == Masks::Zero);
    let mut sender = Sender::new(masking);
    let payload = Placed::of(&run.payload);
    let mut buffer = Vec::new();
    while run.goes_on()? {
        let frame = sender.message(Message::Binary(payload.as_slice()))?;
        write(&mut stream, &frame, &mut buffer)?;
    }
    run.print();
    Ok(())
}

fn write(
    stream: &mut TcpStream,
    frame: &OutFrame<'_>,
    buffer: &mut Vec<u8>,
) -> Result<(), Box<dyn Error>> {
    let Some([mut head, mut payload]) = frame.as_slices() else {
        buffer.clear();
        frame.append_to(buffer, 0);
        return Ok(stream.write_all(buffer)?);
    };
    while !head.is_empty() {
        let written = stream.write_vectored(&[IoSlice::new(head), IoSlice::new(payload)])?;
        let of_head = written.min(head.len());
        head = &head[of_head..];
        payload = &payload[written - of_head..];
    }
    Ok(stream.write_all(payload)?)
}
