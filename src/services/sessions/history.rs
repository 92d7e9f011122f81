//! What ends of many sessions leave to the history, and what writes it there while the answer goes out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::services::sessions::counts;
use crate::services::{Result, Services};
use crate::storage::sessions::history;

/// How long an end of sessions waits for the history to be written.
const PATIENCE: Duration = Duration::from_secs(2);

/// The writing of what ends of many sessions leave to the history: one task of a node at a time does it.
#[derive(Default)]
pub struct Backfill {
    turn: Mutex<()>,
    /// How many sessions the present or the latest one has written.
    written: AtomicU64,
}

impl Backfill {
    /// How many sessions were written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// Writes what an end of sessions has left to the history, and waits for it: that of few is there when the answer is,
/// that of many is written on while it goes out.
pub(in crate::services) async fn settle(services: &Services) {
    let services = services.clone();
    let backfill = tokio::spawn(async move {
        if let Err(error) = backfill(&services).await {
            tracing::warn!(%error, "the history of ended sessions is left to the next sweep");
        }
    });
    // Who waits no longer leaves it running.
    let _ = tokio::time::timeout(PATIENCE, backfill).await;
}

/// Writes into the history what ends have left to it, and what an earlier process left unwritten. Sessions are dead
/// without it.
pub async fn backfill(services: &Services) -> Result<()> {
    let database = services.database.clone().with_long_timeout();
    let _turn = services.backfill.turn.lock().await;
    services.backfill.written.store(0, Ordering::Relaxed);
    while let Some(end) = database.read(history::next_backfill).await? {
        let told = end.clone();
        database.write(move |connection| history::tell_again(connection, &told)).await?;
        let mut after = None;
        loop {
            let some = end.clone();
            let (written, last) =
                database.write(move |connection| history::backfill_some(connection, &some, after)).await?;
            services.backfill.written.fetch_add(written, Ordering::Relaxed);
            after = last;
            if after.is_none() {
                break;
            }
        }
        database.write(move |connection| history::backfilled(connection, &end)).await?;
        counts::count_all(services).await?;
    }
    Ok(())
}
