//! The database: opened, migrated, and the one way from async code to Diesel's blocking calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use diesel::r2d2::Pool;
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use super::any_connection::{AnyConnection, MultiBackend};
use super::migrations::migrate;
pub use super::open_error::OpenError;
use super::pool::{LogPoolError, Manager};
use super::postgres::{Patience, Remedy};
use super::sqlite_file::SqliteFile;
use crate::domain::Error;
use crate::domain::error::Dependency;
use crate::settings::DatabaseUrl;
use crate::storage::Result;
use crate::telemetry::metrics::Counter;

/// How long a request waits for the database before it is answered with 503.
const PATIENCE: Duration = Duration::from_millis(900);
/// How long those wait who would rather wait: the command line, sweeps, exports, and an end of everyone's sessions.
const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// Connections that those who write leave to those who read, while they wait for locks.
const KEPT_FOR_READERS: usize = 2;
/// Between two tries of a transaction that another one was in the way of, for each try so far.
const PAUSE: Duration = Duration::from_millis(5);

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
    /// Where it is a file.
    file: Option<SqliteFile>,
    patience: Duration,
    errors: Counter,
}

impl Database {
    /// Connects, migrates and fills a pool of `connections`. `target` is the URL as it may be shown. Blocks; for start-up.
    pub fn open(url: &DatabaseUrl, target: &str, connections: u32) -> std::result::Result<Self, OpenError> {
        let manager = Manager::new(url);
        let mut first = manager.first()?;
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
            file: match url {
                DatabaseUrl::Sqlite(path) => Some(SqliteFile::new(path.clone())),
                DatabaseUrl::Postgres(_) => None,
            },
            patience: PATIENCE,
            errors: Counter::default(),
        })
    }

    /// The same database for whoever may wait long.
    pub fn with_long_timeout(mut self) -> Self {
        self.patience = LONG_PATIENCE;
        self
    }

    fn patience(&self) -> Patience {
        if self.patience > PATIENCE { Patience::Patient } else { Patience::Request }
    }

    /// How often it did not do in time what it was asked.
    pub fn errors(&self) -> &Counter {
        &self.errors
    }

    /// Whether all transactions that write wait for one another, also those of other processes.
    pub fn has_one_writer(&self) -> bool {
        self.has_one_writer
    }

    /// Whether whoever wants to write would wait for another of this process.
    pub fn is_being_written(&self) -> bool {
        self.writers.available_permits() == 0
    }

    /// Runs queries that only read, each on its own snapshot. They run again where the server has gone.
    pub async fn read<T: Send + 'static>(
        &self,
        mut queries: impl FnMut(&mut AnyConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (patience, deadline) = (self.patience(), Instant::now() + self.patience);
        let work = move |pool: &Pool<Manager>| {
            again(pool, deadline, |connection| {
                if let AnyConnection::Postgres(postgres) = connection {
                    postgres.wait_as(patience);
                }
                let done = queries(connection);
                done.map_err(|error| {
                    let remedy = remedy(connection);
                    (sorted(error, remedy), remedy)
                })
            })
        };
        self.in_time(self.run_blocking(work)).await
    }

    /// As [`Database::read`], for a few rows of an index. A file is read on the calling thread: that takes less time than
    /// to tell another one of it.
    pub async fn read_few<T: Send + 'static>(
        &self,
        mut queries: impl FnMut(&mut AnyConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        match self.file.as_ref().and_then(|file| file.read_here(&mut queries)) {
            Some(found) => Ok(found),
            None => self.read(queries).await,
        }
    }

    /// Runs queries in one transaction: committed when they return `Ok`, else rolled back. They run again where another
    /// transaction was in their way, and where the server has gone before the commit.
    pub async fn write<T: Send + 'static>(
        &self,
        queries: impl FnMut(&mut AnyConnection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write_then(queries, |value| value).await
    }

    /// The same, and `committed` right after the commit, also where the caller has given up by then.
    pub async fn write_then<T, U: Send + 'static>(
        &self,
        mut queries: impl FnMut(&mut AnyConnection) -> Result<T> + Send + 'static,
        committed: impl FnOnce(T) -> U + Send + 'static,
    ) -> Result<U> {
        let patience = self.patience();
        // Whoever asked waits no longer.
        let deadline = Instant::now() + self.patience;
        self.in_time(async {
            let turn = self.writers.clone().acquire_owned().await.map_err(Error::internal)?;
            self.run_blocking(move |pool| {
                let _turn = turn;
                let done = again(pool, deadline, |connection| transaction(connection, patience, &mut queries));
                done.map(committed)
            })
            .await
        })
        .await
    }

    /// The one way from async code to the blocking connections. A caller that gives up leaves the work to finish.
    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Pool<Manager>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let pool = self.pool.clone();
        let thread = self.threads.clone().acquire_owned().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(move || {
            let _thread = thread;
            work(&pool)
        })
        .await
        .map_err(Error::internal)?
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = timeout(self.patience, work).await.unwrap_or_else(|elapsed| Err(Error::database(elapsed)));
        if let Err(Error::Unavailable(Dependency::Database, _)) = &done {
            self.errors.inc();
        }
        done
    }
}

