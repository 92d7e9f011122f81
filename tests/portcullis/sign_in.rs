//! Signing in: a new secret each time, no oracle, no way out to another site.

use portcullis::domain::audit::Client;
use portcullis::services::administration::user_acts;
use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn a_cookie_planted_before_sign_in_is_worth_nothing_after_it(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut attacker = server.newcomer("mallory").await;
    server.create_user("victor").await;
    for planted in [attacker.cookie().unwrap(), "planted".to_owned()] {
        let mut victim = server.browser();
        victim.jar.set(victim.cookie_name(), &planted);
        // The login form as someone who got the planted cookie would send it.
        let fields = [("username", "victor"), ("password", PASSWORD)];
        let page = victim.post("/login", &fields).await;
        if page.status == 303 {
            assert_ne!(victim.cookie().unwrap(), planted, "the planted value stays");
            assert_eq!(victim.signed_in_as().await.as_deref(), Some("victor"));
        }
        let who = server.browser().with_cookie(&planted).signed_in_as().await;
        assert_ne!(who.as_deref(), Some("victor"), "the planted cookie became the victim's");
    }
    assert!(attacker.signed_in_as().await.is_none_or(|name| name == "mallory"));
}

#[rstest]
#[tokio::test]
async fn every_sign_in_gives_a_new_secret(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut browser = server.newcomer("anna").await;
    let (first, first_token) = (browser.cookie().unwrap(), browser.get("/account").await.csrf_token().unwrap());
    browser.sign_out().await;
    browser.sign_in("anna").await;
    assert_ne!(browser.cookie().unwrap(), first);
    assert_ne!(browser.get("/account").await.csrf_token().unwrap(), first_token);
    assert!(!browser.with_cookie(&first).is_signed_in().await, "the old secret opens the new session");
}

#[rstest]
#[tokio::test]
async fn signing_in_as_someone_else_in_the_same_browser_ends_the_first_session(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    server.create_user("berta").await;
    let mut browser = server.newcomer("anna").await;
    // A second tab still shows the login form of before.
    let annas = browser.cookie().unwrap();
    let page = browser.post("/login", &[("username", "berta"), ("password", PASSWORD)]).await;
    page.expect_redirect("/account");
    assert_eq!(browser.signed_in_as().await.as_deref(), Some("berta"));
    assert!(!browser.get("/account").await.body.contains("anna"), "something of the first account is left");
    assert!(!browser.with_cookie(&annas).is_signed_in().await, "the first session lives on");
}

#[tokio::test]
async fn an_unknown_name_a_wrong_password_and_a_suspended_account_get_the_same_answer() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("present").await;
    let suspended = server.create_user("suspend").await;
    user_acts::suspend(&server.services, &command_line(), suspended.id, &Client::default()).await.unwrap();

    let mut answers = Vec::new();
    for (name, password) in [("missing", PASSWORD), ("present", NEW_PASSWORD), ("suspend", PASSWORD)] {
        let page = server.browser().try_sign_in(name, password).await.expect(401);
        let request_id = page.header("x-request-id").expect("a request id").to_owned();
        let mut headers = page.headers.clone();
        headers.remove("date");
        headers.remove("x-request-id");
        headers.remove("ratelimit");
        let form_id = page.value("form_id").expect("a form’s id");
        let body = page.body.replace(name, "NAME").replace(&request_id, "ID").replace(&form_id, "FORM");
        answers.push((headers, body));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}

#[tokio::test]
async fn a_refused_sign_in_shows_exactly_what_was_typed_and_never_the_password() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    for typed in ["ANNA", " anna ", "Anna@Example.com", "nobody <b>", "\"quoted\""] {
        let page = server.browser().try_sign_in(typed, "not her password").await.expect(401);
        assert_eq!(page.value("username").as_deref(), Some(typed));
        assert!(!page.body.contains("not her password"));
        assert!(page.title().starts_with("Error"), "{}", page.title());
    }
}

#[tokio::test]
async fn a_name_is_found_in_every_spelling_that_means_the_same() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    for typed in ["anna", "ANNA", " anna ", "anna@example.com", "Anna@EXAMPLE.com", "\u{ff41}nna"] {
        let page = server.browser().try_sign_in(typed, PASSWORD).await;
        assert_eq!(page.status, 303, "{typed:?}: {}", page.excerpt());
    }
}

#[tokio::test]
async fn nothing_but_a_post_to_login_signs_in() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    let fields = format!("username=anna&password={}", PASSWORD.replace(' ', "+"));
    let mut browser = server.browser();
    browser.get(&format!("/login?{fields}")).await.expect(200);
    for method in ["HEAD", "PUT", "PATCH", "DELETE"] {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("x-http-method-override", "POST"),
        ];
        let body = Some(fields.clone().into_bytes());
        let page =
            browser.send(method.parse().unwrap(), &format!("/login?{fields}&_method=POST"), &headers, body).await;
        assert!(method == "HEAD" || page.status == 405, "{method}: {}", page.status);
        assert!(method == "HEAD" || page.header("allow").is_some_and(|allow| allow.contains("POST")), "{method}");
    }
    assert_eq!(browser.cookie(), None);
}

