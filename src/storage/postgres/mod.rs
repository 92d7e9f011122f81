//! A synchronous Diesel connection over tokio-postgres: PostgreSQL without libpq or OpenSSL, as a variant of
//! [`super::database::AnyConnection`]. Each connection has its own single-threaded runtime, so that the protocol is
//! driven by the thread that waits for it. Never used on an async worker, where starting a runtime panics.
//!
//! Behind a transaction pooler each transaction may have another session of the server, which other programs use too.
//! Then nothing is kept in one: statements are unnamed and take one round trip, settings last for a transaction, and
//! one that stands alone is sent with its BEGIN and COMMIT around it, at once.

mod connect;
mod remedy;
mod row;
mod session;
mod traits;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, DynInstrumentation, TransactionManager as _};
use diesel::pg::{Pg, PgQueryBuilder};
use diesel::query_builder::bind_collector::RawBytesBindCollector;
use diesel::query_builder::{QueryBuilder as _, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use futures_util::TryStreamExt as _;
use futures_util::future::join3;
use tokio::runtime::Runtime;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Statement};

pub use self::connect::Server;
use self::connect::Session;
pub use self::remedy::Remedy;
use self::row::Bind;
pub use self::session::Patience;
use self::traits::NoLookup;
use super::open_error::OpenError;

/// A server that has not answered a statement by then is taken for dead: its own `statement_timeout` is shorter.
const GIVE_UP: Duration = Duration::from_secs(7);
/// The same where a request waits, or waited: it is answered by then. A server that hangs holds all connections, and
/// until they are given up there is none to another that has its name by now.
const GIVE_UP_REQUEST: Duration = Duration::from_millis(1500);

pub struct PgConnection {
    server: Arc<Server>,
    session: Session,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    /// By their text. Of a session that is ours alone.
    statements: HashMap<String, Statement>,
    transaction: AnsiTransactionManager,
    instrumentation: DynInstrumentation,
    give_up: Duration,
    /// What its transaction did is unknown, or that is still open: the connection is not used again.
    unfit: bool,
    /// Of the last statement, unless it was done.
    remedy: Option<Remedy>,
}

/// Why a statement was not done.
enum Failed {
    Refused(tokio_postgres::Error),
    /// The transaction that was begun for it can't write.
    ReadOnly,
}

impl From<tokio_postgres::Error> for Failed {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Refused(error)
    }
}

/// Rows, and how many were changed.
type Answer = (Vec<Row>, u64);

impl PgConnection {
    /// The first one, at start. Finds out whether there is a pooler in between.
    pub fn first(server: &Arc<Server>) -> Result<Self, OpenError> {
        Self::open(server, Server::first)
    }

    /// One more, for the pool.
    pub fn another(server: &Arc<Server>) -> Result<Self, OpenError> {
        Self::open(server, Server::another)
    }

