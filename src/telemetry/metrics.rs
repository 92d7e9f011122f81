//! What the process counts for `/metrics`. Each figure is made beforehand for every label that there can be: it is there, as 0,
//! before anything has happened, and counting looks nothing up in a map, takes no lock and costs some nanoseconds.
//!
//! Whoever counts owns the figures; `services::metrics` gathers them. No label says who somebody is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
pub use prometheus_client::registry::Registry;

/// A label and its value.
pub type Label = (&'static str, &'static str);

/// A figure for each of these labels, told in this order.
#[derive(Debug)]
pub struct Table<const N: usize, M>(pub Vec<([Label; N], M)>);

impl<const N: usize, M: EncodeMetric + TypedMetric> EncodeMetric for Table<N, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(labels, figure)| figure.encode(encoder.encode_family(labels)?))
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A counter for each of a few cases. Clones count together.
#[derive(Clone, Debug)]
pub struct Counters<C>(Arc<[(C, Counter)]>);

impl<C: Copy + PartialEq> Counters<C> {
    /// For these cases, and no others.
    pub fn of(cases: impl IntoIterator<Item = C>) -> Self {
        Self(cases.into_iter().map(|case| (case, Counter::default())).collect())
    }

    /// Once more.
    pub fn count(&self, case: C) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == case) {
            counter.inc();
        }
    }

    /// To be told with the labels that each case has.
    pub fn table<const N: usize>(&self, labels: impl Fn(C) -> [Label; N]) -> Table<N, Counter> {
        Table(self.0.iter().map(|(case, counter)| (labels(*case), counter.clone())).collect())
    }
}

/// How often something that is remembered was asked for and found. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    hits: Counter,
    misses: Counter,
}

impl Lookups {
    pub fn count(&self, is_hit: bool) {
        let counter = if is_hit { &self.hits } else { &self.misses };
        counter.inc();
    }

    /// Of the cache that is called so.
    pub fn rows(&self, cache: &'static str) -> [([Label; 2], Counter); 2] {
        [("hit", &self.hits), ("miss", &self.misses)]
            .map(|(result, counter)| ([("cache", cache), ("result", result)], counter.clone()))
    }
}

/// How long something took, as a histogram of seconds. Clones count together.
#[derive(Clone, Debug)]
pub struct Durations(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    /// Upper bounds in seconds, the lowest first.
    bounds: &'static [f64],
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    nanoseconds: AtomicU64,
}

impl Durations {
    /// With buckets up to these seconds, the lowest first, and one for all that took longer.
    pub fn within(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds, counts, nanoseconds: AtomicU64::new(0) }))
    }

    pub fn observe(&self, took: Duration) {
        let Buckets { bounds, counts, nanoseconds } = &*self.0;
        let seconds = took.as_secs_f64();
        let bucket = bounds.iter().position(|bound| seconds <= *bound).unwrap_or(bounds.len());
        counts[bucket].fetch_add(1, Ordering::Relaxed);
        nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let Buckets { bounds, counts, nanoseconds } = &*self.0;
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(counts.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let seconds = Duration::from_nanos(nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(seconds, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_holds_what_took_at_most_as_long() {
        let durations = Durations::within(&[0.1, 1.0]);
        for millis in [50, 100, 101, 1000, 5000] {
            durations.observe(Duration::from_millis(millis));
        }
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("took_seconds", "How long", durations);
        prometheus_client::encoding::prometheus_text::encode(&mut text, &registry).unwrap();
        for line in [
            "took_seconds_bucket{le=\"0.1\"} 2",
            "took_seconds_bucket{le=\"1\"} 4",
            "took_seconds_bucket{le=\"+Inf\"} 5",
            "took_seconds_count 5",
            "took_seconds_sum 6.251",
        ] {
            assert!(text.lines().any(|told| told == line), "{line}: {text}");
        }
    }
}
