//! A client that sends to a sink as fast as it can.

use std::{
    error::Error,
    io,
    time::{Duration, Instant},
};

use crate::{Arguments, Masks, Usage, connect};

/// What a client is to do, and its measurement.
#[derive(Debug)]
pub struct ClientRun {
    /// Where the sink listens.
    pub port: u16,
    /// How to mask.
    pub masks: Masks,
    /// The message to send.
    pub payload: Vec<u8>,
    begin: Instant,
    end: Instant,
    begun: Option<Usage>,
    ended: Option<Usage>,
    messages: u64,
    seconds: f64,
}

/// The clock is looked at before every so many messages.
const STRIDE: u64 = 8;

impl ClientRun {
    /// Takes the arguments `--port`, `--size`, `--masks`, `--warm-up` and `--seconds`.
    ///
    /// # Errors
    ///
    /// Those that are missing or not understood.
    pub fn from_env() -> Result<Self, Box<dyn Error>> {
        let mut arguments = Arguments::from_env();
        let port = arguments.value("--port")?.ok_or("--port is missing")?;
        let size = arguments.value("--size")?.unwrap_or(16 * 1024);
        let masks = arguments.value("--masks")?.unwrap_or(Masks::Random);
        let warm_up = arguments.value("--warm-up")?.unwrap_or(0.3);
        let measured = arguments.value::<f64>("--seconds")?.unwrap_or(1.0);
        arguments.end()?;
        let begin = Instant::now() + Duration::try_from_secs_f64(warm_up)?;
        Ok(Self {
            port,
            masks,
            payload: (0..size).map(|at| (at * 7) as u8).collect(),
            begin,
            end: begin + Duration::try_from_secs_f64(measured.min(600.0))?,
            begun: None,
            ended: None,
            messages: 0,
            seconds: 0.0,
        })
    }

    /// Connects to the sink.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn connect(&self) -> io::Result<std::net::TcpStream> {
        connect(self.port, 0)
    }

    /// Returns where the sink is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/", self.port)
    }

    /// Tells whether to send one more message; called before each.
    ///
    /// # Errors
    ///
    /// Those of looking at this process.
    pub fn goes_on(&mut self) -> io::Result<bool> {
        self.messages += 1;
        if !self.messages.is_multiple_of(STRIDE) {
            return Ok(true);
        }
        let now = Instant::now();
        if self.begun.is_none() && now >= self.begin {
            self.begun = Some(Usage::of(std::process::id())?);
            self.begin = Instant::now();
            self.messages = 0;
        } else if self.begun.is_some() && now >= self.end {
            self.ended = Some(Usage::of(std::process::id())?);
            self.seconds = (now - self.begin).as_secs_f64();
            return Ok(false);
        }
        Ok(true)
    }

    /// Prints what was measured, as a line of JSON.
    pub fn print(&self) {
        if let (Some(begun), Some(ended)) = (&self.begun, &self.ended) {
            println!(
                r#"{{"mode":"client","messages":{},"seconds":{:.6},"cpu_ns":{},"busy":{:.4}}}"#,
                self.messages,
                self.seconds,
                ended.cpu_since(begun).as_nanos(),
                ended.busy_since(begun),
            );
        }
    }
}
