//! Which sessions live, as a part of queries: not ended by an act, before both limits, of the owner's present epoch. What
//! suspends an account ends its sessions, so that nobody asks for the status of their owners.

use diesel::dsl::{AsExprOf, sql};
use diesel::expression::{SqlLiteral, UncheckedBind};
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::super::database::AnyConnection;
use super::super::schema::{sessions, users};
use super::super::types::TimestampColumn;
use crate::domain::Timestamp;

/// Not ended by an act; the limits are asked beside it.
pub fn open() -> diesel::dsl::IsNull<sessions::ended_at> {
    sessions::ended_at.is_null()
}

/// The same, of one account. The moment says nothing new, but has SQLite, which knows no statistics, take the index of
/// the open sessions of an account: that of all that it ever had may be far longer.
#[diesel::dsl::auto_type(no_type_alias)]
pub fn open_in_index() -> _ {
    let ever: Timestamp = Timestamp::from_millis(0);
    sessions::ended_at.is_null().and(sessions::last_active_at.ge(ever))
}

/// Not ended with all others of the account, or of everyone, which raises the epoch of the owner.
pub fn of_present_epoch() -> diesel::dsl::Eq<sessions::epoch, users::epoch> {
    sessions::epoch.eq(users::epoch)
}

/// A comparison with the nearer limit.
type Limit = UncheckedBind<SqlLiteral<Bool, SqlLiteral<Bool>>, AsExprOf<Timestamp, TimestampColumn>>;

/// Neither limit has passed. `limit` is [`nearer_limit`].
pub fn unexpired(limit: &str, now: Timestamp) -> Limit {
    sql(limit).sql(" > ").bind::<TimestampColumn, _>(now)
}

/// A limit has passed.
pub fn expired(limit: &str, now: Timestamp) -> Limit {
    sql(limit).sql(" <= ").bind::<TimestampColumn, _>(now)
}

/// The moment at which a session expires. PostgreSQL and SQLite add milliseconds to a moment each in their own way.
pub fn nearer_limit(connection: &AnyConnection) -> &'static str {
    match connection {
        AnyConnection::Postgres(_) => "LEAST(absolute_limit, last_active_at + idle_ms * interval '1 millisecond')",
        AnyConnection::Sqlite(_) => "MIN(absolute_limit, last_active_at + idle_ms)",
    }
}
