//! What the server does by itself from time to time: maintenance.

use std::time::Duration;

use chrono::TimeDelta;

use super::administration::stats::last_day_began;
use super::sessions::{counts, history};
use super::{Result, Services};
use crate::domain::Timestamp;
use crate::domain::session::UNCLAIMED_TIMEOUT;
use crate::storage::Database;
use crate::storage::accounts::{former_usernames, links, search_texts};
use crate::storage::audit::{self, failing_addresses, hours};
use crate::storage::authentication::lockouts;
use crate::storage::database::AnyConnection;
use crate::storage::leases::Lease;
use crate::storage::sessions::{SessionStore, changes, expiry, unclaimed};

/// Rows that one transaction of a sweep writes: sign-ins wait no longer than for these.
const BATCH: i64 = 1000;
/// The same of texts for searching: with each, SQLite looks through its index of all accounts.
const TEXTS: i64 = 50;
/// After each batch of rows that nodes read in the feed.
const PACE: Duration = Duration::from_millis(250);
const SWEEP: &str = "sweep";
/// A node that died in its sweep is not waited for any longer.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// How often a node that sweeps says that it lives.
const RENEWAL: Duration = Duration::from_secs(60);
/// Hours that the figures of thirty days need, and the day before.
const KEPT_HOURS: TimeDelta = TimeDelta::days(31);

/// Brings to SQL which sessions were active. Once a minute, and before the process stops.
pub async fn flush_activity(sessions: &SessionStore) -> Result<()> {
    match sessions {
        SessionStore::Sql(_) => Ok(()),
        SessionStore::Redis(store) => store.flush_activity().await,
    }
}

/// Notes what has expired, forgets what has been kept long enough and counts what is too much to be counted for
/// each page. Every node calls it; one at a time does it, in small transactions.
pub async fn sweep(services: &Services) -> Result<()> {
    let now = services.clock.now();
    let taken = services.database.write(move |connection| Lease::take(connection, SWEEP, now, now + LEASE)).await?;
    let Some(mut lease) = taken else { return Ok(()) };
    let swept = tokio::select! {
        swept = sweep_all(services, now) => swept,
        // Another node held this one for dead, and sweeps in its place.
        () = keep(services, &mut lease) => Ok(()),
    };
    services.database.write(move |connection| lease.give_back(connection)).await?;
    swept
}

/// Renews the lease, until another node has it.
async fn keep(services: &Services, lease: &mut Lease) {
    let database = services.database.clone().with_long_timeout();
    loop {
        tokio::time::sleep(RENEWAL).await;
        let (present, until) = (*lease, services.clock.now() + LEASE);
        match database.write(move |connection| present.renew(connection, until)).await {
            Ok(Some(renewed)) => *lease = renewed,
            Ok(None) => return,
            Err(error) => tracing::warn!(%error, "the lease of the sweep was not renewed"),
        }
    }
}

/// Every step; the first error, where some failed: none keeps the others from their turn.
async fn sweep_all(services: &Services, now: Timestamp) -> Result<()> {
    let database = &services.database;
    let steps = [
        history::backfill(services).await,
        sweep_by_time(services, now).await,
        refresh_search_texts(database).await,
        in_batches(database, changes::prune).await,
        counts::count_all(services).await,
    ];
    steps.into_iter().collect()
}

/// What has had its time. None of it can be undone: it waits while nobody knows what time it is.
async fn sweep_by_time(services: &Services, now: Timestamp) -> Result<()> {
    if !services.clocks.agree() {
        tracing::error!(
            "the clocks of this host and of the database are far apart: nothing is closed or deleted for its age; set \
             both right (NTP)"
        );
        return Ok(());
    }
    let (database, retention) = (&services.database, now - services.settings.audit_retention);
    let steps = [
        close_expired(services, now).await,
        end_unclaimed(services, now).await,
        in_batches(database, move |connection| expiry::prune(connection, retention, BATCH)).await,
        in_batches(database, move |connection| audit::prune(connection, retention, BATCH)).await,
        in_batches(database, move |connection| former_usernames::prune(connection, retention)).await,
        in_batches(database, move |connection| links::prune(connection, now)).await,
        in_batches(database, move |connection| lockouts::prune(connection, now)).await,
        in_batches(database, move |connection| hours::prune(connection, now - KEPT_HOURS)).await,
        in_batches(database, move |connection| failing_addresses::prune(connection, last_day_began(now))).await,
    ];
    steps.into_iter().collect()
}

/// Prunes in transactions of their own, until there is less left than one of them does.
async fn in_batches(
    database: &Database,
    prune: impl Fn(&mut AnyConnection) -> Result<usize> + Clone + Send + 'static,
) -> Result<()> {
    let database = database.clone().with_long_timeout();
    while database.write(prune.clone()).await? as i64 >= BATCH {}
    Ok(())
}

/// Ends what no browser came to use. As fast as [`close_expired`].
async fn end_unclaimed(services: &Services, now: Timestamp) -> Result<()> {
    let database = services.database.clone().with_long_timeout();
    let end = move |connection: &mut AnyConnection| unclaimed::end(connection, now - UNCLAIMED_TIMEOUT, now, BATCH);
    while database.write(end).await? as i64 >= BATCH {
        pause(services).await;
    }
    Ok(())
}

/// Lets every node carry out the feed's rows of a batch.
async fn pause(services: &Services) {
    if let SessionStore::Redis(_) = services.sessions {
        tokio::time::sleep(PACE).await;
    }
}

/// Writes anew what is of an earlier form: much after an update, and then nothing.
async fn refresh_search_texts(database: &Database) -> Result<()> {
    let database = database.clone().with_long_timeout();
    while database.write(|connection| search_texts::refresh(connection, TEXTS)).await? as i64 >= TEXTS {}
    Ok(())
}

/// Writes all that has expired into the history. Not faster than every node can carry out the feed's rows of it.
async fn close_expired(services: &Services, now: Timestamp) -> Result<()> {
    let database = services.database.clone().with_long_timeout();
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
        pause(services).await;
    }
}