#[tokio::test]
async fn someone_signed_in_goes_from_login_to_the_account() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    browser.get("/login").await.expect_redirect("/account");
    browser.get("/").await.expect_redirect("/account");
    server.browser().get("/").await.expect_redirect("/login");
}

#[tokio::test]
async fn a_guest_is_sent_to_login_and_then_to_the_page_that_was_asked_for() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    let mut browser = server.browser();
    let login = browser.get("/account/sessions").await.expect_sign_in().location().unwrap().to_owned();
    let page = browser.submit(&login, &[("username", "anna"), ("password", PASSWORD)]).await;
    page.expect_redirect("/account/sessions");
}

/// Each is where an attacker would like to send someone after signing in.
const EVIL_NEXT: &[&str] = &[
    "//evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "///evil.example",
    "////evil.example",
    "/%2fevil.example",
    "/%5cevil.example",
    "/%09/evil.example",
    "/\t/evil.example",
    "\t//evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    " //evil.example",
    "https:evil.example",
    "https:/evil.example",
    "https://evil.example",
    "http://evil.example",
    "HTTPS://evil.example",
    "http:\\\\evil.example",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "/..//evil.example",
    "/.//evil.example",
    "/./\\evil.example",
    "/account/..//evil.example",
    "/account/../..//evil.example",
    "/%2e%2e//evil.example",
    "//evil.example%00",
    "@evil.example",
    "//localhost@evil.example",
    "http://127.0.0.1@evil.example",
    ".evil.example",
    "evil.example",
    "//evil.example/%2f..",
    "//evil%E3%80%82example",
    "//evil\u{3002}example",
    "/\u{ff0f}evil.example",
    "\u{2028}//evil.example",
    "\u{a0}//evil.example",
    "//[::1]@evil.example",
    "?next=//evil.example",
    "/account\r\nSet-Cookie: planted=1",
    "/account%0d%0aSet-Cookie:%20planted=1",
    "",
    " ",
    "#",
    "?",
    "/login?next=//evil.example",
    "/logout",
    "mailto:a@b.c",
    "file:///etc/passwd",
    "blob:x",
    "://evil.example",
    "/;//evil.example",
    "//;@evil.example",
];

#[tokio::test]
async fn no_next_leads_to_another_site() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    let base = url::Url::parse(&server.public_url).unwrap();
    let long = format!("//evil.example/{}", "a".repeat(6000));
    for next in EVIL_NEXT.iter().copied().chain([long.as_str()]) {
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let mut browser = server.browser();
        // Through the page, as a victim comes, and past it.
        let fields = [("username", "anna"), ("password", PASSWORD)];
        let through = browser.submit(&format!("/login?next={query}"), &fields).await;
        let fields = [("username", "anna"), ("password", PASSWORD), ("next", next)];
        let past = server.browser().post("/login", &fields).await;
        for page in [through, past] {
            assert_eq!(page.status, 303, "{next:?}: {}", page.excerpt());
            let location = page.location().unwrap();
            let resolved = base.join(location).unwrap_or_else(|error| panic!("{next:?} → {location:?}: {error}"));
            assert_eq!(resolved.origin(), base.origin(), "{next:?} → {location:?}");
            assert!(
                page.set_cookies().iter().all(|cookie| cookie.name.contains("portcullis")),
                "{next:?} split the head"
            );
        }
    }
}

#[tokio::test]
async fn a_bad_next_is_never_an_error() {
    let server = TestServer::start(Sqlite).await;
    let long = format!("next=/{}", "a".repeat(20_000));
    for query in ["next=/account&next=//evil.example", "next", "next=%2f%2f", "next[]=x", "a=b&&&=", "next=%20", &long]
    {
        server.browser().get(&format!("/login?{query}")).await.expect(200);
    }
}

#[tokio::test]
async fn a_good_next_is_kept_through_a_refused_sign_in() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    let mut browser = server.browser();
    let fields = [("username", "anna"), ("password", "wrong password")];
    let page = browser.submit("/login?next=%2Faccount%2Factivity", &fields).await.expect(401);
    let page = browser.submit_form(page.form("/login"), &[("username", "anna"), ("password", PASSWORD)]).await;
    page.expect_redirect("/account/activity");
}

#[tokio::test]
async fn a_failed_sign_in_under_an_unknown_name_is_logged_without_that_name() {
    // People type their password into the wrong field.
    let program = Program::with_administrator();
    let running = program.serve().await;
    let body = "username=canary-in-the-name&password=canary-in-the-password";
    let headers: [&[u8]; 2] = [b"Content-Type: application/x-www-form-urlencoded", b"Sec-Fetch-Site: same-origin"];
    let request = raw::request(b"POST", b"/login", &headers, body.as_bytes());
    assert_eq!(raw::exchange(program.address(), &request).await.status, 401);
    assert!(!running.output().contains("canary"), "{}", running.output());
}
