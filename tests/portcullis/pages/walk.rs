//! A walk through every page, in each state that a person may meet.

use portcullis::domain::audit::Client;
use portcullis::domain::{Event, Role, SessionId, SessionKind, User};
use portcullis::services::accounts::{links, lookup};
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::{everyone, signing_keys};
use serde_json::json;

use crate::admin_audit::{self, audit_by};
use crate::admin_users::{LONG_AGO, create};
use crate::limits::RATE;
use crate::stores_down::server_behind_relay;
use crate::support::gallery::Picture;
use crate::support::hostile::{EMAIL, POLYGLOTS, long_email, long_name};
use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;
use crate::{admin_sessions, dashboard};

/// More than a page of any list.
const MANY: usize = 60;

/// What was seen so far.
#[derive(Default)]
struct Walk(Vec<Picture>);

impl Walk {
    fn keep(&mut self, title: &str, page: Page) {
        let kind = page.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{title}: {} {kind} {}", page.status, page.excerpt());
        self.0.push(Picture { title: title.to_owned(), page });
    }

    async fn open(&mut self, title: &str, browser: &mut Browser, path: &str) {
        self.keep(title, browser.get(path).await.expect(200));
    }

    /// Sends the form of `path` with these fields, which brings a page with this status.
    async fn refused(
        &mut self,
        title: &str,
        browser: &mut Browser,
        path: &str,
        fields: &[(&str, &str)],
        status: u16,
    ) -> Page {
        let page = browser.submit(path, fields).await.expect(status);
        self.keep(title, page.clone());
        page
    }

    /// Sends the form of `path` with these fields, and looks at where that leads.
    async fn done(&mut self, title: &str, browser: &mut Browser, path: &str, fields: &[(&str, &str)]) {
        let answer = browser.submit(path, fields).await.expect(303);
        self.open(title, browser, answer.location().expect("where to")).await;
    }
}

/// All pages, in all their states.
pub async fn pictures() -> Vec<Picture> {
    let mut walk = Walk::default();
    new_server(&mut walk).await;
    let server = TestServer::with(Sqlite, &[("lockout_threshold", "5")]).await;
    signing_keys::prepare(&server.services).await.unwrap();
    let people = People::arrive(&server).await;
    guest(&mut walk, &server, &people).await;
    owner(&mut walk, &server).await;
    manager(&mut walk, &server, &people).await;
    users(&mut walk, &server, &people).await;
    acts(&mut walk, &server, &people).await;
    lists(&mut walk, &server, &people).await;
    installation(&mut walk, &server).await;
    walk.0
}

/// A server at its very start: nobody, then its first administrator.
async fn new_server(walk: &mut Walk) {
    let server = TestServer::without_administrator(Stores::new(Sqlite).await, &[]).await;
    let mut browser = server.browser();
    walk.open("login without an administrator", &mut browser, "/login").await;
    walk.keep("register closed", browser.get("/register").await.expect(403));
    let link = links::issue_setup(&server.services).await.unwrap().url;
    let setup = link.strip_prefix(&server.public_url).unwrap();
    walk.open("setup", &mut browser, setup).await;
    let wrong = [("username", POLYGLOTS[0]), ("email", POLYGLOTS[1]), ("password", "short")];
    walk.refused("setup refused", &mut browser, setup, &wrong, 422).await;
    let right = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    walk.done("account right after setup", &mut browser, setup, &right).await;
    walk.keep("setup link used", server.browser().get(setup).await.expect(410));
    for (title, path) in [
        ("dashboard of a new server", "/admin"),
        ("the only account", "/admin/users"),
        ("the only session", "/admin/sessions"),
        ("no ended session", "/admin/sessions?state=ended"),
        ("audit log of a new server", "/admin/audit"),
        ("keys of a new server", "/admin/keys"),
        ("end all when there is one", "/admin/sessions/end?all=1"),
    ] {
        walk.open(title, &mut browser, path).await;
    }

    let server = TestServer::with(Sqlite, &[RATE]).await;
    for _ in 0..3 {
        server.browser().attempt(&[]).await.expect(401);
    }
    walk.keep("too many attempts", server.browser().attempt(&[]).await.expect(429));

    let (server, relay, _) = server_behind_relay().await;
    relay.cut_off();
    walk.keep("database away", server.browser().get("/login").await.expect(503));

    let settings = [
        ("jwt_algorithm", "HS256"),
        ("jwt_secret", "a secret of more than 32 bytes that is shared"),
        ("public_url", "http://auth.example.org"),
        ("trusted_proxies", ""),
    ];
    let server = TestServer::with(Sqlite, &settings).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let forwarded = [("x-forwarded-for", "203.0.113.9")];
    keeper.send(reqwest::Method::GET, "/account", &forwarded, None).await.expect(200);
    walk.open("dashboard that needs attention", &mut keeper, "/admin").await;
    walk.open("keys that are shared", &mut keeper, "/admin/keys").await;
    walk.open("settings with a secret", &mut keeper, "/admin/settings").await;
    walk.refused("rotation refused", &mut keeper, "/admin/keys/rotate", &[], 422).await;
}

