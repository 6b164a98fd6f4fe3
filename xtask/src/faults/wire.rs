//! Two network namespaces and a cable between them, which can be cut.

use std::{
    fmt,
    net::Ipv4Addr,
    process::{self, Command, Stdio},
};

use crate::tool::{self, Failure};

/// Exists until it is dropped, with both namespaces.
#[derive(Debug)]
pub(super) struct Wire {
    here: String,
    there: String,
}

/// An end of a wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The name of its namespace.
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
}

/// How a network ceases to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The other end of the cable is down, and ours knows that there is no carrier.
    Unplugged,
    /// All packets leave, and none arrives: they are addressed to a card that is not there.
    Silent,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unplugged => "network unplugged",
            Self::Silent => "network silent",
        })
    }
}

const HERE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
pub(super) const THERE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const DEVICE: &str = "veth0";
/// The card that is not there.
const NOBODY: &str = "02:00:00:00:00:01";

impl Wire {
    /// Makes two namespaces, whose names end with `name`, and joins them.
    pub(super) fn lay(name: &str) -> Result<Self, Failure> {
        let own = process::id();
        let wire = Self {
            here: format!("ws-here-{own}-{name}"),
            there: format!("ws-there-{own}-{name}"),
        };
        ip(&["netns", "add", &wire.here])?;
        wire.join_there()?;
        Ok(wire)
    }

    /// Makes the other namespace, and joins it to ours.
    fn join_there(&self) -> Result<(), Failure> {
        ip(&["netns", "add", &self.there])?;
        let ours = ["link", "add", DEVICE, "netns", &self.here, "type", "veth"];
        let theirs = ["peer", "name", DEVICE, "netns", &self.there];
        ip(&[&ours[..], &theirs].concat())?;
        for place in [self.here(), self.there()] {
            let network = format!("{}/24", place.address);
            ip(&["-n", place.name, "addr", "add", &network, "dev", DEVICE])?;
            ip(&["-n", place.name, "link", "set", DEVICE, "up"])?;
        }
        Ok(())
    }

    pub(super) fn here(&self) -> Place<'_> {
        Place {
            name: &self.here,
            address: HERE,
        }
    }

    pub(super) fn there(&self) -> Place<'_> {
        Place {
            name: &self.there,
            address: THERE,
        }
    }

    pub(super) fn cut(&self, cut: Cut) -> Result<(), Failure> {
        match cut {
            Cut::Unplugged => ip(&["-n", &self.there, "link", "set", DEVICE, "down"]),
            Cut::Silent => self.silence(),
        }
    }

    /// The other end is switched off, and another machine has its address: it knows of no
    /// connection.
    pub(super) fn replace(&self) -> Result<(), Failure> {
        self.remove()?;
        ip(&["netns", "del", &self.there])?;
        self.join_there()
    }

    /// Removes both ends of the cable.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        ip(&["-n", &self.here, "link", "del", DEVICE])
    }

    fn silence(&self) -> Result<(), Failure> {
        for (place, other) in [(&self.here, THERE), (&self.there, HERE)] {
            let other = other.to_string();
            let neighbour = ["-n", place, "neigh", "replace", &other, "dev", DEVICE];
            ip(&[&neighbour[..], &["lladdr", NOBODY, "nud", "permanent"]].concat())?;
        }
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in [&self.here, &self.there] {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

/// `ip`, of iproute2.
pub(super) fn program() -> Result<Command, Failure> {
    let found = tool::find("ip").map(Command::new);
    found.ok_or_else(|| Failure::new("ip, of iproute2, is not installed"))
}

fn ip(arguments: &[&str]) -> Result<(), Failure> {
    let output = program()?
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::new(format!("cannot run ip: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!(
        "`ip {}`: {}",
        arguments.join(" "),
        said.trim()
    )))
}
