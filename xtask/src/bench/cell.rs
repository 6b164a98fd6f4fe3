//! A kind of load.

use std::fmt;

use super::statistics::Figure;
use crate::tool::Failure;

/// A load, as `--cells` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    name: String,
    pub(super) load: Load,
    /// Whether it is over TLS.
    pub(super) is_secure: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    /// Echoes in a closed loop.
    Echo {
        size: usize,
        connections: usize,
        pipelined: usize,
        masks: Masks,
    },
    /// Echoes of JSON in a closed loop, compressed in both directions.
    Deflate {
        size: usize,
        connections: usize,
        deflate: Deflate,
    },
    /// Echoes that are due at fixed times, whatever the server does.
    Latency {
        size: usize,
        connections: usize,
        rate: Rate,
    },
    /// Connect, upgrade, close.
    Churn,
    /// One sends and all receive.
    Broadcast { size: usize, connections: usize },
    /// Open connections, and an echo of 1 KiB over each.
    Memory {
        connections: usize,
        deflate: Option<Deflate>,
    },
    /// Handshakes of TLS that begin at once, while others echo.
    Storm { connections: usize },
    /// Echoes under `strace`, which counts system calls.
    Calls { size: usize, connections: usize },
    /// A client sends to a sink as fast as it can.
    Client { size: usize, masks: Masks },
}

/// How many messages a second are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    /// As many for each server: half of what the slowest of the run saturates at.
    Common,
    /// Half of what the server itself saturates at: each is as busy as the others.
    Own,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Masks {
    Random,
    Zero,
    None,
}

/// What both sides compress with, as servers and generator are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deflate {
    level: usize,
    takes_over: bool,
}

impl Deflate {
    /// `1` or `6/takeover`, as the rest of a name has it.
    fn parse(parts: &[&str]) -> Option<Self> {
        let (level, takes_over) = match parts {
            [level] => (level, false),
            [level, "takeover"] => (level, true),
            _ => return None,
        };
        let level = number(level).filter(|level| *level <= 9)?;
        Some(Self { level, takes_over })
    }

    pub(super) fn arguments(self) -> Vec<String> {
        let mut arguments = vec!["--deflate".to_owned(), self.level.to_string()];
        if self.takes_over {
            arguments.push("--takeover".to_owned());
        }
        arguments
    }
}

impl fmt::Display for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let takeover = if self.takes_over { "with" } else { "without" };
        write!(
            f,
            "compressed at level {}, {takeover} context takeover",
            self.level
        )
    }
}

impl Masks {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Zero => "zero",
            Self::None => "none",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Random, Self::Zero, Self::None]
            .into_iter()
            .find(|masks| masks.name() == name)
    }
}

