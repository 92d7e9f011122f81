//! `redis_url`: one server, by TCP, TLS or a socket, or the nodes of a cluster. The `redis` crate would pass over what it
//! does not know, such as a name without a password, and read a `+` as a space.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::PathBuf;

use redis::{Client, ClientTlsConfig, ConnectionAddr, RedisConnectionInfo, TlsCertificates};

use super::connection_text::{
    Part, TlsFiles, as_text, decoded, decoded_text, host_and_port, host_name, options, port, unknown,
};
use super::parse::Parsed;

/// Where live copies of sessions are kept. `Debug` hides the password.
#[derive(Clone, Debug)]
pub enum RedisUrl {
    /// An address or a socket, and who signs in there.
    Single(ConnectionAddr, RedisConnectionInfo),
    /// Nodes of a cluster, who signs in on each of them, and its certificates where it speaks TLS.
    Cluster(Vec<ConnectionAddr>, RedisConnectionInfo, Option<TlsCertificates>),
}

const PORT: u16 = 6379;

const FORMS: &str = "write redis://HOST:PORT, rediss://HOST:PORT (TLS), redis+unix:///PATH or \
                     redis-cluster://HOST:PORT,HOST:PORT (rediss-cluster:// with TLS)";

/// What the query knows, and the part that a name stands for.
const OPTIONS: &[(&str, &str)] = &[
    ("db", "db"),
    ("user", "user"),
    ("username", "user"),
    ("pass", "password"),
    ("password", "password"),
    ("protocol", "protocol"),
    ("sslrootcert", "sslrootcert"),
    ("sslcert", "sslcert"),
    ("sslkey", "sslkey"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Tls,
    Socket,
    Cluster,
    TlsCluster,
}

/// `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB][?…]`, `rediss://` the same with TLS, `redis+unix://[…@]/PATH[?db=…]`, or
/// `redis-cluster://[…@]HOST:PORT,HOST:PORT`.
pub fn redis_url(text: &str) -> Parsed<RedisUrl> {
    let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
    let kind = match scheme {
        "redis" | "valkey" => Kind::Tcp,
        "rediss" | "valkeys" => Kind::Tls,
        "redis+unix" | "valkey+unix" | "unix" => Kind::Socket,
        "redis-cluster" => Kind::Cluster,
        "rediss-cluster" => Kind::TlsCluster,
        _ => return Err(FORMS.to_owned()),
    };
    if rest.contains('#') {
        return Err("write a # as %23; nothing may stand behind one".to_owned());
    }
    // What is written with % codes has no other @ before a ?, and no @ behind that needs to be looked for.
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (credentials, place) = match rest.rsplit_once('@') {
        Some((credentials, place)) => (Some(credentials), place),
        None => (None, rest),
    };
    if credentials.is_some_and(|text| text.contains(['@', '/'])) || query.contains('@') {
        return Err("write @ as %40, / as %2F and ? as %3F in user and password".to_owned());
    }
    let mut parts = Parts::new(options(query)?)?;
    if let Some(credentials) = credentials {
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        parts.add("user", decoded("user", user)?)?;
        parts.add("password", decoded("password", password)?)?;
    }
    parts.refuse_what_does_not_fit(kind)?;
    let certificates = parts.certificates()?;
    match kind {
        Kind::Tcp | Kind::Tls => {
            let (place, db) = place.split_once('/').unwrap_or((place, ""));
            parts.add("db", db.strip_suffix('/').unwrap_or(db).into())?;
            let who = parts.who()?;
            Ok(RedisUrl::Single(address(place, PORT, kind == Kind::Tls, certificates)?, who))
        }
        Kind::Socket => Ok(RedisUrl::Single(socket(place)?, parts.who()?)),
        Kind::Cluster | Kind::TlsCluster => {
            let tls = kind == Kind::TlsCluster;
            let places = place.strip_suffix('/').unwrap_or(place).split(',').map(str::trim);
            let nodes = places.map(|place| match host_and_port(place)? {
                (_, Some(_)) => address(place, PORT, tls, None),
                _ => Err("port: write each node of the cluster as HOST:PORT".to_owned()),
            });
            Ok(RedisUrl::Cluster(nodes.collect::<Parsed<_>>()?, parts.who()?, certificates))
        }
    }
}

fn address(place: &str, default: u16, tls: bool, certificates: Option<TlsCertificates>) -> Parsed<ConnectionAddr> {
    if place.contains(',') {
        return Err("host: several are the nodes of a cluster: write redis-cluster://HOST:PORT,HOST:PORT".to_owned());
    }
    let (host, given) = host_and_port(place)?;
    let host = host_name(&decoded_text("host", host)?)?.to_owned();
    if matches!(host.as_str(), "0.0.0.0" | "::") {
        return Err("host: write an address that leads somewhere".to_owned());
    }
    let port = given.map_or(Ok(default), port)?;
    if !tls {
        return Ok(ConnectionAddr::Tcp(host, port));
    }
    let address = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
    let Some(certificates) = certificates else { return Ok(address) };
    let client = Client::build_with_tls(address, certificates)
        .map_err(|error| format!("sslrootcert, sslcert or sslkey: {error}: name files in PEM"))?;
    Ok(client.get_connection_info().addr().clone())
}

fn socket(path: &str) -> Parsed<ConnectionAddr> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err("host: a socket has none: write redis+unix:// and the whole path of the socket".to_owned());
    }
    let path = PathBuf::from(OsString::from_vec(decoded("the path", path)?));
    match UnixAddress::from_pathname(&path) {
        Ok(_) => Ok(ConnectionAddr::Unix(path)),
        Err(error) => Err(format!("the path of a socket can't be this one ({error})")),
    }
}

