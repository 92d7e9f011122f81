//! The audit log, as managers and administrators search and export it.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::audit::Client;
use portcullis::domain::audit_list::{AuditFilter, TypedAuditFilter};
use portcullis::domain::{Actor, Error, Event, EventId, Outcome, User};
use portcullis::services::accounts::lookup;
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::{account, everyone};
use portcullis::services::{self, AuthContext};
use portcullis::storage::audit::{self, Entry};
use rstest::rstest;
use serde_json::json;

use crate::support::hostile::POLYGLOTS;
use crate::support::spawn::command_line;
use crate::support::*;

async fn search(server: &TestServer, filter: TypedAuditFilter) -> Vec<portcullis::domain::audit::AuditEvent> {
    let filter = filter.parse().unwrap();
    services::audit::search(&server.services, &command_line(), &filter, None, 200).await.unwrap().events
}

fn typed(pairs: &[(&str, &str)]) -> TypedAuditFilter {
    let text = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    TypedAuditFilter {
        since: text("since"),
        until: text("until"),
        event: text("event"),
        user: text("user"),
        address: text("address"),
        outcome: text("outcome"),
        request_id: text("request_id"),
    }
}

/// Events of one account, oldest first, written in bulk.
pub async fn seed(server: &TestServer, name: &str, count: usize, event: Event, address: &str) {
    let user = lookup::find(&server.services.database, name).await.unwrap();
    let (now, address) = (server.clock.now(), address.parse().ok());
    // What the server writes when it starts would wait for all of this.
    server.is_ready().await;
    let database = server.services.database.clone();
    let seeded = database.write(move |connection| {
        let client = Client { address, ..Client::default() };
        let actor = Actor::user(&user);
        for index in 0..count {
            let at = now - TimeDelta::seconds((count - index) as i64);
            audit::append(connection, &Entry::success(event, &actor, &user, &client), at)?;
        }
        Ok(())
    });
    seeded.await.unwrap();
}

#[rstest]
#[tokio::test]
async fn an_event_is_found_by_each_filter_and_by_all_of_them(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    server.stay_within_the_hour();
    let samuel = server.create_user("samuel").await;
    server.browser().try_sign_in("samuel", "wrong").await.expect(401);
    server.browser().try_sign_in("nobody-of-that-name", "wrong").await.expect(401);
    user_acts::suspend(&server.services, &command_line(), samuel.id, &Client::default()).await.unwrap();
    seed(&server, KEEPER, 3, Event::SignOut, "2001:db8::9").await;
    let today = server.clock.now().format("%Y-%m-%d").to_string();
    let tomorrow = (server.clock.now() + TimeDelta::days(1)).format("%Y-%m-%d").to_string();

    for (pairs, expected) in [
        (&[("event", "sign_in.failed")][..], 2),
        (&[("event", "sign_in.failed"), ("user", "SAMUEL")], 1),
        (&[("outcome", "failure")], 2),
        (&[("outcome", "failure"), ("event", "sign_out")], 0),
        (&[("user", "samuel@example.com"), ("event", "user.suspended")], 1),
        (&[("user", &samuel.id.to_string()), ("outcome", "failure")], 1),
        (&[("user", "nobody-of-that-name")], 0),
        (&[("address", "2001:DB8:0::9")], 3),
        (&[("address", "2001:db8::9"), ("event", "sign_out"), ("user", KEEPER), ("outcome", "success")], 3),
        (&[("address", "2001:db8::9"), ("event", "sign_in.failed")], 0),
        (&[("since", &tomorrow)], 0),
        (&[("since", &today), ("event", "user.suspended")], 1),
        (&[("until", "2020-01-01")], 0),
        (&[("until", &today), ("event", "user.suspended")], 1),
    ] {
        let found = search(&server, typed(pairs)).await;
        assert_eq!(found.len(), expected, "{pairs:?}: {found:#?}");
    }

    // Under its name also when the account is gone.
    user_acts::delete(&server.services, &command_line(), samuel.id, &Client::default()).await.unwrap();
    let found = search(&server, typed(&[("user", "samuel")])).await;
    assert_eq!(found[0].event, Event::UserDeleted);
    assert!(found.iter().any(|event| event.event == Event::UserRegistered), "{found:#?}");
}

