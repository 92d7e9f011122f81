//! Every way to guess has the same count.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::{Event, Role, UserId};
use portcullis::routes::{self, Access, Route};
use portcullis::services::accounts::lookup;
use rstest::rstest;
use serde_json::{Value, json};

use super::{FIVE, WRONG, attempt, counts, events, lock, server_on};
use crate::support::*;

/// The routes that ask someone signed in for the password, with a wrong one.
fn routes_with_a_password(token: &str) -> [(&'static str, Vec<(&'static str, &str)>); 3] {
    [
        ("/confirm", vec![("csrf_token", token), ("password", WRONG)]),
        ("/account/password", vec![("csrf_token", token), ("current_password", WRONG), ("new_password", NEW_PASSWORD)]),
        (
            "/account/profile",
            vec![("csrf_token", token), ("name", ""), ("email", "n@example.com"), ("current_password", WRONG)],
        ),
    ]
}

#[rstest]
#[tokio::test]
async fn every_route_that_reacts_to_a_password_has_the_same_count(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values(false, true)] known: bool,
) {
    let server = server_on(backend).await;
    for (number, _) in routes_with_a_password("").iter().enumerate() {
        let name = format!("person{number}");
        let mut browser = server.newcomer(&name).await;
        if !known {
            // Who stole the session's cookie alone.
            browser = browser.with_cookie(&browser.cookie().unwrap());
        }
        let token = browser.get("/account").await.csrf_token().unwrap();
        let routes = routes_with_a_password(&token);
        for _ in 0..5 {
            browser.post(routes[number].0, &routes[number].1).await.expect(401);
        }
        for (path, fields) in &routes {
            let page = browser.post(path, fields).await.expect(429);
            assert!(page.header("retry-after").is_some() && page.text_of("#refusal").is_some(), "{}", page.excerpt());
            let right: Vec<_> = fields.iter().map(|&(key, value)| (key, value.replace(WRONG, PASSWORD))).collect();
            let right: Vec<_> = right.iter().map(|(key, value)| (*key, value.as_str())).collect();
            browser.post(path, &right).await.expect(429);
        }
        attempt(&server, &name, PASSWORD).await.expect(429);
        browser.post("/login", &[("username", &name), ("password", PASSWORD)]).await.expect(429);
        assert!(browser.is_signed_in().await, "the open session ended");
        let user = lookup::find(&server.services.database, &name).await.unwrap().id;
        assert_eq!(events(&server, user, Event::SignInLocked).await, 1);
    }
}

#[rstest]
#[tokio::test]
async fn programs_and_pages_have_one_count(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = server_on(backend).await;
    server.create_user("anna").await;
    let (anna, nobody) = (server.program("anna").await, ApiClient::new(&server));
    let login = |name: &str, password: &str| json!({ "username": name, "password": password });
    let change = json!({ "current_password": WRONG, "new_password": NEW_PASSWORD });
    let profile = json!({ "email": "n@example.com", "current_password": WRONG });
    attempt(&server, "anna", WRONG).await.expect(401);
    nobody.post("/api/v1/auth/login", &login("Anna@example.com", WRONG)).await.expect(401);
    anna.post("/api/v1/auth/confirm", &json!({ "password": WRONG })).await.expect(401);
    anna.json("PUT", "/api/v1/me/password", &change).await.expect(401);
    anna.json("PATCH", "/api/v1/me", &profile).await.expect(401);

    attempt(&server, "anna", PASSWORD).await.expect(429);
    let mut refused = vec![
        nobody.post("/api/v1/auth/login", &login("anna", PASSWORD)).await,
        anna.post("/api/v1/auth/confirm", &json!({ "password": PASSWORD })).await,
        anna.json("PUT", "/api/v1/me/password", &change).await,
        anna.json("PATCH", "/api/v1/me", &profile).await,
    ];
    for _ in 0..5 {
        nobody.post("/api/v1/auth/login", &login("missing", WRONG)).await.expect(401);
    }
    refused.push(nobody.post("/api/v1/auth/login", &login("missing", WRONG)).await);
    for page in refused {
        let page = page.expect(429);
        assert_eq!(page.json()["code"], "too_many_attempts");
        let seconds: u64 = page.header("retry-after").expect("Retry-After").parse().unwrap();
        assert!((850..=900).contains(&seconds), "{seconds}");
    }
    // The program that was signed in goes on, refreshes, and shows the lock.
    let mut anna = anna;
    anna.refresh().await.expect(200);
    let me = anna.get("/api/v1/me").await.expect(200).json();
    assert!(me["locked_until"].is_string(), "{me}");
    server.clock.advance(TimeDelta::minutes(16));
    nobody.post("/api/v1/auth/login", &login("anna", PASSWORD)).await.expect(200);
}

/// What each route answers to the right password and to a wrong one.
#[tokio::test]
async fn no_route_reacts_to_a_password_but_those_that_count() {
    let server = server_on(Sqlite).await;
    let mut reacting = BTreeSet::new();
    for (number, route) in
        routes::ALL.iter().filter(|route| ["POST", "PUT", "PATCH"].contains(&route.method)).enumerate()
    {
        for body in 0..BODIES {
            let ask = async |name: String, password: &str, times: usize| {
                server.create(&name, Role::Admin).await;
                let asker = Asker::new(&server, &name).await;
                let mut answer = None;
                for _ in 0..times {
                    answer = Some(asker.ask(route, body, password).await);
                }
                (asker, answer.unwrap())
            };
            let (_, right) = ask(format!("right{number}x{body}"), PASSWORD, 1).await;
            let (asker, wrong) = ask(format!("wrong{number}x{body}"), WRONG, 1).await;
            if right == wrong {
                continue;
            }
            reacting.insert((route.method, route.path));
            assert_eq!(wrong, 401, "{} {}: the right one is {right}", route.method, route.path);
            for _ in 0..4 {
                assert_eq!(asker.ask(route, body, WRONG).await, 401, "{}", route.path);
            }
            assert_eq!(asker.ask(route, body, PASSWORD).await, 429, "{} does not count", route.path);
        }
    }
    let known = [
        ("PATCH", "/api/v1/me"),
        ("POST", "/account/password"),
        ("POST", "/account/profile"),
        ("POST", "/api/v1/auth/confirm"),
        ("POST", "/api/v1/auth/login"),
        ("POST", "/confirm"),
        ("POST", "/login"),
        ("PUT", "/api/v1/me/password"),
    ];
    assert_eq!(reacting.into_iter().collect::<Vec<_>>(), known);
}

