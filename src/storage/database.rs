//! The database: opened, migrated, and the one hop from async code to Diesel's blocking calls.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::r2d2::{ManageConnection, Pool, R2D2Connection};
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::postgres::PgConnection;
use crate::domain::Error;
use crate::settings::DatabaseUrl;

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// How long a request waits for the database before it is answered with 503.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long those wait who would rather wait: the command line, sweeps, exports, and an end of everyone's sessions.
const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// Connections that those who write leave to those who read, while they wait for locks.
const KEPT_FOR_READERS: usize = 2;
/// Any number that no other program uses for an advisory lock of the same database.
const MIGRATION_LOCK: i64 = 0x706f_7274_6375_6c6c;

/// One connection to whichever database the settings name. Queries are written once, for both.
#[derive(diesel::MultiConnection)]
#[expect(clippy::large_enum_variant, reason = "there are as many as the pool has connections")]
pub enum AnyConnection {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// What went wrong in a query or in the service that ran it.
type Result<T> = std::result::Result<T, Error>;

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            // A constraint or a value that doesn't fit is a bug of ours, not a database that is away.
            QueryError::DatabaseError(
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::NotNullViolation
                | DatabaseErrorKind::CheckViolation,
                _,
            )
            | QueryError::DeserializationError(_)
            | QueryError::SerializationError(_)
            | QueryError::QueryBuilderError(_)
            | QueryError::NotFound => Self::internal(error),
            _ => Self::database(error),
        }
    }
}

/// The pool. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: Pool<Manager>,
    /// As many blocking threads as connections: whoever waits, waits without a thread.
    threads: Arc<Semaphore>,
    /// Turns of those who write. Waiting here is fair, takes neither thread nor connection from those who read, and ends
    /// with the caller's patience. SQLite has one writer; waiting in its busy handler has none of that.
    writers: Arc<Semaphore>,
    has_one_writer: bool,
    patience: Duration,
}

impl Database {
    /// Connects, migrates and fills a pool of `connections`. `target` is the URL as it may be shown. Blocks; for start-up.
    pub fn open(url: &DatabaseUrl, target: &str, connections: u32) -> std::result::Result<Self, OpenError> {
        let manager = Manager(url.clone());
        let mut first = manager.open()?;
        migrate(&mut first, url, target)?;
        let pool = Pool::builder()
            .max_size(connections)
            .min_idle(Some(1))
            .connection_timeout(PATIENCE)
            .error_handler(Box::new(LogPoolError))
            .build_unchecked(manager);
        let (has_one_writer, connections) = (matches!(url, DatabaseUrl::Sqlite(_)), connections as usize);
        let writers = if has_one_writer { 1 } else { connections.saturating_sub(KEPT_FOR_READERS).max(1) };
        Ok(Self {
            pool,
            threads: Arc::new(Semaphore::new(connections)),
            writers: Arc::new(Semaphore::new(writers)),
            has_one_writer,
            patience: PATIENCE,
        })
    }

    /// The same database for whoever may wait long.
    pub fn patient(mut self) -> Self {
        self.patience = LONG_PATIENCE;
        self
    }

    /// Whether all transactions that write wait for one another, also those of other processes.
    pub fn has_one_writer(&self) -> bool {
        self.has_one_writer
    }

    /// Whether whoever wants to write would wait for another of this process.
    pub fn is_being_written(&self) -> bool {
        self.writers.available_permits() == 0
    }

    /// Runs queries that only read, each on its own snapshot.
    pub async fn read<T: Send + 'static>(
        &self,
        queries: impl FnOnce(&mut AnyConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.in_time(self.hop(queries)).await
    }

    /// Runs queries in one transaction: committed when they return `Ok`, else rolled back.
    pub async fn write<T: Send + 'static>(
        &self,
        queries: impl FnOnce(&mut AnyConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let patient = self.patience > PATIENCE;
        self.in_time(async {
            let turn = self.writers.clone().acquire_owned().await.map_err(Error::internal)?;
            self.hop(move |connection| {
                let _turn = turn;
                transaction(connection, patient, queries)
            })
            .await
        })
        .await
    }

    /// The one way from async code to the blocking connection. A caller that gives up leaves the work to finish.
    async fn hop<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut AnyConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let pool = self.pool.clone();
        let thread = self.threads.clone().acquire_owned().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let _thread = thread;
            let mut connection = pool.get().map_err(Error::database)?;
            work(&mut connection)
        })
        .await
        .map_err(Error::internal)?
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        timeout(self.patience, work).await.map_err(Error::database)?
    }
}

/// `BEGIN IMMEDIATE` on SQLite, so that a transaction that reads first can't fail later for want of the write lock.
fn transaction<T>(
    connection: &mut AnyConnection,
    patient: bool,
    queries: impl FnOnce(&mut AnyConnection) -> Result<T>,
) -> Result<T> {
    let AnyConnection::Sqlite(sqlite) = connection else {
        return connection.transaction(|connection| {
            if patient {
                connection.batch_execute("SET LOCAL lock_timeout = '5s'")?;
            }
            queries(connection)
        });
    };
    AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")?;
    match queries(connection) {
        Ok(value) => {
            AnyConnection::commit_transaction(connection)?;
            Ok(value)
        }
        Err(error) => {
            AnyConnection::rollback_transaction(connection)?;
            Err(error)
        }
    }
}

