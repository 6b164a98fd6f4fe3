//! `autobahn_client` against a stand-in for the Autobahn suite's server.

use std::{process::Command, sync::mpsc, thread};

use ws_mio::{
    Accept, CloseCode, Config, Decision, DeflatePolicy, Handler, Incoming, Message, OriginPolicy,
    Peer, Server,
};

/// Two cases, and a note of everything that the client asks and echoes.
struct Suite {
    notes: mpsc::Sender<String>,
}

impl Suite {
    fn note(&self, note: impl Into<String>) {
        self.notes.send(note.into()).expect("the test waits");
    }
}

impl Handler for Suite {
    /// What the client asked for.
    type Data = String;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, String> {
        match incoming.negotiate() {
            Ok(acceptance) => {
                Accept::new(acceptance, incoming.request().target().into_owned()).into()
            }
            Err(error) => error.rejection().into(),
        }
    }

    fn on_open(&mut self, peer: &mut Peer<'_, String>) {
        let target = peer.data().clone();
        match target.as_str() {
            "/getCaseCount" => {
                peer.send_text("2");
                peer.close(CloseCode::NORMAL, "");
            }
            "/runCase?case=1&agent=stand-in" => drop(peer.send_text("κόσμε")),
            "/runCase?case=2&agent=stand-in" => drop(peer.send_binary(&[7; 100_000])),
            _ => drop(peer.close(CloseCode::NORMAL, "")),
        }
        self.note(target);
    }

    fn on_message(&mut self, peer: &mut Peer<'_, String>, message: Message<'_>) {
        match message {
            Message::Text(text) => self.note(text),
            Message::Binary(bytes) => {
                assert!(bytes.iter().all(|&byte| byte == 7));
                self.note(format!("{} bytes", bytes.len()));
            }
        }
        peer.close(CloseCode::NORMAL, "");
    }
}

#[test]
fn every_case_is_echoed_and_the_reports_are_asked_for() {
    for flags in [
        &["--adapter", "smol"][..],
        &["--adapter", "mio"],
        &["--adapter", "smol", "--set-mask-to-zero"],
        &["--adapter", "mio", "--set-mask-to-zero"],
        &["--adapter", "smol", "--deflate"],
        &["--adapter", "mio", "--deflate"],
    ] {
        let mut config = Config::new(OriginPolicy::Any);
        config.handshake = config.handshake.deflate(DeflatePolicy::new());
        let server = Server::bind("127.0.0.1:0", config).unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let remote = server.remote();
        let (notes, noted) = mpsc::channel();
        let serving = thread::spawn(move || server.run(Suite { notes }));
        let output = Command::new(env!("CARGO_BIN_EXE_autobahn_client"))
            .args(flags)
            .env("AUTOBAHN_URL", url)
            .env("AUTOBAHN_AGENT", "stand-in")
            .output()
            .unwrap();
        remote.stop().unwrap();
        serving.join().unwrap().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{flags:?}: {complaints}");
        let expected = [
            "/getCaseCount",
            "/runCase?case=1&agent=stand-in",
            "κόσμε",
            "/runCase?case=2&agent=stand-in",
            "100000 bytes",
            "/updateReports?agent=stand-in",
        ];
        assert_eq!(noted.iter().collect::<Vec<_>>(), expected, "{flags:?}");
        let compressed = remote.metrics().compressed_messages_received;
        // The text of the first case is too short to be worth it.
        let expected = u64::from(flags.contains(&"--deflate"));
        assert_eq!(compressed, expected, "{flags:?}");
    }
}
