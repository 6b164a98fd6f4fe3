//! What Linux tells of a process.

use std::{
    fs, io,
    time::{Duration, Instant},
};

/// How long the threads of a process were on a CPU so far, and when that was looked up.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    at: Instant,
    cpu: Duration,
    waiting: Duration,
}

impl Usage {
    /// Looks at process `pid`.
    ///
    /// The scheduler's account is exact to the nanosecond, where `times` counts ticks.
    ///
    /// # Errors
    ///
    /// Those of reading `/proc`, on a kernel without `CONFIG_SCHED_INFO` too.
    pub fn of(pid: u32) -> io::Result<Self> {
        let (mut nanos, mut waiting) = (0, 0);
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end between the two calls.
            let Ok(line) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let mut fields = line.split(' ').map(str::parse::<u64>);
            let (Some(Ok(on_cpu)), Some(Ok(in_line))) = (fields.next(), fields.next()) else {
                return Err(io::ErrorKind::InvalidData.into());
            };
            nanos += on_cpu;
            waiting += in_line;
        }
        if nanos == 0 {
            return Err(io::Error::other(format!(
                "/proc/{pid}/task/*/schedstat says nothing"
            )));
        }
        Ok(Self {
            at: Instant::now(),
            cpu: Duration::from_nanos(nanos),
            waiting: Duration::from_nanos(waiting),
        })
    }

    /// Returns the time on CPU since `earlier`.
    #[must_use]
    pub fn cpu_since(&self, earlier: &Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }

    /// Returns the share of the time since `earlier` that was spent on CPU; over 1 for a process
    /// with several threads.
    #[must_use]
    pub fn busy_since(&self, earlier: &Self) -> f64 {
        self.cpu_since(earlier).as_secs_f64() / (self.at - earlier.at).as_secs_f64()
    }

    /// Returns the share of the time since `earlier` in which a thread could have gone on and
    /// waited for a CPU; over 1 for a process with several threads.
    #[must_use]
    pub fn waiting_since(&self, earlier: &Self) -> f64 {
        self.waiting.saturating_sub(earlier.waiting).as_secs_f64()
            / (self.at - earlier.at).as_secs_f64()
    }
}

/// Returns how much memory of process `pid` is resident.
///
/// # Errors
///
/// Those of reading `/proc`.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// Returns how much memory of process `pid` was resident at most so far.
///
/// # Errors
///
/// Those of reading `/proc`.
pub fn peak_resident_bytes(pid: u32) -> io::Result<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, field: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse::<u64>().ok())
        .map(|kib| kib * 1024)
        // One that has ended, and was not waited for yet, has no memory.
        .ok_or_else(|| io::Error::other(format!("process {pid} has no memory: it has ended")))
}
