//! "End all": the sessions of every account within reach.
//!
//! One short transaction ends them: it [raises the epochs](raise_epochs), and adds one row to the feed, by which every
//! node stops believing what was copied before. What the history says of each, which may be a million rows, is written
//! after it, some at a time. Until then a [`PendingBackfill`] says what is still to be written, whoever dies meanwhile.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::Text;
use uuid::Uuid;

use super::super::database::AnyConnection;
use super::super::schema::{sessions, unnoted_ends, users};
use super::super::types::{Id, TimestampColumn};
use super::ACTIVITY_LAG;
use super::changes::{self, Change};
use super::open::{nearer_limit, of_present_epoch, open, unexpired};
use super::rows::{self, End, Lock};
use crate::domain::{EndReason, Role, SessionId, Timestamp, UserId};
use crate::storage::Result;

/// Accounts that one statement writes: each must be done long before the database gives it up.
const RAISED: i64 = 20_000;
/// Sessions that one transaction looks at for the history: sign-ins wait no longer than for these.
const NOTED: i64 = 5000;

/// Kills every session of accounts of these roles, and every sign-in under way there; says how many sessions lived, but
/// for `kept`. All accounts are locked.
pub fn raise_epochs(
    connection: &mut AnyConnection,
    roles: &[Role],
    kept: Option<SessionId>,
    now: Timestamp,
) -> Result<u64> {
    let (mut lived, mut after) = (0, UserId(Uuid::nil()));
    loop {
        let chunk = users::table.filter(users::id.gt(after)).select(users::id).order(users::id);
        let last: Option<UserId> = chunk.offset(RAISED - 1).first(connection).optional()?;
        let to = last.unwrap_or(UserId(Uuid::max()));
        let some = users::role.eq_any(roles).and(users::id.gt(after)).and(users::id.le(to));
        let live = sessions::table
            .inner_join(users::table)
            .filter(some.clone())
            .filter(open())
            .filter(unexpired(nearer_limit(connection), now - ACTIVITY_LAG))
            .filter(of_present_epoch())
            .filter(sessions::id.ne(kept.unwrap_or(SessionId(Uuid::nil()))));
        lived += live.select(count_star()).first::<i64>(connection)?.unsigned_abs();
        diesel::update(users::table.filter(some))
            .set((users::epoch.eq(users::epoch + 1), users::rev.eq(users::rev + 1)))
            .execute(connection)?;
        match last {
            Some(last) => after = last,
            None => return Ok(lived),
        }
    }
}

/// Tells the feed, and what the history is to note of accounts of these roles. The last thing that a transaction does.
pub fn tell(connection: &mut AnyConnection, roles: &[Role], end: &End<'_>) -> Result<()> {
    let roles = roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ");
    diesel::insert_into(unnoted_ends::table)
        .values((
            unnoted_ends::roles.eq(roles),
            unnoted_ends::at.eq(end.at),
            unnoted_ends::ended_by.eq(end.by.label()),
            unnoted_ends::end_reason.eq(end.reason),
        ))
        .execute(connection)?;
    changes::append(connection, Change::Everyone)
}

/// An end of everyone's sessions that the history does not tell of all yet.
#[derive(Clone, Queryable)]
pub struct PendingBackfill {
    id: i64,
    /// Of the accounts within reach, with spaces between.
    roles: String,
    at: Timestamp,
    by: String,
    reason: EndReason,
}

/// Tells the feed once more: had the commit taken longer than readers look back, nobody would have seen the row of the
/// act, and the history must not have as ended what some copy lets live.
pub fn tell_again(connection: &mut AnyConnection) -> Result<()> {
    changes::append(connection, Change::Everyone)
}

/// The oldest one.
pub fn next_backfill(connection: &mut AnyConnection) -> Result<Option<PendingBackfill>> {
    Ok(unnoted_ends::table.order(unnoted_ends::id).first(connection).optional()?)
}

/// Notes in the history that some sessions have ended so, or had expired before: of those with the next ids after
/// `after` each that had begun and whose account's epoch was raised. Says of how many, and after which to go on; `None`:
/// that were all.
pub fn backfill_some(
    connection: &mut AnyConnection,
    end: &PendingBackfill,
    after: Option<SessionId>,
) -> Result<(u64, Option<SessionId>)> {
    let below = after.unwrap_or(SessionId(Uuid::nil()));
    let chunk = sessions::table.filter(sessions::id.gt(below)).select(sessions::id).order(sessions::id);
    let last: Option<SessionId> = chunk.offset(NOTED - 1).first(connection).optional()?;
    let to = last.unwrap_or(SessionId(Uuid::max()));
    rows::lock(connection, Lock::Between(below, to))?;
    let limit = nearer_limit(connection);
    let roles = end.roles.split(' ').filter_map(|role| role.parse::<Role>().ok());
    let roles: Vec<_> = roles.map(|role| format!("'{role}'")).collect();
    // SQLite numbers parameters as they appear.
    let note = format!(
        "UPDATE sessions SET \
         ended_at = CASE WHEN {limit} <= $1 THEN {limit} ELSE $2 END, \
         ended_by = CASE WHEN {limit} <= $1 THEN 'system' ELSE $3 END, \
         end_reason = CASE WHEN {limit} <= $1 THEN 'expired' ELSE $4 END \
         WHERE ended_at IS NULL AND created_at <= $2 AND id > $5 AND id <= $6 AND EXISTS \
         (SELECT 1 FROM users WHERE users.id = sessions.user_id AND users.epoch > sessions.epoch \
         AND users.role IN ({}))",
        roles.join(", ")
    );
    let written = diesel::sql_query(note)
        .bind::<TimestampColumn, _>(end.at - ACTIVITY_LAG)
        .bind::<TimestampColumn, _>(end.at)
        .bind::<Text, _>(&end.by)
        .bind::<Text, _>(end.reason.as_str())
        .bind::<Id, _>(below)
        .bind::<Id, _>(to)
        .execute(connection)?;
    Ok((written as u64, last))
}

/// The history tells of all.
pub fn backfilled(connection: &mut AnyConnection, end: &PendingBackfill) -> Result<()> {
    diesel::delete(unnoted_ends::table.find(end.id)).execute(connection)?;
    Ok(())
}
