//! Whether a server of Redis can do what the protocol needs.

use std::sync::Arc;

use super::line::Line;
use super::refusal::Refusal;

/// Why this Redis can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Refused(#[source] Refusal),
    #[error("it is {0}; Redis 7, Valkey 7.2 or newer is needed")]
    TooOld(String),
    #[error("a script there can't read master_replid from INFO replication; allow that to its user (ACL: +info +eval)")]
    NoReplicationId,
}

/// Redis 7 / Valkey 7.2 or newer, where a script reads the id of the server's history.
pub(super) async fn check_server(line: &Arc<Line>) -> std::result::Result<(), OpenError> {
    let script = "local info = redis.call('INFO', 'server')\n\
                  local replication_id = redis.call('INFO', 'replication')\n\
                  return {info, replication_id}";
    let mut evaluate = redis::cmd("EVAL");
    evaluate.arg(script).arg(1).arg("portcullis:{check}");
    let (server, replication): (String, String) = line.ask(&evaluate).await.map_err(|refusal| {
        if refusal.is_error_of_script() { OpenError::NoReplicationId } else { OpenError::Refused(refusal) }
    })?;
    let version = |name: &str| {
        let text = server.lines().find_map(|line| line.strip_prefix(name))?.trim();
        let mut numbers = text.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        Some((text.to_owned(), (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))))
    };
    let supported = match (version("valkey_version:"), version("redis_version:")) {
        (Some((text, number)), _) => (number >= (7, 2)).then_some(()).ok_or(format!("Valkey {text}")),
        (None, Some((text, number))) => (number >= (7, 0)).then_some(()).ok_or(format!("Redis {text}")),
        (None, None) => Err("of an unknown version".to_owned()),
    };
    supported.map_err(OpenError::TooOld)?;
    let replication_id = replication.lines().find_map(|line| line.strip_prefix("master_replid:"));
    replication_id.filter(|id| id.trim().len() >= 16).map(drop).ok_or(OpenError::NoReplicationId)
}