impl Cell {
    pub(super) fn parse(name: &str) -> Result<Self, Failure> {
        let (is_secure, rest) = match name.strip_prefix("tls/") {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let parts: Vec<&str> = rest.split('/').collect();
        let load = match parts[..] {
            ["storm", connections] => {
                number(connections).map(|connections| Load::Storm { connections })
            }
            ["churn"] => Some(Load::Churn),
            ["memory", connections] => number(connections).map(|connections| Load::Memory {
                connections,
                deflate: None,
            }),
            ["memory", connections, "deflate", ref rest @ ..] => number(connections)
                .zip(Deflate::parse(rest))
                .map(|(connections, deflate)| Load::Memory {
                    connections,
                    deflate: Some(deflate),
                }),
            ["deflate", size, connections, ref rest @ ..] => (|| {
                Some(Load::Deflate {
                    size: number(size)?,
                    connections: number(connections)?,
                    deflate: Deflate::parse(rest)?,
                })
            })(),
            ["broadcast", size, connections] => number(size)
                .zip(number(connections))
                .map(|(size, connections)| Load::Broadcast { size, connections }),
            ["latency", size, connections] => latency(size, connections, Rate::Common),
            ["latency", size, connections, "own"] => latency(size, connections, Rate::Own),
            ["calls", size, connections] => number(size)
                .zip(number(connections))
                .map(|(size, connections)| Load::Calls { size, connections }),
            ["client", size, masks] => number(size)
                .zip(Masks::parse(masks))
                .map(|(size, masks)| Load::Client { size, masks }),
            [size, connections, pipelined, ref masks @ ..] if masks.len() < 2 => (|| {
                Some(Load::Echo {
                    size: number(size)?,
                    connections: number(connections)?,
                    pipelined: number(pipelined)?,
                    masks: Masks::parse(masks.first().unwrap_or(&"random"))?,
                })
            })(),
            _ => None,
        };
        let there_is = |load: &Load| match load {
            Load::Echo { .. } | Load::Memory { deflate: None, .. } => true,
            Load::Storm { .. } => is_secure,
            _ => !is_secure,
        };
        match load.filter(there_is) {
            Some(load) => Ok(Self {
                name: name.to_owned(),
                load,
                is_secure,
            }),
            None => Err(Failure::new(format!("no cell {name:?}; see --list"))),
        }
    }

    /// By what servers are compared; the first is that of the table and the plot.
    pub(super) fn figures(&self) -> &'static [Figure] {
        match self.load {
            Load::Echo { .. } | Load::Churn | Load::Broadcast { .. } | Load::Client { .. } => {
                &[Figure::CPU]
            }
            Load::Deflate { .. } => &[Figure::CPU, Figure::REPLY],
            Load::Latency { .. } => &[Figure::P99],
            Load::Storm { .. } => &[Figure::P99, Figure::QUIET_P99, Figure::CPU],
            Load::Memory { .. } => &[Figure::OPEN, Figure::ECHOED],
            Load::Calls { .. } => &[Figure::CALLS],
        }
    }

    /// Whether the raw server is a measure: what it keeps for a connection is a few bytes, what it
    /// sends back is compressed already, and it speaks no TLS.
    pub(super) fn has_floor(&self) -> bool {
        !self.is_secure && !matches!(self.load, Load::Memory { .. } | Load::Deflate { .. })
    }

    /// What is compressed in it, if anything.
    pub(super) fn deflate(&self) -> Option<Deflate> {
        match self.load {
            Load::Deflate { deflate, .. } => Some(deflate),
            Load::Memory { deflate, .. } => deflate,
            _ => None,
        }
    }

    /// What its messages are called: one, and several.
    pub(super) fn unit(&self) -> (&'static str, &'static str) {
        match self.load {
            Load::Echo { .. }
            | Load::Deflate { .. }
            | Load::Latency { .. }
            | Load::Calls { .. }
            | Load::Client { .. } => ("message", "messages"),
            Load::Churn | Load::Memory { .. } => ("connection", "connections"),
            Load::Storm { .. } => ("handshake", "handshakes"),
            Load::Broadcast { .. } => ("delivery", "deliveries"),
        }
    }

