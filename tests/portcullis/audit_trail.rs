//! Every security act is one row of the audit log, and neither it nor the log tells a secret.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::audit::{AuditEvent, Client};
use portcullis::domain::audit_list::AuditFilter;
use portcullis::domain::{Event, EventId, Outcome, Role};
use portcullis::services::accounts::{links, passwords};
use portcullis::services::administration::user_acts;
use portcullis::services::audit;
use portcullis::services::sessions::{account, signing_keys};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;

/// Shown where its act is.
const ELSEWHERE: [&str; 1] = ["user.imported"];

/// What a row has to say.
#[derive(Clone, Copy)]
struct Row<'a> {
    event: Event,
    outcome: Outcome,
    /// Who did it: a username or a kind.
    actor: &'a str,
    subject: Option<&'a str>,
    /// Text that holds the session's id.
    session: Option<&'a str>,
}

fn row<'a>(event: Event, actor: &'a str, subject: impl Into<Option<&'a str>>) -> Row<'a> {
    Row { event, outcome: Outcome::Success, actor, subject: subject.into(), session: None }
}

impl<'a> Row<'a> {
    fn failed(self) -> Self {
        Self { outcome: Outcome::Failure, ..self }
    }

    fn of(self, session: &'a str) -> Self {
        Self { session: Some(session), ..self }
    }
}

/// The log as it was looked at last.
struct Trail<'a> {
    server: &'a TestServer,
    seen: BTreeSet<EventId>,
    shown: BTreeSet<&'static str>,
}

impl<'a> Trail<'a> {
    fn new(server: &'a TestServer) -> Self {
        Self { server, seen: BTreeSet::new(), shown: BTreeSet::new() }
    }

    /// What was written since the last look, oldest first.
    async fn new_rows(&mut self) -> Vec<AuditEvent> {
        let filter = AuditFilter::default();
        let page = audit::search(&self.server.services, &command_line(), &filter, None, 200).await.unwrap();
        let mut rows: Vec<_> = page.events.into_iter().filter(|event| self.seen.insert(event.id)).collect();
        rows.reverse();
        rows
    }

    /// Overlooks what was done to prepare the next act.
    async fn forget(&mut self) {
        self.new_rows().await;
    }

