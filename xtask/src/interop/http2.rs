//! WebSockets over HTTP/2 (RFC 8441), with the programs `h2_server` and `h2_client`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    echo,
    messages::messages_dir,
    setup::{Peers, node, script},
};
use crate::{
    certs::Certificates,
    log::Log,
    proxies::{Proxy, free_port},
    tool::{self, Failure, Service},
};

pub(super) const STACKS: [&str; 2] = ["ws-h2", "ws-hyper"];

/// The clients of others with a server by one of our crates.
pub(super) fn check_server(
    peers: &Peers,
    certificates: &Certificates,
    stack: &str,
    log: &mut Log,
) -> Result<(), Failure> {
    let service = h2_server(stack, Some(certificates))?;
    let name = service.name();
    if let Some(python) = &peers.python {
        let mut client = python_client(python, "python_h2.py", &service, certificates);
        let result = tool::run(&mut client);
        log.note(&format!("Python's h2 and wsproto with {name}"), result);
        let mut client = python_client(python, "python_niquests.py", &service, certificates);
        log.note(
            &format!(
                "niquests wants a Sec-WebSocket-Accept of {name}, which RFC 8441 does without"
            ),
            fails_for_want_of_accept(&mut client),
        );
    }
    if let Some(modules) = &peers.node {
        let mut client = node(modules, "node_h2.cjs");
        client
            .args(["client", &https(&service)])
            .arg(certificates.ca());
        let result = tool::run(&mut client);
        log.note(&format!("Node's http2 and npm ws with {name}"), result);
    }
    let opened = opened(&service);
    log.note(
        &format!("every WebSocket with {name} came over HTTP/2"),
        match opened.iter().all(|line| line.contains(" h2 ")) {
            true => Ok(()),
            false => Err(Failure::new(format!("{opened:?}"))),
        },
    );
    if let Some(chromium) = peers.chromium {
        let mut client = Command::new(tool::python()?);
        client
            .arg(script("browser.py"))
            .arg(format!("{}/", https(&service)));
        client.args([chromium, &certificates.server_key_digest, "--first"]);
        let result = tool::run(&mut client).and_then(|()| all_in_one(&service));
        let what = "Chromium, all WebSockets in one HTTP/2 connection,";
        log.note(&format!("{what} with {name}"), result);
    }
    let name = format!("{name} stops when asked to");
    log.note(&name, service.stop());
    Ok(())
}

/// Our client with the servers of others.
pub(super) fn check_client(
    peers: &Peers,
    certificates: &Certificates,
    log: &mut Log,
) -> Result<(), Failure> {
    let [cert, key] = certificates.pair("server");
    let mut servers = Vec::new();
    if let Some(python) = &peers.python {
        let mut server = Command::new(python);
        server.arg(script("python_hypercorn.py"));
        server.arg("--cert").arg(&cert).arg("--key").arg(&key);
        servers.push(("hypercorn", true, server));
    }
    if let Some(modules) = &peers.node {
        let mut server = node(modules, "node_h2.cjs");
        server.arg("server").arg(&cert).arg(&key);
        servers.push(("Node's http2 and npm ws", false, server));
    }
    for (name, compresses, mut server) in servers {
        let service = Service::start(name, &mut server)?;
        let url = https(&service);
        log.note(
            &format!("h2_client with {name}"),
            talk(&url, certificates, &[]),
        );
        if compresses {
            let result = talk(&url, certificates, &["--deflate"]);
            log.note(&format!("h2_client --deflate with {name}"), result);
        }
        if let (Some(python), true) = (&peers.python, compresses) {
            // It can do it; see what it wants of our servers.
            let mut client = python_client(python, "python_niquests.py", &service, certificates);
            log.note(&format!("niquests with {name}"), tool::run(&mut client));
        }
        log.note(&format!("{name} stops when asked to"), service.stop());
    }
    Ok(())
}

/// HAProxy, which speaks HTTP/2 with the client, and with the server HTTP/1.1 or HTTP/2.
pub(super) fn check_haproxy(
    peers: &Peers,
    certificates: &Certificates,
    log: &mut Log,
) -> Result<(), Failure> {
    let Some(program) = &peers.haproxy else {
        return Ok(());
    };
    let mut behind = Vec::new();
    for adapter in super::ADAPTERS {
        let name = format!("echo --adapter {adapter}");
        behind.push((Service::start(&name, &mut echo(adapter))?, ""));
    }
    for stack in STACKS {
        behind.push((h2_server(stack, None)?, "proto h2"));
    }
    for (service, protocol) in behind {
        let (port, name) = (free_port()?, service.name().to_owned());
        let proxy = start_haproxy(program, certificates, port, service.port(), protocol)?;
        let url = format!("wss://localhost:{port}");
        let result = talk(&url, certificates, &[]);
        log.note(&format!("h2_client through HAProxy with {name}"), result);
        if !protocol.is_empty() {
            if let Some(python) = &peers.python {
                let mut client = Command::new(python);
                client.arg(script("python_h2.py")).arg(&url);
                client.arg("--ca").arg(certificates.ca());
                let what = "Python's h2 and wsproto through HAProxy with";
                log.note(&format!("{what} {name}"), tool::run(&mut client));
            }
            let result = over_http1(&url, certificates);
            let what = "client, over HTTP/1.1, through HAProxy, over HTTP/2, with";
            log.note(&format!("{what} {name}"), result);
        }
        drop(proxy);
        log.note(&format!("{name} stops when asked to"), service.stop());
    }
    Ok(())
}

