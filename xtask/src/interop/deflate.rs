//! The same with permessage-deflate, through a relay: what was agreed, and whether it went over the
//! wire compressed.

use std::time::Duration;

use super::{
    Peers, echo,
    messages::{messages_dir, send_all},
    relay::{Passed, Relay},
};
use crate::{
    log::Log,
    tool::{self, Failure, Service},
};

/// Parameters as the examples and the scripts take them. Below 9 bits there is nothing that the
/// peers, all of which use zlib, can do.
const SETS: [&str; 4] = [
    "",
    "server_no_context_takeover,client_no_context_takeover",
    "server_max_window_bits=9,client_max_window_bits=10",
    "server_no_context_takeover,client_no_context_takeover,\
     server_max_window_bits=11,client_max_window_bits=9",
];
/// The scripts send at least so much text to `/compressible`.
const COMPRESSIBLE: usize = 1024 * 1024;
/// How long no connection is to end before all are taken for ended.
const SILENCE: Duration = Duration::from_millis(300);
const END_LIMIT: Duration = Duration::from_secs(10);

/// Every client here against an echo server that demands the parameters, and, where a client can
/// ask for them, against one that does as it is asked.
pub(super) fn check_echo(peers: &Peers, adapter: &str, log: &mut Log) -> Result<(), Failure> {
    for set in SETS {
        let name = format!("echo --adapter {adapter} {}", flag(set));
        let service = Service::start(&name, echo(adapter).arg(flag(set)))?;
        check_clients(peers, "", &service, set, log)?;
        if set.is_empty() {
            check_asking_clients(peers, &service, log)?;
        }
        log.note(&format!("{name} stops when asked to"), service.stop());
    }
    Ok(())
}

/// Every client that can ask for parameters, with each set.
pub(super) fn check_asking_clients(
    peers: &Peers,
    service: &Service,
    log: &mut Log,
) -> Result<(), Failure> {
    for set in &SETS[1..] {
        check_clients(peers, set, service, set, log)?;
    }
    Ok(())
}

/// Every client, asking for parameters, against a server with which it is to agree on others.
fn check_clients(
    peers: &Peers,
    asked: &str,
    service: &Service,
    agreed: &str,
    log: &mut Log,
) -> Result<(), Failure> {
    let relay = Relay::start(service.port())?;
    let url = format!("ws://127.0.0.1:{}/", relay.port);
    for (client, mut command) in peers.clients(&url, asked)? {
        let result = tool::run(&mut command).and_then(|()| check_connections(&relay, agreed));
        let asking = match asked {
            "" => String::new(),
            asked => format!(" that asks for {asked}"),
        };
        log.note(&format!("{client}{asking} with {}", service.name()), result);
    }
    Ok(())
}

/// The example `client` against the servers, which do as they are asked.
pub(super) fn check_client(peers: &Peers, log: &mut Log) -> Result<(), Failure> {
    let dir = messages_dir()?;
    for (name, service) in peers.servers(&[])? {
        let relay = Relay::start(service.port())?;
        let base = format!("ws://127.0.0.1:{}", relay.port);
        for set in SETS {
            let flag = flag(set);
            println!("== client {flag} with {name}");
            let result = send_all(&dir, &service, &[&flag], &base, &|message| {
                let passed = relay
                    .next(END_LIMIT)
                    .ok_or_else(|| Failure::new("the connection does not end"))?;
                check_agreed(&passed, set)?;
                if message.is_compressible {
                    check_shorter(&passed, message.bytes.len())?;
                }
                Ok(())
            });
            log.note(&format!("client {flag} with {name}"), result);
        }
        log.note(&format!("{name} stops when asked to"), service.stop());
    }
    Ok(())
}

fn flag(set: &str) -> String {
    match set {
        "" => "--deflate".to_owned(),
        set => format!("--deflate={set}"),
    }
}

/// Checks all connections of a script that has ended.
fn check_connections(relay: &Relay, set: &str) -> Result<(), Failure> {
    let mut is_seen = false;
    while let Some(passed) = relay.next(SILENCE) {
        if passed.up.extensions().is_none() {
            // It is one that checks just that.
            continue;
        }
        check_agreed(&passed, set)?;
        if passed.up.head.starts_with("GET /compressible ") {
            check_shorter(&passed, COMPRESSIBLE)?;
            is_seen = true;
        }
    }
    match is_seen {
        true => Ok(()),
        false => Err(Failure::new("nothing compressible was sent")),
    }
}

fn check_agreed(passed: &Passed, set: &str) -> Result<(), Failure> {
    let answer = passed.down.extensions().unwrap_or_default();
    let has = |wanted: &str| answer.split(';').any(|part| part.trim() == wanted);
    match ["permessage-deflate"]
        .into_iter()
        .chain(set.split(',').filter(|param| !param.is_empty()))
        .find(|wanted| !has(wanted))
    {
        None => Ok(()),
        Some(missing) => Err(Failure::new(format!(
            "{missing} is not in the answer {answer:?}"
        ))),
    }
}

fn check_shorter(passed: &Passed, plain: usize) -> Result<(), Failure> {
    println!(
        "{plain} bytes of text went as {} there and as {} back ({})",
        passed.up.bytes,
        passed.down.bytes,
        passed.down.extensions().unwrap_or_default()
    );
    if passed.up.bytes.max(passed.down.bytes) < plain / 2 {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{plain} bytes of text went as {} there and as {} back",
        passed.up.bytes, passed.down.bytes
    )))
}
