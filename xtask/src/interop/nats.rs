//! NATS: a leaf node that leaves masking out (`ws_no_masking`), through the program `masks`, and
//! the WebSocket port of a server, with the zero key.
//!
//! `masks` takes the leaf node's WebSocket, and leads it to the port of another NATS server where
//! leaf nodes come without WebSocket: what is published at the leaf node arrives there.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    masks::{Frames, masks, next_line},
    setup::Peers,
    tls::output_within,
};
use crate::{
    log::Log,
    proxies::{Proxy, free_port},
    tool::{self, Failure},
};

const LIMIT: Duration = Duration::from_secs(20);
/// How long a message may take that has somebody to go to.
const PATIENCE: Duration = Duration::from_millis(200);

/// A leaf node that asks not to mask, where that is agreed on and accepted, where it is agreed on
/// and not accepted, and where it is not agreed on.
pub(super) fn check_leaf_node(peers: &Peers, adapter: &str, log: &mut Log) -> Result<(), Failure> {
    let Some(program) = &peers.nats else {
        return Ok(());
    };
    let hub = Hub::start(program, &format!("hub-{adapter}"))?;
    for (what, flags) in [
        (
            "without masks",
            &["--agree-no-masking", "--accept-unmasked-frame"][..],
        ),
        (
            "that is not to leave masks out and does",
            &["--agree-no-masking"],
        ),
        ("that has to mask", &["--accept-unmasked-frame"]),
    ] {
        let to = format!("127.0.0.1:{}", hub.leaf_nodes);
        let service = masks(adapter, &[flags, &["--to", &to]].concat())?;
        let url = format!("ws://127.0.0.1:{}/", service.port());
        let name = format!("leaf-{adapter}");
        let leaf = Leaf::start(program, &name, &url)?;
        let is_refused = !flags.contains(&"--accept-unmasked-frame");
        let passed = match is_refused {
            true => Ok(()),
            false => passes(leaf.clients, hub.clients),
        };
        let ended = passed.and_then(|()| {
            if !is_refused {
                // It says goodbye.
                drop(leaf);
            }
            let told = next_line(&service)?;
            println!("{what}: {told}");
            check_counted(is_refused, flags.contains(&"--agree-no-masking"), &told)
        });
        log.note(
            &format!("a leaf node of NATS {what}, with masks --adapter {adapter}"),
            ended,
        );
        log.note(
            &format!("{} stops when asked to", service.name()),
            service.stop(),
        );
    }
    Ok(())
}

fn check_counted(is_refused: bool, is_agreed: bool, told: &str) -> Result<(), Failure> {
    let begins = match is_refused {
        true => "failed 1002: ",
        false => "closed 1001: ",
    };
    let frames = told.strip_prefix(begins).and_then(Frames::parse);
    match frames {
        Some(frames) if is_refused => (frames.unmasked == 0).then_some(()),
        Some(frames) if is_agreed => {
            (frames.all > 0 && frames.unmasked == frames.all).then_some(())
        }
        Some(frames) => (frames.all > 0 && frames.unmasked == 0).then_some(()),
        None => None,
    }
    .ok_or_else(|| Failure::new(format!("the server says {told:?}, not {begins:?}")))
}

/// The command `wsdo`, as a client of NATS that masks with zeros.
pub(super) fn check_zero_key(peers: &Peers, log: &mut Log) -> Result<(), Failure> {
    let Some(program) = &peers.nats else {
        return Ok(());
    };
    let hub = Hub::start(program, "hub-websocket")?;
    let mut child = Command::new(tool::program("wsdo"))
        .args([
            "connect",
            "--set-mask-to-zero",
            "--wire",
            "--crlf",
            "--count",
            "3",
        ])
        .arg(format!("ws://127.0.0.1:{}/", hub.websocket))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::new(format!("cannot run wsdo: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(
            b"CONNECT {\"verbose\":false}\nSUB greeting 1\nPUB greeting 5\nHello\nPING\n",
        )?;
    }
    let output = output_within(child, LIMIT)?;
    let (said, wire) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let frames = wire.lines().filter(|line| line.contains(" > "));
    let are_zero =
        frames.clone().count() >= 5 && frames.clone().all(|line| line.contains(ZERO_KEY));
    let result = match said.contains("MSG greeting 1 5\r\nHello\r\n") && are_zero {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "it says {said:?}; on the wire: {wire}"
        ))),
    };
    log.note(
        "wsdo with the zero key with the WebSocket port of NATS",
        result,
    );
    Ok(())
}

