//! How this node fares.

use std::time::Duration;

use super::Services;
pub use crate::storage::readiness::{Fault, TryOut};
use crate::storage::sessions::SessionStore;

/// What became of trying out a store.
pub struct Health {
    /// How long it took to do what requests need, or what failed.
    pub tried: Result<Duration, Fault>,
    /// Where it is set up so that it loses what it must keep.
    pub warning: Option<String>,
}

impl Health {
    /// How long it took, to a hundredth of a millisecond; `None` where something failed.
    pub fn milliseconds(&self) -> Option<f64> {
        self.tried.as_ref().ok().map(|latency| (latency.as_secs_f64() * 100_000.0).round() / 100.0)
    }
}

/// Whether the database can be read and written.
pub async fn database(services: &Services) -> Health {
    Health { tried: services.try_out.of(&services.database).await, warning: None }
}

/// The same of Redis, where there is one.
pub async fn redis(sessions: &SessionStore) -> Option<Health> {
    let SessionStore::Redis(store) = sessions else { return None };
    let tried = store.try_out().await;
    let warning = if tried.is_ok() { store.eviction_warning().await } else { None };
    Some(Health { tried, warning })
}
