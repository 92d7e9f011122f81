//! Whether another connection, of this process or of the command line, has written into SQLite's file since a moment ago.
//!
//! Each thread that asks has a connection of its own for it: `PRAGMA data_version` says in about a microsecond whether
//! anything was committed, and only then is the feed read for what it was. Nothing waits here: where the file can't be
//! asked at once, the answer is no.

use std::cell::RefCell;
use std::path::PathBuf;

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::BigInt;

use super::changes;
use super::memory::Memory;
use crate::domain::Error;
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::sqlite_file::SqliteFile;

thread_local! {
    /// Of the watch that this thread asked last: in a server there is one.
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

/// A thread that has more rows to read forgets everyone.
const AT_ONCE: i64 = 1000;

/// A memory, and whether it has been told of all that was written.
pub struct SqliteWatch {
    file: SqliteFile,
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
        Self { file: SqliteFile::new(path), memory: Memory::default() }
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
                Some(seen) if seen.by == self.file.number() => seen.look(&self.memory),
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
        let mut connection = self.file.connect().map_err(Error::database)?;
        let version = version(&mut connection)?;
        let position = changes::position(&mut connection)?;
        // Of what was committed before, this thread will not be told.
        self.memory.forget_everyone();
        Ok(Seen { by: self.file.number(), connection, version, position })
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
            for changes::Row { id, change, .. } in changes::after(&mut self.connection, self.position, AT_ONCE)? {
                memory.forget(&change);
                self.position = id;
            }
            self.version = version;
        }
        Ok(())
    }
}

/// `PRAGMA data_version`, which stays prepared.
#[derive(Clone, Copy, QueryId)]
struct DataVersion;

impl Query for DataVersion {
    type SqlType = BigInt;
}

impl<C> RunQueryDsl<C> for DataVersion {}

impl<DB: Backend> QueryFragment<DB> for DataVersion {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("PRAGMA data_version");
        Ok(())
    }
}

fn version(connection: &mut AnyConnection) -> Result<i64> {
    Ok(DataVersion.get_result(connection)?)
}
