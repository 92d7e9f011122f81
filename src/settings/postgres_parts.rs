//! What the parts of a connection string for PostgreSQL mean, by libpq's names for them (PostgreSQL 17, "Parameter Key
//! Words"). Each one works, or is refused by its name.

use std::net::IpAddr;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslMode, SslNegotiation, TargetSessionAttrs};

use super::connection_text::{Part, TlsFiles, as_text, host_name, port, unknown};
use super::parse::{Parsed, alternatives};

/// A PostgreSQL, or several of which one takes writes. `Debug` hides the password.
#[derive(Clone, Debug)]
pub struct PostgresUrl {
    /// For each host: where it is, the account, and all else that the driver knows.
    pub hosts: Vec<tokio_postgres::Config>,
    /// They are tried in any order.
    pub shuffled: bool,
    /// For hosts that are not a socket.
    pub tls: TlsFiles,
    /// Nothing is kept in a session of the server: a pooler may give each transaction another one.
    pub pooled: bool,
}

/// What `sslmode` may be (PostgreSQL 17, "SSL Support", without `allow`).
pub(super) const SSL_MODES: &[&str] = &["disable", "prefer", "require", "verify-ca", "verify-full"];

/// What is understood, and what libpq takes for it where that is one of a few words.
const KNOWN: &[(&str, &[&str])] = &[
    ("host", &[]),
    ("hostaddr", &[]),
    ("port", &[]),
    ("dbname", &[]),
    ("user", &[]),
    ("password", &[]),
    ("options", &[]),
    ("application_name", &[]),
    ("fallback_application_name", &[]),
    ("connect_timeout", &[]),
    ("tcp_user_timeout", &[]),
    ("keepalives", &["0", "1"]),
    ("keepalives_idle", &[]),
    ("keepalives_interval", &[]),
    ("keepalives_count", &[]),
    // The driver's name for the one before.
    ("keepalives_retries", &[]),
    ("sslmode", SSL_MODES),
    ("sslrootcert", &[]),
    ("sslcert", &[]),
    ("sslkey", &[]),
    ("sslnegotiation", &["postgres", "direct"]),
    ("channel_binding", &["disable", "prefer", "require"]),
    // Whatever it says: everything that this server does writes.
    ("target_session_attrs", &["read-write", "primary", "any"]),
    ("load_balance_hosts", &["disable", "random"]),
    // What holds anyway.
    ("client_encoding", &["UTF8", "utf8", "UTF-8", "auto"]),
    ("gssencmode", &["disable", "prefer"]),
    ("sslcompression", &["0"]),
    ("sslsni", &["1"]),
    ("replication", &["false", "off", "no", "0"]),
    // Our own.
    ("statement_cache", &["on", "off"]),
];

/// What libpq knows and this server does not, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("service", "write what that service says as parts of this value"),
    ("passfile", "write password, or the whole value into the file that database_url_file names"),
    ("sslpassword", "write a key without a password into the file of sslkey"),
    ("require_auth", "leave it out; channel_binding=require asks for SCRAM over TLS"),
    ("requiressl", "write sslmode=require"),
    ("ssl", "write sslmode"),
    ("sslcertmode", "leave it out; a certificate is sent where sslcert names one"),
    ("sslcrl", "leave it out; lists of revoked certificates are not read"),
    ("sslcrldir", "leave it out; lists of revoked certificates are not read"),
    ("sslkeylogfile", "leave it out; keys of connections are not written down"),
    ("ssl_min_protocol_version", "leave it out; TLS 1.2 and 1.3 are spoken"),
    ("ssl_max_protocol_version", "leave it out; TLS 1.2 and 1.3 are spoken"),
    ("min_protocol_version", "leave it out; protocol 3.0 is spoken"),
    ("max_protocol_version", "leave it out; protocol 3.0 is spoken"),
    ("requirepeer", "leave it out; the folder of the socket says who may make it"),
    ("krbsrvname", "leave it out; GSSAPI is not spoken"),
    ("gsslib", "leave it out; GSSAPI is not spoken"),
    ("gssdelegation", "leave it out; GSSAPI is not spoken"),
    ("scram_client_key", "write password"),
    ("scram_server_key", "write password"),
    ("oauth_issuer", "leave it out; OAuth is not spoken with PostgreSQL"),
    ("oauth_client_id", "leave it out; OAuth is not spoken with PostgreSQL"),
    ("oauth_client_secret", "leave it out; OAuth is not spoken with PostgreSQL"),
    ("oauth_scope", "leave it out; OAuth is not spoken with PostgreSQL"),
];

