//! What happens to a server, and what subscribers see of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use ws_backplane::{Publish, PublishError, Redis};

use crate::{
    Failure, Play, Setup,
    observer::{LONG, Pair, TOPIC, limits, node},
    redis::Server,
};

pub(crate) const ALL: &[(&str, Play)] = &[
    ("nothing goes wrong", nothing),
    ("kill -9, restart without persistence", kill_without_data),
    ("kill -9, restart with an append-only file", kill_with_data),
    ("restart with older data", older_data),
    ("CLIENT KILL", client_kill),
    ("SIGSTOP for 10 s", stop),
    ("output buffer limit", output_buffer),
    ("FLUSHALL", flush_all),
    ("wrong password", wrong_password),
    ("script cache flushed", script_flush),
    ("presence, and a node that is gone", presence),
    (
        "two processes of rooms, one is killed",
        crate::rooms::killed_process,
    ),
];

const SHORT: Duration = Duration::from_millis(300);

fn nothing(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = Server::start(setup.redis, &[])?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.complete()
}

fn kill_without_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let mut server = Server::start(setup.redis, &[])?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    pair.publish_for(SHORT);
    server.kill()?;
    pair.publish_for(SHORT);
    server.begin()?;
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.reported()
}

fn kill_with_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = Server::start(setup.redis, &arguments)?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    for _ in 0..3 {
        pair.publish_for(SHORT);
        server.kill()?;
        pair.publish_for(SHORT);
        server.begin()?;
        pair.publish_for(SHORT);
    }
    pair.settle()?;
    pair.check()?.complete()
}

/// A server that comes back with less than it had, and numbers anew from there
/// before the subscriber is back.
fn older_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let mut server = Server::start(setup.redis, &[])?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    server.admin(&["SAVE"])?;
    pair.publish_for(SHORT);
    pair.settle()?;
    server.kill()?;
    server.begin()?;
    pair.publish_for(SHORT * 5);
    pair.settle()?;
    pair.check()?.reported()
}

fn client_kill(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = Server::start(setup.redis, &[])?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    for _ in 0..5 {
        pair.publish_for(SHORT);
        server.admin(&["CLIENT", "KILL", "TYPE", "pubsub"])?;
        pair.publish_for(SHORT);
    }
    pair.settle()?;
    let downs = pair.seen.lock().downs.len();
    match downs {
        0 => Err("no connection was killed".into()),
        _ => pair.check()?.complete(),
    }
}

fn stop(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = Server::start(setup.redis, &[])?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    pair.publish_for(SHORT);
    server.signal("STOP")?;
    pair.publish_for(Duration::from_secs(10));
    let is_taken = pair.publish();
    server.signal("CONT")?;
    if is_taken {
        return Err("a server that does not answer is taken to be there".into());
    }
    pair.settle()?;
    pair.check()?.complete()
}

fn output_buffer(setup: &Setup<'_>) -> Result<String, Failure> {
    let limit = ["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"];
    let server = Server::start(setup.redis, &limit)?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    pair.length = 60_000;
    pair.seen.lock().pause = Duration::from_millis(50);
    let is_ended = |pair: &Pair| !pair.seen.lock().downs.is_empty();
    let until = Instant::now() + LONG;
    while !is_ended(&pair) && Instant::now() < until {
        for _ in 0..16 {
            pair.publish();
        }
        pair.wait_until_answered()?;
    }
    if !is_ended(&pair) {
        return Err("the server did not end the connection".into());
    }
    pair.seen.lock().pause = Duration::ZERO;
    pair.settle()?;
    pair.check()?.complete()
}

fn flush_all(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = Server::start(setup.redis, &[])?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    server.admin(&["FLUSHALL"])?;
    // No message shows it.
    let told = |story: &crate::observer::Story| {
        let is_gap = |told: &_| matches!(told, crate::observer::Told::Discontinuity(_));
        story.told.iter().any(is_gap)
    };
    pair.seen
        .wait("the discontinuity", Duration::from_secs(4), told)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.reported()
}

fn wrong_password(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = Server::start(setup.redis, &["--requirepass", "right"])?;
    let (wrong, seen) = node(Redis::new().password("wrong"), server.port, limits());
    let mut pair = Pair::new(|| Redis::new().password("right"), server.port)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    let publish = wrong.publish(TOPIC, "x", Publish::default());
    if publish != Err(PublishError::Unavailable) || seen.lock().ups > 0 {
        return Err("a wrong password is taken".into());
    }
    pair.check()?.complete()
}

fn script_flush(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = Server::start(setup.redis, &[])?;
    let mut pair = Pair::new(Redis::new, server.port)?;
    for _ in 0..5 {
        pair.publish_for(SHORT);
        server.admin(&["SCRIPT", "FLUSH"])?;
    }
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.complete()
}

fn presence(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = Server::start(setup.redis, &[])?;
    let (watcher, seen) = node(Redis::new(), server.port, limits());
    watcher.watch(TOPIC);
    let (one, _) = node(Redis::new(), server.port, limits());
    let (other, _) = node(Redis::new(), server.port, limits());
    for node in [&one, &other] {
        node.enter(TOPIC, "ann");
    }
    one.enter(TOPIC, "bob");
    seen.wait("both join", LONG, |story| story.joins.len() == 2)?;
    // Longer than the members are present without a sign of their nodes.
    thread::sleep(limits().presence_time * 2);
    if !seen.lock().leaves.is_empty() {
        return Err("a member of a node that is there has left".into());
    }
    let began = Instant::now();
    // Its members are not taken out: it is gone.
    one.stop();
    seen.wait("bob leaves", LONG, |story| story.leaves.len() == 1)?;
    let took = began.elapsed();
    other.leave(TOPIC, "ann");
    seen.wait("ann leaves", LONG, |story| story.leaves.len() == 2)?;
    let story = seen.lock();
    if story.joins.len() != 2 || &*story.leaves[0] != "bob" {
        return Err(format!("joined: {:?}, left: {:?}", story.joins, story.leaves).into());
    }
    Ok(format!(
        "told once; a node that is gone after {} ms",
        took.as_millis()
    ))
}
