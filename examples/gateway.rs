//! A gateway between HTTP/1.1 and HTTP/2: the opening handshake of each WebSocket is made anew, and
//! its frames go through untouched.

use std::error::Error;

use smol::{
    future::zip,
    io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use ws_h2::Stream;
use ws_handshake::{ClientProgress, Request, ServerConfig};
use ws_smol::{
    Acceptor, ClientRequest, Connector, Decision, DeflateOffer, DeflatePolicy, OriginPolicy,
    PeerAddr, Response, Uri,
};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Takes a WebSocket of a client over HTTP/1.1 to a stream of an HTTP/2 connection, until it ends.
///
/// The server behind has to agree to compression as the gateway does: by a plain [`DeflatePolicy`].
///
/// # Errors
///
/// Whatever ends it early. The client is answered with 502 if the server does not let it in.
pub async fn http1_to_h2<S>(mut front: S, server: &ws_h2::Client) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = ServerConfig::new(OriginPolicy::Any).deflate(DeflatePolicy::new());
    let mut reader = config.head_reader();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let len = front.read(&mut buffer).await?;
        if len == 0 {
            return Ok(());
        }
        let Some(head) = reader.receive(&buffer[..len])? else {
            continue;
        };
        let request = head.request()?;
        let acceptance = config.negotiate(&request)?;
        let again = ask_again(&request, "localhost")?;
        let opened = server.open(&Connector::new(), again).await;
        let mut reply = Vec::new();
        let stream = match opened {
            Ok((stream, agreed)) if agreed.deflate == acceptance.deflate() => {
                acceptance.write_to(&mut reply);
                Some(stream)
            }
            _ => {
                Response::new(502).write_to(&mut reply);
                None
            }
        };
        front.write_all(&reply).await?;
        let Some(mut stream) = stream else {
            return Ok(front.close().await?);
        };
        stream.write_all(&buffer[head.consumed()..len]).await?;
        return tunnel(front, stream).await;
    }
}

/// Takes a WebSocket of a client over HTTP/2 to a server over HTTP/1.1 at an address, until it
/// ends.
///
/// # Errors
///
/// Whatever ends it early. The client is answered with 502 if the server does not let it in.
pub async fn h2_to_http1(incoming: ws_h2::Incoming, server: &str) -> Outcome {
    let mut handshake = ask_again(&incoming.handshake()?, server)?.start_random()?;
    let mut back = TcpStream::connect(server).await?;
    back.set_nodelay(true)?;
    back.write_all(handshake.request_bytes()).await?;
    let mut buffer = vec![0; 16 * 1024];
    let (agreed, rest) = loop {
        let len = back.read(&mut buffer).await?;
        match handshake.receive(&buffer[..len])? {
            ClientProgress::Incomplete if len > 0 => {}
            ClientProgress::Agreed { agreed, consumed } => break (agreed, consumed..len),
            _ => return Ok(incoming.respond(&Response::new(502))?),
        }
    };
    let acceptor = Acceptor::new(OriginPolicy::Any);
    let acceptor = match agreed.deflate {
        Some(_) => acceptor.deflate(DeflatePolicy::new()),
        None => acceptor,
    };
    let (mut stream, opening) = incoming.open(&acceptor, PeerAddr::Unknown, Decision::accept())?;
    if opening.deflate() != agreed.deflate {
        return Err("the two sides agree on different parameters of compression".into());
    }
    stream.write_all(&buffer[rest]).await?;
    tunnel(back, stream).await
}

/// Asks another server for what a client asks for.
fn ask_again(
    request: &Request<'_>,
    host: &str,
) -> Result<ClientRequest, Box<dyn Error + Send + Sync>> {
    let uri = Uri::parse(&format!("ws://{host}{}", request.target()))?;
    let offers = request
        .header("Sec-WebSocket-Extensions")
        .unwrap_or_default();
    let offers = match offers {
        [] => Vec::new(),
        offers => DeflateOffer::parse_list(str::from_utf8(offers)?)?,
    };
    Ok(ClientRequest::new(uri).offers(offers))
}

/// Copies in both directions until both have ended.
async fn tunnel<S>(front: S, stream: Stream) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (near_read, near_write) = io::split(front);
    let (far_read, far_write) = io::split(stream);
    let (there, back) = zip(copy(near_read, far_write), copy(far_read, near_write)).await;
    Ok(there.and(back)?)
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let copied = io::copy(&mut from, &mut to).await;
    // What one side has ended, the other is to see end.
    to.close().await?;
    copied.map(drop)
}
