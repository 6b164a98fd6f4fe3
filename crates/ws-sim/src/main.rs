//! Plays many seeds on all processors: `cargo xtask sim`.

use std::{
    error::Error,
    panic,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lexopt::{Arg, Parser, ValueExt as _};
use ws_sim::{Size, Totals, Violation, simulate};

/// What was asked for.
#[derive(Debug)]
struct Task {
    seeds: u64,
    from: u64,
    size: Size,
    limit: Option<Duration>,
    /// A seed that fails is made smaller.
    shrinks: bool,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let task = Task::parse(Parser::from_env())?;
    // A panic is a finding, and told as one; who plays a single seed wants to see where it was.
    if task.seeds > 1 {
        panic::set_hook(Box::new(|_| {}));
    }
    let began = Instant::now();
    let (totals, violation) = task.play();
    println!(
        "{} seeds in {:.1} s: {} steps, {} turns, {} times at rest, {} connections, {} messages; \
         a loop held at most {} KiB",
        totals.seeds,
        began.elapsed().as_secs_f64(),
        totals.steps,
        totals.turns,
        totals.rests,
        totals.connections,
        totals.messages,
        totals.most_held / 1024,
    );
    let Some(violation) = violation else {
        return Ok(ExitCode::SUCCESS);
    };
    println!("\nFAILED: {violation}\n");
    if task.seeds == 1 || !task.shrinks {
        return Ok(ExitCode::FAILURE);
    }
    let (size, violation) = task.shrink(violation);
    println!(
        "smallest: {violation}\n\ncargo xtask sim --from {} --seeds 1 --steps {} --connections {}",
        violation.seed, size.steps, size.connections
    );
    Ok(ExitCode::FAILURE)
}

impl Task {
    fn parse(mut arguments: Parser) -> Result<Self, Box<dyn Error>> {
        let mut task = Self {
            seeds: 1000,
            from: 0,
            size: Size {
                steps: 1000,
                connections: 1000,
            },
            limit: None,
            shrinks: true,
        };
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("seeds") => task.seeds = arguments.value()?.parse()?,
                Arg::Long("from") => task.from = arguments.value()?.parse()?,
                Arg::Long("steps") => task.size.steps = arguments.value()?.parse()?,
                Arg::Long("connections") => task.size.connections = arguments.value()?.parse()?,
                Arg::Long("seconds") => {
                    task.limit = Some(Duration::from_secs(arguments.value()?.parse()?));
                }
                Arg::Long("as-it-is") => task.shrinks = false,
                other => return Err(other.unexpected().into()),
            }
        }
        if task.size.connections == 0 {
            return Err("at least one connection".into());
        }
        Ok(task)
    }

    /// Plays seeds until one fails, there are no more, or the time is up.
    fn play(&self) -> (Totals, Option<Violation>) {
        let next = AtomicU64::new(self.from);
        let end = self.from.saturating_add(self.seeds);
        let found = Mutex::new((Totals::default(), None));
        let until = self.limit.map(|limit| Instant::now() + limit);
        let work = || {
            while until.is_none_or(|until| Instant::now() < until) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return;
                }
                let played = simulate(seed, self.size);
                let (totals, violation) =
                    &mut *found.lock().unwrap_or_else(PoisonError::into_inner);
                match played {
                    Ok(more) => totals.add(&more),
                    // All seeds below it are played to their end, so this is the same every time.
                    Err(wrong) => {
                        let before = violation.as_ref().map(|other: &Violation| other.seed);
                        if before.is_none_or(|before| wrong.seed < before) {
                            *violation = Some(wrong);
                        }
                    }
                }
                if violation.is_some() {
                    return;
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
        found.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for a smaller simulation of the same seed that fails too.
    fn shrink(&self, mut violation: Violation) -> (Size, Violation) {
        let mut size = self.size;
        loop {
            let steps = [violation.step, size.steps / 2, size.steps * 7 / 8];
            let connections = [size.connections / 10, size.connections / 2];
            let smaller = steps
                .map(|steps| Size { steps, ..size })
                .into_iter()
                .chain(connections.map(|connections| Size {
                    connections,
                    ..size
                }))
                .filter(|other| other.steps < size.steps || other.connections < size.connections)
                .filter(|other| other.connections > 0)
                .find_map(|other| Some((other, simulate(violation.seed, other).err()?)));
            match smaller {
                Some(found) => (size, violation) = found,
                None => return (size, violation),
            }
        }
    }
}
