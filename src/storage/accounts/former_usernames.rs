//! Usernames that accounts had before: whoever is searched for in the audit log is found by them too.

use diesel::prelude::*;
use diesel::sql_types::Text;

use crate::domain::{NameKey, Timestamp, UserId};
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::schema::former_usernames;
use crate::storage::types::{Id, TimestampColumn};

/// Notes that the account had this name until now.
pub fn keep(connection: &mut AnyConnection, name: &NameKey, user: UserId, now: Timestamp) -> Result<()> {
    let query = "INSERT INTO former_usernames (username_key, user_id, until) VALUES ($1, $2, $3) \
                 ON CONFLICT (username_key, user_id) DO UPDATE SET until = excluded.until";
    diesel::sql_query(query)
        .bind::<Text, _>(name.as_str())
        .bind::<Id, _>(user)
        .bind::<TimestampColumn, _>(now)
        .execute(connection)?;
    Ok(())
}

/// Forgets what nobody was called any more after `limit`.
pub fn prune(connection: &mut AnyConnection, limit: Timestamp) -> Result<usize> {
    Ok(diesel::delete(former_usernames::table.filter(former_usernames::until.lt(limit))).execute(connection)?)
}
