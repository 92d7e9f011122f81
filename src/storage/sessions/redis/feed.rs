//! The feed, from a node's side: rule 6.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::super::changes::{self, Change, KEPT, Row};
use super::scripts::Named;
use super::servers::Server;
use super::{Inner, RedisSessions, Result};
use crate::domain::{SessionId, Timestamp, UserId};
use crate::telemetry::metrics::Durations;

/// Well below [`STALE`], so that one slow reading doesn't send every request to SQL.
const INTERVAL: Duration = Duration::from_millis(350);
/// A node without a complete reading that began within this believes no copy.
pub(super) const STALE: Duration = Duration::from_secs(1);

/// So many rows are carried out at a time.
const AT_ONCE: usize = 100;

/// How far this node has read.
pub struct Progress {
    state: Mutex<State>,
    /// Of those who wait for a reading, one reads.
    reading: tokio::sync::Mutex<()>,
    /// When this process came to the feed.
    started: Instant,
    /// From the time of each row, by the database's clock, until it was carried out here.
    pub lag: Durations,
}

/// What [`INTERVAL`] makes of it where all is well, and what is promised, lie between these.
const LAGS: &[f64] = &[0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0];

#[derive(Default)]
struct State {
    /// The last complete one.
    complete: Option<Reading>,
    /// Rows that were carried out, each with the replication id of the server where. A reading finds those of the last
    /// moments again, and need not repeat them there: a load after them reads SQL after their commit.
    done: HashMap<i64, String>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            started: Instant::now(),
            lag: Durations::within(LAGS),
        }
    }
}

/// When a reading of the feed began.
#[derive(Clone, Copy)]
struct Reading {
    began: Instant,
    began_at: SystemTime,
    /// By the database's clock.
    at: Timestamp,
    /// From where the next one reads: [`changes::Reading::complete_until`].
    complete_until: Timestamp,
}

impl Progress {
    /// Whether copies may be believed. By both clocks of this machine: one stands still while it sleeps, the other can be
    /// set.
    pub fn is_fresh(&self) -> bool {
        let Some(Reading { began, began_at, .. }) = self.lock().complete else { return false };
        began.elapsed() < STALE && began_at.elapsed().is_ok_and(|elapsed| elapsed < STALE)
    }

    /// How long ago the last complete reading began; where there was none, how long this process has been here.
    pub fn age(&self) -> Duration {
        self.last().map_or(self.started, |reading| reading.began).elapsed()
    }

    fn is_complete_since(&self, moment: Instant) -> bool {
        self.lock().complete.is_some_and(|reading| reading.began >= moment)
    }

    fn last(&self) -> Option<Reading> {
        self.lock().complete
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Inner {
    /// What a writer's script does for a change. `None` where there is none: nodes raise their minimum positions (rule
    /// 6).
    pub fn script_of(&self, change: &Change) -> Option<(&Named, UserId, Option<SessionId>)> {
        match *change {
            Change::SessionEnded(user, session) => Some((&self.scripts.session_ended, user, Some(session))),
            Change::SecretChanged(user, session) => Some((&self.scripts.secret_changed, user, Some(session))),
            Change::User(user) | Change::UserDeleted(user) => Some((&self.scripts.user_changed, user, None)),
            Change::Everyone => None,
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

    /// For whoever can't go on without a reading that begins from now on: all who wait share one.
    pub(super) async fn read_feed_anew(&self) -> Result<()> {
        let asked = Instant::now();
        let _turn = self.0.feed.reading.lock().await;
        if self.0.feed.is_complete_since(asked) { Ok(()) } else { self.read_feed().await }
    }

    async fn read_feed(&self) -> Result<()> {
        self.0.counted(self.read_feed_on(None).await)
    }

    /// One reading: every row since the last complete one, each carried out on the Redis that this node sees.
    /// `joining` is the server to which this node is coming, and its slot: what was done elsewhere is done again there.
    pub(super) async fn read_feed_on(&self, joining: Option<(u16, &Server)>) -> Result<()> {
        let inner = &self.0;
        #[expect(clippy::disallowed_methods, reason = "how long this machine slept is nothing that a test can set")]
        let (began, began_at) = (Instant::now(), SystemTime::now());
        let last = inner.feed.last();
        let from = last.map(|last| last.complete_until);
        let read = inner.database.read(move |connection| changes::read(connection, from)).await?;
        let changes::Reading { began: at, asked_at, complete_until, rows } = read;
        if last.is_some_and(|last| at - last.at > KEPT / 2) {
            // Rows that this node never saw may be gone. Nothing that was copied before now is believed.
            inner.servers.forget_all();
            inner.channel.any_memory().forget_everyone();
        }
        // What was there before this node is late through no fault of its own.
        let clocks = last.map(|_| (at, asked_at));
        let carry_out = rows.iter().copied().map(|row| self.carry_out_timed(row, joining, clocks));
        stream::iter(carry_out).buffer_unordered(AT_ONCE).try_for_each(async |()| Ok(())).await?;
        let seen: HashSet<_> = rows.iter().map(|row| row.id).collect();
        let mut state = inner.feed.lock();
        state.done.retain(|id, _| seen.contains(id));
        // A later reading may have completed first.
        if state.complete.is_none_or(|earlier| earlier.began < began) {
            state.complete = Some(Reading { began, began_at, at, complete_until });
        }
        Ok(())
    }

    /// [`Self::carry_out`], and tells how late it was the first time. `clocks` are the database's and our own at one moment.
    async fn carry_out_timed(
        &self,
        row: Row,
        joining: Option<(u16, &Server)>,
        clocks: Option<(Timestamp, Instant)>,
    ) -> Result<()> {
        let is_new = self.carry_out(row, joining).await?;
        if let Some((theirs, ours)) = clocks.filter(|_| is_new) {
            self.0.feed.lag.observe((theirs - row.at).to_std().unwrap_or_default() + ours.elapsed());
        }
        Ok(())
    }

    /// Does for a row what its writer did, and says whether it was the first time. Rows may be carried out in any order:
    /// each only takes away.
    async fn carry_out(&self, row: Row, joining: Option<(u16, &Server)>) -> Result<bool> {
        let (inner, Row { id, change, .. }) = (&self.0, row);
        let Some((script, user, session)) = inner.script_of(&change) else {
            inner.servers.raise_min_positions(id);
            inner.channel.any_memory().forget(&change);
            return Ok(inner.feed.lock().done.insert(id, String::new()).is_none());
        };
        let slot = inner.line.slot(user);
        let known = match joining {
            Some((joined, server)) if joined == slot => Some(server.replication_id.clone()),
            _ => inner.servers.get(slot).map(|server| server.replication_id),
        };
        // On a slot that this node has not asked yet it believes nothing, and any server will do.
        let done = inner.feed.lock().done.get(&id).is_some_and(|done| known.as_ref().is_none_or(|known| known == done));
        if done {
            return Ok(false);
        }
        let reply = inner.scripts.run(&inner.line, script, &inner.scripts.keys(user, session), &[]).await;
        // After it: what was read again from a copy before that is forgotten too.
        inner.channel.any_memory().forget(&change);
        let reply = reply?;
        if known.is_some_and(|known| known != reply.replication_id) {
            // A server that this node doesn't know: whoever asks there joins it first.
            inner.servers.forget(slot);
            inner.channel.any_memory().forget_everyone();
        }
        Ok(inner.feed.lock().done.insert(id, reply.replication_id).is_none())
    }
}