    /// That the request with this answer wrote these rows and no others.
    #[track_caller]
    fn wrote(&mut self, answer: &Page, expected: &[Row<'_>]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let request_id = answer.header("x-request-id").expect("a request id").to_owned();
        let what = format!("{caller}: {} {}", answer.path, answer.status);
        async move {
            let rows = self.new_rows().await;
            self.compare(&rows, expected, &what);
            for row in &rows {
                assert_eq!(row.address.as_deref(), Some("127.0.0.1"), "{what}");
                assert!(row.device.as_deref().is_some_and(|device| !device.is_empty()), "{what}: {row:?}");
                assert_eq!(row.request_id.as_deref(), Some(request_id.as_str()), "{what}");
            }
        }
    }

    /// The same of an act of the command line or of the server itself, which come from no address.
    async fn wrote_here(&mut self, expected: &[Row<'_>]) {
        let rows = self.new_rows().await;
        self.compare(&rows, expected, "on the command line");
        for row in &rows {
            assert_eq!((&row.address, &row.device, &row.request_id), (&None, &None, &None), "{row:?}");
        }
    }

    fn compare(&mut self, rows: &[AuditEvent], expected: &[Row<'_>], what: &str) {
        assert_eq!(rows.len(), expected.len(), "{what}: {rows:#?}");
        for (row, expected) in rows.iter().zip(expected) {
            let subject = row.subject.as_ref().map(|(_, name)| name.as_str());
            let found = (row.event, row.outcome, row.actor.label(), subject);
            assert_eq!(found, (expected.event, expected.outcome, expected.actor, expected.subject), "{what}");
            let session = row.session_id.map(|id| id.to_string());
            assert_eq!(session.is_some(), expected.session.is_some(), "{what}: {row:?}");
            assert!(session.is_none_or(|id| expected.session.unwrap().contains(&id)), "{what}: {row:?}");
            assert!(self.server.clock.now() - row.at < TimeDelta::seconds(30), "{what}: {row:?}");
            self.shown.insert(row.event.as_str());
        }
    }
}

#[rstest]
#[tokio::test]
async fn every_event_of_the_contract_is_one_row_that_says_who_did_what_to_whom_and_from_where(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    use Event::*;
    let settings = [("lockout_threshold", "3")];
    let server = TestServer::without_administrator(Stores::new(backend).await, &settings).await;
    let mut trail = Trail::new(&server);

    // The first administrator.
    let link = links::issue_setup(&server.services).await.unwrap();
    let mut keeper = server.browser();
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    let answer = keeper.submit(link.url.strip_prefix(&server.public_url).unwrap(), &fields).await.expect(303);
    let here = keeper.cookie().unwrap();
    trail.wrote(&answer, &[row(SetupCompleted, KEEPER, KEEPER), row(SignInSuccess, KEEPER, KEEPER).of(&here)]).await;

    // Someone who comes, goes and comes back, and mistypes.
    let mut samuel = server.browser();
    let answer = samuel.register("samuel").await;
    let first = samuel.cookie().unwrap();
    let registered = [row(UserRegistered, "samuel", "samuel"), row(SignInSuccess, "samuel", "samuel").of(&first)];
    trail.wrote(&answer, &registered).await;
    let answer = samuel.sign_out().await;
    trail.wrote(&answer, &[row(SignOut, "samuel", "samuel").of(&first)]).await;
    let answer = samuel.sign_in("samuel").await;
    let session = samuel.cookie().unwrap();
    trail.wrote(&answer, &[row(SignInSuccess, "samuel", "samuel").of(&session)]).await;
    let answer = server.browser().try_sign_in("samuel", "wrong").await;
    trail.wrote(&answer, &[row(SignInFailed, "anonymous", "samuel").failed()]).await;
    let answer = server.browser().try_sign_in("a-password-in-the-wrong-field", "wrong").await;
    trail.wrote(&answer, &[row(SignInFailed, "anonymous", None).failed()]).await;
    let answer = samuel.submit("/confirm", &[("password", "wrong")]).await;
    trail.wrote(&answer, &[row(SignInFailed, "samuel", "samuel").failed().of(&session)]).await;
    let answer = server.browser().try_sign_in("samuel", "wrong").await;
    let failed = row(SignInFailed, "anonymous", "samuel").failed();
    trail.wrote(&answer, &[failed, row(SignInLocked, "anonymous", "samuel").failed()]).await;
    let answer = server.browser().try_sign_in("samuel", PASSWORD).await.expect(429);
    trail.wrote(&answer, &[]).await;

    // A manager's help.
    let id = server.id_of("samuel").await;
    let page = format!("/admin/users/{id}");
    let form = keeper.get(&page).await.form(&format!("{page}/unlock"));
    let answer = keeper.submit_form(form, &[]).await.expect(303);
    trail.wrote(&answer, &[row(UserUnlocked, KEEPER, "samuel")]).await;

    // What people do to their own account.
    let answer = samuel.submit("/account/profile", &[("name", "Samuel")]).await.expect(303);
    trail.wrote(&answer, &[row(UserUpdated, "samuel", "samuel")]).await;
    let answer = samuel.submit("/account/profile", &[("name", "Samuel")]).await.expect(303);
    trail.wrote(&answer, &[]).await;
    server.signed_in("samuel").await;
    trail.forget().await;
    let other = samuel.other_sessions().await.remove(0).id;
    let answer = samuel.end_session(&other).await.expect(303);
    trail.wrote(&answer, &[row(SessionRevoked, "samuel", "samuel").of(&other)]).await;
    let form = samuel.get("/account/sessions").await.forms();
    if let Some(form) = form.into_iter().find(|form| form.action.ends_with("end-others")) {
        let answer = samuel.submit_form(form, &[]).await.expect(303);
        trail.wrote(&answer, &[row(SessionRevokedAll, "samuel", "samuel").of(&session)]).await;
    }
    let answer = samuel.change_password().await;
    trail.wrote(&answer, &[row(PasswordChanged, "samuel", "samuel").of(&session)]).await;

    // A program.
    server.create_user("pia").await;
    trail.forget().await;
    let nobody = ApiClient::new(&server);
    let login = json!({ "username": "pia", "password": PASSWORD, "device_name": "robot" });
    let answer = nobody.post("/api/v1/auth/login", &login).await.expect(200);
    let mut program = nobody.clone();
    program.keep(&answer);
    let session = program.session_id.clone();
    trail.wrote(&answer, &[row(SignInSuccess, "pia", "pia").of(&session)]).await;
    let answer = program.post("/api/v1/auth/confirm", &json!({ "password": "wrong" })).await.expect(401);
    trail.wrote(&answer, &[row(SignInFailed, "pia", "pia").failed().of(&session)]).await;
    let stolen = program.refresh_token.clone();
    let answer = program.refresh().await.expect(200);
    trail.wrote(&answer, &[]).await;
    program.refresh().await.expect(200);
    let reused = json!({ "refresh_token": stolen });
    let answer = nobody.post("/api/v1/auth/refresh", &reused).await.expect(401);
    trail.wrote(&answer, &[row(TokenReuseDetected, "system", "pia").failed().of(&session)]).await;
    let answer = nobody.post("/api/v1/auth/refresh", &reused).await.expect(401);
    trail.wrote(&answer, &[]).await;
    let mut program = server.program("pia").await;
    let session = program.session_id.clone();
    trail.forget().await;
    let answer = program.form("/oauth/revoke", &[("token", program.refresh_token.as_deref().unwrap())]).await;
    trail.wrote(&answer, &[row(TokenRevoked, "pia", "pia").of(&session)]).await;
    program.expect_dead().await;
    let program = server.program("pia").await;
    trail.forget().await;
    let answer = program.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    trail.wrote(&answer, &[row(SignOut, "pia", "pia").of(&program.session_id)]).await;

    // What administrators do.
    let new = [("username", "nora"), ("email", "nora@example.com")];
    let answer = keeper.submit("/admin/users/new", &new).await.expect(303);
    trail.wrote(&answer, &[row(UserCreated, KEEPER, "nora")]).await;
    let page = format!("/admin/users/{}", server.id_of("nora").await);
    let answer = keeper.submit(&page, &[("username", "Nora.N")]).await.expect(303);
    trail.wrote(&answer, &[row(UserUpdated, KEEPER, "Nora.N")]).await;
    let answer = keeper.submit(&format!("{page}/role"), &[("role", "manager")]).await.expect(303);
    trail.wrote(&answer, &[row(UserRoleChanged, KEEPER, "Nora.N")]).await;
    let answer = keeper.submit(&format!("{page}/reset-link"), &[]).await.expect(303);
    trail.wrote(&answer, &[row(PasswordResetLink, KEEPER, "Nora.N")]).await;
    let link = keeper.get(&page).await.text_of("code[data-copy]").unwrap();
    let link = link.strip_prefix(&server.public_url).unwrap();
    let answer = server.browser().submit(link, &[("new_password", PASSWORD)]).await.expect(303);
    trail.wrote(&answer, &[row(PasswordChanged, "Nora.N", "Nora.N")]).await;
    let session = server.signed_in("Nora.N").await.cookie().unwrap();
    trail.forget().await;
    let sessions = account::live(&server.services, server.id_of("nora.n").await, 1).await.unwrap().0;
    let answer = keeper.submit(&format!("/admin/sessions/{}/end", sessions[0].id), &[]).await.expect(303);
    trail.wrote(&answer, &[row(SessionRevoked, KEEPER, "Nora.N").of(&session)]).await;
    server.signed_in("Nora.N").await;
    trail.forget().await;
    for (act, event) in [
        ("end-sessions", SessionRevokedAll),
        ("suspend", UserSuspended),
        ("reinstate", UserReinstated),
        ("delete", UserDeleted),
    ] {
        let answer = keeper.submit(&format!("{page}/{act}"), &[]).await.expect(303);
        trail.wrote(&answer, &[row(event, KEEPER, "Nora.N")]).await;
    }
    let answer = keeper.submit("/admin/keys/rotate", &[]).await.expect(303);
    trail.wrote(&answer, &[row(KeyRotated, KEEPER, None)]).await;
    let all = keeper.get("/admin/sessions/end?all=1").await.form("/admin/sessions/end");
    let answer = keeper.submit_form(all, &[]).await.expect(303);
    trail.wrote(&answer, &[row(SessionRevokedAll, KEEPER, None).of(&keeper.cookie().unwrap())]).await;

    // What is refused is not done, and not written.
    for path in ["/admin/users/new", "/admin/keys/rotate"] {
        let answer = keeper.post(path, &[("csrf_token", "x")]).await.expect(403);
        trail.wrote(&answer, &[]).await;
    }
    let answer = keeper.submit(&format!("/admin/users/{}/delete", server.id_of(KEEPER).await), &[]).await.expect(409);
    trail.wrote(&answer, &[]).await;

    // The command line, and the server by itself.
    let (services, cli, nowhere) = (&server.services, command_line(), Client::default());
    user_acts::set_role(services, &cli, id, Role::Manager, &nowhere).await.unwrap();
    passwords::set(services, &cli, id, &PASSWORD.into(), &nowhere).await.unwrap();
    let expected = [row(UserRoleChanged, "cli", "samuel"), row(PasswordChanged, "cli", "samuel")];
    trail.wrote_here(&expected).await;
    server.clock.advance(TimeDelta::days(91));
    signing_keys::rotate_when_due(services).await.unwrap();
    trail.wrote_here(&[row(KeyRotated, "system", None)]).await;

    let all: BTreeSet<_> = Event::ALL.iter().map(|event| event.as_str()).collect();
    let missing: Vec<_> = all.difference(&trail.shown).filter(|event| !ELSEWHERE.contains(event)).collect();
    assert!(missing.is_empty(), "events without an act here: {missing:?}");
}

/// The log at its most talkative, the audit log and both its exports.
#[tokio::test]
async fn no_secret_is_in_the_log_or_in_the_audit_log() {
    let program = Program::with_administrator().set("log_format", "json").set("log_level", "trace");
    let mut running = program.serve().await;
    let mut secrets = vec![PASSWORD.to_owned(), NEW_PASSWORD.to_owned()];
    let typed = ["tulip in the wrong field", "tulip-in-the-wrong-field", "tulip@wrong.example"];

    let mut samuel = program.browser();
    samuel.register("samuel").await;
    secrets.extend(samuel.cookie());
    secrets.extend(samuel.jar.get("portcullis-device").map(str::to_owned));
    secrets.extend(samuel.get("/account").await.csrf_token());
    for name in typed.iter().copied().chain(["samuel"]) {
        for password in ["orchid in vain", PASSWORD] {
            let fields = [("username", name), ("password", password)];
            program.browser().post(&format!("/login?next=/account&password={NEW_PASSWORD}"), &fields).await;
            let body = json!({ "username": name, "password": password, "refresh_cookie": true });
            let answer = post(&program, "/api/v1/auth/login", &body.to_string()).await;
            let token = serde_json::from_str::<Value>(&answer.body).unwrap()["access_token"].clone();
            secrets.extend(token.as_str().map(str::to_owned));
            secrets.extend(answer.set_cookies().into_iter().map(|cookie| cookie.value));
        }
    }
    samuel.submit("/confirm", &[("password", "orchid in vain")]).await;
    samuel.submit("/confirm", &[("password", PASSWORD)]).await.expect(303);
    secrets.extend(samuel.cookie());
    samuel.change_password().await;
    secrets.extend(samuel.cookie());
    let login = json!({ "username": "samuel", "password": NEW_PASSWORD }).to_string();
    let tokens = post(&program, "/api/v1/auth/login", &login).await;
    let tokens: Value = serde_json::from_str(&tokens.body).unwrap();
    let text = |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned();
    let bearer = format!("Authorization: Bearer {}", text("access_token"));
    raw::get(program.address(), b"/api/v1/me", &[bearer.as_bytes()]).await;
    for _ in 0..2 {
        let refresh = json!({ "refresh_token": text("refresh_token") }).to_string();
        post(&program, "/api/v1/auth/refresh", &refresh).await;
    }
    let bad = format!("Authorization: Bearer {}x", text("access_token"));
    raw::get(program.address(), b"/api/v1/me", &[bad.as_bytes()]).await;
    secrets.extend([text("access_token"), text("refresh_token")]);
    let link = program.run(&["user", "reset-link", "samuel", "--yes"]);
    let path = link.stdout.split_once("/reset/").map(|(_, token)| format!("/reset/{}", token.trim())).unwrap();
    secrets.push(path.replace("/reset/", ""));
    program.browser().submit(&path, &[("new_password", "fern in the reset form")]).await.expect(303);
    program.browser().get(&path).await.expect(410);

    let csv = program.run(&["audit", "export", "--format", "csv"]);
    let jsonl = program.run(&["audit", "export"]);
    assert!(jsonl.stdout.lines().count() > 15 && csv.stdout.lines().count() > 15, "{jsonl:?}");
    running.terminate();
    let log = running.output();
    assert!(log.contains("TRACE") && log.lines().count() > 50, "{log}");
    secrets.extend(["orchid in vain", "fern in the reset form"].map(str::to_owned));
    secrets.extend(typed.map(str::to_owned));
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        // Also as it stands in an address or in a form.
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        for (place, text) in [("the log", &log), ("the CSV", &csv.stdout), ("the JSON Lines", &jsonl.stdout)] {
            for secret in [secret, &encoded] {
                let line = text.lines().find(|line| line.contains(secret.as_str()));
                assert!(line.is_none(), "{secret} is in {place}: {line:?}");
            }
        }
    }
    for line in log.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object.is_object(), "{line}");
    }
}