/// As `--wire` shows it.
const ZERO_KEY: &str = " MASK 00 00 00 00 ";

/// Waits until what is published at one server arrives at the other.
fn passes(from: u16, to: u16) -> Result<(), Failure> {
    let (mut from, mut to) = (Client::connect(from)?, Client::connect(to)?);
    to.say("SUB greeting 1\r\n")?;
    let began = Instant::now();
    // Nothing tells when the one server knows of the other's interest: so it is said again.
    while began.elapsed() < LIMIT {
        from.say("PUB greeting 5\r\nHello\r\n")?;
        if to.hears("MSG greeting 1 5\r\nHello\r\n")? {
            return Ok(());
        }
    }
    Err(Failure::new("what was published did not arrive"))
}

/// A client of NATS over TCP.
struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Client {
    fn connect(port: u16) -> Result<Self, Failure> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let heard = Vec::new();
        let mut client = Self { stream, heard };
        client.say("CONNECT {\"verbose\":false}\r\n")?;
        Ok(client)
    }

    fn say(&mut self, line: &str) -> Result<(), Failure> {
        Ok(self.stream.write_all(line.as_bytes())?)
    }

    /// Whether the server says it, before it is quiet for a while.
    fn hears(&mut self, wanted: &str) -> Result<bool, Failure> {
        let mut buffer = [0; 4096];
        loop {
            let is_heard = self.heard.windows(wanted.len());
            if { is_heard }.any(|bytes| bytes == wanted.as_bytes()) {
                return Ok(true);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Failure::new("NATS has ended the connection")),
                Ok(len) => self.heard.extend_from_slice(&buffer[..len]),
                Err(_) => return Ok(false),
            }
        }
    }
}

/// A server to which leaf nodes come.
struct Hub {
    _process: Proxy,
    clients: u16,
    leaf_nodes: u16,
    websocket: u16,
}

impl Hub {
    fn start(program: &Path, name: &str) -> Result<Self, Failure> {
        let (clients, leaf_nodes, websocket) = (free_port()?, free_port()?, free_port()?);
        let config = format!(
            "listen: \"127.0.0.1:{clients}\"\n\
             leafnodes {{ listen: \"127.0.0.1:{leaf_nodes}\" }}\n\
             websocket {{ listen: \"127.0.0.1:{websocket}\", no_tls: true }}\n"
        );
        let process = start(program, name, &config, clients)?;
        Ok(Self {
            _process: process,
            clients,
            leaf_nodes,
            websocket,
        })
    }
}

/// A leaf node, which asks not to mask.
struct Leaf {
    _process: Proxy,
    clients: u16,
}

impl Leaf {
    fn start(program: &Path, name: &str, url: &str) -> Result<Self, Failure> {
        let clients = free_port()?;
        let config = format!(
            "listen: \"127.0.0.1:{clients}\"\n\
             leafnodes {{ reconnect: 1, remotes: [{{ url: \"{url}\", ws_no_masking: true }}] }}\n"
        );
        let process = start(program, name, &config, clients)?;
        Ok(Self {
            _process: process,
            clients,
        })
    }
}

fn start(program: &Path, name: &str, config: &str, port: u16) -> Result<Proxy, Failure> {
    let dir: PathBuf = tool::target_dir().join("interop-nats");
    fs::create_dir_all(&dir)?;
    let file = dir.join(format!("{name}.conf"));
    fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file);
    command.arg("-l").arg(dir.join(format!("{name}.log")));
    Proxy::start(&mut command, port)
}
