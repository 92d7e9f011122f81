//! Which sessions live, as a part of queries: not ended by an act, before both limits, of the owner's present epoch. What
//! suspends an account ends its sessions, so that nobody asks for the status of their owners.

use std::fmt;

use diesel::backend::Backend;
use diesel::expression::{ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

use super::super::database::AnyConnection;
use super::super::schema::{sessions, users};
use super::super::types::TimestampColumn;
use crate::domain::{Timestamp, UserId};

/// Not ended by an act; the limits are asked beside it.
pub fn open() -> diesel::dsl::IsNull<sessions::ended_at> {
    sessions::ended_at.is_null()
}

/// The same, of one account. The epoch says nothing new, but has SQLite, which knows no statistics, take the index of
/// the open sessions of an account: that of all that it ever had may be far longer.
#[diesel::dsl::auto_type(no_type_alias)]
pub fn open_in_index() -> _ {
    sessions::ended_at.is_null().and(sessions::epoch.ge(0_i64))
}

/// Not ended by an act, nor with all others of the account or of everyone: found in an index whatever has ended so, and
/// in the order of the last activity.
#[diesel::dsl::auto_type(no_type_alias)]
pub fn open_of(user: UserId) -> _ {
    let present = users::table.find(user).select(users::epoch).single_value();
    sessions::ended_at.is_null().and(sessions::user_id.eq(user)).and(sessions::epoch.nullable().eq(present))
}

/// Not ended with all others of the account, or of everyone, which raises the epoch of the owner.
pub fn of_present_epoch() -> diesel::dsl::Eq<sessions::epoch, users::epoch> {
    sessions::epoch.eq(users::epoch)
}

/// Neither limit has passed. `limit` is [`nearer_limit`].
pub fn unexpired(limit: NearerLimit, now: Timestamp) -> diesel::dsl::Gt<NearerLimit, Timestamp> {
    limit.gt(now)
}

/// A limit has passed.
pub fn expired(limit: NearerLimit, now: Timestamp) -> diesel::dsl::LtEq<NearerLimit, Timestamp> {
    limit.le(now)
}

/// The moment at which a session expires. PostgreSQL and SQLite add milliseconds to a moment each in their own way.
pub fn nearer_limit(connection: &AnyConnection) -> NearerLimit {
    NearerLimit(match connection {
        AnyConnection::Postgres(_) => "LEAST(absolute_limit, last_active_at + idle_ms * interval '1 millisecond')",
        AnyConnection::Sqlite(_) => "MIN(absolute_limit, last_active_at + idle_ms)",
    })
}

/// See [`nearer_limit`]. Unlike `diesel::dsl::sql` it leaves the statement it stands in prepared.
#[derive(Clone, Copy, Debug)]
pub struct NearerLimit(&'static str);

/// As a part of a statement that is written by hand.
impl fmt::Display for NearerLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Expression for NearerLimit {
    type SqlType = TimestampColumn;
}

impl<T> AppearsOnTable<T> for NearerLimit {}

impl<T> SelectableExpression<T> for NearerLimit {}

impl<G> ValidGrouping<G> for NearerLimit {
    type IsAggregate = is_aggregate::No;
}

impl QueryId for NearerLimit {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<DB: Backend> QueryFragment<DB> for NearerLimit {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql(self.0);
        Ok(())
    }
}