    fn open(
        server: &Arc<Server>,
        connect: impl AsyncFnOnce(&Server) -> Result<Session, OpenError>,
    ) -> Result<Self, OpenError> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(OpenError::unreachable)?;
        let session = runtime.block_on(connect(server))?;
        Ok(Self {
            server: server.clone(),
            session,
            runtime: Some(runtime),
            statements: HashMap::new(),
            transaction: AnsiTransactionManager::default(),
            instrumentation: DynInstrumentation::none(),
            give_up: GIVE_UP,
            unfit: false,
            remedy: None,
        })
    }

    /// Waits for answers as long as that from now on.
    pub fn wait_as(&mut self, patience: Patience) {
        self.give_up = match patience {
            Patience::Request => GIVE_UP_REQUEST,
            Patience::Patient => GIVE_UP,
            Patience::Migration => Duration::MAX,
        };
    }

    /// Begins a transaction that waits for so long.
    pub fn begin(&mut self, patience: Patience) -> QueryResult<()> {
        self.wait_as(patience);
        let sql = session::begin(self.session.pooled, self.session.version, patience);
        AnsiTransactionManager::begin_transaction_sql(self, &sql)
    }

    /// What would help, where the last statement was not done.
    pub fn remedy(&self) -> Option<Remedy> {
        self.remedy
    }

    fn wait<T>(&mut self, work: impl AsyncFnOnce(&mut Self) -> Result<T, Failed>) -> QueryResult<T> {
        if self.unfit {
            return Err(closed("the connection is not used again"));
        }
        let runtime = self.runtime.take().ok_or(QueryError::BrokenTransactionManager)?;
        let give_up = self.give_up;
        let done = runtime.block_on(async { tokio::time::timeout(give_up, work(self)).await });
        self.runtime = Some(runtime);
        match done {
            Ok(Ok(value)) if !self.session.has_been_fenced() => {
                self.remedy = None;
                Ok(value)
            }
            Ok(Err(Failed::Refused(error))) => Err(self.refused(&error)),
            Ok(Ok(_) | Err(Failed::ReadOnly)) => {
                self.abandon();
                let message = "this server takes no writes".to_owned();
                Err(QueryError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, Box::new(message)))
            }
            Err(_) => {
                self.abandon();
                Err(closed("PostgreSQL did not answer in time"))
            }
        }
    }

    fn abandon(&mut self) {
        self.unfit = true;
        self.remedy = Some(Remedy::ConnectAnew);
        self.server.leave(self.session.generation);
    }

    fn refused(&mut self, error: &tokio_postgres::Error) -> QueryError {
        let remedy = Remedy::of_error(error);
        self.remedy = Some(remedy);
        if remedy == Remedy::ConnectAnew {
            if !self.session.pooled && error.code().is_some_and(|code| matches!(code.code(), "26000" | "42P05")) {
                self.server.is_behind_a_pooler();
            }
            self.server.leave(self.session.generation);
        }
        let error = remedy::query_error(error);
        if let QueryError::DatabaseError(DatabaseErrorKind::SerializationFailure, _) = &error {
            let status = AnsiTransactionManager::transaction_manager_status_mut(self);
            status.set_requires_rollback_maybe_up_to_top_level(true);
        }
        error
    }

    fn answer<T: QueryFragment<Pg> + QueryId>(&mut self, query: &T) -> QueryResult<Answer> {
        let mut builder = PgQueryBuilder::default();
        query.to_sql(&mut builder, &Pg)?;
        let sql = builder.finish();
        let mut collected = RawBytesBindCollector::<Pg>::new();
        query.collect_binds(&mut collected, &mut NoLookup, &Pg)?;
        let types = row::types(&collected.metadata).map_err(QueryError::SerializationError)?;
        let binds = collected.binds.into_iter().map(Bind).collect();
        let keeps = !self.session.pooled && query.is_safe_to_cache_prepared(&Pg)?;
        let alone = AnsiTransactionManager::transaction_manager_status_mut(self).transaction_depth()?.is_none();
        self.wait(async |connection| {
            let client = &connection.session.client;
            if keeps {
                let statement = match connection.statements.get(&sql) {
                    Some(statement) => statement,
                    None => {
                        let statement = client.prepare_typed(&sql, &types).await?;
                        connection.statements.entry(sql).or_insert(statement)
                    }
                };
                return Ok(collect(client.query_raw(statement, binds).await?).await?);
            }
            let asked = unnamed(client, &sql, types, binds);
            if !(connection.session.pooled && alone) {
                return Ok(asked.await?);
            }
            let begin = session::begin(true, connection.session.version, Patience::Request);
            // Sent in this order, without waiting in between.
            let (begun, answer, committed) =
                join3(client.simple_query(&begin), asked, client.batch_execute("COMMIT")).await;
            if session::is_read_only(&begun?) {
                return Err(Failed::ReadOnly);
            }
            let answer = answer?;
            committed?;
            Ok(answer)
        })
    }
}

/// In one round trip, and nothing is left of it in the session.
async fn unnamed(
    client: &Client,
    sql: &str,
    types: Vec<Type>,
    binds: Vec<Bind>,
) -> Result<Answer, tokio_postgres::Error> {
    collect(client.query_typed_raw(sql, binds.into_iter().zip(types)).await?).await
}

async fn collect(rows: tokio_postgres::RowStream) -> Result<Answer, tokio_postgres::Error> {
    let mut rows = std::pin::pin!(rows);
    let mut all = Vec::new();
    while let Some(row) = rows.try_next().await? {
        all.push(row);
    }
    Ok((all, rows.rows_affected().unwrap_or_default()))
}

fn closed(message: &str) -> QueryError {
    QueryError::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message.to_owned()))
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // allowed where dropping a runtime is not
        }
    }
}
