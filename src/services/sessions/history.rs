//! What an end of everyone’s sessions leaves to the history, and writes there while the answer goes out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::services::{Result, Services};
use crate::storage::sessions::everyone;

/// How long an end of everyone's sessions waits for the history to be written.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The writing of what an end of everyone's sessions leaves to the history: one task of a node at a time does it.
#[derive(Default)]
pub struct Noting {
    turn: Mutex<()>,
    /// How many sessions the present or the latest one has noted.
    noted: AtomicU64,
}

impl Noting {
    /// How many sessions were noted so far.
    pub fn noted(&self) -> u64 {
        self.noted.load(Ordering::Relaxed)
    }
}

impl Services {
    /// Writes into the history what [`Self::end_everyones_sessions`] has ended, and what an earlier process left
    /// unwritten. Sessions are dead without it.
    pub async fn note_ends(&self) -> Result<()> {
        let database = self.database.clone().patient();
        let _turn = self.noting.turn.lock().await;
        self.noting.noted.store(0, Ordering::Relaxed);
        while let Some(end) = database.read(everyone::unnoted).await? {
            database.write(everyone::tell_again).await?;
            let mut after = None;
            loop {
                let some = end.clone();
                let (noted, last) =
                    database.write(move |connection| everyone::note_some(connection, &some, after)).await?;
                self.noting.noted.fetch_add(noted, Ordering::Relaxed);
                after = last;
                if after.is_none() {
                    break;
                }
            }
            database.write(move |connection| everyone::noted(connection, &end)).await?;
            self.count_open_sessions().await?;
        }
        Ok(())
    }
}
