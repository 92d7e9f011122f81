//! Who may call what: every route × everyone. A route without its line here fails the test.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::Role;
use portcullis::routes;
use reqwest::Method;

use crate::support::*;

/// A route, what is sent to it, and the status for nobody, a user, a manager, an administrator, and for one who entered
/// the password longer ago than `reauthentication_window`. 303 to `/login` is written as [`SIGN_IN`], to `/confirm` as
/// [`CONFIRM`].
struct Line {
    method: &'static str,
    /// As the route declares it.
    path: &'static str,
    /// What stands for the placeholder, and the fields of a form; `csrf_token` and the like are added.
    sent: (&'static str, &'static [(&'static str, &'static str)]),
    statuses: [u16; 5],
}

/// Not a status: the answer that sends to `/login`.
const SIGN_IN: u16 = 1;
/// Nor this: the answer that sends to `/confirm`.
const CONFIRM: u16 = 2;

/// With the statuses of all but the last, who gets what any administrator gets.
const fn line(method: &'static str, path: &'static str, [nobody, user, manager, admin]: [u16; 4]) -> Line {
    Line { method, path, sent: ("unknown", &[]), statuses: [nobody, user, manager, admin, admin] }
}

impl Line {
    /// A sensitive act: it needs a recent password.
    const fn sensitive(mut self) -> Self {
        self.statuses[4] = CONFIRM;
        self
    }
}

/// Everyone gets the same.
const fn open(method: &'static str, path: &'static str, status: u16) -> Line {
    line(method, path, [status; 4])
}

/// Whoever is signed in gets `status`.
const fn signed_in(method: &'static str, path: &'static str, status: u16) -> Line {
    line(method, path, [SIGN_IN, status, status, status])
}

/// Managers and administrators get `status`.
const fn manager(method: &'static str, path: &'static str, status: u16) -> Line {
    line(method, path, [SIGN_IN, 403, status, status])
}

/// Administrators get `status`.
const fn admin(method: &'static str, path: &'static str, status: u16) -> Line {
    line(method, path, [SIGN_IN, 403, 403, status])
}

const TABLE: &[Line] = &[
    line("GET", "/", [SIGN_IN, 303, 303, 303]),
    open("GET", "/setup/{token}", 410),
    open("POST", "/setup/{token}", 410),
    line("GET", "/register", [200, 303, 303, 303]),
    open("POST", "/register", 422),
    line("GET", "/login", [200, 303, 303, 303]),
    open("POST", "/login", 401),
    open("GET", "/reset/{token}", 410),
    open("POST", "/reset/{token}", 410),
    signed_in("GET", "/confirm", 200),
    signed_in("POST", "/confirm", 401),
    signed_in("GET", "/account", 200),
    signed_in("GET", "/account/profile", 200),
    signed_in("POST", "/account/profile", 422),
    signed_in("GET", "/account/password", 200),
    signed_in("POST", "/account/password", 401),
    signed_in("GET", "/account/sessions", 200),
    signed_in("POST", "/account/sessions/{id}/end", 404),
    signed_in("POST", "/account/sessions/end-others", 303),
    signed_in("GET", "/account/activity", 200),
    manager("GET", "/admin", 200),
    manager("GET", "/admin/sessions", 200),
    // Nothing is selected.
    manager("GET", "/admin/sessions/end", 422),
    manager("POST", "/admin/sessions/end", 422),
    manager("GET", "/admin/sessions/{id}/end", 404),
    manager("POST", "/admin/sessions/{id}/end", 404),
    manager("GET", "/admin/audit", 200),
    manager("GET", "/admin/audit/export", 422),
    admin("GET", "/admin/keys", 200),
    admin("GET", "/admin/keys/rotate", 200).sensitive(),
    admin("POST", "/admin/keys/rotate", 303).sensitive(),
    admin("GET", "/admin/settings", 200),
    manager("GET", "/admin/users", 200),
    admin("GET", "/admin/users/new", 200).sensitive(),
    admin("POST", "/admin/users/new", 422).sensitive(),
    manager("GET", "/admin/users/{id}", 404),
    admin("POST", "/admin/users/{id}", 404).sensitive(),
    admin("GET", "/admin/users/{id}/role", 404).sensitive(),
    // Sensitive too, as matrix.rs shows with an id; here the handler is not reached, which asks for the password.
    admin("POST", "/admin/users/{id}/role", 404),
    admin("GET", "/admin/users/{id}/suspend", 404).sensitive(),
    admin("POST", "/admin/users/{id}/suspend", 404).sensitive(),
    admin("GET", "/admin/users/{id}/reinstate", 404).sensitive(),
    admin("POST", "/admin/users/{id}/reinstate", 404).sensitive(),
    manager("POST", "/admin/users/{id}/unlock", 404),
    admin("GET", "/admin/users/{id}/reset-link", 404).sensitive(),
    admin("POST", "/admin/users/{id}/reset-link", 404).sensitive(),
    manager("GET", "/admin/users/{id}/end-sessions", 404).sensitive(),
    manager("POST", "/admin/users/{id}/end-sessions", 404).sensitive(),
    admin("GET", "/admin/users/{id}/delete", 404).sensitive(),
    admin("POST", "/admin/users/{id}/delete", 404).sensitive(),
    open("GET", "/.well-known/change-password", 303),
    open("GET", "/.well-known/jwks.json", 200),
    open("GET", "/.well-known/oauth-authorization-server", 200),
    open("GET", "/openapi.json", 200),
    open("GET", "/docs", 200),
    open("GET", "/livez", 200),
    open("GET", "/readyz", 200),
    open("GET", "/version", 200),
    open("GET", "/static/{file}", 404),
    open("GET", "/favicon.ico", 200),
    signed_in("GET", "/logout", 200),
    // The last: it does what it says.
    line("POST", "/logout", [SIGN_IN, SIGN_IN, SIGN_IN, SIGN_IN]),
];