/// Where libpq looks when no port is written.
const PORT: u16 = 5432;

/// The server of these parts; of one that is given twice the last counts.
pub(super) fn server(parts: &[Part]) -> Parsed<PostgresUrl> {
    for (name, value) in parts {
        check(name, value)?;
    }
    let parts = Parts(parts);
    let config = account(parts)?;
    let (mode, tls) = tls(parts)?;
    let hosts = places(parts)?.into_iter().map(|place| place.config(&config, mode)).collect::<Parsed<Vec<_>>>()?;
    if parts.word("channel_binding") == Some("require")
        && hosts.iter().any(|host| host.get_ssl_mode() == SslMode::Disable)
    {
        return Err(
            "channel_binding: require needs TLS to every host, which neither a socket nor sslmode=disable has: \
                    leave it out"
                .into(),
        );
    }
    Ok(PostgresUrl {
        hosts,
        shuffled: parts.word("load_balance_hosts") == Some("random"),
        tls,
        pooled: parts.word("statement_cache") == Some("off"),
    })
}

/// Whether libpq or this server knows a part of that name.
pub(super) fn is_named(name: &str) -> bool {
    let known = KNOWN.iter().map(|(name, _)| *name);
    known.chain(REFUSED.iter().map(|(name, _)| *name)).any(|known| known == name)
}

fn check(name: &str, value: &[u8]) -> Parsed<()> {
    if let Some((_, what_to_do)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(format!("{name}: this server does not know it: {what_to_do}"));
    }
    let Some((_, words)) = KNOWN.iter().find(|(known, _)| *known == name) else {
        return Err(unknown(name, &KNOWN.iter().map(|(name, _)| *name).collect::<Vec<_>>()));
    };
    if words.is_empty() || words.iter().any(|word| word.as_bytes() == value) {
        return Ok(());
    }
    Err(format!("{name}: write {}", alternatives(words)))
}

#[derive(Clone, Copy)]
struct Parts<'a>(&'a [Part]);

impl<'a> Parts<'a> {
    fn bytes(self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.as_slice())
    }

    /// One of the words of [`KNOWN`].
    fn word(self, name: &str) -> Option<&'a str> {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// An empty text is none.
    fn text(self, name: &str) -> Parsed<Option<String>> {
        let value = self.bytes(name).filter(|value| !value.is_empty());
        value.map(|value| as_text(name, value.to_vec())).transpose()
    }

    /// Items with commas between them, each of which may be empty.
    fn items(self, name: &str) -> Parsed<Vec<String>> {
        Ok(self.text(name)?.map_or(Vec::new(), |text| text.split(',').map(str::to_owned).collect()))
    }

    /// A whole number. None, and what is not above zero, is the server's own choice.
    fn number(self, name: &str) -> Parsed<Option<u32>> {
        let Some(value) = self.bytes(name) else { return Ok(None) };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<i64>().ok());
        match number.map(u32::try_from) {
            Some(Ok(number)) => Ok(Some(number).filter(|number| *number > 0)),
            Some(Err(_)) if number.is_some_and(i64::is_negative) => Ok(None),
            _ => Err(format!("{name}: write a whole number")),
        }
    }

    fn seconds(self, name: &str) -> Parsed<Option<Duration>> {
        Ok(self.number(name)?.map(|seconds| Duration::from_secs(seconds.into())))
    }
}

