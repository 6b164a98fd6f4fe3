//! Options: one table for reading them, `--help`, completions and the man page.

use std::{ffi::OsString, fmt::Display, path::PathBuf, str::FromStr, time::Duration};

use lexopt::{Arg, Parser, ValueExt as _};

use crate::{COMMANDS, exit::Failure};

/// An option of a subcommand.
#[derive(Debug)]
pub(crate) struct Opt {
    pub(crate) short: Option<char>,
    pub(crate) long: &'static str,
    pub(crate) value: Value,
    /// Lines of at most 54 columns.
    pub(crate) help: &'static [&'static str],
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    None,
    /// A value of this name.
    One(&'static str),
    /// The name of a file, which shells complete.
    File,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A value of this name, behind `=`, which may be left out.
    Optional(&'static str),
}

/// Options that belong together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) options: &'static [Opt],
}

/// A subcommand.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// What stands behind the options.
    pub(crate) operands: &'static str,
    /// How many operands there may be.
    pub(crate) max_operands: usize,
    /// The operands from this one on are taken as they are, options too.
    pub(crate) verbatim_from: Option<usize>,
    pub(crate) summary: &'static str,
    pub(crate) about: &'static [&'static str],
    pub(crate) groups: &'static [&'static Group],
    /// Commands to try, and what each does.
    pub(crate) examples: &'static [(&'static str, &'static str)],
}

impl Command {
    pub(crate) fn options(&self) -> impl Iterator<Item = &'static Opt> {
        self.groups.iter().flat_map(|group| group.options)
    }
}

/// What was given on the command line.
#[derive(Debug)]
pub(crate) struct Given {
    options: Vec<(&'static Opt, Option<OsString>)>,
    pub(crate) operands: Vec<OsString>,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    Help,
    Run(Given),
}

impl Given {
    /// Reads the arguments of a subcommand.
    pub(crate) fn read(
        command: &'static Command,
        arguments: &[OsString],
    ) -> Result<Asked, Failure> {
        let mut given = Self {
            options: Vec::new(),
            operands: Vec::new(),
        };
        let mut parser = Parser::from_args(arguments);
        loop {
            if command.verbatim_from == Some(given.operands.len()) {
                given.operands.extend(parser.raw_args()?);
                return Ok(Asked::Run(given));
            }
            let Some(argument) = parser.next()? else {
                return Ok(Asked::Run(given));
            };
            let option = match &argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(Asked::Help),
                Arg::Short(short) => command.options().find(|opt| opt.short == Some(*short)),
                Arg::Long(long) => command.options().find(|opt| opt.long == *long),
                Arg::Value(value) if given.operands.len() < command.max_operands => {
                    given.operands.push(value.clone());
                    continue;
                }
                Arg::Value(_) => None,
            };
            let Some(option) = option else {
                return Err(argument.unexpected().into());
            };
            let value = match option.value {
                Value::None => None,
                Value::Optional(_) => parser.optional_value(),
                Value::One(_) | Value::File | Value::Word(_) => Some(parser.value()?),
            };
            given.options.push((option, value));
        }
    }

    /// Tells whether an option was given.
    pub(crate) fn has(&self, long: &str) -> bool {
        self.values_of(long).next().is_some()
    }

    /// Returns the last value of an option.
    pub(crate) fn text(&self, long: &str) -> Result<Option<String>, Failure> {
        self.texts(long).map(|mut texts| texts.pop())
    }

    /// Returns all values of an option.
    pub(crate) fn texts(&self, long: &str) -> Result<Vec<String>, Failure> {
        let values = self.values_of(long).flatten();
        values.map(|value| Ok(value.clone().string()?)).collect()
    }

    pub(crate) fn path(&self, long: &str) -> Option<PathBuf> {
        self.values_of(long).flatten().last().map(PathBuf::from)
    }

    /// Reads the last value of an option.
    pub(crate) fn parsed<T>(&self, long: &str) -> Result<Option<T>, Failure>
    where
        T: FromStr<Err: Display>,
    {
        let Some(text) = self.text(long)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(Failure::usage(format!("--{long} {text:?}: {error}"))),
        }
    }

    /// Reads a number of seconds, which may have a fraction.
    pub(crate) fn seconds(&self, long: &str) -> Result<Option<Duration>, Failure> {
        let Some(seconds) = self.parsed::<f64>(long)? else {
            return Ok(None);
        };
        match Duration::try_from_secs_f64(seconds) {
            Ok(time) => Ok(Some(time)),
            Err(error) => Err(Failure::usage(format!("--{long} {seconds}: {error}"))),
        }
    }

    /// Returns which one of several options was given.
    pub(crate) fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Result<Option<T>, Failure> {
        let mut given = choices.iter().filter(|(long, _)| self.has(long));
        let (first, second) = (given.next(), given.next());
        match (first, second) {
            (Some((first, _)), Some((second, _))) => Err(Failure::usage(format!(
                "--{first} and --{second} exclude each other"
            ))),
            (first, _) => Ok(first.map(|(_, choice)| *choice)),
        }
    }

    fn values_of(&self, long: &str) -> impl Iterator<Item = Option<&OsString>> {
        // What subcommands share may ask for an option that this one has not.
        debug_assert!(
            COMMANDS
                .iter()
                .flat_map(|command| command.options())
                .any(|opt| opt.long == long),
            "nothing has --{long}",
        );
        let of = move |(opt, _): &&(&'static Opt, Option<OsString>)| opt.long == long;
        let options = self.options.iter();
        options.filter(of).map(|(_, value)| value.as_ref())
    }
}
