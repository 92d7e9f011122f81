//! One look at the counts for all who ask at once: a flood at one name then costs the database no more than one look at
//! a time, however many it is.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::OnceCell;

/// Looks that are under way, by what is looked at. What nobody looks at takes no memory.
pub(super) struct Looks<K: Eq + Hash, T> {
    lanes: Mutex<HashMap<K, Shared<T>>>,
}

/// A lane, and how many are in it.
struct Shared<T> {
    lane: Arc<Lane<T>>,
    waiting: usize,
}

/// The looks at one thing, one after another.
struct Lane<T> {
    turn: tokio::sync::Mutex<()>,
    /// The one that has not begun: whoever comes now shares it. One that has begun may have missed what was changed
    /// before they came, such as an unlock.
    next: Mutex<Weak<OnceCell<T>>>,
}

/// Someone's place in a lane, which goes with the last of them.
struct Waiting<'a, K: Eq + Hash, T> {
    looks: &'a Looks<K, T>,
    key: K,
    lane: Arc<Lane<T>>,
}

impl<K: Eq + Hash, T> Default for Looks<K, T> {
    fn default() -> Self {
        Self { lanes: Mutex::default() }
    }
}

impl<K: Eq + Hash + Clone, T: Clone> Looks<K, T> {
    /// What a look saw that began after this call: that of `look`, or of somebody who came at the same time. Where the
    /// one who looks goes away, another looks in their place.
    pub async fn share(&self, key: K, look: impl AsyncFnOnce() -> T) -> T {
        let waiting = self.wait(key);
        let lane = &waiting.lane;
        let shared = lane.join();
        let saw = shared.get_or_init(async || {
            let _turn = lane.turn.lock().await;
            *lock(&lane.next) = Weak::new();
            look().await
        });
        saw.await.clone()
    }

    fn wait(&self, key: K) -> Waiting<'_, K, T> {
        let mut lanes = lock(&self.lanes);
        let shared = lanes.entry(key.clone()).or_default();
        shared.waiting += 1;
        Waiting { looks: self, key, lane: shared.lane.clone() }
    }
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { lane: Arc::default(), waiting: 0 }
    }
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { turn: tokio::sync::Mutex::default(), next: Mutex::default() }
    }
}

impl<T> Lane<T> {
    fn join(&self) -> Arc<OnceCell<T>> {
        let mut next = lock(&self.next);
        next.upgrade().unwrap_or_else(|| {
            let look = Arc::new(OnceCell::new());
            *next = Arc::downgrade(&look);
            look
        })
    }
}

impl<K: Eq + Hash, T> Drop for Waiting<'_, K, T> {
    fn drop(&mut self) {
        let mut lanes = lock(&self.looks.lanes);
        let Some(shared) = lanes.get_mut(&self.key) else { return };
        // Counted under the lock: references go a moment after it, and of two that go at once neither would be the last.
        shared.waiting -= 1;
        if shared.waiting == 0 {
            lanes.remove(&self.key);
        }
    }
}

/// Nothing that is done under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;

    /// Looks that wait until they are let go, and say which look they were.
    struct Held {
        looks: Looks<&'static str, u32>,
        count: AtomicU32,
        gate: Semaphore,
    }

    impl Held {
        fn new() -> Arc<Self> {
            Arc::new(Self { looks: Looks::default(), count: AtomicU32::new(0), gate: Semaphore::new(0) })
        }

        async fn ask(&self, key: &'static str) -> u32 {
            let look = async || {
                let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
                self.gate.acquire().await.unwrap().forget();
                number
            };
            self.looks.share(key, look).await
        }

        async fn has_begun(&self, looks: u32) {
            while self.count.load(Ordering::SeqCst) < looks {
                yield_now().await;
            }
        }

        fn spawn(self: &Arc<Self>, key: &'static str) -> tokio::task::JoinHandle<u32> {
            let held = self.clone();
            tokio::spawn(async move { held.ask(key).await })
        }
    }

    #[tokio::test]
    async fn who_comes_while_somebody_looks_shares_the_next_look_and_no_earlier_one() {
        let held = Held::new();
        let first = held.spawn("anna");
        held.has_begun(1).await;
        let later: Vec<_> = (0..20).map(|_| held.spawn("anna")).collect();
        yield_now().await;
        held.gate.add_permits(100);
        assert_eq!(first.await.unwrap(), 1);
        for saw in join_all(later).await {
            assert_eq!(saw.unwrap(), 2);
        }
        assert!(lock(&held.looks.lanes).is_empty());
    }

    #[tokio::test]
    async fn looks_at_different_names_do_not_wait_for_each_other() {
        let held = Held::new();
        let looks = [held.spawn("anna"), held.spawn("berta")];
        held.has_begun(2).await;
        held.gate.add_permits(2);
        let saw: Vec<u32> = join_all(looks).await.into_iter().map(Result::unwrap).collect();
        assert!(saw == [1, 2] || saw == [2, 1], "{saw:?}");
    }

    #[test]
    fn nothing_is_kept_of_two_who_leave_at_the_same_moment() {
        let looks = Looks::<String, ()>::default();
        let together = Barrier::new(2);
        let kept = AtomicU32::new(0);
        let come_and_go = || {
            for _ in 0..20_000 {
                let waiting = looks.wait("anna".repeat(20));
                together.wait();
                drop(waiting);
                if together.wait().is_leader() {
                    kept.fetch_add(lock(&looks.lanes).len() as u32, Ordering::Relaxed);
                }
                together.wait();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(come_and_go);
            scope.spawn(come_and_go);
        });
        assert_eq!(kept.into_inner(), 0);
    }

    #[tokio::test]
    async fn where_the_one_who_looks_goes_away_another_looks() {
        let held = Held::new();
        let (gone, stays) = (held.spawn("anna"), held.spawn("anna"));
        held.has_begun(1).await;
        gone.abort();
        gone.await.ok();
        held.gate.add_permits(1);
        assert!(stays.await.unwrap() >= 1);
        assert!(lock(&held.looks.lanes).is_empty());
    }
}
