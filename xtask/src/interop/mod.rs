//! `cargo xtask interop`: the examples against WebSocket implementations of other people.

mod chat;
mod deflate;
mod http2;
mod masks;
mod messages;
mod nats;
mod relay;
mod setup;
mod targets;
mod tls;

use std::process::Command;

use lexopt::{Arg, Parser};
use messages::{messages_dir, send_all};
pub(crate) use setup::set_up_python;
use setup::{Peers, node, script};

use crate::{
    certs::Certificates,
    log::Log,
    tool::{self, Failure, Job, Outcome, Service},
};

pub(crate) const HELP: &str = "
cargo xtask interop [--allow-missing] [--self-check | --tls | --targets | --chat | --masks | --http2]

Checks the example `echo`, on both adapters, with clients of PyPI websockets, npm ws and headless
Chromium; and the example `client`, with both ways of masking, with servers of the first two. Then
the same with permessage-deflate and each set of its parameters, through a relay that sees what is
agreed and counts bytes.
And every such client, with npm undici besides, connects with a list of odd targets, which `echo` has
to get as the client's own URL parser writes them.
Several tabs of Chromium use the page of the example `chat`.
Clients that leave masking out (Netty, fastwebsockets, wtx, npm ws, leaf nodes of NATS) talk with a
server whose flag is on, and are refused with 1002 where it is off; the zero key goes to Netty and NATS.
WebSockets over HTTP/2, with ws-h2 and ws-hyper as servers: Chromium in a connection that is open,
Python's h2 with wsproto, Node's http2, and HAProxy in front; with ws-h2 as client: hypercorn,
Node's http2, and HAProxy in front of HTTP/1.1 and HTTP/2.
Then all of it over TLS 1.2 and 1.3, with and without certificates of clients, and with OpenSSL as
one more client; and `client` with servers whose certificates it is to refuse. Chromium is told to
trust the server's key, the others trust its authority.
Needs python3 with venv, node with npm, openssl, chromium, javac with Debian's Netty, nats-server and
haproxy; packages go to the target folder.

  --allow-missing   leave out peers whose tools are not there, and say so
  --tls             only what is over TLS
  --targets         only the list of targets
  --chat            only the page of the chat
  --masks           only what is sent without masks, or with the zero key
  --http2           only what is over HTTP/2
  --self-check      check the scripts against each other, without the examples
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let (mut allow_missing, mut self_check, mut part) = (false, false, Part::All);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("allow-missing") => allow_missing = true,
            Arg::Long("self-check") => self_check = true,
            Arg::Long("tls") => part = Part::Tls,
            Arg::Long("targets") => part = Part::Targets,
            Arg::Long("chat") => part = Part::Chat,
            Arg::Long("masks") => part = Part::Masks,
            Arg::Long("http2") => part = Part::Http2,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut log = Log::default();
    let peers = Peers::set_up(allow_missing, &mut log)?;
    let certificates = tls::set_up()?;
    if self_check {
        peers.check_each_other(&mut log)?;
        tls::check_each_other(&peers, &certificates, &mut log)?;
    } else {
        tool::build(&[
            "chat",
            "client",
            "echo",
            "h2_client",
            "h2_server",
            "masks",
            "wsdo",
        ])?;
        let checks = checks(&peers, &certificates, part);
        // Much of their time they wait for programs that start.
        for checked in tool::at_once(tool::processors() + 2, checks) {
            log.add(checked?);
        }
    }
    Ok(log.finish())
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    Tls,
    Targets,
    Chat,
    Masks,
    Http2,
}

impl Part {
    fn holds(self, part: Self) -> bool {
        self == Self::All || self == part
    }
}

const ADAPTERS: [&str; 2] = ["mio", "smol"];

