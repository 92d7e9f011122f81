//! What Redis saw of sessions since the last batch to SQL.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use super::super::{rotation, rows};
use crate::domain::{SessionId, Timestamp};
use crate::storage::{Database, Result};

/// How many sessions' activity is written in one transaction.
const BATCH: usize = 100;

#[derive(Default)]
pub(super) struct Activity(Mutex<HashMap<SessionId, Seen>>);

/// What SQL learns of a session in the next batch.
#[derive(Clone, Copy)]
struct Seen {
    active_at: Timestamp,
    /// The number of its present refresh token, where it was rotated.
    counter: Option<i64>,
}

impl Activity {
    pub fn note(&self, session: SessionId, at: Timestamp, counter: Option<i64>) {
        let mut all = self.seen();
        let seen = all.entry(session).or_insert(Seen { active_at: at, counter });
        *seen = Seen { active_at: at.max(seen.active_at), counter: counter.max(seen.counter) };
    }

    /// Writes it to SQL. What SQL would not take stays for the next time. In short transactions, so that an end waits for
    /// none of them long, and all in one order, so that two nodes that saw the same sessions don't wait for each other.
    pub async fn flush(&self, database: &Database) -> Result<()> {
        let mut seen: Vec<_> = self.seen().drain().collect();
        seen.sort_unstable_by_key(|(session, _)| *session);
        let mut left = seen.as_slice();
        while let Some(batch) = left.chunks(BATCH).next() {
            let written = batch.to_vec();
            let write = database.write(move |connection| {
                written.iter().try_for_each(|&(session, Seen { active_at, counter })| {
                    rows::touch(connection, session, active_at)?;
                    counter.map_or(Ok(()), |counter| rotation::note(connection, session, counter, active_at))
                })
            });
            if let Err(error) = write.await {
                left.iter().for_each(|(session, seen)| self.note(*session, seen.active_at, seen.counter));
                return Err(error);
            }
            left = &left[batch.len()..];
        }
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<SessionId, Seen>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
