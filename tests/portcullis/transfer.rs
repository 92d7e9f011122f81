//! Accounts that come from another system, or go to another installation: `user import` and `user export`.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis::domain::audit::Client;
use portcullis::domain::{Actor, Event, NameKey, Role, UserStatus};
use portcullis::services::administration::transfer::{self, Line};
use portcullis::services::administration::{stats, user_acts};
use portcullis::services::audit;
use portcullis::services::authentication::lockout;
use portcullis::storage::accounts::users::{self, StoredUser};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::program::{CommandOutput, mode};
use crate::support::spawn::command_line;
use crate::support::*;

/// Imports these lines; each is an object, or a text that is none.
fn import(program: &Program, lines: &[Value], flags: &[&str]) -> CommandOutput {
    let lines = lines.iter().map(|line| line.as_str().map_or_else(|| line.to_string(), str::to_owned) + "\n");
    program.run_with_input(&[&["user", "import", "-"], flags].concat(), &lines.collect::<String>())
}

fn person(name: &str) -> Value {
    json!({ "username": name, "email": format!("{name}@example.org"), "password_hash": BCRYPT })
}

/// Of [`PASSWORD`], by Python's bcrypt.
const BCRYPT: &str = "$2b$04$THQfhVQXQW0dDvsMe8FT1.VQBdCfg.XGG2nheJlOE3CpvM3AMW3Sm";
/// What the hashes of the server begin with.
const OURS: &str = "$argon2id$v=19$m=64,t=1,p=1$";

async fn stored(server: &TestServer, name: &str) -> StoredUser {
    let key = NameKey::of_typed(name).unwrap();
    let found = server.services.database.read(move |connection| users::by_name(connection, &key)).await.unwrap();
    found.unwrap_or_else(|| panic!("there is no {name}"))
}

/// How many there are.
async fn accounts(server: &TestServer) -> i64 {
    stats::all(&server.services, &command_line()).await.unwrap().users
}

async fn hash_of(server: &TestServer, name: &str) -> String {
    stored(server, name).await.password_hash.unwrap_or_default()
}

/// Everyone, as a program sees them.
fn listed(program: &Program) -> String {
    let list = program.run(&["user", "list", "--output", "json"]);
    assert_eq!(list.code, Some(0), "{list:?}");
    list.stdout
}

async fn log_in(server: &TestServer, name: &str, password: &str) -> Page {
    ApiClient::new(server).post("/api/v1/auth/login", &json!({ "username": name, "password": password })).await
}

// --- passwords --------------------------------------------------------------------------------------------------

#[rstest]
#[tokio::test]
async fn users_of_other_systems_sign_in_with_their_passwords_and_are_argon2id_after(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let lines = tools::foreign_users(PASSWORD);
    let names: Vec<_> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["username"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len(), 18);

    let imported = Program::on(&server).run_with_input(&["user", "import", "-"], &lines);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert_eq!(imported.stdout, "Created 18 accounts, skipped 0 lines.\n");
    // Those of Argon2 and scrypt.
    let costly = "Password hashes that take more memory to check than argon2_memory_kib: 7. They are checked one at a \
                  time, and replaced when their owners sign in.\n";
    assert_eq!(imported.stderr, costly);
    for (number, name) in names.iter().enumerate() {
        assert!(!hash_of(&server, name).await.starts_with(OURS), "{name}");
        // Wrong at the end, where what is cut off would not tell.
        let wrong = format!("{PASSWORD}!");
        let on_page = number.is_multiple_of(2);
        if on_page {
            server.browser().try_sign_in(name, &wrong).await.expect(401);
            server.browser().sign_in(name).await;
        } else {
            log_in(&server, &format!("{name}@example.org"), &wrong).await.expect(401);
            log_in(&server, &format!("{name}@example.org"), PASSWORD).await.expect(200);
        }
        let hash = hash_of(&server, name).await;
        assert!(hash.starts_with(OURS), "{name}: {hash}");
        log_in(&server, name, &wrong).await.expect(401);
        log_in(&server, name, PASSWORD).await.expect(200);
        server.browser().sign_in(name).await;
        assert_eq!(hash_of(&server, name).await, hash, "hashed once");
    }
}

