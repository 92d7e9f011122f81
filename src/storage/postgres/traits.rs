//! What Diesel, its pool and its migrations ask of a connection.

use std::any::Any;
use std::sync::Arc;

use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, Instrumentation, LoadConnection, SimpleConnection,
    TransactionManager as _,
};
use diesel::internal::derives::multiconnection::{ConnectionSealed, MultiConnectionHelper};
use diesel::pg::{FailedToLookupTypeError, Pg, PgMetadataCacheKey, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::Error as QueryError;
use diesel::{ConnectionError, ConnectionResult, QueryResult};

use super::row::{self, PgRow};
use super::{Failed, PgConnection, Server, session};
use crate::settings::postgres_url;

impl SimpleConnection for PgConnection {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.wait(async |connection| {
            let answer = connection.session.client.simple_query(query).await?;
            if session::is_read_only(&answer) { Err(Failed::ReadOnly) } else { Ok(()) }
        })
    }
}

impl ConnectionSealed for PgConnection {}

impl Connection for PgConnection {
    type Backend = Pg;
    type TransactionManager = AnsiTransactionManager;

    fn establish(url: &str) -> ConnectionResult<Self> {
        let url = postgres_url(url).map_err(ConnectionError::InvalidConnectionUrl)?;
        let opened = Self::first(&Arc::new(Server::new(url)));
        opened.map_err(|error| ConnectionError::BadConnection(error.to_string()))
    }

    fn execute_returning_count<T: QueryFragment<Pg> + QueryId>(&mut self, query: &T) -> QueryResult<usize> {
        let (_, changed) = self.answer(query)?;
        usize::try_from(changed).map_err(|error| QueryError::DeserializationError(error.into()))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transaction
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        &mut *self.instrumentation
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.instrumentation = instrumentation.into();
    }

    /// Which statements are kept is decided by what is in between.
    fn set_prepared_statement_cache_size(&mut self, _: CacheSize) {}
}

impl LoadConnection for PgConnection {
    type Cursor<'conn, 'query> = std::iter::Map<std::vec::IntoIter<PgRow>, fn(PgRow) -> QueryResult<PgRow>>;
    type Row<'conn, 'query> = PgRow;

    fn load<'conn, 'query, T>(&'conn mut self, query: T) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: diesel::expression::QueryMetadata<T::SqlType>,
    {
        let (rows, _) = self.answer(&query)?;
        Ok(row::rows(rows).into_iter().map(Ok))
    }
}

impl diesel::migration::MigrationConnection for PgConnection {
    fn setup(&mut self) -> QueryResult<usize> {
        self.batch_execute(diesel::migration::CREATE_MIGRATIONS_TABLE).map(|()| 0)
    }
}

impl diesel::r2d2::R2D2Connection for PgConnection {
    /// Without a round trip: lets the driver read what arrived while the connection was idle, then asks whether it is
    /// still open.
    fn ping(&mut self) -> QueryResult<()> {
        self.wait(async |_| {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            Ok(())
        })?;
        if self.is_broken() { Err(QueryError::BrokenTransactionManager) } else { Ok(()) }
    }

    /// Never touches the runtime: r2d2 calls it when a guard is dropped.
    fn is_broken(&mut self) -> bool {
        self.unfit
            || self.session.client.is_closed()
            || self.session.generation != self.server.generation()
            || AnsiTransactionManager::is_broken_transaction_manager(self)
    }
}

/// Every SQL type here has a fixed OID, so that nothing is ever looked up by name.
pub(super) struct NoLookup;

impl PgMetadataLookup for NoLookup {
    fn lookup_type(&mut self, name: &str, schema: Option<&str>) -> PgTypeMetadata {
        let key = PgMetadataCacheKey::new(schema.map(|schema| schema.to_owned().into()), name.to_owned().into());
        PgTypeMetadata::from_result(Err(FailedToLookupTypeError::new(key)))
    }
}

/// `'static`, unlike what an elided `&mut dyn PgMetadataLookup` would be.
type Lookup = dyn PgMetadataLookup;

impl MultiConnectionHelper for PgConnection {
    fn to_any<'a>(_: &mut Lookup) -> &mut (dyn Any + 'a) {
        Box::leak(Box::new(NoLookup)) // has no size: allocates nothing
    }

    fn from_any(lookup: &mut dyn Any) -> Option<&mut Lookup> {
        lookup.downcast_mut::<NoLookup>().map(|lookup| lookup as _)
    }
}
