//! Time is a parameter: everything that asks what time it is asks a [`Clock`], and tests move it by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

/// A moment in UTC, whole milliseconds: the resolution that SQL and Redis keep. Reads as a [`DateTime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The moment `millis` milliseconds after 1970; out of range is 1970 itself, which every limit has passed.
    pub fn from_millis(millis: i64) -> Self {
        Self(DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH))
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl std::ops::Deref for Timestamp {
    type Target = DateTime<Utc>;
    fn deref(&self) -> &DateTime<Utc> {
        &self.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self::from_millis(moment.timestamp_millis())
    }
}

/// Beyond the calendar it stays at the calendar's end.
impl std::ops::Add<TimeDelta> for Timestamp {
    type Output = Self;
    fn add(self, span: TimeDelta) -> Self {
        Self(self.0.checked_add_signed(span).unwrap_or(DateTime::<Utc>::MAX_UTC))
    }
}

impl std::ops::Sub<TimeDelta> for Timestamp {
    type Output = Self;
    fn sub(self, span: TimeDelta) -> Self {
        Self(self.0.checked_sub_signed(span).unwrap_or(DateTime::<Utc>::MIN_UTC))
    }
}

impl std::ops::Sub for Timestamp {
    type Output = TimeDelta;
    fn sub(self, earlier: Self) -> TimeDelta {
        self.0 - earlier.0
    }
}

/// What is measured of another clock, and is no more than the noise of it.
const JITTER: TimeDelta = TimeDelta::milliseconds(250);

/// Where the current time comes from: the clock of this host or, where several hosts share a database, that one's, which
/// they [follow](Clock::follow). Cheap to clone; clones go by one time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    source: Source,
    /// Milliseconds by which the clock that is followed is ahead of this host's.
    ahead: Arc<AtomicI64>,
}

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    /// Milliseconds added to the system's time: those that tests let pass, for all alike, and those by which a host's
    /// clock is wrong.
    Shifted { passed: Arc<AtomicI64>, wrong: i64 },
}

impl Clock {
    /// The system's clock, which can be moved with [`Clock::advance`]. For tests.
    pub fn adjustable() -> Self {
        Self { source: Source::Shifted { passed: Arc::default(), wrong: 0 }, ahead: Arc::default() }
    }

    /// That of another host, which is ahead by so much; time passes for both. For tests.
    pub fn of_other_host(&self, ahead: TimeDelta) -> Self {
        let passed = match &self.source {
            Source::System => Arc::default(),
            Source::Shifted { passed, .. } => passed.clone(),
        };
        Self { source: Source::Shifted { passed, wrong: ahead.num_milliseconds() }, ahead: Arc::default() }
    }

    /// The current time, cut to milliseconds.
    pub fn now(&self) -> Timestamp {
        let passed = match &self.source {
            Source::System => 0,
            Source::Shifted { passed, .. } => passed.load(Ordering::SeqCst),
        };
        self.of_host() + TimeDelta::milliseconds(passed + self.ahead.load(Ordering::SeqCst))
    }

    /// What the clock of this host says, right or wrong.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn of_host(&self) -> Timestamp {
        let wrong = match &self.source {
            Source::System => 0,
            Source::Shifted { wrong, .. } => *wrong,
        };
        Timestamp::from_millis(Utc::now().timestamp_millis() + wrong)
    }

    /// By how much the time that this clock goes by is ahead of this host's.
    pub fn ahead_of_host(&self) -> TimeDelta {
        TimeDelta::milliseconds(self.ahead.load(Ordering::SeqCst))
    }

    /// Goes by a clock that is `ahead` of this host's, give or take `error`. Where that is what it does already, nothing
    /// changes: time does not jump to and fro.
    pub fn follow(&self, ahead: TimeDelta, error: TimeDelta) {
        let ahead = ahead.num_milliseconds();
        let change = TimeDelta::milliseconds(ahead.saturating_sub(self.ahead.load(Ordering::SeqCst)));
        if change.abs() > JITTER + error {
            self.ahead.store(ahead, Ordering::SeqCst);
        }
    }

    /// Moves an adjustable clock forward; the system's own clock stays as it is.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Shifted { passed, .. } = &self.source {
            passed.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
        }
    }
}

/// A duration as a setting gives it, in the largest unit that divides it: "90 days", "1 hour", "90 seconds".
pub fn duration(length: TimeDelta) -> String {
    let seconds = length.num_seconds();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let (size, unit) = units.into_iter().find(|(size, _)| seconds % size == 0).unwrap_or((1, "second"));
    match seconds / size {
        1 => format!("1 {unit}"),
        count => format!("{count} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_followed_counts_and_noise_does_not_move_it() {
        let clock = Clock::adjustable();
        let host = clock.of_other_host(TimeDelta::seconds(-31));
        let apart = || (clock.now() - host.now()).num_milliseconds();
        let is_about = |millis: i64| (apart() - millis).abs() < 900;
        assert!(is_about(31_000), "{}", apart());
        let (noise, none) = (TimeDelta::milliseconds(200), TimeDelta::zero());
        host.follow(TimeDelta::seconds(31), none);
        assert!(is_about(0), "{}", apart());
        host.follow(TimeDelta::seconds(31) + noise, none);
        host.follow(TimeDelta::seconds(33), TimeDelta::seconds(2));
        assert!(is_about(0), "{}", apart());
        host.follow(TimeDelta::seconds(33), TimeDelta::seconds(1));
        assert!(is_about(-2000), "{}", apart());
        // Tests let time pass for every host.
        let before = (clock.now(), host.now());
        clock.advance(TimeDelta::hours(1));
        assert!(clock.now() - before.0 >= TimeDelta::hours(1) && host.now() - before.1 >= TimeDelta::hours(1));
    }

    #[test]
    fn durations_are_told_in_the_largest_unit_that_divides_them() {
        for (seconds, expected) in [
            (90, "90 seconds"),
            (60, "1 minute"),
            (600, "10 minutes"),
            (7200, "2 hours"),
            (86_400, "1 day"),
            (129_600, "36 hours"),
        ] {
            assert_eq!(duration(TimeDelta::seconds(seconds)), expected);
        }
    }
}
