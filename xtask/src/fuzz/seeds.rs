//! The seeds of the fuzz targets, taken from the conformance vectors. Those of targets that read
//! what proxies say are in [`proxies`].

use std::{collections::BTreeMap, fs, path::Path};

use ws_conformance::{Input, Receiver};

use super::{fuzz_dir, proxies};
use crate::{tool::Failure, vectors};

/// Writes the seeds of every target anew.
pub(super) fn write() -> Result<(), Failure> {
    let inputs = vectors::read(&vectors::dir())?.into_inputs();
    for recipe in RECIPES {
        write_target(recipe.target, &recipe.seeds(&inputs))?;
    }
    for (target, seeds) in proxies::SEEDS {
        let seeds = seeds.iter();
        let seeds = seeds.map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
        write_target(target, &seeds.collect())?;
    }
    for (target, texts) in REPLIES {
        let dir = fuzz_dir().join("seeds").join(target);
        fs::create_dir_all(&dir)?;
        for (number, text) in texts.iter().enumerate() {
            fs::write(dir.join(format!("reply_{number}")), text)?;
        }
        println!("{target:<24} {:>3} seeds", texts.len());
    }
    remove_strangers(&fuzz_dir().join("seeds"))
}

fn write_target(target: &str, seeds: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    let dir = fuzz_dir().join("seeds").join(target);
    if dir.is_dir() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    for (name, bytes) in seeds {
        fs::write(dir.join(name), bytes)?;
    }
    println!("{target:<24} {:>3} seeds", seeds.len());
    Ok(())
}

