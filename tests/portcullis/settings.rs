//! Settings as the binary reads them, and secrets that it never shows.

use crate::support::*;

#[test]
fn all_wrong_settings_are_told_at_once_with_the_nearest_known_name() {
    let program = Program::new()
        .set("listen", "nowhere")
        .set("session_idle_timeout", "soon")
        .set("public_url", "http://localhost:8080/path")
        .set("lissten", "127.0.0.1:1")
        .set("secret_key", "short-canary")
        .set("jwt_algorithm", "none");
    program.file("portcullis.toml", "regisration = \"open\"\nlogin_rate = \"many\"\n");
    let program = program.unset("login_rate");
    for arguments in [&["serve"][..], &["config", "check"], &[]] {
        let outcome = program.run(arguments);
        assert_eq!(outcome.code, Some(78), "{arguments:?}: {outcome:?}");
        for part in [
            "listen",
            "session_idle_timeout",
            "public_url",
            "PORTCULLIS_LISSTEN",
            "PORTCULLIS_LISTEN",
            "secret_key",
            "jwt_algorithm",
            "regisration",
            "registration",
            "login_rate",
        ] {
            assert!(outcome.stderr.contains(part), "{part} is missing: {}", outcome.stderr);
        }
        assert!(!outcome.stderr.contains("short-canary"), "the secret is shown: {}", outcome.stderr);
        assert!(!program.folder.join("data").exists(), "something was made");
    }
}

#[test]
fn a_secret_and_its_file_together_are_an_error_and_a_short_one_too() {
    let secret = "a-canary-of-exactly-thirty-two-b";
    assert_eq!(secret.len(), 32);
    let program = Program::new().set("secret_key", secret).set("secret_key_file", "secret.txt");
    program.file("secret.txt", secret);
    let outcome = program.run(&["config", "check"]);
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(outcome.stderr.contains("secret_key") && !outcome.stderr.contains("canary"), "{outcome:?}");

    let program = program.unset("secret_key");
    let outcome = program.run(&["config", "check"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    program.file("secret.txt", &secret[1..]);
    let outcome = program.run(&["config", "check"]);
    assert_eq!(outcome.code, Some(78), "{outcome:?}");

    let outcome = program.unset("secret_key_file").set("secret_key", secret).run(&["config", "show"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.contains("secret_key") && !outcome.stdout.contains("canary"), "{outcome:?}");
}

#[tokio::test]
async fn a_node_with_another_secret_key_refuses_to_start() {
    let program = Program::with_administrator().set("secret_key", "the-first-canary-of-thirty-two-bytes");
    drop(program.serve().await);
    let program = program.set("secret_key", "another-canary-of-thirty-two-bytes..");
    let mut running = program.start();
    running.ends_in_one_line(78, &["secret_key"]);
    assert!(!running.output().contains("canary"), "{}", running.output());
}

#[tokio::test]
async fn the_environment_file_and_toml_are_read_in_their_order() {
    let program = Program::new().unset("login_rate");
    program.file(".env", "PORTCULLIS_LOG_LEVEL=warn\nPORTCULLIS_REGISTRATION=closed\n");
    program.file("portcullis.toml", "log_level = \"error\"\nsession_idle_timeout = \"1h\"\nregistration = \"open\"\n");
    let program = program.set("registration", "open");
    let shown = program.run(&["config", "show", "--session-idle-timeout", "30m"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let value = |key: &str| {
        let line = shown.stdout.lines().find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("{key}: {shown:?}")).to_owned()
    };
    assert!(value("log_level").contains("warn"), "{}", value("log_level"));
    assert!(value("registration").contains("open"), "{}", value("registration"));
    assert!(value("session_idle_timeout").contains("30m"), "{}", value("session_idle_timeout"));
    assert!(value("login_rate").contains("10/1m"), "{}", value("login_rate"));
}
