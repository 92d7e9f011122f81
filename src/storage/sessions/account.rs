//! The open sessions of one account.

use diesel::dsl::count_star;
use diesel::prelude::*;

use super::super::database::{AnyConnection, MultiBackend};
use super::super::schema::{sessions, users};
use super::ACTIVITY_LAG;
use super::everyone;
use super::open::{nearer_limit, of_present_epoch, open, open_in_index, unexpired};
use super::rows::Row;
use crate::domain::keys::SecretHash;
use crate::domain::{Session, SessionId, SessionKind, Timestamp, User, UserId};
use crate::storage::Result;

/// The account's sessions that have not ended, last active first.
pub fn open_sessions(connection: &mut AnyConnection, user: UserId, now: Timestamp, limit: i64) -> Result<Vec<Session>> {
    let rows: Vec<Row> = sessions::table
        .inner_join(users::table)
        .filter(sessions::user_id.eq(user))
        .filter(open())
        .filter(of_present_epoch())
        .filter(unexpired(nearer_limit(connection), now))
        .order((sessions::last_active_at.desc(), sessions::id.desc()))
        .limit(limit)
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// The account's sessions that have not ended, newest first, those with an id below `before`.
pub fn newest_open(
    connection: &mut AnyConnection,
    user: UserId,
    before: Option<SessionId>,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Session>> {
    let mut newest = sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(open_in_index())
        .filter(unexpired(nearer_limit(connection), now - ACTIVITY_LAG))
        .order(sessions::id.desc())
        .select(sessions::id)
        .limit(limit)
        .into_boxed::<MultiBackend>();
    if let Some(before) = before {
        newest = newest.filter(sessions::id.lt(before));
    }
    // From the index alone: whoever has ten thousand would else wait for all of them to be read.
    let newest: Vec<SessionId> = newest.load(connection)?;
    let rows: Vec<Row> = sessions::table
        .inner_join(users::table)
        .filter(sessions::id.eq_any(newest))
        .filter(of_present_epoch())
        .order(sessions::id.desc())
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// How many sessions of the account are open, of each kind.
pub fn count_open(connection: &mut AnyConnection, user: UserId, now: Timestamp) -> Result<Vec<(SessionKind, i64)>> {
    let open = sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(open_in_index())
        .filter(unexpired(nearer_limit(connection), now - ACTIVITY_LAG))
        .group_by(sessions::kind);
    let counted = (sessions::kind, count_star());
    if everyone::next_backfill(connection)?.is_none() {
        // From the index alone.
        return Ok(open.select(counted).load(connection)?);
    }
    let present = users::table.find(user).select(users::epoch);
    Ok(open.filter(sessions::epoch.eq_any(present)).select(counted).load(connection)?)
}

/// The account's open sessions of browsers that began between these, with their secrets; the newest of many.
pub fn opened_between(
    connection: &mut AnyConnection,
    user: &User,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<(SessionId, SecretHash)>> {
    let theirs = sessions::table.filter(open()).filter(sessions::user_id.eq(user.id));
    let found: Vec<(SessionId, Vec<u8>)> = theirs
        .filter(sessions::epoch.eq(user.epoch))
        .filter(sessions::kind.eq(SessionKind::Browser))
        // By which the index bounds it, whatever the number of earlier ones.
        .filter(sessions::id.ge(SessionId::first_of(since)))
        .filter(sessions::id.lt(SessionId::first_of(until)))
        .order(sessions::id.desc())
        .limit(50)
        .select((sessions::id, sessions::secret_hash))
        .load(connection)?;
    Ok(found.into_iter().filter_map(|(id, hash)| Some((id, SecretHash(hash.try_into().ok()?)))).collect())
}
