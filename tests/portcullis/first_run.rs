//! The binary as an operator meets it: first start, settings, command line, how it fails and stops.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::program::mode;
use crate::support::*;

/// The setup link's path in what the server wrote.
fn setup_path(line: &str, program: &Program) -> String {
    let start = format!("http://127.0.0.1:{}/setup/", program.port);
    let link = line.split_whitespace().find(|word| word.starts_with(&start)).expect("the link in one piece");
    link.strip_prefix(start.trim_end_matches("/setup/")).unwrap().to_owned()
}

fn bootstrapped() -> Program {
    Program::new()
        .set("bootstrap_admin_username", KEEPER)
        .set("bootstrap_admin_email", "keeper@example.com")
        .set("bootstrap_admin_password", PASSWORD)
}

#[tokio::test]
async fn the_first_start_prints_a_link_that_makes_one_administrator() {
    let program = Program::new();
    let running = program.start();
    // Whoever waits for `/livez` finds the link printed.
    running.answers().await;
    let stderr = running.stderr();
    let line = stderr.lines().find(|line| line.contains("/setup/")).unwrap_or_else(|| panic!("no link: {stderr}"));
    let path = setup_path(line, &program);
    assert!(stderr.contains("portcullis setup-link"), "{stderr}");
    assert_eq!(stderr.matches("/setup/").count(), 1, "{stderr}");

    // Closed until then, and `/login` says so.
    let mut guest = program.browser();
    assert!(guest.get("/login").await.expect(200).text().contains("setup-link"));
    guest.get("/register").await.expect(403);

    let mut administrator = program.browser();
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    administrator.submit(&path, &fields).await.expect_redirect("/account");
    assert!(administrator.is_signed_in().await);
    guest.get(&path).await.expect(410);
    guest.get("/register").await.expect(200);

    // Nothing secret in what it wrote, and its folder is closed to others.
    let output = running.output();
    assert!(!output.contains(PASSWORD) && !output.contains(&administrator.cookie().unwrap()), "{output}");
    let data = program.folder.join("data");
    assert_eq!(mode(&data) & 0o077, 0, "{:o}", mode(&data));
    assert_eq!(mode(&data.join("secret_key")), 0o600);
}

#[tokio::test]
async fn no_link_is_printed_once_there_is_an_administrator() {
    let program = bootstrapped();
    let mut running = program.serve().await;
    assert!(!running.output().contains("/setup/"), "{}", running.output());
    let mut browser = program.browser();
    browser.sign_in(KEEPER).await;
    assert_eq!(running.terminate().code(), Some(0));
    let shown = program.run(&["user", "show", KEEPER, "--output", "json"]);
    let user: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown:?}"));
    let user = user.as_array().map_or(&user, |list| &list[0]);
    assert_eq!((user["role"].as_str(), user["status"].as_str()), (Some("admin"), Some("active")));
    // The secret that made the administrator makes no second one, and changes nothing of the first.
    let program = program.set("bootstrap_admin_username", "second").set("bootstrap_admin_email", "second@example.com");
    let running = program.serve().await;
    program.browser().try_sign_in("second", PASSWORD).await.expect(401);
    program.browser().sign_in(KEEPER).await;
    assert!(!running.output().contains(PASSWORD), "{}", running.output());
}

#[tokio::test]
async fn the_bootstrap_password_may_come_from_a_file_and_is_held_to_the_policy() {
    let program = bootstrapped().unset("bootstrap_admin_password").set("bootstrap_admin_password_file", "password.txt");
    program.file("password.txt", &format!("{PASSWORD}\n"));
    let running = program.serve().await;
    program.browser().sign_in(KEEPER).await;
    assert!(!running.output().contains(PASSWORD));
    drop(running);

    let program = bootstrapped().set("bootstrap_admin_password", "password123");
    let mut running = program.start();
    assert!(matches!(running.end().code(), Some(1 | 78)), "{}", running.output());
    assert!(running.stderr().contains("bootstrap_admin_password") || running.stderr().contains("password"));
    assert!(!running.output().contains("password123"), "{}", running.output());
}

