//! Two processes of the example `rooms`, and WebSocket clients that come back.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use smol::{LocalExecutor, Timer};
use ws_backplane::Position;
use ws_smol::Message;

use crate::{Failure, Setup, observer::LONG};

/// How many clients each process has at first.
const CLIENTS: usize = 100;

/// A process that serves pages and WebSockets.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(program: &str, engine: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0"])
            .args(engine)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let line = BufReader::new(output).lines().next().ok_or("it ended")??;
        let address = line
            .strip_prefix("listening on ws://")
            .ok_or("no address")?;
        let address = address.to_owned();
        Ok(Self { child, address })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all clients share.
struct Shared {
    addresses: Mutex<Vec<String>>,
    readers: Mutex<Vec<Reader>>,
    failure: Mutex<Option<String>>,
}

#[derive(Clone, Copy, Default)]
struct Reader {
    position: Option<Position>,
    messages: u64,
    returns: u64,
}

/// Clients of a process that is killed go on with the other, and miss nothing.
/// `cut` ends the connections of the processes to the engine.
pub(crate) fn killed_process(
    setup: &Setup<'_>,
    engine: &[&str],
    cut: impl Fn() -> Result<(), Failure>,
) -> Result<String, Failure> {
    let program = setup.rooms.ok_or("--rooms PROGRAM is missing")?;
    let mut processes: Vec<_> = (0..2)
        .map(|_| Process::start(program, engine))
        .collect::<Result<_, _>>()?;
    let addresses = processes.iter().map(|process| process.address.clone());
    let shared = Arc::new(Shared {
        addresses: Mutex::new(addresses.collect()),
        readers: Mutex::new(vec![Reader::default(); 2 * CLIENTS]),
        failure: Mutex::new(None),
    });
    let clients = Arc::clone(&shared);
    thread::spawn(move || {
        let executor = LocalExecutor::new();
        for client in 0..2 * CLIENTS {
            executor
                .spawn(follow(client, Arc::clone(&clients)))
                .detach();
        }
        smol::block_on(executor.run(std::future::pending::<()>()));
    });
    wait(&shared, "everybody has joined", |reader| {
        reader.position.is_some()
    })?;
    let said = smol::block_on(say(&shared, &mut processes, cut))?;
    wait(&shared, "everybody has every message", |reader| {
        reader.messages >= said
    })?;
    let readers = lock(&shared.readers);
    let returns: u64 = readers.iter().map(|reader| reader.returns).sum();
    if readers.iter().any(|reader| reader.messages != said) {
        return Err("somebody has a message too many".into());
    }
    if returns < CLIENTS as u64 {
        return Err(format!("{returns} clients came back").into());
    }
    Ok(format!(
        "{said} messages to {} clients, {returns} of which came back; none missed or doubled",
        readers.len()
    ))
}

/// Says something every moment to the second process, while the first is
/// killed and the connections to the engine are.
async fn say(
    shared: &Shared,
    processes: &mut Vec<Process>,
    cut: impl Fn() -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let address = processes[1].address.clone();
    let mut socket = ws_smol::connect(&format!("ws://{address}/")).await?;
    socket.send("join room").await?;
    let mut refused = 0;
    for number in 0..1_500_u64 {
        socket.send(&*format!("say number {number}")).await?;
        if number == 500 {
            lock(&shared.addresses).remove(0);
            drop(processes.remove(0));
        }
        if number == 1_000 {
            cut()?;
        }
        Timer::after(Duration::from_millis(1)).await;
    }
    // Its own messages come back in order, so that the last says all.
    let mut came = 0;
    while came + refused < 1_500 {
        match socket.receive().await? {
            Some(Message::Text(text)) if text.starts_with("message ") => came += 1,
            Some(Message::Text(text)) if text.starts_with("unsent ") => refused += 1,
            Some(_) => {}
            None => return Err("the speaker was cut off".into()),
        }
    }
    Ok(came)
}

/// One client: it comes back with its last position for as long as it may.
async fn follow(client: usize, shared: Arc<Shared>) {
    let mut turn = client;
    loop {
        let address = {
            let addresses = lock(&shared.addresses);
            addresses[turn % addresses.len()].clone()
        };
        if let Err(failure) = read(client, &address, &shared).await {
            lock(&shared.failure).get_or_insert(failure);
            return;
        }
        lock(&shared.readers)[client].returns += 1;
        turn += 1;
        Timer::after(Duration::from_millis(5)).await;
    }
}

/// Reads until the connection ends. What is wrong with what came is an error.
async fn read(client: usize, address: &str, shared: &Shared) -> Result<(), String> {
    let Ok(mut socket) = ws_smol::connect(&format!("ws://{address}/")).await else {
        return Ok(());
    };
    let since = lock(&shared.readers)[client].position;
    let since = since.map_or_else(String::new, |since| format!(" {since}"));
    if socket.send(&*format!("join room{since}")).await.is_err() {
        return Ok(());
    }
    while let Ok(Some(Message::Text(text))) = socket.receive().await {
        let mut words = text.split(' ');
        let (word, position) = (words.next(), words.next());
        let position: Position = position.and_then(|text| text.parse().ok()).ok_or(&*text)?;
        let mut readers = lock(&shared.readers);
        let reader = &mut readers[client];
        let last = reader.position.map(|last| last.offset);
        match word {
            Some("message") if last.is_none_or(|last| last + 1 == position.offset) => {
                reader.messages += 1;
            }
            Some("at") if last.is_none_or(|last| last == position.offset) => {}
            _ => return Err(format!("client {client} at {last:?} was told {text:?}")),
        }
        reader.position = Some(position);
    }
    Ok(())
}

fn wait(shared: &Shared, what: &str, holds: impl Fn(&Reader) -> bool) -> Result<(), Failure> {
    let until = Instant::now() + LONG;
    loop {
        if let Some(failure) = lock(&shared.failure).take() {
            return Err(failure.into());
        }
        let readers = lock(&shared.readers);
        let there = readers.iter().filter(|reader| holds(reader)).count();
        if there == readers.len() {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(format!("{what}: {there} of {} within {LONG:?}", readers.len()).into());
        }
        drop(readers);
        thread::sleep(Duration::from_millis(20));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
