//! Whether another connection, of this process or of the command line, has written into SQLite's file since a moment ago.
//!
//! Each thread that asks has a connection of its own for it: `PRAGMA data_version` says in about a microsecond whether
//! anything was committed, and only then is the feed read for what it was. Nothing waits here: where the file can't be
//! asked at once, the answer is no.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::changes;
use super::memory::Memory;
use crate::domain::Error;
use crate::storage::Result;
use crate::storage::database::AnyConnection;

thread_local! {
    /// Of the watch that this thread asked last: in a server there is one.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// A thread that has more rows to read forgets everyone.
const AT_ONCE: i64 = 1000;

/// A memory, and whether it has been told of all that was written.
pub struct SqliteWatch {
    number: u64,
    path: PathBuf,
    memory: Memory,
}

/// How far a thread has looked.
struct Seen {
    by: u64,
    connection: AnyConnection,
    version: i64,
    position: i64,
}

impl SqliteWatch {
    pub fn new(path: PathBuf) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self { number: COUNT.fetch_add(1, Ordering::Relaxed), path, memory: Memory::default() }
    }

    /// The memory, where it was told of all that was committed before this call.
    pub fn memory(&self) -> Option<&Memory> {
        self.is_told().then_some(&self.memory)
    }

    /// The memory, whether told or not: for whoever tells it.
    pub fn any_memory(&self) -> &Memory {
        &self.memory
    }

    fn is_told(&self) -> bool {
        SEEN.with_borrow_mut(|seen| {
            let looked = match seen {
                Some(seen) if seen.by == self.number => seen.look(&self.memory),
                _ => self.begin().map(|began| *seen = Some(began)),
            };
            if let Err(error) = &looked {
                tracing::debug!(%error, "the database can't be asked whether it was written into");
                *seen = None;
            }
            looked.is_ok()
        })
    }

    fn begin(&self) -> Result<Seen> {
        let path = self.path.to_str().ok_or_else(|| Error::internal("a path that is no UTF-8"))?;
        let mut connection = SqliteConnection::establish(path).map_err(Error::database)?;
        connection.batch_execute("PRAGMA busy_timeout = 0; PRAGMA query_only = ON;")?;
        let mut connection = AnyConnection::Sqlite(connection);
        let version = version(&mut connection)?;
        let position = changes::position(&mut connection)?;
        // Of what was committed before, this thread will not be told.
        self.memory.forget_everyone();
        Ok(Seen { by: self.number, connection, version, position })
    }
}

impl Seen {
    fn look(&mut self, memory: &Memory) -> Result<()> {
        let version = version(&mut self.connection)?;
        if version != self.version {
            let position = changes::position(&mut self.connection)?;
            if position - self.position > AT_ONCE {
                memory.forget_everyone();
                self.position = position;
            }
            for (id, change) in changes::after(&mut self.connection, self.position, AT_ONCE)? {
                memory.forget(&change);
                self.position = id;
            }
            self.version = version;
        }
        Ok(())
    }
}

#[derive(QueryableByName)]
struct DataVersion {
    #[diesel(sql_type = BigInt)]
    data_version: i64,
}

fn version(connection: &mut AnyConnection) -> Result<i64> {
    Ok(diesel::sql_query("PRAGMA data_version").get_result::<DataVersion>(connection)?.data_version)
}
