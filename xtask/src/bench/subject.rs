//! What is measured: our servers, the floor, and other WebSocket libraries.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    cell::{Cell, Deflate, Load, Masks},
    without_xor,
};
use crate::tool::{self, Failure};

/// A server or client that can be measured.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// The crate whose version the report tells, or how else it is known.
    pub(super) package: &'static str,
    /// How it is driven, for the report.
    pub(super) driven: &'static str,
    origin: Origin,
    server: Option<&'static str>,
    client: Option<&'static str>,
    /// Behind the program, in every run.
    arguments: &'static [&'static str],
    /// Whether the program has `--mode broadcast`.
    broadcasts: bool,
    /// What makes the server accept unmasked frames; `None` if nothing does.
    unmasked: Option<&'static [&'static str]>,
    /// The server that takes `--deflate`; `None` if none does.
    deflates: Option<&'static str>,
    /// Whether the server takes `--tls-cert` and `--tls-key`.
    secures: bool,
    /// Which cores it is pinned to.
    pub(super) cores: &'static str,
    /// The cells that it is there for, if that is not all that it can do.
    only: Option<&'static [&'static str]>,
}

/// The cells in which it shows what the streams of other reactors cost.
const SMALL: &[&str] = &[
    "125/64/1",
    "125/512/1",
    "16/64/16",
    "1K/64/16",
    "16K/64/1",
    "calls/125/64",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Floor,
    /// A floor that looks like a WebSocket server to a client that comes and goes.
    Exchange,
    Ours,
    /// Ours, compiled from a copy of the sources in which the XOR does nothing.
    WithoutXor,
    /// A binary of the workspace `benches/peers`.
    Peer,
    /// uWebSockets, of the sources that a crate ships.
    Uws,
    /// A script for Node.js.
    Node,
}

impl Subject {
    const NONE: Self = Self {
        name: "",
        package: "",
        driven: "",
        origin: Origin::Peer,
        server: None,
        client: None,
        arguments: &[],
        broadcasts: false,
        unmasked: None,
        deflates: None,
        secures: false,
        cores: "0",
        only: None,
    };

    pub(super) fn is_ours(&self) -> bool {
        self.origin == Origin::Ours
    }

    /// As the others have one.
    pub(super) fn is_ours_on_one_core(&self) -> bool {
        self.is_ours() && self.cores == Self::NONE.cores
    }

    pub(super) fn is_raw(&self) -> bool {
        self.origin == Origin::Floor
    }

    pub(super) fn is_floor(&self) -> bool {
        matches!(self.origin, Origin::Floor | Origin::Exchange)
    }

    pub(super) fn is_peer(&self) -> bool {
        matches!(self.origin, Origin::Peer | Origin::Uws | Origin::Node)
    }

    /// Whether it is a server of WebSockets.
    pub(super) fn is_verifiable(&self) -> bool {
        self.server.is_some() && (self.is_ours() || self.is_peer())
    }

    /// Whether there is anything to measure.
    pub(super) fn can(&self, cell: &Cell) -> bool {
        if let Some(only) = self.only
            && !only.contains(&cell.to_string().as_str())
        {
            return false;
        }
        if cell.is_secure && !self.secures {
            return false;
        }
        match cell.load {
            Load::Client { masks, .. } => {
                self.client.is_some() && (masks == Masks::Random || self.is_ours() || self.is_raw())
            }
            Load::Echo { masks, .. } => {
                self.server.is_some()
                    && (masks != Masks::None || self.unmasked.is_some() || self.is_raw())
            }
            Load::Broadcast { .. } => self.server.is_some() && self.broadcasts,
            Load::Deflate { .. } | Load::Memory { .. } if cell.deflate().is_some() => {
                self.deflates.is_some()
            }
            _ => self.server.is_some(),
        }
    }

