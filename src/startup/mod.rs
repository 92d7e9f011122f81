//! The server put together: stores opened, middleware in its order, and run until it is told to stop.

mod checkup;
mod data_dir;
mod failure;
mod handle;
mod listeners;
mod metrics;
mod serve;
mod server;

use std::sync::Arc;
use std::time::Duration;

use redis::ConnectionAddr;
use tokio_postgres::config::Host;

pub use self::checkup::{Checkup, checkup};
pub use self::failure::StartupFailure;
pub use self::handle::Handle;
pub use self::serve::serve;
pub use self::server::Server;
use crate::domain::{Clock, Error};
use crate::services::Services;
use crate::services::audit::Exports;
use crate::services::authentication::hasher::Hasher;
use crate::services::authentication::lockout::WaitingRoom;
use crate::services::health;
use crate::services::sessions::signing_keys::KeyTable;
use crate::services::tally::Tally;
use crate::settings::{DatabaseUrl, Loaded, RedisUrl, Settings};
use crate::storage::database::OpenError;
use crate::storage::sessions::{RedisSessions, SessionStore, SqlSessions};
use crate::storage::{Database, installation};

/// How long a start waits for the database, once that is open.
const START: Duration = Duration::from_secs(30);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);

/// Opens the stores and migrates the database: all that the server and the command line need.
pub async fn services(loaded: Loaded, clock: Clock) -> Result<Services, StartupFailure> {
    let Loaded { settings, effective, .. } = loaded;
    let needs_data_dir = settings.secret_key.is_none() || matches!(settings.database_url, DatabaseUrl::Sqlite(_));
    if needs_data_dir {
        data_dir::prepare(&settings)?;
    }
    let root_key = match &settings.secret_key {
        Some(key) => key.clone(),
        None => data_dir::secret_key(&settings.data_dir)?,
    };
    let hasher = Hasher::new(settings.argon2(), settings.hash_concurrency, settings.hash_queue)
        .map_err(|error| StartupFailure::configuration(format!("argon2_…: {error}")))?;

    let target = database_target(&settings.database_url);
    let database =
        open_database(&settings, &target).await?.map_err(|error| StartupFailure::database(&target, &error))?;

    let own = root_key.fingerprint();
    let known = database
        .clone()
        .with_long_timeout()
        .write({
            let own = own.clone();
            move |connection| installation::secret_key_fingerprint(connection, &own)
        })
        .await
        .map_err(|error| StartupFailure::services(&error))?;
    if known != own {
        return Err(StartupFailure::configuration(format!(
            "secret_key is not the one that this database was set up with ({known} is expected, this is {own}); \
             use the same secret_key, or the same data_dir, on every node"
        )));
    }

    let sessions = match &settings.redis_url {
        None => SessionStore::Sql(SqlSessions::new(database.clone(), &settings.database_url)),
        Some(url) => {
            let store = RedisSessions::open(url, &settings.redis_prefix, database.clone()).await;
            let store = store.map_err(|error| StartupFailure::redis(&redis_target(url), &error))?;
            if let Some(warning) = store.eviction_warning().await {
                tracing::warn!("Redis: {warning}");
            }
            SessionStore::Redis(store)
        }
    };
    let waiting_room = Arc::new(WaitingRoom::new(settings.hash_queue));
    let services = Services {
        settings: Arc::new(settings),
        effective: effective.into(),
        clock,
        database,
        try_out: Arc::default(),
        clocks: Arc::default(),
        sessions,
        hasher,
        waiting_room,
        backfill: Arc::default(),
        exports: Exports::default(),
        root_key,
        keys: KeyTable::default(),
        verified_tokens: Arc::default(),
        tally: Tally::default(),
    };
    compare_clocks(&services).await.map_err(|error| StartupFailure::services(&error))?;
    Ok(services)
}

/// Before anything is dated. A busy database is asked again: nobody waits for an answer yet.
async fn compare_clocks(services: &Services) -> crate::services::Result<()> {
    let services = Services { database: services.database.clone().with_long_timeout(), ..services.clone() };
    let compare = async {
        while let Err(error) = health::compare_clocks(&services).await {
            tracing::warn!(%error, "the database was not asked what time it is");
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    };
    tokio::time::timeout(START, compare).await.unwrap_or_else(|elapsed| Err(Error::database(elapsed)))
}

/// Opens and migrates it; `target` is what may be shown of its URL.
async fn open_database(settings: &Settings, target: &str) -> Result<Result<Database, OpenError>, StartupFailure> {
    let (url, target, connections) = (settings.database_url.clone(), target.to_owned(), settings.database_pool);
    tokio::task::spawn_blocking(move || Database::open(&url, &target, connections))
        .await
        .map_err(|error| StartupFailure::general(error.to_string()))
}

/// Where the truth is kept, without the password.
fn database_target(url: &DatabaseUrl) -> String {
    match url {
        DatabaseUrl::Sqlite(path) => path.display().to_string(),
        DatabaseUrl::Postgres(url) => {
            let places = url.hosts.iter().flat_map(|host| host.get_hosts().iter().zip(host.get_ports()));
            let places = places.map(|(host, port)| match host {
                Host::Tcp(name) if name.contains(':') => format!("[{name}]:{port}"),
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(folder) => format!("{}:{port}", folder.display()),
            });
            let name = url.hosts.first().and_then(|host| host.get_dbname()).unwrap_or_default();
            format!("postgres://{}/{name}", places.collect::<Vec<_>>().join(","))
        }
    }
}

/// Where live copies are kept, without the password.
fn redis_target(url: &RedisUrl) -> String {
    match url {
        RedisUrl::Single(address, _) => redis_place(address),
        RedisUrl::Cluster(nodes, ..) => nodes.iter().map(redis_place).collect::<Vec<_>>().join(", "),
    }
}

fn redis_place(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } if host.contains(':') => {
            format!("[{host}]:{port}")
        }
        other => other.to_string(),
    }
}
