//! One publication to many subscribers, on a backplane and without.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use smol::{LocalExecutor, Timer, channel};
use ws_smol::Message;

use super::{redis_node, serve::Process, start};
use crate::{Failure, Setup, observer::LONG};

const SUBSCRIBERS: usize = 1_000;
const PUBLICATIONS: usize = 200;

/// When the next publication is due.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// At fixed times.
    Fixed(Duration),
    /// When the last one has arrived everywhere.
    Closed,
}

/// What was seen of [`PUBLICATIONS`].
struct Run {
    /// From the publication until a subscriber has it, for each of both.
    p99: Duration,
    /// Of the first process, for each delivery.
    cpu: f64,
}

pub(super) fn latency(setup: &Setup<'_>) -> Result<String, Failure> {
    let pace = Pace::Fixed(Duration::from_millis(25));
    let (mut local, mut remote, mut trips) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        local.push(run(&[Process::start(None)?], 125, pace)?.p99);
        let server = start(setup)?;
        let port = Some(server.port());
        let processes = [Process::start(port)?, Process::start(port)?];
        remote.push(run(&processes, 125, pace)?.p99);
        trips.push(round_trip(&server)?);
    }
    let [local, remote, trip] = [local, remote, trips].map(middle);
    let bar = 2 * local + trip;
    let what = format!(
        "p99 {remote:?} to 2 × {SUBSCRIBERS}; at most 2 × {local:?} of a local publication to {SUBSCRIBERS} and {trip:?} of a round trip, {bar:?}"
    );
    if remote > bar {
        Err(what.into())
    } else {
        Ok(what)
    }
}

pub(super) fn processor_time(setup: &Setup<'_>) -> Result<String, Failure> {
    let (mut ratios, mut figures) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let local = run(&[Process::start(None)?], 1_024, Pace::Closed)?.cpu;
        let server = start(setup)?;
        let remote = run(&[Process::start(Some(server.port()))?], 1_024, Pace::Closed)?.cpu;
        ratios.push(remote / local);
        figures.push(format!("{remote:.0} ÷ {local:.0}"));
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    let what = format!(
        "ns a delivery of 1 KiB to {SUBSCRIBERS}: {}; median ratio {ratio:.3}, at most 1.05",
        figures.join(", ")
    );
    if ratio > 1.05 {
        Err(what.into())
    } else {
        Ok(what)
    }
}

/// Publishes to subscribers at each process, through the first.
fn run(processes: &[Process], length: usize, pace: Pace) -> Result<Run, Failure> {
    let executor = LocalExecutor::new();
    let began = Instant::now();
    let taken = Rc::new(RefCell::new(Vec::new()));
    let (joined, joins) = channel::unbounded();
    let expected = processes.len() * SUBSCRIBERS;
    for process in processes {
        for _ in 0..SUBSCRIBERS {
            let address = process.address.clone();
            let subscriber = subscribe(address, began, Rc::clone(&taken), joined.clone());
            executor.spawn(subscriber).detach();
        }
    }
    let publish = async {
        for _ in 0..expected {
            joins.recv().await?;
        }
        let mut socket = ws_smol::connect(&format!("ws://{}/", processes[0].address)).await?;
        let before = processes[0].cpu()?;
        for publication in 1..=PUBLICATIONS {
            let mut payload = vec![b'.'; length];
            payload[..8].copy_from_slice(&(began.elapsed().as_nanos() as u64).to_be_bytes());
            socket.send(&payload[..]).await?;
            match pace {
                Pace::Fixed(pause) => drop(Timer::after(pause).await),
                Pace::Closed => arrived(&taken, publication * expected).await?,
            }
        }
        arrived(&taken, PUBLICATIONS * expected).await?;
        Ok::<_, Failure>(processes[0].cpu()? - before)
    };
    let cpu = smol::block_on(executor.run(publish))?;
    let mut taken = std::mem::take(&mut *taken.borrow_mut());
    taken.sort_unstable();
    Ok(Run {
        p99: Duration::from_nanos(taken[taken.len() * 99 / 100]),
        cpu: cpu.as_nanos() as f64 / (PUBLICATIONS * SUBSCRIBERS) as f64,
    })
}

/// Waits until so many messages have arrived.
async fn arrived(taken: &RefCell<Vec<u64>>, expected: usize) -> Result<(), Failure> {
    let until = Instant::now() + LONG;
    while taken.borrow().len() < expected {
        if Instant::now() > until {
            return Err("not every message arrived".into());
        }
        Timer::after(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Notes how long each message took, until the connection ends.
async fn subscribe(
    address: String,
    began: Instant,
    taken: Rc<RefCell<Vec<u64>>>,
    joined: channel::Sender<()>,
) -> Option<()> {
    let mut socket = ws_smol::connect(&format!("ws://{address}/")).await.ok()?;
    socket.send("join").await.ok()?;
    loop {
        match socket.receive().await.ok()?? {
            Message::Text(_) => joined.send(()).await.ok()?,
            Message::Binary(line) => {
                let now = began.elapsed().as_nanos() as u64;
                let end = line.iter().position(|byte| *byte == b'\n')?;
                let sent = line.get(end + 1..end + 9)?.try_into().ok()?;
                taken.borrow_mut().push(now - u64::from_be_bytes(sent));
            }
        }
    }
}

/// How long the engine takes to answer a publication: the 99th of a hundred.
fn round_trip(server: &crate::redis::server::Server) -> Result<Duration, Failure> {
    let (node, seen) = redis_node(server);
    seen.wait("the engine is there", LONG, |story| story.ups > 0)?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let (sender, receiver) = std::sync::mpsc::channel();
        let began = Instant::now();
        node.publish_then(
            "trip",
            vec![b'.'; 125],
            ws_backplane::Publish::default(),
            move |result| {
                let _ = sender.send(result);
            },
        )?;
        receiver.recv_timeout(LONG)??;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() * 99 / 100])
}

fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
