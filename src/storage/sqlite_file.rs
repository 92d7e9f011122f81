//! SQLite's file, read without a hop to another thread.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;

use super::any_connection::AnyConnection;
use super::open_error::OpenError;
use crate::storage::Result;

thread_local! {
    /// To the file that this thread read last: in a server there is one.
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// The file of a database. Each thread that reads it has a connection of its own, for as long as it lives.
#[derive(Clone, Debug)]
pub struct SqliteFile {
    number: u64,
    path: Arc<PathBuf>,
}

struct Here {
    number: u64,
    connection: AnyConnection,
}

impl SqliteFile {
    pub fn new(path: PathBuf) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self { number: COUNT.fetch_add(1, Ordering::Relaxed), path: Arc::new(path) }
    }

    /// What the queries find. `None` where they can't be done at once: whoever may wait does them elsewhere.
    pub fn read_here<T>(&self, queries: impl FnOnce(&mut AnyConnection) -> Result<T>) -> Option<T> {
        HERE.with_borrow_mut(|here| {
            if here.as_ref().is_none_or(|here| here.number != self.number) {
                *here = self.connect().map(|connection| Here { number: self.number, connection }).ok();
            }
            let found = queries(&mut here.as_mut()?.connection).ok();
            if found.is_none() {
                *here = None;
            }
            found
        })
    }

    /// Of this file and no other, also where another one has its path later.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// One more connection that only reads, and never waits.
    pub fn connect(&self) -> std::result::Result<AnyConnection, OpenError> {
        let path = self.path.to_str().ok_or(OpenError::Path)?;
        let mut connection = SqliteConnection::establish(path).map_err(OpenError::unreachable)?;
        // Nothing waits on the thread of others' requests.
        let settings = "PRAGMA busy_timeout = 0; PRAGMA query_only = ON;";
        connection.batch_execute(settings).map_err(OpenError::unreachable)?;
        Ok(AnyConnection::Sqlite(connection))
    }
}