#[rstest]
#[tokio::test]
async fn a_long_log_has_pages_without_gap_or_repeat_and_a_rare_event_is_found(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    server.create_user("samuel").await;
    seed(&server, "samuel", 21_000, Event::SignOut, "203.0.113.9").await;
    let every = |filter: AuditFilter| {
        let services = server.services.clone();
        async move {
            let (mut cursor, mut ids) = (None, Vec::new());
            loop {
                let page =
                    services::audit::search(&services, &command_line(), &filter, cursor.as_deref(), 200).await.unwrap();
                ids.extend(page.events.iter().map(|event| event.id));
                cursor = page.next;
                if cursor.is_none() {
                    break ids;
                }
            }
        }
    };
    for filter in [
        typed(&[("address", "203.0.113.9")]),
        typed(&[("user", "samuel"), ("event", "sign_out"), ("address", "203.0.113.9")]),
        typed(&[("event", "sign_out"), ("outcome", "success"), ("address", "203.0.113.9")]),
    ] {
        let ids = every(filter.parse().unwrap()).await;
        assert_eq!(ids.len(), 21_000);
        assert!(ids.is_sorted_by(|newer: &EventId, older| newer > older));
    }
    // Behind all of them, so that the first pages are empty.
    let rare = typed(&[("user", "samuel"), ("event", "user.registered")]).parse().unwrap();
    assert_eq!(every(rare).await.len(), 1);

    let page =
        services::audit::search(&server.services, &command_line(), &AuditFilter::default(), None, 5).await.unwrap();
    let forged =
        services::audit::search(&server.services, &command_line(), &AuditFilter::default(), Some("x"), 5).await;
    assert!(page.next.is_some() && matches!(forged, Err(Error::Invalid(_))));
    let other = typed(&[("event", "sign_out")]).parse().unwrap();
    let borrowed = services::audit::search(&server.services, &command_line(), &other, page.next.as_deref(), 5).await;
    assert!(matches!(borrowed, Err(Error::Invalid(_))), "a cursor of another list");
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_comes_back_with_what_is_wrong() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let page = keeper.get("/admin/audit?since=yesterday&address=10.0.&user=%3Cb%3E").await.expect(422);
    assert!(page.field_error("since").is_some() && page.field_error("address").is_some());
    assert_eq!(page.value("user").as_deref(), Some("<b>"));
    keeper.get("/admin/audit/export?format=csv&since=yesterday").await.expect(422);
    keeper.get("/admin/audit/export?format=xls").await.expect(422);
    keeper.get("/admin/audit?cursor=forged").await.expect(200);
    for hostile in ["/admin/audit?limit=1e9&sort=;drop", "/admin/sessions?limit=-1&sort=;drop&user=%27%20OR%201=1"] {
        keeper.get(hostile).await.expect(200);
    }
}

#[tokio::test]
async fn each_security_act_is_exactly_one_event_with_who_what_when_from_where_and_which_request() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let samuel = server.create_user("samuel").await;
    // One session to be ended alone, one to be ended with all.
    let mut victims = [server.signed_in("samuel").await, server.signed_in("samuel").await];
    let of_samuel = typed(&[("user", "samuel")]).parse().unwrap();
    let mut seen: BTreeSet<EventId> = BTreeSet::new();
    let mut new = async || {
        let page = services::audit::search(&server.services, &command_line(), &of_samuel, None, 200).await.unwrap();
        page.events.into_iter().filter(|event| seen.insert(event.id)).collect::<Vec<_>>()
    };
    new().await;
    let own = |act: &str| format!("/admin/users/{}/{act}", samuel.id);
    let session = account::live(&server.services, samuel.id, 1).await.unwrap().0[0].id;
    let acts = [
        (format!("/admin/sessions/{session}/end"), Event::SessionRevoked, Some(session)),
        (own("end-sessions"), Event::SessionRevokedAll, None),
        (own("suspend"), Event::UserSuspended, None),
        (own("reinstate"), Event::UserReinstated, None),
        (own("reset-link"), Event::PasswordResetLink, None),
        (own("delete"), Event::UserDeleted, None),
    ];
    for (path, event, session) in acts {
        let answer = keeper.submit(&path, &[]).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.excerpt());
        let written = new().await;
        assert_eq!(written.len(), 1, "{path}: {written:#?}");
        let written = &written[0];
        assert_eq!((written.event, written.outcome), (event, Outcome::Success));
        assert_eq!(written.actor.label(), KEEPER);
        assert_eq!(written.subject.as_ref().map(|(id, name)| (*id, name.as_str())), Some((samuel.id, "samuel")));
        assert_eq!(written.address.as_deref(), Some("127.0.0.1"));
        assert_eq!(written.device.as_deref(), Some("Firefox on Linux"));
        assert_eq!(written.request_id.as_deref(), answer.header("x-request-id"));
        assert!(server.clock.now() - written.at < TimeDelta::seconds(10));
        if session.is_some() {
            assert_eq!(written.session_id, session);
        }
    }
    for victim in &mut victims {
        assert!(!victim.is_signed_in().await);
    }
}

