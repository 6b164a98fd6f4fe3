//! `cargo xtask autobahn`: the Autobahn test suite against the examples.

use std::{path::Path, process::Command};

use lexopt::{Arg, Parser, ValueExt};

use crate::{
    certs::Certificates,
    log::Log,
    tool::{self, Failure, Job, Outcome, Service},
};

pub(crate) const HELP: &str = "
cargo xtask autobahn server [--adapter mio|smol] [--zero-mask | --unmasked] [--deflate]
                            [--tls | --unix] [CASES]
cargo xtask autobahn server --adapter hyper|adopted|h2 [CASES]
cargo xtask autobahn client [--adapter smol|mio|h2] [--set-mask-to-zero] [--deflate] [CASES]
cargo xtask autobahn all [--quick] [CASES]

server: runs the cases against the example `echo`. With --zero-mask the suite masks with the key 0;
with --unmasked it does not mask and the server is started with --accept-unmasked-frame.
hyper: the server is ws-hyper in axum, the example `axum`; adopted: one of ws-mio that takes its connections over from
axum, the example `axum_mio`; h2: in a stream of HTTP/2, behind the gateway of the example `h2_gateway`, and as a client
behind one in its own process. Their cases are those of compression, too; with --quick the cases 1, 5, 7 and 12.1.1-3.
client: runs the cases against the example `autobahn_client`.
--deflate: the example compresses, and the cases are those of compression.
--tls: wss:// with a throw-away certificate, which the suite does not verify. --unix: the server is at
a Unix-domain socket, and a bridge leads there.
all: both adapters in both roles with every way of masking, ten runs, and with compression, four;
over TLS and a Unix-domain socket, four, with --quick the cases 1, 5 and 7 of them; in axum and in HTTP/2, four.

CASES:
  --cases GLOBS                 which cases to run, as in 1.*,6.4.*   (default: groups 1-7, 9, 10;
                                12 and 13 with --deflate)
  --exclude GLOBS               cases to leave out
  --all                         every group
  --quick                       leaves out most cases of compression with messages of 8 KiB and
                                more, which take minutes
  --allow-unimplemented GLOBS   cases that may be UNIMPLEMENTED

