//! Targets as people write them into URLs: every client connects with each, and the server has to
//! get it as the client's own URL parser writes it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Peers, echo, messages_dir, node, script};
use crate::{
    log::Log,
    tool::{self, Failure, Service},
};

/// What follows the port in a URL.
const TARGETS: &[&str] = &[
    "/",
    "?query=alone",
    "/?ids[]=1&ids[]=2",
    "/room/[42]",
    "/a|b",
    "/?a|b",
    r#"/?q={"a":1}"#,
    r#"/{"a":1}"#,
    "/?re=^x$",
    "/^x$",
    "/a`b?c`d",
    "/?d=50%",
    "/50%",
    "/%zz?%zz",
    "/%41%2f%2F%00?%41%00",
    "//double//slash",
    "/..;/x",
    "/a/../b/./c",
    "/%2e%2e/x",
    r"/a\b?c\d",
    "/<a>?<b>",
    "/grüße/世界/🙂",
    "/?q=grüße&r=世界🙂",
    "/with blanks in it?and more of them",
    "/?a=b?c",
    "/a;b=c;d?e;f",
    "/a@b:c?d@e:f",
    "/it's?it's",
    "/!$&()*+,?!$&()*+,",
    "/~-._?~-._",
    "/a=b&c?=&&=",
    "/a?",
    "/?next=http://example.com/a?b=c",
];
/// How long the query of the last target is.
const LONG: usize = 8_000;

/// Every client here against an echo server that tells the target.
pub(super) fn check_echo(peers: &Peers, adapter: &str, log: &mut Log) -> Result<(), Failure> {
    let file = write(adapter)?;
    let name = format!("echo --adapter {adapter} --tell-target");
    let service = Service::start(&name, echo(adapter).arg("--tell-target"))?;
    for (client, mut command) in clients(peers, &service, &file)? {
        let result = tool::run(&mut command);
        let count = TARGETS.len() + 1;
        log.note(&format!("{count} targets of {client} with {name}"), result);
    }
    log.note(&format!("{name} stops when asked to"), service.stop());
    Ok(())
}

/// Writes the targets for the scripts, one a line.
fn write(adapter: &str) -> Result<PathBuf, Failure> {
    let file = messages_dir()?.join(format!("targets-{adapter}"));
    let long = format!("/?{}", "long=query&".repeat(LONG));
    let targets = [TARGETS, &[&long[..LONG + 2]]].concat();
    fs::write(&file, targets.join("\n"))?;
    Ok(file)
}

/// The clients that are there.
fn clients(
    peers: &Peers,
    service: &Service,
    file: &Path,
) -> Result<Vec<(&'static str, Command)>, Failure> {
    let url = format!("ws://127.0.0.1:{}", service.port());
    let mut clients = Vec::new();
    if let Some(python) = &peers.python {
        let mut client = Command::new(python);
        client.arg(script("python_targets.py")).arg(&url).arg(file);
        clients.push(("PyPI websockets", client));
    }
    if let Some(modules) = &peers.node {
        for (name, library) in [("npm ws", "ws"), ("npm undici", "undici")] {
            let mut client = node(modules, "node_targets.cjs");
            client.args([library, &url]).arg(file);
            clients.push((name, client));
        }
    }
    if let Some(chromium) = peers.chromium {
        let mut client = Command::new(tool::python()?);
        client.arg(script("browser.py")).args([&url, chromium]);
        client.arg("--targets").arg(file);
        clients.push(("Chromium", client));
    }
    Ok(clients)
}
