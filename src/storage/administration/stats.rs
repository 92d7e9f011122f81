//! Figures: counted as things happen, or once in a while for all; never by reading the audit log.

use std::net::IpAddr;

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::domain::{Event, Role, SessionKind, Timestamp};
use crate::storage::Result;
use crate::storage::audit::failing_addresses;
use crate::storage::database::AnyConnection;
use crate::storage::schema::{figures, sessions, stat_hours, users};
use crate::storage::sessions::open::{open, open_in_index};
use crate::storage::types::TimestampColumn;

/// So many rows are counted for a page; of more, a figure of a while ago is told.
const COUNTED: i64 = 5000;
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
pub fn hours(connection: &mut AnyConnection, since: Timestamp) -> Result<Vec<(Timestamp, HourCounts)>> {
    let rows: Vec<(Timestamp, i64, i64, i64)> =
        stat_hours::table.filter(stat_hours::hour.ge(since)).order(stat_hours::hour).load(connection)?;
    let counts = |(hour, sign_ins, failures, reuse_alarms)| (hour, HourCounts { sign_ins, failures, reuse_alarms });
    Ok(rows.into_iter().map(counts).collect())
}

/// Forgets hours before `limit`.
pub fn prune(connection: &mut AnyConnection, limit: Timestamp) -> Result<usize> {
    Ok(diesel::delete(stat_hours::table.filter(stat_hours::hour.lt(limit))).execute(connection)?)
}

/// How many accounts were created since `since`.
pub fn new_users(connection: &mut AnyConnection, since: Timestamp) -> Result<i64> {
    let new = users::table.filter(users::deleted_at.is_null()).filter(users::created_at.ge(since));
    Ok(new.select(count_star()).first(connection)?)
}

/// A number that is exact where it is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    pub value: i64,
    /// Else as it was when it was last counted.
    pub exact: bool,
}

/// Whose sessions a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    Everyone,
    /// Accounts with the role user: all that a manager reaches.
    Users,
}

/// How many sessions of that kind have not ended; `None` where they are many and were never counted.
pub fn open_sessions(connection: &mut AnyConnection, kind: SessionKind, owners: Owners) -> Result<Option<Figure>> {
    let open = sessions::table.filter(open()).filter(sessions::kind.eq(kind));
    let few: Vec<i64> = open.select(1i64.into_sql::<BigInt>()).limit(COUNTED + 1).load(connection)?;
    let few = few.len() as i64;
    if few <= COUNTED {
        let value = match owners {
            Owners::Everyone => few,
            Owners::Users => {
                let of_users = open.inner_join(users::table).filter(users::role.eq(Role::User));
                of_users.select(count_star()).first(connection)?
            }
        };
        return Ok(Some(Figure { value, exact: true }));
    }
    let known: Option<i64> =
        figures::table.find(figure_of(kind, owners)).select(figures::value).first(connection).optional()?;
    let least = if owners == Owners::Everyone { few } else { 0 };
    Ok(known.map(|value| Figure { value: value.max(least), exact: false }))
}

/// Counts them all, for [`open_sessions`] to tell from.
pub fn count_open_sessions(connection: &mut AnyConnection, kind: SessionKind) -> Result<[(Owners, i64); 2]> {
    let open = sessions::table.filter(open()).filter(sessions::kind.eq(kind));
    let all: i64 = open.select(count_star()).first(connection)?;
    // Those of the others are few, and found by their accounts: nobody is looked up for each of a million sessions.
    let above: Vec<Role> = Role::ALL.iter().copied().filter(|role| *role != Role::User).collect();
    let others = users::table.filter(users::deleted_at.is_null()).filter(users::role.eq_any(above)).select(users::id);
    let of_others = sessions::table
        .filter(sessions::user_id.eq_any(others))
        .filter(open_in_index())
        // So that the index of the kind does not serve it.
        .filter(sessions::kind.concat("").eq(kind.as_str()));
    let of_others: i64 = of_others.select(count_star()).first(connection)?;
    Ok([(Owners::Everyone, all), (Owners::Users, (all - of_others).max(0))])
}

/// Keeps what [`count_open_sessions`] has counted.
pub fn keep_count(
    connection: &mut AnyConnection,
    kind: SessionKind,
    (owners, value): (Owners, i64),
    now: Timestamp,
) -> Result<()> {
    let query = "INSERT INTO figures (name, value, at) VALUES ($1, $2, $3) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at";
    diesel::sql_query(query)
        .bind::<diesel::sql_types::Text, _>(figure_of(kind, owners))
        .bind::<BigInt, _>(value)
        .bind::<TimestampColumn, _>(now)
        .execute(connection)?;
    Ok(())
}

fn figure_of(kind: SessionKind, owners: Owners) -> &'static str {
    match (kind, owners) {
        (SessionKind::Browser, Owners::Everyone) => "open_browser_sessions",
        (SessionKind::Api, Owners::Everyone) => "open_api_sessions",
        (SessionKind::Browser, Owners::Users) => "open_browser_sessions_of_users",
        (SessionKind::Api, Owners::Users) => "open_api_sessions_of_users",
    }
}
