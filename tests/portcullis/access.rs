//! Who may call what: every route × everyone. A route without its line here fails the test.

use std::collections::BTreeSet;

use portcullis::domain::Role;
use portcullis::routes;
use reqwest::Method;

use crate::support::*;

/// A route, and what it answers nobody, a user, a manager and an administrator. `unknown` stands for a placeholder of
/// the path; what is sent is a form or JSON without any field of its own.
struct Line {
    method: &'static str,
    /// As the route declares it.
    path: &'static str,
    statuses: [u16; 4],
}

/// Not a status: the answer that sends to `/login`.
const SIGN_IN: u16 = 1;

const fn line(method: &'static str, path: &'static str, statuses: [u16; 4]) -> Line {
    Line { method, path, statuses }
}

/// Everyone gets the same.
const fn open(method: &'static str, path: &'static str, status: u16) -> Line {
    line(method, path, [status; 4])
}

/// A page: whoever is signed in gets `status`.
const fn signed_in(method: &'static str, path: &'static str, status: u16) -> Line {
    line(method, path, [SIGN_IN, status, status, status])
}

/// A call of a program: whoever has a token gets `status`.
const fn bearer(method: &'static str, path: &'static str, status: u16) -> Line {
    line(method, path, [401, status, status, status])
}

const TABLE: &[Line] = &[
    // Neither page nor call.
    open("GET", "/livez", 200),
    open("GET", "/readyz", 200),
    open("GET", "/version", 200),
    open("GET", "/static/{file}", 404),
    open("GET", "/favicon.ico", 200),
    open("GET", "/.well-known/change-password", 303),
    open("GET", "/.well-known/jwks.json", 200),
    open("GET", "/.well-known/oauth-authorization-server", 200),
    open("GET", "/openapi.json", 200),
    open("GET", "/docs", 200),
    // Pages.
    line("GET", "/", [SIGN_IN, 303, 303, 303]),
    open("GET", "/setup/{token}", 410),
    open("POST", "/setup/{token}", 410),
    line("GET", "/register", [200, 303, 303, 303]),
    open("POST", "/register", 422),
    line("GET", "/login", [200, 303, 303, 303]),
    open("POST", "/login", 401),
    signed_in("GET", "/logout", 200),
    open("POST", "/logout", SIGN_IN),
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
    // Calls of programs.
    open("POST", "/api/v1/auth/register", 422),
    open("POST", "/api/v1/auth/login", 422),
    open("POST", "/api/v1/auth/refresh", 401),
    bearer("POST", "/api/v1/auth/logout", 204),
    bearer("POST", "/api/v1/auth/confirm", 422),
    open("GET", "/api/v1/whoami", 200),
    bearer("GET", "/api/v1/me", 200),
    bearer("PATCH", "/api/v1/me", 200),
    bearer("PUT", "/api/v1/me/password", 422),
    bearer("GET", "/api/v1/me/sessions", 200),
    bearer("DELETE", "/api/v1/me/sessions", 200),
    bearer("DELETE", "/api/v1/me/sessions/{id}", 404),
    bearer("GET", "/api/v1/me/activity", 200),
    line("GET", "/api/v1/keys", [401, 403, 403, 200]),
    line("POST", "/api/v1/keys/rotate", [401, 403, 403, 200]),
    open("POST", "/oauth/token", 400),
    open("POST", "/oauth/revoke", 400),
    line("POST", "/oauth/introspect", [401, 403, 400, 400]),
];

#[tokio::test]
async fn every_route_answers_everyone_as_the_table_says() {
    let declared: BTreeSet<_> =
        routes::ALL.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    let described: BTreeSet<_> = TABLE.iter().map(|line| (line.method.to_owned(), line.path.to_owned())).collect();
    let missing: Vec<_> = declared.difference(&described).collect();
    let stale: Vec<_> = described.difference(&declared).collect();
    assert!(missing.is_empty(), "routes without a line in the table of access.rs: {missing:?}");
    assert!(stale.is_empty(), "lines of routes that are gone: {stale:?}");

    let server = TestServer::start(Sqlite).await;
    let people = [("ursula", Role::User), ("manuel", Role::Manager), ("adele", Role::Admin)];
    for (name, role) in people {
        server.create(name, role).await;
    }
    let mut wrong = Vec::new();
    for line in TABLE {
        let everyone = std::iter::once(None).chain(people.map(|(name, _)| Some(name)));
        for (name, expected) in everyone.zip(line.statuses) {
            let page = ask(&server, name, line).await;
            let seen = if page.asks_to_sign_in() { SIGN_IN } else { page.status };
            if seen != expected {
                let name = name.unwrap_or("nobody");
                wrong.push(format!("{name}: {} {}: {} {:?}", line.method, line.path, page.status, page.location()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sends what the line says, as a page of ours or a program would, after a fresh sign-in of `name`.
async fn ask(server: &TestServer, name: Option<&str>, line: &Line) -> Page {
    let path: Vec<_> = line.path.split('/').map(|part| if part.starts_with('{') { "unknown" } else { part }).collect();
    let path = path.join("/");
    let method = Method::from_bytes(line.method.as_bytes()).unwrap();
    let mut browser = server.browser();
    if path.starts_with("/api/") || path.starts_with("/oauth/") {
        let token = match name {
            Some(name) => Some(format!("Bearer {}", access_token(&mut browser, name).await)),
            None => None,
        };
        let (kind, body) = match path.starts_with("/api/") {
            true => ("application/json", "{}"),
            false => ("application/x-www-form-urlencoded", ""),
        };
        let mut headers = vec![("content-type", kind)];
        headers.extend(token.as_deref().map(|token| ("authorization", token)));
        let body = (line.method != "GET").then(|| body.into());
        return browser.send(method, &path, &headers, body).await;
    }
    if let Some(name) = name {
        browser.sign_in(name).await;
    }
    if method == Method::GET {
        return browser.get(&path).await;
    }
    let token = browser.get("/account").await.csrf_token();
    let fields: Vec<_> = token.as_deref().map(|token| ("csrf_token", token)).into_iter().collect();
    browser.post(&path, &fields).await
}

/// Signs a program in.
async fn access_token(browser: &mut Browser, name: &str) -> String {
    let body = serde_json::json!({ "username": name, "password": PASSWORD }).to_string();
    let headers = [("content-type", "application/json")];
    let page = browser.send(Method::POST, "/api/v1/auth/login", &headers, Some(body.into())).await.expect(200);
    let body: serde_json::Value = serde_json::from_str(&page.body).unwrap();
    body["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_method_that_a_route_does_not_have_is_405_and_an_unknown_path_404() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let paths: BTreeSet<_> = routes::ALL.iter().map(|route| route.path).collect();
    for path in paths {
        let has = |method: &str| routes::ALL.iter().any(|route| route.path == path && route.method == method);
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            if has(method) {
                continue;
            }
            let filled = path.replace(['{', '}'], "");
            let headers = [("sec-fetch-site", "same-origin")];
            let page = browser.send(Method::from_bytes(method.as_bytes()).unwrap(), &filled, &headers, None).await;
            // A program without a token learns no more than that.
            let closed = page.status == 401 && (path.starts_with("/api/") || path.starts_with("/oauth/"));
            assert!(matches!(page.status, 403 | 405) || closed, "{method} {path}: {}", page.status);
        }
    }
    for path in ["/nowhere", "/account/nowhere", "/admin/nowhere", "/login/x", "/.git/config", "/api/v1/nowhere"] {
        browser.get(path).await.expect(404);
    }
    assert!(browser.is_signed_in().await);
}
