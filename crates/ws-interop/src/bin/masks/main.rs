//! A server that counts how what it gets is masked, and says so of each connection that ends:
//!
//! ```text
//! closed 1000: 3 frames, 3 unmasked, 0 zero key
//! ```
//!
//! `failed CODE` stands instead of `closed CODE` where the client broke the protocol, with the code
//! that it was told.

mod on_mio;
mod on_smol;

use std::{net::SocketAddr, process::ExitCode};

use examples::{unexpected, value_with};
use lexopt::{Arg, Parser};
use ws_interop::{Failure, address};
use ws_smol::{ProtocolError, Request};

const HELP: &str = "
A server that echoes, or leads to a TCP port, and counts how the frames of each connection were masked.

  --adapter mio|smol       which event loop to run on (default: mio)
  --accept-unmasked-frame  take frames without a mask
  --agree-no-masking       answer Nats-No-Masking: true where a client says so
  --to ADDRESS:PORT        pass the bytes of messages on to there, and what comes back
                           as binary messages, instead of an echo
";

#[derive(Clone, Copy, Debug)]
struct Options {
    is_mio: bool,
    accepts_unmasked: bool,
    agrees_no_masking: bool,
    to: Option<SocketAddr>,
}

fn main() -> ExitCode {
    examples::log_to_stderr(false);
    examples::finish(run())
}

fn run() -> Result<(), Failure> {
    let options = Options::from_arguments()?;
    match options.is_mio {
        true => on_mio::serve(options),
        false => on_smol::serve(options),
    }
}

impl Options {
    fn from_arguments() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            is_mio: true,
            accepts_unmasked: false,
            agrees_no_masking: false,
            to: None,
        };
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("adapter") => {
                    options.is_mio = value_with(&mut arguments, "--adapter", |name| match name {
                        "mio" => Ok(true),
                        "smol" => Ok(false),
                        _ => Err("there are mio and smol"),
                    })?;
                }
                Arg::Long("accept-unmasked-frame") => options.accepts_unmasked = true,
                Arg::Long("agree-no-masking") => options.agrees_no_masking = true,
                Arg::Long("to") => options.to = Some(address(&mut arguments, "--to")?),
                argument => return Err(unexpected(argument, HELP)),
            }
        }
        Ok(options)
    }

    /// The header by which a NATS server agrees that a leaf node does not mask, where it is to be
    /// sent.
    fn agreement(&self, request: &Request<'_>) -> Option<(&'static str, &'static str)> {
        let is_asked = request.header(NO_MASKING) == Some(b"true");
        (self.agrees_no_masking && is_asked).then_some((NO_MASKING, "true"))
    }
}

/// Says which code a client that broke the protocol was told, and 0 for none.
fn failed(error: &ProtocolError) -> String {
    let code = error.close_code().map_or(0, |code| code.get());
    format!("failed {code}")
}

const NO_MASKING: &str = "Nats-No-Masking";
