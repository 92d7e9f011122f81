//! A synchronous Diesel connection over tokio-postgres: PostgreSQL without libpq or OpenSSL, as a variant of
//! [`super::database::AnyConnection`]. Each connection has its own single-threaded runtime, so that the protocol is
//! driven by the thread that waits for it. Never used on an async worker, where starting a runtime panics.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::{
    CacheSize, Connection, Instrumentation, LoadConnection, SimpleConnection, TransactionManager,
    TransactionManagerStatus,
};
use diesel::internal::derives::multiconnection::{ConnectionSealed, MultiConnectionHelper};
use diesel::pg::{FailedToLookupTypeError, Pg, PgMetadataCacheKey, PgMetadataLookup, PgTypeMetadata};
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::result::{DatabaseErrorKind, Error as QueryError};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::pooled_connection::PoolableConnection as _;
use diesel_async::{
    AsyncConnection, AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection,
    TransactionManager as AsyncTransactionManager,
};
use futures_util::StreamExt as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::runtime::Runtime;
use tokio_postgres::config::SslMode;

type Inner = <AsyncPgConnection as AsyncConnection>::TransactionManager;

/// A server that has not answered a statement by then is taken for dead: its own `statement_timeout` is shorter.
const GIVE_UP: Duration = Duration::from_secs(7);
const CONNECT: Duration = Duration::from_millis(800);

pub struct PgConnection {
    inner: AsyncPgConnection,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    /// A statement was given up: what its transaction did is unknown, so the connection is not used again.
    given_up: bool,
}

impl PgConnection {
    /// Connects to `postgres://…?sslmode=…&sslrootcert=…`.
    pub fn connect(url: &str) -> ConnectionResult<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let inner = runtime.block_on(open(url))?;
        Ok(Self { inner, runtime: Some(runtime), given_up: false })
    }

    fn wait<T>(&mut self, work: impl AsyncFnOnce(&mut AsyncPgConnection) -> QueryResult<T>) -> QueryResult<T> {
        let runtime = self.runtime.as_ref().ok_or(QueryError::BrokenTransactionManager)?;
        let inner = &mut self.inner;
        runtime.block_on(async { tokio::time::timeout(GIVE_UP, work(inner)).await }).unwrap_or_else(|_| {
            self.given_up = true;
            let message = "PostgreSQL did not answer in time".to_owned();
            Err(QueryError::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(message)))
        })
    }
}

impl Drop for PgConnection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // allowed where dropping a runtime is not
        }
    }
}

fn refused(error: impl std::error::Error) -> ConnectionError {
    // tokio-postgres says "error connecting to server" and keeps the reason in the source.
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    ConnectionError::BadConnection(text)
}

async fn open(url: &str) -> ConnectionResult<AsyncPgConnection> {
    let (url, tls) = take_tls_parameters(url)?;
    let mut config: tokio_postgres::Config = url.parse().map_err(refused)?;
    config.connect_timeout(CONNECT).tcp_user_timeout(GIVE_UP).application_name("portcullis").ssl_mode(tls.mode);
    let connecting = async {
        if tls.mode == SslMode::Disable {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(refused)?;
            return AsyncPgConnection::try_from_client_and_connection(client, connection).await;
        }
        let tls = tokio_postgres_rustls::MakeRustlsConnect::new(tls.client_config()?);
        let (client, connection) = config.connect(tls).await.map_err(refused)?;
        AsyncPgConnection::try_from_client_and_connection(client, connection).await
    };
    tokio::time::timeout(GIVE_UP, connecting).await.map_err(refused)?
}

struct Tls {
    mode: SslMode,
    root_certificate: Option<String>,
}

/// Takes `sslmode` and `sslrootcert` out of the URL: tokio-postgres knows neither `verify-ca` and `verify-full` nor a
/// root certificate. rustls always verifies chain and host name, so all of `require` and above mean `verify-full`.
fn take_tls_parameters(url: &str) -> ConnectionResult<(String, Tls)> {
    let mut url = url::Url::parse(url).map_err(refused)?;
    let mut tls = Tls { mode: SslMode::Prefer, root_certificate: None };
    let mut rest = Vec::new();
    for (name, value) in url.query_pairs() {
        match (name.as_ref(), value.as_ref()) {
            ("sslmode", "disable") => tls.mode = SslMode::Disable,
            ("sslmode", "allow" | "prefer") => tls.mode = SslMode::Prefer,
            ("sslmode", _) => tls.mode = SslMode::Require,
            ("sslrootcert", path) => tls.root_certificate = Some(path.to_owned()),
            _ => rest.push((name.into_owned(), value.into_owned())),
        }
    }
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    Ok((url.into(), tls))
}

