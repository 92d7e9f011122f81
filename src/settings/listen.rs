//! Where to listen, as people write it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::PathBuf;

use super::parse::Parsed;

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `127.0.0.1:8080`, `[::]:8080`
    Address(SocketAddr),
    /// `localhost:8080`: this host alone, by IPv4 and IPv6.
    Localhost(u16),
    /// `:8080`: every address, of IPv4 and IPv6.
    Every(u16),
    /// `unix:/run/portcullis/http.sock`
    Unix(PathBuf),
}

const FORMS: &str =
    "write ADDRESS:PORT, localhost:PORT, :PORT (all addresses) or unix:/PATH, or several with commas between them";

/// All places, at least one.
pub fn places(text: &str) -> Parsed<Vec<Listen>> {
    let places = text.split(',').map(|item| place(item.trim())).collect::<Parsed<Vec<_>>>()?;
    for (index, place) in places.iter().enumerate() {
        if let Some(other) = places[..index].iter().find(|other| other.meets(place)) {
            return Err(format!("{other} and {place} are the same place, in whole or in part: keep one of them"));
        }
    }
    Ok(places)
}

fn place(text: &str) -> Parsed<Listen> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket(path);
    }
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten().ok_or_else(|| FORMS.to_owned())
    };
    match text.rsplit_once(':') {
        Some(("", rest)) => port(rest).map(Listen::Every),
        Some((host, rest)) if host.eq_ignore_ascii_case("localhost") => port(rest).map(Listen::Localhost),
        _ => text.parse().map(Listen::Address).map_err(|_| FORMS.to_owned()),
    }
}

fn socket(path: &str) -> Parsed<Listen> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err("write the whole path of a socket, such as unix:/run/portcullis/http.sock".to_owned());
    }
    match UnixAddress::from_pathname(path) {
        Ok(_) => Ok(Listen::Unix(PathBuf::from(path))),
        Err(error) => Err(format!("the path of a socket can't be this one of {} bytes ({error})", path.len())),
    }
}

impl Listen {
    /// The addresses that it stands for. A host may lack one of two.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let both = |v4: Ipv4Addr, v6: Ipv6Addr, port| vec![(v4, port).into(), (v6, port).into()];
        match self {
            Self::Address(address) => vec![*address],
            Self::Localhost(port) => both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST, *port),
            Self::Every(port) => both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED, *port),
            Self::Unix(_) => Vec::new(),
        }
    }

    /// Whether one has to do without what the other takes.
    pub fn meets(&self, other: &Self) -> bool {
        let overlap = |one: &SocketAddr, two: &SocketAddr| {
            let ips = one.ip() == two.ip() || one.ip().is_unspecified() || two.ip().is_unspecified();
            one.port() == two.port() && one.port() != 0 && one.is_ipv4() == two.is_ipv4() && ips
        };
        match (self, other) {
            (Self::Unix(own), Self::Unix(its)) => own == its,
            _ => self.addresses().iter().any(|own| other.addresses().iter().any(|its| overlap(own, its))),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Every(port) => write!(f, ":{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_shown_as_it_was_written() {
        for text in [
            "127.0.0.1:8080",
            "0.0.0.0:80",
            "[::]:8080",
            "[::1]:0",
            "localhost:8080",
            ":8080",
            "unix:/run/portcullis.sock",
            "127.0.0.1:8080,unix:/run/with space.sock",
            ":80,127.0.0.1:8080,localhost:8081,unix:/a,unix:/b",
            // Without the other, this one takes connections of IPv4 too.
            "0.0.0.0:80,[::]:80",
            "127.0.0.1:80,[::]:80",
            "127.0.0.1:0,127.0.0.1:0",
        ] {
            let shown = places(text).map(|places| places.iter().map(Listen::to_string).collect::<Vec<_>>().join(","));
            assert_eq!(shown.as_deref(), Ok(text));
        }
        assert_eq!(places(" :80 , LOCALHOST:81"), Ok(vec![Listen::Every(80), Listen::Localhost(81)]));
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_forms_that_are() {
        for text in [
            "",
            ",",
            ":80,",
            "8080",
            "localhost",
            "localhost:",
            ":",
            ":+80",
            ":65536",
            "localhost:http",
            "example.org:80",
            "*:80",
            "::1:80:x",
            "[localhost]:80",
            "http://localhost:80",
            "/run/portcullis.sock",
        ] {
            let told = places(text).unwrap_err();
            assert!(told.contains("localhost:PORT") && told.contains("unix:/PATH"), "{text}: {told}");
        }
        for text in ["unix:", "unix:run/a.sock", "unix:@abstract", "unix:/run/", "unix://"] {
            assert!(places(text).unwrap_err().contains("whole path"), "{text}");
        }
        let long = format!("unix:/run/{}", "x".repeat(200));
        assert!(places(&long).unwrap_err().contains("205 bytes"), "{:?}", places(&long));
    }

    #[test]
    fn places_that_meet_are_refused() {
        for text in [
            "127.0.0.1:80,127.0.0.1:80",
            ":80,127.0.0.1:80",
            "localhost:80,127.0.0.1:80",
            "[::1]:80,localhost:80",
            "0.0.0.0:80,:80",
            "0.0.0.0:80,10.0.0.1:80",
            "unix:/a,unix:/a",
        ] {
            assert!(places(text).unwrap_err().contains("keep one"), "{text}");
        }
    }
}
