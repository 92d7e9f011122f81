//! Streams that can't be written: a full disk, a closed pipe, a reader who stopped reading.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::process::Stdio;

use tokio::net::unix::pipe;

use crate::support::*;

/// Where every write fails as on a full disk.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A pipe that is full, and whose reader does not read while the first of these is there.
async fn blocked() -> (std::io::PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    // An end of its own, for whoever writes on the other does wait. It is told when there is no room for one byte.
    let filler = pipe::OpenOptions::new().open_sender(format!("/proc/self/fd/{}", writer.as_raw_fd())).unwrap();
    filler.writable().await.unwrap();
    while filler.try_write(b"x").is_ok() {}
    (reader, writer.into())
}

/// The first start makes an administrator with a link that another command prints, and stops as asked.
async fn serves(program: &Program, mut running: program::Running, why: &str) {
    running.answers().await;
    let printed = program.run(&["setup-link"]);
    assert_eq!(printed.code, Some(0), "{why}: {printed:?}");
    let link = printed.stdout.split_whitespace().find(|word| word.contains("/setup/")).unwrap();
    let path = &link[link.find("/setup/").unwrap()..];
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    program.browser().submit(path, &fields).await.expect_redirect("/account");
    program.browser().sign_in(KEEPER).await;
    assert_eq!(running.terminate().code(), Some(0), "{why}");
}

#[tokio::test]
async fn a_server_whose_log_cannot_be_written_starts_serves_and_stops() {
    for level in ["info", "trace"] {
        let program = || Program::new().set("log_level", level);
        let first = program();
        serves(&first, first.start_logging_into(full()), "a full disk").await;
        let first = program();
        serves(&first, first.start_logging_into(closed()), "a closed pipe").await;
        let first = program();
        let (reader, stderr) = blocked().await;
        serves(&first, first.start_logging_into(stderr), "a reader who stopped reading").await;
        drop(reader);
    }
}

#[tokio::test]
async fn a_server_whose_stderr_is_closed_starts_serves_and_stops() {
    let program = Program::with_administrator();
    program.file("closed.sh", "exec portcullis serve 2>&- >&-\n");
    let port = program.port;
    let script = format!(
        "bash closed.sh & pid=$!
         for try in {{1..300}}; do curl -sf http://127.0.0.1:{port}/livez && break; sleep 0.1; done
         kill $pid; wait $pid"
    );
    let outcome = program.shell(&script);
    assert_eq!((outcome.code, outcome.stdout.contains("ok")), (Some(0), true), "{outcome:?}");
}

/// Commands of every kind that have something to say, and whether that is a list, of which a reader may have enough.
const TALKATIVE: &[(&[&str], bool)] = &[
    (&["--help"], false),
    (&["user", "--help"], false),
    (&["--version"], false),
    (&["secret", "generate"], false),
    (&["config", "check"], false),
    (&["config", "show"], false),
    (&["config", "show", "--output", "json"], false),
    (&["healthcheck"], false),
    (&["doctor"], false),
    (&["doctor", "--output", "json"], false),
    (&["user", "list"], true),
    (&["user", "list", "--output", "json"], true),
    (&["user", "show", KEEPER], false),
    (&["user", "reset-link", KEEPER, "--yes"], false),
    (&["user", "export"], true),
    (&["sessions", "list"], true),
    (&["sessions", "list", "--output", "json"], true),
    (&["sessions", "revoke-all", "--yes"], false),
    (&["audit", "export"], true),
    (&["audit", "export", "--format", "csv"], true),
    (&["keys", "list"], false),
    (&["keys", "list", "--output", "json"], false),
    (&["keys", "rotate", "--yes"], false),
];

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_a_failure_in_one_line_and_a_closed_pipe_one_without_words() {
    let program = Program::with_administrator();
    let _server = program.serve().await;
    program.browser().sign_in(KEEPER).await;
    for &(arguments, is_list) in TALKATIVE {
        assert_eq!(program.run(arguments).code, Some(0), "{arguments:?}");
        // Beside its own words there may be the log: an export of password hashes is told there.
        let words = |outcome: &program::CommandOutput| -> Vec<String> {
            outcome.stderr.lines().filter(|line| !line.starts_with('{')).map(str::to_owned).collect()
        };
        let told = program.run_into(arguments, full());
        assert_eq!((told.code, words(&told).len()), (Some(1), 1), "{arguments:?}: {told:?}");
        assert!(words(&told)[0].starts_with("portcullis: stdout can't be written"), "{arguments:?}: {told:?}");
        let quiet = program.run_into(arguments, closed());
        assert_eq!((quiet.code, words(&quiet).len()), (Some(i32::from(!is_list)), 0), "{arguments:?}: {quiet:?}");
    }
}

#[tokio::test]
async fn a_complaint_that_cannot_be_written_leaves_the_exit_status() {
    let program = Program::with_administrator();
    let nothing = program.set("listen", "nowhere");
    for (command, status) in [
        ("portcullis serve", 78),
        ("portcullis config check", 78),
        ("portcullis frobnicate", 2),
        ("portcullis user list", 78),
    ] {
        for stream in ["/dev/full", "&-"] {
            let outcome = nothing.shell(&format!("{command} 2>{stream}"));
            assert_eq!(outcome.code, Some(status), "{command} 2>{stream}: {outcome:?}");
        }
    }
    // Nobody is there to be healthy.
    let unused = Port::reserve();
    let program = nothing.set("listen", &format!("127.0.0.1:{}", unused.number()));
    for (command, status) in [
        ("portcullis user show nobody", 1),
        ("portcullis healthcheck", 1),
        ("printf '{}\\n' | portcullis user import -", 1),
        // A question that nobody sees: on a terminal, whose error stream is elsewhere.
        ("script -qec 'portcullis user delete keeper 2>/dev/full' /dev/null < /dev/null", 1),
    ] {
        let outcome = program.shell(&format!("{command} 2>/dev/full"));
        assert_eq!(outcome.code, Some(status), "{command}: {outcome:?}");
    }
}
