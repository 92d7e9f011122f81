//! Sessions without Redis: the row is the record. On SQLite the process remembers what it read, for it can tell when
//! anybody has written; on PostgreSQL each request reads.

use std::sync::Arc;

use chrono::TimeDelta;

use super::super::Database;
use super::memory::{Memory, Remembered};
use super::sqlite_watch::SqliteWatch;
use super::{Caches, TOUCH_INTERVAL, rows, snapshot};
use crate::domain::keys::SecretHash;
use crate::domain::session::LiveSession;
use crate::domain::{SessionId, Timestamp, UserId};
use crate::settings::DatabaseUrl;
use crate::storage::Result;

#[derive(Clone)]
pub struct SqlSessions {
    pub(super) database: Database,
    watch: Option<Arc<SqliteWatch>>,
    pub(super) caches: Caches,
}

impl SqlSessions {
    /// The sessions in `database`, which is at `url`.
    pub fn new(database: Database, url: &DatabaseUrl) -> Self {
        let watch = match url {
            DatabaseUrl::Sqlite(path) => Some(Arc::new(SqliteWatch::new(path.clone()))),
            DatabaseUrl::Postgres(_) => None,
        };
        Self { database, watch, caches: Caches::default() }
    }

    pub async fn load(
        &self,
        user: UserId,
        session: SessionId,
        secret: Option<SecretHash>,
        now: Timestamp,
    ) -> Result<Option<LiveSession>> {
        let memory = self.memory();
        let known = memory.and_then(|memory| memory.session(user, session, secret, now));
        self.caches.sessions.count(known.is_some());
        if known.is_some() {
            return Ok(known);
        }
        let ticket = memory.map(|memory| memory.ticket(user));
        let Some(found) = self.database.read_few(move |connection| snapshot::read(connection, user, session)).await?
        else {
            return Ok(None);
        };
        if !found.is_live(now, TimeDelta::zero()) || !found.admits(secret) {
            return Ok(None);
        }
        let mut remembered = Remembered::of(&found);
        if found.session.is_unclaimed() || now - found.session.last_active_at >= TOUCH_INTERVAL {
            let at = found.session.claim_at(now);
            if !rows::touch_soon(&self.database, session, at).await {
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

    /// What is remembered, where that is all that was committed before this call.
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.watch.as_ref().and_then(|watch| watch.memory())
    }

    /// The memory, believed or not.
    pub(super) fn any_memory(&self) -> Option<&Memory> {
        self.watch.as_ref().map(|watch| watch.any_memory())
    }
}
