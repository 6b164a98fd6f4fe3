//! `wsdo check`: whether a server keeps the rules of RFC 6455.

mod probe;
mod rules;

use std::time::Duration;

use self::{
    probe::{Prober, Verdict},
    rules::{RULES, Rule},
};
use crate::{
    client::{self, Client},
    exit::{Exit, Failure},
    json,
    options::{Command, Given, Group, Opt, Value},
    signal::Interrupts,
};

pub(crate) const COMMAND: Command = Command {
    name: "check",
    operands: "URL",
    max_operands: 1,
    verbatim_from: None,
    summary: "tell whether a server keeps the rules of RFC 6455",
    about: &[
        "Connects to a server some fifty times, and breaks a rule each time, or asks for what",
        "a rule promises. Each rule has a line, with its number in RFC 6455: kept, BROKEN,",
        "lenient (the server takes a request that it should refuse), or undecided (it closed",
        "before it could be told). The exit code is 10 if a rule is broken. Check servers that",
        "are yours: many of the requests are wrong on purpose.",
    ],
    groups: &[&CHECK, &client::REQUEST, &client::TLS, &client::TRANSPORT],
    examples: &[
        (
            "wsdo check ws://127.0.0.1:9001/",
            "check a server of this machine",
        ),
        (
            "wsdo check --broken --jsonl URL",
            "what is wrong, for a program",
        ),
    ],
};

const CHECK: Group = Group {
    title: "The report",
    options: &[
        Opt {
            short: None,
            long: "strict",
            value: Value::None,
            help: &["count what is lenient as broken"],
        },
        Opt {
            short: None,
            long: "unmasked",
            value: Value::None,
            help: &["the server takes unmasked frames on purpose"],
        },
        Opt {
            short: None,
            long: "broken",
            value: Value::None,
            help: &["show only rules that are not kept"],
        },
        Opt {
            short: None,
            long: "jsonl",
            value: Value::None,
            help: &["write a line of JSON for each rule"],
        },
        Opt {
            short: Some('t'),
            long: "timeout",
            value: Value::One("SECONDS"),
            help: &[
                "how long the server may take for each answer",
                "(default: 5)",
            ],
        },
    ],
};

/// Runs the subcommand.
pub(crate) fn run(given: &Given) -> Result<Exit, Failure> {
    let [url] = &given.operands[..] else {
        return Err(Failure::usage("which URL?"));
    };
    let url = url
        .to_str()
        .ok_or_else(|| Failure::usage("the URL is no text"))?;
    let client = Client::new(given, url)?;
    let timeout = given.seconds("timeout")?.unwrap_or(Duration::from_secs(5));
    let prober = Prober::new(client, timeout);
    crate::runtime::block_on(async {
        let mut interrupts = Interrupts::new()?;
        let checking = check(given, &prober);
        let interrupted = async {
            interrupts.next().await;
            Ok(Exit::Interrupted)
        };
        crate::runtime::future::or(checking, interrupted).await
    })
}

async fn check(given: &Given, prober: &Prober) -> Result<Exit, Failure> {
    // A server that cannot be reached breaks no rule.
    prober.reach().await?;
    let mut counts = Counts::default();
    for rule in RULES {
        let verdict = match rule.is_of_masking() && given.has("unmasked") {
            true => Verdict::Undecided("unmasked frames are taken on purpose".to_owned()),
            false => prober.judge(rule).await,
        };
        counts.note(&verdict);
        if verdict != Verdict::Kept || !given.has("broken") {
            tell(rule, &verdict, given.has("jsonl"));
        }
    }
    let (broken, lenient) = (counts.broken, counts.lenient);
    if !given.has("jsonl") {
        println!(
            "{} rules: {} kept, {broken} broken, {lenient} lenient, {} undecided",
            RULES.len(),
            counts.kept,
            counts.undecided
        );
    }
    match broken > 0 || (lenient > 0 && given.has("strict")) {
        true => Ok(Exit::Broken),
        false => Ok(Exit::Success),
    }
}

#[derive(Default)]
struct Counts {
    kept: usize,
    broken: usize,
    lenient: usize,
    undecided: usize,
}

impl Counts {
    const fn note(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Kept => self.kept += 1,
            Verdict::Broken(_) => self.broken += 1,
            Verdict::Lenient(_) => self.lenient += 1,
            Verdict::Undecided(_) => self.undecided += 1,
        }
    }
}

fn tell(rule: &Rule, verdict: &Verdict, is_jsonl: bool) {
    let (word, why) = match verdict {
        Verdict::Kept => ("kept", ""),
        Verdict::Broken(why) => ("BROKEN", &**why),
        Verdict::Lenient(why) => ("lenient", &**why),
        Verdict::Undecided(why) => ("undecided", &**why),
    };
    if is_jsonl {
        println!(
            "{{\"rule\":{},\"verdict\":{},\"text\":{},\"why\":{}}}",
            json::string(rule.id),
            json::string(&word.to_lowercase()),
            json::string(rule.text),
            json::string(why)
        );
        return;
    }
    println!("{word:<9} {:<18} {}", rule.id, rule.text);
    if !why.is_empty() {
        println!("{:29}{}", "", crate::text::printable(why));
    }
}
