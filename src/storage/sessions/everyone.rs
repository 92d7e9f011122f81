//! "End all": the sessions of every account within reach, in one transaction.

use diesel::prelude::*;
use diesel::sql_types::Nullable;

use super::super::database::{AnyConnection, MultiBackend};
use super::super::schema::{sessions, users};
use super::super::types::Id;
use super::changes;
use super::rows::{End, open};
use crate::domain::{Error, Role, SessionId, UserId};

type Result<T> = std::result::Result<T, Error>;

/// Rows that one statement writes: each must be done long before the database gives it up.
const CHUNK: i64 = 20_000;

/// Whose sessions are open, among the accounts of these roles.
pub fn owners(connection: &mut AnyConnection, roles: &[Role]) -> Result<Vec<UserId>> {
    let open = sessions::table.inner_join(users::table).filter(open()).filter(users::role.eq_any(roles));
    Ok(open.select(sessions::user_id).distinct().load(connection)?)
}

/// Notes in the history that all their sessions but `kept` have ended, and says how many. What ends them is the raised
/// epoch. The accounts are locked.
pub fn end(connection: &mut AnyConnection, roles: &[Role], kept: Option<SessionId>, end: &End<'_>) -> Result<u64> {
    let mut ended = 0;
    let mut after: Option<SessionId> = None;
    loop {
        let mut chunk = sessions::table
            .select(sessions::id)
            .order(sessions::id)
            .offset(CHUNK - 1)
            .limit(1)
            .into_boxed::<MultiBackend>();
        if let Some(after) = after {
            chunk = chunk.filter(sessions::id.gt(after));
        }
        let last: Option<SessionId> = chunk.first(connection).optional()?;
        lock(connection, after, last)?;
        let reached = users::table.filter(users::role.eq_any(roles)).select(users::id);
        let change =
            (sessions::ended_at.eq(end.at), sessions::ended_by.eq(end.by.label()), sessions::end_reason.eq(end.reason));
        let mut update = diesel::update(sessions::table.filter(open()).filter(sessions::user_id.eq_any(reached)))
            .set(change)
            .into_boxed::<MultiBackend>();
        if let Some(kept) = kept {
            update = update.filter(sessions::id.ne(kept));
        }
        if let Some(after) = after {
            update = update.filter(sessions::id.gt(after));
        }
        if let Some(last) = last {
            update = update.filter(sessions::id.le(last));
        }
        ended += update.execute(connection)? as u64;
        if last.is_none() {
            return Ok(ended);
        }
        after = last;
    }
}

/// In the order in which every transaction does that touches more than one session.
fn lock(connection: &mut AnyConnection, after: Option<SessionId>, last: Option<SessionId>) -> Result<()> {
    if let AnyConnection::Postgres(connection) = connection {
        let query = "SELECT id FROM sessions WHERE ended_at IS NULL \
                     AND ($1::uuid IS NULL OR id > $1) AND ($2::uuid IS NULL OR id <= $2) ORDER BY id FOR UPDATE";
        diesel::sql_query(query).bind::<Nullable<Id>, _>(after).bind::<Nullable<Id>, _>(last).execute(connection)?;
    }
    Ok(())
}

/// Kills every session of accounts of these roles, and every sign-in under way there. The last thing that a transaction
/// does, for the feed.
pub fn raise_epochs(connection: &mut AnyConnection, roles: &[Role], end: &End<'_>) -> Result<()> {
    let mut after: Option<UserId> = None;
    loop {
        let mut chunk =
            users::table.select(users::id).order(users::id).offset(CHUNK - 1).limit(1).into_boxed::<MultiBackend>();
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
            break;
        }
        after = last;
    }
    changes::append_owners(connection, end)
}
