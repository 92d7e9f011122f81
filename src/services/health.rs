//! How this node fares.

use std::sync::Mutex;
use std::time::Duration;

use chrono::TimeDelta;

use super::{Result, Services};
use crate::storage::database_time::{ClockDifference, clock_difference};
pub use crate::storage::readiness::{Fault, TryOut};
use crate::storage::sessions::SessionStore;

/// What became of trying out a store.
pub struct Health {
    /// How long it took to do what requests need, or what failed.
    pub tried: std::result::Result<Duration, Fault>,
    /// What is set up so that it will do harm: a store that loses what it must keep, a clock that is wrong.
    pub warning: Option<String>,
    /// Where the store may be on another host: how far this host's clock is ahead of its.
    pub clock_ahead: Option<TimeDelta>,
}

impl Health {
    /// How long it took, to a hundredth of a millisecond; `None` where something failed.
    pub fn milliseconds(&self) -> Option<f64> {
        self.tried.as_ref().ok().map(|latency| (latency.as_secs_f64() * 100_000.0).round() / 100.0)
    }

    /// [`Self::clock_ahead`] in seconds, to a tenth.
    pub fn clock_ahead_seconds(&self) -> Option<f64> {
        self.clock_ahead.map(|ahead| (ahead.as_seconds_f64() * 10.0).round() / 10.0)
    }
}

/// From here on a difference of two clocks is told, and below the half of it no more.
const TOLD: TimeDelta = TimeDelta::seconds(1);

/// How far this host's clock is from the database's, and whether the log was told that it is too far.
#[derive(Default)]
pub struct Clocks(Mutex<Compared>);

#[derive(Clone, Copy, Default)]
struct Compared {
    host_ahead: Option<TimeDelta>,
    told: bool,
}

/// What the log is told.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Apart,
    Agree,
}

impl Clocks {
    /// Notes what was found, and says what is news.
    fn note(&self, ClockDifference { ahead, error }: ClockDifference) -> Option<Word> {
        let mut compared = self.compared();
        compared.host_ahead = Some(-ahead);
        if !compared.told && ahead.abs() >= TOLD + error {
            compared.told = true;
            return Some(Word::Apart);
        }
        if compared.told && ahead.abs() + error < TOLD / 2 {
            compared.told = false;
            return Some(Word::Agree);
        }
        None
    }

    /// By how much this host's clock is ahead, and what to say of that.
    fn found(&self) -> (Option<TimeDelta>, Option<String>) {
        let Compared { host_ahead, told } = *self.compared();
        (host_ahead, host_ahead.filter(|_| told).map(warning))
    }

    fn compared(&self) -> std::sync::MutexGuard<'_, Compared> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What to do about a clock that is so far ahead of the database's.
fn warning(host_ahead: TimeDelta) -> String {
    let (seconds, way) =
        (host_ahead.abs().as_seconds_f64(), if host_ahead > TimeDelta::zero() { "ahead of" } else { "behind" });
    format!(
        "the clock of this host is {seconds:.1} s {way} that of the database, which is gone by; set both right (NTP)"
    )
}

/// Asks the database what time it is, and goes by that: of several nodes none is ahead of the others.
///
/// # Errors
/// Where the database does not answer: then the last answer holds.
pub async fn compare_clocks(services: &Services) -> Result<()> {
    let Some(difference) = clock_difference(&services.database, &services.clock).await? else { return Ok(()) };
    services.clock.follow(difference.ahead, difference.error);
    let host_ahead_seconds = -difference.ahead.as_seconds_f64();
    match services.clocks.note(difference) {
        Some(Word::Apart) => tracing::warn!(
            host_ahead_seconds,
            "the clock of this host and that of the database differ; the database's is gone by: set both right (NTP)"
        ),
        Some(Word::Agree) => {
            tracing::info!(host_ahead_seconds, "the clocks of this host and of the database agree again")
        }
        None => {}
    }
    Ok(())
}

/// The same while the server runs. That a database does not answer is told elsewhere.
pub async fn compare_clocks_again(services: &Services) {
    if let Err(error) = compare_clocks(services).await {
        tracing::debug!(%error, "the clocks were not compared");
    }
}

/// Whether the database can be read and written, and what time it has.
pub async fn database(services: &Services) -> Health {
    let tried = services.try_out.of(&services.database).await;
    if tried.is_ok() {
        compare_clocks_again(services).await;
    }
    let (clock_ahead, warning) = services.clocks.found();
    Health { tried, warning, clock_ahead }
}

/// The same of a database that was tried out by itself, where it said what time it has.
pub fn of_database(tried: std::result::Result<Duration, Fault>, difference: Option<ClockDifference>) -> Health {
    let clocks = Clocks::default();
    if let Some(difference) = difference {
        clocks.note(difference);
    }
    let (clock_ahead, warning) = clocks.found();
    Health { tried, warning, clock_ahead }
}

/// The same of Redis, where there is one.
pub async fn redis(sessions: &SessionStore) -> Option<Health> {
    let SessionStore::Redis(store) = sessions else { return None };
    let tried = store.try_out().await;
    let warning = if tried.is_ok() { store.eviction_warning().await } else { None };
    Some(Health { tried, warning, clock_ahead: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_told_once_when_it_begins_and_once_when_it_ends() {
        let clocks = Clocks::default();
        let note = |millis, error| {
            let (ahead, error) = (TimeDelta::milliseconds(millis), TimeDelta::milliseconds(error));
            clocks.note(ClockDifference { ahead, error })
        };
        assert_eq!(clocks.found(), (None, None));
        assert_eq!(note(900, 0), None);
        // A slow answer says little.
        assert_eq!(note(1500, 600), None);
        assert_eq!(note(31_000, 5), Some(Word::Apart));
        assert_eq!(note(31_004, 5), None);
        let (ahead, told) = clocks.found();
        assert_eq!(ahead, Some(TimeDelta::milliseconds(-31_004)));
        assert!(told.is_some_and(|told| told.contains("31.0 s behind that of the database")));
        assert_eq!(note(-900, 0), None);
        assert!(clocks.found().1.is_some_and(|told| told.contains("0.9 s ahead of that")));
        assert_eq!(note(-400, 0), Some(Word::Agree));
        assert_eq!(clocks.found(), (Some(TimeDelta::milliseconds(400)), None));
    }
}
