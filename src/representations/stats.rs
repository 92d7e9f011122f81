//! The figures of the dashboard.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Timestamp;
use crate::domain::clock::rfc3339;
use crate::services::administration::stats::{HourCounts, Stats};

/// The figures of the dashboard.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
pub struct StatsShape {
    /// How many accounts there are.
    users: UserFigures,
    /// How many sessions have not ended.
    sessions: SessionFigures,
    /// Accounts that are locked now.
    locked: i64,
    /// Refresh tokens that were used twice, in 24 hours.
    reuse_alarms_24h: i64,
    /// The last 24 hours, the present one included, the oldest first.
    by_hour: Vec<Count>,
    /// The last 30 days in UTC, likewise.
    by_day: Vec<Count>,
}

/// How many accounts there are.
#[derive(Serialize, ToSchema)]
pub struct UserFigures {
    /// All of them; where they are many, about so many.
    total: i64,
    /// Created within seven days.
    new_7d: i64,
}

/// How many sessions have not ended; where they are many, as of a moment ago.
#[derive(Serialize, ToSchema)]
pub struct SessionFigures {
    /// Of people in browsers.
    browser: i64,
    /// Of programs.
    api: i64,
}

/// What happened in an hour, or on a day.
#[derive(Serialize, ToSchema)]
pub struct Count {
    /// When it began.
    #[schema(format = DateTime)]
    at: String,
    /// Sign-ins that succeeded.
    sign_ins: i64,
    /// Sign-ins that were refused.
    failures: i64,
}

impl From<&Stats> for StatsShape {
    fn from(stats: &Stats) -> Self {
        let counts = |spans: &[(Timestamp, HourCounts)]| {
            let count = |(at, counts): &(Timestamp, HourCounts)| Count {
                at: rfc3339(*at),
                sign_ins: counts.sign_ins,
                failures: counts.failures,
            };
            spans.iter().map(count).collect()
        };
        Self {
            users: UserFigures { total: stats.users, new_7d: stats.new_users },
            sessions: SessionFigures { browser: stats.sessions.browser.value, api: stats.sessions.api.value },
            locked: stats.locked,
            reuse_alarms_24h: stats.last_day().reuse_alarms,
            by_hour: counts(&stats.by_hour),
            by_day: counts(&stats.by_day),
        }
    }
}
