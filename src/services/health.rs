//! How this node fares.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::{Result, Services};
use crate::domain::Timestamp;
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

/// Time that has come to differ by more than this, which clocks do not by themselves, is doubted.
const DOUBTED: TimeDelta = TimeDelta::minutes(1);
/// It is gone by when it has been found for so long: no answer that was late, or came from a server that was just being set
/// right, decides alone. No longer: a host whose clock stood still while it was paused dates by it until then.
const BELIEVED_AFTER: Duration = Duration::from_secs(10);
/// Who asks whether the node is ready, however often, has the clocks compared no sooner than this after the last time.
const COMPARED_FOR: Duration = Duration::from_secs(1);

/// How far this host's clock is from the database's, and whether the log was told that it is too far.
#[derive(Default)]
pub struct Clocks(Mutex<Compared>);

#[derive(Clone, Copy, Default)]
struct Compared {
    /// When that was begun last.
    at: Option<Instant>,
    host_ahead: Option<TimeDelta>,
    told: bool,
    /// When time was set last, or found right, by the clock of this host and by one that never leaps.
    believed: Option<(Timestamp, Instant)>,
    /// Since when there has been a difference that is doubted.
    doubted_since: Option<Instant>,
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

    /// Whether time may be set by this: at once where it changes little, was not known before, or `host`'s clock has leapt
    /// and not the database's; else where it has been found for long.
    fn is_believed(&self, change: TimeDelta, host: Timestamp, now: Instant) -> bool {
        let mut compared = self.compared();
        let leap = compared.believed.map(|(host_then, then)| {
            let passed = TimeDelta::from_std(now - then).unwrap_or(TimeDelta::MAX);
            change + (host - host_then - passed)
        });
        if change.abs() > DOUBTED && leap.is_some_and(|leap| leap.abs() > DOUBTED) {
            let since = *compared.doubted_since.get_or_insert(now);
            if now - since < BELIEVED_AFTER {
                return false;
            }
        }
        compared.doubted_since = None;
        compared.believed = Some((host, now));
        true
    }

    /// Whether they are to be compared, which whoever is told so does.
    fn is_due(&self, now: Instant) -> bool {
        let mut compared = self.compared();
        let is_due = compared.at.is_none_or(|at| now - at >= COMPARED_FOR);
        if is_due {
            compared.at = Some(now);
        }
        is_due
    }

    /// Whether this host and the database agree on the time so far that what can't be undone may be done by it: one of
    /// them is wrong, and nobody knows which.
    pub fn agree(&self) -> bool {
        self.compared().host_ahead.is_none_or(|ahead| ahead.abs() <= DOUBTED)
    }

    /// By how much this host's clock is ahead of the database's; `None` where that has none of its own.
    pub fn host_ahead(&self) -> Option<TimeDelta> {
        self.compared().host_ahead
    }

    /// The same, and what to say of it.
    fn found(&self) -> (Option<TimeDelta>, Option<String>) {
        let Compared { host_ahead, told, .. } = *self.compared();
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
    let change = difference.ahead - services.clock.ahead_of_host();
    if services.clocks.is_believed(change, services.clock.of_host(), Instant::now()) {
        services.clock.follow(difference.ahead, difference.error);
    } else {
        let leap_seconds = change.as_seconds_f64();
        tracing::error!(
            leap_seconds,
            "the time of the database has leapt: it is gone by once that has lasted ten seconds"
        );
    }
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
    if tried.is_ok() && services.clocks.is_due(Instant::now()) {
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

    #[test]
    fn a_leap_of_the_databases_time_is_believed_at_the_start_or_when_it_lasts() {
        let (clocks, start) = (Clocks::default(), Instant::now());
        let hour = TimeDelta::hours(1);
        // By the clock of the host, which is right.
        let asked = |change, seconds: u64| {
            let passed = TimeDelta::seconds(seconds as i64);
            clocks.is_believed(change, Timestamp::from_millis(0) + passed, start + Duration::from_secs(seconds))
        };
        assert!(asked(hour, 0));
        assert!(asked(DOUBTED, 1));
        for seconds in [10, 15, 19] {
            assert!(!asked(-hour, seconds), "{seconds}");
        }
        // It was a mistake, then another one begins.
        assert!(asked(TimeDelta::zero(), 19));
        assert!(!asked(-hour, 21));
        assert!(!asked(-hour, 30));
        assert!(asked(-hour, 31));
    }

    #[test]
    fn a_leap_of_the_hosts_time_is_made_up_for_at_once() {
        let (clocks, start) = (Clocks::default(), Instant::now());
        let (hour, moment) = (TimeDelta::hours(1), Duration::from_secs(30));
        assert!(clocks.is_believed(TimeDelta::zero(), Timestamp::from_millis(0), start));
        assert!(clocks.is_believed(-hour, Timestamp::from_millis(0) + hour, start + moment));
        assert!(!clocks.is_believed(-hour, Timestamp::from_millis(0) + hour, start + moment));
    }

    #[test]
    fn a_leap_of_both_is_none() {
        let (clocks, start) = (Clocks::default(), Instant::now());
        let hour = TimeDelta::hours(1);
        assert!(clocks.is_believed(TimeDelta::zero(), Timestamp::from_millis(0), start));
        assert!(clocks.is_believed(TimeDelta::zero(), Timestamp::from_millis(0) + hour, start + COMPARED_FOR));
    }

    #[test]
    fn clocks_that_are_far_apart_do_not_agree() {
        let clocks = Clocks::default();
        assert!(clocks.agree());
        for (ahead, agree) in [(TimeDelta::hours(1), false), (DOUBTED, true)] {
            clocks.note(ClockDifference { ahead, error: TimeDelta::zero() });
            assert_eq!(clocks.agree(), agree, "{ahead}");
        }
    }

    #[test]
    fn many_who_ask_whether_the_node_is_ready_have_the_clocks_compared_once() {
        let (clocks, start) = (Clocks::default(), Instant::now());
        assert!(clocks.is_due(start));
        assert!(!clocks.is_due(start) && !clocks.is_due(start + COMPARED_FOR / 2));
        assert!(clocks.is_due(start + COMPARED_FOR));
    }
}
