//! The command line, beside a running server and alone.

use diesel::{QueryDsl as _, RunQueryDsl as _};
use portcullis::domain::{Event, Role};
use portcullis::services::accounts::lookup;
use portcullis::services::audit;
use portcullis::storage::schema::one_time_links;
use rstest::rstest;

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

#[rstest]
#[tokio::test]
async fn an_account_is_created_with_its_password_or_not_at_all(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let program = Program::on(&server);
    let create = ["user", "create", "nadia", "--email", "nadia@example.com", "--role", "manager", "--password-stdin"];
    let links = async || {
        let count = |connection: &mut _| Ok(one_time_links::table.count().get_result::<i64>(connection)?);
        server.services.database.read(count).await.unwrap()
    };
    let (before, links_before) = (program.run(&["audit", "export"]).stdout, links().await);
    for weak in ["short", "nadia@example.com", "password1234"] {
        let refused = program.run_with_input(&create, weak);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
        assert!(refused.stderr.starts_with("portcullis: password: ") && !refused.stderr.contains(weak), "{refused:?}");
        assert!(lookup::find(&server.services.database, "nadia").await.is_err(), "the account was left behind");
    }
    assert_eq!(program.run(&["audit", "export"]).stdout, before);

    let created = program.run_with_input(&create, PASSWORD);
    assert_eq!(
        (created.code, created.stdout.as_str()),
        (Some(0), "Created nadia with this password.\n"),
        "{created:?}"
    );
    server.browser().sign_in("nadia").await;
    assert_eq!(links().await, links_before, "a link that nobody is shown");
    let nadia = lookup::find(&server.services.database, "nadia").await.unwrap();
    assert_eq!(nadia.role, Role::Manager);
    let events = audit::of_account(&server.services.database, nadia.id, None, 10).await.unwrap();
    let events: Vec<_> = events.iter().map(|event| (event.event, event.detail.as_deref())).collect();
    assert_eq!(events, [(Event::SignInSuccess, None), (Event::UserCreated, Some("role manager, with a password"))]);

    let taken = program.run_with_input(&create, PASSWORD);
    assert!(taken.code == Some(1) && taken.stderr.contains("username: The username"), "{taken:?}");
}