/// Whoever is met on the way.
struct People {
    /// Has an ordinary name and one session.
    anna: User,
    /// Writes polyglots wherever text is taken, and has many sessions.
    stranger: User,
    /// Has the longest name and address there can be.
    long: User,
    locked: User,
    suspended: User,
}

impl People {
    async fn arrive(server: &TestServer) -> Self {
        for number in 0..MANY {
            create(server, &format!("user{number:02}"), &format!("user{number:02}@example.com"), "").await;
        }
        server.create("manuel", Role::Manager).await;
        server.create_user("owen").await;
        let anna = server.create_user("anna").await;
        server.signed_in("anna").await;

        let mut browser = server.browser();
        browser.user_agent = format!("Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0 {}", POLYGLOTS[1]);
        let register = browser.get("/register").await.expect(200).form("/register");
        let fields = [("username", "stranger"), ("email", EMAIL), ("name", POLYGLOTS[0]), ("password", PASSWORD)];
        browser.submit_form(register, &fields).await.expect(303);
        let stranger = lookup::find(&server.services.database, "stranger").await.unwrap();
        for text in POLYGLOTS {
            // One that goes on, and one in the history.
            program(server, "stranger", text).await;
            let ended = program(server, "stranger", text).await;
            ended.post("/api/v1/auth/logout", &json!({})).await.expect(204);
            let revoked = program(server, "stranger", text).await.session_id.parse().unwrap();
            everyone::end_one(&server.services, &command_line(), revoked, &Client::default()).await.unwrap();
            audit_by(server, &stranger, text, text).await;
        }
        admin_sessions::seed(server, &stranger, MANY, SessionKind::Api, POLYGLOTS[0]).await;
        admin_audit::seed(server, "stranger", MANY, Event::SignOut, "2001:db8:1234:5678:9abc:def0:1234:5678").await;

        let long = format!("l{}", "o".repeat(31));
        let client = Client::default();
        let long = create(server, &long, &long_email(), &long_name()).await;
        let link = links::issue_reset(&server.services, &command_line(), long.id, &client).await.unwrap().url;
        let reset = link.strip_prefix(&server.public_url).unwrap();
        server.browser().submit(reset, &[("new_password", PASSWORD)]).await.expect(303);
        program(server, long.username.as_str(), &long_name()).await;

        let locked = server.create_user("locked").await;
        for _ in 0..5 {
            server.browser().try_sign_in("locked", NEW_PASSWORD).await.expect(401);
        }
        let suspended = server.create_user("suspended").await;
        user_acts::suspend(&server.services, &command_line(), suspended.id, &client).await.unwrap();
        Self { anna, stranger, long, locked, suspended }
    }
}

