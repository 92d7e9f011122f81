//! Sessions without Redis: the row is the record. On SQLite the process remembers what it read, for it can tell when
//! anybody has written; on PostgreSQL each request reads.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::timeout;

use super::super::Database;
use super::memory::{Memory, Remembered};
use super::sqlite_watch::SqliteWatch;
use super::{TOUCH_INTERVAL, rows, snapshot};
use crate::domain::keys::SecretHash;
use crate::domain::session::LiveSession;
use crate::domain::{SessionId, Timestamp, UserId};
use crate::settings::DatabaseUrl;
use crate::storage::Result;

/// How long a request waits until its activity is noted.
const NOTE_PATIENCE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct SqlSessions {
    pub(super) database: Database,
    watch: Option<Arc<SqliteWatch>>,
}

impl SqlSessions {
    /// The sessions in `database`, which is at `url`.
    pub fn new(database: Database, url: &DatabaseUrl) -> Self {
        let watch = match url {
            DatabaseUrl::Sqlite(path) => Some(Arc::new(SqliteWatch::new(path.clone()))),
            DatabaseUrl::Postgres(_) => None,
        };
        Self { database, watch }
    }

    pub async fn load(
        &self,
        user: UserId,
        session: SessionId,
        secret: Option<SecretHash>,
        now: Timestamp,
    ) -> Result<Option<LiveSession>> {
        let memory = self.memory();
        if let Some(known) = memory.and_then(|memory| memory.session(user, session, secret, now)) {
            return Ok(Some(known));
        }
        let ticket = memory.map(|memory| memory.ticket(user));
        let Some(found) = self.database.read(move |connection| snapshot::read(connection, user, session)).await? else {
            return Ok(None);
        };
        if !found.is_live(now, TimeDelta::zero()) || !found.admits(secret) {
            return Ok(None);
        }
        let mut remembered = Remembered::of(&found);
        if found.session.is_unclaimed() || now - found.session.last_active_at >= TOUCH_INTERVAL {
            let at = found.session.claim_at(now);
            if !self.note_activity(session, at).await {
                // The next request tries it again.
                return Ok(Some(found.view()));
            }
            remembered.last_active_at = at;
        }
        if let Some((memory, ticket)) = memory.zip(ticket) {
            memory.remember_session(ticket, remembered);
        }
        Ok(Some(found.view()))
    }

    /// Whether it was noted in time. The answer is known; another program that holds the file for long delays a note, not a
    /// person.
    async fn note_activity(&self, session: SessionId, at: Timestamp) -> bool {
        let database = self.database.clone();
        let note = tokio::spawn(async move {
            let noted = database.write(move |connection| rows::touch(connection, session, at)).await;
            if let Err(error) = &noted {
                tracing::warn!(%error, "the last activity of a session was not noted");
            }
            noted.is_ok()
        });
        matches!(timeout(NOTE_PATIENCE, note).await, Ok(Ok(true)))
    }

    /// What is remembered, where that is all that was committed before this call.
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.watch.as_ref().and_then(|watch| watch.memory())
    }

    /// The memory, believed or not.
    pub(super) fn any_memory(&self) -> Option<&Memory> {
        self.watch.as_ref().map(|watch| watch.any_memory())
    }
}