/// What a list prints as JSON.
fn array(program: &Program, arguments: &[&str]) -> Vec<serde_json::Value> {
    let outcome = program.run(&[arguments, &["--output", "json"]].concat());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

#[tokio::test]
async fn what_destroys_asks_first_and_without_a_terminal_takes_no_answer() {
    let program = Program::with_administrator();
    let _running = program.serve().await;
    let password = format!("{PASSWORD}\n");
    program.run_with_input(&["user", "create", "nadia", "--email", "n@example.com", "--password-stdin"], &password);
    let mut nadia = program.browser();
    nadia.sign_in("nadia").await;
    let session = array(&program, &["sessions", "list", "--user", "nadia"])[0]["id"].as_str().unwrap().to_owned();
    for command in [
        &["user", "suspend", "nadia"][..],
        &["user", "delete", "nadia"],
        &["sessions", "revoke", &session],
        &["sessions", "revoke-all", "--user", "nadia"],
        &["sessions", "revoke-all"],
        &["keys", "rotate"],
    ] {
        for answer in ["", "n\n", "y\n"] {
            let refused = program.run_with_input(command, answer);
            assert_eq!(refused.code, Some(2), "{command:?}: {refused:?}");
            assert!(refused.stderr.contains("--yes") && refused.stderr.lines().count() == 1, "{refused:?}");
        }
    }
    assert!(nadia.is_signed_in().await);
    // On a terminal it is a question, and only yes is yes.
    let on_terminal =
        |answer: &str| program.shell(&format!("echo {answer} | script -qec 'portcullis user suspend nadia' /dev/null"));
    let refused = on_terminal("n");
    assert!(refused.stdout.contains("Suspend nadia, and end all its sessions? [y/N]"), "{refused:?}");
    assert!(refused.code == Some(1) && nadia.is_signed_in().await, "{refused:?}");
    assert_eq!(on_terminal("y").code, Some(0));
    assert!(!nadia.is_signed_in().await);
}

#[tokio::test]
async fn lists_have_the_filters_of_the_pages_and_are_arrays_of_the_shapes() {
    let program = Program::with_administrator().set("lockout_threshold", "5");
    let _running = program.serve().await;
    for (name, role) in [("nadia", "manager"), ("nora", "user"), ("otto", "user")] {
        let (email, password) = (format!("{name}@example.com"), format!("{PASSWORD}\n"));
        let create = ["user", "create", name, "--email", &email, "--role", role, "--password-stdin", "--yes"];
        assert_eq!(program.run_with_input(&create, &password).code, Some(0));
    }
    assert_eq!(program.run(&["user", "suspend", "otto", "--yes"]).code, Some(0));
    for _ in 0..5 {
        program.browser().try_sign_in("nora", "wrong").await.expect(401);
    }
    for (arguments, expected) in [
        (&[][..], &[KEEPER, "nadia", "nora", "otto"][..]),
        (&["--q", "EXAMPLE"], &[KEEPER, "nadia", "nora", "otto"]),
        (&["--q", "n", "--role", "user"], &["nora"]),
        (&["--status", "suspended"], &["otto"]),
        (&["--status", "active"], &[KEEPER, "nadia", "nora"]),
        (&["--status", "locked"], &["nora"]),
        (&["--role", "manager"], &["nadia"]),
        (&["--sort", "-username"], &["otto", "nora", "nadia", KEEPER]),
        (&["--sort", "-created_at"], &["otto", "nora", "nadia", KEEPER]),
        (&["--q", "nobody"], &[]),
    ] {
        let command = [&["user", "list"], arguments].concat();
        let listed = array(&program, &command);
        let names: Vec<_> = listed.iter().map(|user| user["username"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{arguments:?}");
        let table = program.run(&command).stdout;
        assert_eq!(table.lines().count(), expected.len() + 1, "{table}");
        assert!(table.starts_with("USERNAME") && expected.iter().all(|name| table.contains(name)), "{table}");
    }

    let mut browser = program.browser();
    browser.sign_in("nadia").await;
    browser.clone().sign_out().await;
    let body = format!("{{\"username\":\"nadia\",\"password\":\"{PASSWORD}\",\"device_name\":\"robot\"}}");
    let headers: [&[u8]; 1] = [b"Content-Type: application/json"];
    let login = raw::request(b"POST", b"/api/v1/auth/login", &headers, body.as_bytes());
    assert_eq!(raw::exchange(program.address(), &login).await.status, 200);
    for (arguments, kinds) in [
        (&[][..], &["api"][..]),
        (&["--state", "ended"], &["browser"]),
        (&["--state", "all"], &["api", "browser"]),
        (&["--state", "all", "--kind", "browser"], &["browser"]),
        (&["--q", "rob"], &["api"]),
        (&["--q", "nadia@", "--kind", "api"], &["api"]),
        (&["--user", "nora"], &[]),
    ] {
        let listed = array(&program, &[&["sessions", "list"], arguments].concat());
        let found: Vec<_> = listed.iter().map(|session| session["kind"].as_str().unwrap()).collect();
        assert_eq!(found, kinds, "{arguments:?}");
        assert!(listed.iter().all(|session| session["user"]["username"] == "nadia"), "{arguments:?}");
    }
    for list in ["sessions", "user"] {
        let refused = program.run(&[list, "list", "--q", &"x".repeat(255)]);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{refused:?}");
        assert!(refused.stderr.contains("q: Search for at most 254 characters."), "{refused:?}");
    }
    let history = program.run(&["sessions", "list", "--state", "ended"]).stdout;
    assert!(history.contains("signed_out by nadia"), "{history}");
    let ended = &array(&program, &["sessions", "list", "--state", "ended"])[0];
    assert_eq!((&ended["ended_by"], &ended["end_reason"]), (&"nadia".into(), &"signed_out".into()));
}

#[tokio::test]
async fn ids_that_are_no_live_session_are_told_before_anything_ends() {
    let program = Program::with_administrator();
    let _running = program.serve().await;
    let mut people = Vec::new();
    for _ in 0..3 {
        let mut browser = program.browser();
        browser.sign_in(KEEPER).await;
        people.push(browser);
    }
    let listed = array(&program, &["sessions", "list"]);
    let ids: Vec<_> = listed.iter().map(|session| session["id"].as_str().unwrap()).collect();
    let unknown = "019a8c10-0000-7000-8000-000000000000";
    let refused = program.run(&["sessions", "revoke", ids[0], unknown, ids[1]]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains(unknown) && !refused.stderr.contains(ids[0]), "{refused:?}");
    for person in &mut people {
        assert!(person.is_signed_in().await);
    }
    let ended = program.run(&["sessions", "revoke", ids[0], ids[1], ids[0], "--yes"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "Ended 2 sessions.\n"), "{ended:?}");
    assert_eq!(array(&program, &["sessions", "list"]).len(), 1);
    let again = program.run(&["sessions", "revoke", ids[0], "--yes"]);
    assert!(again.code == Some(1) && again.stderr.contains("no live session"), "{again:?}");
    let audited = program.run(&["audit", "export", "--event", "session.revoked"]).stdout;
    let audited: Vec<serde_json::Value> = audited.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(audited.len() == 2 && audited.iter().all(|event| event["actor"]["kind"] == "cli"), "{audited:?}");
}

#[tokio::test]
async fn the_audit_log_is_exported_with_each_filter_and_tells_on_a_terminal_how_far_it_is() {
    let program = Program::with_administrator();
    let _running = program.serve().await;
    program.browser().register("nadia").await;
    program.browser().try_sign_in("nadia", "wrong").await.expect(401);
    program.browser().try_sign_in("nobody", "wrong").await.expect(401);
    assert_eq!(program.run(&["user", "suspend", "nadia", "--yes"]).code, Some(0));
    let now = portcullis::domain::Clock::default().now();
    let (tomorrow, now) = (now + chrono::TimeDelta::days(1), now.to_rfc3339());
    let tomorrow = tomorrow.format("%Y-%m-%d").to_string();
    for (filter, expected) in [
        (&[][..], 6),
        (&["--event", "sign_in.failed"], 2),
        (&["--outcome", "failure"], 2),
        (&["--user", "nadia"], 4),
        (&["--user", "nadia@example.com", "--outcome", "success"], 3),
        (&["--address", "127.0.0.1"], 4),
        (&["--address", "192.0.2.1"], 0),
        (&["--since", "2020-01-01", "--until", &tomorrow], 6),
        (&["--since", &tomorrow], 0),
        (&["--until", &now], 6),
    ] {
        let command = [&["audit", "export"], filter].concat();
        let lines = program.run(&command).stdout;
        assert_eq!(lines.lines().count(), expected, "{filter:?}: {lines}");
        assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{lines}");
        let csv = program.run(&[&command[..], &["--format", "csv"]].concat()).stdout;
        assert_eq!(csv.lines().count(), expected + 1, "{filter:?}: {csv}");
    }
    for wrong in [["--since", "yesterday"], ["--event", "sign_in"], ["--address", "10.0."], ["--outcome", "bad"]] {
        let refused = program.run(&["audit", "export", wrong[0], wrong[1]]);
        assert!(refused.code == Some(2) && refused.stderr.contains(wrong[0]), "{refused:?}");
    }
    let watched = program.shell("script -qec 'portcullis audit export > log.jsonl' /dev/null && wc -l < log.jsonl");
    assert!(watched.stdout.contains("6 lines") && watched.stdout.contains('6'), "{watched:?}");
    let unwatched = program.run(&["audit", "export"]);
    assert_eq!(unwatched.stderr, "");
    // Whoever has seen enough ends it.
    let enough = program.shell("set -o pipefail; portcullis audit export | head -n 1 | wc -l");
    assert_eq!((enough.code, enough.stdout.trim()), (Some(0), "1"), "{enough:?}");
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
    // A command's own options are not lost among the settings, which it takes all the same.
    for command in [&["user", "list"][..], &["user"], &["sessions", "revoke"], &["audit", "export"], &["healthcheck"]] {
        for help in ["--help", "-h"] {
            let help = program.run(&[command, &[help]].concat());
            assert_eq!(help.code, Some(0), "{help:?}");
            assert!(!help.stdout.contains("--listen ") && help.stdout.contains("`portcullis --help`"), "{help:?}");
            assert!(help.stdout.lines().count() < 45, "{command:?}: {}", help.stdout);
        }
    }
    let wrong = program.run(&["user", "list", "--data-dir", "/dev/null/x", "--listen", "nowhere"]);
    assert_eq!(wrong.code, Some(78), "{wrong:?}");
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
