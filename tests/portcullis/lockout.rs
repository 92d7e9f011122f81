//! Too many wrong passwords: the same lock for every name, on every node, and the owner's known browser gets in.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::{QueryDsl as _, RunQueryDsl as _};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use portcullis::domain::audit::Client;
use portcullis::domain::{Error, Event, Role, UserId};
use portcullis::routes::{self, Access, Route};
use portcullis::services::AuthContext;
use portcullis::storage::authentication::lockouts::{self as store, Key, Rule, Taken};
use portcullis::storage::schema::lockouts;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::spawn::command_line;
use crate::support::*;

/// The default, which the other tests don't want.
const FIVE: (&str, &str) = ("lockout_threshold", "5");
const WRONG: &str = "a wrong password";

async fn server_on(backend: Backend) -> TestServer {
    TestServer::with(backend, &[FIVE]).await
}

/// Signs in, or not, in a browser that nobody has used before.
async fn attempt(server: &TestServer, name: &str, password: &str) -> Page {
    server.browser().post("/login", &[("username", name), ("password", password)]).await
}

/// A stranger locks the name.
async fn lock(server: &TestServer, name: &str) {
    for _ in 0..5 {
        attempt(server, name, WRONG).await.expect(401);
    }
    attempt(server, name, PASSWORD).await.expect(429);
}

/// How many counts there are.
async fn counts(server: &TestServer) -> i64 {
    let rows = server.services.database.read(|connection| Ok(lockouts::table.count().get_result(connection)?));
    rows.await.unwrap()
}

/// How often the account's audit log has this event.
async fn events(server: &TestServer, user: UserId, event: Event) -> usize {
    let activity = server.services.activity(user, None, 200).await.unwrap();
    activity.iter().filter(|entry| entry.event == event).count()
}

// --- the same for everyone --------------------------------------------------------------------------------------

