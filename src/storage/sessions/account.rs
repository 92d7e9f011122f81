//! The open sessions of one account.

use diesel::dsl::count_star;
use diesel::prelude::*;

use super::super::database::{AnyConnection, MultiBackend};
use super::super::schema::sessions;
use super::ACTIVITY_LAG;
use super::expiry::{self, Expired};
use super::history::{self, Whose};
use super::open::{nearer_limit, open, open_in_index, open_of, unexpired};
use super::rows::{self, End, Lock, Row};
use crate::domain::keys::SecretHash;
use crate::domain::{Session, SessionId, SessionKind, Timestamp, User, UserId};
use crate::storage::Result;

/// So many sessions are noted in the history by the act that ends them; more would keep it from its answer, and a stolen
/// password opens any number.
const NOTED_AT_ONCE: i64 = 2000;

/// Has the history tell that all sessions of the account but `kept` have ended, and says how many of them were live. What
/// ends them is the epoch, which the caller raises in the same transaction, and in which it takes `kept` along. Of many,
/// the history [tells later](history).
pub fn end_all(connection: &mut AnyConnection, user: UserId, kept: Option<SessionId>, end: &End<'_>) -> Result<u64> {
    let theirs = || sessions::table.filter(sessions::user_id.eq(user)).filter(open_in_index());
    let many: Option<SessionId> = theirs().select(sessions::id).offset(NOTED_AT_ONCE).first(connection).optional()?;
    if many.is_some() {
        history::leave(connection, Whose::Account(user), end)?;
        let live: i64 = count_open(connection, user, end.at)?.into_iter().map(|(_, count)| count).sum();
        return Ok(live.unsigned_abs().saturating_sub(kept.iter().count() as u64));
    }
    rows::lock(connection, Lock::Of(user))?;
    expiry::close_expired(connection, Expired::Of(user), end.at)?;
    let change =
        (sessions::ended_at.eq(end.at), sessions::ended_by.eq(end.by.label()), sessions::end_reason.eq(end.reason));
    // Those of an earlier epoch have ended with everyone's, which the history has yet to note.
    let sessions = diesel::update(sessions::table.filter(open_of(user)));
    let sessions = sessions.set(change).into_boxed::<MultiBackend>();
    let sessions = match kept {
        Some(kept) => sessions.filter(sessions::id.ne(kept)),
        None => sessions,
    };
    Ok(sessions.execute(connection)? as u64)
}

/// The account's sessions that have not ended, last active first.
pub fn open_sessions(connection: &mut AnyConnection, user: UserId, now: Timestamp, limit: i64) -> Result<Vec<Session>> {
    let rows: Vec<Row> = sessions::table
        .filter(open_of(user))
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
        .filter(open_of(user))
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
        .filter(sessions::id.eq_any(newest))
        .order(sessions::id.desc())
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(Session::from).collect())
}

/// How many sessions of the account are open, of each kind. From the index alone.
pub fn count_open(connection: &mut AnyConnection, user: UserId, now: Timestamp) -> Result<Vec<(SessionKind, i64)>> {
    let open = sessions::table
        .filter(open_of(user))
        .filter(unexpired(nearer_limit(connection), now - ACTIVITY_LAG))
        .group_by(sessions::kind);
    Ok(open.select((sessions::kind, count_star())).load(connection)?)
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
