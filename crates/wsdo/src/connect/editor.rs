//! Lines that are typed on a terminal: editing, and a history in a file.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    thread,
};

use rustyline::{Config, DefaultEditor, ExternalPrinter as _, error::ReadlineError};

use super::input::{Format, Order};
use crate::{
    console::Printer,
    exit::{Exit, Failure},
    runtime::channel::{Receiver, Sender, bounded},
};

/// An editor of lines, on a thread of its own.
pub(crate) struct Editor {
    pub(crate) orders: Receiver<Result<Order, Failure>>,
    /// Prints above the line that is edited.
    pub(crate) printer: Option<Printer>,
    _terminal: Terminal,
}

impl Editor {
    /// Starts to read lines.
    pub(crate) fn start(format: Format, history: Option<PathBuf>) -> Result<Self, Failure> {
        let terminal = Terminal::save();
        let config = Config::builder().history_ignore_space(true).build();
        let mut editor = DefaultEditor::with_config(config).map_err(failure)?;
        if let Some(file) = &history {
            // Without a history it can be typed all the same.
            let _ = load(&mut editor, file);
        }
        // A terminal that cannot move its cursor has none.
        let printer = editor.create_external_printer().ok().map(|mut external| {
            let print = move |line| external.print(line).map_err(io::Error::other);
            Box::new(print) as Printer
        });
        let (sender, orders) = bounded(1);
        thread::Builder::new()
            .name("editor".to_owned())
            .spawn(move || read(editor, format, history.as_deref(), &sender))?;
        Ok(Self {
            orders,
            printer,
            _terminal: terminal,
        })
    }
}

/// Reads lines until the end of the input.
fn read(
    mut editor: DefaultEditor,
    format: Format,
    history: Option<&Path>,
    sender: &Sender<Result<Order, Failure>>,
) {
    loop {
        let order = match editor.readline("> ") {
            Ok(line) => {
                if editor.add_history_entry(&line).unwrap_or(false)
                    && let Some(file) = history
                {
                    let _ = editor.append_history(file);
                }
                format.order(line.into_bytes())
            }
            Err(ReadlineError::Eof) => return,
            Err(ReadlineError::Interrupted) => Err(Failure::new(Exit::Interrupted, "interrupted")),
            Err(error) => Err(failure(error)),
        };
        if sender.send_blocking(order).is_err() {
            return;
        }
    }
}

fn load(editor: &mut DefaultEditor, file: &Path) -> rustyline::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    editor.load_history(file)
}

/// Returns where the history is by default: below `XDG_STATE_HOME`, or
/// `~/.local/state`.
pub(crate) fn default_history() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME")
        .or_else(|| Some(folder("HOME")?.join(".local/state")))
        .or_else(|| folder("LOCALAPPDATA"))?;
    Some(state.join("wsdo/history"))
}

fn failure(error: ReadlineError) -> Failure {
    Failure::new(Exit::Failure, error.to_string())
}

/// Gives the terminal back as it was, also if a line is still being edited.
struct Terminal {
    #[cfg(unix)]
    before: Option<rustix::termios::Termios>,
}

impl Terminal {
    #[cfg(unix)]
    fn save() -> Self {
        Self {
            before: rustix::termios::tcgetattr(rustix::stdio::stdin()).ok(),
        }
    }

    #[cfg(not(unix))]
    const fn save() -> Self {
        Self {}
    }
}

#[cfg(unix)]
impl Drop for Terminal {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        if let Some(before) = &self.before {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
        }
    }
}
