//! `portcullis healthcheck`, for containers that have no HTTP client.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::{SockAddr, Socket, Type};

use super::Failure;
use crate::settings::{Listen, Settings};

/// For connecting, and for each read and write.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks `/readyz` at the first place, of those that the server listens on, where anything answers.
pub fn run(settings: &Settings) -> Result<String, Failure> {
    let mut silent = Vec::new();
    for (name, address) in settings.listen.iter().flat_map(targets) {
        match address.and_then(|address| status(&address)) {
            Ok(200) => return Ok("ready\n".to_owned()),
            Ok(status) => {
                return Err(Failure::Failed(format!("not ready: {name} answered {status}, see /readyz and the log")));
            }
            Err(error) => silent.push(format!("{name} ({error})")),
        }
    }
    Err(Failure::Failed(format!("nothing answers at {}: is the server running?", silent.join(" nor at "))))
}

/// Where to ask, and what that is called.
fn targets(place: &Listen) -> Vec<(String, io::Result<SockAddr>)> {
    match place {
        Listen::Unix(path) => vec![(place.to_string(), SockAddr::unix(path))],
        _ => place.addresses().into_iter().map(reachable).map(|at| (at.to_string(), Ok(at.into()))).collect(),
    }
}

/// A server that listens on every address of the host is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The status of the answer (RFC 9112, section 4: `HTTP/1.1 200 OK`).
fn status(address: &SockAddr) -> io::Result<u16> {
    let mut stream = Socket::new(address.domain(), Type::STREAM, None)?;
    stream.connect_timeout(address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut line = [0; 12];
    stream.read_exact(&mut line)?;
    let status = line.strip_prefix(b"HTTP/1.1 ").and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
    status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is not HTTP"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::settings::{Sources, load};

    /// What the check says of a server that gives this answer.
    fn checked(answer: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // To its end: what is closed unread cuts the answer off.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            request
        });
        let settings = load(&Sources::of_pairs(&[("listen", &listen)])).unwrap().settings;
        let said = run(&settings).map_err(|failure| failure.to_string());
        assert!(server.join().unwrap().starts_with(b"GET /readyz HTTP/1.1"));
        said
    }

    #[test]
    fn a_server_is_healthy_exactly_when_readyz_is_200() {
        assert_eq!(checked("HTTP/1.1 200 OK\r\n\r\n").as_deref(), Ok("ready\n"));
        assert!(checked("HTTP/1.1 503 Service Unavailable\r\n\r\n").is_err_and(|said| said.contains("answered 503")));
        assert!(checked("SSH-2.0-OpenSSH\r\n").is_err_and(|said| said.contains("not HTTP")));
    }
}