/// What was said of each part, once.
struct Parts(Vec<Part>);

impl Parts {
    fn new(given: Vec<Part>) -> Parsed<Self> {
        let mut parts = Self(Vec::new());
        for (name, value) in given {
            let Some((_, meant)) = OPTIONS.iter().find(|(option, _)| *option == name) else {
                return Err(unknown(&name, &OPTIONS.iter().map(|(name, _)| *name).collect::<Vec<_>>()));
            };
            parts.add(meant, value)?;
        }
        Ok(parts)
    }

    /// An empty value says nothing.
    fn add(&mut self, name: &str, value: Vec<u8>) -> Parsed<()> {
        if value.is_empty() {
            return Ok(());
        }
        if self.0.iter().any(|(other, there)| other == name && *there != value) {
            return Err(format!("{name}: is given twice: keep one of them"));
        }
        self.0.push((name.to_owned(), value));
        Ok(())
    }

    fn text(&self, name: &str) -> Parsed<Option<String>> {
        let value = self.0.iter().find(|(other, _)| other == name);
        value.map(|(_, value)| as_text(name, value.clone())).transpose()
    }

    fn refuse_what_does_not_fit(&self, kind: Kind) -> Parsed<()> {
        let has = |name: &str| self.0.iter().any(|(other, _)| other == name);
        if matches!(kind, Kind::Cluster | Kind::TlsCluster) && has("db") {
            return Err("db: a cluster has no numbered databases: leave it out".to_owned());
        }
        let tls = ["sslrootcert", "sslcert", "sslkey"].into_iter().find(|name| has(name));
        match tls.filter(|_| !matches!(kind, Kind::Tls | Kind::TlsCluster)) {
            Some(name) => Err(format!("{name}: is for TLS: write rediss:// or rediss-cluster://, or leave it out")),
            None => Ok(()),
        }
    }

    fn who(&self) -> Parsed<RedisConnectionInfo> {
        let mut who = RedisConnectionInfo::default();
        match (self.text("user")?, self.text("password")?) {
            (Some(_), None) => {
                return Err("password: is needed with a user: write USER:PASSWORD@, or :PASSWORD@ for that of the \
                            default user"
                    .into());
            }
            (user, Some(password)) => {
                who = who.set_password(password);
                if let Some(user) = user {
                    who = who.set_username(user);
                }
            }
            (None, None) => {}
        }
        if let Some(db) = self.text("db")? {
            let digits = db.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.then(|| db.parse::<u32>().ok()).flatten();
            who = who.set_db(number.ok_or("db: write a whole number, such as 0")?.into());
        }
        match self.text("protocol")?.as_deref() {
            None | Some("2" | "resp2") => Ok(who),
            Some(_) => Err("protocol: write 2, or leave it out: RESP2 is spoken with Redis".to_owned()),
        }
    }

