//! The example `chat` with its page in a browser.

use std::process::Command;

use super::{Peers, script, url};
use crate::{
    log::Log,
    tool::{self, Failure, Service},
};

const TOKEN: &str = "secret";

/// Chromium as several guests, who fill in the forms of the page and read what it shows.
pub(super) fn check(peers: &Peers, log: &mut Log) -> Result<(), Failure> {
    // The browser is driven over a WebSocket of PyPI websockets.
    let (Some(python), Some(chromium)) = (&peers.python, peers.chromium) else {
        return Ok(());
    };
    let mut chat = Command::new(tool::program("chat"));
    chat.args(["--listen", "127.0.0.1:0", "--token", TOKEN]);
    let service = Service::start("chat", &mut chat)?;
    let result = tool::run(
        Command::new(python)
            .arg(script("chat.py"))
            .args([&url(&service), TOKEN])
            .arg(service.id().to_string())
            .arg(chromium),
    );
    let is_used = result.is_ok();
    log.note("Chromium with chat", result);
    if is_used {
        log.note("chat stops when asked to", service.stopped());
    }
    Ok(())
}
