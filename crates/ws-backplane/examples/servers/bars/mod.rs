//! What it costs, in ratios of one run on one machine.

mod fanout;
mod returning;
pub(crate) mod serve;

use std::{
    fs,
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ws_backplane::{Limits, Node, Publish, Redis, connect_tcp};

use crate::{
    Failure, Play, Setup,
    observer::{LONG, Seen, node},
    redis::server::Server,
};

pub(crate) const ALL: &[(&str, Play)] = &[
    ("messages a second, beside redis-benchmark", throughput),
    ("one publication to two processes", fanout::latency),
    ("processor time of a delivery", fanout::processor_time),
    ("5,000 clients that come back at once", returning::returning),
    ("memory of 100,000 idle topics", memory),
];

const MESSAGES: u64 = 200_000;

fn start(setup: &Setup<'_>) -> Result<Server, Failure> {
    Server::start(setup.redis.ok_or("redis-server is not installed")?, &[])
}

fn redis_node(server: &Server) -> (Node, Seen) {
    let port = server.port();
    let connect = move || connect_tcp("127.0.0.1", port);
    node(Redis::new(), connect, Limits::default())
}

/// 125 bytes, pipelined, through the same script.
fn throughput(setup: &Setup<'_>) -> Result<String, Failure> {
    let Some(benchmark) = setup.benchmark else {
        return Err("redis-benchmark is not installed".into());
    };
    let server = start(setup)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        theirs.push(benchmarked(benchmark, &server)?);
        ours.push(published(&server)?);
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours / theirs;
    let what = format!("{ours:.0} ÷ {theirs:.0} = {ratio:.2}, at least 0.7");
    if ratio < 0.7 {
        Err(what.into())
    } else {
        Ok(what)
    }
}

fn published(server: &Server) -> Result<f64, Failure> {
    let (publisher, seen) = redis_node(server);
    seen.wait("the engine is there", LONG, |story| story.ups > 0)?;
    // As many under way as redis-benchmark has.
    let (answered, permits) = mpsc::sync_channel(PIPELINE);
    for _ in 0..PIPELINE {
        answered.send(())?;
    }
    let payload = bytes(125);
    let began = Instant::now();
    for _ in 0..MESSAGES {
        permits.recv()?;
        let answered = answered.clone();
        publisher.publish_then("speed", payload.clone(), Publish::default(), move |_| {
            // There is room for all.
            let _ = answered.send(());
        })?;
    }
    for _ in 0..PIPELINE {
        permits.recv()?;
    }
    Ok(MESSAGES as f64 / began.elapsed().as_secs_f64())
}

const PIPELINE: usize = 256;

fn benchmarked(benchmark: &str, server: &Server) -> Result<f64, Failure> {
    let script = concat!(
        include_str!("../../../src/redis/head.lua"),
        include_str!("../../../src/redis/publish.lua")
    );
    let digest = server.admin(&["SCRIPT", "LOAD", script])?;
    let payload = String::from_utf8(bytes(125))?;
    let output = Command::new(benchmark)
        .args(["-p", &server.port().to_string(), "-c", "1", "--csv"])
        .args(["-P", &PIPELINE.to_string(), "-n", &MESSAGES.to_string()])
        .args(["EVALSHA", &digest, "2", "ws:{bench}:m", "ws:{bench}:s"])
        .args(["run", "00000000000000ff", "86400000", "ws:bench", &payload])
        .args(["100", "300000", "0", "300000"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text
        .lines()
        .last()
        .and_then(|line| line.split("\",\"").nth(1));
    let rate = rate.ok_or_else(|| format!("redis-benchmark said {text:?}"))?;
    Ok(rate.trim_matches('"').parse()?)
}

fn memory(setup: &Setup<'_>) -> Result<String, Failure> {
    const TOPICS: usize = 100_000;
    let server = start(setup)?;
    let (other, seen) = redis_node(&server);
    seen.wait("the engine is there", LONG, |story| story.ups > 0)?;
    let before = resident()?;
    for topic in 0..TOPICS {
        other.subscribe(format!("topic {topic}"));
    }
    // Whoever asked last is answered last.
    let (sender, receiver) = mpsc::channel();
    other.recover(format!("topic {}", TOPICS - 1), None, move |_| {
        let _ = sender.send(());
    });
    receiver.recv_timeout(LONG)?;
    thread::sleep(Duration::from_secs(1));
    let each = resident()?.saturating_sub(before) / TOPICS as u64;
    let topics = other.metrics().topics;
    let what = format!("{each} B a topic, at most 512; {topics} subscribed");
    if each > 512 || topics != TOPICS as u64 {
        Err(what.into())
    } else {
        Ok(what)
    }
}

/// Bytes of memory that this process has.
fn resident() -> Result<u64, Failure> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(1).ok_or("statm")?;
    Ok(pages.parse::<u64>()? * 4096)
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn bytes(length: usize) -> Vec<u8> {
    vec![b'.'; length]
}
