//! Whom a filter of the audit log finds, and what it can be narrowed to.

use chrono::TimeDelta;
use portcullis::services::administration::users::{self, UserChange};
use portcullis::services::{audit, maintenance};
use rstest::rstest;
use serde_json::json;

use crate::support::spawn::command_line;
use crate::support::*;

async fn rename(server: &TestServer, from: &str, to: &str) {
    let email = Some(format!("{to}@example.com"));
    let change = UserChange { username: Some(to.to_owned()), email, ..UserChange::default() };
    let id = server.id_of(from).await;
    users::update(&server.services, &command_line(), id, change, &Default::default()).await.unwrap();
}

/// The subjects that the page lists.
fn subjects(page: &Page) -> Vec<String> {
    page.texts("tbody td[data-label='Subject']")
}

#[rstest]
#[tokio::test]
async fn a_renamed_account_is_found_by_each_of_its_names_and_told_from_who_took_the_name(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let nadia = server.create_user("nadia").await.id;
    rename(&server, "nadia", "Nadia.K").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let program = server.program(KEEPER).await;
    let mut all = vec!["Nadia.K", "nadia", "nadia", "nadia"];
    for name in ["nadia", "NADIA", "nadia.k", &nadia.to_string()] {
        let page = keeper.get(&format!("/admin/audit?user={name}")).await.expect(200);
        assert_eq!(subjects(&page), all, "{name}");
        let hint = (name != "nadia.k").then_some("Events of Nadia.K.");
        assert_eq!(page.text_of("#user-hint").as_deref(), hint, "{name}");
        let list = program.get(&format!("/api/v1/audit?user={name}")).await.expect(200).json();
        assert_eq!(list["data"].as_array().unwrap().len(), all.len(), "{name}");
        let export = keeper.get(&format!("/admin/audit/export?format=jsonl&user={name}")).await.expect(200);
        assert_eq!(export.body.lines().count(), all.len(), "{name}");
    }

    // Somebody else of that name, and who was it then.
    let other = server.create_user("nadia").await.id;
    let page = keeper.get("/admin/audit?user=nadia").await.expect(200);
    all.splice(0..0, ["nadia", "nadia", "nadia"]);
    assert_eq!(subjects(&page), all);
    assert_eq!(page.text_of("#user-hint").unwrap(), "Events of 2 accounts that have or had this name.");
    let links = page.attributes("tbody td[data-label='Subject'] a", "href");
    for (link, id, expected) in [(&links[0], other, &all[..3]), (&links[6], nadia, &all[3..])] {
        assert_eq!(link, &format!("/admin/audit?user={id}"));
        assert_eq!(subjects(&keeper.get(link).await.expect(200)), expected);
    }
    let actor = page.attributes("tbody td[data-label='Actor'] a", "href").pop().unwrap();
    assert_eq!(actor, links[6], "who registered did it");

    // A name that is nobody's any more is known for as long as there are events of then.
    rename(&server, "nadia", "zoe").await;
    let named =
        async |name: &str| audit::accounts(&server.services.database, &command_line(), name).await.unwrap().len();
    assert_eq!((named("nadia").await, named("zoe").await, named("nobody").await), (2, 1, 0));
    server.clock.advance(TimeDelta::days(179));
    maintenance::sweep(&server.services).await.unwrap();
    assert_eq!(named("nadia").await, 2);
    server.clock.advance(TimeDelta::days(2));
    maintenance::sweep(&server.services).await.unwrap();
    assert_eq!((named("nadia").await, named("zoe").await), (0, 1));
}

#[tokio::test]
async fn the_page_and_the_command_line_say_that_nobody_ever_had_the_name() {
    let program = Program::with_administrator();
    for name in ["samuel", "sam"] {
        let outcome = program.run(&["user", "create", name, "--email", &format!("{name}@example.com"), "--yes"]);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
    assert_eq!(program.run(&["user", "delete", "sam", "--yes"]).code, Some(0));
    for user in ["typo", "typo@example.com", "01890a5d-ac96-774b-bcce-b302099a8057"] {
        let outcome = program.run(&["audit", "export", "--user", user]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""), "{user}");
        assert!(outcome.stderr.contains(user), "{}", outcome.stderr);
    }
    let outcome = program.run(&["audit", "export", "--user", "sam"]);
    assert_eq!((outcome.code, outcome.stdout.lines().count()), (Some(0), 2), "{}", outcome.stderr);

    let _running = program.serve().await;
    let mut keeper = program.browser();
    keeper.sign_in(KEEPER).await;
    let hint = async |keeper: &mut Browser, user: &str| {
        keeper.get(&format!("/admin/audit?user={user}")).await.expect(200).text_of("#user-hint")
    };
    assert_eq!(hint(&mut keeper, "typo").await.unwrap(), "No account has or had this name.");
    assert_eq!(hint(&mut keeper, "sam").await.unwrap(), "Events of sam, deleted.");
    assert_eq!(hint(&mut keeper, "samuel").await, None);
}

