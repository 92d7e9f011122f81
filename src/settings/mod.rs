//! Settings: [`declaration`] says once what there is; [`sources`] reads flags, environment, `.env` and TOML;
//! [`resolve`] decides which of them wins; [`parse`] and [`urls`] read single values; [`load`] puts them together and
//! tells all that is wrong at once.

mod check;
pub mod declaration;
mod declared;
mod dot_env;
pub mod flags;
mod layer;
mod listen;
mod parse;
mod postgres_url;
mod problem;
mod resolve;
mod show;
mod source;
mod sources;
mod text_file;
mod urls;

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use ipnet::IpNet;
use secrecy::SecretString;

use self::declaration::Values;
pub use self::listen::Listen;
pub use self::postgres_url::{PostgresUrl, postgres_url};
pub use self::problem::{Problems, SettingProblem};
use self::resolve::Resolved;
pub use self::show::Effective;
pub use self::source::Source;
pub use self::sources::Sources;
use crate::domain::keys::RootKey;
use crate::domain::session::Lifetime;
pub use crate::domain::signing_key::SigningAlgorithm as JwtAlgorithm;

/// All settings, parsed and valid. Secrets print as `…`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// At least one place.
    pub listen: Vec<Listen>,
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
    Postgres(Box<PostgresUrl>),
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

/// Settings that hold, and how they came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Every setting in the order of the declaration, safe to show.
    pub effective: Vec<Effective>,
}

/// Makes the settings from their sources: flag, environment, `.env`, TOML, default; the first that has a value wins.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut resolved = Resolved::from_sources(sources);
    let values = Values::parse(&mut resolved);
    check::together(&values, &mut resolved);
    if resolved.problems.is_empty()
        && let Some(settings) = assemble(values, sources)
    {
        return Ok(Loaded { settings, effective: resolved.effective() });
    }
    Err(Problems(resolved.problems))
}

/// The settings of values that are all there. Relative paths begin in the folder of the sources.
fn assemble(values: Values, sources: &Sources) -> Option<Settings> {
    Some(Settings {
        listen: values.listen?,
        public_url: values.public_url?,
        data_dir: sources.path(values.data_dir?),
        database_url: match values.database_url? {
            DatabaseUrl::Sqlite(path) => DatabaseUrl::Sqlite(sources.path(path)),
            postgres @ DatabaseUrl::Postgres(_) => postgres,
        },
        database_pool: values.database_pool?,
        redis_url: values.redis_url?,
        redis_prefix: values.redis_prefix?,
        secret_key: values.secret_key?,
        trusted_proxies: values.trusted_proxies?,
        registration: values.registration?,
        session_lifetime: Lifetime { idle: values.session_idle_timeout?, absolute: values.session_absolute_timeout? },
        remember_lifetime: Lifetime {
            idle: values.remember_idle_timeout?,
            absolute: values.remember_absolute_timeout?,
        },
        access_token_ttl: values.access_token_ttl?,
        refresh_token_ttl: values.refresh_token_ttl?,
        refresh_reuse_grace: values.refresh_reuse_grace?,
        jwt_algorithm: values.jwt_algorithm?,
        jwt_secret: values.jwt_secret?,
        jwt_audience: values.jwt_audience?,
        key_rotation_interval: values.key_rotation_interval?,
        reauthentication_window: values.reauthentication_window?,
        password_min_length: values.password_min_length?,
        password_min_score: values.password_min_score?,
        argon2: Argon2Cost {
            memory_kib: values.argon2_memory_kib?,
            iterations: values.argon2_iterations?,
            lanes: values.argon2_lanes?,
        },
        hash_concurrency: values.hash_concurrency?,
        hash_queue: values.hash_queue?,
        lockout_threshold: values.lockout_threshold?,
        lockout_duration: values.lockout_duration?,
        login_rate: values.login_rate?,
        api_rate: values.api_rate?,
        cors_origins: values.cors_origins?,
        log_level: values.log_level?,
        log_format: values.log_format?,
        metrics_listen: values.metrics_listen?,
        audit_retention: values.audit_retention?,
        shutdown_timeout: values.shutdown_timeout?,
        bootstrap_admin: match (
            values.bootstrap_admin_username?,
            values.bootstrap_admin_email?,
            values.bootstrap_admin_password?,
        ) {
            (Some(username), Some(email), Some(password)) => Some(BootstrapAdmin { username, email, password }),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests;