#[tokio::test]
async fn guesses_at_hashes_that_take_much_memory_take_that_of_one_and_hold_up_nobody_else() {
    const EACH: u64 = 64;
    let program = Program::with_administrator().set("hash_concurrency", "8").set("lockout_threshold", "100");
    let hash = |number: u64| {
        let salt_and_hash = "MDEyMzQ1Njc4OWFiY2RlZg$N257wxEXrufvOY5coHT+lXKPhTBSNS7woMrryNK28gw";
        match number % 2 {
            0 => format!("$argon2id$v=19$m={},t=1,p=1${salt_and_hash}", EACH * 1024),
            _ => format!("$scrypt$ln=16,r=8,p=1${salt_and_hash}"),
        }
    };
    let lines: Vec<_> = (0..8)
        .map(|number| {
            let mut line = person(&format!("person{number}"));
            line["password_hash"] = hash(number).into();
            line
        })
        .collect();
    let running = program.serve().await;
    let imported = import(&program, &lines, &[]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert!(imported.stderr.contains("argon2_memory_kib: 8."), "{imported:?}");
    let before = running.peak_memory();

    let guess = async |number: usize| program.browser().try_sign_in(&format!("person{}", number % 8), "wrong").await;
    let mut flood = std::pin::pin!(join_all((0..12).map(guess)));
    let keeper = async {
        eventually("a guess is compared", Duration::from_secs(10), async || running.peak_memory() > before + EACH / 2)
            .await;
        program.browser().sign_in(KEEPER).await
    };
    tokio::select! {
        _ = &mut flood => panic!("all of them came first"),
        _ = keeper => {}
    }
    for page in flood.await {
        page.expect(401);
    }
    let more = running.peak_memory() - before;
    assert!((EACH / 2..EACH + 100).contains(&more), "{before} MiB, and {more} more");
}

#[rstest]
#[tokio::test]
async fn wrong_passwords_lock_an_imported_account_like_any_other(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::with(backend, &[("lockout_threshold", "5")]).await;
    assert_eq!(import(&Program::on(&server), &[person("nadia")], &[]).code, Some(0));
    for _ in 0..5 {
        server.browser().try_sign_in("nadia", NEW_PASSWORD).await.expect(401);
    }
    server.browser().try_sign_in("nadia", PASSWORD).await.expect(429);
    log_in(&server, "nadia@example.org", PASSWORD).await.expect(429);
    assert!(hash_of(&server, "nadia").await.starts_with("$2b$"));
    let nadia = server.id_of("nadia").await;
    lockout::unlock(&server.services, &command_line(), nadia, &Client::default()).await.unwrap();
    server.browser().sign_in("nadia").await;
}

#[tokio::test]
async fn who_is_suspended_or_has_no_password_does_not_sign_in() {
    let server = TestServer::start(Sqlite).await;
    let mut suspended = person("suspended");
    suspended["status"] = "suspended".into();
    let without = json!({ "username": "without", "email": "without@example.org" });
    let unusable = json!({ "username": "unusable", "email": "unusable@example.org", "password_hash": "!x7Gq0" });
    let imported = import(&Program::on(&server), &[suspended, without, unusable], &[]);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert_eq!(imported.stdout, "Created 3 accounts (2 without a password), skipped 0 lines.\n");
    assert_eq!(
        imported.stderr,
        "line 2: without has no password: portcullis user reset-link without\n\
         line 3: unusable has no password: portcullis user reset-link unusable\n"
    );
    for name in ["suspended", "without", "unusable"] {
        for password in [PASSWORD, "!x7Gq0"] {
            server.browser().try_sign_in(name, password).await.expect(401);
        }
    }
    let link = Program::on(&server).run(&["user", "reset-link", "without"]);
    let path = link.stdout.lines().find_map(|line| line.split_once("/reset/")).expect("a link").1;
    let reset = server.browser().submit(&format!("/reset/{path}"), &[("new_password", NEW_PASSWORD)]).await;
    reset.expect_redirect("/login");
    server.browser().try_sign_in("without", NEW_PASSWORD).await.expect_redirect("/account");
}

// --- lines ------------------------------------------------------------------------------------------------------

/// Lines of which three can be imported, and what is told of the others.
fn mixed_lines() -> (Vec<Value>, Vec<&'static str>) {
    let with = |name: &str, field: &str, value: &str| {
        let mut line = person(name);
        line[field] = value.into();
        line
    };
    let lines = vec![
        person("anna"),
        with("anna.2", "email", "ANNA@example.org"),
        person("ANNA"),
        person(KEEPER),
        "not json".into(),
        with("b", "email", "b"),
        with("berta", "is_staff", "true"),
        with("berta", "password_hash", "pbkdf2_sha256$1000$salt$cut"),
        with("berta", "password_hash", "md5$salt$900150983cd24fb0d6963f7d28e17f72"),
        with("berta", "password_hash", &BCRYPT.replace("$04$", "$20$")),
        with("berta", "role", "superuser"),
        person("System"),
        with("berta", "role", "admin"),
        with("carla", "created_at", "2019-05-04T03:02:01Z"),
    ];
    let told = vec![
        "line 2: skipped. email: Line 1 has it already.",
        "line 3: skipped. username: Line 1 has it already. email: Line 1 has it already.",
        "line 4: skipped. username: The username “keeper” is taken.",
        "line 5: skipped. This is not JSON.",
        "line 6: skipped. username: Use at least 3 characters. email: Write the e-mail as name@example.com.",
        "line 7: skipped. is_staff: There is no such field here. Leave it out.",
        "line 8: skipped. password_hash: This PBKDF2 hash is damaged: a part is missing or can't be read.",
        "line 9: skipped. password_hash: Only Argon2, bcrypt, scrypt and PBKDF2 are taken, as PHC strings or in Django's form.",
        "line 10: skipped. password_hash: Too costly to check at a sign-in: at most 2^14 rounds of bcrypt are taken.",
        "line 11: skipped. role: Write user, manager or admin.",
        "line 12: skipped. username: This name stands for the server itself, or for nobody. Choose another.",
        "To pass over what is not known here: --ignore is_staff",
    ];
    (lines, told)
}

#[rstest]
#[tokio::test]
async fn a_dry_run_tells_what_an_import_would_and_changes_nothing(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let program = Program::on(&server);
    let (lines, told) = mixed_lines();
    let audit = || program.run(&["audit", "export"]).stdout;
    let (users_before, audit_before) = (listed(&program), audit());

    let dry = import(&program, &lines, &["--dry-run"]);
    assert_eq!(dry.code, Some(1), "{dry:?}");
    assert_eq!(dry.stdout, "");
    assert_eq!((listed(&program), audit()), (users_before, audit_before), "a dry run changed something");

    let done = import(&program, &lines, &[]);
    assert_eq!(done.code, Some(1), "{done:?}");
    let expected = |words: &str| {
        let summary = format!("portcullis: {words} 3 accounts (1 administrator), skipped 11 lines.");
        told.iter().copied().chain([summary.as_str()]).collect::<Vec<_>>().join("\n") + "\n"
    };
    assert_eq!(dry.stderr, expected("Would create"));
    // The same lines for the same fields; who has a name already is in the database by then.
    let [username, email] = ["username: The username “ANNA” is taken.", "email: An account with this e-mail exists."];
    let found = expected("Created")
        .replace("username: Line 1 has it already.", username)
        .replace("email: Line 1 has it already.", email);
    assert_eq!(done.stderr, found);

    let anna = stored(&server, "anna").await.user;
    assert_eq!((anna.role, anna.status), (Role::User, UserStatus::Active));
    assert_eq!(stored(&server, "berta").await.user.role, Role::Admin);
    assert_eq!(stored(&server, "carla").await.user.created_at.to_rfc3339(), "2019-05-04T03:02:01+00:00");
    for (name, role) in [("anna", "role user"), ("berta", "role admin")] {
        let events = audit::of_account(&server.services.database, server.id_of(name).await, None, 10).await.unwrap();
        let [event] = &events[..] else { panic!("{name}: {events:?}") };
        assert_eq!(
            (event.event, &event.actor, event.detail.as_deref()),
            (Event::UserImported, &Actor::Cli, Some(role))
        );
    }
}

#[tokio::test]
async fn an_import_can_be_repeated_and_fields_be_passed_over() {
    let server = TestServer::start(Sqlite).await;
    let program = Program::on(&server);
    let names: Vec<_> = (0..450).map(|number| format!("person{number}")).collect();
    let mut lines: Vec<_> = names.iter().map(|name| person(name)).collect();
    for line in &mut lines {
        line["phone"] = "1".into();
        line["locked_until"] = Value::Null;
    }
    let ignore = ["--ignore", "phone,locked_until"];
    // As if it had been interrupted in its second transaction.
    let begun = import(&program, &lines[..230], &ignore);
    assert_eq!((begun.code, begun.stdout.as_str()), (Some(0), "Created 230 accounts, skipped 0 lines.\n"));
    // One that comes twice is the first one's, however far they are apart.
    lines.push(lines[440].clone());
    let ended = import(&program, &lines, &ignore);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("portcullis: Created 220 accounts, skipped 231 lines.\n"), "{}", ended.stderr);
    let twice = "line 451: skipped. username: The username “person440” is taken.";
    assert!(ended.stderr.contains(twice), "{}", ended.stderr);
    assert_eq!(accounts(&server).await, 451);
}

