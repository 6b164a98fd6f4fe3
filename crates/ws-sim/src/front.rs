//! What is between the loop and the wire.

use std::net::{Ipv4Addr, SocketAddr};

use ws_mio::{PeerAddr, Proxied, Tls, Transport};
use ws_tls::{ClientTls, ServerTls, server_name};

use crate::{plan::Plan, wire::Wire};

/// A transport of the loop's, over a [`Wire`].
pub(crate) trait Front: Transport + Sized {
    const LAYER: Layer;

    /// A peer has connected.
    fn accepted(wire: Wire, plan: &Plan) -> Self;

    /// The loop has connected to a peer.
    fn called(wire: Wire, plan: &Plan) -> Self;

    fn wire(&self) -> &Wire;
}

/// What the bytes of a connection go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layer {
    #[default]
    None,
    /// A proxy has connected, and says for whom.
    Proxy,
    Tls,
}

impl Front for Wire {
    const LAYER: Layer = Layer::None;

    fn accepted(wire: Wire, _: &Plan) -> Self {
        wire
    }

    fn called(wire: Wire, _: &Plan) -> Self {
        wire
    }

    fn wire(&self) -> &Wire {
        self
    }
}

impl Front for Proxied<Wire> {
    const LAYER: Layer = Layer::Proxy;

    fn accepted(wire: Wire, _: &Plan) -> Self {
        Self::behind(wire)
    }

    fn called(wire: Wire, _: &Plan) -> Self {
        Self::direct(wire)
    }

    fn wire(&self) -> &Wire {
        self.get_ref()
    }
}

impl Front for Tls<Wire> {
    const LAYER: Layer = Layer::Tls;

    fn accepted(wire: Wire, plan: &Plan) -> Self {
        Self::server(wire, &plan.identity().server).expect("a configuration for servers")
    }

    fn called(wire: Wire, plan: &Plan) -> Self {
        let name = server_name(HOST).expect("a name");
        Self::client(wire, &plan.identity().client, name).expect("a configuration for clients")
    }

    fn wire(&self) -> &Wire {
        self.get_ref()
    }
}

/// Whom all servers of a simulation are.
pub(crate) const HOST: &str = "simulation";

/// Both sides of TLS. Its keys make signatures of one length, so that a seed is always the same.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) client: ClientTls,
    pub(crate) server: ServerTls,
}

impl Identity {
    pub(crate) fn new() -> Self {
        let cert = include_bytes!("../identity/cert.pem");
        let key = include_bytes!("../identity/key.pem");
        Self {
            client: ClientTls::with_ca(cert).expect("a certificate"),
            server: ServerTls::from_pem(cert, key).expect("a certificate and its key"),
        }
    }
}

/// How many clients a proxy has connections from: one, of whom there are many.
const CLIENTS: u8 = 5;

/// What a proxy says of the client of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It is the proxy's own, a health check.
    Local,
    Unknown,
    Address(SocketAddr),
}

impl Said {
    /// Chooses it by the number of a connection.
    pub(crate) fn of(number: u32) -> Self {
        match number % 11 {
            7 => Self::Local,
            8 => Self::Unknown,
            _ => {
                let host = Ipv4Addr::new(10, 0, 0, (number % u32::from(CLIENTS)) as u8);
                Self::Address((host, 1024 + (number % 1000) as u16).into())
            }
        }
    }

    /// Returns who the client is, where the proxy is at `proxy`.
    pub(crate) const fn client(self, proxy: SocketAddr) -> PeerAddr {
        match self {
            Self::Local => PeerAddr::Socket(proxy),
            Self::Unknown => PeerAddr::Unknown,
            Self::Address(address) => PeerAddr::Socket(address),
        }
    }

    /// Makes the header, of version 1 or 2.
    pub(crate) fn header(self, is_binary: bool) -> Vec<u8> {
        match (self, is_binary) {
            // Version 1 has no word for it.
            (Self::Local, _) => [SIGNATURE, b"\x20\0\0\0"].concat(),
            (Self::Unknown, false) => b"PROXY UNKNOWN\r\n".to_vec(),
            (Self::Unknown, true) => [SIGNATURE, b"\x21\0\0\0"].concat(),
            (Self::Address(address), false) => {
                let (ip, port) = (address.ip(), address.port());
                format!("PROXY TCP4 {ip} 10.9.9.9 {port} 80\r\n").into_bytes()
            }
            (Self::Address(address), true) => {
                let SocketAddr::V4(address) = address else {
                    unreachable!("all are of version 4")
                };
                let mut header = [SIGNATURE, b"\x21\x11\0\x0c"].concat();
                header.extend(address.ip().octets());
                header.extend([10, 9, 9, 9]);
                header.extend(address.port().to_be_bytes());
                header.extend(80_u16.to_be_bytes());
                header
            }
        }
    }
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
