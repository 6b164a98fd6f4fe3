//! A deterministic simulator of the adapters. They serve connections in memory,
//! over transports that do whatever a transport may do, in virtual time, and all
//! that happens follows from a seed.
//!
//! [`simulate`] plays one seed. An adapter and its application are on one side;
//! on the other are peers made of `ws-proto`'s own receivers and senders, which
//! number what they send and check what comes. The seed chooses the world:
//!
//! | world | what it has |
//! |---|---|
//! | `World<_, Wire>` | a loop of `ws-mio` with very many connections |
//! | `World<_, Proxied<Wire>>` | a loop behind proxies that speak the PROXY protocol, in both versions |
//! | `World<_, Tls<Wire>>` | a loop under TLS, in both roles, with peers that speak TLS |
//! | `Loops` | several loops, with subscribers on all, and calls from elsewhere |
//! | `Tasks` | tasks of `ws-smol`, in both roles, which receive and send in all ways; no time goes by |
//! | `Floods` | streams that always have more, to either adapter: what a turn and a poll read is bounded |
//!
//! After each step the same has to hold:
//!
//! - A message comes once, in order and intact, or its connection is reported closed; every
//!   connection that was opened is closed once, and nothing happens to it after that. Who did not
//!   subscribe gets nothing.
//! - The last words of a connection reach a peer that reads, and so does the Pong for its last
//!   Ping.
//! - What the loop holds is bounded by its limits and by what is on its way; nothing is left of it
//!   when it ends.
//! - A peer that does not do in time what it owes is given up.
//! - Where nothing more happens, nobody waits for anything: no wake-up is lost.
//! - The loop asks for no turn in which it has nothing to do, time after time, and misses none of
//!   its deadlines.
//!
//! `cargo xtask sim` plays many seeds, and `cargo xtask sim --plant all` shows
//! that faults are found: those of `crates/ws-conformance/faults.toml`.

mod app;
mod dialer;
mod faults;
mod floods;
mod front;
mod loops;
mod message;
mod overdue;
mod peer;
mod plan;
mod random;
pub mod soak;
mod tasks;
mod wire;
mod world;

use std::{
    any::Any,
    cell::Cell,
    fmt,
    panic::{self, AssertUnwindSafe},
};

pub use plan::Size;
pub use random::Random;
use ws_mio::{Proxied, Tls};

use self::{floods::Floods, loops::Loops, tasks::Tasks, wire::Wire, world::World};

/// What has happened in simulations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// How many there were.
    pub seeds: u64,
    /// Steps, each with a turn of the loop.
    pub steps: u64,
    /// Turns, also those between two steps until everything was at rest.
    pub turns: u64,
    /// How often everything was at rest, and checked.
    pub rests: u64,
    /// Connections, opened by either side.
    pub connections: u64,
    /// Messages between the application and single peers.
    pub messages: u64,
    /// Connections whose last bytes a loop did not wait for when it stopped.
    pub left: u64,
    /// The most bytes that a loop has held.
    pub most_held: u64,
}

impl Totals {
    /// Adds what has happened in others.
    pub fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.steps += other.steps;
        self.turns += other.turns;
        self.rests += other.rests;
        self.connections += other.connections;
        self.messages += other.messages;
        self.left += other.left;
        self.most_held = self.most_held.max(other.most_held);
    }
}

/// What did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The seed of the simulation.
    pub seed: u64,
    /// After how many steps.
    pub step: usize,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} in step {}: {}", self.seed, self.step, self.what)
    }
}

impl std::error::Error for Violation {}

/// Plays a seed to its end.
///
/// # Errors
///
/// The first thing that did not hold, panics of the loop among them.
pub fn simulate(seed: u64, size: Size) -> Result<Totals, Violation> {
    // What is made once in a thread belongs to no loop.
    message::prepare();
    let _ = ws_proto::MaskingPolicy::next_key(&mut <ws_proto::ClientMasking>::new());
    let step = Cell::new(0);
    let random = Random::new(seed);
    let played = panic::catch_unwind(AssertUnwindSafe(|| match seed % 8 {
        0 => play::<World<true, Wire>>(random, size, &step),
        1 => play::<World<false, Proxied<Wire>>>(random, size, &step),
        2 => play::<World<false, Tls<Wire>>>(random, size, &step),
        3 => play::<Tasks>(random, size, &step),
        4 => play::<Loops>(random, size, &step),
        5 if seed % 32 == 5 => play::<Floods>(random, size, &step),
        _ => play::<World<false, Wire>>(random, size, &step),
    }));
    played.map_err(|panic| Violation {
        seed,
        step: step.get(),
        what: message_of(&*panic),
    })
}

/// Something that is simulated, with all that is around it.
trait Simulation: Sized {
    fn new(random: Random, size: Size) -> Self;

    /// Takes one step.
    fn step(&mut self);

    /// Ends everything, and checks what is left.
    fn end(self) -> Totals;
}

fn play<S: Simulation>(random: Random, size: Size, step: &Cell<usize>) -> Totals {
    let mut simulation = S::new(random, size);
    for _ in 0..size.steps {
        simulation.step();
        step.set(step.get() + 1);
    }
    Totals {
        seeds: 1,
        ..simulation.end()
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let string = panic.downcast_ref::<String>().map(String::as_str);
    text.or(string)
        .unwrap_or("a panic without a message")
        .to_owned()
}