/// Signs `samuel` in with a program on a device of this name.
async fn program_on(server: &TestServer, device: &str) -> ApiClient {
    let mut program = ApiClient::new(server);
    let login = json!({ "username": "samuel", "password": PASSWORD, "device_name": device });
    let answer = program.post("/api/v1/auth/login", &login).await.expect(200);
    program.keep(&answer);
    program
}

#[rstest]
#[tokio::test]
async fn the_end_of_a_session_tells_which_one_it_was(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut samuel = server.newcomer("samuel").await;
    let mut keeper = server.signed_in(KEEPER).await;
    keeper.user_agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned();
    let in_browser = samuel.clone().cookie().unwrap();
    let in_browser = in_browser.split('.').nth(1).unwrap();
    let longest = "n".repeat(100);
    let [own, one, chosen] = [
        program_on(&server, "sync on nas-2").await,
        program_on(&server, "backup").await,
        program_on(&server, &longest).await,
    ];

    samuel.end_session(&own.session_id).await.expect(303);
    keeper.submit(&format!("/admin/sessions/{}/end", one.session_id), &[]).await.expect(303);
    let selected = json!({ "ids": [chosen.session_id] });
    server.program(KEEPER).await.post("/api/v1/sessions/revoke", &selected).await.expect(200);
    keeper.submit(&format!("/admin/sessions/{in_browser}/end"), &[]).await.expect(303);

    let page = keeper.get("/admin/audit?event=session.revoked").await.expect(200);
    let expected = [
        "browser session from 127.0.0.1, Firefox on Linux".to_owned(),
        format!("API session from 127.0.0.1, “{longest}”"),
        "API session from 127.0.0.1, “backup”".to_owned(),
        "API session from 127.0.0.1, “sync on nas-2”".to_owned(),
    ];
    assert_eq!(page.texts("tbody th .sub"), expected);
    // Beside it, whence the act came.
    assert_eq!(page.texts("tbody td[data-label='From'] .sub")[0], "Firefox on Windows");
}

#[tokio::test]
async fn what_strangers_write_is_no_formula_in_an_export() {
    let server = TestServer::start(Sqlite).await;
    let samuel = server.create_user("samuel").await;
    // As a device that a program names itself may be, and as detail.
    let formulas = [("=1+1", "+1+1"), ("@SUM(A1)", "-1\r\n=1"), ("\u{a0}=1", "a;=1")];
    let hostile: Vec<_> = POLYGLOTS.into_iter().map(|text| (text, text)).chain(formulas).collect();
    for &(device, detail) in &hostile {
        audit_by(&server, &samuel, device, detail).await;
    }
    // As a device that is told of when its session is ended.
    let devices: Vec<_> = POLYGLOTS.into_iter().chain(["=1+1", "”, =1+1, “", "x;@SUM(A1)"]).collect();
    for device in &devices {
        let session = program_on(&server, device).await.session_id.parse().unwrap();
        everyone::end_one(&server.services, &command_line(), session, &Client::default()).await.unwrap();
    }
    let mut keeper = server.signed_in(KEEPER).await;
    let csv = keeper.get("/admin/audit/export?format=csv").await.expect(200);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    let disposition = csv.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment; filename=\"audit-") && disposition.ends_with(".csv\""));
    let records = parse_csv(&csv.body);
    assert!(records.len() > 5 && records.iter().all(|record| record.len() == 14));
    // Whichever separator a spreadsheet takes.
    for cell in records.iter().flatten().flat_map(|cell| cell.split([',', ';', '\t', '\r', '\n'])) {
        assert!(!cell.trim_start().starts_with(['=', '+', '-', '@']), "{cell}");
    }
    let device = records.iter().map(|record| record[11].as_str()).find(|device| device.contains("SUM"));
    assert_eq!(device, Some("'@SUM(A1)"));

    let jsonl = keeper.get("/admin/audit/export?format=jsonl&event=user.updated").await.expect(200);
    assert_eq!(jsonl.header("content-type"), Some("application/jsonl"));
    let lines: Vec<serde_json::Value> =
        jsonl.body.lines().map(|line| serde_json::from_str(line).expect("JSON on each line")).collect();
    assert_eq!(lines.len(), hostile.len());
    for (device, detail) in hostile {
        assert!(lines.iter().any(|line| line["device"] == device && line["detail"] == detail), "{device}: {lines:#?}");
    }
    let jsonl = keeper.get("/admin/audit/export?format=jsonl&event=session.revoked").await.expect(200);
    let details: Vec<serde_json::Value> = jsonl
        .body
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["detail"].take())
        .collect();
    let told: Vec<_> = devices.iter().rev().map(|device| format!("API session from 127.0.0.1, “{device}”")).collect();
    assert_eq!(details, told);
}

