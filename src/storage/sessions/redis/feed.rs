//! The feed, from a node's side: rule 6.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::super::changes::{self, Change, KEPT};
use super::connection::Named;
use super::{Inner, RedisSessions, Result};
use crate::domain::{SessionId, Timestamp, UserId};

/// Well below [`STALE`], so that one slow reading doesn't send every request to SQL.
const INTERVAL: Duration = Duration::from_millis(350);
/// A node without a complete reading that began within this believes no copy.
const STALE: Duration = Duration::from_secs(1);

/// How far this node has read.
#[derive(Default)]
pub struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    /// When the last complete reading began: by this process's clock, and by the database's.
    complete: Option<(Instant, Timestamp)>,
    /// Rows that were carried out on the servers that this node knows. A reading finds those of the last ten seconds
    /// again, and need not repeat them: a load after them reads SQL after their commit.
    done: HashSet<i64>,
}

impl Progress {
    /// Whether copies may be believed.
    pub fn is_fresh(&self) -> bool {
        self.lock().complete.is_some_and(|(began, _)| began.elapsed() < STALE)
    }

    /// On a server in another history nothing has been done yet.
    pub fn start_over(&self) {
        self.lock().done.clear();
    }

    fn last(&self) -> Option<Timestamp> {
        self.lock().complete.map(|(_, at)| at)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Inner {
    /// What a writer's script does for a change.
    pub fn script_of(&self, change: &Change) -> (&Named, UserId, Option<SessionId>) {
        match *change {
            Change::SessionEnded(user, session) => (&self.scripts.session_ended, user, Some(session)),
            Change::SecretChanged(user, session) => (&self.scripts.secret_changed, user, Some(session)),
            Change::User(user) | Change::UserDeleted(user) => (&self.scripts.user_changed, user, None),
        }
    }
}

impl RedisSessions {
    /// Reads the feed for as long as the process lives.
    pub async fn follow_feed(&self) {
        let mut reported = false;
        loop {
            match self.read_feed().await {
                Ok(()) => {
                    if reported {
                        tracing::info!("the feed is read again");
                    }
                    reported = false;
                }
                Err(error) => {
                    if !reported {
                        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                        tracing::warn!(%error, cause, "the feed can't be read; copies are not believed");
                    }
                    reported = true;
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// One reading: every row since the last complete one, each carried out on the Redis that this node sees.
    pub(super) async fn read_feed(&self) -> Result<()> {
        let inner = &self.0;
        let began = Instant::now();
        let last = inner.feed.last();
        let (at, rows) = inner.database.read(move |connection| changes::read(connection, last)).await?;
        if last.is_some_and(|last| at - last > KEPT / 2) {
            // Rows that this node never saw may be gone. Nothing that was copied before now is believed.
            inner.servers.forget_all();
        }
        for (id, change) in &rows {
            if inner.feed.lock().done.contains(id) {
                continue;
            }
            let (script, user, session) = inner.script_of(change);
            let reply = inner.scripts.run(&inner.connection, script, user, session, &[]).await?;
            let slot = inner.connection.slot(user);
            if inner.servers.knows(slot, &reply.stamp) {
                inner.feed.lock().done.insert(*id);
            } else {
                // Done on a server that this node doesn't know: whoever asks there joins it first, and rows that were
                // done elsewhere are done again.
                inner.servers.forget(slot);
                inner.feed.start_over();
            }
        }
        let mut state = inner.feed.lock();
        state.done.retain(|id| rows.iter().any(|(row, _)| row == id));
        // A later reading may have completed first.
        if state.complete.is_none_or(|(earlier, _)| earlier < began) {
            state.complete = Some((began, at));
        }
        Ok(())
    }
}