/// All but where the server is.
fn account(parts: Parts<'_>) -> Parsed<Config> {
    let mut config = Config::new();
    if let Some(user) = parts.text("user")? {
        config.user(user);
    }
    if let Some(password) = parts.bytes("password").filter(|password| !password.is_empty()) {
        config.password(password);
    }
    if let Some(name) = parts.text("dbname")? {
        config.dbname(name);
    }
    if let Some(options) = parts.text("options")? {
        config.options(options);
    }
    let name = parts.text("application_name")?.or(parts.text("fallback_application_name")?);
    config.application_name(name.unwrap_or_else(|| "portcullis".to_owned()));
    if let Some(limit) = parts.seconds("connect_timeout")? {
        config.connect_timeout(limit);
    }
    if let Some(limit) = parts.number("tcp_user_timeout")? {
        config.tcp_user_timeout(Duration::from_millis(limit.into()));
    }
    config.keepalives(parts.word("keepalives") != Some("0"));
    if let Some(idle) = parts.seconds("keepalives_idle")? {
        config.keepalives_idle(idle);
    }
    if let Some(interval) = parts.seconds("keepalives_interval")? {
        config.keepalives_interval(interval);
    }
    if let Some(count) = parts.number("keepalives_count")?.or(parts.number("keepalives_retries")?) {
        config.keepalives_retries(count);
    }
    config.channel_binding(match parts.word("channel_binding") {
        Some("disable") => ChannelBinding::Disable,
        Some("require") => ChannelBinding::Require,
        _ => ChannelBinding::Prefer,
    });
    config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    Ok(config)
}

/// The driver knows fewer modes. rustls always verifies chain and host name, so all from `require` on mean the same.
fn tls(parts: Parts<'_>) -> Parsed<((SslMode, SslNegotiation), TlsFiles)> {
    let mode = match parts.word("sslmode") {
        Some("disable") => SslMode::Disable,
        Some("prefer") | None => SslMode::Prefer,
        _ => SslMode::Require,
    };
    let negotiation = match parts.word("sslnegotiation") {
        Some("direct") => SslNegotiation::Direct,
        _ => SslNegotiation::Postgres,
    };
    if negotiation == SslNegotiation::Direct && mode != SslMode::Require {
        return Err("sslnegotiation: direct needs sslmode=require, verify-ca or verify-full: write one of them".into());
    }
    let files = match mode {
        SslMode::Disable => TlsFiles::default(),
        _ => TlsFiles::new(parts.text("sslrootcert")?, parts.text("sslcert")?, parts.text("sslkey")?)?,
    };
    Ok(((mode, negotiation), files))
}

struct Place {
    /// A name, an address, or the folder of a socket.
    host: String,
    address: Option<IpAddr>,
    port: u16,
}

fn places(parts: Parts<'_>) -> Parsed<Vec<Place>> {
    let (mut hosts, addresses, ports) = (parts.items("host")?, parts.items("hostaddr")?, parts.items("port")?);
    if hosts.is_empty() {
        hosts.clone_from(&addresses);
    }
    if hosts.is_empty() {
        return Err("host: write where the server is: a name, an address, or the folder of its socket, such as \
                    host=/run/postgresql"
            .into());
    }
    if !addresses.is_empty() && addresses.len() != hosts.len() {
        return Err("hostaddr: write as many addresses as hosts".into());
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err("port: write as many ports as hosts, or one port for all".into());
    }
    let place = |(index, host): (usize, String)| -> Parsed<Place> {
        let address = addresses.get(index).filter(|address| !address.is_empty()).map(|address| address.parse());
        let address = address.transpose().map_err(|_| "hostaddr: write IP addresses".to_owned())?;
        let given = ports.get(index).or(ports.first()).filter(|port| !port.is_empty());
        Ok(Place { host, address, port: given.map_or(Ok(PORT), |given| port(given))? })
    };
    hosts.into_iter().enumerate().map(place).collect()
}

impl Place {
    fn config(&self, account: &Config, (mode, negotiation): (SslMode, SslNegotiation)) -> Parsed<Config> {
        let mut config = account.clone();
        config.port(self.port);
        if self.host.starts_with('/') {
            let socket = Path::new(&self.host).join(format!(".s.PGSQL.{}", self.port));
            if UnixAddress::from_pathname(&socket).is_err() {
                return Err("host: the path of that socket is too long: make the folder one with a shorter path".into());
            }
            // PostgreSQL speaks no TLS there, whatever is asked for.
            config.host_path(&self.host).ssl_mode(SslMode::Disable);
            return Ok(config);
        }
        config.host(host_name(&self.host)?).ssl_mode(mode).ssl_negotiation(negotiation);
        if let Some(address) = self.address {
            config.hostaddr(address);
        }
        Ok(config)
    }
}
