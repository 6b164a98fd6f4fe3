//! The steps of a simulation, and what has to hold after each.

mod acts;
mod judge;
mod opening;
mod rest;
mod turns;

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use allocation_counter::measure;
use ws_mio::EventLoop;
use ws_proto::Budget;

use crate::{
    Simulation, Size, Totals,
    app::App,
    dialer::Dialer,
    front::{Front, Layer},
    peer::{ModelPeer, Seen, Shared},
    plan::Plan,
    random::Random,
    wire::Net,
};

/// What TLS has for all connections of a thread, and remembers of its peers, in bytes.
const TLS_BUFFERS: i64 = 512 * 1024;

/// A loop, its peers, and the time.
pub(crate) struct World<const CHUNKS: bool, T: Front> {
    plan: Rc<Plan>,
    net: Rc<Net>,
    random: Random,
    /// `None` once it has ended.
    inner: Option<EventLoop<App<CHUNKS>, T>>,
    was_woken: Arc<AtomicBool>,
    shared: Shared,
    /// By the numbers of their connections.
    peers: Vec<Option<ModelPeer>>,
    /// Those that are not over.
    live: Vec<u32>,
    seen: Vec<Seen>,
    now: Duration,
    /// When it last had a turn that it wanted earlier.
    woke_at: Duration,
    /// The loop was not stopped, or still waits for its connections.
    goes_on: bool,
    /// What the loop holds, in bytes.
    held: i64,
    /// The most connections that there were.
    most: usize,
    /// A publication that somebody missed; no fault if one was refused.
    missed: Option<String>,
    /// By when the loop has to end.
    stop_by: Option<Duration>,
    totals: Totals,
}

impl<const CHUNKS: bool, T: Front> Simulation for World<CHUNKS, T> {
    fn new(mut random: Random, size: Size) -> Self {
        let random = &mut random;
        let plan = Rc::new(Plan::new(random, size, T::LAYER));
        let net = Rc::new(Net::default());
        Dialer::install(&net, plan.faults, random);
        let was_woken = Arc::new(AtomicBool::new(false));
        let wake = Arc::clone(&was_woken);
        let mut inner = None;
        let held = measure(|| {
            let wake = move || {
                wake.store(true, Ordering::Relaxed);
                Ok(())
            };
            let app = App::new(&plan, &net, random);
            let mut config = plan.config.clone();
            // What a budget knows of those that it was lent to is not outlived by the plan.
            config.inflate.budget = Budget::new(config.inflate.budget.limit());
            inner = Some(EventLoop::new(config, app, wake).unwrap());
        });
        Self {
            shared: Shared::new(&plan, random),
            random: random.fork(),
            plan,
            net,
            inner,
            was_woken,
            peers: Vec::new(),
            live: Vec::new(),
            seen: Vec::new(),
            now: Duration::ZERO,
            woke_at: Duration::ZERO,
            goes_on: true,
            held: held.bytes_current,
            most: 0,
            missed: None,
            stop_by: None,
            totals: Totals::default(),
        }
    }

    /// Takes one step: time goes by, peers do something, the loop has a turn.
    fn step(&mut self) {
        self.pass_time();
        self.open_some();
        for _ in 0..1 + self.live.len() / 32 {
            if !self.live.is_empty() {
                let at = self.random.below(self.live.len());
                self.have_act(self.live[at]);
            }
        }
        self.ask_of_remote();
        self.turn(self.plan.faults.prompt);
        self.totals.steps += 1;
        if self.random.chance(30) {
            self.check_memory();
        }
        if self.random.chance(3) {
            self.come_to_rest();
        }
    }

    fn end(mut self) -> Totals {
        self.with_app(|app| app.is_calm = true);
        self.come_to_rest();
        self.resume_all();
        self.come_to_rest();
        if self.live.len() <= 64 {
            self.wait_for_handshakes();
        }
        if self.live.len() <= 16 && self.random.chance(300) {
            self.wait_for(Duration::from_secs(100));
        }
        if self.random.chance(500) {
            for number in self.live.clone() {
                self.have_end(number);
            }
            self.come_to_rest();
        }
        self.stop();
        self.check_ends();
        self.check_memory();
        self.with_app(App::forget);
        let inner = self.inner.take();
        let freed = measure(|| drop(inner));
        let left = self.held + freed.bytes_current;
        // What TLS lends to the connections of a thread stays for the next.
        let most = match T::LAYER {
            Layer::Tls => TLS_BUFFERS,
            Layer::None | Layer::Proxy => 0,
        };
        assert!(
            left.abs() <= most,
            "{left} bytes are left of a loop that ended"
        );
        self.totals.connections += self.peers.len() as u64;
        self.totals
    }
}

impl<const CHUNKS: bool, T: Front> World<CHUNKS, T> {
    /// Does something with the loop, and counts what it allocates.
    fn with_loop<R>(&mut self, act: impl FnOnce(&mut EventLoop<App<CHUNKS>, T>) -> R) -> R {
        let inner = self.inner.as_mut().expect("it has not ended");
        let mut result = None;
        let measured = measure(|| result = Some(act(inner)));
        self.held += measured.bytes_current;
        result.expect("it was called")
    }

    fn with_app(&mut self, act: impl FnOnce(&mut App<CHUNKS>)) {
        self.with_loop(|inner| act(inner.lend().handler_mut()));
    }
}
