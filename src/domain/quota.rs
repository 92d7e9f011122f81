//! What a limit leaves, and how long to wait where it leaves nothing.

use std::cmp::Ordering;
use std::time::Duration;

use chrono::TimeDelta;

use super::clock::duration;

/// What a limit says of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Whether the attempt is within the limit. One that is not counts nothing where it was refused.
    pub admits: bool,
    /// How many more may follow at once.
    pub left: u32,
    /// After this there is one more than that.
    pub next: Duration,
}

impl Quota {
    /// Whole seconds of [`Quota::next`], rounded up, so that whoever waits that long is let in.
    pub fn seconds(&self) -> u64 {
        let seconds = self.next.as_secs() + u64::from(self.next.subsec_nanos() > 0);
        seconds.max(1)
    }

    /// What both leave of an attempt that `other` admits.
    pub fn and(self, other: Self) -> Self {
        let next = match self.left.cmp(&other.left) {
            Ordering::Less => self.next,
            Ordering::Equal => self.next.max(other.next),
            Ordering::Greater => other.next,
        };
        Self { admits: self.admits, left: self.left.min(other.left), next }
    }
}

/// So many seconds for people who wait: below two minutes to the second, else rounded up to a minute.
pub fn wait_in_words(seconds: u64) -> String {
    let seconds = if seconds < 120 { seconds.max(1) } else { seconds.div_ceil(60).saturating_mul(60) };
    duration(TimeDelta::seconds(seconds.min(u64::from(u32::MAX)).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_seconds_while_they_are_few() {
        for (seconds, words) in [
            (0, "1 second"),
            (1, "1 second"),
            (12, "12 seconds"),
            (60, "1 minute"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (121, "3 minutes"),
            (900, "15 minutes"),
            (3600, "1 hour"),
            (7200, "2 hours"),
            (7201, "121 minutes"),
        ] {
            assert_eq!(wait_in_words(seconds), words);
        }
    }

    #[test]
    fn of_two_limits_the_one_that_leaves_less_counts() {
        let quota = |left, seconds| Quota { admits: true, left, next: Duration::from_secs(seconds) };
        assert_eq!(quota(1, 9).and(quota(2, 30)), quota(1, 9));
        assert_eq!(quota(2, 30).and(quota(1, 9)), quota(1, 9));
        assert_eq!(quota(0, 9).and(quota(0, 30)), quota(0, 30));
        let refused = Quota { admits: false, ..quota(0, 9) };
        assert_eq!(refused.and(quota(2, 30)), refused);
    }

    #[test]
    fn seconds_to_wait_are_rounded_up() {
        for (millis, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (5999, 6)] {
            let quota = Quota { admits: false, left: 0, next: Duration::from_millis(millis) };
            assert_eq!(quota.seconds(), seconds, "{millis}");
        }
    }
}
