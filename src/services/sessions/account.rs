//! The open sessions of one account. Looking writes nothing: who reads a page waits for no writer, and what has expired is
//! left out before the history knows of it, as soon as the activity that Redis may know of has reached SQL.

use crate::domain::{Session, SessionId, SessionKind, Timestamp, UserId};
use crate::services::sessions::counts::SessionCounts;
use crate::services::{Result, Services};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::account;

/// The account's live sessions, last active first, at most `limit`, and how many there are in all.
pub async fn live(services: &Services, user: UserId, limit: i64) -> Result<(Vec<Session>, SessionCounts)> {
    let now = services.clock.now();
    services.database.read(move |connection| read_live(connection, user, now, limit)).await
}

/// The same within a reading of more.
pub(in crate::services) fn read_live(
    connection: &mut AnyConnection,
    user: UserId,
    now: Timestamp,
    limit: i64,
) -> Result<(Vec<Session>, SessionCounts)> {
    let mut counts = SessionCounts::default();
    for (kind, count) in account::count_open(connection, user, now)? {
        match kind {
            SessionKind::Browser => counts.browser = count,
            SessionKind::Api => counts.api = count,
        }
    }
    Ok((account::open_sessions(connection, user, now, limit)?, counts))
}

/// The account's live sessions by their beginning, newest first, those that began before `before`.
pub async fn newest(services: &Services, user: UserId, before: Option<SessionId>, limit: i64) -> Result<Vec<Session>> {
    let now = services.clock.now();
    services.database.read(move |connection| account::newest_open(connection, user, before, now, limit)).await
}
