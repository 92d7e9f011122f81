//! What `/metrics` tells: the figures that were counted, and some that are looked at when somebody asks.

use std::fmt;

use prometheus_client::encoding::{prometheus_text, text};

use super::authentication::hasher::Load;
use super::sessions::counts;
use super::{Result, Services};
use crate::domain::SessionKind;
use crate::storage::sessions::SessionStore;
use crate::telemetry;
use crate::telemetry::metrics::{ConstGauge, Counter, Durations, Registry, Table};

/// How the figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus' own text, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Exposition {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Everything that this node tells of itself.
pub struct Metrics {
    services: Services,
    /// What is counted as it happens.
    counted: Registry,
}

impl Metrics {
    /// Of these services, and of what `more` registers.
    pub fn new(services: Services, more: impl FnOnce(&mut Registry)) -> Self {
        let mut counted = Registry::with_prefix("portcullis");
        more(&mut counted);
        register(&mut counted, &services);
        Self { services, counted }
    }

    /// All figures. Those that a store has are left out where it can't be asked; what it is asked has a bound.
    ///
    /// # Errors
    /// None that this can cause: the text is written into memory.
    pub async fn tell(&self, exposition: Exposition) -> std::result::Result<String, fmt::Error> {
        let mut seen = Registry::with_prefix("portcullis");
        look(&mut seen, &self.services).await;
        let mut told = String::new();
        match exposition {
            Exposition::Prometheus => {
                prometheus_text::encode(&mut told, &self.counted)?;
                prometheus_text::encode(&mut told, &seen)?;
            }
            Exposition::OpenMetrics => {
                text::encode_registry(&mut told, &self.counted)?;
                text::encode(&mut told, &seen)?;
            }
        }
        Ok(told)
    }
}

fn register(registry: &mut Registry, services: &Services) {
    let tally = &services.tally;
    registry.register(
        "sign_ins",
        "Sign-ins with a password, by what became of them",
        tally.sign_ins.table(|(kind, outcome)| [("kind", kind.as_str()), ("outcome", outcome.as_str())]),
    );
    registry.register(
        "refreshes",
        "Refresh tokens presented, by what became of them",
        tally.refreshes.table(|outcome| [("outcome", outcome.as_str())]),
    );
    let caches = services.sessions.caches();
    let lookups = [
        caches.sessions.rows("sessions"),
        caches.copies.rows("redis_copies"),
        caches.accounts.rows("accounts"),
        tally.tokens.rows("access_tokens"),
    ];
    registry.register(
        "cache_lookups",
        "What was asked of a cache, and whether it had the answer",
        Table(lookups.into_iter().flatten().collect()),
    );
    let redis = services.sessions.redis_errors().cloned().unwrap_or_default();
    registry.register(
        "store_errors",
        "Calls that a store failed, or did not answer in time",
        Table::<1, Counter>(vec![
            ([("store", "database")], services.database.errors().clone()),
            ([("store", "redis")], redis),
        ]),
    );
    registry.register(
        "log_lines_lost",
        "Lines of the log that could not be written, or that nobody read in time",
        telemetry::lost_lines(),
    );
    let lag = match &services.sessions {
        SessionStore::Redis(store) => store.revocation_lag().clone(),
        // Nobody is behind: each request asks the database.
        SessionStore::Sql(_) => Durations::within(&[1.0]),
    };
    registry.register(
        "revocation_lag_seconds",
        "From the row of a change in the feed until this node had carried it out; 0 observations without Redis",
        lag,
    );
}

/// Puts there what is so at this moment.
async fn look(registry: &mut Registry, services: &Services) {
    let loads = services.hasher.load();
    let mut of_pools = |name: &str, help: &str, figure: fn(Load) -> usize| {
        let rows = loads.map(|(pool, load)| ([("pool", pool)], gauge(figure(load) as f64)));
        registry.register(name, help, Table(rows.into()));
    };
    of_pools("hash_queue_waiting", "Password checks that wait for a thread", |load| load.waiting);
    of_pools(
        "hash_queue_capacity",
        "Password checks that may wait, or have their place kept; more are refused",
        |load| load.capacity,
    );
    of_pools("hash_threads_running", "Threads that hash a password", |load| load.running);
    let age = match &services.sessions {
        SessionStore::Redis(store) => store.feed_age().as_secs_f64(),
        SessionStore::Sql(_) => 0.0,
    };
    registry.register(
        "feed_age_seconds",
        "Since the feed of changes was last read; beyond 1 no copy is believed. 0 without Redis",
        gauge(age),
    );
    registry.register(
        "clock_ahead_seconds",
        "By how much the clock of this host is ahead of the database's, which is gone by. 0 on SQLite, which has none",
        gauge(services.clocks.host_ahead().unwrap_or_default().as_seconds_f64()),
    );
    match sessions(services).await {
        Ok(rows) => {
            registry.register("sessions", "Sessions that have not ended; of many, as a sweep last counted them", rows);
        }
        // It is counted among the errors of the store.
        Err(error) => tracing::debug!(%error, "sessions are not told"),
    }
    let version = [([("version", env!("CARGO_PKG_VERSION"))], gauge(1.0))];
    registry.register("build_info", "Which version this is", Table(version.into()));
}

async fn sessions(services: &Services) -> Result<Table<1, ConstGauge<f64>>> {
    let known = counts::already_known(services).await?;
    let row = |kind: SessionKind, value: i64| ([("kind", kind.as_str())], gauge(value as f64));
    let rows =
        known.map(|open| vec![row(SessionKind::Browser, open.browser.value), row(SessionKind::Api, open.api.value)]);
    Ok(Table(rows.unwrap_or_default()))
}

fn gauge(value: f64) -> ConstGauge<f64> {
    ConstGauge::new(value)
}
