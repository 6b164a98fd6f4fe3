//! A simulated engine that loses, delays, doubles and reorders, and restarts with an old or a new
//! epoch; nodes and clients that come and go; and the rule that nothing is lost in silence.
//!
//! `WS_BACKPLANE_SEEDS=FIRST..END` plays other seeds than the few of every day.

mod random;
mod server;
mod world;

use std::ops::Range;

use world::World;

/// The seeds to be played.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("WS_BACKPLANE_SEEDS") else {
        return 0..300;
    };
    let (first, end) = text.split_once("..").expect("FIRST..END");
    first.parse().expect("a seed")..end.parse().expect("a seed")
}

#[test]
fn every_subscriber_sees_a_contiguous_run_or_is_told_of_the_discontinuity() {
    let mut sum = world::Seen::default();
    for seed in seeds() {
        let mut world = World::new(seed);
        if let Err(what) = world.play() {
            panic!("seed {seed}: {what}");
        }
        sum.add(world.seen());
    }
    println!("{sum:?}");
    // Otherwise the simulation shows nothing.
    assert!(sum.messages > 0 && sum.recovered > 0 && sum.discontinuities > 0);
    assert!(sum.lost > 0 && sum.gaps > 0 && sum.duplicates > 0 && sum.joins > 0);
}

#[test]
fn same_seed_is_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.play().expect("holds");
        format!("{:?}", world.seen())
    };
    assert_eq!(run(7), run(7));
}
