//! Deadlines of the contract, on machines that have other things to do beside this test.

use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the thread that feels the [`PULSE`] sleeps.
const BEAT: Duration = Duration::from_millis(5);
/// So many threads one after the other must get their turn, for the server and for the client, before a deadline is seen
/// to be met: each wakes the next.
const TURNS: u32 = 8;

/// A time within which the server must have done what it promises. A machine that is too busy to wake a thread when it
/// should makes everyone late: a thread that does nothing but sleep sees by how much, and so much is allowed for each
/// turn. On a quiet machine that is next to nothing.
#[derive(Clone, Copy)]
pub struct Deadline {
    start: Instant,
    limit: Duration,
}

impl Deadline {
    /// From now on.
    pub fn within(limit: Duration) -> Self {
        feel_the_pulse();
        Self { start: Instant::now(), limit }
    }

    /// The second in which an act reaches every other node, and in which a store that is away is told.
    pub fn second() -> Self {
        Self::within(Duration::from_secs(1))
    }

    /// Whether it was over at that moment.
    fn is_over_at(self, moment: Instant) -> bool {
        let waited = moment.saturating_duration_since(self.start);
        waited >= self.limit && waited >= self.limit + lateness_since(self.start) * TURNS
    }

    /// Fails where it is over by now.
    #[track_caller]
    pub fn expect_met(self, what: &str) {
        let now = Instant::now();
        assert!(!self.is_over_at(now), "{what}: after {:?}, not within {:?}", now - self.start, self.limit);
    }

    /// Asks until the answer is yes; the test fails when it is no to a question that was asked too late.
    pub async fn expect_soon(self, what: &str, mut ask: impl AsyncFnMut() -> bool) {
        loop {
            let asked = Instant::now();
            if ask().await {
                return;
            }
            assert!(!self.is_over_at(asked), "{what}: not within {:?}", self.limit);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// When the thread woke, and how much too late, of the last minute or so.
static PULSE: LazyLock<Mutex<Vec<(Instant, Duration)>>> = LazyLock::new(|| {
    std::thread::spawn(|| {
        loop {
            let slept = Instant::now();
            std::thread::sleep(BEAT);
            let woke = Instant::now();
            let mut beats = PULSE.lock().unwrap_or_else(PoisonError::into_inner);
            if beats.len() == 10_000 {
                beats.drain(..5_000);
            }
            beats.push((woke, (woke - slept).saturating_sub(BEAT)));
        }
    });
    Mutex::default()
});

/// The most, since then.
fn lateness_since(start: Instant) -> Duration {
    let beats = PULSE.lock().unwrap_or_else(PoisonError::into_inner);
    beats.iter().rev().take_while(|(woke, _)| *woke >= start).map(|(_, late)| *late).max().unwrap_or_default()
}

/// Sees from now on how late threads wake.
pub fn feel_the_pulse() {
    LazyLock::force(&PULSE);
}

/// When threads woke since then, and how much too late each, where that is a millisecond or more.
pub fn lateness_from(start: Instant) -> Vec<(Duration, Duration)> {
    let beats = PULSE.lock().unwrap_or_else(PoisonError::into_inner);
    let late = beats.iter().filter(|(woke, late)| *woke >= start && *late >= Duration::from_millis(1));
    late.map(|(woke, late)| (*woke - start, *late)).collect()
}
