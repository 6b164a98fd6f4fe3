//! Clients of a server that was killed come back to another, all at once.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use smol::{LocalExecutor, Timer};
use ws_backplane::{Position, Publish};
use ws_smol::Message;

use super::{redis_node, serve::Process, start};
use crate::{Failure, Setup, observer::LONG};

const CLIENTS: usize = 5_000;

/// What a client has seen.
#[derive(Clone, Copy, Default)]
struct Reader {
    position: Option<Position>,
    /// Whether it was answered by the server that it came back to.
    is_back: bool,
}

#[derive(Default)]
struct Shared {
    readers: Vec<Reader>,
    failure: Option<String>,
}

type Readers = Rc<RefCell<Shared>>;

pub(super) fn returning(setup: &Setup<'_>) -> Result<String, Failure> {
    let server = start(setup)?;
    let port = Some(server.port());
    let (first, second) = (Process::start(port)?, Process::start(port)?);
    let (publisher, seen) = redis_node(&server);
    seen.wait("the engine is there", LONG, |story| story.ups > 0)?;
    let readers: Readers = Rc::default();
    readers.borrow_mut().readers = vec![Reader::default(); CLIENTS];
    let executor = LocalExecutor::new();
    for client in 0..CLIENTS {
        let addresses = [&first, &second].map(|process| process.address.clone());
        executor
            .spawn(follow(client, addresses, Rc::clone(&readers)))
            .detach();
    }
    let play = async {
        wait(&readers, |reader| reader.position.is_some()).await?;
        for _ in 0..20 {
            publisher.publish("room", vec![b'.'; 125], Publish::default())?;
            Timer::after(Duration::from_millis(10)).await;
        }
        drop(first);
        let began = Instant::now();
        // Nobody has these when the server is gone.
        for _ in 0..20 {
            publisher.publish("room", vec![b'.'; 125], Publish::default())?;
        }
        wait(&readers, |reader| reader.is_back).await?;
        let last = readers
            .borrow()
            .readers
            .iter()
            .filter_map(|reader| reader.position)
            .map(|at| at.offset)
            .max();
        wait(&readers, |reader| {
            reader.position.map(|at| at.offset) == last
        })
        .await?;
        let took = began.elapsed();
        let mut socket = ws_smol::connect(&format!("ws://{}/", second.address)).await?;
        socket.send("reads").await?;
        let Some(Message::Text(text)) = socket.receive().await? else {
            return Err("no answer".into());
        };
        let reads: u64 = text.strip_prefix("reads ").ok_or("no number")?.parse()?;
        Ok::<_, Failure>((took, reads))
    };
    let (took, reads) = smol::block_on(executor.run(play))?;
    let what = format!(
        "{CLIENTS} have all after {} ms, with {reads} reads of the history; at most 2 s and 1",
        took.as_millis()
    );
    if took > Duration::from_secs(2) || reads > 1 {
        Err(what.into())
    } else {
        Ok(what)
    }
}

async fn wait(readers: &Readers, holds: impl Fn(&Reader) -> bool) -> Result<(), Failure> {
    let until = Instant::now() + LONG;
    while !readers.borrow().readers.iter().all(&holds) {
        if let Some(failure) = &readers.borrow().failure {
            return Err(failure.as_str().into());
        }
        if Instant::now() > until {
            let there = readers
                .borrow()
                .readers
                .iter()
                .filter(|reader| holds(reader))
                .count();
            return Err(format!("{there} of {CLIENTS} within {LONG:?}").into());
        }
        Timer::after(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// One client: at the first server, and then at the second.
async fn follow(client: usize, addresses: [String; 2], readers: Readers) {
    for (turn, address) in addresses.iter().enumerate() {
        if let Err(failure) = read(client, turn, address, &readers).await {
            readers.borrow_mut().failure.get_or_insert(failure);
            return;
        }
    }
}

/// Reads until the connection ends. What does not follow on the last message is an error.
async fn read(client: usize, turn: usize, address: &str, readers: &Readers) -> Result<(), String> {
    let socket = ws_smol::connect(&format!("ws://{address}/")).await;
    let mut socket = socket.map_err(|error| error.to_string())?;
    let since = readers.borrow().readers[client].position;
    let join = since.map_or_else(|| "join".into(), |since| format!("join {since}"));
    socket
        .send(&*join)
        .await
        .map_err(|error| error.to_string())?;
    while let Ok(Some(message)) = socket.receive().await {
        let (text, step) = match &message {
            Message::Text(text) => (text.strip_prefix("at ").map(str::to_owned), 0),
            Message::Binary(line) => {
                let end = line.iter().position(|byte| *byte == b'\n').unwrap_or(0);
                (String::from_utf8(line[..end].to_vec()).ok(), 1)
            }
        };
        let position: Option<Position> = text.and_then(|text| text.parse().ok());
        let mut shared = readers.borrow_mut();
        let reader = &mut shared.readers[client];
        let follows = |now: Position| {
            reader
                .position
                .is_none_or(|last| last.offset + step == now.offset)
        };
        match position.filter(|now| follows(*now)) {
            Some(now) => reader.position = Some(now),
            None => {
                return Err(format!(
                    "client {client} at {:?} was told {message:?}",
                    reader.position
                ));
            }
        }
        reader.is_back |= turn == 1;
    }
    Ok(())
}
