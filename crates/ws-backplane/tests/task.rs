//! Nodes that run by themselves, on the memory engine.
#![cfg(feature = "task")]

use std::{
    io,
    sync::{Arc, mpsc},
    time::Duration,
};

use ws_backplane::{
    Discontinuity, EngineError, Handler, Limits, Memory, Node, Position, Publish, PublishError,
    Recovery, run,
};

/// Passes on what is told.
struct Pass(mpsc::Sender<Told>);

#[derive(Debug, PartialEq)]
enum Told {
    Up,
    Down,
    Message(Vec<u8>),
    Recovered(Vec<Vec<u8>>),
    Published(Result<u64, PublishError>),
    Present(Vec<Arc<str>>),
    Joined(Arc<str>),
}

impl Handler for Pass {
    fn on_message(&mut self, _: &Arc<str>, _: Position, payload: &[u8]) {
        let _ = self.0.send(Told::Message(payload.to_vec()));
    }

    fn on_discontinuity(&mut self, _: &Arc<str>, _: &Discontinuity) {}

    fn on_join(&mut self, _: &Arc<str>, member: &Arc<str>) {
        let _ = self.0.send(Told::Joined(member.clone()));
    }

    fn on_up(&mut self) {
        let _ = self.0.send(Told::Up);
    }

    fn on_down(&mut self, _: &EngineError) {
        let _ = self.0.send(Told::Down);
    }
}

fn node(memory: &Memory) -> (Node, mpsc::Sender<Told>, mpsc::Receiver<Told>) {
    let (sender, receiver) = mpsc::channel();
    let engine = memory.engine();
    let stream = engine.stream();
    let mut streams = vec![stream];
    let connect = move || {
        let stream = streams.pop().ok_or(io::ErrorKind::ConnectionRefused);
        async move { stream.map_err(io::Error::from) }
    };
    let (node, task) = run(engine, Limits::default(), connect, Pass(sender.clone()));
    smol::spawn(task).detach();
    assert_eq!(next(&receiver), Told::Up);
    (node, sender, receiver)
}

fn next(receiver: &mpsc::Receiver<Told>) -> Told {
    receiver
        .recv_timeout(Duration::from_secs(20))
        .expect("it comes")
}

fn recover(node: &Node, sender: &mpsc::Sender<Told>, since: Option<Position>) {
    let sender = sender.clone();
    node.recover("room", since, move |recovery| {
        let Ok(Recovery::Recovered { messages, .. }) = recovery else {
            panic!("{recovery:?}");
        };
        let messages = messages.iter().map(|message| message.payload.to_vec());
        let _ = sender.send(Told::Recovered(messages.collect()));
    });
}

#[test]
fn recovery_is_told_between_the_messages_before_and_after_it() {
    let memory = Memory::new();
    let (one, _, _told) = node(&memory);
    let (other, sender, receiver) = node(&memory);
    other.subscribe("room");
    recover(&other, &sender, None);
    assert_eq!(next(&receiver), Told::Recovered(vec![]));
    let then = {
        let sender = sender.clone();
        move |result: Result<Position, _>| {
            let _ = sender.send(Told::Published(result.map(|position| position.offset)));
        }
    };
    one.publish_then("room", "first", Publish::default(), then)
        .unwrap();
    let mut told = [next(&receiver), next(&receiver)];
    told.sort_by_key(|told| matches!(told, Told::Published(_)));
    assert_eq!(
        told,
        [Told::Message(b"first".to_vec()), Told::Published(Ok(1))]
    );
    recover(&other, &sender, None);
    assert_eq!(next(&receiver), Told::Recovered(vec![]));
    one.publish("room", "second", Publish::default()).unwrap();
    assert_eq!(next(&receiver), Told::Message(b"second".to_vec()));
    assert_eq!(other.metrics().discontinuities, 0);
}

#[test]
fn presence_is_that_of_all_nodes() {
    let memory = Memory::new();
    let (one, _, _told) = node(&memory);
    let (other, sender, receiver) = node(&memory);
    other.watch("room");
    one.enter("room", "ann");
    assert_eq!(next(&receiver), Told::Joined("ann".into()));
    other.presence("room", move |members| {
        let members = members.expect("it is known").iter().cloned();
        let _ = sender.send(Told::Present(members.collect()));
    });
    assert_eq!(next(&receiver), Told::Present(vec!["ann".into()]));
}

#[test]
fn publication_is_unavailable_after_the_end_of_the_node() {
    let (sender, receiver) = mpsc::channel();
    let connect = || async { Err::<ws_backplane::MemoryStream, _>(io::ErrorKind::NotFound.into()) };
    let engine = Memory::new().engine();
    let (node, task) = run(engine, Limits::default(), connect, Pass(sender));
    let publish = || node.publish("room", "x", Publish::default());
    assert_eq!(publish(), Err(PublishError::Unavailable));
    node.stop();
    smol::block_on(task);
    assert_eq!(publish(), Err(PublishError::Unavailable));
    assert!(receiver.try_recv().is_err());
}