#[rstest]
#[tokio::test]
async fn who_registers_meanwhile_costs_an_import_that_line_and_no_other(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    const LINES: u64 = 40;
    let server = TestServer::start(backend).await;
    let line = |number: u64| Line { number, text: person(&format!("person{number}")).to_string().into_bytes() };
    let mut import = transfer::import(&server.services, &command_line(), false, Vec::new()).unwrap();
    let importing = async {
        let mut outcomes = Vec::new();
        // Many transactions, so that registrations come before, between and within them.
        for number in (1..=LINES).step_by(4) {
            outcomes.extend(import.lines((number..number + 4).map(line).collect()).await.unwrap());
        }
        outcomes
    };
    let registering = async {
        let mut statuses = Vec::new();
        for number in (1..=LINES).rev() {
            let name = format!("person{number}");
            let answer = server.browser().try_register(&name, &format!("{name}@example.org"), PASSWORD).await;
            statuses.push((number, answer.status));
        }
        statuses
    };
    let (outcomes, statuses) = tokio::join!(importing, registering);
    assert_eq!(outcomes.len() as u64, LINES);
    for (number, status) in statuses {
        let imported = matches!(outcomes[number as usize - 1].outcome, transfer::LineOutcome::Created { .. });
        assert_eq!(status, if imported { 409 } else { 303 }, "person{number} twice, or not at all");
        let hash = hash_of(&server, &format!("person{number}")).await;
        assert_eq!(hash == BCRYPT, imported);
    }
    assert_eq!(accounts(&server).await, LINES as i64 + 1);
}