#[rstest]
#[tokio::test]
async fn onset_and_answer_are_the_same_whether_or_not_there_is_such_an_account(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("present").await;
    let suspended = server.create_user("suspend").await;
    server.services.suspend(&command_line(), suspended.id, &Client::default()).await.unwrap();
    let mut answers = Vec::new();
    for name in ["present", "missing", "suspend", "not any name", "missing@example.com"] {
        let mut statuses = Vec::new();
        for node in [&server, &second].into_iter().cycle().take(6) {
            statuses.push(attempt(node, name, WRONG).await.status);
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429], "{name}");
        for password in [PASSWORD, WRONG] {
            let page = attempt(&server, name, password).await.expect(429);
            let seconds: u64 = page.header("retry-after").expect("Retry-After").parse().unwrap();
            assert!((850..=900).contains(&seconds), "{seconds}");
            assert_eq!(page.value("username").as_deref(), Some(name), "the form is not kept");
            assert!(page.text_of("#refusal").is_some_and(|words| words.contains("15 minutes")), "{}", page.excerpt());
            assert!(page.set_cookies().is_empty());
            let request_id = page.header("x-request-id").expect("a request id").to_owned();
            let mut headers = page.headers.clone();
            for varies in ["date", "x-request-id", "retry-after", "content-length"] {
                headers.remove(varies);
            }
            answers.push((headers, page.body.replace(&format!("\"{name}\""), "NAME").replace(&request_id, "ID")));
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[rstest]
#[tokio::test]
async fn a_program_learns_no_more_of_who_exists_than_a_page_tells(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("present").await;
    let suspended = server.create_user("suspend").await;
    server.services.suspend(&command_line(), suspended.id, &Client::default()).await.unwrap();
    let nodes = [ApiClient::new(&server), ApiClient::new(&second)];
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for name in ["present", "missing", "suspend", "not any name", "missing@example.com"] {
        let mut guesses = 0;
        for node in nodes.iter().cycle().take(8) {
            guesses += 1;
            // The right password comes too late.
            let password = if guesses == 7 { PASSWORD } else { WRONG };
            let answer = node.post("/api/v1/auth/login", &json!({ "username": name, "password": password })).await;
            let answer = answer.expect(if guesses <= 5 { 401 } else { 429 });
            let (mut headers, mut body) = (answer.headers.clone(), answer.json());
            for varies in ["date", "x-request-id", "retry-after"] {
                headers.remove(varies);
            }
            body["request_id"] = json!("ID");
            assert_eq!(body["code"], if guesses <= 5 { "invalid_credentials" } else { "too_many_attempts" });
            if guesses <= 5 { &mut before } else { &mut after }.push((headers, body));
        }
    }
    for answers in [before, after] {
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_lock_ends_by_itself_however_often_a_stranger_goes_on(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let anna = server.create_user("anna").await.id;
    lock(&server, "anna").await;
    assert!(server.services.locked_until(anna).await.unwrap().is_some());
    assert_eq!(server.services.locked_accounts().await.unwrap(), 1);
    for _ in 0..40 {
        attempt(&server, "anna", WRONG).await.expect(429);
    }
    server.clock.advance(TimeDelta::seconds(899));
    attempt(&server, "anna", WRONG).await.expect(429);
    server.clock.advance(TimeDelta::seconds(2));
    assert_eq!(server.services.locked_until(anna).await.unwrap(), None);
    assert_eq!(server.services.locked_accounts().await.unwrap(), 0);
    // All five are there again, and no fewer.
    for _ in 0..4 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    attempt(&server, "anna", PASSWORD).await.expect(303);
    assert_eq!(events(&server, anna, Event::SignInLocked).await, 1);
    assert_eq!(events(&server, anna, Event::SignInFailed).await, 9, "a refused guess is audited");
}

#[tokio::test]
async fn failures_of_long_ago_are_forgotten() {
    let server = server_on(Sqlite).await;
    server.create_user("anna").await;
    for _ in 0..4 {
        attempt(&server, "anna", WRONG).await.expect(401);
        server.clock.advance(TimeDelta::minutes(3));
    }
    server.clock.advance(TimeDelta::minutes(13));
    for _ in 0..4 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    attempt(&server, "anna", PASSWORD).await.expect(303);
}

#[rstest]
#[tokio::test]
async fn the_right_password_begins_the_count_anew(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = server_on(backend).await;
    server.create_user("anna").await;
    for _ in 0..3 {
        for _ in 0..4 {
            attempt(&server, "anna", WRONG).await.expect(401);
        }
        attempt(&server, "anna", PASSWORD).await.expect(303);
    }
    assert_eq!(counts(&server).await, 0);
}

#[rstest]
#[tokio::test]
async fn all_spellings_of_both_names_have_one_count_on_two_nodes(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("anna").await;
    server.create_user("berta").await;
    let spellings = ["anna", " ANNA ", "Anna@Example.com", "\u{ff41}nna", "anna@example.com"];
    for (number, name) in spellings.into_iter().enumerate() {
        attempt(if number % 2 == 0 { &server } else { &second }, name, WRONG).await.expect(401);
    }
    for name in spellings {
        attempt(&second, name, PASSWORD).await.expect(429);
    }
    attempt(&server, "anna.", WRONG).await.expect(401);
    attempt(&second, "berta", PASSWORD).await.expect(303);
    // A name that nobody has is as one, too.
    for name in ["nobody", "NOBODY", " nobody", "Nobody ", "\u{ff4e}obody"] {
        attempt(&server, name, WRONG).await.expect(401);
    }
    attempt(&second, "nobody", WRONG).await.expect(429);
}

#[tokio::test]
async fn nobody_is_called_like_anothers_address() {
    let server = server_on(Sqlite).await;
    server.create_user("anna").await;
    let fields = [("username", "anna@example.com"), ("email", "x@example.com"), ("password", PASSWORD)];
    server.browser().submit("/register", &fields).await.expect(422);
    let (username, email) = ("anna@example.com", "x@example.com");
    let body = json!({ "username": username, "email": email, "password": PASSWORD });
    ApiClient::new(&server).post("/api/v1/auth/register", &body).await.expect(422);
    let mut keeper = server.signed_in(KEEPER).await;
    keeper.submit("/admin/users/new", &fields[..2]).await.expect(422);
    let (auth, client) = (command_line(), Client::default());
    let created = server.services.create_user(&auth, username, email, None, Role::User, &client).await;
    assert!(matches!(created, Err(Error::Invalid(_))));
}

// --- every way to guess -----------------------------------------------------------------------------------------

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
        let user = server.services.find_user(&name).await.unwrap().id;
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

/// V41: what each route answers to the right password and to a wrong one.
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
        if matches!(route.access, Access::Bearer(_)) || path.starts_with("/api/") || path.starts_with("/oauth/") {
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

// --- at the same time -------------------------------------------------------------------------------------------

#[rstest]
#[tokio::test]
async fn of_parallel_guesses_no_more_than_five_are_compared(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("anna").await;
    for name in ["anna", "nobody"] {
        let all = (0..50).map(|number| attempt(if number % 2 == 0 { &server } else { &second }, name, WRONG));
        let statuses: Vec<_> = join_all(all).await.iter().map(|page| page.status).collect();
        let count = |status| statuses.iter().filter(|&&other| other == status).count();
        // A busy machine may answer 503, which is no comparison and no failure.
        assert_eq!(count(401) + count(429) + count(503), 50, "{statuses:?}");
        assert!(count(401) <= 5 && (count(401) == 5 || count(503) > 0), "{name}: {statuses:?}");
    }
}

#[rstest]
#[tokio::test]
async fn parallel_guesses_on_every_route_together_are_no_more_than_five(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("anna").await;
    let mut thief = server.signed_in("anna").await;
    let token = thief.get("/account").await.csrf_token().unwrap();
    // With the cookie of the session alone: a browser that is known has its own count.
    let thief = thief.with_cookie(&thief.cookie().unwrap());
    let program = server.program("anna").await;
    let guesses = (0..50).map(async |number| {
        let node = if number % 2 == 0 { &server } else { &second };
        let (browser, program) = (thief.clone().at(node), program.clone().at(node));
        let login = json!({ "username": "anna", "password": WRONG });
        let change = json!({ "current_password": WRONG, "new_password": NEW_PASSWORD });
        match number % 5 {
            0 => attempt(node, "anna", WRONG).await,
            1 => program.post("/api/v1/auth/login", &login).await,
            2 => program.post("/api/v1/auth/confirm", &json!({ "password": WRONG })).await,
            3 => program.json("PUT", "/api/v1/me/password", &change).await,
            _ => browser.clone().post("/confirm", &[("csrf_token", &token), ("password", WRONG)]).await,
        }
    });
    let statuses: Vec<_> = join_all(guesses).await.iter().map(|page| page.status).collect();
    let count = |status| statuses.iter().filter(|&&other| other == status).count();
    assert_eq!(count(401) + count(429) + count(503), 50, "{statuses:?}");
    assert!(count(401) <= 5 && (count(401) == 5 || count(503) > 0), "{statuses:?}");
}

#[rstest]
#[tokio::test]
async fn the_right_guess_among_fifty_gets_in_only_where_its_turn_came_in_time(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    for round in 0..4 {
        let name = format!("person{round}");
        server.create_user(&name).await;
        for _ in 0..4 {
            attempt(&server, &name, WRONG).await.expect(401);
        }
        let right = [0, 7, 23, 49][round];
        let all = (0..50).map(|number| {
            let node = if number % 2 == 0 { &server } else { &second };
            attempt(node, &name, if number == right { PASSWORD } else { WRONG })
        });
        let statuses: Vec<_> = join_all(all).await.iter().map(|page| page.status).collect();
        let wrong = statuses.iter().filter(|&&status| status == 401).count();
        let got_in = statuses[right] == 303;
        assert!(statuses.iter().filter(|&&status| status == 303).count() == usize::from(got_in), "{statuses:?}");
        // One guess was left. Where the right one had it, the count began anew.
        assert!(wrong <= if got_in { 5 } else { 1 }, "{statuses:?}");
    }
}

/// Of these, how many got which status.
fn tally(answers: &[Page]) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(answer.status).or_default() += 1;
    }
    tally
}

/// A node that is busy asks to come again in a moment, and is asked again; nobody is told to wait for a lock to end.
async fn insist(mut ask: impl AsyncFnMut() -> Page) -> Page {
    for _ in 0..100 {
        let page = ask().await;
        if page.status != 503 {
            return page;
        }
        assert_eq!(page.header("retry-after"), Some("2"));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("busy for ever");
}

#[rstest]
#[tokio::test]
async fn twenty_parallel_sign_ins_with_the_right_password_all_get_in(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values(0, 4)] failures: usize,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    let anna = server.create_user("anna").await.id;
    let program = server.program("anna").await;
    let fail = async || {
        for _ in 0..failures {
            attempt(&server, "anna", WRONG).await.expect(401);
        }
    };
    let nodes = || [&server, &second].into_iter().cycle().take(20);
    let login = json!({ "username": "anna", "password": PASSWORD });

    fail().await;
    let login = async |node| insist(async || ApiClient::new(node).post("/api/v1/auth/login", &login).await).await;
    assert_eq!(tally(&join_all(nodes().map(login)).await), [(200, 20)].into());
    assert_eq!(counts(&server).await, 0, "a guess is still under way");

    fail().await;
    let password = json!({ "password": PASSWORD });
    let confirm = async |node| {
        let program = program.clone().at(node);
        insist(async || program.post("/api/v1/auth/confirm", &password).await).await
    };
    assert_eq!(tally(&join_all(nodes().map(confirm)).await), [(204, 20)].into());

    fail().await;
    let on_page = async |node| insist(async || attempt(node, "anna", PASSWORD).await).await;
    assert_eq!(tally(&join_all(nodes().map(on_page)).await), [(303, 20)].into());
    assert_eq!(counts(&server).await, 0, "a guess is still under way");
    assert_eq!(events(&server, anna, Event::SignInFailed).await, 3 * failures);
    assert_eq!(events(&server, anna, Event::SignInLocked).await, 0);
}

#[rstest]
#[tokio::test]
async fn a_right_password_forgets_failures_but_no_guess_that_is_under_way(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let now = server.clock.now();
    let rule = Rule { threshold: 5, now, until: now + TimeDelta::minutes(15), lease: now + TimeDelta::minutes(1) };
    let steps = server.services.database.write(move |connection| {
        let key = Key { hash: [7; 32], user_id: None };
        let mut taken = Vec::new();
        let mut take = |connection: &mut _, times| -> Result<(), Error> {
            for _ in 0..times {
                taken.push(store::take(connection, &key, rule)?);
            }
            Ok(())
        };
        take(connection, 5)?;
        assert_eq!(store::fail(connection, &key, rule)?, Some(1));
        take(connection, 1)?; // full: one has failed, four are under way
        store::succeed(connection, &key, rule)?;
        take(connection, 3)?; // two, and full again: three were under way
        store::give_back(connection, &key)?;
        take(connection, 2)?; // one, and full again
        let failures: Vec<_> = (0..5).map(|_| store::fail(connection, &key, rule)).collect::<Result<_, _>>()?;
        assert_eq!(failures, (1..=5).map(Some).collect::<Vec<_>>());
        take(connection, 1)?; // locked
        Ok(taken)
    });
    let (guess, full) = (Taken::Guess, Taken::Full);
    let locked = Taken::Locked(rule.until);
    let expected = [guess, guess, guess, guess, guess, full, guess, guess, full, guess, full, locked];
    assert_eq!(steps.await.unwrap(), expected);
}

#[rstest]
#[tokio::test]
async fn guesses_of_a_node_that_crashed_lock_nobody_and_hold_up_nobody_else(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let anna = server.create_user("anna").await.id;
    server.create_user("berta").await;
    attempt(&server, "anna", WRONG).await.expect(401);
    let now = server.clock.now();
    let rule = Rule { threshold: 5, now, until: now + TimeDelta::minutes(15), lease: now + TimeDelta::minutes(1) };
    let crash = server.services.database.write(move |connection| {
        let hash: Vec<u8> = lockouts::table.select(lockouts::key).first(connection)?;
        store::forget_user(connection, anna)?;
        let key = Key { hash: hash.try_into().unwrap(), user_id: Some(anna) };
        (0..5).map(|_| store::take(connection, &key, rule)).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(crash.await.unwrap(), [Taken::Guess; 5]);

    // More than may wait: those for whom there is no room are told at once, and the others wait while berta signs in.
    let mut rounds = 0;
    loop {
        let mut flood: FuturesUnordered<_> = (0..80).map(|_| attempt(&server, "anna", PASSWORD)).collect();
        let mut answers = vec![flood.next().await.unwrap()];
        let mut berta = pin!(attempt(&server, "berta", PASSWORD));
        loop {
            tokio::select! {
                page = &mut berta => {
                    page.expect(303);
                    break;
                }
                Some(page) = flood.next() => answers.push(page),
            }
        }
        let waited = 80 - answers.len();
        answers.extend(flood.collect::<Vec<_>>().await);
        for page in answers {
            assert!(page.expect(503).header("retry-after").is_some());
        }
        // Nobody waits longer than a second, in which a busy machine may not even have come to berta.
        if waited > 0 {
            break;
        }
        rounds += 1;
        assert!(rounds < 20, "nobody waited when berta was there");
    }
    assert_eq!(server.services.locked_until(anna).await.unwrap(), None);
    assert_eq!(server.services.locked_accounts().await.unwrap(), 0);
    assert_eq!(events(&server, anna, Event::SignInLocked).await, 0);

    server.clock.advance(TimeDelta::seconds(61));
    attempt(&server, "anna", PASSWORD).await.expect(303);
    assert_eq!(counts(&server).await, 0);
}

#[rstest]
#[tokio::test]
async fn what_was_not_compared_does_not_count(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::with(backend, &[FIVE, ONE_HASHER, ("hash_queue", "1"), ("database_pool", "8")]).await;
    server.create_user("anna").await;
    let mut held = HeldHasher::new(&server.services).await;
    held.fill();
    // More than may fail.
    for name in ["anna", "nobody"] {
        for page in join_all((0..6).map(|_| attempt(&server, name, WRONG))).await {
            page.expect(503);
        }
    }
    assert_eq!(counts(&server).await, 0, "a guess that was not made left a count");
    drop(held);
    for _ in 0..4 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    attempt(&server, "anna", PASSWORD).await.expect(303);

    // Whoever goes away before the answer learned nothing, and guessed nothing.
    let held = HeldHasher::new(&server.services).await;
    for _ in 0..8 {
        let password = PASSWORD.into();
        let client = Client::default();
        tokio::select! {
            _ = server.services.sign_in("anna", &password, false, None, &client) => panic!("its turn has not come"),
            () = held.is_waited_for_by(1) => {}
        }
        held.is_waited_for_by(0).await;
    }
    drop(held);
    assert_eq!(counts(&server).await, 0, "a guess that nobody waited for was counted");
    attempt(&server, "anna", PASSWORD).await.expect(303);
}

#[rstest]
#[tokio::test]
async fn a_flood_of_invented_names_leaves_nothing_for_long(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = server_on(backend).await;
    let long = "x".repeat(2000);
    for number in 0..300 {
        let name = format!("invented{number}{}", if number % 10 == 0 { long.as_str() } else { "" });
        let error = server.services.sign_in(&name, &WRONG.into(), false, None, &Client::default()).await;
        assert!(matches!(error, Err(Error::WrongCredentials)));
    }
    assert_eq!(counts(&server).await, 300);
    server.services.sweep().await.unwrap();
    assert_eq!(counts(&server).await, 300, "swept before its time");
    server.clock.advance(TimeDelta::minutes(16));
    server.services.sweep().await.unwrap();
    assert_eq!(counts(&server).await, 0);
}

#[tokio::test]
async fn a_flood_leaves_no_more_counts_than_guesses_were_let_through() {
    let server = TestServer::with(Sqlite, &[FIVE, ("login_rate", "20/1h")]).await;
    for number in 0..60 {
        let page = attempt(&server, &format!("invented{number}"), WRONG).await;
        assert_eq!(page.status, if number < 20 { 401 } else { 429 });
    }
    assert_eq!(counts(&server).await, 20);
}

#[tokio::test]
async fn no_typed_name_is_stored() {
    let server = server_on(Sqlite).await;
    attempt(&server, "hunter2-in-the-wrong-field", WRONG).await.expect(401);
    attempt(&server, "hunter2 in the wrong field", WRONG).await.expect(401);
    drop(server.services.database.read(|_| Ok(())).await);
    for entry in std::fs::read_dir(&*server.stores.data_dir).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}

#[tokio::test]
async fn redis_losing_its_memory_forgets_no_lock() {
    let server = server_on(SqliteRedis).await;
    server.create_user("anna").await;
    lock(&server, "anna").await;
    server.stores.redis().cli(&[
        "eval",
        "for _, k in ipairs(redis.call('keys', ARGV[1] .. '*')) do redis.call('del', k) end",
        "0",
        &server.stores.redis_prefix,
    ]);
    attempt(&server, "anna", PASSWORD).await.expect(429);
}

// --- rows of one account, locked by several ---------------------------------------------------------------------

fn key(first: u8, user: UserId) -> Key {
    Key { hash: [first; 32], user_id: Some(user) }
}

fn rule(server: &TestServer) -> Rule {
    let now = server.clock.now();
    Rule { threshold: 5, now, until: now + TimeDelta::minutes(15), lease: now + TimeDelta::minutes(1) }
}

async fn take(server: &TestServer, key: Key) {
    let rule = rule(server);
    let taken = server.services.database.write(move |connection| store::take(connection, &key, rule)).await;
    assert_eq!(taken.unwrap(), Taken::Guess);
}

/// A guess that has one of these counts goes on to the other when `beside`, begun meanwhile, waits for it.
async fn take_both<T>(server: &TestServer, keys: [Key; 2], beside: impl Future<Output = T>) -> T {
    let rule = rule(server);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let database = server.services.database.clone();
    let both = database.write(move |connection| {
        store::take(connection, &keys[0], rule)?;
        begun.take().unwrap().send(()).unwrap();
        let waiting = "(SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)))";
        let waiting = || diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(waiting));
        let start = std::time::Instant::now();
        while waiting().get_result::<i64>(connection)? == 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "nobody waits for the first of them");
            std::thread::sleep(Duration::from_millis(5));
        }
        store::take(connection, &keys[1], rule)
    });
    let beside = async {
        begins.await.unwrap();
        beside.await
    };
    let (both, beside) = tokio::join!(both, beside);
    assert_eq!(both.expect("neither waits for the other"), Taken::Guess);
    beside
}

#[tokio::test]
async fn an_unlock_and_a_guess_do_not_wait_for_each_other() {
    let server = server_on(PostgresRedis).await;
    let anna = server.create_user("anna").await.id;
    // Found in this order.
    take(&server, key(9, anna)).await;
    take(&server, key(1, anna)).await;
    let (auth, client) = (command_line(), Client::default());
    let unlock = server.services.unlock(&auth, anna, &client);
    take_both(&server, [key(1, anna), key(9, anna)], unlock).await.unwrap();
    assert_eq!(counts(&server).await, 0);
}

#[tokio::test]
async fn a_guess_in_a_known_browser_locks_its_counts_in_the_order_of_everyone() {
    let server = server_on(PostgresRedis).await;
    let anna = server.create_user("anna").await.id;
    let (auth, client) = (command_line(), Client::default());
    let keys = async || {
        let keys =
            server.services.database.read(|connection| Ok(lockouts::table.select(lockouts::key).load(connection)?));
        let keys: Vec<Vec<u8>> = keys.await.unwrap();
        keys.into_iter().map(|key| <[u8; 32]>::try_from(key).unwrap()).collect::<BTreeSet<_>>()
    };
    let wrong = [("password", WRONG)];
    attempt(&server, "anna", WRONG).await.expect(401);
    let account = keys().await;
    // Until there is a browser whose count comes after the account's.
    let (mut known, both) = loop {
        let mut known = server.signed_in("anna").await;
        known.submit("/confirm", &wrong).await.expect(401);
        let both = keys().await;
        assert!(both.len() == 2 && both.is_superset(&account), "{both:?}");
        if both.first() == account.first() {
            break (known, both);
        }
        server.services.unlock(&auth, anna, &client).await.unwrap();
    };
    let both: Vec<_> = both.into_iter().map(|hash| Key { hash, user_id: Some(anna) }).collect();
    let token = known.get("/account").await.csrf_token().unwrap();
    let noted = events(&server, anna, Event::SignInFailed).await;
    let fields = [("csrf_token", token.as_str()), wrong[0]];
    take_both(&server, both.try_into().unwrap(), known.post("/confirm", &fields)).await.expect(401);
    assert_eq!(events(&server, anna, Event::SignInFailed).await, noted + 1);
}

#[tokio::test]
async fn the_sweep_does_not_wait_for_a_count_that_somebody_begins_anew() {
    let server = server_on(PostgresRedis).await;
    let anna = server.create_user("anna").await.id;
    take(&server, key(1, anna)).await;
    take(&server, key(9, anna)).await;
    server.clock.advance(TimeDelta::minutes(2));
    let rule = rule(&server);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let anew = server.services.database.write(move |connection| {
        let taken = store::take(connection, &key(1, anna), rule)?;
        begun.take().unwrap().send(()).unwrap();
        ends.recv().unwrap();
        Ok(taken)
    });
    let prune = async {
        begins.await.unwrap();
        let pruned = server.services.database.write(move |connection| store::prune(connection, rule.now)).await;
        end.send(()).unwrap();
        pruned
    };
    let (anew, pruned) = tokio::join!(anew, prune);
    assert_eq!((anew.unwrap(), pruned.unwrap()), (Taken::Guess, 1));
    assert_eq!(counts(&server).await, 1);
}

#[tokio::test]
async fn a_wrong_password_that_could_not_be_noted_holds_up_nobody() {
    let server = server_on(Sqlite).await;
    server.create_user("anna").await;
    let execute = async |statement: &'static str| {
        let done =
            server.services.database.write(move |connection| Ok(diesel::sql_query(statement).execute(connection)?));
        done.await.unwrap();
    };
    execute(
        "CREATE TRIGGER broken BEFORE INSERT ON audit_events WHEN NEW.event = 'sign_in.failed' \
         BEGIN SELECT RAISE(ABORT, 'broken'); END",
    )
    .await;
    for _ in 0..5 {
        attempt(&server, "anna", WRONG).await.expect(503);
    }
    eventually("the guesses are given back", Duration::from_secs(10), async || counts(&server).await == 0).await;
    attempt(&server, "anna", PASSWORD).await.expect(303);
    execute("DROP TRIGGER broken").await;
    lock(&server, "anna").await;
}

// --- the owner --------------------------------------------------------------------------------------------------

#[rstest]
#[tokio::test]
async fn the_owner_gets_into_a_known_browser_while_a_stranger_holds_the_lock(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values("http://127.0.0.1:8080", "https://auth.example.test")] public_url: &str,
) {
    let server = TestServer::with(backend, &[FIVE, ("public_url", public_url)]).await;
    let second = server.second_node().await;
    let name = if public_url.starts_with("https") { "__Host-portcullis-device" } else { "portcullis-device" };
    server.create_user("anna").await;
    let mut open = server.signed_in("anna").await;
    let mut known = server.browser();
    let cookie = known.sign_in("anna").await.set_cookies().into_iter().find(|cookie| cookie.name == name);
    let cookie = cookie.expect("a device cookie");
    assert_eq!(cookie.max_age(), Some(365 * 24 * 3600));
    known.sign_out().await;
    known.jar.close();
    assert_eq!(known.jar.get(name), Some(cookie.value.as_str()), "it ends with the session");

    lock(&server, "anna").await;
    for node in [&server, &second, &server] {
        known.go_to(node);
        known.sign_in("anna").await;
        known.sign_out().await;
        attempt(&second, "anna", WRONG).await.expect(429);
    }
    assert_eq!(known.jar.get(name), Some(cookie.value.as_str()), "the same browser gets another count");
    // A session that was open goes on, with all that asks for the password.
    assert!(open.is_signed_in().await);
    open.submit("/confirm", &[("password", PASSWORD)]).await.expect(303);

    // The browser's own count ends too, and locks nobody else.
    server.clock.advance(TimeDelta::minutes(16));
    for node in [&server, &second].into_iter().cycle().take(5) {
        known.go_to(node);
        known.try_sign_in("anna", WRONG).await.expect(401);
    }
    known.try_sign_in("anna", PASSWORD).await.expect(429);
    open.sign_out().await;
    open.sign_in("anna").await;
    attempt(&server, "anna", PASSWORD).await.expect(303);
}

