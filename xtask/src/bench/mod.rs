//! `cargo xtask bench` and `cargo xtask callgrind`: what a message costs; `cargo xtask overload`:
//! what bad peers cost the others.
//!
//! A cell is a kind of load, a subject is a server (in some cells a client). Every run starts the
//! subject anew; the runs of a cell are interleaved, so that what else goes on in the machine hits
//! all subjects alike.

pub(crate) mod callgrind;
mod cell;
pub(crate) mod machine;
mod measure;
mod measurement;
pub(crate) mod overload;
mod plot;
mod quote;
mod report;
pub(crate) mod results;
mod statistics;
mod subject;
mod verdict;
mod without_xor;

use std::{fs, path::PathBuf};

use cell::Cell;
use lexopt::{Arg, Parser, ValueExt};
use measure::{Pace, Rig};
use report::Report;
use subject::Subject;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask bench [--quick | --scale] [OPTIONS]

Measures the CPU time that a server spends on a message, and with it throughput, latency and memory,
beside a raw TCP echo and other WebSocket servers. See benches/README.md.

  --quick            our servers and the floor only, briefly: about two minutes
  --scale            1 to 10,000 connections
  --cells LIST       which loads, as in 16/1/1,256K/64/1/zero,churn (SIZE/CONNECTIONS/PIPELINED,
                     and how the frames are masked: random, zero or none; tls/ before it for
                     TLS)
  --servers LIST     which servers, as in raw,ws-mio
  --repeats N        how often each                                     [3]
  --seconds S        how long each                                      [1]
  --name NAME        writes benches/results/NAME.md, .svg and .jsonl    [full, scale]
                     (without it, --quick and what is only a part of the cells or servers
                     goes to the folder bench of the target folder)
  --quote            measures nothing: copies the verdicts of the report NAME into README.md
  --list             shows the cells and the servers
  --verify           only checks that the servers echo rightly

Wants Linux and two cores: the server runs on the first, the generator on the second.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut plan = Plan::default();
    let (mut list, mut quote) = (false, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("quick") => plan.preset = Preset::Quick,
            Arg::Long("scale") => plan.preset = Preset::Scale,
            Arg::Long("cells") => plan.cells = Some(arguments.value()?.string()?),
            Arg::Long("servers") => plan.subjects = Some(arguments.value()?.string()?),
            Arg::Long("repeats") => plan.repeats = Some(arguments.value()?.parse()?),
            Arg::Long("seconds") => plan.seconds = Some(arguments.value()?.parse()?),
            Arg::Long("name") => plan.name = Some(arguments.value()?.string()?),
            Arg::Long("quote") => quote = true,
            Arg::Long("list") => list = true,
            Arg::Long("verify") => plan.verify = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if list {
        return print_lists();
    }
    if quote {
        return quote::write(&plan.file("md"));
    }
    if !cfg!(target_os = "linux") {
        return Err(Failure::new("only Linux tells what this measures"));
    }
    plan.run()
}

#[derive(Debug, Default)]
struct Plan {
    preset: Preset,
    cells: Option<String>,
    subjects: Option<String>,
    repeats: Option<u32>,
    seconds: Option<f64>,
    name: Option<String>,
    verify: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Preset {
    #[default]
    Full,
    Quick,
    Scale,
}

impl Plan {
    fn run(&self) -> Result<Outcome, Failure> {
        let cells = self.cells()?;
        let subjects = subject::build(self.wanted_subjects()?)?;
        let rig = Rig::new(&subjects, self.pace())?;
        if self.verify {
            let mut passed = true;
            for subject in subjects.iter().filter(|subject| subject.is_verifiable()) {
                match rig.verify(subject) {
                    Ok(()) => println!("{}: right", subject.name),
                    Err(failure) => {
                        println!("{}: {failure}", subject.name);
                        passed = false;
                    }
                }
            }
            return Ok(Outcome::from_passed(passed));
        }
        let mut report = Report::new(&cells, &subjects);
        for repeat in 1..=self.repeats() {
            for cell in &cells {
                for subject in &subjects {
                    if !subject.can(cell) {
                        continue;
                    }
                    match rig.measure(cell, subject) {
                        Ok(measurement) => {
                            println!("{repeat} {cell} {}: {measurement}", subject.name);
                            report.add(cell, subject, repeat, measurement);
                        }
                        // One that does not bear a load is no reason to forget the others.
                        Err(failure) => {
                            println!("{repeat} {cell} {}: {failure}", subject.name);
                            report.note(cell, subject, &failure);
                        }
                    }
                }
            }
        }
        fs::create_dir_all(self.folder())?;
        let markdown = report.markdown(
            self.name(),
            self.repeats(),
            self.pace(),
            &verdict::of(&report),
        );
        println!("\n{markdown}");
        for (extension, content) in [
            ("md", markdown),
            ("svg", plot::svg(&report)),
            ("jsonl", report.raw_data()),
        ] {
            let path = self.file(extension);
            fs::write(&path, content)?;
            println!("wrote {}", tool::relative(&path));
        }
        Ok(Outcome::from_passed(report.is_complete()))
    }

    fn cells(&self) -> Result<Vec<Cell>, Failure> {
        let all = match self.preset {
            Preset::Full => cell::FULL,
            Preset::Quick => cell::QUICK,
            Preset::Scale => cell::SCALE,
        };
        let wanted: Vec<&str> = match &self.cells {
            Some(list) => list.split(',').collect(),
            None => all.to_vec(),
        };
        wanted.into_iter().map(Cell::parse).collect()
    }

    fn wanted_subjects(&self) -> Result<Vec<&'static Subject>, Failure> {
        let all = subject::SUBJECTS.iter();
        let Some(list) = &self.subjects else {
            return Ok(all
                .filter(|subject| match self.preset {
                    Preset::Quick => subject.is_ours() || subject.is_floor(),
                    _ => true,
                })
                .collect());
        };
        list.split(',')
            .map(|name| {
                all.clone()
                    .find(|subject| subject.name == name)
                    .ok_or_else(|| Failure::new(format!("no server {name:?}; see --list")))
            })
            .collect()
    }

    fn repeats(&self) -> u32 {
        self.repeats.unwrap_or(3).max(1)
    }

    fn pace(&self) -> Pace {
        let (warm_up, measured) = match self.preset {
            Preset::Quick => (0.2, 0.6),
            _ => (0.4, 1.0),
        };
        Pace {
            warm_up,
            measured: self.seconds.unwrap_or(measured),
        }
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(match self.preset {
            Preset::Full => "full",
            Preset::Quick => "quick",
            Preset::Scale => "scale",
        })
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.folder().join(format!("{}.{extension}", self.name()))
    }

    fn folder(&self) -> PathBuf {
        let is_whole =
            self.preset != Preset::Quick && self.cells.is_none() && self.subjects.is_none();
        if is_whole || self.name.is_some() {
            tool::root().join("benches/results")
        } else {
            // Too brief, or too little, to be kept.
            tool::target_dir().join("bench")
        }
    }
}

fn print_lists() -> Result<Outcome, Failure> {
    for (title, cells) in [
        ("cells", cell::FULL),
        ("of --quick", cell::QUICK),
        ("of --scale", cell::SCALE),
    ] {
        println!("{title}: {}", cells.join(" "));
    }
    println!("servers:");
    for subject in subject::SUBJECTS {
        println!("  {:<18} {}", subject.name, subject.driven);
    }
    Ok(Outcome::Passed)
}
