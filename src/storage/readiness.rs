//! Whether a store does what requests need of it, and what fails where it does not.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::sql_types::Text;
use tokio::sync::Mutex;

use super::Database;
use super::any_connection::AnyConnection;
use crate::domain::Error;

/// What failed when a store was tried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// At which step: `connect`, `read`, `write` and so on.
    pub failed: &'static str,
    /// The store's own word for it, or one of ours.
    pub code: String,
    /// What else it said: for operators, not for everyone.
    pub said: String,
    /// What the operator should look at.
    pub advice: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { failed, code, said, advice } = self;
        let space = if said.is_empty() { "" } else { " " };
        write!(f, "can't {failed}: {code}{space}{said}; {advice}")
    }
}

/// What requests for the readiness of a database share: of any number at once, one tries it out.
#[derive(Default)]
pub struct TryOut(Mutex<Option<(Instant, Result<Duration, Fault>)>>);

impl TryOut {
    /// What came of a try-out that began after this call.
    pub async fn of(&self, database: &Database) -> Result<Duration, Fault> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((began, tried)) = &*last
            && *began >= asked
        {
            return tried.clone();
        }
        let began = Instant::now();
        let had_failed = last.as_ref().is_some_and(|(_, tried)| tried.is_err());
        let tried = try_database(database, had_failed).await;
        *last = Some((began, tried.clone()));
        tried
    }
}

/// Bytes that a try-out writes on SQLite: as many pages as a sign-in changes. Where they don't fit, nor does that.
const WRITTEN: usize = 64 * 1024;

/// Reads and writes as requests do, and says how long that took. The row is committed: that is where a full disk, or a
/// standby that is waited for, is met. What is written differs each time, for SQLite writes no page that stays the same.
///
/// `had_failed`: whether the last one did. Only what is written says that this is over.
pub async fn try_database(database: &Database, had_failed: bool) -> Result<Duration, Fault> {
    let began = Instant::now();
    let read = database.read(|connection| {
        diesel::sql_query("SELECT 1").execute(connection)?;
        Ok(())
    });
    read.await.map_err(|error| fault("read", &error))?;
    // Whoever would wait for others who write, longer than a request does, has found no fault.
    if database.is_being_written() && !had_failed {
        return Ok(began.elapsed());
    }
    let written = database.write(|connection| {
        let word = format!("{:016x}", rand::random::<u64>());
        let value = match connection {
            AnyConnection::Sqlite(_) => word.repeat(WRITTEN / word.len()),
            AnyConnection::Postgres(_) => word,
        };
        let upsert = "INSERT INTO installation (name, value) VALUES ('readiness', $1) \
                      ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        diesel::sql_query(upsert).bind::<Text, _>(value).execute(connection)?;
        Ok(())
    });
    written.await.map_err(|error| fault("write", &error))?;
    Ok(began.elapsed())
}

fn fault(failed: &'static str, error: &Error) -> Fault {
    let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    // SQLITE_FULL, and what PostgreSQL says to ENOSPC.
    let is_full = ["disk is full", "No space left on device"].iter().any(|words| said.contains(words));
    let (code, advice) = if is_full {
        ("disk_full", "make room on the disk of the database")
    } else {
        ("unavailable", "check database_url, that the server runs and takes writes, and that its disk has room")
    };
    Fault { failed, code: code.to_owned(), said, advice: advice.to_owned() }
}
