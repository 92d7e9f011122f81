//! A limit that all nodes count together. What Redis forgets is a quota given back and no more, for each node counts for
//! itself before.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::value::Value as _;
use super::{RedisSessions, Refusal, Reply};
use crate::domain::{Quota, Timestamp};
use crate::settings::Rate;

/// An attempt waits no longer to be counted: what it asks of Redis afterwards has its own time.
const PATIENCE: Duration = Duration::from_millis(150);
/// For so long after one has waited in vain none waits.
const REST: Duration = Duration::from_secs(1);

/// When an attempt waited in vain for the last time.
#[derive(Default)]
pub struct Late(Mutex<Option<Instant>>);

impl Late {
    fn is_recent(&self, now: Instant) -> bool {
        self.last().is_some_and(|last| now - last < REST)
    }

    /// Says whether it was the first time, or that of an outage.
    fn note(&self, now: Instant) -> bool {
        self.last().replace(now).is_none_or(|last| now - last > 2 * REST)
    }

    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RedisSessions {
    /// Takes one out of the quota of all who are `whose`. `None`: Redis does not answer, or is known not to, and then
    /// nobody waits for it.
    pub async fn take(&self, whose: &str, rate: Rate, now: Timestamp) -> Option<Quota> {
        if self.0.line.is_in_trouble() || self.0.late.is_recent(Instant::now()) {
            return None;
        }
        let scripts = &self.0.scripts;
        let (keys, arguments) = (scripts.limit(whose), [now.write(), rate.per.write(), i64::from(rate.count).write()]);
        let answer = tokio::time::timeout(PATIENCE, scripts.run(&self.0.line, &scripts.take, &keys, &arguments)).await;
        let answer = answer.unwrap_or_else(|_| {
            if self.0.late.note(Instant::now()) {
                tracing::warn!("Redis is too slow to count attempts to sign in: each node goes on by its own count");
            }
            Err(Refusal::late())
        });
        match answer {
            Ok(reply) => read(&reply),
            Err(error) => {
                self.0.errors.inc();
                tracing::debug!(%error, "an attempt is counted on this node alone");
                None
            }
        }
    }
}

fn read(reply: &Reply) -> Option<Quota> {
    let [left, wait] = reply.rest.as_slice() else { return None };
    Some(Quota {
        admits: reply.word == "taken",
        left: i64::read(left)?.try_into().ok()?,
        next: Duration::from_millis(i64::read(wait)?.try_into().ok()?),
    })
}
