//! `database_url` where it names a PostgreSQL: what its query may say beside what the driver knows.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use super::parse::{Parsed, alternatives};

/// What `sslmode` may be (PostgreSQL 17, "SSL Support", without `allow`).
pub(super) const SSL_MODES: &[&str] = &["disable", "prefer", "require", "verify-ca", "verify-full"];
const SESSION_ATTRIBUTES: &[&str] = &["read-write", "primary", "any"];
const STATEMENT_CACHES: &[&str] = &["on", "off"];

const WRONG: &str = "write postgres://USER:PASSWORD@HOST:PORT/NAME, with % codes for special characters of the password, \
                     and after a ? only options that PostgreSQL knows";

/// A PostgreSQL, or several of which one takes writes. `Debug` hides the password.
#[derive(Clone, Debug)]
pub struct PostgresUrl {
    /// Hosts, account and all else that the driver knows.
    pub config: tokio_postgres::Config,
    /// The certificate authority to trust in place of the system's.
    pub root_certificate: Option<PathBuf>,
    /// Nothing is kept in a session of the server: a pooler may give each transaction another one.
    pub pooled: bool,
}

/// `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME?…`.
pub fn postgres_url(text: &str) -> Parsed<PostgresUrl> {
    let (rest, modes) = take_option(text, "sslmode");
    let (rest, certificates) = take_option(&rest, "sslrootcert");
    let (rest, attributes) = take_option(&rest, "target_session_attrs");
    let (rest, caches) = take_option(&rest, "statement_cache");
    // The driver takes the several of this one for a single name.
    let (rest, hosts) = take_option(&rest, "host");
    for (option, values, known) in [
        ("sslmode", &modes, SSL_MODES),
        ("target_session_attrs", &attributes, SESSION_ATTRIBUTES),
        ("statement_cache", &caches, STATEMENT_CACHES),
    ] {
        if !values.iter().all(|value| known.contains(&value.as_str())) {
            return Err(format!("write {option} as {}", alternatives(known)));
        }
    }
    let Ok(mut config) = rest.parse::<tokio_postgres::Config>() else { return Err(WRONG.into()) };
    for host in hosts.iter().flat_map(|hosts| hosts.split(',')) {
        // A folder is that of a Unix socket.
        config.host(host);
    }
    match (config.get_hosts().len(), config.get_ports().len()) {
        (0, _) => return Err(WRONG.into()),
        (hosts, ports) if ports > 1 && ports != hosts => {
            return Err("write as many ports as hosts, or one port for all".into());
        }
        _ => {}
    }
    // The driver knows fewer modes. rustls always verifies chain and host name, so all from `require` on mean the same.
    config.ssl_mode(match modes.last().map(String::as_str) {
        Some("disable") => SslMode::Disable,
        Some("prefer") | None => SslMode::Prefer,
        _ => SslMode::Require,
    });
    // Whatever it says: everything that this server does writes.
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    if config.get_application_name().is_none() {
        config.application_name("portcullis");
    }
    Ok(PostgresUrl {
        config,
        root_certificate: certificates.into_iter().next_back().map(PathBuf::from),
        pooled: caches.last().is_some_and(|cache| cache == "off"),
    })
}

/// The URL without that option of its query, and the values that the option had.
fn take_option(url: &str, option: &str) -> (String, Vec<String>) {
    let Some((head, query)) = url.split_once('?') else { return (url.to_owned(), Vec::new()) };
    let mut values = Vec::new();
    let mut others = Vec::new();
    for pair in query.split('&') {
        match pair.strip_prefix(option).and_then(|rest| rest.strip_prefix('=')) {
            Some(value) => values.push(percent_decode_str(value).decode_utf8_lossy().into_owned()),
            None => others.push(pair),
        }
    }
    (if others.is_empty() { head.to_owned() } else { format!("{head}?{}", others.join("&")) }, values)
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::Host;

    use super::*;

    #[test]
    fn what_the_driver_does_not_know_is_taken_out_and_anything_above_prefer_verifies() {
        let url =
            postgres_url("postgres://a:b@h/d?sslmode=verify-full&sslrootcert=/my%20ca.pem&options=-cx%3D1").unwrap();
        assert_eq!(url.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(url.root_certificate.as_deref(), Some(std::path::Path::new("/my ca.pem")));
        assert_eq!(url.config.get_options(), Some("-cx=1"));
        assert_eq!(postgres_url("postgres://h/d").unwrap().config.get_ssl_mode(), SslMode::Prefer);
        let disabled = postgres_url("postgres://h/d?sslmode=disable").unwrap();
        assert_eq!(disabled.config.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn several_hosts_are_tried_and_only_one_that_takes_writes_is_used() {
        for text in [
            "postgres://u:p@a:1,b:2/d",
            "postgres:///d?host=a,b&port=1,2&user=u&target_session_attrs=primary",
            "postgres://a:1,b:2/d?target_session_attrs=any",
        ] {
            let url = postgres_url(text).unwrap();
            assert_eq!(url.config.get_hosts(), [Host::Tcp("a".into()), Host::Tcp("b".into())], "{text}");
            assert_eq!(url.config.get_ports(), [1, 2], "{text}");
            assert_eq!(url.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite, "{text}");
        }
        for text in [
            "postgres://a:1,b:2/d?target_session_attrs=standby",
            "postgres://a:1,b:2/d?target_session_attrs=",
            "postgres:///d?host=a,b,c&port=1,2",
        ] {
            assert!(postgres_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_statement_cache_is_on_or_off() {
        assert!(postgres_url("postgres://h/d?statement_cache=off").unwrap().pooled);
        assert!(!postgres_url("postgres://h/d?statement_cache=on").unwrap().pooled);
        assert!(!postgres_url("postgres://h/d").unwrap().pooled);
        assert!(postgres_url("postgres://h/d?statement_cache=0").is_err());
    }

    #[test]
    fn the_password_is_not_in_debug_output() {
        let url = postgres_url("postgres://u:correct-horse@h/d").unwrap();
        assert!(!format!("{url:?}").contains("correct-horse"));
    }
}
