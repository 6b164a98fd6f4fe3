//! The same over TLS: both versions, certificates of clients, and certificates that are to be
//! refused.

use std::{
    ffi::OsString,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use super::{
    Peers, echo,
    messages::{messages_dir, send_all},
};
use crate::{
    certs::{BAD, Certificates},
    log::Log,
    tool::{self, Failure, Service},
};

pub(super) const VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// Makes what both sides are to show and to trust.
pub(super) fn set_up() -> Result<Certificates, Failure> {
    let certificates = Certificates::make(&tool::target_dir().join("interop-certs"), &[])?;
    certificates.make_bad()?;
    Ok(certificates)
}

/// Every client here against an echo server, with each version of TLS.
pub(super) fn check_echo(
    peers: &Peers,
    certificates: &Certificates,
    adapter: &str,
    log: &mut Log,
) -> Result<(), Failure> {
    let name = format!("echo --adapter {adapter} --tls-cert");
    let service = Service::start(&name, &mut secure_echo(adapter, certificates))?;
    check_clients(peers, &service, certificates, log)?;
    check_openssl(peers, &service, certificates, log);
    log.note(&format!("{name} stops when asked to"), service.stop());

    let name = format!("echo --adapter {adapter} --tls-cert --client-ca");
    let mut echo = secure_echo(adapter, certificates);
    echo.arg("--client-ca").arg(certificates.ca());
    let service = Service::start(&name, &mut echo)?;
    check_known_client(peers, &service, certificates, log)?;
    log.note(&format!("{name} stops when asked to"), service.stop());
    Ok(())
}

/// The example `client` against the servers, with a version of TLS.
pub(super) fn check_client(
    peers: &Peers,
    certificates: &Certificates,
    version: &str,
    log: &mut Log,
) -> Result<(), Failure> {
    let dir = messages_dir()?;
    let trust = strings(["--ca".into(), certificates.ca()]);
    let known = [trust.clone(), identity(certificates, "client")].concat();
    let one_version = ["--tls".to_owned(), version.to_owned()];
    let demanding = ["--client-ca".into(), certificates.ca()];
    let demanding = [&one_version[..], &strings(demanding)].concat();
    for (arguments, flags, what) in [
        (&one_version[..], &trust, "client --ca"),
        (&demanding[..], &known, "client --ca --cert"),
    ] {
        let arguments = [arguments, &identity(certificates, "server")].concat();
        for (server, service) in peers.servers(&arguments)? {
            let name = format!("{what} with {server}, TLS {version}");
            println!("== {name}");
            let flags: Vec<_> = flags.iter().map(String::as_str).collect();
            let url = format!("wss://localhost:{}", service.port());
            let result = send_all(&dir, &service, &flags, &url, &|_| Ok(()));
            log.note(&name, result);
            if what.ends_with("--cert") {
                let name = format!("client without a certificate with {server}, TLS {version}");
                // Not every server says why; and one that closes with our request unread resets the
                // connection, which may take its alert along.
                let said = [
                    "certificate",
                    "the TLS alert",
                    "the stream ended",
                    "connection lost",
                    "reset by peer",
                ];
                let refused = refuses(&trust, &url, &said);
                log.note(&format!("{name} is refused"), refused);
            }
            log.note(&format!("{server} stops when asked to"), service.stop());
        }
    }
    Ok(())
}

/// The servers that no client should talk with, and what the example `client` is to say of each.
pub(super) fn check_refusals(
    peers: &Peers,
    certificates: &Certificates,
    log: &mut Log,
) -> Result<(), Failure> {
    let trust = &strings(["--ca".into(), certificates.ca()]);
    for bad in BAD {
        let said: &[&str] = match bad {
            "expired" => &["expired"],
            "not-yet-valid" => &["not yet valid", "not valid yet"],
            "wrong-host" => &["host"],
            _ => &["issuer", "authority"],
        };
        for (server, service) in peers.servers(&identity(certificates, bad))? {
            let url = format!("wss://localhost:{}", service.port());
            let refused = refuses(trust, &url, said);
            log.note(&format!("client refuses {server} that is {bad}"), refused);
            drop(service);
        }
    }
    for (server, service) in peers.servers(&[])? {
        let url = format!("wss://localhost:{}", service.port());
        let refused = refuses(trust, &url, &["TLS"]);
        log.note(&format!("client refuses {server} without TLS"), refused);
    }
    Ok(())
}

/// The scripts against each other.
pub(super) fn check_each_other(
    peers: &Peers,
    certificates: &Certificates,
    log: &mut Log,
) -> Result<(), Failure> {
    for (_, service) in peers.servers(&identity(certificates, "server"))? {
        check_clients(peers, &service, certificates, log)?;
        // The other closes at once, without an echo, where message and Close come together.
        if service.name().starts_with("node") {
            check_openssl(peers, &service, certificates, log);
        }
    }
    let demanding = strings(["--client-ca".into(), certificates.ca()]);
    let demanding = [identity(certificates, "server"), demanding].concat();
    for (_, service) in peers.servers(&demanding)? {
        check_known_client(peers, &service, certificates, log)?;
    }
    Ok(())
}

fn check_clients(
    peers: &Peers,
    service: &Service,
    certificates: &Certificates,
    log: &mut Log,
) -> Result<(), Failure> {
    let server = service.name();
    let url = format!("wss://localhost:{}/", service.port());
    for version in VERSIONS {
        for (name, mut client) in peers.clients(&url, "")? {
            if name == "Chromium" {
                continue;
            }
            client.args(["--tls", version, "--ca"]);
            client.arg(certificates.ca());
            let result = tool::run(&mut client);
            log.note(&format!("{name} with {server}, TLS {version}"), result);
        }
    }
    // A browser chooses the version itself.
    for (name, mut client) in peers.clients(&url, "")? {
        if name == "Chromium" {
            client.arg(&certificates.server_key_digest);
            log.note(&format!("{name} with {server}"), tool::run(&mut client));
        }
    }
    Ok(())
}

/// A client that shows a certificate is served, and one that shows none, or that of another
/// authority, is not.
fn check_known_client(
    peers: &Peers,
    service: &Service,
    certificates: &Certificates,
    log: &mut Log,
) -> Result<(), Failure> {
    let server = service.name();
    if peers.has_openssl {
        check_strangers(service, certificates, log);
    }
    let url = format!("wss://localhost:{}/", service.port());
    for (name, mut client) in peers.clients(&url, "")? {
        if name == "Chromium" {
            continue;
        }
        client.arg("--ca").arg(certificates.ca());
        client.args(identity(certificates, "client"));
        let result = tool::run(&mut client);
        log.note(&format!("{name} with a certificate with {server}"), result);
    }
    Ok(())
}

fn check_strangers(service: &Service, certificates: &Certificates, log: &mut Log) {
    let server = service.name();
    for shown in [None, Some("unknown-ca"), Some("self-signed")] {
        for version in VERSIONS {
            let output = openssl(service, certificates, version, shown);
            let refused = output.and_then(|output| match output.stdout.is_empty() {
                true => Ok(()),
                false => Err(Failure::new("there was an answer")),
            });
            let shown = shown.unwrap_or("no");
            let name = format!("{server} refuses OpenSSL, TLS {version}, with {shown} certificate");
            log.note(&name, refused);
        }
    }
}

/// OpenSSL's own client, with a handshake and frames that are written by hand.
fn check_openssl(peers: &Peers, service: &Service, certificates: &Certificates, log: &mut Log) {
    for version in VERSIONS.into_iter().filter(|_| peers.has_openssl) {
        let result = openssl(service, certificates, version, None).and_then(|output| {
            let (said, complaints) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
            if !said.starts_with(b"HTTP/1.1 101 ") || !said.ends_with(ECHO_AND_CLOSE) {
                let said = String::from_utf8_lossy(said);
                return Err(Failure::new(format!("{said:?} came back; {complaints}")));
            }
            // What OpenSSL says of a stream that ends without a close_notify.
            match complaints.contains("unexpected eof") {
                false => Ok(()),
                true => Err(Failure::new("the end was not announced by TLS")),
            }
        });
        let name = format!("OpenSSL with {}, TLS {version}", service.name());
        log.note(&name, result);
    }
}

/// Sends a request, a message and a Close at once, and waits for the end of the stream.
fn openssl(
    service: &Service,
    certificates: &Certificates,
    version: &str,
    shown: Option<&str>,
) -> Result<Output, Failure> {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-quiet", "-verify_return_error"])
        .args(["-verify_hostname", "localhost", "-connect"])
        .arg(format!("localhost:{}", service.port()))
        .arg(format!("-tls{}", version.replace('.', "_")))
        .arg("-CAfile")
        .arg(certificates.ca());
    if let Some(name) = shown {
        let [certificate, key] = certificates.pair(name);
        command.arg("-cert").arg(certificate).arg("-key").arg(key);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::new(format!("cannot run openssl: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Nobody reads it where the handshake fails.
        let _ = stdin.write_all(&[REQUEST, MESSAGE_AND_CLOSE].concat());
    }
    output_within(child, LIMIT)
}

/// Waits for a child that says little, and ends it if that takes too long.
pub(super) fn output_within(mut child: Child, limit: Duration) -> Result<Output, Failure> {
    if tool::end_at_most(&mut child, limit)?.is_none() {
        return Err(Failure::new(format!("not over within {limit:?}")));
    }
    Ok(child.wait_with_output()?)
}

/// Checks that the example `client` gives up and names the cause by one of the words.
fn refuses(flags: &[String], url: &str, said: &[&str]) -> Result<(), Failure> {
    let child = Command::new(tool::program("client"))
        .args(flags)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::new(format!("cannot run client: {error}")))?;
    let output = output_within(child, LIMIT)?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    println!("{}", complaint.trim_end());
    match output.status.code() {
        Some(1) if said.iter().any(|word| complaint.contains(word)) => Ok(()),
        Some(1) => Err(Failure::new(format!(
            "the client says {complaint:?}, and not {said:?}"
        ))),
        _ => Err(Failure::new(format!("client ended with {}", output.status))),
    }
}

/// OpenSSL's client; it has no `--version`.
pub(super) fn find_openssl() -> Result<OsString, Failure> {
    let version = Command::new("openssl").arg("version").output();
    match version.is_ok_and(|output| output.status.success()) {
        true => Ok("openssl".into()),
        false => Err(Failure::new(
            "it is not installed (on Debian: apt-get install openssl)",
        )),
    }
}

fn secure_echo(adapter: &str, certificates: &Certificates) -> Command {
    let [certificate, key] = certificates.pair("server");
    let mut echo = echo(adapter);
    echo.arg("--tls-cert").arg(certificate);
    echo.arg("--tls-key").arg(key);
    echo
}

/// What the scripts and the example `client` are told to show.
fn identity(certificates: &Certificates, name: &str) -> Vec<String> {
    let [certificate, key] = certificates.pair(name);
    strings(["--cert".into(), certificate, "--key".into(), key])
}

fn strings<const N: usize>(arguments: [PathBuf; N]) -> Vec<String> {
    arguments
        .map(|argument| argument.display().to_string())
        .to_vec()
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const MESSAGE_AND_CLOSE: &[u8] = b"\x81\x85\0\0\0\0Hello\x88\x82\0\0\0\0\x03\xe8";
const ECHO_AND_CLOSE: &[u8] = b"\x81\x05Hello\x88\x02\x03\xe8";
const LIMIT: Duration = Duration::from_secs(20);