/// A program on a device of this name.
async fn program(server: &TestServer, username: &str, device: &str) -> ApiClient {
    let mut program = ApiClient::new(server);
    let body = json!({ "username": username, "password": PASSWORD, "device_name": device });
    let headers = [("user-agent", POLYGLOTS[0]), ("x-forwarded-for", POLYGLOTS[1])];
    let answer = program.json_with("POST", "/api/v1/auth/login", &body, &headers).await;
    program.keep(&answer.expect(200));
    program
}

/// Nobody, and what goes wrong for anybody.
async fn guest(walk: &mut Walk, server: &TestServer, people: &People) {
    let mut browser = server.browser();
    walk.open("login", &mut browser, "/login").await;
    walk.open("login with a hostile next", &mut browser, &format!("/login?next=/{}", hostile())).await;
    let fields = [("username", POLYGLOTS[0]), ("password", "wrong")];
    walk.refused("login refused", &mut browser, "/login", &fields, 401).await;
    let fields = [("username", "locked"), ("password", "wrong")];
    walk.refused("login locked", &mut browser, "/login", &fields, 429).await;
    walk.open("register", &mut browser, "/register").await;
    let wrong = [("username", POLYGLOTS[0]), ("email", POLYGLOTS[1]), ("name", POLYGLOTS[2]), ("password", "password")];
    walk.refused("register refused", &mut browser, "/register", &wrong, 422).await;
    let taken = [("username", "anna"), ("email", "anna@example.com"), ("password", PASSWORD)];
    walk.refused("register taken", &mut browser, "/register", &taken, 409).await;

    let link =
        links::issue_reset(&server.services, &command_line(), people.suspended.id, &Client::default()).await.unwrap();
    let reset = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    walk.open("reset", &mut browser, &reset).await;
    walk.refused("reset refused", &mut browser, &reset, &[("new_password", "password")], 422).await;
    walk.done("login after reset", &mut browser, &reset, &[("new_password", PASSWORD)]).await;
    walk.keep("reset link used", browser.get(&reset).await.expect(410));

    walk.keep("no such page", browser.get(&format!("/{}", hostile())).await.expect(404));
    let fields = [("username", "anna"), ("password", PASSWORD)];
    let elsewhere = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    walk.keep("forged", browser.post_with("/login", &fields, &elsewhere).await.expect(403));
    walk.keep("wrong method", browser.post("/docs", &[]).await.expect(405));
    walk.keep("too much", browser.post("/login", &[("username", &"x".repeat(70_000))]).await.expect(413));
    walk.keep(
        "unreadable",
        browser
            .post_bytes("/login", b"username=%FF&password=x".to_vec(), &[("sec-fetch-site", "same-origin")])
            .await
            .expect(400),
    );
    walk.open("reference of the API", &mut browser, "/docs").await;
}