/// An event of `user`'s, with words that no page would take.
pub async fn audit_by(server: &TestServer, user: &User, device: &str, detail: &str) {
    let (user, client) = (user.clone(), Client { device: Some(device.to_owned()), ..Client::default() });
    let (now, detail) = (server.clock.now(), detail.to_owned());
    let append = server.services.database.write(move |connection| {
        let actor = Actor::user(&user);
        audit::append(
            connection,
            &Entry::success(Event::UserUpdated, &actor, &user, &client).detail(detail.clone()),
            now,
        )
    });
    append.await.unwrap();
}

/// RFC 4180, every cell in quotes.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut records, mut record, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (quoted, character) {
            (true, '"') if characters.peek() == Some(&'"') => cell.push(characters.next().unwrap()),
            (_, '"') => quoted = !quoted,
            (false, ',') => record.push(std::mem::take(&mut cell)),
            (false, '\r') => {}
            (false, '\n') => {
                record.push(std::mem::take(&mut cell));
                records.push(std::mem::take(&mut record));
            }
            (_, other) => cell.push(other),
        }
    }
    assert!(!quoted && cell.is_empty());
    records
}

#[rstest]
#[tokio::test]
async fn an_export_has_every_event_of_the_filter_newest_first(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    server.create_user("samuel").await;
    seed(&server, "samuel", 1_750, Event::SignOut, "203.0.113.9").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let csv = keeper.get("/admin/audit/export?format=csv&address=203.0.113.9").await.expect(200);
    let records = parse_csv(&csv.body);
    assert_eq!(records.len(), 1_751);
    assert_eq!(records[0][..4], ["id", "at", "event", "outcome"]);
    assert!(records[1..].is_sorted_by(|newer, older| newer[0] > older[0]));

    let user = lookup::find(&server.services.database, "samuel").await.unwrap();
    let refused = services::audit::export(&server.services, &AuthContext::of(&user), AuditFilter::default());
    assert!(matches!(refused.map(drop), Err(Error::Forbidden)));
}

#[tokio::test]
async fn the_command_line_exports_what_the_filter_finds() {
    let program = Program::with_administrator();
    let outcome = program.run(&["user", "create", "samuel", "--email", "samuel@example.com", "--yes"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let outcome = program.run(&["audit", "export", "--format", "csv", "--event", "user.created", "--user", "samuel"]);
    let records = parse_csv(&outcome.stdout);
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(records[1][8], "samuel");
    let outcome = program.run(&["audit", "export", "--since", "2020-01-01"]);
    assert!(outcome.stdout.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    let outcome = program.run(&["audit", "export", "--since", "yesterday"]);
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("--since"), "{}", outcome.stderr);
}

#[tokio::test]
async fn the_log_is_filtered_and_exported_in_chromium_without_scripts() {
    let server = TestServer::start(Sqlite).await;
    server.newcomer("samuel").await;
    let chromium = Chromium::open(&server.public_url, false).await;
    chromium.goto("/admin/audit").await;
    chromium.submit(&[("username", KEEPER), ("password", PASSWORD)], "/admin/audit").await;
    chromium.fill("user", "samuel").await;
    chromium.choose("event", "sign_in.success").await;
    let filtered = "/admin/audit?since=&until=&event=sign_in.success&outcome=&address=&user=samuel&request_id=";
    chromium.press(".filter button", filtered).await;
    assert_eq!(chromium.count("tbody tr").await, 2, "{}", chromium.text().await);
    let export = chromium.attribute(".head .actions a", "href").await;
    assert_eq!(export, "/admin/audit/export?event=sign_in.success&user=samuel&format=csv");
    // A headless browser keeps no downloads: what it would get is asked for with its link.
    let mut keeper = server.signed_in(KEEPER).await;
    assert_eq!(parse_csv(&keeper.get(&export).await.expect(200).body).len(), 3);
    assert_eq!(chromium.console_errors().await, Vec::<String>::new());
    chromium.quit().await;
}