#[tokio::test]
async fn a_device_cookie_is_good_for_one_account_and_one_password() {
    let server = server_on(Sqlite).await;
    let device = |browser: &Browser| browser.jar.get("portcullis-device").expect("a device cookie").to_owned();
    let mut anna = server.newcomer("anna").await;
    let mallory = server.newcomer("mallory").await;
    let (annas, mallorys) = (device(&anna), device(&mallory));
    lock(&server, "anna").await;
    // What begins like one and ends like the other.
    let spliced = |one: &str, other: &str, at: usize| format!("{}{}", &one[..at], &other[at..]);
    let half = annas.len() / 2;
    let forged = [
        mallorys.clone(),
        spliced(&annas, &mallorys, half),
        spliced(&mallorys, &annas, half),
        annas.to_uppercase(),
        "x".into(),
    ];
    for value in forged {
        let mut stranger = server.browser();
        stranger.jar.set("portcullis-device", &value);
        stranger.post("/login", &[("username", "anna"), ("password", PASSWORD)]).await.expect(429);
    }
    // It opens nothing by itself.
    let mut thief = server.browser();
    thief.jar.set("portcullis-device", &annas);
    assert!(!thief.is_signed_in().await);

    // The browser in which the password was changed stays known; cookies of before are worth nothing.
    anna.change_password().await;
    assert_ne!(device(&anna), annas);
    for _ in 0..5 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    let new = [("username", "anna"), ("password", NEW_PASSWORD)];
    thief.post("/login", &new).await.expect(429);
    anna.sign_out().await;
    anna.post("/login", &new).await.expect(303);
}

