//! `wsdo serve`: a server for tests, and for programs that know no WebSocket.

mod broadcast;
mod program;

use std::{
    cell::RefCell,
    io::{self, Write as _},
    rc::Rc,
    time::Duration,
};

use ws_smol::{CloseCode, Decision, Error, MessageRef, Pass, PeerAddr, Replies, Request};

use self::{
    broadcast::Everybody,
    program::{Program, Variables},
};
use crate::{
    console::{self, Console, Form},
    exit::{Exit, Failure},
    json,
    options::{Command, Given, Group, Opt, Value},
    runtime::{LocalExecutor, future},
    server::{self, Accepting, Listener},
    signal::Interrupts,
    transport::{Socket, Transport},
};

pub(crate) const COMMAND: Command = Command {
    name: "serve",
    operands: "[ADDRESS [PROGRAM [ARGUMENT]...]]",
    max_operands: 2,
    verbatim_from: Some(2),
    summary: "serve an echo, a broadcast, a fixed reply or a program",
    about: &[
        "Listens on ADDRESS and echoes messages, or does what an option says. With PROGRAM,",
        "each client talks to a process of its own: messages are lines of its standard input,",
        "and lines of its standard output are messages. ADDRESS is HOST:PORT, PORT of this",
        "machine alone, or unix:PATH (default: 8080).",
    ],
    groups: &[&SERVE, &console::SHOW, &server::ACCEPT, &server::AGREE],
    examples: &[
        ("wsdo serve 9001", "echo on ws://127.0.0.1:9001/"),
        (
            "wsdo serve --wire --accept-unmasked-frame=127.0.0.0/8",
            "see unmasked frames come in",
        ),
        ("wsdo serve --broadcast 0.0.0.0:80", "a chat room"),
        ("wsdo serve 9001 bc -l", "a calculator for each client"),
    ],
};

const SERVE: Group = Group {
    title: "What is served",
    options: &[
        Opt {
            short: None,
            long: "broadcast",
            value: Value::None,
            help: &["send each message to all clients, its sender too"],
        },
        Opt {
            short: None,
            long: "reply",
            value: Value::One("TEXT"),
            help: &["answer each message with this text"],
        },
        Opt {
            short: Some('b'),
            long: "binary",
            value: Value::None,
            help: &[
                "with PROGRAM: pass bytes on as they come, in binary",
                "messages, instead of lines",
            ],
        },
        Opt {
            short: None,
            long: "once",
            value: Value::None,
            help: &["serve one client, and end"],
        },
    ],
};

/// What clients get.
#[derive(Debug)]
enum Service {
    Echo,
    Reply(String),
    Broadcast(Everybody),
    Program(Program),
}

/// Runs the subcommand.
pub(crate) fn run(given: &Given) -> Result<Exit, Failure> {
    let address = match given.operands.first() {
        None => "8080",
        Some(address) => address
            .to_str()
            .ok_or_else(|| Failure::usage("the address is no text"))?,
    };
    let accepting = Accepting::new(given)?;
    let service = service(given)?;
    // Messages are not shown, so their form is no matter.
    Console::new(given, Form::Lines)?;
    let watches = ["wire", "verbose", "jsonl"]
        .iter()
        .any(|option| given.has(option));
    let executor = LocalExecutor::new();
    crate::runtime::block_on(executor.run(async {
        let listener = Listener::bind(address).await?;
        announce(&format!("{}://{listener}", accepting.scheme()))?;
        let serving = Serving {
            given,
            accepting,
            service: Rc::new(service),
            watches,
        };
        serving.run(&listener, &executor).await
    }))
}

/// Says that the server is ready, for people and for scripts.
pub(crate) fn announce(address: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {address}")?;
    out.flush()
}

fn service(given: &Given) -> Result<Service, Failure> {
    let program = given.operands.get(1..).unwrap_or_default();
    let reply = given.text("reply")?;
    match (program, given.has("broadcast"), reply) {
        ([], false, None) => Ok(Service::Echo),
        ([], false, Some(text)) => Ok(Service::Reply(text)),
        ([], true, None) => Ok(Service::Broadcast(Everybody::default())),
        ([program, arguments @ ..], false, None) => Ok(Service::Program(Program::new(
            program.clone(),
            arguments.to_vec(),
            given.has("binary"),
        ))),
        _ => Err(Failure::usage(
            "--broadcast, --reply and PROGRAM exclude each other",
        )),
    }
}

