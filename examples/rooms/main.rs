//! Chat rooms over two processes and a Redis, none of which a page has to
//! trust: it comes back with its last position, to whichever server is there.
//!
//! ```sh
//! cargo run --release -p examples --bin rooms
//! ```
//!
//! Open the page that it names, write something every moment, and press the
//! button that kills the server: the page goes on with the other one, and says
//! whether anything was missed. Without `redis-server` there is one process,
//! on the memory engine. With `--nats` the servers use a NATS that runs, in
//! place of a Redis.

mod server;
mod supervisor;

use std::{error::Error, process::ExitCode};

use lexopt::{Arg, Parser, ValueExt as _};

const HELP: &str = "
Chat rooms over two processes and a Redis.

Usage: rooms [OPTIONS]
       rooms --listen ADDRESS:PORT [OPTIONS]

Without --listen it starts redis-server in a folder of its own, and two servers; a server that is
killed is started again. Without redis-server (apt-get install redis-server, brew install redis)
it is one server on the memory engine.

  --listen ADDRESS:PORT   be one server; port 0 is any free one
  --redis HOST:PORT      use this Redis (default with --listen: the memory engine)
  --password PASSWORD    its password
  --nats HOST:PORT       use this NATS, with JetStream (nats-server -js), and no Redis
  --peer ADDRESS:PORT    another server, for the page; may be given several times
  -h, --help             print this
";

#[derive(Debug, Default)]
struct Options {
    listen: Option<String>,
    redis: Option<String>,
    password: Option<String>,
    nats: Option<String>,
    peers: Vec<String>,
}

fn main() -> ExitCode {
    examples::finish(
        Options::from_arguments().and_then(|options| match &options.listen {
            Some(address) => server::serve(address, &options),
            None => supervisor::run(&options),
        }),
    )
}

impl Options {
    fn from_arguments() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut options = Self::default();
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => options.listen = Some(arguments.value()?.string()?),
                Arg::Long("redis") => options.redis = Some(arguments.value()?.string()?),
                Arg::Long("password") => options.password = Some(arguments.value()?.string()?),
                Arg::Long("nats") => options.nats = Some(arguments.value()?.string()?),
                Arg::Long("peer") => options.peers.push(arguments.value()?.string()?),
                argument => return Err(examples::unexpected(argument, HELP).into()),
            }
        }
        Ok(options)
    }
}
