//! Publications to many who read, beside some who never do.

use std::{
    collections::HashMap,
    error::Error,
    io::{self, Read},
    net::TcpStream,
    time::{Duration, Instant},
};

use bench_rig::{
    Histogram, OPCODE_BINARY, append_frame, connect, peak_resident_bytes, resident_bytes, upgrade,
};
use socket2::SockRef;
use ws_load::{Fleet, Measured, PATIENCE, Received};

use crate::{
    Options,
    load::{fleet, print_measured, window},
};

/// How often the server's counters are looked at while it fills up.
const LOOK: Duration = Duration::from_millis(100);
/// How long that may take.
const FILLING: Duration = Duration::from_secs(120);
/// What the kernel holds for one who never reads is of no interest.
const RECEIVE_BUFFER: usize = 4096;

/// What is to be published, and to whom.
pub(crate) struct Plan {
    pub(crate) topics: u16,
    pub(crate) never_read: usize,
    /// The port at which the server tells its counters.
    pub(crate) counters: u16,
}

/// One connection more than `--connections` says publishes to each of the topics in turn, as many
/// as `--pipelined` says before all have got the first of them. Before anything is measured, there
/// is so much waiting for those who never read that the server has to do something about it.
pub(crate) fn run(options: &Options, plan: &Plan) -> Result<(), Box<dyn Error>> {
    let never_read = plan.never_read;
    let pid = options.pid.ok_or("--topics needs --pid")?;
    // One publishes, and gets nothing of that.
    let options = &Options {
        connections: options.connections + 1,
        ..options.clone()
    };
    let mut flow = Flow {
        fleet: fleet(options, &publications(options, plan.topics))?,
        window: options.pipelined,
        published: 0,
        completed: 0,
        delivered: 0,
    };
    let empty = resident_bytes(pid)?;
    let deaf = open_deaf(options, never_read)?;
    let begin = Instant::now();
    let filled = match never_read {
        0 => 0,
        _ => fill(plan, &mut flow)?,
    };
    let filling = begin.elapsed().as_secs_f64();
    let mut measured = Measured::new(window(options));
    while measured.goes_on(flow.fleet.now)? {
        let received = flow.turn(&mut measured.latencies)?;
        measured.count(received);
    }
    let told = Told::of(plan.counters)?;
    let is_there = deaf.len();
    print_measured(
        options,
        &measured,
        "topics",
        &format!(
            r#""never_read":{is_there},"rss_empty":{empty},"rss_peak":{},"held":{},"refused":{},"dropped":{},"slow":{},"shed":{},"filling":{filling:.3},"#,
            peak_resident_bytes(pid)?,
            filled.max(told.held()?),
            told.number("refused_total")?,
            told.number("dropped_total")?,
            told.slow()?,
            told.number("shed_total")?,
        ),
    );
    Ok(())
}

/// Publishes until each who never reads has met with the limit; returns the most that the server
/// held.
fn fill(plan: &Plan, flow: &mut Flow) -> Result<u64, Box<dyn Error>> {
    let mut nobody = Histogram::new();
    let (begin, mut most_held) = (Instant::now(), 0);
    let mut looked = begin;
    loop {
        flow.turn(&mut nobody)?;
        if looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        let told = Told::of(plan.counters)?;
        most_held = most_held.max(told.held()?);
        if told.is_full(plan.never_read)? {
            return Ok(most_held);
        }
        if begin.elapsed() > FILLING {
            return Err(format!("there is room for all after {FILLING:?}: {told:?}").into());
        }
    }
}

fn publications(options: &Options, topics: u16) -> Vec<Vec<u8>> {
    let frame = |number: u16| {
        let mut payload = number.to_be_bytes().to_vec();
        payload.resize(options.size.max(payload.len()), 7);
        let (mut frame, key) = (Vec::new(), number.into());
        append_frame(
            &mut frame,
            true,
            OPCODE_BINARY,
            options.masks,
            key,
            &payload,
        );
        frame
    };
    (0..topics.max(1)).map(frame).collect()
}

fn open_deaf(options: &Options, count: usize) -> io::Result<Vec<TcpStream>> {
    let open = |number| {
        // Behind those who read.
        let mut stream = connect(options.port, options.connections + number)?;
        SockRef::from(&stream).set_recv_buffer_size(RECEIVE_BUFFER)?;
        upgrade(&mut stream, options.port)?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}

/// A window of publications that not all have got yet.
struct Flow {
    fleet: Fleet,
    window: u64,
    published: u64,
    completed: u64,
    delivered: u64,
}

impl Flow {
    fn turn(&mut self, latencies: &mut Histogram) -> Result<Received, Box<dyn Error>> {
        let (fleet, mut all) = (&mut self.fleet, Received::default());
        let publisher = &mut fleet.connections[0];
        while self.published < self.completed + self.window {
            self.published += 1;
            publisher.begin(fleet.now);
        }
        publisher.write(&fleet.batches)?;
        fleet.poll(Some(PATIENCE))?;
        for token in &fleet.ready {
            let connection = &mut fleet.connections[*token];
            all += connection.read(&fleet.batches, fleet.buffer.as_mut_slice(), |_| {})?;
        }
        self.delivered += all.messages;
        let now = Instant::now();
        let audience = fleet.connections.len() as u64 - 1;
        while self.delivered / audience > self.completed {
            self.completed += 1;
            if let Some(sent) = fleet.connections[0].sent.pop_front() {
                latencies.record(now - sent);
            }
        }
        Ok(all)
    }
}

/// What the server tells of itself.
#[derive(Debug)]
struct Told(HashMap<String, u64>);

impl Told {
    fn of(port: u16) -> io::Result<Self> {
        let mut stream = connect(port, 0)?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let numbers = page.lines().filter_map(|line| {
            let (name, number) = line.strip_prefix("websocket_")?.rsplit_once(' ')?;
            Some((name.to_owned(), number.parse().ok()?))
        });
        Ok(Self(numbers.collect()))
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let number = self.0.get(name).copied();
        number.ok_or_else(|| format!("the server does not tell {name}"))
    }

    fn held(&self) -> Result<u64, String> {
        self.number("held_bytes")
    }

    /// How many were dropped for being slow.
    fn slow(&self) -> Result<u64, String> {
        self.number(r#"closed_total{cause="slow_consumer"}"#)
    }

    /// Whether each of so many who never read has met with the limit.
    fn is_full(&self, never_read: usize) -> Result<bool, String> {
        let missed = self.number("refused_total")? + self.number("dropped_total")?;
        let gone = self.slow()? + self.number("shed_total")?;
        Ok(missed >= 2 * never_read as u64 || gone >= never_read as u64)
    }
}
