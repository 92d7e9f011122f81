//! What the server does by itself from time to time.

use super::{Result, Services};
use crate::storage::sessions::{SessionStore, changes, rows};
use crate::storage::{audit, links, lockouts};

impl Services {
    /// Brings to SQL which sessions were active. Once a minute, and before the process stops.
    pub async fn flush_activity(&self) -> Result<()> {
        match &self.sessions {
            SessionStore::Sql(_) => Ok(()),
            SessionStore::Redis(store) => store.flush_activity().await,
        }
    }

    /// Notes what has expired and forgets what has been kept long enough. Any node may do it, several at once too.
    pub async fn sweep(&self) -> Result<()> {
        let now = self.clock.now();
        let retention = now - self.settings.audit_retention;
        self.database
            .write(move |connection| {
                rows::close_expired(connection, None, now)?;
                links::prune(connection, now)?;
                lockouts::prune(connection, now)?;
                changes::prune(connection)?;
                rows::prune(connection, retention)?;
                audit::prune(connection, retention)?;
                Ok(())
            })
            .await
    }
}