    /// What it does, in words.
    pub(super) fn title(&self) -> String {
        let bytes = |size: usize| match size {
            size if size >= 1 << 20 && size % (1 << 20) == 0 => format!("{} MiB", size >> 20),
            size if size >= 1 << 10 && size % (1 << 10) == 0 => format!("{} KiB", size >> 10),
            size => format!("{size} B"),
        };
        let keys = |masks| match masks {
            Masks::Random => "",
            Masks::Zero => ", masked with the zero key",
            Masks::None => ", unmasked",
        };
        let over = if self.is_secure { " over TLS 1.3" } else { "" };
        match self.load {
            Load::Echo {
                size,
                connections,
                pipelined,
                masks,
            } => format!(
                "echo of {}{over}, {connections} connections, {pipelined} at once{}",
                bytes(size),
                keys(masks)
            ),
            Load::Storm { connections } => format!(
                "{connections} handshakes of TLS 1.3 begin at once, while 64 connections echo 125 B \
                 at fixed times; how long those take until all handshakes are answered, and before"
            ),
            Load::Latency {
                size,
                connections,
                rate,
            } => format!(
                "echo of {}, {connections} connections, at half the rate that {} saturates at; \
                 times count from when a message was due",
                bytes(size),
                match rate {
                    Rate::Common => "the slowest of these servers",
                    Rate::Own => "the server itself",
                }
            ),
            Load::Churn => "connect, upgrade, close; 16 at a time".to_owned(),
            Load::Broadcast { size, connections } => {
                format!("broadcast of {} to {connections} connections", bytes(size))
            }
            Load::Deflate {
                size,
                connections,
                deflate,
            } => format!(
                "echo of {} of JSON, {connections} connections, {deflate}",
                bytes(size)
            ),
            Load::Memory {
                connections,
                deflate,
            } => format!(
                "resident memory of {connections} connections{over}, per connection{}",
                deflate.map_or(String::new(), |deflate| format!(
                    "; text of 1 KiB {deflate}"
                ))
            ),
            Load::Calls { size, connections } => format!(
                "system calls a message, echo of {}, {connections} connections",
                bytes(size)
            ),
            Load::Client { size, masks } => format!(
                "client that sends {}{} to a sink",
                bytes(size),
                match masks {
                    Masks::Random => ", masked with fresh keys",
                    other => keys(other),
                }
            ),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn latency(size: &str, connections: &str, rate: Rate) -> Option<Load> {
    Some(Load::Latency {
        size: number(size)?,
        connections: number(connections)?,
        rate,
    })
}

/// `125`, `16K`, `1M`.
fn number(text: &str) -> Option<usize> {
    let (digits, factor) = match text.strip_suffix('K') {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1 << 20),
            None => (text, 1),
        },
    };
    let number = digits.parse::<usize>().ok()?.checked_mul(factor)?;
    (1..=1 << 30).contains(&number).then_some(number)
}

pub(super) const FULL: &[&str] = &[
    "16/1/1",
    "125/64/1",
    "125/512/1",
    "16/64/16",
    "1K/64/16",
    "16K/64/1",
    "256K/64/1",
    "256K/64/1/zero",
    "256K/64/1/none",
    "1M/1/1",
    "1M/1/1/zero",
    "1M/1/1/none",
    "1M/16/4",
    "churn",
    "broadcast/125/1000",
    "broadcast/1K/200",
    "latency/125/64",
    "latency/125/64/own",
    "memory/9000",
    "deflate/1K/16/1",
    "deflate/1K/16/1/takeover",
    "deflate/1K/16/6",
    "deflate/1K/16/6/takeover",
    "deflate/1K/64/6/takeover",
    "deflate/64K/16/1",
    "deflate/64K/16/1/takeover",
    "deflate/64K/16/6",
    "deflate/64K/16/6/takeover",
    "memory/5000",
    "memory/5000/deflate/6",
    "memory/5000/deflate/6/takeover",
    "calls/125/64",
    "client/16K/random",
    "client/16K/zero",
    "client/1M/random",
    "client/1M/zero",
    "tls/125/64/1",
    "tls/16K/64/1",
    "tls/16K/64/1/zero",
    "tls/16K/64/1/none",
    "tls/1M/16/1",
    "tls/1M/16/1/zero",
    "tls/1M/16/1/none",
    "tls/memory/5000",
    "tls/storm/5000",
];

pub(super) const QUICK: &[&str] = &[
    "16/1/1",
    "125/64/1",
    "125/512/1",
    "16/64/16",
    "1K/64/16",
    "16K/64/1",
    "256K/64/1",
    "256K/64/1/zero",
    "1M/1/1",
    "1M/16/4",
    "churn",
    "broadcast/125/1000",
    "memory/9000",
];

pub(super) const SCALE: &[&str] = &[
    "125/1/1",
    "125/10/1",
    "125/100/1",
    "125/1000/1",
    "125/10000/1",
    "memory/1",
    "memory/10",
    "memory/100",
    "memory/1000",
    "memory/10000",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_lists_are_cells() {
        for name in FULL.iter().chain(QUICK).chain(SCALE) {
            assert_eq!(Cell::parse(name).unwrap().to_string(), *name);
        }
        for name in [
            "",
            "1/1",
            "1/1/1/red",
            "0/1/1",
            "memory",
            "1/1/1/zero/1",
            "deflate/1K/16",
            "deflate/1K/16/10",
            "memory/1/deflate/6/over",
            "storm/1",
            "tls/churn",
            "tls/tls/1/1/1",
        ] {
            assert!(Cell::parse(name).is_err(), "{name}");
        }
    }
}
