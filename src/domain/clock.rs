//! Time is a parameter: everything that asks what time it is asks a [`Clock`], and tests move it by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};

/// A moment in UTC, whole milliseconds: the resolution that SQL and Redis keep.
pub type Timestamp = DateTime<Utc>;

/// Where the current time comes from. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    /// Milliseconds added to the system's time.
    Shifted(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock, which can be moved with [`Clock::advance`]. For tests.
    pub fn adjustable() -> Self {
        Self(Source::Shifted(Arc::default()))
    }

    /// The current time, cut to milliseconds.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now(&self) -> Timestamp {
        let shift = match &self.0 {
            Source::System => 0,
            Source::Shifted(millis) => millis.load(Ordering::SeqCst),
        };
        from_millis(Utc::now().timestamp_millis() + shift)
    }

    /// Moves an adjustable clock forward; the system's own clock stays as it is.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Shifted(millis) = &self.0 {
            millis.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
        }
    }
}

/// The moment `millis` milliseconds after 1970; out of range is the epoch itself, which every limit has passed.
pub fn from_millis(millis: i64) -> Timestamp {
    DateTime::from_timestamp_millis(millis).unwrap_or(DateTime::UNIX_EPOCH)
}
