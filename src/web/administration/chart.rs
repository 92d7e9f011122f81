//! Sign-ins and failures as bars: drawn by the server, with the same numbers beside them.

use crate::domain::Timestamp;
use crate::services::administration::stats::HourCounts;
use crate::web::number::number;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 140.0;
/// Between the bars of sign-ins and of failures.
const GAP: f64 = 1.0;
/// What is not nothing is seen.
const LEAST: f64 = 1.5;
/// The top of the scale is one of these, times a power of ten; each has a half.
const TOPS: [i64; 13] = [2, 4, 6, 8, 10, 12, 14, 16, 20, 30, 40, 60, 80];
/// Labels below the bars.
const LABELS: usize = 5;

/// One chart.
pub struct Chart {
    /// Of the panel's heading.
    pub id: &'static str,
    pub title: &'static str,
    /// What a bar stands for: "Hour".
    pub unit: &'static str,
    /// For who can't see it.
    pub summary: String,
    /// Labels beside the bars, from the top.
    pub scale: [String; 3],
    /// Labels below the bars.
    pub labels: Vec<String>,
    pub bars: Vec<Bar>,
}

/// One bar, in the units of the drawing.
pub struct Bar {
    pub label: String,
    pub sign_ins: String,
    pub failures: String,
    pub x: String,
    pub width: String,
    pub sign_in_y: String,
    pub sign_in_height: String,
    /// `y` and height.
    pub failed: Option<(String, String)>,
}

impl Chart {
    /// `label` names a span by its start.
    pub fn new(
        id: &'static str,
        title: &'static str,
        unit: &'static str,
        spans: &[(Timestamp, HourCounts)],
        label: impl Fn(Timestamp) -> String,
    ) -> Self {
        let most = spans.iter().map(|(_, counts)| counts.sign_ins + counts.failures).max().unwrap_or(0);
        let top = top_of(most);
        let labels: Vec<_> = spans.iter().map(|(start, _)| label(*start)).collect();
        let slot = WIDTH / spans.len().max(1) as f64;
        let bars = spans.iter().zip(&labels).enumerate();
        let bars = bars.map(|(index, ((_, counts), label))| Bar::new(label, *counts, index as f64 * slot, slot, top));
        let last = labels.len().saturating_sub(1);
        Self {
            id,
            title,
            unit,
            summary: summary(spans, &labels),
            scale: [top, top / 2, 0].map(count_text),
            bars: bars.collect(),
            labels: (0..LABELS).filter_map(|index| labels.get(index * last / (LABELS - 1)).cloned()).collect(),
        }
    }
}

impl Bar {
    fn new(label: &str, counts: HourCounts, x: f64, slot: f64, top: i64) -> Self {
        let height = |count: i64| match count {
            0 => 0.0,
            count => (count as f64 / top as f64 * (HEIGHT - GAP)).max(LEAST),
        };
        let (sign_ins, failures) = (height(counts.sign_ins), height(counts.failures));
        let gap = if counts.sign_ins > 0 { GAP } else { 0.0 };
        // A failure that is drawn larger than it is takes its place from the sign-ins below it.
        let sign_ins = sign_ins.min(HEIGHT - gap - failures);
        let below = HEIGHT - sign_ins;
        let failed = (counts.failures > 0).then(|| (unit(below - gap - failures), unit(failures)));
        Self {
            label: label.to_owned(),
            sign_ins: count_text(counts.sign_ins),
            failures: count_text(counts.failures),
            x: unit(x + slot * 0.15),
            width: unit(slot * 0.7),
            sign_in_y: unit(below),
            sign_in_height: unit(sign_ins),
            failed,
        }
    }
}

fn summary(spans: &[(Timestamp, HourCounts)], labels: &[String]) -> String {
    let mut sum = HourCounts::default();
    spans.iter().for_each(|(_, counts)| sum += *counts);
    let mut text = format!("{} and {}", counted(sum.sign_ins, "sign-in"), counted(sum.failures, "failure"));
    let most = spans.iter().zip(labels).max_by_key(|((_, counts), _)| counts.sign_ins);
    if let Some(((_, counts), label)) = most.filter(|((_, counts), _)| counts.sign_ins > 0) {
        text.push_str(&format!("; most sign-ins: {} ({label})", count_text(counts.sign_ins)));
    }
    text + ". The table below has every number."
}

/// The least round number that has room for `most`.
fn top_of(most: i64) -> i64 {
    let mut power = 1i64;
    loop {
        if let Some(top) = TOPS.iter().find(|top| top.saturating_mul(power) >= most) {
            return top.saturating_mul(power);
        }
        power = power.saturating_mul(10);
    }
}

fn count_text(count: i64) -> String {
    number(count.unsigned_abs())
}

fn counted(count: i64, what: &str) -> String {
    format!("{} {what}{}", count_text(count), if count == 1 { "" } else { "s" })
}

fn unit(length: f64) -> String {
    format!("{length:.1}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    #[test]
    fn the_scale_ends_at_a_round_number_above_the_highest_bar() {
        for (most, top) in [(0, 2), (2, 2), (3, 4), (9, 10), (143, 160), (1318, 1400), (81, 100), (999_999, 1_000_000)]
        {
            assert_eq!(top_of(most), top, "{most}");
        }
        assert!(top_of(i64::MAX) > 0);
    }

    #[test]
    fn no_bar_leaves_the_drawing_and_what_is_not_nothing_is_seen() {
        let start = Timestamp::from_millis(0);
        let counts = |sign_ins, failures| HourCounts { sign_ins, failures, reuse_alarms: 0 };
        let spans: Vec<_> = [counts(0, 0), counts(1000, 0), counts(999, 1), counts(0, 1000)]
            .into_iter()
            .enumerate()
            .map(|(index, counts)| (start + TimeDelta::hours(index as i64), counts))
            .collect();
        let chart = Chart::new("by-hour", "Last hours", "Hour", &spans, |start| start.format("%H:%M").to_string());
        let float = |text: &str| text.parse::<f64>().unwrap();
        for bar in &chart.bars {
            assert!(float(&bar.sign_in_y) >= 0.0 && float(&bar.x) + float(&bar.width) <= WIDTH);
            if let Some((y, height)) = &bar.failed {
                assert!(float(y) >= 0.0 && float(height) >= LEAST, "{y} {height}");
            }
        }
        assert_eq!(chart.bars.iter().filter(|bar| bar.failed.is_some()).count(), 2);
        assert_eq!(chart.labels, ["00:00", "00:00", "01:00", "02:00", "03:00"]);
        assert_eq!(
            chart.summary,
            "1,999 sign-ins and 1,001 failures; most sign-ins: 1,000 (01:00). The table below has every number."
        );
    }
}
