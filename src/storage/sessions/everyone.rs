//! "End all": the sessions of every account within reach.
//!
//! One short transaction ends them: it [raises the epochs](raise_epochs), and adds one row to the feed, by which every
//! node stops believing what was copied before. What the history says of each, which may be a million rows, is written
//! after it, some at a time. Until then an [`UnnotedEnd`] says what is still to be written, whoever dies meanwhile.

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use uuid::Uuid;

use super::super::database::{AnyConnection, MultiBackend};
use super::super::schema::{sessions, unnoted_ends, users};
use super::super::types::{Id, Moment};
use super::ACTIVITY_LAG;
use super::changes::{self, Change};
use super::expiry::nearer_limit;
use super::rows::{End, open};
use crate::domain::{EndReason, Error, Role, SessionId, Timestamp, UserId};

type Result<T> = std::result::Result<T, Error>;

/// Accounts that one statement writes: each must be done long before the database gives it up.
const RAISED: i64 = 20_000;
/// Sessions that one transaction looks at for the history: sign-ins wait no longer than for these.
const NOTED: i64 = 5000;

/// How many sessions of accounts of these roles live, but for `kept`.
pub fn count(connection: &mut AnyConnection, roles: &[Role], kept: Option<SessionId>, now: Timestamp) -> Result<u64> {
    let mut live = sessions::table
        .inner_join(users::table)
        .filter(open())
        .filter(sql::<Bool>(nearer_limit(connection)).sql(" > ").bind::<Moment, _>(now - ACTIVITY_LAG))
        .filter(sessions::epoch.eq(users::epoch))
        .filter(users::role.eq_any(roles))
        .select(count_star())
        .into_boxed::<MultiBackend>();
    if let Some(kept) = kept {
        live = live.filter(sessions::id.ne(kept));
    }
    Ok(live.first::<i64>(connection)?.unsigned_abs())
}

/// Kills every session of accounts of these roles, and every sign-in under way there. All accounts are locked.
pub fn raise_epochs(connection: &mut AnyConnection, roles: &[Role]) -> Result<()> {
    let mut after: Option<UserId> = None;
    loop {
        let mut chunk =
            users::table.select(users::id).order(users::id).offset(RAISED - 1).limit(1).into_boxed::<MultiBackend>();
        if let Some(after) = after {
            chunk = chunk.filter(users::id.gt(after));
        }
        let last: Option<UserId> = chunk.first(connection).optional()?;
        let mut raise = diesel::update(users::table.filter(users::role.eq_any(roles)))
            .set((users::epoch.eq(users::epoch + 1), users::rev.eq(users::rev + 1)))
            .into_boxed::<MultiBackend>();
        if let Some(after) = after {
            raise = raise.filter(users::id.gt(after));
        }
        if let Some(last) = last {
            raise = raise.filter(users::id.le(last));
        }
        raise.execute(connection)?;
        if last.is_none() {
            return Ok(());
        }
        after = last;
    }
}

/// Tells the feed, and what the history is to note. The last thing that a transaction does.
pub fn tell(connection: &mut AnyConnection, end: &End<'_>) -> Result<()> {
    diesel::insert_into(unnoted_ends::table)
        .values((
            unnoted_ends::at.eq(end.at),
            unnoted_ends::ended_by.eq(end.by.label()),
            unnoted_ends::end_reason.eq(end.reason),
        ))
        .execute(connection)?;
    changes::append(connection, Change::Everyone)
}

/// An end of everyone's sessions that the history does not tell of all yet.
#[derive(Clone, Queryable)]
pub struct UnnotedEnd {
    id: i64,
    at: Timestamp,
    by: String,
    reason: EndReason,
}

/// The oldest one.
pub fn unnoted(connection: &mut AnyConnection) -> Result<Option<UnnotedEnd>> {
    Ok(unnoted_ends::table.order(unnoted_ends::id).first(connection).optional()?)
}

/// Notes in the history that some sessions have ended so, or had expired before: those with the next ids after `after`
/// of whose accounts the epoch was raised. Says of how many, and after which to go on; `None`: that were all.
pub fn note_some(
    connection: &mut AnyConnection,
    end: &UnnotedEnd,
    after: Option<SessionId>,
) -> Result<(u64, Option<SessionId>)> {
    let mut chunk = sessions::table
        .select(sessions::id)
        .order(sessions::id)
        .offset(NOTED - 1)
        .limit(1)
        .into_boxed::<MultiBackend>();
    if let Some(after) = after {
        chunk = chunk.filter(sessions::id.gt(after));
    }
    let last: Option<SessionId> = chunk.first(connection).optional()?;
    let (below, to) = (after.unwrap_or(SessionId(Uuid::nil())), last.unwrap_or(SessionId(Uuid::max())));

    if let AnyConnection::Postgres(connection) = connection {
        // In the order in which every transaction does that touches more than one session.
        let lock = "SELECT id FROM sessions WHERE ended_at IS NULL \
                    AND id > $1 AND id <= $2 ORDER BY id FOR UPDATE";
        diesel::sql_query(lock).bind::<Id, _>(below).bind::<Id, _>(to).execute(connection)?;
    }
    let limit = nearer_limit(connection);
    // SQLite numbers parameters as they appear.
    let note = format!(
        "UPDATE sessions SET \
         ended_at = CASE WHEN {limit} <= $1 THEN {limit} ELSE $2 END, \
         ended_by = CASE WHEN {limit} <= $1 THEN 'system' ELSE $3 END, \
         end_reason = CASE WHEN {limit} <= $1 THEN 'expired' ELSE $4 END \
         WHERE ended_at IS NULL AND id > $5 AND id <= $6 AND EXISTS \
         (SELECT 1 FROM users WHERE users.id = sessions.user_id AND users.epoch > sessions.epoch)"
    );
    let noted = diesel::sql_query(note)
        .bind::<Moment, _>(end.at - ACTIVITY_LAG)
        .bind::<Moment, _>(end.at)
        .bind::<Text, _>(&end.by)
        .bind::<Text, _>(end.reason.as_str())
        .bind::<Id, _>(below)
        .bind::<Id, _>(to)
        .execute(connection)?;
    Ok((noted as u64, last))
}

/// The history tells of all.
pub fn noted(connection: &mut AnyConnection, end: &UnnotedEnd) -> Result<()> {
    diesel::delete(unnoted_ends::table.find(end.id)).execute(connection)?;
    Ok(())
}
