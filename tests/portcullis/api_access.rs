//! Who may call what of the API: every route × everyone. A route without its line here, or in `matrix.rs` where its path
//! names an account or a session, fails the test.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::Role;
use portcullis::domain::audit::Client;
use portcullis::routes::{self, Access, Route};
use portcullis::services::administration::user_acts;
use serde_json::{Value, json};

use crate::matrix;
use crate::support::*;

/// Whether programs call it, with tokens instead of cookies.
pub fn is_api(route: &Route) -> bool {
    route.path.starts_with("/api/") || route.path.starts_with("/oauth/")
}

/// A route, what is sent to it, and the status for nobody, a user, a manager, an administrator, and for one who entered
/// the password longer ago than `reauthentication_window`; [`CONFIRM`] where that is asked for first. Whoever was suspended
/// since the token was issued gets what [`Line::with_a_dead_token`] says.
#[derive(Clone, Copy)]
struct Line {
    method: &'static str,
    path: &'static str,
    /// JSON, or for `/oauth` the value of `token` in a form.
    body: &'static str,
    statuses: [u16; 5],
}

impl Line {
    fn looks_at_the_token(&self) -> bool {
        let route = routes::ALL.iter().find(|route| (route.method, route.path) == (self.method, self.path)).unwrap();
        matches!(route.access, Access::Bearer(..)) || matches!(self.path, "/api/v1/whoami" | "/api/v1/auth/logout")
    }

    /// A sensitive act: it needs a recent password.
    const fn sensitive(mut self) -> Self {
        self.statuses[4] = CONFIRM;
        self
    }

    /// A token that is no longer good is refused, also where none is needed.
    fn with_a_dead_token(&self) -> u16 {
        if self.looks_at_the_token() { 401 } else { self.statuses[0] }
    }
}

/// Not a status: 401 `reauthentication_required`.
const CONFIRM: u16 = 2;

/// With the statuses of all but the last, who gets what any administrator gets.
const fn line(
    method: &'static str,
    path: &'static str,
    body: &'static str,
    [nobody, user, manager, admin]: [u16; 4],
) -> Line {
    Line { method, path, body, statuses: [nobody, user, manager, admin, admin] }
}

