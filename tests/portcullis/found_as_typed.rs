//! Whatever form of a name a person types or sees finds the account.

use diesel::RunQueryDsl as _;
use portcullis::services::maintenance;
use reqwest::Url;
use rstest::rstest;

use crate::admin_users::create;
use crate::support::*;

/// Spellings of `x@müller.de`, which is kept as `x@xn--mller-kva.de`: as people write it, as pages show it, in other cases
/// and widths, decomposed as macOS does, and with the full stop of Japanese keyboards.
const ADDRESSES: &[&str] = &[
    "x@müller.de",
    "x@xn--mller-kva.de",
    "X@MÜLLER.DE",
    "x@XN--MLLER-KVA.de",
    "x@mu\u{308}ller.de",
    "ｘ＠müller.de",
    "x@müller。de",
];

/// Parts of them.
const PARTS: &[&str] = &["müll", "MÜLL", "Mu\u{308}ll", "@müller", "xn--mll", "kva.DE"];

/// `path` with a parameter, encoded as a browser's form encodes it.
fn asked(path: &str, name: &str, value: &str) -> String {
    let url = Url::parse_with_params(&format!("http://localhost{path}"), [(name, value)]).unwrap();
    format!("{}?{}", url.path(), url.query().unwrap())
}

/// How many a list of the API has.
async fn count(program: &ApiClient, path: &str) -> usize {
    program.get(path).await.expect(200).json()["data"].as_array().unwrap().len()
}

#[rstest]
#[tokio::test]
async fn an_address_is_found_on_pages_and_by_programs_however_its_domain_is_spelt(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    create(&server, "other", "x@muller.de", "Somebody Else").await;
    let mut browser = server.browser();
    browser.try_register("mueller", "x@Müller.de", PASSWORD).await.expect_redirect("/account");
    let mut keeper = server.signed_in(KEEPER).await;
    let program = server.program(KEEPER).await;
    for typed in ADDRESSES.iter().chain(PARTS) {
        let users = keeper.get(&asked("/admin/users", "q", typed)).await.expect(200);
        assert_eq!(users.texts("tbody th a"), ["mueller"], "{typed}");
        assert_eq!(count(&program, &asked("/api/v1/users", "q", typed)).await, 1, "users, {typed}");
        let sessions = keeper.get(&asked("/admin/sessions", "q", typed)).await.expect(200);
        assert_eq!(sessions.texts("tbody tr").len(), 1, "{typed}");
        assert_eq!(count(&program, &asked("/api/v1/sessions", "q", typed)).await, 1, "sessions, {typed}");
    }
    for typed in ADDRESSES {
        let events = keeper.get(&asked("/admin/audit", "user", typed)).await.expect(200);
        assert_eq!(events.text_of("#user-hint").as_deref(), Some("Events of mueller."), "{typed}");
        assert!(count(&program, &asked("/api/v1/audit", "user", typed)).await > 0, "{typed}");
    }
}

#[tokio::test]
async fn an_address_is_found_on_the_command_line_however_its_domain_is_spelt() {
    let program = Program::with_administrator();
    let running = program.serve().await;
    let created = program.run(&["user", "create", "mueller", "--email", "x@müller.de", "--yes"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    let list = |arguments: &[&str]| {
        let output = program.run(arguments);
        assert_eq!(output.code, Some(0), "{arguments:?}: {output:?}");
        output.stdout
    };
    for typed in ADDRESSES.iter().chain(PARTS) {
        let found = list(&["user", "list", "--q", typed]);
        assert!(found.contains("mueller") && found.trim().lines().count() == 2, "{typed}: {found}");
    }
    for typed in ADDRESSES {
        assert!(list(&["user", "show", typed]).contains("mueller"), "{typed}");
        list(&["sessions", "list", "--user", typed]);
        assert!(list(&["audit", "export", "--user", typed]).contains("mueller"), "{typed}");
    }
    drop(running);
}

#[rstest]
#[tokio::test]
async fn accounts_from_before_are_found_so_after_the_next_sweep(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    // More than one batch of them.
    for number in 0..60 {
        create(&server, &format!("user{number}"), &format!("x{number}@müller.de"), "Νίκος").await;
    }
    create(&server, "local", "xn--local@example.com", "").await;
    let earlier = "UPDATE users SET search_text = lower(username) || '\n' || email_key || '\nνίκος'";
    let database = &server.services.database;
    database.write(move |connection| Ok(diesel::sql_query(earlier).execute(connection)?)).await.unwrap();
    let program = server.program(KEEPER).await;
    // A page of the list has so many at most.
    let found = async |typed| count(&program, &asked("/api/v1/users", "q", typed)).await;
    assert_eq!((found("müller").await, found("xn--mller").await), (0, 50));
    for _ in 0..2 {
        maintenance::sweep(&server.services).await.unwrap();
        assert_eq!((found("müller.de").await, found("ΝΊΚΟΣ").await, found("νίκος").await), (50, 50, 50));
    }
    assert_eq!(found("x59@müller.de").await, 1);
}
