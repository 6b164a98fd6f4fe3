//! What is made of the tables of options for shells and for `man`.

use std::fmt::Write as _;

use crate::{
    COMMANDS,
    exit::CODES,
    help,
    options::{Command, Opt, Value},
};

/// Makes the completions for a shell; `None` for one that is not known.
pub(crate) fn completions(shell: &str) -> Option<String> {
    match shell {
        "bash" => Some(bash()),
        "zsh" => Some(zsh()),
        "fish" => Some(fish()),
        _ => None,
    }
}

fn bash() -> String {
    let mut text = "_wsdo() {\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n    \
        if [ \"$COMP_CWORD\" -eq 1 ]; then\n        COMPREPLY=($(compgen -W \""
        .to_owned();
    text.push_str(&names());
    text.push_str("\" -- \"$word\"))\n        return\n    fi\n    case ${COMP_WORDS[1]} in\n");
    for command in COMMANDS {
        let _ = writeln!(text, "    {})\n        case $before in", command.name);
        for option in command.options() {
            let reply = match option.value {
                Value::File => "compgen -f".to_owned(),
                Value::Word(words) => format!("compgen -W \"{}\"", words.join(" ")),
                Value::One(_) => "true".to_owned(),
                Value::None | Value::Optional(_) => continue,
            };
            let names = dashed(option).join("|");
            let _ = writeln!(
                text,
                "        {names}) COMPREPLY=($({reply} -- \"$word\")); return ;;"
            );
        }
        let all: Vec<_> = command.options().flat_map(dashed).collect();
        let _ = writeln!(
            text,
            "        esac\n        COMPREPLY=($(compgen -W \"{} --help\" -- \"$word\"))\n        ;;",
            all.join(" ")
        );
    }
    text.push_str("    esac\n}\ncomplete -o default -F _wsdo wsdo\n");
    text
}

fn zsh() -> String {
    let mut text = "#compdef wsdo\n_wsdo() {\n    if (( CURRENT == 2 )); then\n        \
        local -a names=(\n"
        .to_owned();
    for command in COMMANDS {
        let _ = writeln!(
            text,
            "            {}",
            quoted(&format!("{}:{}", command.name, command.summary))
        );
    }
    text.push_str(
        "        )\n        _describe subcommand names\n        return\n    fi\n    \
        local name=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $name in\n",
    );
    for command in COMMANDS {
        let _ = writeln!(text, "    {})\n        _arguments \\", command.name);
        for option in command.options() {
            let about = option
                .help
                .join(" ")
                .replace(['[', ']'], "")
                .replace(':', "\\:");
            let action = match option.value {
                Value::None | Value::Optional(_) => String::new(),
                Value::One(name) => format!(":{}:", name.replace([':', '\''], "")),
                Value::File => ":file:_files".to_owned(),
                Value::Word(words) => format!(":word:({})", words.join(" ")),
            };
            let equals = match option.value {
                Value::Optional(_) => "=-",
                _ => "",
            };
            for name in dashed(option) {
                let equals = if name.starts_with("--") { equals } else { "" };
                let tail = match (option.value, equals) {
                    (Value::Optional(name), "=-") => format!("::{name}:"),
                    _ => action.clone(),
                };
                let spec = quoted(&format!("*{name}{equals}[{about}]{tail}"));
                let _ = writeln!(text, "            {spec} \\");
            }
        }
        text.push_str("            '--help[print the help]' '*:operand:_files'\n        ;;\n");
    }
    text.push_str("    esac\n}\n_wsdo \"$@\"\n");
    text
}

fn fish() -> String {
    let mut text = String::new();
    for command in COMMANDS {
        let _ = writeln!(
            text,
            "complete -c wsdo -n __fish_use_subcommand -f -a {} -d {}",
            command.name,
            quoted(command.summary)
        );
        for option in command.options() {
            let short = option
                .short
                .map_or_else(String::new, |short| format!(" -s {short}"));
            let value = match option.value {
                Value::None | Value::Optional(_) => String::new(),
                Value::One(_) => " -x".to_owned(),
                Value::File => " -r -F".to_owned(),
                Value::Word(words) => format!(" -x -a {}", quoted(&words.join(" "))),
            };
            let _ = writeln!(
                text,
                "complete -c wsdo -n '__fish_seen_subcommand_from {}'{short} -l {}{value} -d {}",
                command.name,
                option.long,
                quoted(&option.help.join(" "))
            );
        }
    }
    text
}

fn names() -> String {
    let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
    names.join(" ")
}

fn dashed(option: &Opt) -> Vec<String> {
    let short = option.short.map(|short| format!("-{short}"));
    short
        .into_iter()
        .chain([format!("--{}", option.long)])
        .collect()
}

/// Quotes a text for any shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Makes the man page, in the language of `man`.
pub(crate) fn man() -> String {
    let mut text = format!(
        ".TH WSDO 1 \"\" \"wsdo {}\"\n.SH NAME\nwsdo \\- WebSocket on the command line\n\
         .SH SYNOPSIS\n",
        env!("CARGO_PKG_VERSION")
    );
    for command in COMMANDS {
        let _ = writeln!(
            text,
            ".B wsdo {}\n[\\fIOPTION\\fR]... {}\n.br",
            command.name,
            roff(command.operands)
        );
    }
    text.push_str(".SH DESCRIPTION\n");
    for command in COMMANDS {
        describe(&mut text, command);
    }
    text.push_str(".SH EXIT STATUS\n");
    for (code, meaning) in CODES {
        let _ = writeln!(text, ".TP\n.B {}\n{}", *code as u8, roff(meaning));
    }
    text.push_str(
        ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nif it is set, there are no colours without \
         \\-\\-color always\n.TP\n.B XDG_STATE_HOME\nwhere the history of connect is, in \
         wsdo/history\n.SH SEE ALSO\nRFC 6455, RFC 7692, [MS-WSPE]\n",
    );
    text
}

fn describe(text: &mut String, command: &Command) {
    let _ = writeln!(
        text,
        ".SS wsdo {}\n{}",
        command.name,
        roff(&command.about.join("\n"))
    );
    for group in command.groups {
        let _ = writeln!(text, ".PP\n.B {}", roff(group.title));
        for option in group.options {
            let names = dashed(option).join(", ");
            let value = help::value(option.value);
            let _ = writeln!(
                text,
                ".TP\n\\fB{}\\fR{}\n{}",
                roff(&names),
                roff(&value),
                roff(&option.help.join("\n"))
            );
        }
    }
    text.push_str(".PP\nExamples:\n");
    for (line, what) in command.examples {
        let _ = writeln!(
            text,
            ".PP\n{}:\n.RS\n.nf\n{}\n.fi\n.RE",
            roff(what),
            roff(line)
        );
    }
}

/// Keeps `man` from reading its own language in a text.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text
        .lines()
        .map(|line| match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}"),
            false => line.to_owned(),
        });
    lines.collect::<Vec<_>>().join("\n")
}
