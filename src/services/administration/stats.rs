//! The figures of the dashboard.

use chrono::TimeDelta;

use crate::domain::{Role, Timestamp};
use crate::services::authentication::lockout;
use crate::services::sessions::counts::{self, OpenSessions};
use crate::services::{AuthContext, Result, Services};
use crate::storage::administration::user_search;
use crate::storage::audit::failing_addresses;
pub use crate::storage::audit::failing_addresses::FailingAddress;
pub use crate::storage::audit::hours::HourCounts;
use crate::storage::audit::hours::{self, hour_of};

/// Addresses that are told.
const ADDRESSES: i64 = 5;
const HOURS: i64 = 24;
const DAYS: i64 = 30;
const NEW: TimeDelta = TimeDelta::days(7);

/// How many there are, and how many came and failed.
pub struct Stats {
    pub users: i64,
    /// Created within seven days.
    pub new_users: i64,
    pub sessions: OpenSessions,
    /// Accounts that are locked now.
    pub locked: i64,
    /// The last 24 hours, the present one included, the oldest first.
    pub by_hour: Vec<(Timestamp, HourCounts)>,
    /// The last 30 days in UTC, likewise.
    pub by_day: Vec<(Timestamp, HourCounts)>,
}

impl Stats {
    /// Of the last 24 hours.
    pub fn last_day(&self) -> HourCounts {
        let mut sum = HourCounts::default();
        self.by_hour.iter().for_each(|(_, counts)| sum += *counts);
        sum
    }
}

/// When the last 24 hours of the figures began: with a whole hour.
pub fn last_day_began(now: Timestamp) -> Timestamp {
    hour_of(now) - TimeDelta::hours(HOURS - 1)
}

/// All of it, from counters: never a scan of the audit log.
pub async fn all(services: &Services, auth: &AuthContext) -> Result<Stats> {
    auth.require(Role::Manager)?;
    let now = services.clock.now();
    let hour = hour_of(now);
    let today = Timestamp::from_millis(hour.timestamp_millis() - hour.timestamp_millis().rem_euclid(86_400_000));
    let first_day = today - TimeDelta::days(DAYS - 1);
    let (users, new_users, counted) = services
        .database
        .read(move |connection| {
            let new_users = user_search::new_users(connection, now - NEW)?;
            Ok((user_search::total(connection)?, new_users, hours::since(connection, first_day)?))
        })
        .await?;
    let by_hour = spread(last_day_began(now), TimeDelta::hours(1), HOURS, &counted);
    let by_day = spread(first_day, TimeDelta::days(1), DAYS, &counted);
    let sessions = counts::open(services, auth).await?;
    Ok(Stats { users, new_users, sessions, locked: lockout::count_locked(services).await?, by_hour, by_day })
}

/// From where most sign-ins of the last 24 hours were refused, the worst first.
pub async fn failing_addresses(services: &Services, auth: &AuthContext) -> Result<Vec<FailingAddress>> {
    auth.require(Role::Manager)?;
    let since = last_day_began(services.clock.now());
    services.database.read(move |connection| failing_addresses::worst(connection, since, ADDRESSES)).await
}

/// `count` spans of one length, each with the sum of the hours in it.
fn spread(
    first: Timestamp,
    length: TimeDelta,
    count: i64,
    hours: &[(Timestamp, HourCounts)],
) -> Vec<(Timestamp, HourCounts)> {
    let mut start = first;
    let mut spans = Vec::new();
    for _ in 0..count {
        let end = start + length;
        let mut sum = HourCounts::default();
        hours.iter().filter(|(hour, _)| *hour >= start && *hour < end).for_each(|(_, counts)| sum += *counts);
        spans.push((start, sum));
        start = end;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_summed_into_the_span_in_which_they_begin() {
        let at = |hours: i64| Timestamp::from_millis(0) + TimeDelta::hours(hours);
        let counts = |sign_ins| HourCounts { sign_ins, ..HourCounts::default() };
        let hours = [(at(-1), counts(9)), (at(0), counts(1)), (at(23), counts(2)), (at(24), counts(4))];
        let days = spread(at(0), TimeDelta::days(1), 2, &hours);
        assert_eq!(days, [(at(0), counts(3)), (at(24), counts(4))]);
    }
}