#[tokio::test]
async fn a_new_setup_link_voids_the_old_one_while_the_server_runs() {
    let program = Program::new();
    let running = program.start();
    let old = setup_path(&running.line("/setup/").await, &program);
    running.answers().await;
    let printed = program.run(&["setup-link"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let new = setup_path(&printed.stdout, &program);
    assert_ne!(old, new);
    let mut browser = program.browser();
    browser.get(&old).await.expect(410);
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    browser.submit(&new, &fields).await.expect_redirect("/account");
    // With an administrator there is nothing left to set up.
    let refused = program.run(&["setup-link"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(!refused.stdout.contains("/setup/"), "{refused:?}");
}

#[tokio::test]
async fn a_start_after_an_unfinished_setup_prints_a_fresh_link() {
    let program = Program::new();
    let mut running = program.serve().await;
    let old = setup_path(&running.line("/setup/").await, &program);
    assert_eq!(running.terminate().code(), Some(0));
    let running = program.serve().await;
    let new = setup_path(&running.line("/setup/").await, &program);
    assert_ne!(old, new);
    program.browser().get(&old).await.expect(410);
    program.browser().get(&new).await.expect(200);
}

/// Fails unless the process ended with `code` and said why in one line that contains each of `parts`.
fn one_line(running: &mut program::Running, code: i32, parts: &[&str]) {
    let status = running.end();
    let stderr = running.stderr();
    assert_eq!(status.code(), Some(code), "{stderr}");
    let lines: Vec<_> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.last().unwrap_or(&"");
    for part in parts {
        assert!(last.contains(part), "{part} is not in: {stderr}");
    }
    assert!(!stderr.contains("panicked") && !stderr.contains("Error {") && !stderr.contains("Os {"), "{stderr}");
    assert!(lines.len() <= 3, "more than is to be read: {stderr}");
}

#[tokio::test]
async fn a_taken_port_is_one_line_that_says_what_to_do() {
    let program = bootstrapped();
    let _other = TcpListener::bind(program.address()).unwrap();
    one_line(&mut program.start(), 1, &[&program.port.to_string(), "listen"]);
}

#[tokio::test]
async fn a_data_folder_that_is_no_folder_is_one_line_that_says_what_to_do() {
    let program = bootstrapped();
    program.file("data", "a file where the folder should be");
    one_line(&mut program.start(), 78, &["data_dir"]);
}

#[tokio::test]
async fn another_owners_data_folder_is_refused_by_server_and_command_line() {
    if std::process::Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        panic!("only root can make a folder of another owner; run tests/run.sh as root");
    }
    let program = bootstrapped();
    drop(program.serve().await);
    let data = program.folder.join("data");
    let chown = std::process::Command::new("chown").args(["-R", "nobody"]).arg(&data).status().unwrap();
    assert!(chown.success());
    one_line(&mut program.start(), 78, &["another user"]);
    let listed = program.run(&["user", "list"]);
    assert_eq!(listed.code, Some(78), "{listed:?}");
    assert!(listed.stderr.contains("another user"), "{listed:?}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_one_line_and_status_69() {
    let port = free_port();
    let url = format!("postgres://portcullis:hunter2-canary@127.0.0.1:{port}/portcullis?sslmode=disable");
    let program = bootstrapped().set("database_url", &url);
    let mut running = program.start();
    one_line(&mut running, 69, &[&port.to_string()]);
    assert!(!running.output().contains("hunter2-canary"), "{}", running.output());
}

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
    let program = bootstrapped().set("secret_key", "the-first-canary-of-thirty-two-bytes");
    drop(program.serve().await);
    let program = program.set("secret_key", "another-canary-of-thirty-two-bytes..");
    let mut running = program.start();
    one_line(&mut running, 78, &["secret_key"]);
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

#[tokio::test]
async fn the_command_line_works_beside_the_running_server_and_counts_at_once() {
    let program = bootstrapped();
    let running = program.serve().await;
    let created = program.run_with_input(
        &["user", "create", "nadia", "--email", "nadia@example.com", "--password-stdin", "--yes"],
        &format!("{PASSWORD}\n"),
    );
    assert_eq!(created.code, Some(0), "{created:?}");
    let mut nadia = program.browser();
    nadia.sign_in("nadia").await;
    let mut phone = program.browser();
    phone.sign_in("nadia@example.com").await;

    let sessions = program.run(&["sessions", "list", "--user", "nadia", "--output", "json"]);
    let sessions: serde_json::Value = serde_json::from_str(&sessions.stdout).unwrap_or_else(|_| panic!("{sessions:?}"));
    assert_eq!(sessions.as_array().map(Vec::len), Some(2), "{sessions}");
    assert_eq!(sessions[0]["user"]["username"], "nadia");
    let cookie = nadia.cookie().unwrap();
    let id = sessions.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap());
    let id = id.clone().find(|id| cookie.contains(id)).unwrap_or_else(|| panic!("{cookie}: {sessions}")).to_owned();
    let ended = program.run(&["sessions", "revoke", &id, "--yes"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!nadia.is_signed_in().await && phone.is_signed_in().await);

    for (arguments, left) in [
        (&["user", "set-role", "nadia", "manager", "--yes"][..], true),
        (&["user", "suspend", "nadia", "--yes"], false),
    ] {
        let outcome = program.run(arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(phone.is_signed_in().await, left, "{arguments:?}");
    }
    assert_eq!(program.run(&["user", "reinstate", "nadia", "--yes"]).code, Some(0));
    assert!(!phone.is_signed_in().await, "the account's return brought its session back");
    let set = program.run_with_input(&["user", "set-password", "nadia", "--password-stdin", "--yes"], NEW_PASSWORD);
    assert_eq!(set.code, Some(0), "{set:?}");
    program.browser().try_sign_in("nadia", NEW_PASSWORD).await.expect_redirect("/account");
    let link = program.run(&["user", "reset-link", "nadia", "--yes"]);
    assert!(link.stdout.contains(&format!("http://127.0.0.1:{}/reset/", program.port)), "{link:?}");

    // The last administrator stays, and what is unknown is said to be.
    for arguments in [
        &["user", "suspend", KEEPER, "--yes"][..],
        &["user", "set-role", KEEPER, "user", "--yes"],
        &["user", "delete", KEEPER, "--yes"],
        &["user", "show", "nobody-of-that-name"],
        &["sessions", "revoke", "019a8c10-0000-7000-8000-000000000000", "--yes"],
    ] {
        let outcome = program.run(arguments);
        assert_eq!(outcome.code, Some(1), "{arguments:?}: {outcome:?}");
        assert!(outcome.stderr.lines().count() == 1 && !outcome.stderr.contains("panicked"), "{outcome:?}");
    }
    let deleted = program.run(&["user", "delete", "nadia", "--yes"]);
    assert_eq!(deleted.code, Some(0), "{deleted:?}");
    assert!(!running.output().contains("panicked"), "{}", running.output());
}

#[tokio::test]
async fn what_destroys_asks_first() {
    let program = bootstrapped();
    let _running = program.serve().await;
    let password = format!("{PASSWORD}\n");
    program.run_with_input(&["user", "create", "nadia", "--email", "n@example.com", "--password-stdin"], &password);
    let refused = program.run(&["user", "delete", "nadia"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(program.run(&["user", "show", "nadia"]).code, Some(0));
    let refused = program.run_with_input(&["user", "delete", "nadia"], "n\n");
    assert_ne!(refused.code, Some(0), "{refused:?}");
    assert_eq!(program.run(&["user", "show", "nadia"]).code, Some(0));
}

#[tokio::test]
async fn two_servers_and_many_commands_share_one_sqlite_file() {
    let program = bootstrapped();
    let _one = program.serve().await;
    let second = bootstrapped().set("data_dir", &program.folder.join("data").display().to_string());
    let _two = second.serve().await;
    let password = format!("{PASSWORD}\n");
    std::thread::scope(|scope| {
        let program = &program;
        let password = &password;
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                scope.spawn(move || {
                    for number in 0..3 {
                        let name = format!("worker{worker}x{number}");
                        let email = format!("{name}@example.com");
                        let created = program.run_with_input(
                            &["user", "create", &name, "--email", &email, "--password-stdin"],
                            password,
                        );
                        assert_eq!(created.code, Some(0), "{created:?}");
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
    });
    let mut browser = program.browser();
    browser.sign_in("worker0x0").await;
    // What one server ends is over on the other, without any Redis.
    let mut there = second.browser().with_cookie(&browser.cookie().unwrap());
    assert!(there.is_signed_in().await);
    browser.sign_out().await;
    assert!(!there.is_signed_in().await);
}

#[test]
fn help_version_and_wrong_words_need_no_settings() {
    let program = Program::new().set("listen", "nowhere");
    let help = program.run(&["--help"]);
    assert_eq!(help.code, Some(0), "{help:?}");
    for part in ["serve", "setup-link", "user", "sessions", "config", "secret", "healthcheck", "--listen"] {
        assert!(help.stdout.contains(part), "{part}: {}", help.stdout);
    }
    assert_eq!(program.run(&["--version"]).code, Some(0));
    let wrong = program.run(&["sevre"]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    let one = program.run(&["secret", "generate"]);
    let two = program.run(&["secret", "generate"]);
    assert!(one.code == Some(0) && one.stdout.trim().len() >= 32 && one.stdout != two.stdout, "{one:?}");
}

#[tokio::test]
async fn a_healthcheck_tells_a_running_server_from_none() {
    let program = bootstrapped();
    assert_ne!(program.run(&["healthcheck"]).code, Some(0));
    let mut running = program.serve().await;
    assert_eq!(program.run(&["healthcheck"]).code, Some(0));
    running.terminate();
    assert_ne!(program.run(&["healthcheck"]).code, Some(0));
}

#[tokio::test]
async fn every_line_of_the_log_is_one_json_object_whatever_is_asked() {
    let program = bootstrapped().set("log_format", "json").set("log_level", "debug");
    let running = program.serve().await;
    for evil in ["a\u{1b}[2Jb", "x\u{2028}{\"level\":\"ERROR\"}", "%0d%0a{}", "\u{85}y"] {
        let agent = format!("User-Agent: {evil}");
        raw::get(program.address(), b"/login%0d%0a%1b[31m?a=%0a", &[agent.as_bytes()]).await;
        let encoded: String = url::form_urlencoded::byte_serialize(format!("{evil}\r\nforged").as_bytes()).collect();
        let body = format!("username={encoded}&password=canary-password");
        let headers: [&[u8]; 3] = [
            b"Content-Type: application/x-www-form-urlencoded",
            b"Sec-Fetch-Site: same-origin",
            b"X-Forwarded-For: 1.2.3.4\", \"forged\": \"5.6.7.8",
        ];
        raw::exchange(program.address(), &raw::request(b"POST", b"/login", &headers, body.as_bytes())).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut lines = 0;
    for line in running.stderr().lines().chain(running.output().lines()) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object.is_object(), "{line}");
        assert!(!line.contains('\u{1b}') && !line.contains("canary-password"), "{line}");
        lines += 1;
    }
    assert!(lines > 8, "{lines} lines");
}
