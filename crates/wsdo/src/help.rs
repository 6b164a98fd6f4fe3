//! `--help`, made of the tables of options.

use std::fmt::Write as _;

use crate::{
    COMMANDS,
    exit::CODES,
    options::{Command, Opt, Value},
};

/// Where the text of an option begins.
const COLUMN: usize = 26;

/// Makes the help of the program.
pub(crate) fn of_all() -> String {
    let mut text = "WebSocket on the command line.\n\nUsage: wsdo SUBCOMMAND [OPTION]... \
        [OPERAND]...\n\n"
        .to_owned();
    for command in COMMANDS {
        let _ = writeln!(text, "  {:<10} {}", command.name, command.summary);
    }
    text.push_str(
        "\nWithout a subcommand, options and a URL are for connect. Each has --help. --version tells the version, man writes the man page, and \
         completions\nbash|zsh|fish what a shell completes. Exit codes:\n\n",
    );
    for (code, meaning) in CODES {
        let _ = writeln!(text, "  {:>3}  {meaning}", *code as u8);
    }
    text
}

/// Makes the help of a subcommand.
pub(crate) fn of(command: &Command) -> String {
    let mut text = format!(
        "Usage: wsdo {} [OPTION]... {}\n\n",
        command.name, command.operands
    );
    for line in command.about {
        let _ = writeln!(text, "{line}");
    }
    for group in command.groups {
        let _ = writeln!(text, "\n{}:", group.title);
        for option in group.options {
            describe(&mut text, option);
        }
    }
    text.push_str("\nExamples:\n");
    for (line, what) in command.examples {
        let _ = writeln!(text, "  # {what}\n  {line}");
    }
    text
}

fn describe(text: &mut String, option: &Opt) {
    let mut head = match option.short {
        Some(short) => format!("  -{short}, --{}", option.long),
        None => format!("      --{}", option.long),
    };
    head.push_str(&value(option.value));
    let mut lines = option.help.iter();
    if head.len() < COLUMN {
        let first = lines.next().unwrap_or(&"");
        let _ = writeln!(text, "{head:<COLUMN$}{first}");
    } else {
        let _ = writeln!(text, "{head}");
    }
    for line in lines {
        let _ = writeln!(text, "{:COLUMN$}{line}", "");
    }
}

/// What stands behind the name of an option.
pub(crate) fn value(value: Value) -> String {
    match value {
        Value::None => String::new(),
        Value::One(name) => format!(" {name}"),
        Value::File => " FILE".to_owned(),
        Value::Word(words) => format!(" {}", words.join("|")),
        Value::Optional(name) => format!("[={name}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_into_eighty_columns() {
        for text in COMMANDS.iter().map(|command| of(command)) {
            for line in text.lines() {
                let is_example = line.trim_start().starts_with("wsdo ");
                assert!(
                    line.chars().count() <= 80
                        || line.chars().count() <= 88 && is_example
                        || line.chars().count() <= 86 && !line.starts_with(' '),
                    "{line}"
                );
            }
        }
    }

    #[test]
    fn no_subcommand_has_an_option_twice() {
        for command in COMMANDS {
            let names: Vec<_> = command.options().map(|option| option.long).collect();
            let shorts: Vec<_> = command
                .options()
                .filter_map(|option| option.short)
                .collect();
            let are_unique = |i: usize| !names[..i].contains(&names[i]);
            assert!(
                (0..names.len()).all(are_unique),
                "{}: {names:?}",
                command.name
            );
            let are_unique = |i: usize| !shorts[..i].contains(&shorts[i]);
            assert!(
                (0..shorts.len()).all(are_unique),
                "{}: {shorts:?}",
                command.name
            );
        }
    }
}
