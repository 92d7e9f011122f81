//! Logs: to stderr, as text on a terminal and as JSON elsewhere, one line for each event.
//!
//! Whoever logs never waits. A thread of its own writes; where the reader of the log stops reading, lines are lost and
//! counted, and the service goes on.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::settings::LogFormat;

/// Anyone can make actix-session warn, with a forged cookie, and actix-http call what is not HTTP an error; what
/// actix-server says at each start, we say ourselves.
const QUIETER: &str = "actix_session=error,actix_http=off,actix_server=warn";

/// Lines that may wait for the reader of the log.
const WAITING_LINES: usize = 4096;

/// How long words for whoever watches may take, and the last lines when the program ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// Starts logging for the whole program. `level` is the setting `log_level`. Keep the guard until the program ends.
pub fn start(level: &str, format: LogFormat) -> io::Result<Guard> {
    let json = match format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let (queue, guard) = Queue::start(io::stderr())?;
    subscriber(level, json, queue).try_init().map_err(io::Error::other)?;
    Ok(guard)
}

/// Text has no colours: every control character in a line is then one that somebody smuggled in, and is escaped.
fn subscriber(level: &str, json: bool, queue: Queue) -> Box<dyn Subscriber + Send + Sync> {
    let lines = registry().with(EnvFilter::new(format!("{QUIETER},{level}")));
    // What goes wrong inside would be printed, and a print panics where stderr can't be written.
    let layer = fmt::layer().with_ansi(false).log_internal_errors(false).with_writer(move || queue.clone());
    if json {
        Box::new(lines.with(layer.json().flatten_event(true).with_current_span(false)))
    } else {
        Box::new(lines.with(layer))
    }
}

/// The text with each control character, and each character that breaks lines or changes their direction, as `\u001b`.
/// Good inside JSON strings too.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hostile(c) {
            let mut units = [0; 2];
            safe.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Takes lines and never waits.
#[derive(Clone)]
struct Queue {
    sender: SyncSender<Job>,
    lost: Arc<AtomicU64>,
}

enum Job {
    Line(String),
    /// Words for whoever watches: says whether they were written.
    Words(String, SyncSender<bool>),
}

impl Queue {
    fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Guard)> {
        let (sender, receiver) = sync_channel(WAITING_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let queue = Self { sender: sender.clone(), lost: lost.clone() };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(out, &receiver, &lost))?;
        Ok((queue, Guard(sender)))
    }
}

fn write_lines(mut out: impl Write, receiver: &Receiver<Job>, lost: &AtomicU64) {
    while let Ok(job) = receiver.recv() {
        let written = match job {
            Job::Line(line) => {
                let written = out.write_all(line.as_bytes()).is_ok();
                lost.fetch_add(u64::from(!written), Ordering::Relaxed);
                written
            }
            Job::Words(words, told) => {
                let written = out.write_all(words.as_bytes()).is_ok();
                told.try_send(written).ok();
                written
            }
        };
        // Where the log can't be written, there is nowhere to tell of it before it can be again.
        let lost = if written { lost.swap(0, Ordering::Relaxed) } else { 0 };
        if lost > 0 {
            tracing::warn!(lost, "log lines were lost: they could not be written, or nobody read them in time");
        }
    }
}

/// The formatter hands over one whole line at a time.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = escaped(text.strip_suffix('\n').unwrap_or(&text));
        if self.sender.try_send(Job::Line(format!("{text}\n"))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets the last lines out when it is dropped.
pub struct Guard(SyncSender<Job>);

impl Guard {
    /// Writes these words, which are no part of the log, between its lines; says whether they were written. A reader
    /// that doesn't read is waited for a second at most.
    pub fn tell(&self, words: String) -> bool {
        let (told, written) = sync_channel(1);
        self.0.try_send(Job::Words(words, told)).is_ok() && written.recv_timeout(PATIENCE).unwrap_or(false)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tell(String::new());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged by `act`.
    fn logged(json: bool, act: impl FnOnce()) -> String {
        let kept = Kept::default();
        let (queue, guard) = Queue::start(kept.clone()).unwrap();
        tracing::subscriber::with_default(subscriber("info", json, queue), act);
        drop(guard);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: &str = "a\r\nb\x1b[2Jc\u{2028}d\u{85}e\u{202e}f";

    #[test]
    fn c89_control_characters_never_break_or_change_a_line() {
        for json in [false, true] {
            let text = logged(json, || {
                tracing::info!(name = HOSTILE, "message {HOSTILE}");
                tracing::info!(name = %HOSTILE, "second");
            });
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(!text.trim_end_matches('\n').replace('\n', "").contains(is_hostile), "{text}");
            assert!(text.contains("second"), "{text}");
        }
    }

    #[test]
    fn c44_what_anyone_can_send_is_no_error_of_the_log() {
        let text = logged(true, || {
            tracing::error!(target: "actix_http::h1::dispatcher", "stream error: request parse error");
            tracing::warn!(target: "actix_session::middleware", "a forged cookie");
            tracing::error!("ours");
        });
        assert_eq!((text.lines().count(), text.contains("ours")), (1, true), "{text}");
    }

    #[test]
    fn json_lines_are_json_and_name_the_request() {
        let text = logged(true, || {
            let _span = tracing::info_span!("request", request_id = "r1").entered();
            tracing::info!(name = HOSTILE, "done");
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["message"], &line["name"]), (&"done".into(), &HOSTILE.into()));
        assert_eq!(line["spans"][0]["request_id"], "r1");
    }

    #[test]
    fn a_log_that_can_be_written_again_tells_how_many_lines_it_lost() {
        #[derive(Clone, Default)]
        struct Disk {
            is_full: Arc<std::sync::atomic::AtomicBool>,
            kept: Kept,
        }
        impl Write for Disk {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                if self.is_full.load(Ordering::Relaxed) {
                    return Err(io::ErrorKind::StorageFull.into());
                }
                self.kept.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let disk = Disk::default();
        let (queue, guard) = Queue::start(disk.clone()).unwrap();
        let lost = queue.lost.clone();
        tracing::subscriber::with_default(subscriber("info", true, queue), || {
            assert!(guard.tell("shown\n".to_owned()));
            disk.is_full.store(true, Ordering::Relaxed);
            tracing::info!("first");
            tracing::info!("second");
            assert!(!guard.tell("not shown\n".to_owned()));
            assert_eq!(lost.load(Ordering::Relaxed), 2);
            disk.is_full.store(false, Ordering::Relaxed);
            tracing::info!("third");
            assert!(guard.tell(String::new()));
        });
        let log = String::from_utf8(disk.kept.0.lock().unwrap().clone()).unwrap();
        assert!(log.starts_with("shown\n") && log.contains("third") && !log.contains("second"), "{log}");
        // The thread of the log tells it to whoever listens for the whole program.
        assert_eq!(lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn f12_a_log_that_nobody_reads_holds_nobody_up() {
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
        let (queue, guard) = Queue::start(Blocked(blocked)).unwrap();
        let lost = queue.lost.clone();
        tracing::subscriber::with_default(subscriber("info", false, queue), || {
            for number in 0..WAITING_LINES + 100 {
                tracing::info!(number, "line");
            }
        });
        assert!(lost.load(Ordering::Relaxed) >= 99);
        drop(guard);
        drop(release);
    }
}
