//! The feed, from a node's side: rule 6.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::super::changes::{self, Change, KEPT};
use super::connection::Named;
use super::servers::Server;
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
    /// Rows that were carried out, each with the stamp of the server where. A reading finds those of the last ten
    /// seconds again, and need not repeat them there: a load after them reads SQL after their commit.
    done: HashMap<i64, String>,
}

impl Progress {
    /// Whether copies may be believed.
    pub fn is_fresh(&self) -> bool {
        self.lock().complete.is_some_and(|(began, _)| began.elapsed() < STALE)
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

    pub(super) async fn read_feed(&self) -> Result<()> {
        self.read_feed_on(None).await
    }

    /// One reading: every row since the last complete one, each carried out on the Redis that this node sees.
    /// `joining` is the server to which this node is coming, and its slot: what was done elsewhere is done again there.
    pub(super) async fn read_feed_on(&self, joining: Option<(u16, &Server)>) -> Result<()> {
        let inner = &self.0;
        let began = Instant::now();
        let last = inner.feed.last();
        let (at, rows) = inner.database.read(move |connection| changes::read(connection, last)).await?;
        if last.is_some_and(|last| at - last > KEPT / 2) {
            // Rows that this node never saw may be gone. Nothing that was copied before now is believed.
            inner.servers.forget_all();
        }
        for (id, change) in &rows {
            let (script, user, session) = inner.script_of(change);
            let slot = inner.connection.slot(user);
            let known = match joining {
                Some((joined, server)) if joined == slot => Some(server.stamp.clone()),
                _ => inner.servers.get(slot).map(|server| server.stamp),
            };
            // On a slot that this node has not asked yet it believes nothing, and any server will do.
            let done =
                inner.feed.lock().done.get(id).is_some_and(|done| known.as_ref().is_none_or(|stamp| stamp == done));
            if done {
                continue;
            }
            let reply = inner.scripts.run(&inner.connection, script, user, session, &[]).await?;
            if known.is_some_and(|stamp| stamp != reply.stamp) {
                // A server that this node doesn't know: whoever asks there joins it first.
                inner.servers.forget(slot);
            }
            inner.feed.lock().done.insert(*id, reply.stamp);
        }
        let seen: HashSet<_> = rows.iter().map(|(id, _)| *id).collect();
        let mut state = inner.feed.lock();
        state.done.retain(|id, _| seen.contains(id));
        // A later reading may have completed first.
        if state.complete.is_none_or(|(earlier, _)| earlier < began) {
            state.complete = Some((began, at));
        }
        Ok(())
    }
}
