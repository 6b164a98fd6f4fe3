//! Arguments as all the programs here take them.

use std::{error::Error, ffi::OsString, fmt, process::ExitCode, str::FromStr};

/// Arguments of the form `--name value` and `--flag`, taken one name at a time.
#[derive(Debug)]
pub struct Arguments {
    rest: Vec<OsString>,
}

impl Arguments {
    /// Takes the arguments of this process.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            rest: std::env::args_os().skip(1).collect(),
        }
    }

    /// Takes the value of `--name`.
    ///
    /// # Errors
    ///
    /// A value that is missing, or that does not parse.
    pub fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Box<dyn Error>>
    where
        T::Err: Error + 'static,
    {
        let Some(at) = self.rest.iter().position(|next| next == name) else {
            return Ok(None);
        };
        if at + 1 == self.rest.len() {
            return Err(format!("{name} needs a value").into());
        }
        self.rest.remove(at);
        let value = self.rest.remove(at);
        let value = value
            .to_str()
            .ok_or_else(|| format!("the value of {name} is not UTF-8"))?;
        Ok(Some(value.parse()?))
    }

    /// Takes the flag `--name`.
    pub fn flag(&mut self, name: &str) -> bool {
        let before = self.rest.len();
        self.rest.retain(|next| next != name);
        self.rest.len() < before
    }

    /// Ends the taking.
    ///
    /// # Errors
    ///
    /// An argument that nobody took.
    pub fn end(self) -> Result<(), Box<dyn Error>> {
        match self.rest.first() {
            None => Ok(()),
            Some(unknown) => Err(format!("unknown argument {unknown:?}").into()),
        }
    }
}

/// What a WebSocket server does with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It goes back to its sender.
    #[default]
    Echo,
    /// It goes to every open connection, its sender's too.
    Broadcast,
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "echo" => Ok(Self::Echo),
            "broadcast" => Ok(Self::Broadcast),
            _ => Err(UnknownMode),
        }
    }
}

/// There is no such mode.
#[derive(Clone, Copy, Debug)]
pub struct UnknownMode;

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("modes are echo and broadcast")
    }
}

impl Error for UnknownMode {}

/// Prints what went wrong, if anything: the last thing that `main` does.
#[must_use]
pub fn finish(result: Result<(), Box<dyn Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