struct Serving<'a> {
    given: &'a Given,
    accepting: Accepting,
    service: Rc<Service>,
    watches: bool,
}

/// How long clients have to answer a Close when the server ends.
const LAST: Duration = Duration::from_secs(5);

impl Serving<'_> {
    async fn run(
        &self,
        listener: &Listener,
        executor: &LocalExecutor<'_>,
    ) -> Result<Exit, Failure> {
        let gate = self.accepting.gate.clone();
        let mut interrupts = Interrupts::new()?;
        let serving = async {
            let mut number = 0u64;
            while let Some((stream, peer)) = gate.accept(|| listener.accept()).await {
                // Who is too many is dropped as it comes.
                let Ok(pass) = gate.admit(peer) else {
                    continue;
                };
                number += 1;
                let task = executor.spawn(self.client(number, stream.boxed(), peer, pass)?);
                if self.given.has("once") {
                    task.await;
                    return Ok(Exit::Success);
                }
                task.detach();
            }
            Ok(Exit::Success)
        };
        let interrupted = async {
            interrupts.next().await;
            gate.drain(Duration::ZERO, LAST);
            let again = async {
                interrupts.next().await;
                false
            };
            future::or(gate.gone(), again).await;
            Ok(Exit::Success)
        };
        future::or(serving, interrupted).await
    }

    /// Makes the task of a client.
    fn client(
        &self,
        number: u64,
        stream: Box<dyn Transport>,
        peer: PeerAddr,
        pass: Pass,
    ) -> Result<impl Future<Output = ()> + use<>, Failure> {
        let console = Console::new(self.given, Form::Lines)?.label(number.to_string());
        let console = Rc::new(RefCell::new(console));
        let (accepting, service) = (self.accepting.clone(), Rc::clone(&self.service));
        let watches = self.watches;
        Ok(async move {
            let mut variables = Variables::new();
            let tap = watches.then_some(&console);
            let decide = async |request: &Request<'_>| {
                if let Service::Program(_) = &*service {
                    variables = program::variables(request, peer);
                }
                Decision::accept()
            };
            let ended = match accepting.accept(stream, peer, tap, decide).await {
                Ok(websocket) => {
                    let fields = [("peer", json::string(&peer.to_string()))];
                    console.borrow_mut().event("open", &fields);
                    serve(websocket, &service, variables, &pass).await
                }
                Err(error) => Err(error),
            };
            let mut console = console.borrow_mut();
            match ended {
                Ok(()) => console.event("end", &[]),
                Err(error) => {
                    let text = crate::text::printable(&error.to_string());
                    if console.is_talkative() {
                        console.note(&text);
                    }
                    console.event("error", &[("message", json::string(&text))]);
                }
            }
        })
    }
}

/// Serves a client until it goes, or the server ends.
async fn serve(
    websocket: Socket,
    service: &Service,
    variables: Variables,
    pass: &Pass,
) -> Result<(), Error> {
    match service {
        Service::Echo => answer(websocket, pass, |message, replies| replies.queue(message)).await,
        Service::Reply(text) => {
            answer(websocket, pass, |_, replies| replies.queue(text.as_str())).await
        }
        Service::Broadcast(everybody) => everybody.join(websocket, pass).await,
        Service::Program(program) => program.talk(websocket, variables, pass).await,
    }
}

/// Answers each message.
async fn answer(
    mut websocket: Socket,
    pass: &Pass,
    mut handler: impl FnMut(MessageRef<'_>, &mut Replies<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let talk = async {
        while websocket.receive_with(&mut handler).await? {}
        Ok::<_, Error>(false)
    };
    let drained = async {
        pass.drained().await;
        Ok(true)
    };
    if future::or(talk, drained).await? {
        websocket.close(CloseCode::GOING_AWAY, "").await?;
    }
    Ok(())
}
