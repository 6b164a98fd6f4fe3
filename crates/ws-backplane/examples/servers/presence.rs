//! Who is present, and who is gone.

use std::{thread, time::Instant};

use ws_backplane::{Connect, Engine};

use crate::{
    Failure,
    observer::{LONG, TOPIC, limits, node},
};

pub(crate) fn play<E, C>(engine: impl Fn() -> E, connect: C) -> Result<String, Failure>
where
    E: Engine + Send + 'static,
    C: Connect + Clone + Send + 'static,
    C::Stream: Send,
{
    let (watcher, seen) = node(engine(), connect.clone(), limits());
    watcher.watch(TOPIC);
    let (one, _) = node(engine(), connect.clone(), limits());
    let (other, _) = node(engine(), connect, limits());
    for node in [&one, &other] {
        node.enter(TOPIC, "ann");
    }
    one.enter(TOPIC, "bob");
    seen.wait("both join", LONG, |story| story.joins.len() == 2)?;
    // Longer than the members are present without a sign of their nodes.
    thread::sleep(limits().presence_time * 2);
    if !seen.lock().leaves.is_empty() {
        return Err("a member of a node that is there has left".into());
    }
    let began = Instant::now();
    // Its members are not taken out: it is gone.
    one.stop();
    seen.wait("bob leaves", LONG, |story| story.leaves.len() == 1)?;
    let took = began.elapsed();
    other.leave(TOPIC, "ann");
    seen.wait("ann leaves", LONG, |story| story.leaves.len() == 2)?;
    let story = seen.lock();
    if story.joins.len() != 2 || &*story.leaves[0] != "bob" {
        return Err(format!("joined: {:?}, left: {:?}", story.joins, story.leaves).into());
    }
    Ok(format!(
        "told once; a node that is gone after {} ms",
        took.as_millis()
    ))
}
