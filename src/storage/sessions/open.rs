//! Which sessions are open, as a part of queries.

use diesel::prelude::*;

use super::super::schema::sessions;
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
