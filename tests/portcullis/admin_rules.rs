//! The rules that hold for every act of the administration, tried by who would like to go round them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::audit::Client;
use portcullis::domain::audit_list::AuditFilter;
use portcullis::domain::session_list::{SessionFilter, SessionOrder, SessionState};
use portcullis::domain::{Error, EventId, Role, User};
use portcullis::routes::{self, Access, Route};
use portcullis::services::accounts::{links, lookup};
use portcullis::services::administration::user_acts;
use portcullis::services::administration::users::{self, UserChange};
use portcullis::services::authentication::lockout;
use portcullis::services::sessions::{account, everyone, signing_keys};
use portcullis::services::{AuthContext, audit};
use reqwest::Method;
use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::*;

/// `reauthentication_window`, as it is by default.
const WINDOW: TimeDelta = TimeDelta::minutes(10);

fn client() -> Client {
    Client::default()
}

/// The newest events, which tell whether anything was done.
async fn log(server: &TestServer) -> BTreeSet<EventId> {
    let filter = AuditFilter::default();
    let page = audit::search(&server.services, &command_line(), &filter, None, 200).await.unwrap();
    page.events.iter().map(|event| event.id).collect()
}

/// The id of the account's only live session.
async fn session_of(server: &TestServer, user: &User) -> String {
    let sessions = account::live(&server.services, user.id, 2).await.unwrap().0;
    assert_eq!(sessions.len(), 1);
    sessions[0].id.to_string()
}

/// The acts of the pages.
fn posts() -> impl Iterator<Item = &'static Route> {
    routes::ALL.iter().filter(|route| route.method == "POST" && matches!(route.access, Access::SignedIn(..)))
}

/// What would make each act succeed; more than a form of ours takes, for each to find its own.
fn fields<'a>(user: &'a User, session: &'a str) -> Vec<(&'static str, &'a str)> {
    let role = if user.role == Role::User { "admin" } else { "user" };
    vec![
        ("role", role),
        ("username", "renamed"),
        ("email", "renamed@example.com"),
        ("name", "Renamed"),
        ("id", session),
        ("password", PASSWORD),
        ("current_password", PASSWORD),
        ("new_password", NEW_PASSWORD),
    ]
}

/// The path of an act on this account, or on this session.
fn path_of(route: &Route, user: &User, session: &str) -> String {
    let id = if route.path.contains("/sessions/") { session.to_owned() } else { user.id.to_string() };
    route.path.replace("{id}", &id)
}

#[tokio::test]
async fn no_act_is_done_for_another_site_without_its_token_or_with_that_of_another_session() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("ursula").await;
    let mut victim = server.signed_in("ursula").await;
    let session = session_of(&server, &user).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let token = keeper.get("/account").await.csrf_token().unwrap();
    let tab = server.signed_in(KEEPER).await.get("/account").await.csrf_token().unwrap();
    let ours = [("origin", server.public_url.as_str()), ("sec-fetch-site", "same-origin")];
    let before = log(&server).await;
    let mut tried = 0;
    for route in posts() {
        let path = path_of(route, &user, &session);
        let send = async |keeper: &mut Browser, token: Option<&str>, headers: &[(&str, &str)]| {
            let mut fields = fields(&user, &session);
            fields.extend(token.map(|token| ("csrf_token", token)));
            keeper.post_with(&path, &fields, headers).await
        };
        let cut = &token[..token.len() - 1];
        for (which, sent) in [("no token", None), ("another session's", Some(tab.as_str())), ("a cut one", Some(cut))] {
            let page = send(&mut keeper, sent, &ours).await;
            assert_eq!(page.status, 403, "{path}, {which}: {}", page.excerpt());
        }
        for foreign in [
            &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")][..],
            &[("origin", "null")],
            &[("sec-fetch-site", "same-site")],
            &[],
        ] {
            let page = send(&mut keeper, Some(&token), foreign).await;
            assert_eq!(page.status, 403, "{path} {foreign:?}: {}", page.excerpt());
        }
        tried += 1;
    }
    assert!(tried > 15, "{tried}");
    assert_eq!(log(&server).await, before, "something was done");
    let now = lookup::by_id(&server.services.database, user.id).await.unwrap();
    assert_eq!((now.version(), now.epoch), (user.version(), user.epoch));
    assert!(victim.is_signed_in().await && keeper.is_signed_in().await);
    assert_eq!(keeper.get("/account").await.csrf_token().unwrap(), token);
}

