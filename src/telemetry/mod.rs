//! Logs: to stderr, as text on a terminal and as JSON elsewhere, one line for each event. And [`metrics`], what is counted.
//!
//! Whoever logs never waits. A thread of its own writes; where the reader of the log stops reading, lines are lost and
//! counted, and the service goes on.

mod line;
pub mod metrics;
mod queue;

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use line::Line;
pub use line::Request;
pub use queue::Guard;
use queue::Queue;

use crate::settings::LogFormat;
use metrics::Counter;

/// Of the program's one log.
static LOST_LINES: OnceLock<Counter> = OnceLock::new();

/// Anyone can make actix-session warn, with a forged cookie, and actix-http call what is not HTTP an error; what
/// actix-server says at each start, we say ourselves.
const QUIETER: &str = "actix_session=error,actix_http=off,actix_server=warn";

/// Starts logging for the whole program. `level` is the setting `log_level`. Keep the guard until the program ends.
pub fn start(level: &str, format: LogFormat) -> io::Result<Guard> {
    let json = match format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let (queue, guard) = Queue::start(io::stderr())?;
    let lost = queue.lost_so_far();
    subscriber(level, json, queue).try_init().map_err(io::Error::other)?;
    LOST_LINES.get_or_init(|| lost);
    Ok(guard)
}

/// How many lines of the program's log were lost so far, for `/metrics`; 0 where none was started.
pub fn lost_lines() -> Counter {
    LOST_LINES.get().cloned().unwrap_or_default()
}

/// Text has no colours: every control character in a line is then one that somebody smuggled in, and is escaped.
fn subscriber(level: &str, json: bool, queue: Queue) -> Box<dyn Subscriber + Send + Sync> {
    // What goes wrong inside would be printed, and a print panics where stderr can't be written.
    let lines = fmt::layer().with_ansi(false).log_internal_errors(false);
    let lines = lines.event_format(Line { json }).with_writer(move || queue.clone());
    Box::new(registry().with(EnvFilter::new(format!("{QUIETER},{level}"))).with(lines))
}

/// The text with each control character, and each character that breaks lines or changes their direction, as `\u001b`.
/// Good inside JSON strings too.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) || !text.contains(is_hostile) {
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

/// Printable ASCII alone, as nearly all of the log is: no character has to be looked at. Many bytes at once are.
fn is_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'))
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, Mutex};

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
    fn control_characters_never_break_or_change_a_line() {
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
    fn what_anyone_can_send_is_no_error_of_the_log() {
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
            let id = uuid::Uuid::nil();
            let client = std::net::Ipv4Addr::LOCALHOST.into();
            let request = Request { id, method: "GET".to_owned(), path: "/\"x".to_owned(), client };
            let work = request.scope(async {
                tracing::info!(name = HOSTILE, quoted = ?"\"", count = 3_u64, yes = true, "done");
            });
            futures_util::FutureExt::now_or_never(work).unwrap();
            tracing::info!("outside");
        });
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let (done, outside) = (&lines[0], &lines[1]);
        assert_eq!((&done["message"], &done["name"]), (&"done".into(), &HOSTILE.into()));
        assert_eq!((&done["quoted"], &done["count"], &done["yes"]), (&"\"\\\"\"".into(), &3.into(), &true.into()));
        let id = "00000000-0000-0000-0000-000000000000";
        let request = serde_json::json!({"id": id, "method": "GET", "path": "/\"x", "client": "127.0.0.1"});
        assert_eq!((&done["request"], &outside["request"]), (&request, &serde_json::Value::Null));
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
        let counter = queue.clone();
        tracing::subscriber::with_default(subscriber("info", true, queue), || {
            assert!(guard.tell("shown\n".to_owned()));
            disk.is_full.store(true, Ordering::Relaxed);
            tracing::info!("first");
            tracing::info!("second");
            assert!(!guard.tell("not shown\n".to_owned()));
            assert_eq!((counter.lost(), counter.lost_so_far().get()), (2, 2));
            disk.is_full.store(false, Ordering::Relaxed);
            tracing::info!("third");
            assert!(guard.tell(String::new()));
        });
        let log = String::from_utf8(disk.kept.0.lock().unwrap().clone()).unwrap();
        assert!(log.starts_with("shown\n") && log.contains("third") && !log.contains("second"), "{log}");
        // The thread of the log tells it to whoever listens for the whole program.
        assert_eq!((counter.lost(), counter.lost_so_far().get()), (0, 2));
    }
}
