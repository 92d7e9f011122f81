//! What time does to sessions: they expire, and when they have long ended they are forgotten.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::database::AnyConnection;
use super::super::schema::sessions;
use super::super::types::{Id, TimestampColumn};
use super::ACTIVITY_LAG;
use super::open::{expired, nearer_limit, open, open_in_index};
use crate::domain::{SessionId, Timestamp, UserId};
use crate::storage::Result;

/// Which expired sessions are closed at once.
#[derive(Clone, Copy)]
pub enum Expired {
    Of(UserId),
    /// So many of all, those that were active least lately.
    Oldest(i64),
}

/// Writes into the history that sessions have expired, at the moment at which they did. Waits until the activity that
/// Redis may know of has reached SQL. What the history has as ended is dead all the same, so each is a row of the feed:
/// a node that stopped without its last batch may have left a copy that lives on.
pub fn close_expired(connection: &mut AnyConnection, which: Expired, now: Timestamp) -> Result<usize> {
    if let Expired::Of(user) = which
        && !has_expired(connection, user, now)?
    {
        return Ok(0);
    }
    let limit = nearer_limit(connection);
    let past = format!("ended_at IS NULL AND {limit} <= $1");
    let which_of_them = match which {
        Expired::Of(_) => "user_id = $2".to_owned(),
        Expired::Oldest(_) => format!("id IN (SELECT id FROM sessions WHERE {past} ORDER BY last_active_at LIMIT $2)"),
    };
    let expired = format!("{past} AND {which_of_them}");
    let close = format!("UPDATE sessions SET ended_at = {limit}, ended_by = 'system', end_reason = 'expired'");
    let append = "INSERT INTO changes (kind, user_id, session_id) SELECT 'session_ended', user_id, id";
    let statements = match connection {
        // One statement, for another transaction may touch a session between two; locked in the order of all.
        AnyConnection::Postgres(_) => vec![format!(
            "WITH expired AS (SELECT id AS expired_id FROM sessions WHERE {expired} ORDER BY id FOR UPDATE), \
             closed AS ({close} FROM expired WHERE id = expired_id RETURNING user_id, id) \
             {append} FROM closed"
        )],
        AnyConnection::Sqlite(_) => {
            vec![format!("{append} FROM sessions WHERE {expired}"), format!("{close} WHERE {expired}")]
        }
    };
    let mut closed = 0;
    for statement in statements {
        let query = diesel::sql_query(statement).bind::<TimestampColumn, _>(now - ACTIVITY_LAG);
        closed = match which {
            Expired::Of(user) => query.bind::<Id, _>(user).execute(connection)?,
            Expired::Oldest(most) => query.bind::<BigInt, _>(most).execute(connection)?,
        };
    }
    Ok(closed)
}

/// Whether [`close_expired`] would find any of the account. From the index alone, unlike what it does with them.
fn has_expired(connection: &mut AnyConnection, user: UserId, now: Timestamp) -> Result<bool> {
    let past = expired(nearer_limit(connection), now - ACTIVITY_LAG);
    let theirs = sessions::table.filter(sessions::user_id.eq(user)).filter(open_in_index()).filter(past);
    let one: Option<SessionId> = theirs.select(sessions::id).first(connection).optional()?;
    Ok(one.is_some())
}

/// How many sessions [`close_expired`] would close, if fewer than `most`. Where it finds none it reads the index of all
/// that are open.
pub fn count_expired(connection: &mut AnyConnection, now: Timestamp, most: i64) -> Result<i64> {
    let past = expired(nearer_limit(connection), now - ACTIVITY_LAG);
    let oldest = sessions::table.filter(open()).filter(past).order(sessions::last_active_at).select(sessions::id);
    let found: Vec<SessionId> = oldest.limit(most).load(connection)?;
    Ok(found.len() as i64)
}

/// Forgets at most `most` sessions that ended before `limit`.
pub fn prune(connection: &mut AnyConnection, limit: Timestamp, most: i64) -> Result<usize> {
    let old = sessions::table.filter(sessions::ended_at.lt(limit)).order(sessions::ended_at).select(sessions::id);
    let old: Vec<SessionId> = old.limit(most).load(connection)?;
    Ok(diesel::delete(sessions::table.filter(sessions::id.eq_any(old))).execute(connection)?)
}
