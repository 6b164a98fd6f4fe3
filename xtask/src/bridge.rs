//! A bridge from TCP to a Unix-domain socket, for programs that know TCP alone.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread,
};

use crate::tool::Failure;

/// Leads to the socket at `path` for as long as this process lasts; returns the port that it does
/// so from.
pub(crate) fn start(path: &Path) -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let path = PathBuf::from(path);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let path = path.clone();
            // Whoever cannot be led there is dropped.
            thread::spawn(move || drop(lead(&client, &path)));
        }
    });
    Ok(port)
}

fn lead(client: &TcpStream, path: &Path) -> io::Result<()> {
    let server = &UnixStream::connect(path)?;
    client.set_nodelay(true)?;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut client = client;
            let copied = io::copy(&mut client, &mut &*server);
            // One end is passed on as it is; after an error nobody is to wait for the rest.
            let _ = server.shutdown(how(&copied));
        });
        let copied = io::copy(&mut &*server, &mut &*client);
        let _ = client.shutdown(how(&copied));
    });
    Ok(())
}

fn how(copied: &io::Result<u64>) -> Shutdown {
    match copied {
        Ok(_) => Shutdown::Write,
        Err(_) => Shutdown::Both,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixListener,
    };

    use super::*;

    #[test]
    fn both_directions_and_both_ends_pass() {
        let path = std::env::temp_dir().join(format!("bridge-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let port = start(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut came = String::new();
            stream.read_to_string(&mut came).unwrap();
            stream.write_all(came.to_uppercase().as_bytes()).unwrap();
        });
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        client.write_all(b"over the bridge").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut came = String::new();
        client.read_to_string(&mut came).unwrap();
        server.join().unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(came, "OVER THE BRIDGE");
    }
}