The suite needs python3 3.11 or later with venv, and a package index the first time; it is set up in
the target folder. Reports stay in autobahn/ of the target folder. See xtask/autobahn/README.md.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let what = match arguments.next()? {
        Some(Arg::Value(what)) => what.string()?,
        Some(other) => return Err(other.unexpected().into()),
        None => String::new(),
    };
    let mut plan = Plan::default();
    let (mut adapter, mut masking, mut deflate) = (None, Masking::Random, false);
    let mut over = Over::Tcp;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("adapter") => adapter = Some(arguments.value()?.parse_with(Adapter::parse)?),
            Arg::Long("zero-mask") if what == "server" => masking = Masking::Zero,
            Arg::Long("unmasked") if what == "server" => masking = Masking::None,
            Arg::Long("set-mask-to-zero") if what == "client" => masking = Masking::Zero,
            Arg::Long("deflate") if what != "all" => deflate = true,
            Arg::Long("tls") if what == "server" => over = Over::Tls,
            Arg::Long("unix") if what == "server" => over = Over::Unix,
            Arg::Long("cases") => plan.cases = Some(arguments.value()?.string()?),
            Arg::Long("exclude") => plan.exclude = Some(arguments.value()?.string()?),
            Arg::Long("all") => plan.cases = Some("*".to_owned()),
            Arg::Long("quick") => plan.is_quick = true,
            Arg::Long("allow-unimplemented") => {
                plan.allow_unimplemented = Some(arguments.value()?.string()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let runs = match what.as_str() {
        "server" => vec![Run {
            role: Role::Server,
            adapter: adapter.unwrap_or(Adapter::Mio),
            masking,
            deflate,
            over,
        }],
        "client" if matches!(adapter, Some(Adapter::Hyper | Adapter::Adopted)) => {
            return Err(Failure::new("there is no client of hyper or adopted"));
        }
        "client" => vec![Run {
            role: Role::Client,
            adapter: adapter.unwrap_or(Adapter::Smol),
            masking,
            deflate,
            over: Over::Tcp,
        }],
        "all" => Run::all(adapter),
        _ => return Err(Failure::new("autobahn server, client or all? See --help")),
    };
    set_up()?;
    tool::build(&["echo", "autobahn_client", "axum", "axum_mio", "h2_gateway"])?;
    let plan = &plan;
    let job = |run: Run| -> Job<'_, _> { Box::new(move || (run.name(), plan.run(run))) };
    let mut log = Log::default();
    // The suite computes on one processor, and waits now and then.
    let at_once = tool::processors() + 1;
    for (name, result) in tool::at_once(at_once, runs.into_iter().map(job).collect()) {
        log.note(&name, result);
    }
    Ok(log.finish())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Adapter {
    Mio,
    Smol,
    /// ws-hyper in axum.
    Hyper,
    /// ws-mio, after a handshake in axum.
    Adopted,
    /// ws-smol in a stream of HTTP/2, behind a gateway.
    H2,
}

impl Adapter {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "mio" => Ok(Self::Mio),
            "smol" => Ok(Self::Smol),
            "hyper" => Ok(Self::Hyper),
            "adopted" => Ok(Self::Adopted),
            "h2" => Ok(Self::H2),
            _ => Err(format!(
                "no adapter {name:?}; there are mio, smol, hyper, adopted and h2"
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mio => "mio",
            Self::Smol => "smol",
            Self::Hyper => "hyper",
            Self::Adopted => "adopted",
            Self::H2 => "h2",
        }
    }

    /// The example that serves it behind an HTTP library; `None` for those that make their own
    /// handshakes.
    fn behind_http(self) -> Option<&'static str> {
        match self {
            Self::Mio | Self::Smol => None,
            Self::Hyper => Some("axum"),
            Self::Adopted => Some("axum_mio"),
            Self::H2 => Some("h2_gateway"),
        }
    }
}

/// How the client of a run masks its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Masking {
    Random,
    Zero,
    None,
}

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Tcp,
    Tls,
    /// A Unix-domain socket.
    Unix,
}

/// One pass over the cases.
#[derive(Debug, Clone, Copy)]
struct Run {
    role: Role,
    adapter: Adapter,
    masking: Masking,
    /// Whether the example takes part in compression.
    deflate: bool,
    over: Over,
}

impl Run {
    /// The whole matrix, or one adapter's part of it.
    fn all(adapter: Option<Adapter>) -> Vec<Self> {
        let mut runs = Vec::new();
        // What is compressed is masked as anything else: once is enough.
        let [random, zero, none, deflate] = [
            (Masking::Random, false),
            (Masking::Zero, false),
            (Masking::None, false),
            (Masking::Random, true),
        ];
        for (role, kinds) in [
            (Role::Server, &[random, zero, none, deflate][..]),
            (Role::Client, &[random, zero, deflate]),
        ] {
            for of in [Adapter::Mio, Adapter::Smol] {
                if adapter.is_some_and(|wanted| wanted != of) {
                    continue;
                }
                runs.extend(kinds.iter().map(|&(masking, deflate)| Self {
                    role,
                    adapter: of,
                    masking,
                    deflate,
                    over: Over::Tcp,
                }));
            }
        }
        // Below the frames, what carries them matters in one role as in the other.
        for of in [Adapter::Mio, Adapter::Smol] {
            if adapter.is_none_or(|wanted| wanted == of) {
                runs.extend([Over::Tls, Over::Unix].map(|over| Self {
                    role: Role::Server,
                    adapter: of,
                    masking: Masking::Random,
                    deflate: false,
                    over,
                }));
            }
        }
        for (role, of) in [
            (Role::Server, Adapter::Hyper),
            (Role::Server, Adapter::Adopted),
            (Role::Server, Adapter::H2),
            (Role::Client, Adapter::H2),
        ] {
            if adapter.is_none_or(|wanted| wanted == of) {
                runs.push(Self {
                    role,
                    adapter: of,
                    masking: Masking::Random,
                    deflate: false,
                    over: Over::Tcp,
                });
            }
        }
        runs
    }

