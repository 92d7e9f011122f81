//! Whether Redis does what requests need, tried out without waiting for one to fail.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{FromRedisValue as _, Value};

use super::super::super::readiness::Fault;
use super::connection::slot_of;
use super::line::Line;
use super::refusal::Refusal;
use super::scripts::Scripts;
use super::server_check::{OpenError, check_server};
use super::{PATIENCE, RedisSessions};
use crate::settings::RedisUrl;

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
            looks = if line.leads_elsewhere().await { looks + 1 } else { 0 };
            if looks >= LOOKS {
                tracing::info!("the name of Redis leads elsewhere: connecting anew");
                line.renew();
                looks = 0;
            }
            // It tells the log by itself.
            let _ = self.try_out().await;
        }
    }

    /// Does once, on every server, what the scripts of requests do there, and says how long that took.
    pub async fn try_out(&self) -> Result<Duration, Fault> {
        let tried = try_each(&self.0.line, &self.0.scripts).await;
        match &tried {
            Ok(_) => self.0.line.is_well(),
            Err(_) => drop(self.0.errors.inc()),
        }
        tried.map_err(fault)
    }
}

/// The same for whoever has no sessions to keep: connects, looks whether it is a Redis that can be used, and tries it
/// out. With a warning where it is set up so that it loses what it must keep.
pub async fn try_out(url: &RedisUrl, prefix: &str) -> Result<(Duration, Option<String>), Fault> {
    let line = Line::open(url).await.map_err(fault)?;
    check_server(&line).await.map_err(|error| match error {
        OpenError::Refused(refusal) => fault(refusal),
        OpenError::TooOld(_) | OpenError::NoReplicationId => Fault {
            failed: "run a script",
            code: "unusable".to_owned(),
            said: String::new(),
            advice: error.to_string(),
        },
    })?;
    let latency = try_each(&line, &Scripts::new(prefix)).await.map_err(fault)?;
    Ok((latency, eviction_warning(&line).await))
}

async fn try_each(line: &Arc<Line>, scripts: &Scripts) -> Result<Duration, Refusal> {
    let began = Instant::now();
    let all = async {
        for tag in tags(line).await? {
            scripts.run(line, &scripts.try_out, &scripts.tagged(&tag, "-"), &[b"1".to_vec()]).await?;
        }
        Ok(began.elapsed())
    };
    tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| Err(Refusal::late()))
}

/// What to say where Redis may forget what it was told: sessions are read again from SQL, limits are not.
pub(super) async fn eviction_warning(line: &Arc<Line>) -> Option<String> {
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    // The nodes of a cluster answer each for itself.
    let infos: Vec<String> = if line.is_cluster() {
        line.ask::<HashMap<String, String>>(&info).await.ok()?.into_values().collect()
    } else {
        vec![line.ask(&info).await.ok()?]
    };
    let policy_of = |info: &String| {
        info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(|policy| policy.trim().to_owned())
    };
    let policy = infos.iter().filter_map(policy_of).find(|policy| policy != "noeviction")?;
    Some(format!("maxmemory-policy is {policy}; set it to noeviction"))
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
async fn tags(line: &Arc<Line>) -> Result<Vec<String>, Refusal> {
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