#[tokio::test]
async fn asking_for_an_act_in_any_way_but_post_does_not_do_it() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("ursula").await;
    let mut victim = server.signed_in("ursula").await;
    let session = session_of(&server, &user).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let token = keeper.get("/account").await.csrf_token().unwrap();
    let before = log(&server).await;
    for route in posts() {
        let has_page = routes::ALL.iter().any(|other| other.path == route.path && other.method == "GET");
        let mut all = fields(&user, &session);
        all.extend([("csrf_token", token.as_str()), ("_method", "POST")]);
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&all).finish();
        let path = format!("{}?{query}", path_of(route, &user, &session));
        for method in [Method::GET, Method::HEAD] {
            let headers = [("sec-fetch-site", "same-origin"), ("x-http-method-override", "POST")];
            let page = keeper.send(method.clone(), &path, &headers, None).await;
            assert_eq!(page.status, if has_page { 200 } else { 405 }, "{method} {}", route.path);
            assert!(has_page || page.header("allow").is_some_and(|allow| allow.contains("POST")), "{}", route.path);
        }
    }
    assert_eq!(log(&server).await, before, "something was done");
    assert!(victim.is_signed_in().await && keeper.is_signed_in().await);
}

#[tokio::test]
async fn what_is_done_to_a_deleted_account_or_its_session_is_404_or_nothing() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("ursula").await;
    server.signed_in("ursula").await;
    let session = session_of(&server, &user).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let token = keeper.get("/account").await.csrf_token().unwrap();
    user_acts::delete(&server.services, &command_line(), user.id, &client()).await.unwrap();
    // Whoever has the names now is somebody else.
    let namesake = server.create_user("ursula").await;
    let mut open = server.signed_in("ursula").await;
    let before = log(&server).await;
    let id = user.id.to_string();
    for route in posts().filter(|route| route.path.starts_with("/admin/") && route.path.contains("{id}")) {
        let path = path_of(route, &user, &session);
        let fields = [("csrf_token", token.as_str()), ("role", "admin"), ("username", "xxx"), ("email", "x@x.org")];
        let page = keeper.post(&path, &fields).await;
        // A session that ended with its account is no error to end: a retry must not fail.
        assert_eq!(page.status, if route.path.contains("/sessions/") { 303 } else { 404 }, "{path}");
    }
    keeper.post("/admin/sessions/end", &[("csrf_token", token.as_str()), ("user", &id)]).await.expect(404);
    keeper.get(&format!("/admin/sessions/end?user={id}")).await.expect(404);
    keeper.post("/admin/sessions/end", &[("csrf_token", token.as_str()), ("id", &session)]).await.expect(303);
    assert_eq!(log(&server).await, before, "something was done");
    assert!(open.is_signed_in().await);
    assert_eq!(lookup::by_id(&server.services.database, namesake.id).await.unwrap().version(), namesake.version());
}

#[tokio::test]
async fn a_form_that_is_sent_twice_does_it_once() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("ursula").await;
    server.signed_in("ursula").await;
    let session = session_of(&server, &user).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let page_of_user = format!("/admin/users/{}", user.id);
    for (path, fields, second) in [
        (format!("/admin/sessions/{session}/end"), vec![], 303),
        (format!("{page_of_user}/role"), vec![("role", "manager")], 303),
        (format!("{page_of_user}/suspend"), vec![], 303),
        (format!("{page_of_user}/reinstate"), vec![], 303),
        ("/admin/users/new".to_owned(), vec![("username", "nora"), ("email", "nora@example.com")], 303),
        (page_of_user.clone(), vec![("name", "Ursula U.")], 303),
        (format!("{page_of_user}/delete"), vec![], 404),
    ] {
        let mut form = keeper.get(&path).await.expect(200).form(&path);
        for (name, value) in fields {
            form.fill(name, value);
        }
        let before = log(&server).await;
        keeper.submit_form(form.clone(), &[]).await.expect(303);
        assert_eq!(log(&server).await.len(), before.len() + 1, "{path}");
        keeper.submit_form(form, &[]).await.expect(second);
        assert_eq!(log(&server).await.len(), before.len() + 1, "{path}, twice");
    }
}