/// All that is checked, in parts that know nothing of each other, the longest first.
fn checks<'a>(
    peers: &'a Peers,
    certificates: &'a Certificates,
    part: Part,
) -> Vec<Job<'a, Result<Log, Failure>>> {
    fn check<'a>(
        check: impl FnOnce(&mut Log) -> Result<(), Failure> + Send + 'a,
    ) -> Job<'a, Result<Log, Failure>> {
        Box::new(|| {
            let mut log = Log::default();
            check(&mut log)?;
            Ok(log)
        })
    }
    let mut checks = Vec::new();
    if part.holds(Part::Tls) {
        for version in tls::VERSIONS {
            checks.push(check(move |log| {
                tls::check_client(peers, certificates, version, log)
            }));
        }
    }
    if part.holds(Part::Http2) {
        for stack in http2::STACKS {
            checks.push(check(move |log| {
                http2::check_server(peers, certificates, stack, log)
            }));
        }
        checks.push(check(|log| http2::check_client(peers, certificates, log)));
        checks.push(check(|log| http2::check_haproxy(peers, certificates, log)));
    }
    for adapter in ADAPTERS {
        if part.holds(Part::Masks) {
            checks.push(check(move |log| masks::check_clients(peers, adapter, log)));
            checks.push(check(move |log| nats::check_leaf_node(peers, adapter, log)));
        }
        if part == Part::All {
            checks.push(check(move |log| deflate::check_echo(peers, adapter, log)));
            checks.push(check(move |log| peers.check_echo(adapter, log)));
        }
        if part.holds(Part::Targets) {
            checks.push(check(move |log| targets::check_echo(peers, adapter, log)));
        }
        if part.holds(Part::Tls) {
            checks.push(check(move |log| {
                tls::check_echo(peers, certificates, adapter, log)
            }));
        }
    }
    if part.holds(Part::Chat) {
        checks.push(check(|log| chat::check(peers, log)));
    }
    if part.holds(Part::Masks) {
        checks.push(check(|log| masks::check_netty_server(peers, log)));
        checks.push(check(|log| nats::check_zero_key(peers, log)));
    }
    if part == Part::All {
        checks.push(check(|log| deflate::check_client(peers, log)));
        checks.push(check(|log| peers.check_client(log)));
    }
    if part.holds(Part::Tls) {
        checks.push(check(|log| tls::check_refusals(peers, certificates, log)));
    }
    checks
}

impl Peers {
    /// Every client here against an echo server.
    fn check_server(&self, server: &str, url: &str, log: &mut Log) -> Result<(), Failure> {
        for (name, mut client) in self.clients(url, "")? {
            log.note(&format!("{name} with {server}"), tool::run(&mut client));
        }
        Ok(())
    }

    /// The clients that are there; with parameters of permessage-deflate those that can ask for
    /// them.
    fn clients(&self, url: &str, params: &str) -> Result<Vec<(&'static str, Command)>, Failure> {
        let mut clients = Vec::new();
        if let Some(python) = &self.python {
            let mut client = Command::new(python);
            client.arg(script("python_client.py")).args([url, params]);
            clients.push(("PyPI websockets", client));
        }
        if let Some(modules) = &self.node {
            let mut client = node(modules, "node_client.cjs");
            client.args([url, params]);
            clients.push(("npm ws", client));
        }
        if let Some(chromium) = self.chromium
            && params.is_empty()
        {
            let mut client = Command::new(tool::python()?);
            client.arg(script("browser.py")).args([url, chromium]);
            clients.push(("Chromium", client));
        }
        Ok(clients)
    }

    fn check_echo(&self, adapter: &str, log: &mut Log) -> Result<(), Failure> {
        let name = format!("echo --adapter {adapter}");
        let service = Service::start(&name, &mut echo(adapter))?;
        self.check_server(&name, &url(&service), log)?;
        log.note(&format!("{name} stops when asked to"), service.stop());
        Ok(())
    }

    /// The servers that are there, started with the arguments.
    fn servers(&self, arguments: &[String]) -> Result<Vec<(&'static str, Service)>, Failure> {
        let mut servers = Vec::new();
        if let Some(python) = &self.python {
            let mut server = Command::new(python);
            server.arg(script("python_server.py")).args(arguments);
            servers.push((
                "a PyPI websockets server",
                Service::start("python_server.py", &mut server)?,
            ));
        }
        if let Some(modules) = &self.node {
            let mut server = node(modules, "node_server.cjs");
            server.args(arguments);
            servers.push((
                "an npm ws server",
                Service::start("node_server.cjs", &mut server)?,
            ));
        }
        Ok(servers)
    }

    fn check_client(&self, log: &mut Log) -> Result<(), Failure> {
        let dir = messages_dir()?;
        for (name, service) in self.servers(&[])? {
            for masking in [&[][..], &["--set-mask-to-zero"]] {
                let line = ["client"]
                    .iter()
                    .chain(masking)
                    .copied()
                    .collect::<Vec<_>>();
                println!("== {} with {name}", line.join(" "));
                let base = format!("ws://127.0.0.1:{}", service.port());
                let result = send_all(&dir, &service, masking, &base, &|_| Ok(()));
                log.note(&format!("{} with {name}", line.join(" ")), result);
            }
            log.note(&format!("{name} stops when asked to"), service.stop());
        }
        Ok(())
    }

    fn check_each_other(&self, log: &mut Log) -> Result<(), Failure> {
        for (name, service) in self.servers(&[])? {
            self.check_server(name, &url(&service), log)?;
            deflate::check_asking_clients(self, &service, log)?;
            log.note(&format!("{name} stops when asked to"), service.stop());
        }
        Ok(())
    }
}

fn url(service: &Service) -> String {
    format!("ws://127.0.0.1:{}/", service.port())
}

/// The example `echo`, as it is to be started.
fn echo(adapter: &str) -> Command {
    let mut echo = Command::new(tool::program("echo"));
    echo.args(["--listen", "127.0.0.1:0", "--adapter", adapter]);
    echo
}
