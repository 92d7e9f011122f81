//! Settings: one declaration gives flags, environment, `.env`, TOML, help and reference.

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use ipnet::IpNet;
use secrecy::SecretString;

use crate::domain::keys::RootKey;
use crate::domain::session::Lifetime;

/// All settings, parsed and valid. Secrets print as `…`.
#[derive(Clone, Debug)]
pub struct Settings {
    pub listen: SocketAddr,
    pub public_url: PublicUrl,
    pub data_dir: PathBuf,
    pub database_url: DatabaseUrl,
    /// Connections.
    pub database_pool: u32,
    pub redis_url: Option<RedisUrl>,
    pub redis_prefix: String,
    /// `None`: generated in `data_dir` at the first start.
    pub secret_key: Option<RootKey>,
    pub trusted_proxies: Vec<IpNet>,
    pub registration: Registration,
    /// Without "keep me signed in".
    pub session_lifetime: Lifetime,
    /// With it.
    pub remember_lifetime: Lifetime,
    pub access_token_ttl: TimeDelta,
    pub refresh_token_ttl: TimeDelta,
    pub refresh_reuse_grace: TimeDelta,
    pub jwt_algorithm: JwtAlgorithm,
    pub jwt_secret: Option<SecretString>,
    pub jwt_audience: String,
    pub key_rotation_interval: TimeDelta,
    pub reauthentication_window: TimeDelta,
    pub password_min_length: usize,
    /// zxcvbn, 0 to 4.
    pub password_min_score: u8,
    pub argon2: Argon2Cost,
    /// Passwords hashed at once.
    pub hash_concurrency: usize,
    /// Password checks that may wait for one of those.
    pub hash_queue: usize,
    pub lockout_threshold: u32,
    pub lockout_duration: TimeDelta,
    pub login_rate: Rate,
    pub api_rate: Rate,
    pub cors_origins: Vec<String>,
    pub log_level: String,
    pub log_format: LogFormat,
    pub metrics_listen: Option<SocketAddr>,
    pub audit_retention: TimeDelta,
    pub shutdown_timeout: TimeDelta,
    pub bootstrap_admin: Option<BootstrapAdmin>,
}

/// The only source of scheme and host for links, cookies and `iss`. An origin: no path, no trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(pub(in crate::settings) String);

impl PublicUrl {
    /// `https://auth.example.org`, as a browser's `Origin` header spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// Cookies are `Secure`, and carry the `__Host-` prefix, exactly when this is so.
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }
    /// The host with its port, for the foot of guest pages.
    pub fn host(&self) -> &str {
        self.0.split_once("://").map_or(self.0.as_str(), |(_, host)| host)
    }
}

/// Where the truth is kept.
#[derive(Clone, Debug)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    /// The whole URL, password included.
    Postgres(SecretString),
}

/// Where live copies of sessions are kept.
#[derive(Clone, Debug)]
pub enum RedisUrl {
    /// `redis://`, `rediss://` or `redis+unix://`, as the `redis` crate takes it.
    Single(SecretString),
    /// The nodes of a cluster, each as a `redis://` URL.
    Cluster(Vec<SecretString>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    EdDsa,
    Es256,
    Rs256,
    Hs256,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

/// Argon2id's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    pub memory_kib: u32,
    pub iterations: u32,
    pub lanes: u32,
}

/// So many in so long: `10/1m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: TimeDelta,
}

/// The first administrator, created at start where none exists.
#[derive(Clone, Debug)]
pub struct BootstrapAdmin {
    pub username: String,
    pub email: String,
    pub password: SecretString,
}