/// Owners of an ordinary account and of a hostile one.
async fn owner(walk: &mut Walk, server: &TestServer) {
    for name in ["owen", "stranger"] {
        let mut browser = server.signed_in(name).await;
        for path in [
            "/account",
            "/account/profile",
            "/account/password",
            "/account/sessions",
            "/account/activity",
            "/confirm",
            "/logout",
        ] {
            walk.open(&format!("{path} of {name}"), &mut browser, path).await;
        }
    }
    let mut browser = server.signed_in("stranger").await;
    walk.open("all of many sessions", &mut browser, "/account/sessions?limit=100").await;
    let page = browser.get("/account/activity").await.expect(200);
    let older = page.attributes(".bar .onward", "href").pop().expect("an older page");
    walk.open("older activity", &mut browser, &older).await;
    walk.open("confirm with a hostile next", &mut browser, &format!("/confirm?next=/{}", hostile())).await;
    walk.refused("confirm refused", &mut browser, "/confirm", &[("password", "wrong")], 401).await;
    let wrong = [("current_password", "wrong"), ("new_password", NEW_PASSWORD)];
    walk.refused("password refused", &mut browser, "/account/password", &wrong, 401).await;
    let weak = [("current_password", PASSWORD), ("new_password", "password")];
    walk.refused("password too weak", &mut browser, "/account/password", &weak, 422).await;
    let wrong = [("name", POLYGLOTS[1]), ("email", POLYGLOTS[2])];
    walk.refused("profile refused", &mut browser, "/account/profile", &wrong, 422).await;
    walk.done("profile saved", &mut browser, "/account/profile", &[("name", POLYGLOTS[0]), ("email", EMAIL)]).await;
    walk.keep("not for the role", browser.get("/admin").await.expect(403));
    for path in ["/account/profile", "/account/password", "/account/sessions/end-others", "/confirm", "/logout"] {
        let typed = [("name", POLYGLOTS[0]), ("email", EMAIL)];
        walk.keep(&format!("{path} of an earlier sign-in"), browser.post(path, &typed).await.expect(403));
    }

    let mut browser = server.signed_in("owen").await;
    let other = server.signed_in("owen").await;
    let id = browser.other_sessions().await.pop().expect("the other").id;
    browser.end_session(&id).await.expect(303);
    walk.open("a session has ended", &mut browser, "/account/sessions").await;
    drop(other);
    browser.sign_out().await;
    walk.open("login after signing out", &mut browser, "/login").await;
}

/// A manager sees what an administrator sees, with fewer acts.
async fn manager(walk: &mut Walk, server: &TestServer, people: &People) {
    let mut browser = server.signed_in("manuel").await;
    let keeper = server.id_of(KEEPER).await;
    for path in [
        "/admin".to_owned(),
        "/admin/users".to_owned(),
        page_of(&people.anna),
        page_of(&people.locked),
        format!("/admin/users/{keeper}"),
        "/admin/sessions".to_owned(),
        "/admin/sessions/end?all=1".to_owned(),
        "/admin/audit".to_owned(),
    ] {
        walk.open(&format!("{path} as a manager"), &mut browser, &path).await;
    }
    walk.keep("keys as a manager", browser.get("/admin/keys").await.expect(403));
}

/// The list of users, and one of them in each state.
async fn users(walk: &mut Walk, server: &TestServer, people: &People) {
    let mut keeper = server.signed_in(KEEPER).await;
    for query in ["", "?sort=-created_at", "?q=no-such-user", "?q=stranger", "?q=looo", "?status=locked&role=user"] {
        walk.open(&format!("users {query}"), &mut keeper, &format!("/admin/users{query}")).await;
    }
    let text = hostile();
    let path = format!("/admin/users?q={text}&role={text}&status={text}&sort={text}&cursor={text}");
    walk.open("users with a hostile query", &mut keeper, &path).await;
    follow(walk, &mut keeper, "/admin/users").await;
    walk.open("new user", &mut keeper, "/admin/users/new").await;
    let wrong = [("username", POLYGLOTS[0]), ("email", POLYGLOTS[1]), ("name", POLYGLOTS[2]), ("role", POLYGLOTS[3])];
    walk.refused("new user refused", &mut keeper, "/admin/users/new", &wrong, 422).await;
    let fields = [("username", "nora"), ("email", "nora@example.com"), ("name", "Nora N."), ("role", "manager")];
    walk.done("new user and link", &mut keeper, "/admin/users/new", &fields).await;

    let keepers = lookup::find(&server.services.database, KEEPER).await.unwrap();
    for user in [&people.anna, &people.stranger, &people.long, &people.locked, &people.suspended, &keepers] {
        walk.open(&format!("the page of {}", user.username), &mut keeper, &page_of(user)).await;
    }
    let path = page_of(&people.stranger);
    let wrong = [("username", POLYGLOTS[0]), ("email", POLYGLOTS[1]), ("name", &"x".repeat(101))];
    walk.refused("edit refused", &mut keeper, &path, &wrong, 422).await;
    let old = keeper.get(&path).await.expect(200).form(&path);
    walk.done("edit saved", &mut keeper, &path, &[("name", POLYGLOTS[3])]).await;
    let overtaken = keeper.submit_form(old, &[("name", POLYGLOTS[2])]).await.expect(409);
    walk.keep("edit overtaken", overtaken);
}

