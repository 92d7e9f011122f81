//! The schema, brought up to date at start.

use std::path::Path;

use diesel::connection::{AnsiTransactionManager, TransactionManager as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::any_connection::AnyConnection;
use super::open_error::OpenError;
use super::postgres::Patience;
use crate::settings::DatabaseUrl;

const SQLITE_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES_MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Brings the schema up to date. Two processes that start at once do it one after the other.
pub(super) fn migrate(
    connection: &mut AnyConnection,
    url: &DatabaseUrl,
    target: &str,
) -> std::result::Result<(), OpenError> {
    match (connection, url) {
        (AnyConnection::Sqlite(connection), DatabaseUrl::Sqlite(path)) => {
            let _lock = migration_lock(path).map_err(|error| OpenError::Migration(error.to_string()))?;
            run(connection, SQLITE_MIGRATIONS, target)
        }
        (AnyConnection::Postgres(connection), _) => {
            // One transaction for all: the lock ends with it, and nothing is left in the session of a pooler.
            connection.begin(Patience::Migration).map_err(OpenError::unreachable)?;
            match run(connection, POSTGRES_MIGRATIONS, target) {
                Ok(()) => AnsiTransactionManager::commit_transaction(connection).map_err(OpenError::unreachable),
                Err(error) => {
                    if let Err(lost) = AnsiTransactionManager::rollback_transaction(connection) {
                        tracing::debug!(error = %lost, "no rollback");
                    }
                    Err(error)
                }
            }
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