const TABLE: &[Line] = &[
    line("POST", "/api/v1/auth/register", "{}", [422; 4]),
    line("POST", "/api/v1/auth/login", r#"{"username":"x","password":"x"}"#, [401; 4]),
    line("POST", "/api/v1/auth/refresh", r#"{"refresh_token":"pcr_x"}"#, [401; 4]),
    line("POST", "/api/v1/auth/confirm", r#"{"password":"x"}"#, [401, 401, 401, 401]),
    line("GET", "/api/v1/whoami", "", [200; 4]),
    line("GET", "/api/v1/me", "", [401, 200, 200, 200]),
    line("PATCH", "/api/v1/me", "{}", [401, 200, 200, 200]),
    line("PUT", "/api/v1/me/password", "{}", [401, 422, 422, 422]),
    line("GET", "/api/v1/me/sessions", "", [401, 200, 200, 200]),
    line("DELETE", "/api/v1/me/sessions", "", [401, 200, 200, 200]),
    line("GET", "/api/v1/me/activity", "", [401, 200, 200, 200]),
    line("GET", "/api/v1/users", "", [401, 403, 200, 200]),
    line("POST", "/api/v1/users", "{}", [401, 403, 403, 422]).sensitive(),
    line("GET", "/api/v1/sessions", "", [401, 403, 200, 200]),
    line("POST", "/api/v1/sessions/revoke", "{}", [401, 403, 422, 422]),
    line("GET", "/api/v1/audit", "", [401, 403, 200, 200]),
    line("GET", "/api/v1/stats", "", [401, 403, 200, 200]),
    line("GET", "/api/v1/keys", "", [401, 403, 403, 200]),
    line("POST", "/api/v1/keys/rotate", "", [401, 403, 403, 200]).sensitive(),
    line("POST", "/oauth/token", "x", [400; 4]),
    line("POST", "/oauth/revoke", "x", [200; 4]),
    line("POST", "/oauth/introspect", "x", [401, 403, 200, 200]),
    // The last: it does what it says.
    line("POST", "/api/v1/auth/logout", "", [401, 204, 204, 204]),
];

/// Every line: those about an account or a session with one that there is not.
fn lines() -> Vec<Line> {
    let about_nobody = matrix::about_nobody().filter(|line| line.1.starts_with("/api/"));
    let about_nobody = about_nobody.map(|(method, path, body, statuses)| Line { method, path, body, statuses });
    about_nobody.chain(TABLE.iter().copied()).collect()
}

async fn ask(program: &ApiClient, line: &Line) -> Page {
    let path = line.path.replace("{id}", "00000000-0000-7000-8000-000000000000");
    if path.starts_with("/oauth/") {
        return program.form(&path, &[("token", line.body)]).await;
    }
    match line.body {
        "" => program.send(line.method, &path, &[], None).await,
        body => {
            let headers = [("content-type", "application/json")];
            program.send(line.method, &path, &headers, Some(body.as_bytes().to_vec())).await
        }
    }
}

#[tokio::test]
async fn every_route_of_the_api_answers_everyone_as_the_table_says() {
    let declared: BTreeSet<_> = routes::ALL.iter().filter(|route| is_api(route)).map(|r| (r.method, r.path)).collect();
    let lines = lines();
    let described: BTreeSet<_> = lines.iter().map(|line| (line.method, line.path)).collect();
    assert_eq!(declared, described, "routes and lines of the tables in api_access.rs and matrix.rs");

    let server = TestServer::start(Sqlite).await;
    server.create("olga", Role::Admin).await;
    let mut olga = server.program("olga").await;
    server.clock.advance(TimeDelta::minutes(10) + TimeDelta::seconds(1));
    olga.refresh().await.expect(200);
    let mut actors = vec![("nobody", ApiClient::new(&server))];
    for (name, role) in [("ursula", Role::User), ("manuel", Role::Manager), ("adele", Role::Admin)] {
        server.create(name, role).await;
        actors.push((name, server.program(name).await));
    }
    actors.push(("olga, who signed in long ago", olga));
    let suspended = server.create("sue", Role::Admin).await;
    actors.push(("sue", server.program("sue").await));
    user_acts::suspend(&server.services, &spawn::command_line(), suspended.id, &Client::default()).await.unwrap();
    let mut wrong = Vec::new();
    for (column, (name, program)) in actors.iter().enumerate() {
        for line in &lines {
            let answer = ask(program, line).await;
            let expected = line.statuses.get(column).copied().unwrap_or_else(|| line.with_a_dead_token());
            let seen = if answer.asks_for_the_password() { CONFIRM } else { answer.status };
            if seen != expected {
                wrong.push(format!("{name}: {} {}: {} {}", line.method, line.path, answer.status, answer.body));
            }
            let challenged = answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer"));
            if matches!(answer.status, 401 | 403) && !challenged {
                wrong.push(format!("{name}: {} {}: no challenge", line.method, line.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// After its session has ended a token opens nothing, and mints nothing.
#[tokio::test]
async fn a_token_of_an_ended_session_is_refused_by_every_route_that_asks_for_one() {
    let server = TestServer::start(Sqlite).await;
    server.create("adele", Role::Admin).await;
    let program = server.program("adele").await;
    program.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    for line in lines().iter().filter(|line| line.looks_at_the_token()) {
        let answer = ask(&program, line).await.expect(401);
        assert_eq!(answer.json()["code"], "invalid_token", "{}", line.path);
        assert_eq!(answer.header("www-authenticate"), Some(r#"Bearer error="invalid_token""#), "{}", line.path);
    }
    let mut program = program;
    program.expect_dead().await;
}

/// A cookie is no authority here.
#[tokio::test]
async fn a_session_cookie_opens_nothing_in_the_api() {
    let server = TestServer::start(Sqlite).await;
    server.create("adele", Role::Admin).await;
    let browser = server.signed_in("adele").await;
    let cookie = browser.cookie_header();
    let nobody = ApiClient::new(&server);
    for line in lines().iter().filter(|line| line.statuses[0] == 401 && line.body != "x") {
        let path = line.path.replace("{id}", "00000000-0000-7000-8000-000000000000");
        let headers =
            [("cookie", cookie.as_str()), ("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        let answer = nobody.send(line.method, &path, &headers, Some(line.body.as_bytes().to_vec())).await;
        assert_eq!(answer.status, 401, "{} {}: {}", line.method, line.path, answer.body);
        assert!(answer.set_cookies().is_empty());
    }
    let whoami = nobody.send("GET", "/api/v1/whoami", &[("cookie", &cookie)], None).await.expect(200);
    assert_eq!(whoami.json(), json!({ "authenticated": false }));
    let mut browser = browser;
    assert!(browser.is_signed_in().await);
}

/// What stands in `/openapi.json` for a route and a status.
#[tokio::test]
async fn every_answer_of_the_table_is_documented() {
    let server = TestServer::start(Sqlite).await;
    let document: Value = ApiClient::new(&server).get("/openapi.json").await.expect(200).json();
    for line in TABLE {
        let operation = &document["paths"][line.path][line.method.to_lowercase()];
        for status in line.statuses.map(|status| if status == CONFIRM { 401 } else { status }) {
            assert!(operation["responses"][status.to_string()].is_object(), "{} {} {status}", line.method, line.path);
        }
    }
}