fn h2_server(stack: &str, certificates: Option<&Certificates>) -> Result<Service, Failure> {
    let mut server = Command::new(tool::program("h2_server"));
    server.args(["--stack", stack]);
    if let Some(certificates) = certificates {
        let [cert, key] = certificates.pair("server");
        server.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
    }
    Service::start(&format!("h2_server --stack {stack}"), &mut server)
}

/// Runs `h2_client` with a server.
fn talk(url: &str, certificates: &Certificates, flags: &[&str]) -> Result<(), Failure> {
    let mut client = Command::new(tool::program("h2_client"));
    client.args(flags).arg("--ca").arg(certificates.ca());
    tool::run(client.arg(url))
}

/// Sends a message with the example `client`, which speaks HTTP/1.1.
fn over_http1(url: &str, certificates: &Certificates) -> Result<(), Failure> {
    let file = messages_dir()?.join("message-over-http1");
    fs::write(&file, "Hello")?;
    let mut client = Command::new(tool::program("client"));
    client.arg("--ca").arg(certificates.ca());
    client.arg("--send").arg(file).args(["--text", url]);
    match tool::output_of(&mut client)?.as_str() {
        "Hello" => Ok(()),
        other => Err(Failure::new(format!("{other:?} came back"))),
    }
}

fn python_client(
    python: &Path,
    name: &str,
    service: &Service,
    certificates: &Certificates,
) -> Command {
    let mut client = Command::new(python);
    client.arg(script(name)).arg(https(service));
    client.arg("--ca").arg(certificates.ca());
    client
}

/// Where a server is, by a name that its certificate has.
fn https(service: &Service) -> String {
    format!("wss://localhost:{}", service.port())
}

/// niquests refuses a reply of HTTP/2 without the header that only HTTP/1.1 has.
fn fails_for_want_of_accept(client: &mut Command) -> Result<(), Failure> {
    let output = client.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    match !output.status.success() && said.contains("requires 'Sec-Websocket-Accept' header") {
        true => Ok(()),
        false => Err(Failure::new(format!("{}: {said}", output.status))),
    }
}

/// The lines about WebSockets that `h2_server` has printed and nobody has read.
fn opened(service: &Service) -> Vec<String> {
    let lines = std::iter::from_fn(|| service.next_line(SILENCE));
    lines
        .filter(|line| line.starts_with("opened in "))
        .collect()
}

/// Checks that the page opened its WebSockets, and all of them in one connection over HTTP/2.
fn all_in_one(service: &Service) -> Result<(), Failure> {
    let opened = opened(service);
    let connections: BTreeSet<_> = opened.iter().collect();
    println!("{} WebSockets: {connections:?}", opened.len());
    let is_one = connections.len() == 1 && connections.iter().all(|line| line.contains(" h2 "));
    match is_one && opened.len() > SOCKETS_OF_PAGE {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{} WebSockets: {connections:?}",
            opened.len()
        ))),
    }
}

/// Starts HAProxy with TLS, HTTP/2 and HTTP/1.1 in front, and a server behind.
fn start_haproxy(
    program: &Path,
    certificates: &Certificates,
    port: u16,
    server: u16,
    protocol: &str,
) -> Result<Proxy, Failure> {
    let dir: PathBuf = tool::target_dir().join("interop-haproxy");
    fs::create_dir_all(&dir)?;
    // It wants both in one file.
    let [cert, key] = certificates.pair("server");
    let identity = dir.join("identity.pem");
    fs::write(&identity, [fs::read(cert)?, fs::read(key)?].concat())?;
    let config = format!(
        "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n \
         timeout tunnel 60s\n\
         frontend front\n bind 127.0.0.1:{port} ssl crt {} alpn h2,http/1.1\n default_backend back\n\
         backend back\n server server 127.0.0.1:{server} {protocol}\n",
        identity.display()
    );
    let file = dir.join("config");
    fs::write(&file, config)?;
    let mut command = Command::new(program);
    command.args(["-db", "-f"]).arg(file);
    Proxy::start(&mut command, port)
}

/// How long nothing is to be printed before all is taken for said.
const SILENCE: Duration = Duration::from_millis(300);
/// Those of the last check alone.
const SOCKETS_OF_PAGE: usize = 20;
