//! Settings: [`declaration`] says once what there is; [`sources`] reads flags, environment, `.env` and TOML;
//! [`resolve`] decides which of them wins; [`parse`] and [`urls`] read single values; [`load`] puts them together and
//! tells all that is wrong at once.

mod check;
mod connection_text;
pub mod declaration;
mod declared;
mod dot_env;
pub mod flags;
mod layer;
mod listen;
mod parse;
mod postgres_parts;
mod postgres_url;
mod problem;
mod redis_url;
mod resolve;
mod show;
mod source;
mod sources;
mod text_file;
mod urls;

use std::path::PathBuf;

use chrono::TimeDelta;

pub use self::connection_text::TlsFiles;
pub use self::declaration::Settings;
use self::declaration::Values;
pub use self::listen::Listen;
pub use self::postgres_parts::PostgresUrl;
pub use self::postgres_url::postgres_url;
pub use self::problem::{Problems, SettingProblem};
pub use self::redis_url::RedisUrl;
use self::resolve::Resolved;
pub use self::show::Effective;
pub use self::source::Source;
pub use self::sources::Sources;
use crate::domain::session::Lifetime;
pub use crate::domain::signing_key::SigningAlgorithm as JwtAlgorithm;

impl Settings {
    /// How long a browser's session lives, by whether its owner chose "keep me signed in".
    pub fn lifetime(&self, remember: bool) -> Lifetime {
        match remember {
            false => Lifetime { idle: self.session_idle_timeout, absolute: self.session_absolute_timeout },
            true => Lifetime { idle: self.remember_idle_timeout, absolute: self.remember_absolute_timeout },
        }
    }

    /// What one password hash costs.
    pub fn argon2(&self) -> Argon2Cost {
        Argon2Cost { memory_kib: self.argon2_memory_kib, iterations: self.argon2_iterations, lanes: self.argon2_lanes }
    }

    /// Relative paths begin in the folder of the sources.
    fn relocate(self, sources: &Sources) -> Self {
        let database_url = match self.database_url {
            DatabaseUrl::Sqlite(path) => DatabaseUrl::Sqlite(sources.path(path)),
            postgres @ DatabaseUrl::Postgres(_) => postgres,
        };
        Self { data_dir: sources.path(self.data_dir), database_url, ..self }
    }
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

/// Settings that hold, and how they came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Every setting in the order of the declaration, safe to show.
    pub effective: Vec<Effective>,
    /// Variables that are empty, and so not given: said at the start, for somebody may have meant a value.
    pub empty: Vec<Source>,
}

/// Makes the settings from their sources: flag, environment, `.env`, TOML, default; the first that has a value wins.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut resolved = Resolved::from_sources(sources);
    let values = Values::parse(&mut resolved);
    check::together(&values, &mut resolved);
    if resolved.problems.is_empty()
        && let Some(settings) = values.all()
    {
        let effective = resolved.effective();
        return Ok(Loaded { settings: settings.relocate(sources), effective, empty: resolved.empty });
    }
    Err(Problems(resolved.problems))
}

#[cfg(test)]
mod tests;
