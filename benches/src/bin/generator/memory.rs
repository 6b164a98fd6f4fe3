//! What open connections cost the server in resident memory.

use std::{
    error::Error,
    io::{Read, Write},
    thread,
    time::Duration,
};

use bench_rig::{resident_bytes, upgrade_with};
use ws_load::Replies;

use crate::{
    Options,
    load::{messages, params},
    stream::Blocking,
};

/// How long the server is given to come to rest before it is looked at.
const REST: Duration = Duration::from_millis(300);

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let pid = options.pid.ok_or("--memory needs --pid")?;
    let frames = messages(options)?.batches(params(options));
    // What the server sets up for its first connection is not counted.
    {
        let mut first = Client::open(options, 0)?;
        first.echo(&frames[0])?;
    }
    thread::sleep(REST);
    let before = resident_bytes(pid)?;
    let mut clients = Vec::with_capacity(options.connections);
    for number in 0..options.connections {
        clients.push(Client::open(options, number)?);
    }
    thread::sleep(REST);
    let open = resident_bytes(pid)?;
    for (client, frame) in clients.iter_mut().zip(frames.iter().cycle()) {
        client.echo(frame)?;
    }
    thread::sleep(REST);
    let echoed = resident_bytes(pid)?;
    println!(
        r#"{{"mode":"memory","connections":{},"rss_before":{before},"rss_open":{open},"rss_echoed":{echoed}}}"#,
        clients.len(),
    );
    Ok(())
}

struct Client {
    stream: Blocking,
    replies: Replies,
}

impl Client {
    fn open(options: &Options, number: usize) -> Result<Self, Box<dyn Error>> {
        let mut stream = Blocking::open(options, number)?;
        let mut replies = Replies::default();
        if !options.raw {
            replies.count(&upgrade_with(&mut stream, options.port, options.deflate)?)?;
        }
        Ok(Self { stream, replies })
    }

    fn echo(&mut self, frame: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut buffer = [0; 16 * 1024];
        self.stream.write_all(frame)?;
        let mut messages = 0;
        while messages == 0 {
            let len = self.stream.read(&mut buffer)?;
            if len == 0 {
                return Err("the server closed a connection".into());
            }
            messages += self.replies.count(&buffer[..len])?;
        }
        Ok(())
    }
}
