//! What happens to a `redis-server`, and what subscribers see of it.

pub(crate) mod server;

use std::time::Duration;

use server::Server;
use ws_backplane::{Publish, PublishError, Redis, connect_tcp, connect_tls};

use crate::{
    Failure, Play, Setup,
    observer::{Pair, SHORT, TOPIC, limits, node},
    process::{Process, Restart as _},
    tls,
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
    ("TLS", over_tls),
    ("two processes of rooms, one is killed", rooms),
];

fn start(setup: &Setup<'_>, arguments: &[&str]) -> Result<Server, Failure> {
    Server::start(program(setup)?, arguments)
}

fn program<'a>(setup: &Setup<'a>) -> Result<&'a str, Failure> {
    setup
        .redis
        .ok_or_else(|| "--redis PROGRAM is missing".into())
}

fn pair(engine: impl Fn() -> Redis, server: &Server) -> Result<Pair, Failure> {
    let port = server.port();
    Pair::new(engine, move || connect_tcp("127.0.0.1", port))
}

fn nothing(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, &[])?;
    let mut pair = pair(Redis::new, &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.complete()
}

fn kill_without_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let mut server = start(setup, &[])?;
    let mut pair = pair(Redis::new, &server)?;
    pair.publish_over_a_kill(&mut server)?;
    pair.settle()?;
    pair.check()?.reported()
}

fn kill_with_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let arguments = ["--appendonly", "yes", "--appendfsync", "always"];
    let mut server = start(setup, &arguments)?;
    let mut pair = pair(Redis::new, &server)?;
    for _ in 0..3 {
        pair.publish_over_a_kill(&mut server)?;
    }
    pair.settle()?;
    pair.check()?.complete()
}

/// A server that comes back with less than it had, and numbers anew from there
/// before the subscriber is back.
fn older_data(setup: &Setup<'_>) -> Result<String, Failure> {
    let mut server = start(setup, &[])?;
    let mut pair = pair(Redis::new, &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    server.admin(&["SAVE"])?;
    pair.publish_for(SHORT);
    pair.settle()?;
    server.process.kill()?;
    server.begin()?;
    pair.publish_for(SHORT * 5);
    pair.settle()?;
    pair.check()?.reported()
}

fn client_kill(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, &[])?;
    let mut pair = pair(Redis::new, &server)?;
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
    let server = start(setup, &[])?;
    let pair = pair(Redis::new, &server)?;
    pair.play_stopped(&server.process)
}

fn output_buffer(setup: &Setup<'_>) -> Result<String, Failure> {
    let limit = ["--client-output-buffer-limit", "pubsub", "1mb", "0", "0"];
    let server = start(setup, &limit)?;
    let mut pair = pair(Redis::new, &server)?;
    pair.cut_off()?;
    pair.seen.lock().pause = Duration::ZERO;
    pair.settle()?;
    pair.check()?.complete()
}

fn flush_all(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, &[])?;
    let mut pair = pair(Redis::new, &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    server.admin(&["FLUSHALL"])?;
    pair.play_lost()
}

fn wrong_password(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, &["--requirepass", "right"])?;
    let port = server.port();
    let connect = move || connect_tcp("127.0.0.1", port);
    let (wrong, seen) = node(Redis::new().password("wrong"), connect, limits());
    let mut pair = pair(|| Redis::new().password("right"), &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    let publish = wrong.publish(TOPIC, "x", Publish::default());
    if publish != Err(PublishError::Unavailable) || seen.lock().ups > 0 {
        return Err("a wrong password is taken".into());
    }
    pair.check()?.complete()
}

fn script_flush(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, &[])?;
    let mut pair = pair(Redis::new, &server)?;
    for _ in 0..5 {
        pair.publish_for(SHORT);
        server.admin(&["SCRIPT", "FLUSH"])?;
    }
    pair.publish_for(SHORT);
    pair.settle()?;
    pair.check()?.complete()
}

fn presence(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, &[])?;
    let port = server.port();
    crate::presence::play(Redis::new, move || connect_tcp("127.0.0.1", port))
}

fn over_tls(setup: &Setup<'_>) -> Result<String, Failure> {
    let process = Process::new(program(setup)?)?;
    let certificates = tls::Certificates::write(&process.folder)?;
    let [certificate, key] = certificates.files();
    // The port without TLS is for this program alone.
    let port = Process::new(program(setup)?)?.port;
    let text = port.to_string();
    let arguments = [
        "--tls-port",
        &text,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        "no",
    ];
    let _server = Server::start_in(process, &arguments)?;
    tls::play(&certificates, Redis::new, |tls| {
        move || {
            let tls = tls.clone();
            async move { connect_tls("localhost", port, &tls).await }
        }
    })
}

fn rooms(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup, &[])?;
    let address = format!("127.0.0.1:{}", server.port());
    crate::rooms::killed_process(setup, &["--redis", &address], || {
        server
            .admin(&["CLIENT", "KILL", "TYPE", "pubsub"])
            .map(drop)
    })
}