#[tokio::test]
async fn someone_who_registers_or_sets_up_is_known_in_that_browser() {
    let server = server_on(Sqlite).await;
    let mut anna = server.browser();
    anna.register("anna").await;
    anna.sign_out().await;
    lock(&server, "anna").await;
    anna.sign_in("anna").await;
}

/// Signs in as a program would, in a browser with this device cookie.
async fn log_in(server: &TestServer, device: &str, name: &str, password: &str) -> Page {
    let cookie = format!("portcullis-device={device}");
    let body = json!({ "username": name, "password": password });
    ApiClient::new(server).json_with("POST", "/api/v1/auth/login", &body, &[("cookie", &cookie)]).await
}

#[rstest]
#[tokio::test]
async fn a_browser_is_known_to_each_of_the_last_accounts_that_signed_in_there(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let names = ["anna", "berta", "carla", "doris", "elsa", "frieda"];
    let mut shared = server.browser();
    for name in names {
        server.create_user(name).await;
        // Over the session of the one before, and after a sign-out.
        shared.post("/login", &[("username", name), ("password", PASSWORD)]).await.expect(303);
        if name == "carla" {
            shared.sign_out().await;
        }
    }
    shared.sign_out().await;
    let device = shared.jar.get("portcullis-device").expect("a device cookie").to_owned();
    for name in names {
        lock(&server, name).await;
    }
    for (number, name) in names.into_iter().enumerate() {
        // More than five are not kept.
        let [page, program] = if number == 0 { [429, 429] } else { [303, 200] };
        let mut browser = server.browser();
        browser.jar.set("portcullis-device", &device);
        browser.post("/login", &[("username", name), ("password", PASSWORD)]).await.expect(page);
        log_in(&server, &device, name, PASSWORD).await.expect(program);
        attempt(&server, name, PASSWORD).await.expect(429);
    }
    // Each has its own count there.
    for _ in 0..5 {
        log_in(&server, &device, "berta", WRONG).await.expect(401);
    }
    log_in(&server, &device, "berta", PASSWORD).await.expect(429);
    log_in(&server, &device, "elsa", PASSWORD).await.expect(200);
}

