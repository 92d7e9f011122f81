//! Answers timed, small and large by turns, and the table of them.

use std::time::{Duration, Instant};

use crate::calls::{CALLS, Call};
use crate::instance::Instance;
use crate::support::Page;

const WARM_UPS: usize = 5;
const ROUNDS: usize = 40;

/// What one call took.
struct Line {
    name: String,
    small: Percentiles,
    large: Percentiles,
    /// Answers of the large one that were none: a store took too long.
    refused: usize,
}

#[derive(Clone, Copy)]
pub struct Percentiles {
    pub p50: Duration,
    pub p95: Duration,
}

impl Percentiles {
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
        let at = |percent| at(percent).copied().unwrap_or_default();
        Self { p50: at(50), p95: at(95) }
    }
}

impl Line {
    /// What the large instance may take.
    fn limit(&self) -> Duration {
        self.small.p50.mul_f64(1.5) + Duration::from_millis(20)
    }

    fn is_over(&self) -> bool {
        self.large.p50 > self.limit() || self.refused > 0
    }
}

/// Prints the table of all calls whose path contains `only`; says how many take too long.
pub async fn compare(small: &mut Instance, large: &mut Instance, only: &str) -> usize {
    println!("| call | small p50 | large p50 | large p95 | limit of p50 | |");
    println!("|---|---:|---:|---:|---:|---|");
    let mut over = 0;
    for call in CALLS.iter().filter(|call| call.path.contains(only)) {
        let line = line(small, large, call).await;
        over += usize::from(line.is_over());
        println!(
            "| {} | {} | {} | {} | {} | {} |",
            line.name,
            millis(line.small.p50),
            millis(line.large.p50),
            millis(line.large.p95),
            millis(line.limit()),
            match line {
                Line { refused: 1.., .. } => format!("**{} refused**", line.refused),
                _ if line.is_over() => "**over**".to_owned(),
                _ => "ok".to_owned(),
            }
        );
    }
    over
}

async fn line(small: &mut Instance, large: &mut Instance, call: &Call) -> Line {
    let (few, _) = destination(small, call).await;
    let (many, gone) = destination(large, call).await;
    let (mut small_times, mut large_times, mut refused) = (Vec::new(), Vec::new(), 0);
    for round in 0..WARM_UPS + ROUNDS {
        // By turns, so that what else the machine does slows both down.
        let (small_time, _) = time(small, call, &few).await;
        let (large_time, answered) = time(large, call, &many).await;
        if round >= WARM_UPS {
            refused += usize::from(!answered);
            small_times.push(small_time);
            large_times.push(large_time);
        }
    }
    let name = if gone == 0 { call.path.to_owned() } else { format!("{}, page {}", call.path, gone + 1) };
    Line { name, small: Percentiles::of(small_times), large: Percentiles::of(large_times), refused }
}

/// How long it took, and whether it was answered.
async fn time(instance: &mut Instance, call: &Call, path: &str) -> (Duration, bool) {
    let start = Instant::now();
    let page = instance.ask(call.who, path).await;
    assert!(matches!(page.status, 200 | 503), "{path}: {} {}", page.status, page.excerpt());
    (start.elapsed(), page.status == 200)
}

/// The path of the page that is asked for, and how many come before it.
async fn destination(instance: &mut Instance, call: &Call) -> (String, usize) {
    let mut path = instance.path(call.path);
    for gone in 0..call.after {
        match next(&instance.ask(call.who, &path).await) {
            Some(next) => path = next,
            None => return (path, gone),
        }
    }
    (path, call.after)
}

/// Where the next page is, as a page or an answer of the API says it.
fn next(page: &Page) -> Option<String> {
    let link = page.header("link").and_then(|link| link.strip_prefix('<')?.split_once('>'));
    let url = link.map(|(url, _)| url::Url::parse(url).expect("the URL of the next page"));
    let path = |url: url::Url| format!("{}?{}", url.path(), url.query().unwrap_or_default());
    url.map(path).or_else(|| page.attributes("a[rel=next]", "href").into_iter().next())
}

/// "12.3 ms"
pub fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
