//! What ends of many sessions leave to the history.
//!
//! The raised epoch ends them, in one short transaction. What the history says of each, which may be a million rows, is
//! written after it, some at a time. Until then a [`PendingBackfill`] says what is still to be written, whoever dies
//! meanwhile.

use diesel::prelude::*;
use diesel::sql_types::Text;
use uuid::Uuid;

use super::super::database::{AnyConnection, MultiBackend};
use super::super::schema::{sessions, unnoted_ends};
use super::super::types::{Id, TimestampColumn};
use super::ACTIVITY_LAG;
use super::changes::{self, Change};
use super::open::nearer_limit;
use super::rows::{self, End, Lock};
use crate::domain::{EndReason, Role, SessionId, Timestamp, UserId};
use crate::storage::Result;

/// Sessions that one transaction looks at for the history: sign-ins wait no longer than for these, which are done in a
/// small part of a request's time on a busy machine too.
const NOTED: i64 = 1000;

/// Whose sessions have ended.
pub enum Whose<'a> {
    /// Of all accounts of these roles.
    Everyone(&'a [Role]),
    Account(UserId),
}

/// Has the history note later that these have ended.
pub fn leave(connection: &mut AnyConnection, whose: Whose<'_>, end: &End<'_>) -> Result<()> {
    let (roles, user) = match whose {
        Whose::Everyone(roles) => (roles, None),
        // Whatever its role is when the history is written; a node of an earlier version goes by the roles.
        Whose::Account(user) => (Role::ALL, Some(user)),
    };
    diesel::insert_into(unnoted_ends::table)
        .values((
            unnoted_ends::roles.eq(roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ")),
            unnoted_ends::at.eq(end.at),
            unnoted_ends::ended_by.eq(end.by.label()),
            unnoted_ends::end_reason.eq(end.reason),
            unnoted_ends::user_id.eq(user),
        ))
        .execute(connection)?;
    Ok(())
}

/// An end of many sessions that the history does not tell of all yet.
#[derive(Clone, Queryable)]
pub struct PendingBackfill {
    id: i64,
    /// Of the accounts within reach, with spaces between.
    roles: String,
    at: Timestamp,
    by: String,
    reason: EndReason,
    /// Of this account alone.
    user: Option<UserId>,
}

/// Tells the feed once more: had the commit taken longer than readers look back, nobody would have seen the row of the
/// act, and the history must not have as ended what some copy lets live.
pub fn tell_again(connection: &mut AnyConnection, end: &PendingBackfill) -> Result<()> {
    changes::append(connection, end.user.map_or(Change::Everyone, Change::User))
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
    let mut chunk = chunk.offset(NOTED - 1).into_boxed::<MultiBackend>();
    if let Some(user) = end.user {
        chunk = chunk.filter(sessions::user_id.eq(user));
    }
    let last: Option<SessionId> = chunk.first(connection).optional()?;
    let to = last.unwrap_or(SessionId(Uuid::max()));
    rows::lock(connection, Lock::Between(below, to, end.user))?;
    let limit = nearer_limit(connection);
    let roles = end.roles.split(' ').filter_map(|role| role.parse::<Role>().ok());
    let roles: Vec<_> = roles.map(|role| format!("'{role}'")).collect();
    let whose = if end.user.is_some() { "sessions.user_id = $7" } else { "$7 IS NULL" };
    // SQLite numbers parameters as they appear.
    let note = format!(
        "UPDATE sessions SET \
         ended_at = CASE WHEN {limit} <= $1 THEN {limit} ELSE $2 END, \
         ended_by = CASE WHEN {limit} <= $1 THEN 'system' ELSE $3 END, \
         end_reason = CASE WHEN {limit} <= $1 THEN 'expired' ELSE $4 END \
         WHERE ended_at IS NULL AND created_at <= $2 AND id > $5 AND id <= $6 AND {whose} AND EXISTS \
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
        .bind::<diesel::sql_types::Nullable<Id>, _>(end.user)
        .execute(connection)?;
    Ok((written as u64, last))
}

/// The history tells of all.
pub fn backfilled(connection: &mut AnyConnection, end: &PendingBackfill) -> Result<()> {
    diesel::delete(unnoted_ends::table.find(end.id)).execute(connection)?;
    Ok(())
}