/// What would help, where queries failed.
type Failed = (Error, Option<Remedy>);

/// Does `work`, and does it again where that helps.
fn again<T>(
    pool: &Pool<Manager>,
    deadline: Instant,
    mut work: impl FnMut(&mut AnyConnection) -> std::result::Result<T, Failed>,
) -> Result<T> {
    let mut tries = 0;
    let mut connection = pool.get().map_err(Error::database)?;
    loop {
        let (error, remedy) = match work(&mut connection) {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        tries += 1;
        let pause = PAUSE * tries;
        if Instant::now() + pause > deadline {
            return Err(error);
        }
        match remedy {
            Some(Remedy::TryAgain) => std::thread::sleep(pause),
            // The first may have been the last one of its generation, or of its pooler's.
            Some(Remedy::ConnectAnew) if tries < 3 => {
                drop(connection);
                connection = pool.get().map_err(Error::database)?;
            }
            _ => return Err(error),
        }
    }
}

/// `BEGIN IMMEDIATE` on SQLite, so that a transaction that reads first can't fail later for want of the write lock.
fn transaction<T>(
    connection: &mut AnyConnection,
    patience: Patience,
    queries: &mut impl FnMut(&mut AnyConnection) -> Result<T>,
) -> std::result::Result<T, Failed> {
    let begun = match connection {
        AnyConnection::Sqlite(sqlite) => AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE"),
        AnyConnection::Postgres(postgres) => postgres.begin(patience),
    };
    if let Err(error) = begun {
        return Err((error.into(), remedy(connection)));
    }
    let done = queries(connection);
    let failed = remedy(connection);
    match done {
        Ok(value) => match AnyConnection::commit_transaction(connection) {
            Ok(()) => Ok(value),
            // Whether it was committed before the connection was lost, nobody knows.
            Err(error) => Err((error.into(), remedy(connection).filter(|remedy| *remedy == Remedy::TryAgain))),
        },
        Err(error) => {
            if let Err(lost) = AnyConnection::rollback_transaction(connection) {
                tracing::debug!(error = %lost, "no rollback");
            }
            Err((sorted(error, failed), failed))
        }
    }
}

fn remedy(connection: &AnyConnection) -> Option<Remedy> {
    match connection {
        AnyConnection::Postgres(postgres) => postgres.remedy(),
        AnyConnection::Sqlite(_) => None,
    }
}

/// What no server would do is a bug of ours, not a database that is away.
fn sorted(error: Error, remedy: Option<Remedy>) -> Error {
    match error {
        Error::Unavailable(Dependency::Database, cause) if remedy == Some(Remedy::OurFault) => Error::Internal(cause),
        other => other,
    }
}

/// Within [`Database::write`]: when the queries fail, what they changed is undone, and the transaction goes on.
pub fn savepoint<T>(
    connection: &mut AnyConnection,
    queries: impl FnOnce(&mut AnyConnection) -> Result<T>,
) -> Result<T> {
    connection.transaction(queries)
}
