//! How connections of the pool are made, and why one can't be.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::r2d2::{ManageConnection, R2D2Connection as _};

use super::any_connection::AnyConnection;
use super::open_error::OpenError;
use super::postgres::{PgConnection, Server};
use crate::settings::DatabaseUrl;

/// By the kind of URL: the derived `establish` tries one after the other and hides the real error.
pub enum Manager {
    Sqlite(PathBuf),
    Postgres(Arc<Server>),
}

impl Manager {
    pub fn new(url: &DatabaseUrl) -> Self {
        match url {
            DatabaseUrl::Sqlite(path) => Self::Sqlite(path.clone()),
            DatabaseUrl::Postgres(url) => Self::Postgres(Arc::new(Server::new((**url).clone()))),
        }
    }

    /// The one at start.
    pub fn first(&self) -> std::result::Result<AnyConnection, OpenError> {
        match self {
            Self::Sqlite(_) => self.connect(),
            Self::Postgres(server) => PgConnection::first(server).map(AnyConnection::Postgres),
        }
    }
}

impl ManageConnection for Manager {
    type Connection = AnyConnection;
    type Error = OpenError;

    fn connect(&self) -> std::result::Result<AnyConnection, OpenError> {
        match self {
            Self::Postgres(server) => PgConnection::another(server).map(AnyConnection::Postgres),
            Self::Sqlite(path) => {
                // A name that begins with `file:`, or with `:`, would not be taken for one.
                let path = if path.is_relative() { &Path::new(".").join(path) } else { path };
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

    fn is_valid(&self, connection: &mut AnyConnection) -> std::result::Result<(), OpenError> {
        match connection {
            AnyConnection::Postgres(postgres) => postgres.ping().map_err(OpenError::unreachable),
            // A file has no other end that could have gone.
            AnyConnection::Sqlite(_) => Ok(()),
        }
    }

    fn has_broken(&self, connection: &mut AnyConnection) -> bool {
        connection.is_broken()
    }
}

#[derive(Debug)]
pub struct LogPoolError;

impl diesel::r2d2::HandleError<OpenError> for LogPoolError {
    fn handle_error(&self, error: OpenError) {
        tracing::warn!(error = %error, "no connection to the database");
    }
}