impl Tls {
    fn client_config(&self) -> ConnectionResult<rustls::ClientConfig> {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(path) = &self.root_certificate {
            for certificate in CertificateDer::pem_file_iter(path).map_err(refused)? {
                roots.add(certificate.map_err(refused)?).map_err(refused)?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Ok(rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

impl SimpleConnection for PgConnection {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.wait(async |connection| connection.batch_execute(query).await)
    }
}

impl ConnectionSealed for PgConnection {}

impl Connection for PgConnection {
    type Backend = Pg;
    type TransactionManager = PgTransactions;

    fn establish(url: &str) -> ConnectionResult<Self> {
        Self::connect(url)
    }

    fn execute_returning_count<T: QueryFragment<Pg> + QueryId>(&mut self, query: &T) -> QueryResult<usize> {
        self.wait(async |connection| connection.execute_returning_count(query).await)
    }

    fn transaction_state(&mut self) -> &mut <PgTransactions as TransactionManager<Self>>::TransactionStateData {
        self.inner.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.inner.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.inner.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.inner.set_prepared_statement_cache_size(size);
    }
}

impl LoadConnection for PgConnection {
    type Cursor<'conn, 'query> = std::vec::IntoIter<QueryResult<Self::Row<'conn, 'query>>>;
    type Row<'conn, 'query> = <AsyncPgConnection as AsyncConnectionCore>::Row<'conn, 'query>;

    fn load<'conn, 'query, T>(&'conn mut self, query: T) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Pg> + QueryId + 'query,
        Pg: diesel::expression::QueryMetadata<T::SqlType>,
    {
        self.wait(async |connection| Ok(connection.load(query).await?.collect::<Vec<_>>().await.into_iter()))
    }
}

/// Transactions, by diesel-async's own manager.
pub struct PgTransactions;

impl TransactionManager<PgConnection> for PgTransactions {
    type TransactionStateData = <Inner as AsyncTransactionManager<AsyncPgConnection>>::TransactionStateData;

    fn begin_transaction(connection: &mut PgConnection) -> QueryResult<()> {
        connection.wait(async |inner| Inner::begin_transaction(inner).await)
    }

    fn rollback_transaction(connection: &mut PgConnection) -> QueryResult<()> {
        connection.wait(async |inner| Inner::rollback_transaction(inner).await)
    }

    fn commit_transaction(connection: &mut PgConnection) -> QueryResult<()> {
        connection.wait(async |inner| Inner::commit_transaction(inner).await)
    }

    fn transaction_manager_status_mut(connection: &mut PgConnection) -> &mut TransactionManagerStatus {
        Inner::transaction_manager_status_mut(&mut connection.inner)
    }

    fn is_broken_transaction_manager(connection: &mut PgConnection) -> bool {
        Inner::is_broken_transaction_manager(&mut connection.inner)
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
        self.given_up || self.inner.is_broken()
    }
}

/// Every SQL type here has a fixed OID, so that nothing is ever looked up by name.
struct NoLookup;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_parameters_are_taken_out_of_the_url_and_anything_above_prefer_verifies() {
        let (url, tls) =
            take_tls_parameters("postgres://a:b@h/d?sslmode=verify-full&sslrootcert=/ca.pem&application_name=x")
                .unwrap();
        assert_eq!(url, "postgres://a:b@h/d?application_name=x");
        assert_eq!(tls.mode, SslMode::Require);
        assert_eq!(tls.root_certificate.as_deref(), Some("/ca.pem"));
        assert_eq!(take_tls_parameters("postgres://h/d").unwrap().1.mode, SslMode::Prefer);
        assert_eq!(take_tls_parameters("postgres://h/d?sslmode=disable").unwrap().1.mode, SslMode::Disable);
    }
}
