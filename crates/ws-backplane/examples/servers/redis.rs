//! A `redis-server` of our own.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use ws_backplane::resp::{Scanner, Value, parse};

use crate::Failure;

#[derive(Debug)]
pub(crate) struct Server {
    program: String,
    arguments: Vec<String>,
    folder: PathBuf,
    pub(crate) port: u16,
    password: Option<String>,
    child: Option<Child>,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Server {
    /// Starts a server in a folder of its own, on a port that is free.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ws-backplane-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let password = arguments.iter().position(|word| *word == "--requirepass");
        let password = password.map(|at| arguments[at + 1].to_owned());
        let mut server = Self {
            program: program.into(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            folder,
            port,
            password,
            child: None,
        };
        server.begin()?;
        Ok(server)
    }

    /// Starts it again, with what it left in its folder.
    pub(crate) fn begin(&mut self) -> Result<(), Failure> {
        let child = Command::new(&self.program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir"])
            .arg(&self.folder)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .spawn()?;
        self.child = Some(child);
        let until = Instant::now() + Duration::from_secs(10);
        while self.admin(&["PING"]).is_err() {
            if Instant::now() > until {
                return Err("redis-server does not start".into());
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

    /// Asks it for something over a connection of its own.
    pub(crate) fn admin(&self, words: &[&str]) -> Result<String, Failure> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        if let Some(password) = &self.password {
            ask(&mut stream, &["AUTH", password])?;
        }
        ask(&mut stream, words)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn ask(stream: &mut TcpStream, words: &[&str]) -> Result<String, Failure> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(command.as_bytes())?;
    let (mut reply, mut scanner) = (Vec::new(), Scanner::default());
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err("it closed the connection".into());
        }
        reply.extend_from_slice(&buffer[..read]);
        let Some(length) = scanner.scan(&reply)? else {
            continue;
        };
        return match parse(&reply[..length])? {
            Value::Error(words) => Err(String::from_utf8_lossy(words).into()),
            Value::Text(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            other => Ok(format!("{other:?}")),
        };
    }
}
