//! How this node fares.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;

use super::{Result, Services};
use crate::storage::sessions::SessionStore;

/// What Redis had to say.
pub struct RedisHealth {
    /// How long an answer took.
    pub latency: Result<Duration>,
    /// Where it is set up so that it loses what it must keep.
    pub warning: Option<String>,
}

impl Services {
    /// How long the database takes to answer.
    pub async fn database_latency(&self) -> Result<Duration> {
        let began = Instant::now();
        let answer = self.database.read(|connection| {
            diesel::sql_query("SELECT 1").execute(connection)?;
            Ok(())
        });
        answer.await.map(|()| began.elapsed())
    }

    /// The same of Redis, where there is one.
    pub async fn redis_health(&self) -> Option<RedisHealth> {
        let SessionStore::Redis(store) = &self.sessions else { return None };
        let began = Instant::now();
        let latency = store.ping().await.map(|()| began.elapsed());
        let warning = if latency.is_ok() { store.eviction_warning().await } else { None };
        Some(RedisHealth { latency, warning })
    }
}