    fn name(self) -> String {
        let role = match self.role {
            Role::Server => "server",
            Role::Client => "client",
        };
        let masking = match self.masking {
            Masking::Random => "",
            Masking::Zero => "-zero-mask",
            Masking::None => "-unmasked",
        };
        let deflate = if self.deflate { "-deflate" } else { "" };
        let over = match self.over {
            Over::Tcp => "",
            Over::Tls => "-tls",
            Over::Unix => "-unix",
        };
        format!("{role}-{}{masking}{deflate}{over}", self.adapter.name())
    }
}

/// Which cases to run.
#[derive(Debug, Default)]
struct Plan {
    cases: Option<String>,
    exclude: Option<String>,
    is_quick: bool,
    allow_unimplemented: Option<String>,
}

/// The cases for an example that compresses nothing.
const PLAIN: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*";
const COMPRESSED: &str = "12.*,13.*";
/// Enough of the first to see that what carries them is used rightly.
const CARRIED: &str = "1.*,5.*,7.*";
/// All of both, as an HTTP server in front decides nothing about compression; and a few of each.
const BEHIND_HTTP: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,9.*,10.*,12.*,13.*";
const BEHIND_HTTP_QUICK: &str = "1.*,5.*,7.*,12.1.[1-3]";
/// Of the second, the ones with messages of 8 KiB and more, but for the first that comes in
/// fragments: a thousand messages each, for which the suite itself needs most of the time.
const LONG: &str = "1[23].*.[6-9],1[23].*.10,1[23].*.1[2-8]";

impl Plan {
    fn run(&self, run: Run) -> Result<(), Failure> {
        match run.role {
            Role::Server => match run.adapter.behind_http() {
                Some(example) => self.server_behind_http(run, example),
                None => self.server(run),
            },
            Role::Client => self.client(run),
        }
    }

    fn server(&self, run: Run) -> Result<(), Failure> {
        let mut echo = Command::new(tool::program("echo"));
        // Not in the target folder: the path of a socket must be short.
        let socket = format!("{}-{}.socket", run.name(), std::process::id());
        let socket = std::env::temp_dir().join(socket);
        match run.over {
            Over::Unix => echo.args(["--listen", &format!("unix:{}", socket.display())]),
            _ => echo.args(["--listen", "127.0.0.1:0"]),
        };
        if run.over == Over::Tls {
            let folder = tool::target_dir().join("autobahn-certs").join(run.name());
            let certificates = Certificates::make(&folder, &[])?;
            let [certificate, key] = certificates.pair("server");
            echo.arg("--tls-cert").arg(certificate);
            echo.arg("--tls-key").arg(key);
        }
        echo.args(["--adapter", run.adapter.name()]);
        if run.masking == Masking::None {
            echo.arg("--accept-unmasked-frame");
        }
        if run.deflate {
            echo.arg("--deflate");
        }
        let service = Service::start("echo", &mut echo)?;
        let mut cases = self.script("run-server-cases", run);
        match run.masking {
            Masking::Random => {}
            Masking::Zero => {
                cases.arg("--zero-mask");
            }
            Masking::None => {
                cases.arg("--unmasked");
            }
        }
        cases
            .arg(match run.over {
                Over::Tcp => format!("ws://127.0.0.1:{}", service.port()),
                Over::Tls => format!("wss://127.0.0.1:{}", service.port()),
                Over::Unix => format!("ws://127.0.0.1:{}", bridge(&socket)?),
            })
            .arg(run.name())
            .arg(out_dir(run));
        let result = tool::run(&mut cases);
        // A server that does not stop cleanly fails a run that passed.
        let stopped = service.stop();
        result.and(stopped)
    }