/// What can be done to a user: the question, the refusal, and the page after it.
async fn acts(walk: &mut Walk, server: &TestServer, people: &People) {
    let mut keeper = server.signed_in(KEEPER).await;
    for user in [&people.stranger, &people.long] {
        for act in ["role", "suspend", "reinstate", "reset-link", "end-sessions", "delete"] {
            let path = format!("{}/{act}", page_of(user));
            walk.open(&format!("{act} {}?", user.username), &mut keeper, &path).await;
        }
    }
    let path = format!("{}/role?role={}", page_of(&people.stranger), hostile());
    walk.open("a hostile role", &mut keeper, &path).await;
    let path = format!("{}/role", page_of(&people.anna));
    walk.refused("role refused", &mut keeper, &path, &[("role", POLYGLOTS[0])], 422).await;
    let last = format!("/admin/users/{}/delete", server.id_of(KEEPER).await);
    walk.refused("the last administrator", &mut keeper, &last, &[], 409).await;
    walk.done("role changed", &mut keeper, &path, &[("role", "manager")]).await;
    for (act, user) in [("suspend", &people.anna), ("reset-link", &people.long), ("delete", &people.suspended)] {
        walk.done(&format!("{act} done"), &mut keeper, &format!("{}/{act}", page_of(user)), &[]).await;
    }
    let path = page_of(&people.locked);
    let unlock = keeper.get(&path).await.expect(200).form(&format!("{path}/unlock"));
    keeper.submit_form(unlock, &[]).await.expect(303);
    walk.open("unlocked", &mut keeper, &path).await;
    walk.keep("no such user", keeper.get(&page_of(&people.suspended)).await.expect(404));

    let own = format!("/admin/users/{}", server.id_of(KEEPER).await);
    walk.open("the own role", &mut keeper, &format!("{own}/role")).await;

    for path in [format!("{path}/delete"), page_of(&people.anna), "/admin/keys/rotate".to_owned()] {
        let page = keeper.post(&path, &[]).await.expect(403);
        walk.keep(&format!("{path} of an earlier sign-in"), page);
    }

    let new_user = keeper.get("/admin/users/new").await.expect(200).form("/admin/users/new");
    server.clock.advance(LONG_AGO);
    walk.open("confirm an act", &mut keeper, &format!("/confirm?next={path}/delete")).await;
    walk.open("a user's page long after the password", &mut keeper, &page_of(&people.anna)).await;
    let typed = [("username", POLYGLOTS[0]), ("email", POLYGLOTS[1]), ("name", POLYGLOTS[2])];
    let asked = keeper.submit_form(new_user, &typed).await.expect(303).location().expect("to confirm").to_owned();
    walk.open("confirm with something typed", &mut keeper, &asked).await;
    let onward = keeper.submit(&asked, &[("password", PASSWORD)]).await.expect(303);
    walk.open("what was typed", &mut keeper, onward.location().expect("back to the form")).await;
}

