//! What the program says of itself.

mod common;

use std::process::{Command, Stdio};

use common::{Folder, run, wsdo};

const SUBCOMMANDS: [&str; 5] = ["connect", "serve", "tunnel", "bench", "check"];

/// Returns the options that the help of a subcommand has.
fn options(subcommand: &str) -> Vec<String> {
    let ran = wsdo(&[subcommand, "--help"], b"");
    assert_eq!(ran.code, Some(0));
    let words = ran
        .text()
        .lines()
        .filter(|line| line.starts_with("  -") || line.starts_with("      --"));
    let long = words.filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
    long.map(|word| word.split(['[', '=']).next().unwrap().to_owned())
        .collect()
}

/// Tells whether there is a program to judge with.
fn has(program: &str) -> bool {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("command -v {program}")])
        .stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn every_option_is_in_the_man_page_and_in_all_completions() {
    let man = wsdo(&["man"], b"").text().replace("\\-", "-");
    let shells = ["bash", "zsh", "fish"].map(|shell| {
        let ran = wsdo(&["completions", shell], b"");
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.text().to_owned()
    });
    for subcommand in SUBCOMMANDS {
        let options = options(subcommand);
        assert!(options.len() > 5, "{options:?}");
        for option in options {
            assert!(man.contains(&option), "{option}");
            assert!(
                shells[0].contains(&option) && shells[1].contains(&option),
                "{option}"
            );
            assert!(
                shells[2].contains(&format!("-l {}", &option[2..])),
                "{option}"
            );
        }
    }
    assert_eq!(wsdo(&["completions", "tcsh"], b"").code, Some(2));
}

#[test]
fn shells_take_their_completions() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        let file = folder.write(shell, wsdo(&["completions", shell], b"").out);
        if has(shell) {
            let ran = run(Command::new(shell).args(["-n", &file]), b"");
            assert_eq!((ran.code, &*ran.errors), (Some(0), ""), "{shell}");
        }
    }
    if has("bash") {
        let script = format!(
            "source {}; COMP_WORDS=(wsdo connect --set); COMP_CWORD=2; _wsdo; echo \"${{COMPREPLY[@]}}\"",
            folder.path("bash")
        );
        let ran = run(Command::new("bash").args(["-c", &script]), b"");
        ran.wrote(0, b"--set-mask-to-zero\n");
    }
}

#[test]
fn man_page_is_one() {
    let ran = wsdo(&["man"], b"");
    assert!(ran.text().starts_with(".TH WSDO 1 "), "{ran:?}");
    if has("groff") {
        let formatted = run(
            Command::new("groff").args(["-man", "-ww", "-Tutf8"]),
            &ran.out,
        );
        assert_eq!((formatted.code, &*formatted.errors), (Some(0), ""));
    }
}

#[test]
fn version_and_help_are_told() {
    wsdo(&["--version"], b"").wrote(
        0,
        concat!("wsdo ", env!("CARGO_PKG_VERSION"), "\n").as_bytes(),
    );
    let ran = wsdo(&["--help"], b"");
    for subcommand in SUBCOMMANDS {
        assert!(ran.text().contains(&format!("  {subcommand} ")), "{ran:?}");
    }
    assert_eq!(wsdo(&[], b"").code, Some(2));
}