async fn post(program: &Program, path: &str, body: &str) -> raw::RawAnswer {
    let headers: [&[u8]; 1] = [b"Content-Type: application/json"];
    raw::exchange(program.address(), &raw::request(b"POST", path.as_bytes(), &headers, body.as_bytes())).await
}

/// What a stranger sends does not look like a line of the log, nor like another address.
#[tokio::test]
async fn no_line_of_the_log_can_be_forged() {
    let program = Program::with_administrator().set("log_format", "json");
    let running = program.serve().await;
    for evil in
        ["a\u{1b}[2J", "x\u{2028}{\"level\":\"ERROR\"}", "\u{202e}gol", "\u{85}y", "\"},{\"client\":\"9.9.9.9\""]
    {
        let encoded: String = url::form_urlencoded::byte_serialize(format!("{evil}\r\nforged").as_bytes()).collect();
        let body = format!("username={encoded}&password={encoded}");
        let path = format!("/{encoded}");
        // Where a header can hold it at all.
        let agent = format!("User-Agent: {}", evil.replace('\u{1b}', ""));
        let headers: [&[u8]; 5] = [
            b"Content-Type: application/x-www-form-urlencoded",
            b"Sec-Fetch-Site: same-origin",
            b"X-Forwarded-For: 9.9.9.9\", \"client\": \"8.8.8.8",
            b"X-Request-Id: forged",
            agent.as_bytes(),
        ];
        for path in [path.as_str(), "/login"] {
            let request = raw::request(b"POST", path.as_bytes(), &headers, body.as_bytes());
            raw::exchange(program.address(), &request).await;
        }
    }
    running.line("answered").await;
    eventually("all are logged", std::time::Duration::from_secs(30), async || {
        running.stderr().lines().filter(|line| line.contains("\"/login\"") && line.contains("answered")).count() >= 5
    })
    .await;
    for line in running.stderr().lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(!line.contains(['\u{1b}', '\u{2028}', '\u{202e}', '\u{85}', '\r']), "{line}");
        let spans = object["spans"].as_array().cloned().unwrap_or_default();
        for span in spans {
            assert_eq!(span["client"], "127.0.0.1", "{line}");
            assert!(span["request_id"].as_str().is_some_and(|id| id != "forged"), "{line}");
        }
    }
    let export = program.run(&["audit", "export", "--event", "sign_in.failed"]);
    assert_eq!(export.stdout.lines().count(), 5, "{export:?}");
    for line in export.stdout.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!((&event["address"], &event["subject"]), (&json!("127.0.0.1"), &Value::Null), "{line}");
    }
}