#[tokio::test]
async fn every_route_answers_everyone_as_the_table_says() {
    let pages = routes::ALL.iter().filter(|route| !crate::api_access::is_api(route));
    let declared: BTreeSet<_> = pages.map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    let described: BTreeSet<_> = TABLE.iter().map(|line| (line.method.to_owned(), line.path.to_owned())).collect();
    let missing: Vec<_> = declared.difference(&described).collect();
    let stale: Vec<_> = described.difference(&declared).collect();
    assert!(missing.is_empty(), "routes without a line in the table of access.rs: {missing:?}");
    assert!(stale.is_empty(), "lines of routes that are gone: {stale:?}");

    let server = TestServer::start(Sqlite).await;
    server.create("olga", Role::Admin).await;
    let olga = server.signed_in("olga").await;
    server.clock.advance(TimeDelta::minutes(10) + TimeDelta::seconds(1));
    let mut actors = vec![("nobody", server.browser())];
    for (name, role) in [("ursula", Role::User), ("manuel", Role::Manager), ("adele", Role::Admin)] {
        server.create(name, role).await;
        actors.push((name, server.signed_in(name).await));
    }
    actors.push(("olga, who signed in long ago", olga));
    let mut wrong = Vec::new();
    for (column, (name, browser)) in actors.iter_mut().enumerate() {
        for line in TABLE {
            let page = ask(browser, line).await;
            let seen = match page.status {
                _ if page.asks_to_sign_in() => SIGN_IN,
                _ if page.asks_for_the_password() => CONFIRM,
                status => status,
            };
            if seen != line.statuses[column] {
                wrong.push(format!("{name}: {} {}: {} {:?}", line.method, line.path, page.status, page.location()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sends what the line says, as a page of ours would.
async fn ask(browser: &mut Browser, line: &Line) -> Page {
    let (placeholder, fields) = line.sent;
    let path: Vec<_> =
        line.path.split('/').map(|part| if part.starts_with('{') { placeholder } else { part }).collect();
    let path = path.join("/");
    if line.method == "GET" {
        return browser.get(&path).await;
    }
    let mut fields = fields.to_vec();
    let token = browser.get("/account").await.csrf_token();
    fields.extend(token.as_deref().map(|token| ("csrf_token", token)));
    browser.post(&path, &fields).await
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_405_and_an_unknown_path_404() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let pages = routes::ALL.iter().filter(|route| !crate::api_access::is_api(route));
    let paths: BTreeSet<_> = pages.map(|route| route.path).collect();
    for path in paths {
        let has = |method: &str| routes::ALL.iter().any(|route| route.path == path && route.method == method);
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            if has(method) {
                continue;
            }
            let filled = path.replace(['{', '}'], "");
            let headers = [("sec-fetch-site", "same-origin")];
            let page = browser.send(Method::from_bytes(method.as_bytes()).unwrap(), &filled, &headers, None).await;
            assert!(matches!(page.status, 405 | 403), "{method} {path}: {}", page.status);
        }
    }
    for path in ["/nowhere", "/account/nowhere", "/admin/nowhere", "/login/x", "/.git/config", "/api/v1/nowhere"] {
        browser.get(path).await.expect(404);
    }
    assert!(browser.is_signed_in().await);
}
