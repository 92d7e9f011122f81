//! What happened in each hour: counted in the transaction of each event, never by reading the log.

use std::net::IpAddr;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::failing_addresses;
use crate::domain::{Event, Timestamp};
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::schema::stat_hours;
use crate::storage::types::TimestampColumn;

const MILLIS_OF_AN_HOUR: i64 = 3_600_000;

/// What happened in one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HourCounts {
    pub sign_ins: i64,
    pub failures: i64,
    pub reuse_alarms: i64,
}

impl HourCounts {
    /// What one event adds; `None` for those that are not counted.
    pub fn of(event: Event) -> Option<Self> {
        match event {
            Event::SignInSuccess => Some(Self { sign_ins: 1, ..Self::default() }),
            Event::SignInFailed => Some(Self { failures: 1, ..Self::default() }),
            Event::TokenReuseDetected => Some(Self { reuse_alarms: 1, ..Self::default() }),
            _ => None,
        }
    }
}

impl std::ops::AddAssign for HourCounts {
    fn add_assign(&mut self, more: Self) {
        self.sign_ins += more.sign_ins;
        self.failures += more.failures;
        self.reuse_alarms += more.reuse_alarms;
    }
}

/// The start of the hour.
pub fn hour_of(moment: Timestamp) -> Timestamp {
    let millis = moment.timestamp_millis();
    Timestamp::from_millis(millis - millis.rem_euclid(MILLIS_OF_AN_HOUR))
}

/// Counts an event from `address`, in its own transaction.
pub fn count(connection: &mut AnyConnection, event: Event, address: Option<IpAddr>, now: Timestamp) -> Result<()> {
    let Some(counts) = HourCounts::of(event) else { return Ok(()) };
    let hour = hour_of(now);
    let query = "INSERT INTO stat_hours (hour, sign_ins, failures, reuse_alarms) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (hour) DO UPDATE SET sign_ins = stat_hours.sign_ins + excluded.sign_ins, \
                 failures = stat_hours.failures + excluded.failures, \
                 reuse_alarms = stat_hours.reuse_alarms + excluded.reuse_alarms";
    diesel::sql_query(query)
        .bind::<TimestampColumn, _>(hour)
        .bind::<BigInt, _>(counts.sign_ins)
        .bind::<BigInt, _>(counts.failures)
        .bind::<BigInt, _>(counts.reuse_alarms)
        .execute(connection)?;
    match address.filter(|_| counts.failures > 0) {
        Some(address) => failing_addresses::count(connection, address, hour),
        None => Ok(()),
    }
}

/// The hours since `since` in which something happened, the oldest first.
pub fn since(connection: &mut AnyConnection, since: Timestamp) -> Result<Vec<(Timestamp, HourCounts)>> {
    let rows: Vec<(Timestamp, i64, i64, i64)> =
        stat_hours::table.filter(stat_hours::hour.ge(since)).order(stat_hours::hour).load(connection)?;
    let counts = |(hour, sign_ins, failures, reuse_alarms)| (hour, HourCounts { sign_ins, failures, reuse_alarms });
    Ok(rows.into_iter().map(counts).collect())
}

/// Forgets hours before `limit`.
pub fn prune(connection: &mut AnyConnection, limit: Timestamp) -> Result<usize> {
    Ok(diesel::delete(stat_hours::table.filter(stat_hours::hour.lt(limit))).execute(connection)?)
}
