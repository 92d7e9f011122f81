//! Whether a store does what requests need of it, and what fails where it does not.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::sql_types::Text;

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

/// Reads and writes as requests do, and says how long that took. The row that is written is taken back.
pub async fn try_database(database: &Database) -> Result<Duration, Fault> {
    let began = Instant::now();
    let read = database.read(|connection| {
        diesel::sql_query("SELECT 1").execute(connection)?;
        Ok(())
    });
    read.await.map_err(|error| fault("read", &error))?;
    // Where all who write wait for one another, whoever waits longer than a request would has found no fault.
    if database.has_one_writer() && database.is_being_written() {
        return Ok(began.elapsed());
    }
    let written = database.write(|connection| {
        let name = format!("readiness {}", uuid::Uuid::new_v4());
        let insert = diesel::sql_query("INSERT INTO installation (name, value) VALUES ($1, '')").bind::<Text, _>(name);
        insert.execute(connection)?;
        Err(Error::internal(TakenBack))
    });
    match written.await {
        Ok(()) => Ok(began.elapsed()),
        Err(Error::Internal(cause)) if cause.is::<TakenBack>() => Ok(began.elapsed()),
        Err(error) => Err(fault("write", &error)),
    }
}

/// Ends the transaction of a try-out, as intended.
#[derive(Debug, thiserror::Error)]
#[error("taken back")]
struct TakenBack;

fn fault(failed: &'static str, error: &Error) -> Fault {
    let said = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    Fault {
        failed,
        code: "unavailable".to_owned(),
        said,
        advice: "check database_url, that the server runs and takes writes, and that its disk has room".to_owned(),
    }
}