    /// The server, as it is to be started for a cell.
    pub(super) fn server(&self, cell: &Cell) -> Option<Vec<String>> {
        let mut line = self.program(match cell.deflate() {
            Some(_) => self.deflates?,
            None => self.server?,
        });
        line.extend(self.arguments.iter().map(ToString::to_string));
        line.extend(cell.deflate().into_iter().flat_map(Deflate::arguments));
        let mode = match cell.load {
            Load::Broadcast { .. } => Some("broadcast"),
            Load::Churn if self.is_raw() => Some("close"),
            _ => None,
        };
        line.extend(
            mode.into_iter()
                .flat_map(|mode| ["--mode".to_owned(), mode.to_owned()]),
        );
        if let Load::Echo {
            masks: Masks::None, ..
        } = cell.load
        {
            line.extend(self.unmasked.into_iter().flatten().map(ToString::to_string));
        }
        Some(line)
    }

    /// The client, as it is to be started for the cells of clients.
    pub(super) fn client(&self) -> Option<Vec<String>> {
        Some(self.program(self.client?))
    }

    fn program(&self, name: &str) -> Vec<String> {
        let path = match self.origin {
            Origin::Floor | Origin::Exchange | Origin::Ours => our_program(name),
            Origin::WithoutXor => without_xor::target().join("release").join(name),
            Origin::Peer => peers_target().join("release").join(name),
            Origin::Uws => uws_folder().join(name),
            Origin::Node => {
                return vec![
                    "node".to_owned(),
                    node_folder().join(name).display().to_string(),
                ];
            }
        };
        vec![path.display().to_string()]
    }
}

/// A program of the package `benches`.
pub(super) fn our_program(name: &str) -> PathBuf {
    tool::target_dir().join("release").join(name)
}

/// Builds what `wanted` needs, and leaves out, with a word, what cannot be built here.
pub(super) fn build(wanted: Vec<&'static Subject>) -> Result<Vec<&'static Subject>, Failure> {
    tool::run(tool::cargo().args(["build", "--release", "--package", "benches", "--bins"]))?;
    let mut left_out = Vec::new();
    for (origin, what, build) in [
        (
            Origin::Peer,
            "peers",
            build_peers as fn() -> Result<(), Failure>,
        ),
        (Origin::WithoutXor, "server without XOR", without_xor::build),
        (Origin::Uws, "server uws", build_uws),
        (Origin::Node, "peers on Node.js", install_node),
    ] {
        if wanted.iter().any(|subject| subject.origin == origin)
            && let Err(failure) = build()
        {
            eprintln!("going on without the {what}: {failure}");
            left_out.push(origin);
        }
    }
    Ok(wanted
        .into_iter()
        .filter(|subject| !left_out.contains(&subject.origin))
        .collect())
}

fn build_peers() -> Result<(), Failure> {
    tool::run(
        tool::cargo()
            .args(["build", "--release", "--locked", "--manifest-path"])
            .arg(tool::root().join("benches/peers/Cargo.toml"))
            .arg("--target-dir")
            .arg(peers_target()),
    )
}

/// A folder of its own, as other programs of other versions are in there.
fn peers_target() -> PathBuf {
    tool::target_dir().join("peers")
}

fn uws_folder() -> PathBuf {
    tool::target_dir().join("peers-uws")
}

/// Compiles uWebSockets on epoll, without TLS and compression, for plain x86-64.
fn build_uws() -> Result<(), Failure> {
    if !tool::is_installed("g++") {
        return Err(Failure::new("g++ is not installed"));
    }
    let package = tool::root().join("benches/peers/uws");
    let metadata = tool::output_of(
        tool::cargo()
            .args([
                "metadata",
                "--locked",
                "--format-version",
                "1",
                "--manifest-path",
            ])
            .arg(package.join("Cargo.toml")),
    )?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|error| Failure::new(error.to_string()))?;
    let sources = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|entry| entry["name"] == "libuwebsockets-sys")
        .and_then(|entry| Path::new(entry["manifest_path"].as_str()?).parent())
        .ok_or_else(|| Failure::new("the crate libuwebsockets-sys is not there"))?
        .join("uWebSockets");
    let folder = uws_folder();
    let program = folder.join("server-uws");
    let source = package.join("server.cpp");
    if is_newer(&program, &source) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    let sockets = sources.join("uSockets/src");
    let mut objects = Vec::new();
    for name in [
        "bsd",
        "context",
        "loop",
        "socket",
        "udp",
        "eventing/epoll_kqueue",
    ] {
        let object = folder.join(format!("{}.o", name.replace('/', "-")));
        tool::run(
            Command::new("gcc")
                .args(["-O3", "-flto", "-std=c11", "-DLIBUS_NO_SSL", "-c", "-I"])
                .args([&sockets, &sockets.join(format!("{name}.c"))])
                .arg("-o")
                .arg(&object),
        )?;
        objects.push(object);
    }
    tool::run(
        Command::new("g++")
            .args([
                "-O3",
                "-flto=auto",
                "-std=c++20",
                "-DLIBUS_NO_SSL",
                "-DUWS_NO_ZLIB",
            ])
            .arg("-I")
            .arg(sources.join("src"))
            .arg("-I")
            .arg(&sockets)
            .arg(source)
            .args(objects)
            .arg("-o")
            .arg(program),
    )
}

