//! Sessions without Redis: the row is the record. No cache in the process, for the command line is another one.

use chrono::TimeDelta;

use super::super::Database;
use super::{TOUCH_INTERVAL, rows, snapshot};
use crate::domain::keys::SecretHash;
use crate::domain::session::LiveSession;
use crate::domain::{SessionId, Timestamp, UserId};
use crate::storage::Result;

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
        if now - found.session.last_active_at >= TOUCH_INTERVAL {
            let touched = self.database.write(move |connection| rows::touch(connection, session, now)).await;
            // The answer is known; another program that holds the file for long delays a note, not a person.
            if let Err(error) = touched {
                tracing::warn!(%error, "the last activity of a session was not noted");
            }
        }
        Ok(Some(found.view()))
    }
}
