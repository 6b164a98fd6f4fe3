//! What client and server say to each other: ws-smol, over a stream that keeps
//! a record.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use smol::net::TcpStream;
use ws_proto::OpCode;
use ws_smol::{ClientRequest, CloseCode, CloseStatus, Connector, Limits, Message, Uri, WebSocket};

use crate::{
    cpu,
    progress::Progress,
    server::{Ending, Server},
    tee::{Record, Tee},
};

/// One run of the scenario, and what came of it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) time: Duration,
    pub(crate) client_cpu: Option<Duration>,
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) record: Arc<Record>,
    /// What was to happen, and whether it did.
    pub(crate) checks: [(String, bool); 4],
}

/// What the server said.
#[derive(Debug)]
struct Replies {
    text: Option<Message>,
    binary: Option<Message>,
    joined: Option<Message>,
    pongs: u32,
    close: Option<CloseStatus>,
}

const TEXT: &str = "Hello, intranet";
const FRAGMENTS: [&str; 3] = ["a message ", "in three ", "fragments"];

/// Runs the scenario against a server of its own.
pub(crate) fn run(
    set_mask_to_zero: bool,
    binary: &[u8],
    limits: Limits,
    progress: &Progress,
) -> Result<Run, Box<dyn Error + Send + Sync>> {
    let server = Server::start(true, limits)?;
    let record = Arc::new(Record::default());
    progress.watch(Arc::clone(&record));
    let started = Instant::now();
    let (replies, client_cpu) = cpu::measured(|| {
        smol::block_on(async {
            let stream = TcpStream::connect(server.address).await?;
            stream.set_nodelay(true)?;
            let request = ClientRequest::new(Uri::parse(&server.url())?);
            let mut websocket = Connector::new()
                .limits(limits)
                .set_mask_to_zero(set_mask_to_zero)
                .handshake(
                    Tee::new(stream, Arc::clone(&record)),
                    server.address,
                    request,
                )
                .await?;
            talk(&mut websocket, binary).await
        })
    });
    let time = started.elapsed();
    let checks = verify(&replies?, &server.ending()?, binary);
    Ok(Run {
        time,
        client_cpu,
        server_cpu: server.stop()?,
        record,
        checks,
    })
}

async fn talk(
    websocket: &mut WebSocket<Tee<TcpStream>>,
    payload: &[u8],
) -> Result<Replies, Box<dyn Error + Send + Sync>> {
    websocket.send(TEXT).await?;
    let text = websocket.receive().await?;

    websocket.send(payload).await?;
    let binary = websocket.receive().await?;

    let [first, second, third] = FRAGMENTS;
    websocket.send_fragment(first, false).await?;
    websocket.send_fragment(second, false).await?;
    websocket.ping(b"still there?").await?;
    websocket.send_fragment(third, true).await?;
    let joined = websocket.receive().await?;
    let frames = websocket.take_frame_counts();

    websocket.close(CloseCode::NORMAL, "that was all").await?;
    Ok(Replies {
        text,
        binary,
        joined,
        pongs: frames.by_opcode[usize::from(OpCode::Pong.bits())],
        close: websocket.close_status(),
    })
}

fn verify(replies: &Replies, ending: &Ending, sent: &[u8]) -> [(String, bool); 4] {
    let text = replies.text.as_ref().and_then(Message::as_text);
    let binary = replies.binary.as_ref();
    let joined = replies.joined.as_ref().and_then(Message::as_text);
    let code = replies.close.as_ref().map(|close| close.code);
    [
        (
            format!("a text of {} bytes came back", TEXT.len()),
            text == Some(TEXT),
        ),
        (
            format!("{} of binary came back, byte for byte", size(sent.len())),
            matches!(binary, Some(Message::Binary(bytes)) if bytes == sent),
        ),
        (
            "three fragments with a ping in their middle came back as one, and a pong".to_owned(),
            joined == Some(&FRAGMENTS.concat()) && replies.pongs == 1,
        ),
        (
            "both sides closed with code 1000".to_owned(),
            code == Some(1000) && *ending == Ending::Closed(1000),
        ),
    ]
}

fn size(bytes: usize) -> String {
    const MIB: usize = 1024 * 1024;
    if bytes >= MIB && bytes.is_multiple_of(MIB) {
        format!("{} MiB", bytes / MIB)
    } else {
        format!("{bytes} bytes")
    }
}
