//! Whether Redis does what requests need, tried out without waiting for one to fail.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use redis::{FromRedisValue as _, Value};

use super::super::super::readiness::Fault;
use super::connection::{Line, slot_of};
use super::refusal::Refusal;
use super::{PATIENCE, RedisSessions};

/// How often Redis is tried out, and the name looked up.
const INTERVAL: Duration = Duration::from_secs(1);
/// So often in a row the name must lead elsewhere: one answer of a name server may be of a moment, or a part.
const LOOKS: u32 = 2;
/// What the step may be that a try-out failed at.
const STEPS: [&str; 3] = ["read", "write", "delete"];

impl RedisSessions {
    /// Tries Redis out for as long as the process lives, so that the log tells of trouble before a request fails, and
    /// follows the name of a Redis that was replaced by another while the former still answers.
    pub async fn watch(&self) {
        let line = &self.0.line;
        let mut looks = 0;
        loop {
            tokio::time::sleep(INTERVAL).await;
            let elsewhere = line.leads_elsewhere().await;
            looks = if elsewhere.is_some() { looks + 1 } else { 0 };
            if let Some(link) = elsewhere.filter(|_| looks >= LOOKS) {
                tracing::info!("the name of Redis leads elsewhere: connecting anew");
                line.replace(&link);
                looks = 0;
            }
            // It tells the log by itself.
            let _ = self.try_out().await;
        }
    }

    /// Does once, on every server, what the scripts of requests do there, and says how long that took.
    pub async fn try_out(&self) -> Result<Duration, Fault> {
        let began = Instant::now();
        let tried = tokio::time::timeout(PATIENCE, self.try_each()).await.unwrap_or_else(|_| Err(Refusal::late()));
        match tried {
            Ok(()) => {
                self.0.line.is_well();
                Ok(began.elapsed())
            }
            Err(refusal) => Err(fault(refusal)),
        }
    }

    async fn try_each(&self) -> Result<(), Refusal> {
        let (line, scripts) = (&self.0.line, &self.0.scripts);
        for tag in tags(line).await? {
            scripts.run(line, &scripts.try_out, &scripts.tagged(&tag, "-"), &[b"1".to_vec()]).await?;
        }
        Ok(())
    }
}

fn fault(refusal: Refusal) -> Fault {
    let step = |step: &&&str| refusal.said.strip_suffix(')').is_some_and(|said| said.ends_with(&format!(" ({step}")));
    let failed = match STEPS.iter().find(step) {
        Some(step) => step,
        None if refusal.is_of_connection() => "connect",
        None => "run a script",
    };
    Fault { failed, code: refusal.code, said: refusal.said, advice: refusal.advice.to_owned() }
}

/// Hash tags of keys that are nobody's, one for each server.
async fn tags(line: &Line) -> Result<Vec<String>, Refusal> {
    const TAG: &str = "ready";
    if !line.is_cluster() {
        return Ok(vec![TAG.to_owned()]);
    }
    // Each range of slots: the first, the last, the primary, its replicas.
    let ranges: Vec<Vec<Value>> = line.ask(redis::cmd("CLUSTER").arg("SLOTS")).await?;
    let mut primaries = HashSet::new();
    let mut tags = Vec::new();
    for range in &ranges {
        let [first, last, primary, ..] = range.as_slice() else { continue };
        let (Ok(first), Ok(last)) = (u16::from_redis_value_ref(first), u16::from_redis_value_ref(last)) else {
            continue;
        };
        if primaries.insert(format!("{primary:?}")) {
            let mut candidates = (0..u32::MAX).map(|number| format!("{TAG}{number}"));
            tags.extend(candidates.find(|tag| (first..=last).contains(&slot_of(tag))));
        }
    }
    Ok(tags)
}
