//! `wsdo connect` and `wsdo bench` on a terminal.
#![cfg(unix)]

mod common;

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    process::{Child, Command},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use common::{Folder, Server, WSDO, accept, close_with, played};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

/// A terminal with a client on it.
struct Terminal {
    side: File,
    /// Kept open, so that what is written last can be read.
    other: File,
    child: Child,
    read: Receiver<Vec<u8>>,
    shown: String,
}

/// A client that shows nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(60);

impl Terminal {
    fn start(options: &[&str], url: &str, term: &str) -> Self {
        Self::of("connect", options, url, term)
    }

    fn of(subcommand: &str, options: &[&str], url: &str, term: &str) -> Self {
        let side = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&side).unwrap();
        unlockpt(&side).unwrap();
        let name = ptsname(&side, Vec::new()).unwrap();
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true);
            options.open(name.to_str().unwrap()).unwrap()
        };
        let child = Command::new(WSDO)
            .arg(subcommand)
            .args(options)
            .arg(url)
            .env("TERM", term)
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap();
        let side = File::from(side);
        let mut reader = side.try_clone().unwrap();
        let (sender, read) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 100];
            while let Ok(len @ 1..) = reader.read(&mut bytes) {
                if sender.send(bytes[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            side,
            other: open(),
            child,
            read,
            shown: String::new(),
        }
    }

    /// Waits until a text is shown behind what was waited for before.
    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        loop {
            if let Some(at) = self.shown.find(text) {
                self.shown.drain(..at + text.len());
                return;
            }
            let Ok(bytes) = self.read.recv_timeout(PATIENCE) else {
                panic!("{text:?} is not shown: {:?}", self.shown);
            };
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
    }

    fn types(&mut self, keys: &str) {
        self.side.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end; the terminal is then as it was before.
    #[track_caller]
    fn ends_with(mut self, code: i32) {
        assert_eq!(
            self.child.wait().unwrap().code(),
            Some(code),
            "{}",
            self.shown
        );
        let modes = tcgetattr(&self.other).unwrap().local_modes;
        assert!(
            modes.contains(LocalModes::ICANON | LocalModes::ECHO),
            "{modes:?}"
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn lines_are_edited_kept_and_found_again() {
    let echo = Server::echo();
    let folder = Folder::new();
    let history = folder.path("state/history");
    let options = ["--history", &history, "--color", "never"];
    let mut terminal = Terminal::start(&options, &echo.url(), "xterm");
    terminal.wait_for("Ctrl-D closes");
    // Between the l and the o; then from the history.
    terminal.types("helo\x1b[Dl\r");
    terminal.wait_for("< hello");
    terminal.types("\x1b[A!\r");
    terminal.wait_for("< hello!");
    // A blank in front keeps it out of the history.
    terminal.types(" secret\r");
    terminal.wait_for("<  secret");
    terminal.types("\x04");
    terminal.wait_for("closed with code 1000");
    terminal.ends_with(0);
    let kept = std::fs::read_to_string(&history).unwrap();
    assert!(kept.ends_with("hello\nhello!\n"), "{kept:?}");

    let mut terminal = Terminal::start(&options, &echo.url(), "xterm");
    terminal.wait_for("Ctrl-D closes");
    terminal.types("\x1b[A\x1b[A\r");
    terminal.wait_for("< hello");
    terminal.types("\x03");
    terminal.ends_with(130);
}

#[test]
fn server_that_closes_gives_the_terminal_back() {
    let (url, server) = played(|listener| {
        let (mut stream, _) = accept(listener);
        let mut first = [0; 1];
        stream.read_exact(&mut first).unwrap();
        stream.write_all(b"\x81\x08\x1b[31mbye").unwrap();
        close_with(stream, 4001);
    });
    let mut terminal = Terminal::start(&["--history", "", "--color", "never"], &url, "xterm");
    terminal.wait_for("Ctrl-D closes");
    terminal.types("a\rhalf a li");
    // The terminal is told nothing by the message.
    terminal.wait_for("< \u{fffd}[31mbye");
    terminal.wait_for("closed with code 4001");
    terminal.ends_with(7);
    server.join().unwrap();
}

#[test]
fn terminal_that_cannot_move_its_cursor_is_typed_at() {
    let echo = Server::echo();
    let mut terminal = Terminal::start(&["--history", "", "--color", "never"], &echo.url(), "dumb");
    terminal.wait_for("Ctrl-D closes");
    terminal.types("hello\n");
    terminal.wait_for("< hello");
    terminal.types("\x04");
    terminal.wait_for("closed with code 1000");
    terminal.ends_with(0);
}

#[test]
fn load_shows_every_second_and_then_its_report() {
    let server = Server::echo();
    let options = ["-c", "2", "-d", "0.1", "--warm-up", "0.02"];
    let mut terminal = Terminal::of("bench", &options, &server.url(), "xterm");
    for text in [
        "connecting",
        "warming up, ",
        "/s received, p50 ",
        "\nlatency ",
    ] {
        terminal.wait_for(text);
    }
    let code = terminal.child.wait().unwrap().code();
    // This machine may have been too slow.
    assert!(matches!(code, Some(0 | 12)), "{code:?}");
}
