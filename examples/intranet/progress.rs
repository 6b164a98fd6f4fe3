//! A progress bar, where there is somebody to see it.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::tee::Record;

/// Draws how many bytes have passed, on stderr and from a thread of its own,
/// until it is dropped; nothing if stderr is no terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    records: Arc<Mutex<Vec<Arc<Record>>>>,
    drawing: Option<(mpsc::Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts; all is done after about `total` bytes in both directions.
    pub(crate) fn start(total: u64) -> Self {
        let records = Arc::<Mutex<Vec<Arc<Record>>>>::default();
        let drawing = io::stderr().is_terminal().then(|| {
            let (stop, stopped) = mpsc::channel();
            let records = Arc::clone(&records);
            let thread = thread::spawn(move || {
                while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    draw(&line(passed(&records), total));
                }
                draw("");
            });
            (stop, thread)
        });
        Self { records, drawing }
    }

    /// Counts what passes on one more stream.
    pub(crate) fn watch(&self, record: Arc<Record>) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(record);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.drawing.take() {
            drop(stop);
            // A bar that failed to draw is no loss.
            let _ = thread.join();
        }
    }
}

fn passed(records: &Mutex<Vec<Arc<Record>>>) -> u64 {
    let records = records.lock().unwrap_or_else(PoisonError::into_inner);
    let totals = records
        .iter()
        .map(|record| record.sent.total() + record.received.total());
    totals.sum()
}

fn line(done: u64, total: u64) -> String {
    let percent = (done.saturating_mul(100) / total.max(1)).min(100) as usize;
    let full = percent * WIDTH / 100;
    format!("[{:<WIDTH$}] {percent:3} %", "#".repeat(full))
}

/// Replaces the line that the cursor is in.
fn draw(line: &str) {
    let mut err = io::stderr();
    let _ = write!(err, "\r\x1b[K{line}");
    let _ = err.flush();
}

const INTERVAL: Duration = Duration::from_millis(50);
const WIDTH: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_grows_and_stays_in_its_frame() {
        assert!(line(0, 200).contains("[                "));
        assert!(line(100, 200).ends_with("]  50 %"));
        for done in [200, 300, u64::MAX] {
            assert!(line(done, 200).ends_with("#] 100 %"));
        }
        assert!(line(0, 0).ends_with("  0 %"));
    }
}