    /// What the files of TLS hold.
    fn certificates(&self) -> Parsed<Option<TlsCertificates>> {
        let files = TlsFiles::new(self.text("sslrootcert")?, self.text("sslcert")?, self.text("sslkey")?)?;
        if files == TlsFiles::default() {
            return Ok(None);
        }
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let root_cert = files.root.as_ref().map(read).transpose()?;
        let own = files.own.as_ref().map(|(certificate, key)| {
            Ok::<_, String>(ClientTlsConfig { client_cert: read(certificate)?, client_key: read(key)? })
        });
        Ok(Some(TlsCertificates { client_tls: own.transpose()?, root_cert }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn single(text: &str) -> (String, RedisConnectionInfo) {
        match redis_url(text) {
            Ok(RedisUrl::Single(address, who)) => (address.to_string(), who),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn every_spelling_of_one_server_is_read() {
        for (text, address, user, password, db) in [
            ("redis://h", "h:6379", None, None, 0),
            ("redis://h/", "h:6379", None, None, 0),
            ("valkey://h:1/3/", "h:1", None, None, 3),
            ("redis://:p@h?db=2", "h:6379", None, Some("p"), 2),
            ("redis://h/2?db=2", "h:6379", None, None, 2),
            ("redis://u%40v:p%2F%3A%2B+@[::1]:6380/1", "::1:6380", Some("u@v"), Some("p/:++"), 1),
            ("rediss://h:6380?protocol=2", "h:6380", None, None, 0),
            ("redis+unix:///run/redis.sock?db=1&pass=p+q&user=u", "/run/redis.sock", Some("u"), Some("p+q"), 1),
            ("unix://:p@/run/a%20b", "/run/a b", None, Some("p"), 0),
        ] {
            let (shown, who) = single(text);
            assert_eq!(
                (shown.as_str(), who.username(), who.password(), who.db()),
                (address, user, password, db),
                "{text}"
            );
        }
    }

    #[test]
    fn nodes_of_a_cluster_share_the_credentials() {
        let Ok(RedisUrl::Cluster(nodes, who, None)) = redis_url("redis-cluster://u:p@a:7000, b:7001,[::1]:7002/")
        else {
            panic!("it is a cluster");
        };
        assert_eq!(nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:7000", "b:7001", "::1:7002"]);
        assert_eq!((who.username(), who.password()), (Some("u"), Some("p")));
        let tls = redis_url("rediss-cluster://a:1");
        assert!(matches!(tls, Ok(RedisUrl::Cluster(nodes, ..)) if matches!(nodes[0], ConnectionAddr::TcpTls { .. })));
    }

    #[test]
    fn what_can_not_be_done_is_refused_by_its_name() {
        for (text, part) in [
            ("", "redis://HOST"),
            ("h:6379", "redis://HOST"),
            ("http://h", "redis://HOST"),
            ("redis://", "host"),
            ("redis://:6379", "host"),
            ("redis://0.0.0.0", "host"),
            ("redis://a,b", "host"),
            ("redis://[::1", "host"),
            ("redis://h:port", "port"),
            ("redis://h:0", "port"),
            ("redis://h:99999", "port"),
            ("redis://h/x", "db"),
            ("redis://h/-1", "db"),
            ("redis://h/1?db=2", "db"),
            ("redis://h/1/2", "db"),
            ("redis://secret@h", "password"),
            ("redis://u:secret/x@h", "%2F"),
            ("redis://u:secret?x@h", "%3F"),
            ("redis://u:secret@x@h", "%40"),
            ("redis://u:%zz@h", "password"),
            ("redis://u:%00@h", "password"),
            ("redis://u:%ff@h", "password"),
            ("redis://u:secret@h?password=other", "password"),
            ("redis://h?protocol=3", "protocol"),
            ("redis://h?timeout=3", "timeout"),
            ("redis://h?db", "NAME=VALUE"),
            ("redis://h?sslrootcert=/ca.pem", "sslrootcert"),
            ("rediss://h?sslrootcert=/there/is/none.pem", "sslrootcert"),
            ("rediss://h?sslcert=/there/is/none.pem", "sslkey"),
            ("rediss://h/#insecure", "%23"),
            ("redis+unix://h/run/redis.sock", "host"),
            ("redis+unix://run", "host"),
            ("redis-cluster://", "port"),
            ("redis-cluster://a", "port"),
            ("redis-cluster://a:1,", "port"),
            ("redis-cluster://a:1/2", "port"),
            ("redis-cluster://a:1,b:x", "port"),
            ("redis-cluster://a:1?db=0", "db"),
            ("redis-sentinel://a:1/name", "redis://HOST"),
        ] {
            let told = redis_url(text).map(|_| ()).expect_err(text);
            assert!(told.contains(part) && !told.contains("secret"), "{text}: {told}");
        }
    }

    #[test]
    fn the_password_is_not_in_debug_output() {
        let url = redis_url("redis://u:correct-horse@h").unwrap();
        assert!(!format!("{url:?}").contains("correct-horse"));
    }
}
