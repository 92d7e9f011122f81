//! A few threads with a bounded queue in front of them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::Error;

/// Work that waits.
trait Job: Send {
    /// Whether whoever asked for it is still there.
    fn is_wanted(&self) -> bool;
    /// Calls `done` after the work, before whoever asked for it has the answer.
    fn run(self: Box<Self>, done: &dyn Fn());
}

struct Task<T, F> {
    work: F,
    answer: oneshot::Sender<T>,
}

impl<T: Send, F: FnOnce() -> T + Send> Job for Task<T, F> {
    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn run(self: Box<Self>, done: &dyn Fn()) {
        // A panic must not take the thread with it; the dropped sender tells whoever waits.
        let result = catch_unwind(AssertUnwindSafe(self.work));
        done();
        if let Ok(result) = result {
            // Nobody is there to hear it when the request went away meanwhile.
            let _ = self.answer.send(result);
        }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Box<dyn Job>>,
    /// Places of jobs that are still to come.
    reserved: usize,
    /// Threads at work.
    running: usize,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each thread does until the pool is dropped.
    fn serve(&self) {
        let mut queue = self.lock();
        while !queue.closed {
            let Some(job) = queue.waiting.pop_front() else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if job.is_wanted() {
                queue.running += 1;
                drop(queue);
                job.run(&|| self.lock().running -= 1);
                queue = self.lock();
            }
        }
    }
}

/// Clones share the threads, which end with the last of them.
#[derive(Clone)]
pub(super) struct Pool(Arc<Owner>);

struct Owner {
    shared: Arc<Shared>,
    threads: usize,
    /// How many jobs may wait beyond those that a thread is free for.
    capacity: usize,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        queue.waiting.clear();
        self.shared.changed.notify_all();
    }
}

/// How busy a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Jobs that wait. Places that are kept for some that are still to come are none.
    pub waiting: usize,
    /// How many may wait while no thread is free.
    pub capacity: usize,
    /// Threads at work.
    pub running: usize,
}

impl Pool {
    /// At least one thread.
    pub(super) fn new(threads: usize, capacity: usize) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let pool = Self(Arc::new(Owner { shared: Arc::default(), threads, capacity }));
        for number in 1..=threads {
            let shared = pool.0.shared.clone();
            std::thread::Builder::new().name(format!("hasher-{number}")).spawn(move || {
                yield_to_other_threads();
                shared.serve();
            })?;
        }
        Ok(pool)
    }

    /// Runs `work` on one of the threads. Dropping the future before its turn takes the work back.
    ///
    /// # Errors
    /// [`Error::Busy`] at once when the queue is full; [`Error::Internal`] when the work panicked.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        self.reserve()?.run(work).await
    }

    /// A place for work that is known later.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full.
    pub(super) fn reserve(&self) -> Result<Place, Error> {
        self.with_room()?.reserved += 1;
        Ok(Place { pool: self.clone(), is_free: false })
    }

    /// Whether there is room now, which another may take the next moment.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full.
    pub(super) fn check_room(&self) -> Result<(), Error> {
        self.with_room().map(drop)
    }

    /// At this moment.
    pub(super) fn load(&self) -> Load {
        let Owner { shared, capacity, .. } = &*self.0;
        let queue = shared.lock();
        let waiting = queue.waiting.iter().filter(|job| job.is_wanted()).count();
        Load { waiting, capacity: *capacity, running: queue.running }
    }

    fn with_room(&self) -> Result<MutexGuard<'_, Queue>, Error> {
        let Owner { shared, threads, capacity } = &*self.0;
        let mut queue = shared.lock();
        let room = |queue: &Queue| queue.running + queue.waiting.len() + queue.reserved < threads + capacity;
        if !room(&queue) {
            queue.waiting.retain(|job| job.is_wanted());
        }
        if room(&queue) { Ok(queue) } else { Err(Error::Busy) }
    }
}

/// Lets requests that need no hash go first where there are fewer cores than threads with work: a hash takes tens of
/// milliseconds, and without this whoever needs a core for some microseconds waits for a share of them. No more than that:
/// where all cores are busy with something else for long, five steps leave a hash a third of a full share, ten a ninth,
/// and people who sign in would be refused for it.
fn yield_to_other_threads() {
    // Counted from what the operator gave the process. Linux keeps it for each thread, others for the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(5) {
        tracing::debug!(%error, "hashing runs with the priority of all else");
    }
}

/// A place in the queue. Dropped without work, it is another's.
pub(super) struct Place {
    pool: Pool,
    is_free: bool,
}