/// How many [`Asker::body`] there are.
const BODIES: usize = 4;

/// Who sends a password to every route, signed in on a page and as a program.
struct Asker {
    name: String,
    id: UserId,
    browser: Browser,
    program: ApiClient,
    token: String,
}

impl Asker {
    async fn new(server: &TestServer, name: &str) -> Self {
        let mut browser = server.signed_in(name).await;
        let token = browser.get("/account").await.csrf_token().unwrap();
        // Not known there, so that there is one count.
        let browser = browser.with_cookie(&browser.cookie().unwrap());
        let id = server.id_of(name).await;
        Self { name: name.to_owned(), id, browser, program: server.program(name).await, token }
    }

    /// What a route could take, with the password in each of the fields that have one.
    fn body(&self, number: usize, password: &str) -> Value {
        let email = format!("new-{}@example.com", self.name);
        match number {
            0 => json!({ "username": self.name, "password": password }),
            1 => json!({ "password": password }),
            2 => json!({ "current_password": password, "new_password": NEW_PASSWORD }),
            _ => json!({ "email": email, "current_password": password }),
        }
    }

    async fn ask(&self, route: &Route, body: usize, password: &str) -> u16 {
        let path = route.path.replace("{id}", &self.id.to_string()).replace("{token}", "unknown");
        let body = self.body(body, password);
        if matches!(route.access, Access::Bearer(..)) || path.starts_with("/api/") || path.starts_with("/oauth/") {
            return self.program.json(route.method, &path, &body).await.status;
        }
        let mut fields = vec![("csrf_token", self.token.as_str()), ("username", &self.name)];
        let more = body.as_object().unwrap().iter().filter(|(name, _)| *name != "username");
        fields.extend(more.map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        self.browser.clone().post(&path, &fields).await.status
    }
}

#[tokio::test]
async fn only_a_post_to_login_guesses() {
    let server = server_on(Sqlite).await;
    server.create_user("anna").await;
    let query = "/login?username=anna&password=wrong";
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE"] {
        for _ in 0..6 {
            let headers = [("sec-fetch-site", "same-origin"), ("x-http-method-override", "POST")];
            let page = server.browser().send(method.parse().unwrap(), query, &headers, None).await;
            assert!(matches!(page.status, 200 | 405), "{method}: {}", page.status);
        }
    }
    let program = ApiClient::new(&server);
    let body = json!({ "username": "anna", "password": PASSWORD });
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let path = query.replace("/login", "/api/v1/auth/login");
        let page = program.json_with(method, &path, &body, &[("x-http-method-override", "POST")]).await.expect(405);
        assert_eq!(page.header("allow"), Some("POST"), "{method}");
    }
    assert_eq!(counts(&server).await, 0);
    // Other spellings of the path are no second way in.
    lock(&server, "anna").await;
    let form = format!("username=anna&password={}", PASSWORD.replace(' ', "+"));
    for (login, kind, body) in [
        ("login", "application/x-www-form-urlencoded", form),
        ("api/v1/auth/login", "application/json", body.to_string()),
    ] {
        let upper = login.to_uppercase();
        let escaped = login.replace('l', "%6c");
        let paths = ["//{}", "/{}/", "/./{}", "/x/../{}", "/{}//", "/{};a=b", "/{}?x", "/{}%2f", "/{}%00", "/{}#x"];
        let paths = paths.map(|path| path.replace("{}", login));
        for path in paths.into_iter().chain([format!("/{upper}"), format!("/{escaped}")]) {
            let kind = format!("Content-Type: {kind}");
            let headers: [&[u8]; 2] = [kind.as_bytes(), b"Sec-Fetch-Site: same-origin"];
            let request = raw::request(b"POST", path.as_bytes(), &headers, body.as_bytes());
            let answer = raw::exchange(server.address, &request).await;
            assert!(matches!(answer.status, 400 | 404 | 405 | 429), "{path}: {}", answer.head);
            assert!(answer.set_cookies().is_empty() && !answer.body.contains("access_token"), "{path}");
        }
    }
}

#[tokio::test]
async fn one_password_tried_on_many_accounts_is_stopped_by_the_address() {
    let server = TestServer::with(Sqlite, &[FIVE, ("login_rate", "10/1h")]).await;
    let spray = async |number: usize, address: &str| {
        let fields = [("username", format!("person{number}")), ("password", WRONG.to_owned())];
        let fields: Vec<_> = fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let headers = [("sec-fetch-site", "same-origin"), ("x-forwarded-for", address)];
        server.browser().post_with("/login", &fields, &headers).await.status
    };
    let mut evaluated = 0;
    for number in 0..100 {
        evaluated += usize::from(spray(number, "198.51.100.1").await == 401);
    }
    assert_eq!(evaluated, 10);
    assert_eq!(spray(100, "198.51.100.2").await, 401, "another address is held up");
}
