//! A process of `ws-mio` that the bars are measured with: one room, on a Redis or on none.
//!
//! A client says `join`, or `join POSITION` when it comes back, and then gets each message with its
//! position in front; `reads`, and is told how often the history was read. What it says in binary
//! is published.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use ws_backplane::{
    Discontinuity, Limits, Position, Publish, Recovery, Redis, connect_tcp,
    mio::{Encode, Hub, spawn},
};
use ws_mio::{Closed, Config, Handler, Message, OriginPolicy, Peer, Prepared, Remote, Server};

use crate::Failure;

const ROOM: &str = "room";

/// A process that serves.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    /// Starts this program again, on the Redis at this port, or on none.
    pub(crate) fn start(redis: Option<u16>) -> Result<Self, Failure> {
        let port = redis.map_or_else(|| "none".into(), |port| port.to_string());
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", &port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let address = BufReader::new(output).lines().next().ok_or("it ended")??;
        Ok(Self { child, address })
    }

    /// The processor time that it has used.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        let mut nanos = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanos += text.split(' ').next().ok_or("schedstat")?.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until the end of its standard input.
pub(crate) fn serve(redis: Option<u16>) -> Result<(), Failure> {
    let server: Server<Room> = Server::bind("127.0.0.1:0", Config::new(OriginPolicy::Any))?;
    let remote: Remote<Room> = server.remote();
    let hub = redis.map(|port| {
        let connect = move || connect_tcp("127.0.0.1", port);
        spawn(
            Redis::new(),
            Limits::default(),
            connect,
            remote.clone(),
            Lines,
        )
    });
    let hub = hub.transpose()?.map(|(hub, _)| hub);
    println!("{}", server.local_addr()?);
    std::thread::spawn(move || {
        // Whoever started it is gone.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    server.run_with(move |_| Room {
        hub: hub.clone(),
        remote: remote.clone(),
    })?;
    Ok(())
}

struct Lines;

impl Encode for Lines {
    fn message(&mut self, _: &str, position: Position, payload: &[u8]) -> Prepared {
        line(&position.to_string(), payload)
    }

    fn discontinuity(&mut self, _: &str, discontinuity: &Discontinuity) -> Prepared {
        Prepared::new(Message::Text(&format!("lost {}", discontinuity.why)))
    }
}

fn line(position: &str, payload: &[u8]) -> Prepared {
    let mut line = Vec::with_capacity(position.len() + 1 + payload.len());
    line.extend_from_slice(position.as_bytes());
    line.push(b'\n');
    line.extend_from_slice(payload);
    Prepared::new(Message::Binary(&line))
}

struct Room {
    hub: Option<Hub<Self, mio::net::TcpStream>>,
    remote: Remote<Self, mio::net::TcpStream>,
}

impl Handler for Room {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        match (message, &self.hub) {
            (Message::Text("reads"), Some(hub)) => {
                let reads = hub.node().metrics().history_reads;
                peer.send(Message::Text(&format!("reads {reads}")));
            }
            (Message::Text(join), Some(hub)) => {
                let since = join
                    .strip_prefix("join ")
                    .and_then(|since| since.parse().ok());
                hub.join(peer.id(), ROOM, since, |recovery| match recovery {
                    Ok(Recovery::Recovered {
                        messages: [],
                        position,
                    }) => {
                        vec![Prepared::new(Message::Text(&format!("at {position}")))]
                    }
                    Ok(Recovery::Recovered { messages, .. }) => {
                        let lines = messages.iter();
                        lines
                            .map(|message| line(&message.position.to_string(), &message.payload))
                            .collect()
                    }
                    other => vec![Prepared::new(Message::Text(&format!("lost {other:?}")))],
                });
            }
            (Message::Text(_), None) => {
                peer.subscribe(Arc::from(ROOM));
                peer.send(Message::Text("at the end"));
            }
            (Message::Binary(payload), Some(hub)) => {
                let _ = hub
                    .node()
                    .publish(ROOM, payload.to_vec(), Publish::default());
            }
            (Message::Binary(payload), None) => {
                // As long as a position of an engine is.
                let _ = self
                    .remote
                    .publish(ROOM, &line("0123456789abcdef-1000", payload));
            }
        }
    }

    fn on_close(&mut self, _: &mut Peer<'_, ()>, _: Closed<'_>) {
        if let Some(hub) = &self.hub {
            hub.leave(ROOM);
        }
    }
}