#[tokio::test]
async fn what_cannot_be_read_says_so() {
    let program = Program::with_administrator();
    let missing = program.run(&["user", "import", "nowhere.jsonl"]);
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("nowhere.jsonl can't be read"), "{missing:?}");
    program.file("binary", "\u{1}\u{2}\n");
    let long = format!("{{\"username\": \"{}\"}}\n", "x".repeat(100_000));
    program.file("long", &format!("{long}{}\n", person("after")));
    assert!(program.run(&["user", "import", "binary"]).stderr.starts_with("line 1: skipped. This is not JSON.\n"));
    let long = program.run(&["user", "import", "long"]);
    assert!(long.stderr.starts_with("line 1: skipped. This line is longer than 65536 bytes.\n"), "{long:?}");
    assert!(long.stderr.ends_with("Created 1 account, skipped 1 line.\n"), "{long:?}");
}

// --- to another installation ------------------------------------------------------------------------------------

#[rstest]
#[tokio::test]
async fn an_export_moves_everyone_to_another_installation(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let old = TestServer::start(backend).await;
    old.create("nadia", Role::Manager).await;
    let gone = old.create_user("gone").await;
    user_acts::delete(&old.services, &command_line(), gone.id, &Client::default()).await.unwrap();
    let suspended = old.create_user("suspended").await;
    user_acts::suspend(&old.services, &command_line(), suspended.id, &Client::default()).await.unwrap();
    let program = Program::on(&old);
    assert_eq!(import(&program, &[person("imported")], &[]).code, Some(0));

    let exported = program.run(&["user", "export", "users.jsonl"]);
    assert_eq!((exported.code, exported.stdout.as_str()), (Some(0), "Exported 4 accounts to users.jsonl.\n"));
    assert!(exported.stderr.contains("exported with their password hashes"), "not logged: {exported:?}");
    let path = program.folder.join("users.jsonl");
    assert_eq!(mode(&path), 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(program.run(&["user", "export"]).stdout, text);
    let again = program.run(&["user", "export", "users.jsonl"]);
    assert!(again.code == Some(1) && again.stderr.contains("users.jsonl exists"), "{again:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "overwritten");

    let new = TestServer::without_administrator(stores::Stores::new(backend).await, &[]).await;
    let there = Program::on(&new);
    let imported = there.run_with_input(&["user", "import", "-"], &text);
    assert_eq!(imported.code, Some(0), "{imported:?}");
    assert_eq!(imported.stdout, "Created 4 accounts (1 administrator, 1 manager), skipped 0 lines.\n");
    assert_eq!(listed(&there), listed(&program));
    assert_eq!(there.run(&["user", "export"]).stdout, text);
    let sub = |answer: Page| answer.expect(200).json()["user"]["id"].clone();
    assert_eq!(sub(log_in(&new, "nadia", PASSWORD).await), sub(log_in(&old, "nadia", PASSWORD).await));
    new.signed_in("imported").await;
    new.signed_in(KEEPER).await;
    log_in(&new, "suspended", PASSWORD).await.expect(401);

    // An id is nobody else's, also after its account is gone.
    let taken = json!({ "id": gone.id, "username": "ghost", "email": "ghost@example.org" });
    let refused = import(&program, &[taken], &[]);
    assert!(refused.stderr.contains("id: An account has, or had, this id."), "{refused:?}");
}