/// Sessions and the audit log.
async fn lists(walk: &mut Walk, server: &TestServer, people: &People) {
    let mut keeper = server.signed_in(KEEPER).await;
    let ids = [&people.stranger, &people.long].map(|user| user.id);
    for path in [
        "/admin/sessions".to_owned(),
        "/admin/sessions?state=ended".to_owned(),
        "/admin/sessions?state=all".to_owned(),
        "/admin/sessions?kind=api&q=looo".to_owned(),
        "/admin/sessions?q=nobody-at-all".to_owned(),
        format!("/admin/sessions?user={}", ids[0]),
        format!("/admin/sessions?user={}&state=ended", ids[0]),
        format!("/admin/sessions/end?user={}", ids[0]),
        "/admin/sessions/end?all=1".to_owned(),
        "/admin/audit".to_owned(),
        "/admin/audit?user=stranger".to_owned(),
        "/admin/audit?event=sign_in.failed&outcome=failure".to_owned(),
        "/admin/audit?until=2020-01-01".to_owned(),
    ] {
        walk.open(&path, &mut keeper, &path).await;
    }
    let text = hostile();
    let path = format!("/admin/sessions?q={text}&kind={text}&state={text}&user={text}&cursor={text}");
    walk.open("sessions with a hostile query", &mut keeper, &path).await;
    let times = format!("since={text}&until={text}&address={text}");
    let path = format!("/admin/audit?{times}&user={text}&event={text}&outcome={text}&cursor={text}");
    walk.keep("audit with a hostile query", keeper.get(&path).await.expect(422));
    walk.open("audit of a hostile user", &mut keeper, &format!("/admin/audit?user={text}&cursor={text}")).await;
    follow(walk, &mut keeper, "/admin/sessions").await;
    follow(walk, &mut keeper, "/admin/audit").await;

    let page = keeper.get(&format!("/admin/sessions?user={}", ids[0])).await.expect(200);
    let boxes = page.attributes("input[name='id']", "value");
    walk.open("end one?", &mut keeper, &format!("/admin/sessions/{}/end", boxes[0])).await;
    walk.open("end some?", &mut keeper, &format!("/admin/sessions/end?id={}&id={}", boxes[0], boxes[1])).await;
    walk.keep("end nothing?", keeper.get("/admin/sessions/end").await.expect(422));
    let path = format!("/admin/sessions/{}/end", boxes[0]);
    walk.done("one has ended", &mut keeper, &path, &[]).await;
    walk.open("one that has ended already", &mut keeper, &path).await;
    walk.open("some that have ended already", &mut keeper, &format!("/admin/sessions/end?id={}", boxes[0])).await;
    let unknown = SessionId::new(server.clock.now());
    walk.keep("no such session", keeper.get(&format!("/admin/sessions/{unknown}/end")).await.expect(404));
    let path = format!("{}/end-sessions", page_of(&people.stranger));
    walk.done("all of one have ended", &mut keeper, &path, &[]).await;
    walk.open("there is no session to end", &mut keeper, &path).await;
}

/// What concerns the server as a whole.
async fn installation(walk: &mut Walk, server: &TestServer) {
    let mut keeper = server.signed_in(KEEPER).await;
    for address in
        ["2001:db8:1234:5678:9abc:def0:1234:5678", "203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"]
    {
        dashboard::fail(server, address, 2).await;
        dashboard::fail(server, "203.0.113.9", 1).await;
    }
    walk.open("dashboard", &mut keeper, "/admin").await;
    walk.open("settings", &mut keeper, "/admin/settings").await;
    walk.open("rotate?", &mut keeper, "/admin/keys/rotate").await;
    walk.done("keys rotated", &mut keeper, "/admin/keys/rotate", &[]).await;
}

/// The second page of a list.
async fn follow(walk: &mut Walk, browser: &mut Browser, path: &str) {
    let page = browser.get(path).await.expect(200);
    let next = page.attributes("a[rel='next']", "href").pop().unwrap_or_else(|| panic!("{path} has one page only"));
    walk.open(&format!("{path}, second page"), browser, &next).await;
}

fn page_of(user: &User) -> String {
    format!("/admin/users/{}", user.id)
}

/// For a query or a path.
fn hostile() -> String {
    url::form_urlencoded::byte_serialize(POLYGLOTS.concat().as_bytes()).collect()
}
