//! A server of our own: a process with a port and a folder.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::Failure;

#[derive(Debug)]
pub(crate) struct Process {
    program: String,
    pub(crate) folder: PathBuf,
    pub(crate) port: u16,
    child: Option<Child>,
}

/// A server that can be killed, and started again.
pub(crate) trait Restart {
    fn process(&mut self) -> &mut Process;

    /// Starts it again, with what it left in its folder.
    fn begin(&mut self) -> Result<(), Failure>;
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Process {
    /// A folder of its own, and a port that is free.
    pub(crate) fn new(program: &str) -> Result<Self, Failure> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ws-backplane-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        Ok(Self {
            program: program.into(),
            folder,
            port,
            child: None,
        })
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn begin(
        &mut self,
        arguments: &[String],
        answers: impl Fn() -> bool,
    ) -> Result<(), Failure> {
        let child = Command::new(&self.program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(10);
        while !answers() {
            if Instant::now() > until {
                return Err(format!("{} does not start", self.program).into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) -> Result<(), Failure> {
        let child = self.child.as_ref().ok_or("it does not run")?;
        let status = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status()?;
        status
            .success()
            .then_some(())
            .ok_or_else(|| "kill failed".into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
