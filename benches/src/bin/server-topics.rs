//! A server of `ws-mio` whose peers are all subscribed to many topics: a message begins with the
//! number of one, and goes to everybody. Whoever connects to its other port is told the counters,
//! also when the server takes no more connections.

use std::{error::Error, io::Write, net::TcpListener, process::ExitCode, sync::Arc, thread};

use bench_rig::{Arguments, finish};
use ws_mio::{
    Config, Handler, KeepaliveConfig, Message, OriginPolicy, Peer, Prepared, Remote, Server,
    SlowConsumer, TimeLimits,
};

const HELP: &str = "\
server-topics [--topics N] [--policy drop-newest|drop-oldest|close]
              [--max-backpressure BYTES] [--max-memory BYTES]
";

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::from_env();
    if arguments.flag("--help") || arguments.flag("-h") {
        print!("{HELP}");
        return Ok(());
    }
    let count: u16 = arguments.value("--topics")?.unwrap_or(1000);
    let mut config = Config::new(OriginPolicy::Any);
    if let Some(name) = arguments.value::<String>("--policy")? {
        config.slow_consumer = policy(&name)?;
    }
    if let Some(bytes) = arguments.value("--max-backpressure")? {
        config.max_backpressure = bytes;
    }
    if let Some(bytes) = arguments.value("--max-memory")? {
        config.max_memory = bytes;
    }
    arguments.end()?;
    // Who never reads is to stay for as long as it is measured; by default time ends that, too.
    config.keepalive = KeepaliveConfig::OFF;
    config.time_limits = TimeLimits::UNLIMITED;
    let topics = (0..count).map(|number| format!("topic {number}").into());
    let server = Server::bind("127.0.0.1:0", config)?;
    let (counters, remote) = (TcpListener::bind("127.0.0.1:0")?, server.remote());
    println!(
        "counters at {}, listening on {}",
        counters.local_addr()?,
        server.local_addr()?
    );
    thread::spawn(move || tell(&counters, &remote));
    Ok(server.run(Topics(topics.collect()))?)
}

fn tell(counters: &TcpListener, remote: &Remote<Topics>) {
    for mut stream in counters.incoming().map_while(Result::ok) {
        // Who does not wait for them is not told.
        let _ = stream.write_all(remote.metrics().to_prometheus().as_bytes());
    }
}

struct Topics(Vec<Arc<str>>);

impl Handler for Topics {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        for topic in &self.0 {
            peer.subscribe(Arc::clone(topic));
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let Some((number, _)) = message.as_bytes().split_first_chunk() else {
            return;
        };
        let number = u16::from_be_bytes(*number);
        if let Some(topic) = self.0.get(usize::from(number)) {
            peer.publish(Arc::clone(topic), &Prepared::new(message));
        }
    }
}

fn policy(name: &str) -> Result<SlowConsumer, String> {
    match name {
        "drop-newest" => Ok(SlowConsumer::DropNewest),
        "drop-oldest" => Ok(SlowConsumer::DropOldest),
        "close" => Ok(SlowConsumer::Close),
        _ => Err(format!("no policy {name:?}")),
    }
}
