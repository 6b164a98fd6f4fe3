//! Starts an engine and two servers, and starts again what was killed.

use std::{
    env,
    error::Error,
    fs, io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{Options, server};

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = env::temp_dir().join(format!("rooms-{}", std::process::id()));
    let (engine, mut children) = match (&options.nats, &options.redis) {
        (Some(nats), _) => (["--nats", nats].map(str::to_owned), Vec::new()),
        (None, Some(redis)) => (["--redis", redis].map(str::to_owned), Vec::new()),
        (None, None) => match start_redis(&folder) {
            Ok((redis, child)) => (["--redis", &redis].map(str::to_owned), vec![child]),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                println!("redis-server is not installed: one server, on the memory engine");
                println!("apt-get install redis-server, or brew install redis, gets it");
                return server::serve("127.0.0.1:9001", options);
            }
            Err(error) => return Err(error.into()),
        },
    };
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&stopped);
    examples::on_stop(move || stop.store(true, Ordering::Relaxed))?;
    println!(
        "{} {}; open http://{} or http://{}",
        engine[0], engine[1], SERVERS[0], SERVERS[1]
    );
    let mut servers = [None, None];
    while !stopped.load(Ordering::Relaxed) {
        for (at, server) in servers.iter_mut().enumerate() {
            if has_ended(server)? {
                *server = Some(start_server(at, &engine, options)?);
            }
        }
        thread::sleep(Duration::from_millis(500));
    }
    children.extend(servers.into_iter().flatten());
    for mut child in children {
        // It may have ended already.
        let _ = child.kill();
        child.wait()?;
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

const SERVERS: [&str; 2] = ["127.0.0.1:9001", "127.0.0.1:9002"];

fn has_ended(server: &mut Option<Child>) -> io::Result<bool> {
    match server {
        None => Ok(true),
        Some(child) => Ok(child.try_wait()?.is_some()),
    }
}

fn start_server(at: usize, engine: &[String; 2], options: &Options) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--listen", SERVERS[at]]).args(engine);
    command.args(["--peer", SERVERS[1 - at]]);
    if let Some(password) = &options.password {
        command.args(["--password", password]);
    }
    command.spawn()
}

/// Starts it on a free port; what it keeps is gone with it.
fn start_redis(folder: &Path) -> io::Result<(String, Child)> {
    fs::create_dir_all(folder)?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let child = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--save", "", "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .spawn()?;
    let until = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if Instant::now() > until {
            return Err(io::Error::other("redis-server does not start"));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok((format!("127.0.0.1:{port}"), child))
}
