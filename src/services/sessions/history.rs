//! What an end of everyone’s sessions leaves to the history, and writes there while the answer goes out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::services::sessions::counts;
use crate::services::{Result, Services};
use crate::storage::sessions::everyone;

/// How long an end of everyone's sessions waits for the history to be written.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The writing of what an end of everyone's sessions leaves to the history: one task of a node at a time does it.
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

/// Writes into the history what [`super::everyone::end_all`] has ended, and what an earlier process left
/// unwritten. Sessions are dead without it.
pub async fn backfill(services: &Services) -> Result<()> {
    let database = services.database.clone().with_long_timeout();
    let _turn = services.backfill.turn.lock().await;
    services.backfill.written.store(0, Ordering::Relaxed);
    while let Some(end) = database.read(everyone::next_backfill).await? {
        database.write(everyone::tell_again).await?;
        let mut after = None;
        loop {
            let some = end.clone();
            let (written, last) =
                database.write(move |connection| everyone::backfill_some(connection, &some, after)).await?;
            services.backfill.written.fetch_add(written, Ordering::Relaxed);
            after = last;
            if after.is_none() {
                break;
            }
        }
        database.write(move |connection| everyone::backfilled(connection, &end)).await?;
        counts::count_all(services).await?;
    }
    Ok(())
}
