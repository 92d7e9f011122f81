//! The feed: what writers did, for every node to take out of the Redis that it sees.
//!
//! Rows are timed by the database's clock, because nodes' clocks differ. A transaction may commit its row later than
//! one with a higher id. So a reader looks back: to the begin of the oldest transaction that was under way at its earlier
//! reading, where the database tells (PostgreSQL, of transactions of the same role), and by [`LATE_COMMIT`] in any case.
//! A commit that waits long for a synchronous standby is found by the first.

use std::time::Instant;

use chrono::TimeDelta;
use diesel::dsl::max;
use diesel::prelude::*;
use diesel::sql_types::Nullable;

use super::super::database::AnyConnection;
use super::super::database_time::database_time;
use super::super::schema::changes;
use super::super::types::TimestampColumn;
use super::change_kind::ChangeKind;
use crate::domain::{SessionId, Timestamp, UserId};
use crate::storage::Result;

/// By how much a row may appear after its own time, where the database doesn't tell what is under way.
const LATE_COMMIT: TimeDelta = TimeDelta::seconds(10);
/// How long rows are kept. A node that read nothing for half of it starts anew.
pub const KEPT: TimeDelta = TimeDelta::hours(1);

/// Whose row it is where it is nobody's.
const NOBODY: UserId = UserId(uuid::Uuid::nil());

/// What a writer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    SessionEnded(UserId, SessionId),
    SecretChanged(UserId, SessionId),
    /// A new profile, role, status or epoch.
    User(UserId),
    UserDeleted(UserId),
    /// New epochs of many accounts: no copy from before is believed any more.
    Everyone,
}

/// Adds a row. The last thing that a transaction does, so that it commits soon after the row's time.
pub fn append(connection: &mut AnyConnection, change: Change) -> Result<()> {
    let (kind, user_id, session_id) = match change {
        Change::SessionEnded(user, session) => (ChangeKind::SessionEnded, user, Some(session)),
        Change::SecretChanged(user, session) => (ChangeKind::SecretChanged, user, Some(session)),
        Change::User(user) => (ChangeKind::UserChanged, user, None),
        Change::UserDeleted(user) => (ChangeKind::UserDeleted, user, None),
        Change::Everyone => {
            lock(connection)?;
            (ChangeKind::EveryoneChanged, NOBODY, None)
        }
    };
    diesel::insert_into(changes::table)
        .values((changes::kind.eq(kind), changes::user_id.eq(user_id), changes::session_id.eq(session_id)))
        .execute(connection)?;
    Ok(())
}

/// Until this transaction ends, nobody adds a row, and who has added one is done. So no copy that was read without this
/// transaction has a position as high as that of the row which it adds now.
fn lock(connection: &mut AnyConnection) -> Result<()> {
    if let AnyConnection::Postgres(connection) = connection {
        diesel::sql_query("LOCK TABLE changes IN SHARE ROW EXCLUSIVE MODE").execute(connection)?;
    }
    Ok(())
}

/// The feed's present position: the highest id that this transaction sees.
pub fn position(connection: &mut AnyConnection) -> Result<i64> {
    Ok(changes::table.select(max(changes::id)).first::<Option<i64>>(connection)?.unwrap_or(0))
}

/// What a reading of the feed saw.
pub struct Reading {
    /// When it began, by the database's clock.
    pub began: Timestamp,
    /// When that was asked, by our own: whoever read has had a connection by then.
    pub asked_at: Instant,
    /// No row that it did not see will have an earlier time than [`LATE_COMMIT`] before this.
    pub complete_until: Timestamp,
    /// Every row since the reading before.
    pub rows: Vec<Row>,
}

/// A row of the feed.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub id: i64,
    /// By the database's clock, shortly before the commit.
    pub at: Timestamp,
    pub change: Change,
}

/// One reading; `complete_until` is that of the reading before. Without one the rows of the last moments are enough: a
/// node believes only copies that are newer than itself.
pub fn read(connection: &mut AnyConnection, complete_until: Option<Timestamp>) -> Result<Reading> {
    let asked_at = Instant::now();
    let began = database_time(connection)?;
    // Before the rows are read: what has ended by now is among them.
    let under_way = oldest_under_way(connection)?;
    // A clock that was set back, or that of a server which took over, times new rows before the earlier reading.
    let since = complete_until.map_or(began, |earlier| earlier.min(began)) - LATE_COMMIT;
    let rows = changes::table.filter(changes::at.ge(since)).order(changes::id).select(COLUMNS).load(connection)?;
    let complete_until = under_way.map_or(began, |oldest| oldest.min(began));
    Ok(Reading { began, asked_at, complete_until, rows: rows.into_iter().filter_map(row_of).collect() })
}

/// At most `limit` rows with higher ids. All that a reader needs on SQLite, where ids are seen in their order.
pub fn after(connection: &mut AnyConnection, position: i64, limit: i64) -> Result<Vec<Row>> {
    let rows = changes::table.filter(changes::id.gt(position)).order(changes::id).limit(limit);
    let rows = rows.select(COLUMNS).load(connection)?;
    Ok(rows.into_iter().filter_map(row_of).collect())
}

type Columns = (changes::id, changes::at, changes::kind, changes::user_id, changes::session_id);

const COLUMNS: Columns = (changes::id, changes::at, changes::kind, changes::user_id, changes::session_id);

fn row_of((id, at, kind, user, session): (i64, Timestamp, ChangeKind, UserId, Option<SessionId>)) -> Option<Row> {
    let change = match (kind, session) {
        (ChangeKind::SessionEnded, Some(session)) => Change::SessionEnded(user, session),
        (ChangeKind::SecretChanged, Some(session)) => Change::SecretChanged(user, session),
        (ChangeKind::UserChanged, _) => Change::User(user),
        (ChangeKind::UserDeleted, _) => Change::UserDeleted(user),
        (ChangeKind::EveryoneChanged, _) => Change::Everyone,
        (ChangeKind::SessionEnded | ChangeKind::SecretChanged, None) => return None,
    };
    Some(Row { id, at, change })
}

/// Since when the oldest transaction is under way that may have added a row.
fn oldest_under_way(connection: &mut AnyConnection) -> Result<Option<Timestamp>> {
    // SQLite has one writer, and a commit is seen in the order of its ids.
    let AnyConnection::Postgres(connection) = connection else { return Ok(None) };
    let query = "SELECT min(xact_start) AS at FROM pg_stat_activity \
                 WHERE datname = current_database() AND backend_xid IS NOT NULL";
    Ok(diesel::sql_query(query).get_result::<UnderWay>(connection)?.at)
}

#[derive(QueryableByName)]
struct UnderWay {
    #[diesel(sql_type = Nullable<TimestampColumn>)]
    at: Option<Timestamp>,
}

/// Forgets rows that every running node has read. The newest stays, for the feed's position may never fall: a node that
/// had seen a higher one would believe no copy made after, and one that comes later would believe any.
pub fn prune(connection: &mut AnyConnection) -> Result<usize> {
    let limit = database_time(connection)? - KEPT;
    let newest = position(connection)?;
    let old = changes::table.filter(changes::at.lt(limit)).filter(changes::id.lt(newest));
    Ok(diesel::delete(old).execute(connection)?)
}
