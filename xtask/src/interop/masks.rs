//! Clients of others that leave masking out, or mask with zeros, with the program `masks`, which
//! counts; and a server of others that takes any mask.

use std::{process::Command, time::Duration};

use super::{
    messages::{messages_dir, send_all},
    setup::{Peers, node},
};
use crate::{
    log::Log,
    tool::{self, Failure, Service},
};

/// How a client masks what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Masked,
    ZeroKey,
    Unmasked,
}

/// How many messages each client sends.
const MESSAGES: u32 = 6;
const LIMIT: Duration = Duration::from_secs(20);

/// Every client here, with a server whose flag is off and one whose flag is on.
pub(super) fn check_clients(peers: &Peers, adapter: &str, log: &mut Log) -> Result<(), Failure> {
    let off = masks(adapter, &[])?;
    let on = masks(adapter, &["--accept-unmasked-frame"])?;
    for (name, sent, mut client) in clients(peers) {
        for service in [&off, &on] {
            client.arg(format!("ws://127.0.0.1:{}/", service.port()));
        }
        let said = tool::output_of(&mut client);
        for (index, service) in [&off, &on].into_iter().enumerate() {
            let said = said
                .as_ref()
                .map_err(|error| Failure::new(error.to_string()));
            let result = said.and_then(|said| {
                let line = said.lines().nth(index).unwrap_or_default();
                check_ended(sent, index == 1, line, service)
            });
            log.note(&format!("{name} with {}", service.name()), result);
        }
    }
    for service in [off, on] {
        let name = format!("{} stops when asked to", service.name());
        log.note(&name, service.stop());
    }
    Ok(())
}

/// The clients that are there; each takes URLs, and prints for each how its connection ended.
fn clients(peers: &Peers) -> Vec<(&'static str, Sent, Command)> {
    let mut clients = Vec::new();
    if let Some(class_path) = &peers.netty {
        for (name, sent, masks) in [
            ("Netty", Sent::Masked, "masked"),
            ("Netty without masks", Sent::Unmasked, "unmasked"),
        ] {
            let mut client = netty(class_path, "client");
            client.arg(masks);
            clients.push((name, sent, client));
        }
    }
    if let Some(modules) = &peers.node {
        for (name, sent, how) in [
            ("npm ws with a generateMask of zeros", Sent::ZeroKey, "zero"),
            ("npm ws without masks", Sent::Unmasked, "unmasked"),
        ] {
            let mut client = node(modules, "node_masks.cjs");
            client.arg(how);
            clients.push((name, sent, client));
        }
    }
    if let Some(program) = &peers.unmasked {
        for (name, library) in [
            ("fastwebsockets without masks", "fastwebsockets"),
            ("wtx without masks", "wtx"),
        ] {
            let mut client = Command::new(program);
            client.arg(library);
            clients.push((name, Sent::Unmasked, client));
        }
    }
    clients
}

/// Checks what a client says of its connection, and what the server counted.
fn check_ended(sent: Sent, is_on: bool, said: &str, service: &Service) -> Result<(), Failure> {
    let told = next_line(service)?;
    println!("the client says {said:?}, the server {told:?}");
    let is_refused = sent == Sent::Unmasked && !is_on;
    let (expected, begins) = match is_refused {
        true => ("closed 1002 after 0 echoes", "failed 1002: "),
        false => ("closed 1000 after 6 echoes", "closed 1000: "),
    };
    // wtx does not tell the code.
    let (_, echoes) = expected.split_at("closed 1000".len());
    let is_expected = said == expected || said == format!("closed unknown{echoes}");
    let frames = told.strip_prefix(begins).and_then(Frames::parse);
    let is_counted = frames.is_some_and(|frames| match sent {
        _ if is_refused => frames.unmasked == 0,
        Sent::Masked => frames.all >= MESSAGES && frames.unmasked + frames.zero_key == 0,
        Sent::ZeroKey => frames.zero_key >= MESSAGES && frames.unmasked == 0,
        Sent::Unmasked => frames.unmasked >= MESSAGES,
    });
    if is_expected && is_counted {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the client says {said:?} and not {expected:?}, the server {told:?}"
    )))
}

/// What the program `masks` counted of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frames {
    pub(super) all: u32,
    pub(super) unmasked: u32,
    pub(super) zero_key: u32,
}

impl Frames {
    /// Reads `3 frames, 2 unmasked, 1 zero key`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut counts = text.split(", ").map(|part| {
            let (count, what) = part.split_once(' ')?;
            Some((count.parse().ok()?, what))
        });
        let mut next = |wanted| match counts.next()?? {
            (count, what) if what == wanted => Some(count),
            _ => None,
        };
        Some(Self {
            all: next("frames")?,
            unmasked: next("unmasked")?,
            zero_key: next("zero key")?,
        })
    }
}

/// The example `client`, with both ways of masking, with Netty that takes any.
pub(super) fn check_netty_server(peers: &Peers, log: &mut Log) -> Result<(), Failure> {
    let Some(class_path) = &peers.netty else {
        return Ok(());
    };
    let dir = messages_dir()?;
    // Nobody asks a virtual machine to end: it is killed.
    let service = Service::start("Netty.java server", &mut netty(class_path, "server"))?;
    for masking in [&[][..], &["--set-mask-to-zero"]] {
        let line = [&["client"], masking].concat().join(" ");
        let base = format!("ws://127.0.0.1:{}", service.port());
        let result = send_all(&dir, &service, masking, &base, &|_| Ok(()));
        log.note(
            &format!("{line} with Netty that has allowMaskMismatch"),
            result,
        );
    }
    Ok(())
}

fn netty(class_path: &std::ffi::OsStr, role: &str) -> Command {
    let mut java = Command::new("java");
    // It runs for a moment, so it need not be compiled well.
    java.args(["-XX:TieredStopAtLevel=1", "-cp"]);
    java.arg(class_path).args(["Netty", role]);
    java
}

/// Starts the program `masks`.
pub(super) fn masks(adapter: &str, flags: &[&str]) -> Result<Service, Failure> {
    let mut command = Command::new(tool::program("masks"));
    command.args(["--adapter", adapter]).args(flags);
    let name = [&["masks", "--adapter", adapter], flags].concat().join(" ");
    Service::start(&name, &mut command)
}

pub(super) fn next_line(service: &Service) -> Result<String, Failure> {
    service
        .next_line(LIMIT)
        .ok_or_else(|| Failure::new(format!("{} says nothing within {LIMIT:?}", service.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_are_told() {
        let frames = Frames {
            all: 30,
            unmasked: 2,
            zero_key: 1,
        };
        assert_eq!(
            Frames::parse("30 frames, 2 unmasked, 1 zero key"),
            Some(frames)
        );
        assert_eq!(Frames::parse("30 frames, 1 zero key, 2 unmasked"), None);
        assert_eq!(Frames::parse(""), None);
    }
}