#[rstest]
#[tokio::test]
async fn a_reset_link_lets_the_owner_in_while_a_stranger_goes_on(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values("http://127.0.0.1:8080", "https://auth.example.test")] public_url: &str,
) {
    let server = TestServer::with(backend, &[FIVE, ("public_url", public_url)]).await;
    let anna = server.create_user("anna").await;
    let mut known = server.signed_in("anna").await;
    lock(&server, "anna").await;
    let link = server.services.issue_reset_link(&command_line(), anna.id, &Client::default()).await.unwrap();
    let path = link.url.strip_prefix(&server.public_url).unwrap();
    let mut owner = server.browser();
    owner.submit(path, &[("new_password", "short")]).await.expect(422);
    assert!(!owner.jar.header(&server.clock).unwrap_or_default().contains("-device"), "known without a password");
    owner.submit(path, &[("new_password", NEW_PASSWORD)]).await.expect_redirect("/login");
    // The stranger is faster than the owner types.
    for _ in 0..5 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    for password in [PASSWORD, NEW_PASSWORD] {
        attempt(&server, "anna", password).await.expect(429);
        known.post("/login", &[("username", "anna"), ("password", password)]).await.expect(429);
    }
    let name = if public_url.starts_with("https") { "__Host-portcullis-device" } else { "portcullis-device" };
    let device = owner.jar.get(name).expect("a device cookie").to_owned();
    owner.try_sign_in("anna", NEW_PASSWORD).await.expect_redirect("/account");
    if name == "portcullis-device" {
        log_in(&server, &device, "anna", NEW_PASSWORD).await.expect(200);
    }
}

