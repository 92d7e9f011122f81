//! Sessions without Redis: the row is the record. No cache in the process, for the command line is another one.

use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::timeout;

use super::super::Database;
use super::{TOUCH_INTERVAL, rows, snapshot};
use crate::domain::keys::SecretHash;
use crate::domain::session::LiveSession;
use crate::domain::{SessionId, Timestamp, UserId};
use crate::storage::Result;

/// How long a request waits until its activity is noted.
const NOTE_PATIENCE: Duration = Duration::from_millis(100);

#[derive(Clone)]
pub struct SqlSessions {
    pub(super) database: Database,
}

impl SqlSessions {
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    pub async fn load(
        &self,
        user: UserId,
        session: SessionId,
        secret: Option<SecretHash>,
        now: Timestamp,
    ) -> Result<Option<LiveSession>> {
        let Some(found) = self.database.read(move |connection| snapshot::read(connection, user, session)).await? else {
            return Ok(None);
        };
        if !found.is_live(now, TimeDelta::zero()) || !found.admits(secret) {
            return Ok(None);
        }
        if found.session.is_unclaimed() || now - found.session.last_active_at >= TOUCH_INTERVAL {
            self.note_activity(session, found.session.claim_at(now)).await;
        }
        Ok(Some(found.view()))
    }

    /// The answer is known; another program that holds the file for long delays a note, not a person.
    async fn note_activity(&self, session: SessionId, at: Timestamp) {
        let database = self.database.clone();
        let noted = tokio::spawn(async move {
            if let Err(error) = database.write(move |connection| rows::touch(connection, session, at)).await {
                tracing::warn!(%error, "the last activity of a session was not noted");
            }
        });
        let _ = timeout(NOTE_PATIENCE, noted).await;
    }
}