#[rstest]
#[tokio::test]
async fn all_that_a_request_did_is_found_by_its_id(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    for name in ["samuel", "nadia"] {
        server.create_user(name).await;
    }
    let ids = [server.program("samuel").await.session_id, server.program("nadia").await.session_id];
    let program = server.program(KEEPER).await;
    let answer = program.post("/api/v1/sessions/revoke", &json!({ "ids": ids })).await.expect(200);
    let request = answer.header("x-request-id").unwrap();

    let mut keeper = server.signed_in(KEEPER).await;
    let page = keeper.get("/admin/audit?event=session.revoked").await.expect(200);
    let end = format!("…{}", &request[request.len() - 4..]);
    assert_eq!(page.texts("tbody td[data-label='Request'] a"), [end.as_str(), &end]);
    let link = page.attributes("tbody td[data-label='Request'] a", "href").pop().unwrap();
    let page = keeper.get(&link).await.expect(200);
    assert_eq!(subjects(&page), ["nadia", "samuel"]);
    // The whole of it, where it can be copied from by touch and by keyboard.
    assert_eq!(page.value("request_id").as_deref(), Some(request));
    let upper = request.to_uppercase();
    for (query, found) in [
        (format!("request_id=%20{upper}%20"), &["nadia", "samuel"][..]),
        (format!("request_id={request}&user=samuel"), &["samuel"]),
        (format!("request_id={request}&user={KEEPER}&event=session.revoked"), &["nadia", "samuel"]),
        (format!("request_id={request}&user=nobody"), &[]),
        (format!("request_id={request}&outcome=failure"), &[]),
        ("request_id=01890a5d-ac96-774b-bcce-b302099a8057".to_owned(), &[]),
    ] {
        assert_eq!(subjects(&keeper.get(&format!("/admin/audit?{query}")).await.expect(200)), found, "{query}");
    }
    let export = keeper.get(&format!("/admin/audit/export?format=jsonl&request_id={request}")).await.expect(200);
    assert_eq!(export.body.lines().count(), 2);
    let list = program.get(&format!("/api/v1/audit?limit=1&request_id={request}")).await.expect(200).json();
    assert_eq!(list["data"][0]["subject"]["username"], "nadia");
    assert!(list["page"]["next_cursor"].is_string());

    let page = keeper.get(&format!("/admin/audit?request_id={}", &request[32..])).await.expect(422);
    assert!(page.field_error("request_id").unwrap().contains("whole id"));
    let refused = program.get("/api/v1/audit?request_id=x").await.expect(422).json();
    assert_eq!(refused["errors"][0]["field"], "request_id");
}

#[tokio::test]
async fn the_command_line_exports_what_a_request_did() {
    let program = Program::with_administrator();
    let request = {
        let _running = program.serve().await;
        program.browser().register("samuel").await.header("x-request-id").unwrap().to_owned()
    };
    let outcome = program.run(&["audit", "export", "--request-id", &request]);
    assert_eq!((outcome.code, outcome.stdout.lines().count()), (Some(0), 2), "{}", outcome.stderr);
    assert!(outcome.stdout.lines().all(|line| line.contains(&request)), "{}", outcome.stdout);
    let outcome = program.run(&["audit", "export", "--request-id", "c713"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("--request-id: "), "{}", outcome.stderr);
}

#[tokio::test]
async fn a_moment_stays_in_its_field_when_the_filter_is_sent_again() {
    let server = TestServer::start(Sqlite).await;
    let chromium = Chromium::open(&server.public_url, false).await;
    chromium.goto("/admin/audit").await;
    chromium.submit(&[("username", KEEPER), ("password", PASSWORD)], "/admin/audit").await;
    for (typed, sent) in [
        ("since=2026-11-20T14:00:00Z&until=2026-11-20", "since=2026-11-20T14%3A00&until=2026-11-21T00%3A00"),
        ("since=2026-11-20T14:00:30%2B02:00&until=", "since=2026-11-20T12%3A00%3A30&until="),
        ("since=2026-11-20T14:00:30.250&until=", "since=2026-11-20T14%3A00%3A30.25&until="),
    ] {
        chromium.goto(&format!("/admin/audit?{typed}")).await;
        let path = format!("/admin/audit?{sent}&event=&outcome=&address=&user=&request_id=");
        chromium.press(".filter button", &path).await;
        chromium.press(".filter button", &path).await;
    }
    assert_eq!(chromium.console_errors().await, Vec::<String>::new());
    chromium.quit().await;
}
