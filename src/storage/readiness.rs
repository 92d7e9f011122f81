//! Whether a store does what requests need of it, and what fails where it does not.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use tokio::sync::Mutex;

use super::Database;
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
        let tried = try_database(database).await;
        *last = Some((began, tried.clone()));
        tried
    }
}

/// Reads and writes as requests do, and says how long that took. The row is committed: that is where a full disk, or a
/// standby that is waited for, is met.
pub async fn try_database(database: &Database) -> Result<Duration, Fault> {
    let began = Instant::now();
    let read = database.read(|connection| {
        diesel::sql_query("SELECT 1").execute(connection)?;
        Ok(())
    });
    read.await.map_err(|error| fault("read", &error))?;
    // Whoever would wait for others who write, longer than a request does, has found no fault.
    if database.is_being_written() {
        return Ok(began.elapsed());
    }
    let written = database.write(|connection| {
        let upsert = "INSERT INTO installation (name, value) VALUES ('readiness', '') \
                      ON CONFLICT (name) DO UPDATE SET value = ''";
        diesel::sql_query(upsert).execute(connection)?;
        Ok(())
    });
    written.await.map_err(|error| fault("write", &error))?;
    Ok(began.elapsed())
}

fn fault(failed: &'static str, error: &Error) -> Fault {
    let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    Fault {
        failed,
        code: "unavailable".to_owned(),
        said,
        advice: "check database_url, that the server runs and takes writes, and that its disk has room".to_owned(),
    }
}
