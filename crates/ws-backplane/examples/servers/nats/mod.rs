//! What happens to a `nats-server`, and what subscribers see of it.

mod peer;
mod server;

use std::{fs, path::Path, sync::mpsc, time::Duration};

use server::Server;
use ws_backplane::{Nats, Publish, PublishError, Recovery, Why, connect_nats_tls, connect_tcp};

use crate::{
    Failure, Play, Setup,
    observer::{LONG, Pair, SHORT, TOPIC, limits, node},
    process::{Process, Restart as _},
    tls,
};

pub(crate) const ALL: &[(&str, Play)] = &[
    ("nothing goes wrong", nothing),
    ("kill -9, restart, streams in memory", kill_without_data),
    ("kill -9, restart, streams in files", kill_with_data),
    ("restart with older data", older_data),
    ("SIGSTOP for 10 s", stop),
    ("slow consumer", slow_consumer),
    (
        "slow consumer, and the stream is purged",
        slow_consumer_purged,
    ),
    ("stream purged", purged),
    ("stream removed", removed),
    ("wrong password, right password", passwords),
    ("wrong token, right token", tokens),
    ("topic without history", without_history),
    ("topic without history, kill -9", without_history_killed),
    ("TLS", over_tls),
    ("nats-py reads and publishes the same", peer::compare),
    ("two processes of rooms, one is killed", rooms),
];

fn start(setup: &Setup<'_>, lines: &str) -> Result<Server, Failure> {
    Server::start(program(setup)?, lines)
}

fn program<'a>(setup: &Setup<'a>) -> Result<&'a str, Failure> {
    setup.nats.ok_or_else(|| "--nats PROGRAM is missing".into())
}

fn pair(engine: impl Fn() -> Nats, server: &Server) -> Result<Pair, Failure> {
    let port = server.port();
    Pair::new(engine, move || connect_tcp("127.0.0.1", port))
}

/// What JetStream is asked about the topic's stream.
fn stream(what: &str) -> String {
    format!("STREAM.{what}.ws-t-{TOPIC}")
}

fn nothing(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, "")?;
    let mut pair = pair(Nats::new, &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.complete()
}

fn kill_without_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let mut server = start(setup, "")?;
    let mut pair = pair(|| Nats::new().in_memory(), &server)?;
    pair.publish_over_a_kill(&mut server)?;
    pair.settle()?;
    pair.check()?.reported()
}

fn kill_with_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let mut server = start(setup, "")?;
    let mut pair = pair(Nats::new, &server)?;
    for _ in 0..3 {
        pair.publish_over_a_kill(&mut server)?;
    }
    pair.settle()?;
    pair.check()?.complete()
}

/// A server that comes back with less than it had, and numbers anew from there
/// before the subscriber is back.
fn older_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let mut server = start(setup, "")?;
    let (store, older) = ["store", "older"]
        .map(|name| server.process.folder.join(name))
        .into();
    let mut pair = pair(Nats::new, &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    server.process.kill()?;
    copy(&store, &older)?;
    server.begin()?;
    pair.publish_for(SHORT * 3);
    pair.settle()?;
    server.process.kill()?;
    fs::remove_dir_all(&store)?;
    fs::rename(&older, &store)?;
    server.begin()?;
    pair.publish_for(SHORT * 6);
    pair.settle()?;
    pair.check()?.reported()
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

fn stop(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, "")?;
    let pair = pair(Nats::new, &server)?;
    pair.play_stopped(&server.process)
}

/// A pair whose subscriber was cut off, as it did not take what came.
fn cut_off(server: &Server) -> Result<Pair, Failure> {
    let mut pair = pair(Nats::new, server)?;
    pair.cut_off()?;
    Ok(pair)
}

const SLOW: &str = "max_payload: 200000\nmax_pending: 1000000\nwrite_deadline: \"500ms\"";

fn slow_consumer(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, SLOW)?;
    let mut pair = cut_off(&server)?;
    pair.seen.lock().pause = Duration::ZERO;
    pair.settle()?;
    pair.check()?.complete()
}

fn slow_consumer_purged(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, SLOW)?;
    let mut pair = cut_off(&server)?;
    server.api(&stream("PURGE"))?;
    pair.seen.lock().pause = Duration::ZERO;
    pair.settle()?;
    pair.check()?.reported()
}

/// Whoever has all misses nothing; whoever comes back learns that it does.
fn purged(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, "")?;
    let mut pair = pair(Nats::new, &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    let first = pair.seen.lock().numbers.values().next().copied();
    server.api(&stream("PURGE"))?;
    let (sender, receiver) = mpsc::channel();
    pair.subscriber.recover(TOPIC, first, move |recovery| {
        let why = match recovery {
            Ok(Recovery::Lost { why, .. }) => Some(*why),
            _ => None,
        };
        let _ = sender.send(why);
    });
    let why = receiver.recv_timeout(LONG)?;
    if why != Some(Why::Trimmed) {
        return Err(format!("a client that comes back is told {why:?}").into());
    }
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.complete()
}

fn removed(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, "")?;
    let mut pair = pair(Nats::new, &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    server.api(&stream("DELETE"))?;
    pair.play_lost()
}

fn passwords(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = Server::with_password(program(setup)?, "right")?;
    refuses(&server, Nats::new().password("ann", "wrong"))?;
    let mut pair = pair(|| Nats::new().password("ann", "right"), &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.complete()
}

fn tokens(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, "authorization { token: right }")?;
    refuses(&server, Nats::new().token("wrong"))?;
    let mut pair = pair(|| Nats::new().token("right"), &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.complete()
}

fn refuses(server: &Server, engine: Nats) -> Result<(), Failure> {
    let port = server.port();
    let (wrong, seen) = node(engine, move || connect_tcp("127.0.0.1", port), limits());
    // The publication waits for a first connection, in vain.
    std::thread::sleep(SHORT);
    let publish = wrong.publish(TOPIC, "x", Publish::default());
    if publish != Err(PublishError::Unavailable) || seen.lock().ups > 0 {
        return Err("what does not prove who it is is taken".into());
    }
    Ok(())
}

fn without_history(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, "")?;
    let mut pair = pair(|| Nats::new().without_history("ro"), &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    if server.api(&stream("INFO")).is_ok() {
        return Err("there is a stream".into());
    }
    pair.check_by_numbers()?.complete()
}

fn without_history_killed(setup: &Setup<'_>) -> Result<String, Failure> {
    let mut server = start(setup, "")?;
    let mut pair = pair(|| Nats::new().without_history(TOPIC), &server)?;
    pair.publish_over_a_kill(&mut server)?;
    pair.settle()?;
    pair.check_by_numbers()?.reported()
}

fn over_tls(setup: &Setup<'_>) -> Result<String, Failure> {
    let process = Process::new(program(setup)?)?;
    let certificates = tls::Certificates::write(&process.folder)?;
    let [certificate, key] = certificates.files();
    let lines = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}");
    let server = Server::start_in(process, &lines, None)?;
    let port = server.port();
    tls::play(&certificates, Nats::new, |tls| {
        move || {
            let tls = tls.clone();
            async move { connect_nats_tls("localhost", port, &tls).await }
        }
    })
}

fn rooms(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, "")?;
    crate::rooms::killed_process(
        setup,
        &["--nats", &format!("127.0.0.1:{}", server.port())],
        || Ok(()),
    )
}
