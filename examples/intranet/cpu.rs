//! How much of the processor a thread has used.

use std::time::Duration;

/// Returns the CPU time that the calling thread has used; `None` where the
/// system does not tell.
#[cfg(unix)]
pub(crate) fn of_this_thread() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
}

#[cfg(not(unix))]
pub(crate) const fn of_this_thread() -> Option<Duration> {
    None
}

/// Returns what `work` gives, and the CPU time that it took this thread.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> (T, Option<Duration>) {
    let before = of_this_thread();
    let result = work();
    let spent = of_this_thread()
        .zip(before)
        .map(|(after, before)| after.saturating_sub(before));
    (result, spent)
}
