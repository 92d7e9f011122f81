//! What the server does by itself from time to time.

use chrono::TimeDelta;

use super::{Result, Services};
use crate::domain::{SessionKind, Timestamp};
use crate::storage::sessions::{SessionStore, changes, expiry};
use crate::storage::{audit, leases, links, lockouts, stats};

/// Rows that one transaction of a sweep writes: sign-ins wait no longer than for these.
const BATCH: i64 = 1000;
const SWEEP: &str = "sweep";
/// A node that died in its sweep is not waited for any longer.
const LONGEST_SWEEP: TimeDelta = TimeDelta::minutes(30);
/// Hours that the figures of thirty days need, and the day before.
const KEPT_HOURS: TimeDelta = TimeDelta::days(31);

impl Services {
    /// Brings to SQL which sessions were active. Once a minute, and before the process stops.
    pub async fn flush_activity(&self) -> Result<()> {
        match &self.sessions {
            SessionStore::Sql(_) => Ok(()),
            SessionStore::Redis(store) => store.flush_activity().await,
        }
    }

    /// Notes what has expired, forgets what has been kept long enough and counts what is too much to be counted for
    /// each page. Every node calls it; one at a time does it, in small transactions.
    pub async fn sweep(&self) -> Result<()> {
        let now = self.clock.now();
        let until = now + LONGEST_SWEEP;
        if !self.database.write(move |connection| leases::take(connection, SWEEP, now, until)).await? {
            return Ok(());
        }
        let swept = self.sweep_in_batches(now).await;
        self.database.write(|connection| leases::give_back(connection, SWEEP)).await?;
        swept
    }

    async fn sweep_in_batches(&self, now: Timestamp) -> Result<()> {
        let database = self.database.clone().patient();
        let retention = now - self.settings.audit_retention;
        self.close_expired(now).await?;
        while database.write(move |connection| expiry::prune(connection, retention, BATCH)).await? as i64 == BATCH {}
        while database.write(move |connection| audit::prune(connection, retention, BATCH)).await? as i64 == BATCH {}
        database
            .write(move |connection| {
                links::prune(connection, now)?;
                lockouts::prune(connection, now)?;
                changes::prune(connection)?;
                stats::prune(connection, now - KEPT_HOURS)?;
                Ok(())
            })
            .await?;
        self.count_open_sessions().await
    }

    /// Writes all that has expired into the history.
    pub(super) async fn close_expired(&self, now: Timestamp) -> Result<()> {
        let database = self.database.clone().patient();
        loop {
            // Looked for without the writer's turn: it may take a while among a million.
            let found = database.read(move |connection| expiry::count_expired(connection, now, BATCH)).await?;
            if found > 0 {
                let which = expiry::Expired::Oldest(found);
                database.write(move |connection| expiry::close_expired(connection, which, now)).await?;
            }
            if found < BATCH {
                return Ok(());
            }
        }
    }

    /// For the figures: they are told from this where sessions are too many to be counted for a page.
    pub(super) async fn count_open_sessions(&self) -> Result<()> {
        let (database, now) = (self.database.clone().patient(), self.clock.now());
        for kind in SessionKind::ALL.iter().copied() {
            let open = database.read(move |connection| stats::count_open_sessions(connection, kind)).await?;
            let keep = move |connection: &mut _| {
                open.into_iter().try_for_each(|counted| stats::keep_count(connection, kind, counted, now))
            };
            database.write(keep).await?;
        }
        Ok(())
    }
}
