//! A limit that all nodes count together. What Redis forgets is a quota given back and no more, for each node counts for
//! itself before.

use std::time::Duration;

use super::value::Value as _;
use super::{RedisSessions, Refusal, Reply};
use crate::domain::{Quota, Timestamp};
use crate::settings::Rate;

/// An attempt waits no longer to be counted: what it asks of Redis afterwards has its own time, and all must be over
/// within a second.
const PATIENCE: Duration = Duration::from_millis(150);

impl RedisSessions {
    /// Takes one out of the quota of all who are `whose`. `None`: Redis does not answer, or is known not to, and then
    /// nobody waits for it.
    pub async fn take(&self, whose: &str, rate: Rate, now: Timestamp) -> Option<Quota> {
        if self.0.line.is_in_trouble() {
            return None;
        }
        let scripts = &self.0.scripts;
        let (keys, arguments) = (scripts.limit(whose), [now.write(), rate.per.write(), i64::from(rate.count).write()]);
        let answer = tokio::time::timeout(PATIENCE, scripts.run(&self.0.line, &scripts.take, &keys, &arguments)).await;
        match answer.unwrap_or_else(|_| Err(Refusal::late())) {
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
