//! The examples over TLS, run as a user runs them.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Output},
    thread,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};

mod common;

use common::{ADAPTERS, ECHO, Server};

/// A folder of certificates, gone when the test is over.
struct Certificates {
    dir: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn make(name: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let dir = dir.join(format!("tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let made = Self {
            dir,
            authority: authority(name),
        };
        std::fs::write(made.path("ca"), made.authority.pem()).unwrap();
        made.write("server", server("localhost"), Some(&made.authority));
        let mut client = CertificateParams::new(["client".to_owned()]).unwrap();
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        made.write("client", client, Some(&made.authority));
        made
    }

    /// Certifies, or has it sign itself.
    fn write(
        &self,
        name: &str,
        params: CertificateParams,
        by: Option<&CertifiedIssuer<'static, KeyPair>>,
    ) {
        let key = KeyPair::generate().unwrap();
        let certificate = match by {
            Some(authority) => params.signed_by(&key, authority),
            None => params.self_signed(&key),
        };
        std::fs::write(self.path(name), certificate.unwrap().pem()).unwrap();
        std::fs::write(self.path(&format!("{name}-key")), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(format!("{name}.pem")).display().to_string()
    }

    /// What makes `echo` that server.
    fn server(&self, name: &str) -> Vec<String> {
        let (certificate, key) = (self.path(name), self.path(&format!("{name}-key")));
        strings(&["--tls-cert", &certificate, "--tls-key", &key])
    }

    /// What makes `client` trust it.
    fn trust(&self) -> Vec<String> {
        strings(&["--ca", &self.path("ca")])
    }

    /// What makes `client` known.
    fn identity(&self) -> Vec<String> {
        strings(&[
            "--cert",
            &self.path("client"),
            "--key",
            &self.path("client-key"),
        ])
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn server(host: &str) -> CertificateParams {
    CertificateParams::new([host.to_owned()]).unwrap()
}

fn strings(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(ToString::to_string).collect()
}

fn echo(adapter: &str, arguments: &[String]) -> Server {
    listen("127.0.0.1:0", adapter, arguments)
}

fn listen(address: &str, adapter: &str, arguments: &[String]) -> Server {
    let arguments = [&strings(&["--adapter", adapter])[..], arguments].concat();
    Server::listen(address, ECHO, arguments)
}

/// The server by its name, which is what its certificate is for.
fn url_of(server: &Server) -> String {
    assert!(server.address.starts_with("wss://"), "{}", server.address);
    format!("wss://localhost:{}/", server.port())
}

fn client(arguments: &[String], url: &str) -> Output {
    let arguments = [arguments, &strings(&[url])].concat();
    common::client(arguments, b"one\ntwo\n")
}

fn is_served(arguments: &[String], url: &str) {
    let output = client(arguments, url);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(output.stdout, b"one\ntwo\n");
    assert!(said.contains("closed with code 1000"), "{said}");
}

fn is_refused(arguments: &[String], url: &str, cause: &str) {
    let output = client(arguments, url);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(cause), "{cause}: {said}");
}

#[test]
fn messages_come_back_over_tls() {
    let certificates = Certificates::make("echo");
    for adapter in ADAPTERS {
        let echo = echo(adapter, &certificates.server("server"));
        is_served(&certificates.trust(), &url_of(&echo));
        let flags = [certificates.trust(), strings(&["--deflate"])].concat();
        is_served(&flags, &url_of(&echo));
    }
}

#[test]
fn only_certified_clients_are_served_where_that_is_asked_for() {
    let certificates = Certificates::make("mutual");
    let stranger = Certificates::make("stranger");
    for adapter in ADAPTERS {
        let demand = strings(&["--client-ca", &certificates.path("ca")]);
        let arguments = [certificates.server("server"), demand].concat();
        let echo = echo(adapter, &arguments);
        let known = [certificates.trust(), certificates.identity()].concat();
        is_served(&known, &url_of(&echo));
        is_refused(&certificates.trust(), &url_of(&echo), "certificate");
        let other = [certificates.trust(), stranger.identity()].concat();
        is_refused(&other, &url_of(&echo), "alert");
        is_served(&known, &url_of(&echo));
    }
}

#[test]
fn servers_that_are_not_to_be_trusted_are_refused_by_their_cause() {
    let certificates = Certificates::make("bad");
    let mut expired = server("localhost");
    expired.not_after = date_time_ymd(2020, 1, 1);
    let mut early = server("localhost");
    early.not_before = date_time_ymd(2500, 1, 1);
    let by = Some(&certificates.authority);
    certificates.write("expired", expired, by);
    certificates.write("early", early, by);
    certificates.write("elsewhere", server("elsewhere.example"), by);
    certificates.write("itself", server("localhost"), None);
    certificates.write("another", server("localhost"), Some(&authority("another")));
    for adapter in ADAPTERS {
        for (name, cause) in [
            ("expired", "expired"),
            ("early", "not valid yet"),
            ("elsewhere", "another host"),
            ("itself", "unknown issuer"),
            ("another", "unknown issuer"),
        ] {
            let echo = echo(adapter, &certificates.server(name));
            is_refused(&certificates.trust(), &url_of(&echo), cause);
        }
        // One that is in order is refused by who trusts others.
        let echo = echo(adapter, &certificates.server("server"));
        let stranger = Certificates::make("others");
        is_refused(&stranger.trust(), &url_of(&echo), "unknown issuer");
    }
}

#[test]
fn tls_and_plain_text_do_not_mix() {
    let certificates = Certificates::make("mixed");
    for adapter in ADAPTERS {
        let secure = echo(adapter, &certificates.server("server"));
        let output = client(&[], &format!("ws://localhost:{}/", secure.port()));
        assert_eq!(output.status.code(), Some(1));
        let plain = echo(adapter, &[]);
        let url = format!("wss://localhost:{}/", plain.port());
        is_refused(&certificates.trust(), &url, "not TLS");
        // Neither is the worse for it.
        is_served(&certificates.trust(), &url_of(&secure));
        is_served(&[], &format!("ws://localhost:{}/", plain.port()));
    }
}

#[test]
fn certificate_without_its_key_is_a_mistake() {
    for arguments in [&["--tls-cert", "a"][..], &["--client-ca", "a"]] {
        let output = Command::new(ECHO).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
    }
    let output = client(&strings(&["--key", "a"]), "wss://localhost/");
    assert_eq!(output.status.code(), Some(2));
    is_refused(
        &strings(&["--ca", "/nowhere.pem"]),
        "wss://localhost/",
        "/nowhere.pem",
    );
}

#[test]
fn error_of_a_tls_file_names_the_file() {
    let certificates = Certificates::make("swapped");
    let path = |name: &str| certificates.path(name);
    let with_identity = |cert: &str, key: &str| {
        let identity = strings(&["--cert", &path(cert), "--key", &path(key)]);
        [certificates.trust(), identity].concat()
    };
    for (arguments, at_fault) in [
        (strings(&["--ca", &path("client-key")]), path("client-key")),
        (
            with_identity("server-key", "client-key"),
            path("server-key"),
        ),
        (with_identity("client", "server"), path("server")),
        (
            with_identity("client", "server-key"),
            format!("{} with {}", path("client"), path("server-key")),
        ),
    ] {
        let said = format!("error: {at_fault}: ");
        is_refused(&arguments, "wss://localhost:1/", &said);
        if arguments[0] == "--ca" && arguments.len() > 2 {
            let (cert, key) = (&arguments[3], &arguments[5]);
            is_refused_as_server(&["--tls-cert", cert, "--tls-key", key], &said);
        }
    }
    let (cert, key, other) = (path("server"), path("server-key"), path("client-key"));
    is_refused_as_server(
        &[
            "--tls-cert",
            &cert,
            "--tls-key",
            &key,
            "--client-ca",
            &other,
        ],
        &format!("error: {other}: "),
    );
}

fn is_refused_as_server(arguments: &[&str], cause: &str) {
    let output = Command::new(ECHO)
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(cause), "{cause}: {said}");
}

#[test]
fn recommended_set_up_has_both_flags_and_no_strangers() {
    let output = Command::new(env!("CARGO_BIN_EXE_tls_mutual"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    for line in [
        "the server: accept-unmasked-frame is true",
        "the client: set-mask-to-zero is true",
        "the client: TLSv1_3",
        "Text(\"Hello\")",
        "without a certificate: ",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn client_goes_through_a_proxy_that_reads_nothing() {
    let certificates = Certificates::make("proxy");
    let echo = echo("mio", &certificates.server("server"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let port = echo.port();
    let serving = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let head = head_of(&mut client);
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut into) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = thread::spawn(move || std::io::copy(&mut from, &mut into));
        let _ = std::io::copy(&mut client, &mut &server);
        let _ = server.shutdown(std::net::Shutdown::Write);
        let _ = back.join().unwrap();
        head
    });
    let flags = [certificates.trust(), strings(&["--proxy", &proxy])].concat();
    is_served(&flags, &url_of(&echo));
    let head = serving.join().unwrap();
    assert!(head.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")));
}

#[cfg(unix)]
#[test]
fn unix_socket_is_served_with_and_without_tls() {
    use std::{os::unix::net::UnixStream, sync::Arc};

    use ws_tls::{
        ClientTls,
        rustls::{ClientConnection, StreamOwned},
        server_name,
    };

    let certificates = Certificates::make("unix");
    let ca = std::fs::read(certificates.path("ca")).unwrap();
    let tls = ClientTls::with_ca(&ca).unwrap();
    for adapter in ADAPTERS {
        for is_secure in [false, true] {
            // Its length has a limit, which the target folder may be beyond.
            let path = format!("echo-{adapter}-{is_secure}-{}", std::process::id());
            let path = std::env::temp_dir().join(path);
            let arguments = match is_secure {
                true => certificates.server("server"),
                false => Vec::new(),
            };
            let address = format!("unix:{}", path.display());
            let echo = listen(&address, adapter, &arguments);
            assert_eq!(echo.address, address);
            let mut stream = UnixStream::connect(&path).unwrap();
            if is_secure {
                let name = server_name("localhost").unwrap();
                let session = ClientConnection::new(Arc::clone(tls.config()), name).unwrap();
                converse(&mut StreamOwned::new(session, stream));
            } else {
                converse(&mut stream);
            }
            drop(echo);
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Opens a WebSocket, has one message echoed, and closes.
#[cfg(unix)]
fn converse(stream: &mut (impl Read + Write)) {
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    assert!(head_of(stream).starts_with("HTTP/1.1 101 "));
    stream
        .write_all(b"\x81\x82\0\0\0\0Hi\x88\x82\0\0\0\0\x03\xe8")
        .unwrap();
    // With TLS, to the close_notify.
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x81\x02Hi\x88\x02\x03\xe8");
}

fn head_of(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
