//! The way of log lines to the one thread that writes them: whoever logs never waits, and never calls the system but to
//! wake that thread.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::metrics::Counter;
use super::{escaped, is_plain};

/// Bytes of lines that may wait for the reader of the log.
pub(super) const WAITING_BYTES: usize = 1 << 20;

/// How long a line waits for others that are written with it: one write and one waking of the thread for all of them.
const GATHERING: Duration = Duration::from_millis(2);

/// How long words for whoever watches may take, and the last lines when the program ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes lines and never waits.
#[derive(Clone)]
pub(super) struct Queue(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    /// Lines that were lost, and of which nobody has been told yet.
    lost: AtomicU64,
    lost_so_far: Counter,
}

/// What the thread will write next.
#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Words for whoever watches, after those lines, and who is told whether they were written.
    words: Vec<(String, SyncSender<bool>)>,
    /// The thread sleeps until something comes.
    sleeps: bool,
    /// The program ends.
    ended: bool,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.words.is_empty()
    }
}

impl Queue {
    /// Starts the thread that writes to `out`, until the guard goes.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Guard)> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            lost: AtomicU64::new(0),
            lost_so_far: Counter::default(),
        });
        let thread = shared.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || thread.write_to(out))?;
        Ok((Self(shared.clone()), Guard(shared)))
    }

    /// Lines that could not be written, or that nobody read in time, told or not.
    pub(super) fn lost_so_far(&self) -> Counter {
        self.0.lost_so_far.clone()
    }

    /// Those of which nobody has been told yet.
    #[cfg(test)]
    pub(super) fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // A thread that panicked under the lock has left whole lines: nothing there can panic half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread, where it sleeps.
    fn wake(&self, mut waiting: MutexGuard<'_, Waiting>) {
        if std::mem::take(&mut waiting.sleeps) {
            drop(waiting);
            self.filled.notify_one();
        }
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.lines.len() + line.len() >= WAITING_BYTES {
            self.lose(1);
            return;
        }
        waiting.lines.extend_from_slice(line);
        waiting.lines.push(b'\n');
        self.wake(waiting);
    }

    fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
        self.lost_so_far.inc_by(lines);
    }

    fn write_to(&self, mut out: impl Write) {
        let mut lines = Vec::new();
        while let Some(words) = self.next(&mut lines) {
            let unwritten = write_all(&mut out, &lines);
            self.lose(unwritten);
            lines.clear();
            let mut written = unwritten == 0;
            for (words, told) in words {
                written = out.write_all(words.as_bytes()).is_ok();
                told.try_send(written).ok();
            }
            // Where the log can't be written, there is nowhere to tell of it before it can be again.
            let lost = if written { self.lost.swap(0, Ordering::Relaxed) } else { 0 };
            if lost > 0 {
                tracing::warn!(lost, "log lines were lost: they could not be written, or nobody read them in time");
            }
        }
    }

    /// Waits for something to write: puts the lines into `lines`, which is empty, and gives back the words. `None` when
    /// the program ends.
    fn next(&self, lines: &mut Vec<u8>) -> Option<Vec<(String, SyncSender<bool>)>> {
        let mut waiting = self.lock();
        while waiting.is_empty() {
            if waiting.ended {
                return None;
            }
            waiting.sleeps = true;
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.words.is_empty() {
            drop(waiting);
            std::thread::sleep(GATHERING);
            waiting = self.lock();
        }
        std::mem::swap(&mut waiting.lines, lines);
        Some(std::mem::take(&mut waiting.words))
    }
}

/// How many lines were not written, the one that was cut included.
fn write_all(out: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match out.write(lines) {
            Ok(0) => break,
            Ok(written) => lines = &lines[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// The formatter hands over one whole line at a time.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if is_plain(text) {
            self.0.push(text);
        } else {
            self.0.push(escaped(&String::from_utf8_lossy(text)).as_bytes());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets the last lines out when it is dropped.
pub struct Guard(Arc<Shared>);

impl Guard {
    /// Writes these words, which are no part of the log, between its lines; says whether they were written. A reader
    /// that doesn't read is waited for a second at most.
    pub fn tell(&self, words: String) -> bool {
        let (told, written) = sync_channel(1);
        let mut waiting = self.0.lock();
        waiting.words.push((words, told));
        self.0.wake(waiting);
        written.recv_timeout(PATIENCE).unwrap_or(false)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tell(String::new());
        let mut waiting = self.0.lock();
        waiting.ended = true;
        self.0.wake(waiting);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    /// Accepts so many bytes, then fails.
    struct Small(Vec<u8>, usize);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.1 - self.0.len();
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = bytes.len().min(room);
            self.0.extend_from_slice(&bytes[..written]);
            Ok(written)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_were_cut_or_not_written_at_all_are_counted() {
        for (room, lost) in [(0, 3), (3, 3), (4, 2), (6, 2), (8, 1), (12, 0)] {
            assert_eq!(write_all(&mut Small(Vec::new(), room), b"abc\ndef\nghi\n"), lost, "{room}");
        }
    }

    #[test]
    fn a_log_that_nobody_reads_holds_nobody_up_and_takes_no_more_than_its_memory() {
        struct Blocked(Receiver<()>);
        impl Write for Blocked {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.recv().ok();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        // Dropped last: the blocked writer goes on only when this goes.
        let (release, blocked) = sync_channel(0);
        let (mut queue, guard) = Queue::start(Blocked(blocked)).unwrap();
        let line = "x".repeat(1023) + "\n";
        // What the thread holds may be as much again.
        for _ in 0..2 * WAITING_BYTES / line.len() + 100 {
            queue.write_all(line.as_bytes()).unwrap();
        }
        assert!(queue.lost() >= 99, "{}", queue.lost());
        let waiting = queue.0.lock();
        assert!(waiting.lines.len() <= WAITING_BYTES);
        drop(waiting);
        drop(guard);
        drop(release);
    }
}
