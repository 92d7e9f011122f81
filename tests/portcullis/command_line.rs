//! The command line, beside a running server and alone.

use crate::support::*;

#[tokio::test]
async fn the_command_line_works_beside_the_running_server_and_counts_at_once() {
    let program = Program::with_administrator();
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
    let program = Program::with_administrator();
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
    let program = Program::with_administrator();
    let _one = program.serve().await;
    let second = Program::with_administrator().set("data_dir", &program.folder.join("data").display().to_string());
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
    let program = Program::with_administrator();
    assert_ne!(program.run(&["healthcheck"]).code, Some(0));
    let mut running = program.serve().await;
    assert_eq!(program.run(&["healthcheck"]).code, Some(0));
    running.terminate();
    assert_ne!(program.run(&["healthcheck"]).code, Some(0));
}
