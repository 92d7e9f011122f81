//! What connection strings have in common: percent-encoding, queries, and files of TLS.

use std::path::PathBuf;

use percent_encoding::percent_decode;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::parse::Parsed;
use super::problem::nearest;

/// A part by its name, percent-decoded. A password need not be UTF-8.
pub type Part = (String, Vec<u8>);

/// The bytes that the text stands for. `name` is that of the part, for whoever wrote it.
pub fn decoded(name: &str, text: &str) -> Parsed<Vec<u8>> {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        let digits = rest.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match digits {
            None => return Err(format!("{name}: write a % itself as %25")),
            Some(b"00") => return Err(format!("{name}: leave out the %00")),
            Some(_) => rest = &rest[at + 3..],
        }
    }
    Ok(percent_decode(text.as_bytes()).collect())
}

/// The same of a part that is text.
pub fn decoded_text(name: &str, text: &str) -> Parsed<String> {
    as_text(name, decoded(name, text)?)
}

pub fn as_text(name: &str, bytes: Vec<u8>) -> Parsed<String> {
    String::from_utf8(bytes).map_err(|_| format!("{name}: write it in UTF-8"))
}

/// The options of a query, in their order. A `+` is one.
pub fn options(query: &str) -> Parsed<Vec<Part>> {
    let named = |pair: &str| {
        let Some((name, value)) = pair.split_once('=') else {
            return Err("write each option after the ? as NAME=VALUE, with & between them".to_owned());
        };
        let name = decoded_text("an option", name)?;
        let value = decoded(known_or_an_option(&name), value)?;
        Ok((name, value))
    };
    query.split('&').filter(|pair| !pair.is_empty()).map(named).collect()
}

/// What may be said of a name that could as well be the rest of a password with a `?` in it.
fn known_or_an_option(name: &str) -> &str {
    if is_plain(name) { name } else { "an option" }
}

fn is_plain(name: &str) -> bool {
    name.len() <= 40 && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// That there is no such part, and which one may have been meant.
pub fn unknown(name: &str, known: &[&str]) -> String {
    if !is_plain(name) {
        return format!("leave out the part that is not one of {}", known.join(", "));
    }
    let known: Vec<_> = known.iter().map(|&name| name.to_owned()).collect();
    format!("{name}: there is no such part; the nearest is {}", nearest(name, &known))
}

/// The host and the port of `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`.
pub fn host_and_port(text: &str) -> Parsed<(&str, Option<&str>)> {
    let Some(bracketed) = text.strip_prefix('[') else {
        return Ok(match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        });
    };
    let wrong = || "host: write an IPv6 address as [ADDRESS], with :PORT after it".to_owned();
    let (host, rest) = bracketed.split_once(']').ok_or_else(wrong)?;
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(wrong()),
    }
}

/// A name or an address that could be looked up.
pub fn host_name(text: &str) -> Parsed<&str> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '/' | '?' | '#' | '[' | ']');
    if text.is_empty() || text.contains(odd) {
        return Err(
            "host: write a name or an address; % codes stand for special characters of user and password".into()
        );
    }
    Ok(text)
}

/// A TCP port.
pub fn port(text: &str) -> Parsed<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.then(|| text.parse::<u16>().ok()).flatten().filter(|port| *port > 0);
    port.ok_or_else(|| "port: write a number from 1 to 65535".to_owned())
}

/// Files of TLS, in PEM: whom to trust, and who one is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate authority to trust in place of the system's.
    pub root: Option<PathBuf>,
    /// The own certificate, with those between it and its authority, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

impl TlsFiles {
    /// `sslrootcert` (`system` is what holds without it), `sslcert` and `sslkey`; each file has to be there.
    pub fn new(root: Option<String>, certificate: Option<String>, key: Option<String>) -> Parsed<Self> {
        let own = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((PathBuf::from(certificate), PathBuf::from(key))),
            (None, None) => None,
            (Some(_), None) => return Err("sslkey: is needed with sslcert: write it too".to_owned()),
            (None, Some(_)) => return Err("sslcert: is needed with sslkey: write it too".to_owned()),
        };
        let files = Self { root: root.filter(|root| root != "system").map(PathBuf::from), own };
        if let Some(path) = &files.root {
            holds_certificates("sslrootcert", path)?;
        }
        if let Some((certificate, key)) = &files.own {
            holds_certificates("sslcert", certificate)?;
            PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("sslkey", key, &error))?;
        }
        Ok(files)
    }
}

fn holds_certificates(name: &str, path: &std::path::Path) -> Parsed<()> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(|all| all.collect::<Result<Vec<_>, _>>());
    match certificates {
        Ok(all) if all.is_empty() => Err(format!("{name}: there is no certificate in {} (PEM)", path.display())),
        Ok(_) => Ok(()),
        Err(error) => Err(unreadable(name, path, &error)),
    }
}

fn unreadable(name: &str, path: &std::path::Path, error: &rustls::pki_types::pem::Error) -> String {
    let reason = match error {
        rustls::pki_types::pem::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    };
    format!("{name}: {} can't be read ({reason}): name a file in PEM", path.display())
}