    /// Runs the cases against an echo behind an HTTP library.
    fn server_behind_http(&self, run: Run, example: &str) -> Result<(), Failure> {
        let mut server = Command::new(tool::program(example));
        let service = Service::start(example, server.args(["--listen", "127.0.0.1:0"]))?;
        let mut cases = self.script("run-server-cases", run);
        cases
            .arg(format!("ws://127.0.0.1:{}/echo", service.port()))
            .arg(run.name())
            .arg(out_dir(run));
        let result = tool::run(&mut cases);
        let stopped = service.stop();
        result.and(stopped)
    }

    fn client(&self, run: Run) -> Result<(), Failure> {
        let mut cases = self.script("run-client-cases", run);
        cases
            .arg(run.name())
            .arg(out_dir(run))
            .arg("--")
            .arg(tool::program("autobahn_client"))
            .args(["--adapter", run.adapter.name()]);
        if run.masking == Masking::Zero {
            cases.arg("--set-mask-to-zero");
        }
        if run.deflate || run.adapter == Adapter::H2 {
            cases.arg("--deflate");
        }
        tool::run(&mut cases)
    }

    fn script(&self, name: &str, run: Run) -> Command {
        let default = match run {
            Run { deflate: true, .. } => COMPRESSED,
            Run { adapter, .. } if adapter.behind_http().is_some() => match self.is_quick {
                true => BEHIND_HTTP_QUICK,
                false => BEHIND_HTTP,
            },
            Run { over, .. } if over != Over::Tcp && self.is_quick => CARRIED,
            _ => PLAIN,
        };
        let cases = self.cases.as_deref().unwrap_or(default);
        let mut command = Command::new("python3");
        command
            .arg(tool::root().join("xtask/autobahn").join(name))
            .arg("--venv")
            .arg(venv())
            .args(["--timeout", TIMEOUT, "--cases", cases]);
        let long = Some(LONG).filter(|_| run.deflate && self.is_quick);
        let exclude: Vec<_> = self.exclude.as_deref().into_iter().chain(long).collect();
        if !exclude.is_empty() {
            command.args(["--exclude", &exclude.join(",")]);
        }
        if let Some(allowed) = &self.allow_unimplemented {
            command.args(["--allow-unimplemented", allowed]);
        }
        command
    }
}

/// In seconds: all cases of compression take a quarter of an hour against a slow peer.
const TIMEOUT: &str = "2400";

#[cfg(unix)]
fn bridge(socket: &Path) -> Result<u16, Failure> {
    crate::bridge::start(socket)
}

#[cfg(not(unix))]
fn bridge(_: &Path) -> Result<u16, Failure> {
    Err(Failure::new("this system has no Unix-domain sockets"))
}

fn venv() -> std::path::PathBuf {
    tool::target_dir().join("autobahn-venv")
}

fn out_dir(run: Run) -> std::path::PathBuf {
    tool::target_dir().join("autobahn").join(run.name())
}

fn set_up() -> Result<(), Failure> {
    tool::run(
        Command::new(tool::python()?)
            .arg(tool::root().join("xtask/autobahn/setup"))
            .arg(venv()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_has_twenty_two_runs() {
        let names: Vec<_> = Run::all(None).into_iter().map(Run::name).collect();
        assert_eq!(
            names,
            [
                "server-mio",
                "server-mio-zero-mask",
                "server-mio-unmasked",
                "server-mio-deflate",
                "server-smol",
                "server-smol-zero-mask",
                "server-smol-unmasked",
                "server-smol-deflate",
                "client-mio",
                "client-mio-zero-mask",
                "client-mio-deflate",
                "client-smol",
                "client-smol-zero-mask",
                "client-smol-deflate",
                "server-mio-tls",
                "server-mio-unix",
                "server-smol-tls",
                "server-smol-unix",
                "server-hyper",
                "server-adopted",
                "server-h2",
                "client-h2",
            ]
        );
    }
}