/// Seeds of targets that are no more.
fn remove_strangers(seeds: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(seeds)? {
        let entry = entry?;
        let taken = RECIPES.iter().map(|recipe| recipe.target);
        let mut targets = taken
            .chain(proxies::SEEDS.iter().map(|(target, _)| *target))
            .chain(REPLIES.iter().map(|(target, _)| *target));
        let is_known = targets.any(|target| entry.file_name() == target);
        if !is_known && entry.path().is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// What the servers of ws-backplane's engines say, which is in no vector.
const REPLIES: &[(&str, &[&str])] = &[
    (
        "backplane_redis",
        &[
            "+OK\r\n",
            "-ERR no\r\n",
            ":-12\r\n",
            "$8\r\na\r\nb\r\nc\r\r\n",
            "*3\r\n:1\r\n$1\r\nx\r\n*1\r\n+y\r\n",
            "%1\r\n+key\r\n:7\r\n",
            ">3\r\n$7\r\nmessage\r\n$4\r\nws:t\r\n$3\r\nabc\r\n",
            "=8\r\ntxt:text\r\n",
            "|1\r\n+ttl\r\n:3600\r\n*1\r\n:1\r\n",
            "*3\r\n#t\r\n_\r\n,1.5\r\n",
        ],
    ),
    (
        "backplane_nats",
        &[
            "INFO {\"server_id\":\"A\"}\r\n",
            "PING\r\n",
            "PONG\r\n",
            "+OK\r\n",
            "-ERR 'Slow Consumer'\r\n",
            "MSG a.b 9 5\r\na\r\nb\r\r\n",
            "MSG a.b 9 reply.to 0\r\n\r\n",
            "HMSG a 1 34 39\r\nNATS/1.0 404 Not\r\nA: b\r\nA:  c \r\n\r\nhello\r\n",
            "HMSG a 1 r 12 12\r\nNATS/1.0\r\n\r\n\r\n",
        ],
    ),
];

/// How the seeds of a target come out of the vectors.
struct Recipe {
    target: &'static str,
    /// The bytes to take of an input, or `None` to leave it out.
    take: fn(&Input) -> Option<Vec<u8>>,
}

const RECIPES: &[Recipe] = &[
    Recipe {
        target: "header",
        take: |input| is_matrix(input).then(|| input.bytes.clone()),
    },
    Recipe {
        target: "receive_strict",
        take: |input| stream_to(input, Receiver::StrictServer),
    },
    Recipe {
        target: "receive_accept_unmasked",
        take: |input| stream_to(input, Receiver::AcceptingServer),
    },
    Recipe {
        target: "receive_client",
        take: |input| stream_to(input, Receiver::Client),
    },
    Recipe {
        target: "roundtrip",
        take: |input| (input.receiver == Receiver::Nobody).then(|| input.bytes.clone()),
    },
    Recipe {
        target: "handshake_request",
        take: |input| (input.receiver == Receiver::Request).then(|| input.bytes.clone()),
    },
    Recipe {
        target: "handshake_response",
        take: |input| (input.receiver == Receiver::Response).then(|| input.bytes.clone()),
    },
    Recipe {
        target: "inflate_stream",
        take: |input| stream_to(input, Receiver::Inflating),
    },
    Recipe {
        target: "inflate_differential",
        // The payload of the first frame, of a client's peer: it is not masked.
        take: |input| {
            let is_plain = input.receiver == Receiver::Inflating && input.bytes.get(1)? < &126;
            is_plain.then(|| input.bytes[2..].to_vec())
        },
    },
    Recipe {
        target: "differential_receive",
        take: |input| {
            let strict = stream_to(input, Receiver::StrictServer);
            strict.or_else(|| stream_to(input, Receiver::Client))
        },
    },
    Recipe {
        target: "differential_handshake",
        take: |input| (input.receiver == Receiver::Request).then(|| input.bytes.clone()),
    },
    Recipe {
        target: "differential_reply",
        take: |input| (input.receiver == Receiver::Response).then(|| input.bytes.clone()),
    },
    Recipe {
        target: "engine_mio",
        // To a server, before its handshake and after it.
        take: |input| {
            let request = (input.receiver == Receiver::Request).then(|| input.bytes.clone());
            request.or_else(|| stream_to(input, Receiver::AcceptingServer))
        },
    },
    Recipe {
        target: "engine_smol",
        // To both roles, and before the handshake.
        take: |input| {
            let request = (input.receiver == Receiver::Request).then(|| input.bytes.clone());
            let to_server = || stream_to(input, Receiver::AcceptingServer);
            let to_client = || stream_to(input, Receiver::Client);
            request.or_else(to_server).or_else(to_client)
        },
    },
    Recipe {
        target: "utf8",
        // The payload of the first frame; a client gets it unmasked.
        take: |input| {
            let is_text = input.class.contains("utf8") && input.receiver == Receiver::Client;
            is_text.then(|| input.bytes.get(2..).unwrap_or_default().to_vec())
        },
    },
    Recipe {
        target: "xor",
        // Key and payload of a masked frame.
        take: |input| {
            let is_masked = input.class.contains("mask") && input.bytes.get(1)? & 0x80 != 0;
            is_masked.then(|| input.bytes[2..].to_vec())
        },
    },
];

fn is_matrix(input: &Input) -> bool {
    input.class.contains("header_matrix")
}

fn stream_to(input: &Input, receiver: Receiver) -> Option<Vec<u8>> {
    (input.receiver == receiver && !is_matrix(input)).then(|| input.bytes.clone())
}

impl Recipe {
    /// At most [`MOST_SEEDS`] different short seeds, spread evenly over what there is.
    fn seeds(&self, inputs: &[Input]) -> BTreeMap<String, Vec<u8>> {
        let mut unique: Vec<(String, Vec<u8>)> = Vec::new();
        for input in inputs {
            let Some(bytes) = (self.take)(input) else {
                continue;
            };
            let fits = (1..=LONGEST_SEED).contains(&bytes.len());
            if fits && !unique.iter().any(|(_, other)| *other == bytes) {
                unique.push((file_name(&input.name), bytes));
            }
        }
        let count = unique.len();
        let kept = count.min(MOST_SEEDS);
        (0..kept)
            .map(|share| unique[share * count / kept].clone())
            .collect()
    }
}

fn file_name(vector: &str) -> String {
    vector
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-.".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

const MOST_SEEDS: usize = 60;
const LONGEST_SEED: usize = 600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_few_different_and_short() {
        let inputs: Vec<_> = (0..500_u16)
            .map(|number| Input {
                class: "vectors/header_matrix.csv client".to_owned(),
                name: format!("client/{number}"),
                receiver: Receiver::Client,
                bytes: (number / 2).to_be_bytes().to_vec(),
            })
            .collect();
        let seeds = RECIPES[0].seeds(&inputs);
        assert_eq!(seeds.len(), MOST_SEEDS);
        assert!(seeds.contains_key("client_0"));
        let few = RECIPES[0].seeds(&inputs[..20]);
        assert_eq!(few.len(), 10);
    }

    #[test]
    fn every_target_gets_seeds() {
        let inputs = vectors::read(&vectors::dir())
            .expect("readable vectors")
            .into_inputs();
        for recipe in RECIPES {
            let seeds = recipe.seeds(&inputs).len();
            assert!(
                (5..=MOST_SEEDS).contains(&seeds),
                "{}: {seeds}",
                recipe.target
            );
        }
    }
}
