//! Moments in words. All are UTC, as the foot of the page says.

use chrono::{Datelike as _, SecondsFormat, TimeDelta};

use askama::filters::HtmlSafe;

use crate::domain::Timestamp;

/// A `<time>` element: the exact moment for programs, words for people.
pub struct TimeTag {
    at: Timestamp,
    words: String,
    /// Seconds gone by, where the words count them: `app.js` keeps counting.
    age: Option<i64>,
}

impl HtmlSafe for TimeTag {}

impl std::fmt::Display for TimeTag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, r#"<time datetime="{}""#, self.at.to_rfc3339_opts(SecondsFormat::Secs, true))?;
        if let Some(age) = self.age {
            write!(f, r#" data-age="{age}""#)?;
        }
        write!(f, ">{}</time>", self.words)
    }
}

/// "2 min ago", "Today, 08:02", "Yesterday, 18:02", "Tomorrow, 08:02", "20 Nov, 14:46"; with the year where it is another.
pub fn time_tag(at: Timestamp, now: Timestamp) -> TimeTag {
    let age = now - at;
    if age >= TimeDelta::zero() && age < TimeDelta::hours(1) {
        let words = match age.num_minutes() {
            0 => "Just now".to_owned(),
            minutes => format!("{minutes} min ago"),
        };
        return TimeTag { at, words, age: Some(age.num_seconds()) };
    }
    let day = match (at.date_naive() - now.date_naive()).num_days() {
        0 => "Today".to_owned(),
        -1 => "Yesterday".to_owned(),
        1 => "Tomorrow".to_owned(),
        _ => day(at, now),
    };
    TimeTag { at, words: format!("{day}, {}", at.format("%H:%M")), age: None }
}

/// "20 Nov, 14:46:52", where the order within a minute matters.
pub fn exact(at: Timestamp, now: Timestamp) -> TimeTag {
    TimeTag { at, words: format!("{}, {}", day(at, now), at.format("%H:%M:%S")), age: None }
}

/// "Friday 20 November 2026, 14:47", for the head of a page.
pub fn full(at: Timestamp) -> TimeTag {
    TimeTag { at, words: at.format("%A %-d %B %Y, %H:%M").to_string(), age: None }
}

/// "4 Mar 2025", where only the day matters.
pub fn date(at: Timestamp) -> TimeTag {
    TimeTag { at, words: at.format("%-d %b %Y").to_string(), age: None }
}

/// "15:42 UTC", or "21 Nov, 15:42 UTC" on another day: within a sentence, or where no foot says which time it is.
pub fn deadline(at: Timestamp, now: Timestamp) -> TimeTag {
    let time = at.format("%H:%M UTC");
    let words =
        if at.date_naive() == now.date_naive() { time.to_string() } else { format!("{}, {time}", day(at, now)) };
    TimeTag { at, words, age: None }
}

fn day(at: Timestamp, now: Timestamp) -> String {
    at.format(if at.year() == now.year() { "%-d %b" } else { "%-d %b %Y" }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse::<chrono::DateTime<chrono::Utc>>().expect("RFC 3339").into()
    }

    fn words(text: &str) -> String {
        time_tag(at(text), at("2026-11-20T14:47:00Z")).words
    }

    #[test]
    fn near_moments_are_relative_and_far_ones_have_a_date() {
        for (moment, expected) in [
            ("2026-11-20T14:47:00Z", "Just now"),
            ("2026-11-20T14:46:01Z", "Just now"),
            ("2026-11-20T14:46:00Z", "1 min ago"),
            ("2026-11-20T13:47:01Z", "59 min ago"),
            ("2026-11-20T13:47:00Z", "Today, 13:47"),
            ("2026-11-20T00:00:00Z", "Today, 00:00"),
            ("2026-11-19T23:59:59Z", "Yesterday, 23:59"),
            ("2026-11-18T17:20:00Z", "18 Nov, 17:20"),
            ("2026-01-01T00:00:00Z", "1 Jan, 00:00"),
            ("2025-12-31T23:59:00Z", "31 Dec 2025, 23:59"),
        ] {
            assert_eq!(words(moment), expected, "{moment}");
        }
    }

    #[test]
    fn moments_to_come_say_today_tomorrow_or_the_date() {
        assert_eq!(words("2026-11-20T14:48:00Z"), "Today, 14:48");
        assert_eq!(words("2026-11-21T08:02:00Z"), "Tomorrow, 08:02");
        assert_eq!(words("2027-02-18T08:02:00Z"), "18 Feb 2027, 08:02");
    }

    #[test]
    fn just_after_midnight_yesterday_is_still_minutes_ago() {
        let moment = time_tag(at("2026-11-19T23:58:00Z"), at("2026-11-20T00:01:00Z"));
        assert_eq!(moment.to_string(), r#"<time datetime="2026-11-19T23:58:00Z" data-age="180">3 min ago</time>"#);
    }

    #[test]
    fn dates_and_deadlines_are_complete_where_they_stand_alone() {
        let now = at("2026-11-20T14:47:00Z");
        assert_eq!(date(at("2025-03-04T10:00:00Z")).words, "4 Mar 2025");
        assert_eq!(deadline(at("2026-11-20T15:42:00Z"), now).words, "15:42 UTC");
        assert_eq!(deadline(at("2026-11-21T15:42:00Z"), now).words, "21 Nov, 15:42 UTC");
    }
}