// --- the password, entered again --------------------------------------------------------------------------------

/// The acts that ask for a recent entry of the password, of an administrator.
fn sensitive(user: &User) -> Vec<(String, Vec<(&'static str, String)>)> {
    let page = format!("/admin/users/{}", user.id);
    let field = |name, value: &str| vec![(name, value.to_owned())];
    let mut acts = vec![
        ("/admin/users/new".to_owned(), field("username", "nora")),
        (page.clone(), field("name", "Renamed")),
        (format!("{page}/role"), field("role", "admin")),
        ("/admin/keys/rotate".to_owned(), vec![]),
        ("/admin/sessions/end".to_owned(), field("all", "1")),
        ("/admin/sessions/end".to_owned(), field("user", &user.id.to_string())),
    ];
    let others = ["suspend", "reinstate", "reset-link", "end-sessions", "delete"];
    acts.extend(others.map(|act| (format!("{page}/{act}"), vec![])));
    acts
}

/// Sends the acts straight away, without their pages; says what each was answered.
async fn send_all(browser: &mut Browser, user: &User) -> Vec<(String, Page)> {
    let token = browser.get("/account").await.csrf_token().unwrap();
    let mut answers = Vec::new();
    for (path, fields) in sensitive(user) {
        let mut all = vec![("csrf_token", token.as_str())];
        all.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
        answers.push((path.clone(), browser.post(&path, &all).await));
    }
    answers
}

async fn expect_all_ask_for_the_password(browser: &mut Browser, user: &User) {
    for (path, page) in send_all(browser, user).await {
        let location = page.location().unwrap_or_default();
        assert!(page.status == 303 && location.starts_with("/confirm?next=%2Fadmin"), "{path}: {location}");
    }
}

#[rstest]
#[tokio::test]
async fn the_window_of_an_entry_is_exact_and_of_one_session_alone(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let user = server.create_user("ursula").await;
    let mut victim = server.signed_in("ursula").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let mut elsewhere = server.signed_in(KEEPER).await;
    let suspend = format!("/admin/users/{}/suspend", user.id);

    // A little of the window goes by with each request.
    server.clock.advance(WINDOW - TimeDelta::seconds(20));
    keeper.get(&suspend).await.expect(200);
    server.clock.advance(TimeDelta::seconds(20));
    let before = log(&server).await;
    expect_all_ask_for_the_password(&mut keeper, &user).await;
    expect_all_ask_for_the_password(&mut elsewhere, &user).await;
    assert_eq!(log(&server).await, before, "something was done");

    // What is entered in one session is good for no other, not even of the same person in the same moment.
    keeper.submit("/confirm", &[("password", PASSWORD)]).await.expect(303);
    keeper.get(&suspend).await.expect(200);
    let before = log(&server).await;
    expect_all_ask_for_the_password(&mut elsewhere, &user).await;
    // Nor does a wrong password, or someone else's, count as an entry.
    for wrong in [NEW_PASSWORD, ""] {
        let token = elsewhere.get("/account").await.csrf_token().unwrap();
        let page = elsewhere.post("/confirm", &[("csrf_token", &token), ("password", wrong)]).await;
        assert!(matches!(page.status, 401 | 422), "{}", page.status);
    }
    expect_all_ask_for_the_password(&mut elsewhere, &user).await;
    let log = log(&server).await;
    assert_eq!(log.difference(&before).count(), 2, "the two wrong passwords");
    assert!(victim.is_signed_in().await);

    // In the session where it was entered all of it is done.
    for (path, page) in send_all(&mut keeper, &user).await {
        let location = page.location().unwrap_or_default();
        assert!(matches!(page.status, 303 | 409 | 422) && !location.starts_with("/confirm"), "{path}: {location}");
    }
    assert!(matches!(lookup::by_id(&server.services.database, user.id).await, Err(Error::NotFound)));
    assert!(!elsewhere.is_signed_in().await && !victim.is_signed_in().await);
}

#[tokio::test]
async fn a_new_role_is_no_new_entry_of_the_password() {
    let server = TestServer::start(SqliteRedis).await;
    let user = server.create_user("ursula").await;
    let adele = server.create_user("adele").await;
    let mut adele_there = server.signed_in("adele").await;
    server.clock.advance(WINDOW + TimeDelta::seconds(1));
    for role in [Role::Manager, Role::Admin] {
        user_acts::set_role(&server.services, &command_line(), adele.id, role, &client()).await.unwrap();
        adele_there.get("/admin/users").await.expect(200);
        let end = format!("/admin/users/{}/end-sessions", user.id);
        let to_confirm = adele_there.get(&end).await.expect(303);
        assert!(to_confirm.location().unwrap().starts_with("/confirm?next="));
    }
    expect_all_ask_for_the_password(&mut adele_there, &user).await;
}

// --- in flight ----------------------------------------------------------------------------------------------------

#[rstest]
#[tokio::test]
async fn who_lost_the_role_or_the_account_while_the_request_was_on_its_way_does_nothing(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let user = server.create_user("ursula").await;
    let mut victim = server.signed_in("ursula").await;
    let session = session_of(&server, &user).await.parse().unwrap();
    let services = &server.services;
    let cli = command_line();
    let client = client();

    // As each was read a moment ago.
    let demoted = server.create("adele", Role::Admin).await;
    let suspended = server.create("manuel", Role::Manager).await;
    let deleted = server.create("mona", Role::Manager).await;
    let mut former = Vec::new();
    for user in [&demoted, &suspended, &deleted] {
        former.push((AuthContext::of(user), server.stepped_up(user).await));
    }
    user_acts::set_role(services, &cli, demoted.id, Role::User, &client).await.unwrap();
    user_acts::suspend(services, &cli, suspended.id, &client).await.unwrap();
    user_acts::delete(services, &cli, deleted.id, &client).await.unwrap();
    let before = log(&server).await;
    for (auth, recent) in &former {
        let change = || UserChange { name: Some("Renamed".to_owned()), ..UserChange::default() };
        let outcomes = [
            everyone::end_one(services, auth, session, &client).await.err(),
            everyone::end_selected(services, auth, &[session], &client).await.err(),
            everyone::end_of_account(services, recent, user.id, &client).await.err(),
            everyone::end_all(services, recent, None, &client).await.err(),
            lockout::unlock(services, auth, user.id, &client).await.err(),
            user_acts::set_role(services, recent, user.id, Role::Admin, &client).await.err(),
            user_acts::suspend(services, recent, user.id, &client).await.err(),
            user_acts::reinstate(services, recent, user.id, &client).await.err(),
            user_acts::delete(services, recent, user.id, &client).await.err(),
            users::update(services, recent, user.id, change(), &client).await.err(),
            links::issue_reset(services, recent, user.id, &client).await.err(),
            users::create(services, recent, "eve", "eve@example.com", None, Role::Admin, &client).await.err(),
            signing_keys::rotate(services, recent, None, &client).await.err(),
        ];
        for (number, outcome) in outcomes.into_iter().enumerate() {
            let refused = matches!(outcome, Some(Error::Forbidden | Error::NotSignedIn));
            assert!(refused, "{:?}, act {number}: {outcome:?}", auth.actor);
        }
    }
    assert_eq!(log(&server).await, before, "something was done");
    assert!(victim.is_signed_in().await);
}

// --- text ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn no_text_of_an_administrator_breaks_a_line_or_hides_a_character() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("ursula").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let page = format!("/admin/users/{}", user.id);
    for text in ["a\r\nSet-Cookie: a=b", "a\nb", "\u{1b}[2J", "a\u{2028}b", "a\u{202e}b", "a\u{85}b", "a\u{200b}b"] {
        for field in ["username", "email", "name"] {
            let mut fields = vec![("username", "nora"), ("email", "nora@example.com"), ("name", "Nora")];
            fields.retain(|(name, _)| *name != field);
            let typed = if field == "email" { format!("{text}@example.com") } else { text.to_owned() };
            fields.push((field, &typed));
            for path in ["/admin/users/new", &page] {
                let refused = keeper.submit(path, &fields).await.expect(422);
                assert!(refused.field_error(field).is_some(), "{path}, {field}: {text:?}");
                assert!(refused.headers.keys().all(|name| name != "set-cookie"), "{path}, {field}: {text:?}");
            }
        }
        let role = format!("{page}/role");
        keeper.get(&role).await.expect(200);
        let token = keeper.get("/account").await.csrf_token().unwrap();
        keeper.post(&role, &[("csrf_token", &token), ("role", text)]).await.expect(422);
    }
    assert_eq!(lookup::by_id(&server.services.database, user.id).await.unwrap().version(), user.version());
    assert!(matches!(lookup::find(&server.services.database, "nora").await, Err(Error::NotFound)));
}