impl Place {
    /// As [`Pool::run`], but never busy.
    pub(super) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let (answer, result) = oneshot::channel();
        self.fill(Box::new(Task { work, answer }));
        result.await.map_err(Error::internal)
    }

    fn fill(mut self, job: Box<dyn Job>) {
        let shared = &self.pool.0.shared;
        let mut queue = shared.lock();
        queue.reserved -= 1;
        queue.waiting.push_back(job);
        drop(queue);
        shared.changed.notify_one();
        self.is_free = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_free {
            self.pool.0.shared.lock().reserved -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;

    /// A pool whose threads all wait until the sender is dropped.
    async fn occupied(threads: usize, capacity: usize) -> (Pool, mpsc::Sender<()>) {
        let pool = Pool::new(threads, capacity).unwrap();
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for _ in 0..threads {
            let (pool, gate) = (pool.clone(), gate.clone());
            tokio::spawn(async move { pool.run(move || gate.lock().map(|gate| gate.recv().is_ok()).is_ok()).await });
        }
        while pool.load().running < threads {
            tokio::task::yield_now().await;
        }
        (pool, release)
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let (pool, release) = occupied(2, 3).await;
        let mut waiting: Vec<_> = (0..3).map(|n| Box::pin(pool.run(move || n))).collect();
        for job in &mut waiting {
            assert!(futures_util::poll!(job).is_pending());
        }
        assert!(matches!(futures_util::poll!(Box::pin(pool.run(|| 4))), std::task::Poll::Ready(Err(Error::Busy))));
        drop(release);
        for (n, job) in waiting.into_iter().enumerate() {
            assert_eq!(job.await.unwrap(), n);
        }
        assert_eq!(pool.run(|| 5).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_is_not_done_and_takes_no_place() {
        let (pool, release) = occupied(1, 1).await;
        let done = Arc::new(AtomicUsize::new(0));
        let count = |done: &Arc<AtomicUsize>| {
            let done = done.clone();
            move || done.fetch_add(1, SeqCst)
        };
        let mut given_up = Box::pin(pool.run(count(&done)));
        assert!(futures_util::poll!(&mut given_up).is_pending());
        drop(given_up);
        let mut wanted = Box::pin(pool.run(count(&done)));
        assert!(futures_util::poll!(&mut wanted).is_pending());
        drop(release);
        assert_eq!(wanted.await.unwrap(), 0);
        assert_eq!(done.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn a_reserved_place_is_nobody_elses_until_it_is_dropped() {
        let (pool, release) = occupied(1, 2).await;
        let places = [pool.reserve().unwrap(), pool.reserve().unwrap()];
        assert!(pool.reserve().is_err());
        assert_eq!(pool.load(), Load { waiting: 0, capacity: 2, running: 1 });
        let [first, second] = places;
        let mut work = Box::pin(first.run(|| 1));
        assert!(futures_util::poll!(&mut work).is_pending());
        assert_eq!(pool.load(), Load { waiting: 1, capacity: 2, running: 1 });
        assert!(pool.check_room().is_err() && pool.reserve().is_err(), "a place is free already");
        drop(second);
        pool.check_room().unwrap();
        drop(pool.reserve().unwrap());
        drop(release);
        assert_eq!(work.await.unwrap(), 1);
        assert_eq!(pool.run(|| 2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn whoever_has_an_answer_finds_its_thread_free() {
        let pool = Pool::new(1, 0).unwrap();
        for n in 0..2000 {
            assert_eq!(pool.load(), Load { waiting: 0, capacity: 0, running: 0 }, "{n}");
            assert_eq!(pool.run(move || n).await.unwrap(), n);
        }
    }

    #[tokio::test]
    async fn work_that_panics_leaves_the_thread_alive() {
        let pool = Pool::new(1, 1).unwrap();
        for _ in 0..3 {
            assert!(matches!(pool.run(|| panic!("on purpose")).await, Err::<(), _>(Error::Internal(_))));
        }
        assert_eq!(pool.run(|| 1).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn three_hundred_at_once_never_run_on_more_threads_than_there_are() {
        let pool = Pool::new(3, 300).unwrap();
        let [running, most] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let jobs = (0..300).map(|_| {
            let (running, most) = (running.clone(), most.clone());
            pool.run(move || {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                std::thread::yield_now();
                running.fetch_sub(1, SeqCst);
            })
        });
        for job in futures_util::future::join_all(jobs).await {
            job.unwrap();
        }
        assert!((1..=3).contains(&most.load(SeqCst)));
    }

    #[tokio::test]
    async fn the_threads_end_with_the_last_clone() {
        let pool = Pool::new(2, 1).unwrap();
        let shared = Arc::downgrade(&pool.0.shared);
        drop(pool.clone());
        assert!(shared.upgrade().is_some());
        drop(pool);
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
