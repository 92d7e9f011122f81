//! The one declaration of all settings: name, type, default, secrecy, parser and help. Flags, environment, files,
//! `--help`, `config show` and [`Settings`] all come from it: a new setting is one entry here.

use std::path::PathBuf;

use chrono::TimeDelta;
use ipnet::IpNet;
use secrecy::SecretString;

use super::declared::{Declared, Fallback, Secrecy, Texts};
use super::listen::{self, Listen};
use super::parse::{self, given, list, number, optional};
use super::redis_url::{RedisUrl, redis_url};
use super::urls::{self, database_url};
use super::{DatabaseUrl, JwtAlgorithm, LogFormat, PublicUrl, Rate, Registration};
use crate::domain::keys::RootKey;

/// `key: type, default, secrecy, form, parser, help;` for each setting.
macro_rules! declare {
    ($($key:ident: $type:ty, $default:expr, $secrecy:ident, $form:literal, $parse:expr, $help:literal;)+) => {
        /// Every setting, in the order in which they are shown.
        pub static DECLARATION: &[Declared] = &[$(Declared {
            key: stringify!($key),
            form: $form,
            default: $default,
            secrecy: Secrecy::$secrecy,
            takes: |text| {
                let parse = $parse;
                parse(Some(text)).is_ok()
            },
            help: $help,
        }),+];

        /// All settings, parsed and valid. Secrets print as `…`.
        #[derive(Clone, Debug)]
        pub struct Settings { $(#[doc = $help] pub $key: $type),+ }

        /// Every value by itself, understood by its own parser; `None` where that failed.
        pub struct Values { $(pub $key: Option<$type>),+ }

        impl Values {
            /// Parses all, so that every problem is told at once.
            pub fn parse(texts: &mut impl Texts) -> Self {
                Self { $($key: texts.parse(stringify!($key), $parse)),+ }
            }

            /// The settings, where all are there.
            pub fn all(self) -> Option<Settings> {
                Some(Settings { $($key: self.$key?),+ })
            }
        }
    };
}

use Fallback::{Derived, Text, Unset};

declare! {
    listen: Vec<Listen>, Text("127.0.0.1:8080"), Public, "PLACES", given(listen::places),
        "Where to listen: ADDRESS:PORT, localhost:PORT, :PORT (all addresses) or unix:/PATH; several with commas";
    public_url: PublicUrl, Text("http://localhost:8080"), Public, "URL", given(urls::origin),
        "Where browsers reach this server: scheme and host of links, cookies and tokens";
    cookie_name: String, Text("portcullis"), Public, "NAME", given(parse::cookie_name),
        "Begins the names of all cookies; another one for each server of a host, whatever their ports";
    data_dir: PathBuf, Text("./data"), Public, "FOLDER", given(parse::path),
        "SQLite file and generated keys";
    database_url: DatabaseUrl,
        Derived { says: "sqlite://{data_dir}/portcullis.db", compute: urls::default_database_url },
        Url, "URL", given(database_url),
        "sqlite://PATH, or as psql takes it: postgres://USER:PASSWORD@HOST/NAME?sslmode=…, several servers as \
         HOST:PORT,HOST:PORT, behind a transaction pooler with &statement_cache=off; DATABASE_URL is read too";
    database_pool: u32, Text("8"), Public, "NUMBER", given(number(1..=1000)),
        "Connections to the database";
    redis_url: Option<RedisUrl>, Unset, Url, "URL", optional(redis_url),
        "redis://USER:PASSWORD@HOST:PORT/DB, rediss:// with TLS, redis+unix:///PATH?db=, or redis-cluster://HOST:PORT,HOST:PORT \
         (rediss-cluster:// with TLS); unset: sessions live in the database; REDIS_URL is read too";
    redis_prefix: String, Text("portcullis"), Public, "TEXT", given(parse::redis_prefix),
        "Begins every key in Redis; no braces";
    secret_key: Option<RootKey>, Unset, Secret, "SECRET", optional(parse::secret_key),
        "Root of all other keys, at least 32 bytes; unset: generated in data_dir";
    trusted_proxies: Vec<IpNet>, Text("127.0.0.0/8,::1/128"), Public, "NETWORKS", given(list(parse::network)),
        "Networks whose X-Forwarded-For is believed";
    registration: Registration, Text("open"), Public, "open|closed",
        given(parse::word(&[("open", Registration::Open), ("closed", Registration::Closed)])),
        "Whether people may create their own account";
    session_idle_timeout: TimeDelta, Text("2h"), Public, "DURATION", given(parse::some_time),
        "A session ends when unused for so long";
    session_absolute_timeout: TimeDelta, Text("24h"), Public, "DURATION", given(parse::some_time),
        "A session ends so long after the sign-in";
    remember_idle_timeout: TimeDelta, Text("14d"), Public, "DURATION", given(parse::some_time),
        "The same with \"keep me signed in\": unused for so long";
    remember_absolute_timeout: TimeDelta, Text("90d"), Public, "DURATION", given(parse::some_time),
        "The same with \"keep me signed in\": so long after the sign-in";
    access_token_ttl: TimeDelta, Text("15m"), Public, "DURATION", given(parse::some_time),
        "How long an access token is good";
    refresh_token_ttl: TimeDelta, Text("7d"), Public, "DURATION", given(parse::some_time),
        "A refresh token ends when unused for so long";
    refresh_reuse_grace: TimeDelta, Text("10s"), Public, "DURATION", given(parse::duration),
        "A repeated refresh gets the same answer for so long";
    jwt_algorithm: JwtAlgorithm, Text("EdDSA"), Public, "EdDSA|ES256|RS256|HS256",
        given(parse::word(&[
            ("EdDSA", JwtAlgorithm::EdDsa),
            ("ES256", JwtAlgorithm::Es256),
            ("RS256", JwtAlgorithm::Rs256),
            ("HS256", JwtAlgorithm::Hs256),
        ])),
        "How access tokens are signed";
    jwt_secret: Option<SecretString>, Unset, Secret, "SECRET", optional(parse::jwt_secret),
        "Shared with the services that verify tokens, at least 32 bytes; with HS256 and only then";
    jwt_audience: String, Derived { says: "the public_url", compute: urls::default_audience }, Public, "TEXT",
        given(parse::text),
        "`aud` of access tokens";
    key_rotation_interval: TimeDelta, Text("90d"), Public, "DURATION", given(parse::some_time),
        "Age at which a signing key is replaced";
    reauthentication_window: TimeDelta, Text("10m"), Public, "DURATION", given(parse::some_time),
        "Age of the last password entry that a sensitive act accepts";
    password_min_length: usize, Text("10"), Public, "NUMBER", given(number(8..=128)),
        "Shortest password, 8 to 128 characters";
    password_min_score: u8, Text("3"), Public, "NUMBER", given(number(0..=4)),
        "Weakest password, as zxcvbn rates it: 0 to 4";
    argon2_memory_kib: u32, Text("19456"), Public, "NUMBER", given(number(8..=4_194_304)),
        "Memory of one password hash in KiB";
    argon2_iterations: u32, Text("2"), Public, "NUMBER", given(number(1..=1000)),
        "Passes of one password hash";
    argon2_lanes: u32, Text("1"), Public, "NUMBER", given(number(1..=256)),
        "Lanes of one password hash";
    hash_concurrency: usize, Derived { says: "number of cores", compute: cores }, Public, "NUMBER",
        given(number(1..=1024)),
        "Passwords hashed at once";
    hash_queue: usize, Text("64"), Public, "NUMBER", given(number(0..=65_536)),
        "Password checks that may wait; beyond them the answer is 503";
    lockout_threshold: u32, Text("5"), Public, "NUMBER", given(number(1..=1_000_000)),
        "Failed sign-ins that lock a name";
    lockout_duration: TimeDelta, Text("15m"), Public, "DURATION", given(parse::some_time),
        "How long a name stays locked";
    login_rate: Rate, Text("10/1m"), Public, "COUNT/DURATION", given(parse::rate),
        "Attempts with a password from one address";
    api_rate: Rate, Text("600/1m"), Public, "COUNT/DURATION", given(parse::rate),
        "Calls of the API by one principal";
    cors_origins: Vec<String>, Text(""), Public, "ORIGINS", given(list(urls::cors_origin)),
        "Origins whose pages may call /api";
    log_level: String, Text("info"), Public, "LEVEL", given(parse::log_level),
        "off, error, warn, info, debug or trace; for parts of the program: info,portcullis=debug";
    log_format: LogFormat, Text("auto"), Public, "auto|text|json",
        given(parse::word(&[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)])),
        "auto: text on a terminal, JSON elsewhere";
    metrics_listen: Option<Vec<Listen>>, Unset, Public, "PLACES", optional(listen::places),
        "Where to listen for /metrics, and for nothing else; as listen, such as 127.0.0.1:9464; unset: nowhere";
    audit_retention: TimeDelta, Text("180d"), Public, "DURATION", given(parse::some_time),
        "How long security events and ended sessions are kept";
    shutdown_timeout: TimeDelta, Text("8s"), Public, "DURATION", given(parse::duration),
        "How long requests may take to finish when stopped";
    bootstrap_admin_username: Option<String>, Unset, Public, "NAME", optional(parse::text),
        "First administrator, created at start where none exists";
    bootstrap_admin_email: Option<String>, Unset, Public, "EMAIL", optional(parse::text),
        "First administrator's e-mail";
    bootstrap_admin_password: Option<SecretString>, Unset, Secret, "PASSWORD", optional(parse::secret),
        "First administrator's password";
}

fn cores(_: &dyn Fn(&str) -> String) -> String {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string()
}