// --- unlocking --------------------------------------------------------------------------------------------------

#[rstest]
#[tokio::test]
async fn a_manager_unlocks_users_and_an_administrator_everyone(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = server_on(backend).await;
    let client = Client::default();
    let manager = server.create("manuel", Role::Manager).await;
    let manager = AuthContext::of(&manager);
    let user = server.create_user("ursula").await;
    let other = server.create("mona", Role::Manager).await;
    let auth = AuthContext::of(&user);

    lock(&server, "ursula").await;
    lock(&server, "mona").await;
    let locks = server.services.locks_of(vec![user.id, other.id, server.create_user("free").await.id]).await.unwrap();
    assert_eq!(locks.len(), 2);
    assert_eq!(server.services.locked_accounts().await.unwrap(), 2);
    assert!(matches!(server.services.unlock(&auth, user.id, &client).await, Err(Error::Forbidden)));
    assert!(matches!(server.services.unlock(&manager, other.id, &client).await, Err(Error::Forbidden)));
    server.services.unlock(&manager, user.id, &client).await.unwrap();
    attempt(&server, "ursula", PASSWORD).await.expect(303);
    attempt(&server, "mona", PASSWORD).await.expect(429);
    server.services.unlock(&command_line(), other.id, &client).await.unwrap();
    attempt(&server, "mona", PASSWORD).await.expect(303);
    assert_eq!(events(&server, user.id, Event::UserUnlocked).await, 1);
    // There is nothing to unlock: nothing happened.
    server.services.unlock(&manager, user.id, &client).await.unwrap();
    assert_eq!(events(&server, user.id, Event::UserUnlocked).await, 1);

    // Nobody gives guesses away unseen, before the lock begins.
    for _ in 0..4 {
        attempt(&server, "ursula", WRONG).await.expect(401);
    }
    server.services.unlock(&manager, user.id, &client).await.unwrap();
    assert_eq!(events(&server, user.id, Event::UserUnlocked).await, 2);
}