fn is_newer(program: &Path, source: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    modified(program) > modified(source)
}

fn node_folder() -> PathBuf {
    tool::target_dir().join("peers-node")
}

fn install_node() -> Result<(), Failure> {
    if !tool::is_installed("node") || !tool::is_installed("npm") {
        return Err(Failure::new("node and npm are not installed"));
    }
    let (from, to) = (tool::root().join("benches/peers/node"), node_folder());
    std::fs::create_dir_all(&to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    tool::run(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--silent"])
            .current_dir(to),
    )
}

pub(super) const SUBJECTS: &[Subject] = &[
    Subject {
        name: "raw",
        package: "mio",
        driven: "the floor: TCP echo without frames, one read and one write a wake-up; in `churn` \
                 accepts, reads once and closes; as a client it writes frames made before",
        origin: Origin::Floor,
        server: Some("server-raw-tcp"),
        client: Some("client-raw-tcp"),
        broadcasts: true,
        ..Subject::NONE
    },
    Subject {
        name: "raw-exchange",
        package: "mio",
        driven: "in `churn` alone: TCP with the reads and writes of a WebSocket's opening and \
                 closing handshake, without looking at them",
        origin: Origin::Exchange,
        server: Some("server-raw-tcp"),
        arguments: &["--mode", "exchange"],
        only: Some(&["churn"]),
        ..Subject::NONE
    },
    Subject {
        name: "ws-mio",
        package: "ws-mio",
        driven: "as its documentation shows it",
        origin: Origin::Ours,
        server: Some("server-ws-mio"),
        deflates: Some("server-ws-mio"),
        client: Some("client-ws-mio"),
        broadcasts: true,
        unmasked: Some(&["--accept-unmasked-frame"]),
        secures: true,
        ..Subject::NONE
    },
    Subject {
        name: "ws-mio-2",
        package: "ws-mio",
        driven: "two loops on two cores, which they share with the generator",
        origin: Origin::Ours,
        server: Some("server-ws-mio"),
        arguments: &["--threads", "2"],
        cores: "0,1",
        only: Some(&["125/64/1", "125/512/1"]),
        ..Subject::NONE
    },
    Subject {
        name: "ws-mio-no-xor",
        package: "ws-mio",
        driven: "compiled from a copy of the sources in which the XOR returns at once; what it \
                 sends back is still masked with the key",
        origin: Origin::WithoutXor,
        server: Some("server-ws-mio"),
        only: Some(&["256K/64/1", "1M/1/1"]),
        ..Subject::NONE
    },
    Subject {
        name: "ws-smol",
        package: "ws-smol",
        driven: "on one thread; short replies queued until nothing is to be received; broadcasts \
                 through a channel for each connection",
        origin: Origin::Ours,
        server: Some("server-ws-smol"),
        deflates: Some("server-ws-smol"),
        client: Some("client-ws-smol"),
        broadcasts: true,
        unmasked: Some(&["--accept-unmasked-frame"]),
        secures: true,
        ..Subject::NONE
    },
    Subject {
        name: "ws-smol-async-io",
        package: "ws-smol",
        driven: "`receive_with` on streams of `async-io`, which register anew for each read",
        origin: Origin::Ours,
        server: Some("server-ws-smol"),
        arguments: &["--streams", "async-io"],
        only: Some(SMALL),
        ..Subject::NONE
    },
    Subject {
        name: "ws-tokio",
        package: "ws-tokio",
        driven: "`receive_with` on streams of tokio, on its runtime of one thread",
        origin: Origin::Ours,
        server: Some("server-ws-tokio"),
        only: Some(SMALL),
        ..Subject::NONE
    },
    Subject {
        name: "ws-proto",
        package: "ws-proto",
        driven: "as a client: blocking, vectored writes where no key must be applied",
        origin: Origin::Ours,
        client: Some("client-ws-proto"),
        ..Subject::NONE
    },
    Subject {
        name: "uws",
        package: "libuwebsockets-sys",
        driven: "uWebSockets (C++), its examples' echo and publish; -O3 -flto, epoll, no TLS, no \
                 compression; takes unmasked frames for masked ones",
        origin: Origin::Uws,
        server: Some("server-uws"),
        broadcasts: true,
        ..Subject::NONE
    },
    Subject {
        name: "tokio-websockets",
        package: "tokio-websockets",
        driven: "reads all that is ready, feeds, then one flush; broadcasts through a channel for \
                 each connection; as a client with keys of `fastrand`",
        server: Some("server-tokio-websockets"),
        client: Some("client-tokio-websockets"),
        broadcasts: true,
        secures: true,
        ..Subject::NONE
    },
    Subject {
        name: "tokio-tungstenite",
        package: "tokio-tungstenite",
        driven: "16 KiB read buffer; reads all that is ready, feeds, then one flush; broadcasts \
                 through a channel for each connection; as a client tungstenite, blocking",
        server: Some("server-tokio-tungstenite"),
        client: Some("client-tungstenite"),
        broadcasts: true,
        secures: true,
        ..Subject::NONE
    },
    Subject {
        name: "fastwebsockets",
        package: "fastwebsockets",
        driven: "as its example: a write a frame",
        server: Some("server-fastwebsockets"),
        client: Some("client-fastwebsockets"),
        secures: true,
        ..Subject::NONE
    },
    Subject {
        name: "sockudo-ws",
        package: "sockudo-ws",
        driven: "its `Protocol`, or `CompressedProtocol`, without I/O: one write for all that a read \
                 brought",
        server: Some("server-sockudo-ws"),
        deflates: Some("server-sockudo-ws-deflate"),
        client: Some("client-sockudo-ws"),
        ..Subject::NONE
    },
    Subject {
        name: "sockudo-ws-stream",
        package: "sockudo-ws",
        driven: "its `Stream` and `Sink`: feeds while messages are ready, then one flush",
        server: Some("server-sockudo-ws-stream"),
        secures: true,
        ..Subject::NONE
    },
    Subject {
        name: "wtx",
        package: "wtx",
        driven: "as its examples: a write a frame; as a client it masks a message where it lies, \
                 without a copy, with keys of a xorshift",
        server: Some("server-wtx"),
        client: Some("client-wtx"),
        ..Subject::NONE
    },
    Subject {
        name: "yawc",
        package: "yawc",
        driven: "as its own comparison: batches of up to 32 ready messages, 128 KiB read buffer; \
                 with its pool where it compresses without context takeover",
        server: Some("server-yawc"),
        deflates: Some("server-yawc"),
        client: Some("client-yawc"),
        ..Subject::NONE
    },
    Subject {
        name: "npm-ws",
        package: "ws",
        driven: "its README's echo; Node.js has threads besides",
        origin: Origin::Node,
        server: Some("ws.mjs"),
        deflates: Some("ws.mjs"),
        broadcasts: true,
        ..Subject::NONE
    },
];