/// Within [`Database::write`]: when the queries fail, what they changed is undone, and the transaction goes on.
pub fn savepoint<T>(
    connection: &mut AnyConnection,
    queries: impl FnOnce(&mut AnyConnection) -> Result<T>,
) -> Result<T> {
    connection.transaction(queries)
}

struct Manager(DatabaseUrl);

impl Manager {
    /// By the kind of URL: the derived `establish` tries one after the other and hides the real error.
    fn open(&self) -> std::result::Result<AnyConnection, OpenError> {
        match &self.0 {
            DatabaseUrl::Postgres(url) => {
                let mut connection = PgConnection::connect(url.expose_secret()).map_err(OpenError::unreachable)?;
                // Well below the ten seconds that the feed allows a transaction to commit late. Whoever waits for a lock
                // has a connection that others want; a request is given up by then.
                connection
                    .batch_execute(
                        "SET statement_timeout = '5s'; SET lock_timeout = '900ms'; \
                         SET idle_in_transaction_session_timeout = '5s'",
                    )
                    .map_err(OpenError::unreachable)?;
                Ok(AnyConnection::Postgres(connection))
            }
            DatabaseUrl::Sqlite(path) => {
                let path = path.to_str().ok_or(OpenError::Path)?;
                let mut connection = SqliteConnection::establish(path).map_err(OpenError::unreachable)?;
                // FULL: what was answered as ended stays ended after a power cut.
                connection
                    .batch_execute(
                        "PRAGMA busy_timeout = 3000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                         PRAGMA foreign_keys = ON;",
                    )
                    .map_err(OpenError::unreachable)?;
                Ok(AnyConnection::Sqlite(connection))
            }
        }
    }
}

impl ManageConnection for Manager {
    type Connection = AnyConnection;
    type Error = OpenError;

    fn connect(&self) -> std::result::Result<AnyConnection, OpenError> {
        self.open()
    }

    fn is_valid(&self, connection: &mut AnyConnection) -> std::result::Result<(), OpenError> {
        connection.ping().map_err(OpenError::unreachable)
    }

    fn has_broken(&self, connection: &mut AnyConnection) -> bool {
        connection.is_broken()
    }
}

#[derive(Debug)]
struct LogPoolError;

impl diesel::r2d2::HandleError<OpenError> for LogPoolError {
    fn handle_error(&self, error: OpenError) {
        tracing::warn!(error = %error, "no connection to the database");
    }
}

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Unreachable(String),
    #[error("the path of the database is not UTF-8")]
    Path,
    #[error(
        "the database was migrated by a newer Portcullis (it has {0}, which this one does not know); use that version"
    )]
    Newer(String),
    #[error("the migration failed: {0}")]
    Migration(String),
}

impl OpenError {
    fn unreachable(error: impl std::fmt::Display) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// Brings the schema up to date. Two processes that start at once do it one after the other.
fn migrate(connection: &mut AnyConnection, url: &DatabaseUrl, target: &str) -> std::result::Result<(), OpenError> {
    match (connection, url) {
        (AnyConnection::Sqlite(connection), DatabaseUrl::Sqlite(path)) => {
            let _lock = migration_lock(path).map_err(|error| OpenError::Migration(error.to_string()))?;
            run(connection, SQLITE_MIGRATIONS, target)
        }
        (AnyConnection::Postgres(connection), _) => {
            // An index of a large table takes longer than any query of a request may, and so does waiting for it.
            connection
                .batch_execute(&format!(
                    "SET statement_timeout = 0; SET lock_timeout = '60s'; SELECT pg_advisory_lock({MIGRATION_LOCK})"
                ))
                .map_err(OpenError::unreachable)?;
            let done = run(connection, POSTGRES_MIGRATIONS, target);
            connection
                .batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})"))
                .map_err(OpenError::unreachable)?;
            done
        }
        (AnyConnection::Sqlite(_), DatabaseUrl::Postgres(_)) => Err(OpenError::Path),
    }
}

/// A lock on a file beside the database, released when it is dropped or the process ends.
fn migration_lock(database: &Path) -> std::io::Result<std::fs::File> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(database.with_extension("migration-lock"))?;
    file.lock()?;
    Ok(file)
}

fn run<C, DB>(connection: &mut C, migrations: EmbeddedMigrations, target: &str) -> std::result::Result<(), OpenError>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    use diesel::migration::MigrationSource;
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| OpenError::Migration(error.to_string());
    let known: Vec<String> = MigrationSource::<DB>::migrations(&migrations)
        .map_err(failed)?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    if let Some(unknown) = connection
        .applied_migrations()
        .map_err(failed)?
        .iter()
        .map(ToString::to_string)
        .find(|version| !known.contains(version))
    {
        return Err(OpenError::Newer(unknown));
    }
    let pending = connection.pending_migrations(migrations).map_err(failed)?;
    if !pending.is_empty() {
        // Told at every log level that is used: a DATABASE_URL meant for something else is noticed here.
        tracing::warn!(database = target, migrations = pending.len(), "migrating the database");
        connection.run_migrations(&pending).map_err(failed)?;
    }
    Ok(())
}
