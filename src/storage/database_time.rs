//! What time it is for the database.

use chrono::TimeDelta;
use diesel::prelude::*;

use super::Database;
use super::database::AnyConnection;
use super::types::TimestampColumn;
use crate::domain::{Clock, Timestamp};
use crate::storage::Result;

#[derive(QueryableByName)]
struct DatabaseTime {
    #[diesel(sql_type = TimestampColumn)]
    now: Timestamp,
}

/// The present time by the database's clock.
pub fn database_time(connection: &mut AnyConnection) -> Result<Timestamp> {
    let query = match connection {
        AnyConnection::Postgres(_) => "SELECT clock_timestamp() AS now",
        AnyConnection::Sqlite(_) => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now",
    };
    Ok(diesel::sql_query(query).get_result::<DatabaseTime>(connection)?.now)
}

/// How far the clock of the database is from this host's.
#[derive(Clone, Copy, Debug)]
pub struct ClockDifference {
    pub ahead: TimeDelta,
    /// By how much that may be wrong: nobody knows when within the question the database looked at its clock.
    pub error: TimeDelta,
}

/// Asks a database that may be on another host; `None` where it is on this one.
pub async fn clock_difference(database: &Database, clock: &Clock) -> Result<Option<ClockDifference>> {
    let clock = clock.clone();
    let asked = database.read(move |connection| {
        if matches!(connection, AnyConnection::Sqlite(_)) {
            return Ok(None);
        }
        let before = clock.of_host();
        let there = database_time(connection)?;
        let error = (clock.of_host() - before) / 2;
        Ok(Some(ClockDifference { ahead: there - (before + error), error: error.abs() }))
    });
    asked.await
}