// --- lists --------------------------------------------------------------------------------------------------------

#[rstest]
#[tokio::test]
async fn a_cursor_opens_the_list_it_was_given_for_and_no_other(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let mut users = Vec::new();
    for number in 0..60 {
        let name = format!("user{number:02}");
        let email = format!("{name}@example.com");
        let created =
            users::create(&server.services, &command_line(), &name, &email, None, Role::User, &client()).await;
        users.push(created.unwrap().0);
    }
    for _ in 0..60 {
        keeper.clone().sign_out().await;
        keeper = server.signed_in(KEEPER).await;
    }
    let cursor_of = async |keeper: &mut Browser, path: &str| {
        let next = keeper.get(path).await.expect(200).attributes("a[rel='next']", "href").into_iter().next();
        let next = next.unwrap_or_else(|| panic!("{path} has one page"));
        let query: Vec<_> = url::form_urlencoded::parse(next.split('?').nth(1).unwrap().as_bytes()).collect();
        query.iter().find(|(name, _)| name == "cursor").unwrap().1.to_string()
    };
    let lists = [
        "/admin/users?sort=username",
        "/admin/users?sort=-username",
        "/admin/users?sort=-created_at",
        "/admin/users?q=user",
        "/admin/sessions?state=ended",
        "/admin/sessions?state=all",
        "/admin/audit?",
        "/admin/audit?event=sign_out",
    ];
    let mut cursors = Vec::new();
    for list in lists {
        cursors.push(cursor_of(&mut keeper, list).await);
    }
    let rows = async |keeper: &mut Browser, path: &str| keeper.get(path).await.expect(200).texts("tbody tr");
    for (own, list) in lists.iter().enumerate() {
        let first = rows(&mut keeper, list).await;
        assert_ne!(rows(&mut keeper, &format!("{list}&cursor={}", cursors[own])).await, first, "{list}");
        for (number, cursor) in cursors.iter().enumerate().filter(|(number, _)| *number != own) {
            let shown = rows(&mut keeper, &format!("{list}&cursor={cursor}")).await;
            assert_eq!(shown, first, "{list} with the cursor of {}", lists[number]);
        }
    }
    // Another server's, or one whose secret was changed, is no better.
    let other = TestServer::start(Sqlite).await;
    let filter =
        SessionFilter { state: SessionState::All, order: SessionOrder::Beginning, kind: None, user: None, q: None };
    other.create_user("anna").await;
    let foreign = everyone::search(&other.services, &command_line(), &filter, None, 1).await.unwrap().next.unwrap();
    let shown = rows(&mut keeper, &format!("/admin/sessions?state=all&cursor={foreign}")).await;
    assert_eq!(shown, rows(&mut keeper, "/admin/sessions?state=all").await);
}
