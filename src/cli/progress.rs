//! How far a long command has come, for whoever watches it on a terminal.

use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::time::{Duration, Instant};

/// Between two updates of the line.
const PACE: Duration = Duration::from_millis(100);

/// A line on stderr that is written over and over, and is gone at the end. There is none where stderr is no terminal.
pub struct Progress {
    is_watched: bool,
    told: Option<Instant>,
}

impl Progress {
    pub fn new() -> Self {
        Self { is_watched: stderr().is_terminal(), told: None }
    }

    /// None either where the answer itself runs over the terminal.
    pub fn of_stdout() -> Self {
        Self { is_watched: stderr().is_terminal() && !stdout().is_terminal(), told: None }
    }

    /// Writes what `text` says, unless it did a moment ago.
    pub fn tell(&mut self, text: impl FnOnce() -> String) {
        if self.is_watched && self.told.is_none_or(|told| told.elapsed() >= PACE) {
            self.told = Some(Instant::now());
            // A terminal that is gone is told nothing.
            write!(stderr(), "\r\x1b[K{}", text()).ok();
        }
    }

    /// Takes the line away, for other words.
    pub fn clear(&mut self) {
        if self.told.take().is_some() {
            write!(stderr(), "\r\x1b[K").ok();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
