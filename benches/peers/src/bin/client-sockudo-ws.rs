//! sockudo-ws by its interface without I/O, after an opening handshake by other means.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use bench_rig::{ClientRun, finish, upgrade};
use bytes::{Bytes, BytesMut};
use sockudo_ws::protocol::Protocol;
use sockudo_ws::{Message, Role};

const MAX_MESSAGE: usize = 16 * 1024 * 1024;

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let mut stream = run.connect()?;
    upgrade(&mut stream, run.port)?;
    let mut protocol = Protocol::new(Role::Client, MAX_MESSAGE, MAX_MESSAGE);
    let message = Message::Binary(Bytes::copy_from_slice(&run.payload));
    let mut output = BytesMut::new();
    while run.goes_on()? {
        protocol.encode_message(&message, &mut output)?;
        stream.write_all(&output)?;
        output.clear();
    }
    run.print();
    Ok(())
}
