//! What is recommended for an intranet: TLS with certificates on both sides,
//! and with it both flags of [MS-WSPE], which save the masking that TLS makes
//! needless: no proxy reads what is encrypted.
//!
//! A server on mio and two clients on smol, in one process. The certificates
//! are made here; `cargo xtask certs` makes files of the same kind, for `echo`
//! and `client`.
//!
//! ```sh
//! cargo run -p examples --bin tls_mutual
//! ```

use std::{error::Error, net::SocketAddr, process::ExitCode, thread};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};
use ws_proto::{ControlledNetwork, Masking};
use ws_smol::{ClientRequest, CloseCode, Connector, Uri};
use ws_tls::{ClientTls, ServerTls};

fn main() -> ExitCode {
    examples::demonstrate("TLS on both sides; it takes no arguments.", run)
}

fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let authority = Authority::new()?;
    let server = authority.certify("localhost", ExtendedKeyUsagePurpose::ServerAuth)?;
    let client = authority.certify("client", ExtendedKeyUsagePurpose::ClientAuth)?;
    let ca = authority.certificate();

    let tls = ServerTls::builder()
        .identity(server.chain.as_bytes(), server.key.as_bytes())
        .client_ca(ca.as_bytes())
        .build()?;
    // A server that serves certified clients only is no page's to misuse.
    let mut config = Config::new(OriginPolicy::Any);
    config.accept_unmasked_frame = intranet();
    let server = Server::bind_tls("127.0.0.1:0", &tls, config)?;
    let (address, remote) = (server.local_addr()?, server.remote());
    let serving = thread::spawn(move || server.run(Echo));

    let known = ClientTls::builder()
        .ca(ca.as_bytes())
        .identity(client.chain.as_bytes(), client.key.as_bytes())
        .build()?;
    smol::block_on(talk(address, known))?;
    let unknown = ClientTls::with_ca(ca.as_bytes())?;
    match smol::block_on(talk(address, unknown)) {
        Ok(()) => return Err("a client without a certificate was served".into()),
        Err(error) => println!("without a certificate: {error}"),
    }
    remote.stop()?;
    serving.join().expect("the server does not panic")?;
    Ok(())
}

/// Whom the flags are for: those of whose network we are sure, and under TLS
/// alone. In an intranet it is `.network("10.0.0.0/8".parse()?)` or the like.
fn intranet() -> ControlledNetwork {
    ControlledNetwork::new().loopback().require_tls()
}

/// The server: what comes goes back.
struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        let flag = peer.accept_unmasked_frame();
        println!("the server: accept-unmasked-frame is {flag}");
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

/// A client that says one thing.
async fn talk(address: SocketAddr, tls: ClientTls) -> Result<(), Box<dyn Error + Send + Sync>> {
    let uri = Uri::parse(&format!("wss://localhost:{}/", address.port()))?;
    let mut websocket = Connector::new()
        .tls(tls)
        .set_mask_to_zero(intranet())
        .connect(ClientRequest::new(uri))
        .await?;
    if let Masking::Client(masking) = websocket.masking() {
        let flag = masking.set_mask_to_zero();
        println!("the client: set-mask-to-zero is {flag}");
    }
    if let Some(session) = websocket.stream().and_then(|stream| stream.tls())
        && let Some(version) = session.state().protocol_version()
    {
        println!("the client: {version:?}");
    }
    websocket.send("Hello").await?;
    let reply = websocket.receive().await?;
    println!("the client: {reply:?} came back");
    websocket.close(CloseCode::NORMAL, "that was all").await?;
    Ok(())
}

/// Who stands for both sides.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
struct Identity {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self(CertifiedIssuer::self_signed(
            params,
            KeyPair::generate()?,
        )?))
    }

    fn certificate(&self) -> String {
        self.0.pem()
    }

    fn certify(
        &self,
        name: &str,
        purpose: ExtendedKeyUsagePurpose,
    ) -> Result<Identity, rcgen::Error> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate()?;
        Ok(Identity {
            chain: params.signed_by(&key, &self.0)?.pem(),
            key: key.serialize_pem(),
        })
    }
}