#[tokio::test]
async fn the_command_line_shows_a_lock_and_ends_it() {
    let program = Program::new()
        .set("bootstrap_admin_username", KEEPER)
        .set("bootstrap_admin_email", "keeper@example.com")
        .set("bootstrap_admin_password", PASSWORD);
    let _running = program.serve().await;
    let sign_in = async |password: &str| {
        let fields = [("username", KEEPER), ("password", password)];
        program.browser().post("/login", &fields).await.status
    };
    let shown = |command: &[&str]| {
        let outcome = program.run(&[command, &["--output", "json"]].concat());
        let shape: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
        shape.as_array().map_or_else(|| shape.clone(), |all| all[0].clone())["locked_until"].clone()
    };
    assert!(shown(&["user", "show", KEEPER]).is_null());
    for _ in 0..5 {
        assert_eq!(sign_in(WRONG).await, 401);
    }
    assert_eq!(sign_in(PASSWORD).await, 429);
    let until = shown(&["user", "show", KEEPER]);
    assert!(until.as_str().is_some_and(|until| until.ends_with('Z')), "{until}");
    assert_eq!(shown(&["user", "list"]), until);
    assert!(program.run(&["user", "list"]).stdout.contains("active, locked"));
    let unlocked = program.run(&["user", "unlock", KEEPER, "--yes"]);
    assert_eq!(unlocked.code, Some(0), "{unlocked:?}");
    assert_eq!(sign_in(PASSWORD).await, 303);
    assert!(shown(&["user", "show", KEEPER]).is_null());
}
