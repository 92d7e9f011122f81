//! "End all": the sessions of every account within reach.
//!
//! One short transaction ends them: it [raises the epochs](raise_epochs), and adds one row to the feed, by which every
//! node stops believing what was copied before. What the history says of each, which may be a million rows, is
//! [left to it](history).

use diesel::dsl::count_star;
use diesel::prelude::*;
use uuid::Uuid;

use super::super::database::AnyConnection;
use super::super::schema::{sessions, users};
use super::ACTIVITY_LAG;
use super::changes::{self, Change};
use super::history::{self, Whose};
use super::open::{nearer_limit, of_present_epoch, open, unexpired};
use super::rows::End;
use crate::domain::{Role, SessionId, Timestamp, UserId};
use crate::storage::Result;

/// Accounts that one statement writes: each must be done long before the database gives it up.
const RAISED: i64 = 20_000;

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
    history::leave(connection, Whose::Everyone(roles), end)?;
    changes::append(connection, Change::Everyone)
}
