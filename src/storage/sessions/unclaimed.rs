//! Sessions of browsers whose cookie nobody has shown: the answer that set it was lost.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::database::AnyConnection;
use super::super::types::{Id, TimestampColumn};
use super::rows::{self, End, Lock};
use crate::domain::{Actor, EndReason, SessionId, Timestamp};
use crate::storage::Result;

/// Ends at most `most` sessions whose cookie nobody has shown since the password was entered before `limit`.
/// [`Session::is_unclaimed`](crate::domain::Session::is_unclaimed) says the same; as it stands here it has an index.
pub fn end(connection: &mut AnyConnection, limit: Timestamp, now: Timestamp, most: i64) -> Result<usize> {
    let ids = find(connection, limit, most)?;
    rows::lock(connection, Lock::These(&ids))?;
    // One may have been claimed before it was locked.
    let still = find(connection, limit, most)?;
    let ids: Vec<_> = ids.into_iter().filter(|id| still.contains(id)).collect();
    if !ids.is_empty() {
        rows::end_some(connection, &ids, &End { reason: EndReason::Expired, by: &Actor::System, at: now })?;
    }
    Ok(ids.len())
}

fn find(connection: &mut AnyConnection, limit: Timestamp, most: i64) -> Result<Vec<SessionId>> {
    let query = "SELECT id FROM sessions WHERE ended_at IS NULL AND kind = 'browser' \
                 AND last_active_at <= password_entered_at AND password_entered_at <= $1 \
                 ORDER BY password_entered_at LIMIT $2";
    let query = diesel::sql_query(query).bind::<TimestampColumn, _>(limit).bind::<BigInt, _>(most);
    Ok(query.load::<Found>(connection)?.into_iter().map(|found| found.id).collect())
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Id)]
    id: SessionId,
}
