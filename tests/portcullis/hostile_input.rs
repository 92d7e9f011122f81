//! What attackers type: more fields than asked for, code of all languages, bytes that are no text.

use portcullis::domain::Role;
use portcullis::domain::audit::Client;
use portcullis::services::accounts::{links, lookup};
use portcullis::services::sessions::account;
use rstest::rstest;
use serde_json::json;

use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;

/// Fields by which someone could try to become more than a user.
const MORE: &[(&str, &str)] = &[
    ("role", "admin"),
    ("is_admin", "true"),
    ("admin", "1"),
    ("roles[]", "admin"),
    ("user[role]", "admin"),
    ("status", "active"),
    ("email_verified", "true"),
    ("password_hash", "$argon2id$x"),
    ("id", "1"),
    ("user_id", "1"),
    ("epoch", "0"),
    ("Role", "admin"),
    ("role ", "admin"),
    ("created_at", "2000-01-01"),
];

#[tokio::test]
async fn no_extra_field_of_a_form_makes_anyone_more_than_a_user() {
    let server = TestServer::start(Sqlite).await;
    for (number, &(field, value)) in MORE.iter().enumerate() {
        let name = format!("climber{number}");
        let email = format!("{name}@example.com");
        let query: String = url::form_urlencoded::byte_serialize(field.as_bytes()).collect();
        let path = format!("/register?{query}={value}&role=admin");
        let mut browser = server.browser();
        let fields = [("username", name.as_str()), ("email", &email), ("password", PASSWORD), (field, value)];
        let page = browser.post(&path, &fields).await;
        assert!(page.status == 303 || (400..500).contains(&page.status), "{field}: {}", page.status);
        if page.status != 303 {
            continue;
        }
        let token = browser.get("/account").await.csrf_token().unwrap();
        for (path, rest) in [
            ("/account/profile", vec![("name", "Climber"), ("email", email.as_str())]),
            ("/account/password", vec![("current_password", PASSWORD), ("new_password", NEW_PASSWORD)]),
        ] {
            let mut fields = vec![("csrf_token", token.as_str()), (field, value)];
            fields.extend(rest);
            let page = browser.post(path, &fields).await;
            assert!(page.status == 303 || (400..500).contains(&page.status), "{path} {field}: {}", page.status);
        }
        let user = lookup::find(&server.services.database, &name).await.unwrap();
        assert_eq!(user.role, Role::User, "{field}");
    }
    // The same field twice is refused, or the first or the last counts: never a third thing.
    let body = b"username=twice1&username=twice2&email=t%40example.com&password=copper+lantern+drifts+at+noon".to_vec();
    let page = server.browser().post_bytes("/register", body, &[("sec-fetch-site", "same-origin")]).await;
    assert!(page.status == 303 || page.status == 400 || page.status == 422, "{}", page.status);
}

/// The audit log and the lists of sessions say `cli`, `system` and `anonymous` of who has no account.
#[tokio::test]
async fn nobody_takes_a_name_that_stands_for_the_server_itself() {
    let server = TestServer::without_administrator(Stores::new(Sqlite).await, &[]).await;
    let link = links::issue_setup(&server.services).await.unwrap().url;
    let setup = link.strip_prefix(&server.public_url).unwrap();
    let refused = |page: Page| {
        let error = page.expect(422).field_error("username").unwrap();
        assert!(error.contains("stands for the server itself"), "{error}");
    };
    let fields = [("username", "cli"), ("email", "cli@example.com"), ("password", PASSWORD)];
    refused(server.browser().submit(setup, &fields).await);
    let mut keeper = server.browser();
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    keeper.submit(setup, &fields).await.expect(303);
    let program = server.program(KEEPER).await;
    let anna = format!("users/{}", server.create_user("anna").await.id);
    for name in ["cli", "System", "ANONYMOUS"] {
        let email = format!("{name}@example.com");
        refused(server.browser().try_register(name, &email, PASSWORD).await);
        refused(keeper.submit("/admin/users/new", &[("username", name), ("email", &email)]).await);
        refused(keeper.submit(&format!("/admin/{anna}"), &[("username", name)]).await);
        let account = json!({ "username": name, "email": email });
        let registered = json!({ "username": name, "email": email, "password": PASSWORD });
        for (method, path, body) in [
            ("POST", "auth/register", registered),
            ("POST", "users", account),
            ("PATCH", &anna, json!({ "username": name })),
        ] {
            let answer = program.json(method, &format!("/api/v1/{path}"), &body).await.expect(422).json();
            let error = &answer["errors"][0];
            assert_eq!((&error["field"], &error["code"]), (&json!("username"), &json!("reserved")), "{method} {path}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn nothing_that_is_typed_reaches_a_store_as_more_than_text(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut anna = server.newcomer("anna").await;
    let mut tab = server.signed_in("anna").await;
    let user = server.id_of("anna").await;
    let hash_tag = format!("{{{user}}}");
    let long = "x".repeat(10_000);
    let texts = [
        "' OR '1'='1",
        "\"; DROP TABLE users; --",
        "anna' --",
        "anna\\",
        "*",
        "?",
        "[a-z]*",
        "%",
        "_",
        "a%00b",
        "${7*7}",
        "anna\r\nDEL x",
        "\r\nFLUSHALL\r\n",
        &hash_tag,
        "{}",
        "{{7*7}}",
        "\u{202e}",
        "a:b:c",
        &long,
        "../../..",
        "|id",
        "`id`",
    ];
    for text in texts {
        let page = server.browser().post("/login", &[("username", text), ("password", text)]).await;
        assert!((400..500).contains(&page.status), "/login {text:?}: {}", page.status);
        let fields = [("username", text), ("email", text), ("name", text), ("password", text)];
        let page = server.browser().post("/register", &fields).await;
        assert!((400..500).contains(&page.status), "/register {text:?}: {}", page.status);
        let token = anna.get("/account").await.csrf_token().unwrap();
        let path: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let page = anna.post(&format!("/account/sessions/{path}/end"), &[("csrf_token", &token)]).await;
        assert!((400..500).contains(&page.status), "{text:?} as an id: {}", page.status);
        let page = server.browser().get(&format!("/reset/{path}")).await;
        assert!((400..500).contains(&page.status), "{text:?} as a link: {}", page.status);
        let page = anna.get(&format!("/account/activity?before={path}&limit={path}")).await;
        assert!(page.status < 500, "{text:?} as a cursor: {}", page.status);
    }
    assert!(anna.is_signed_in().await && tab.is_signed_in().await, "someone was signed out");
    assert_eq!(account::live(&server.services, user, 10).await.unwrap().0.len(), 2);
}

/// Every form that there is, opened by who may open it: the page, and the action.
async fn all_forms(server: &TestServer, anna: &mut Browser) -> Vec<(Page, String)> {
    let user = server.id_of("anna").await;
    let link = links::issue_reset(&server.services, &command_line(), user, &Client::default()).await.unwrap();
    let reset = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    let mut forms = Vec::new();
    for path in ["/login", "/register", reset.as_str()] {
        forms.push((server.browser().get(path).await.expect(200), path.to_owned()));
    }
    for path in ["/confirm", "/account/profile", "/account/password"] {
        forms.push((anna.get(path).await.expect(200), path.to_owned()));
    }
    forms
}

#[rstest]
#[tokio::test]
async fn nul_and_broken_utf_8_are_a_clear_4xx_in_every_field(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut anna = server.newcomer("anna").await;
    for (page, action) in all_forms(&server, &mut anna).await {
        let form = page.form(&action);
        for field in form.fields.iter().map(|(name, _)| name).chain(&form.inputs) {
            for bad in ["%00", "a%00b", "%ff", "%c3%28", "%ed%a0%80", "%f5%80%80%80", "\u{0}"] {
                let mut parts = Vec::new();
                for (name, value) in &form.fields {
                    let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                    parts.push(if name == field { format!("{name}={bad}") } else { format!("{name}={value}") });
                }
                if !form.fields.iter().any(|(name, _)| name == field) {
                    parts.push(format!("{field}={bad}"));
                }
                let mut browser = if form.fields.iter().any(|(name, _)| name == "csrf_token") {
                    anna.clone()
                } else {
                    server.browser()
                };
                let origin = server.public_url.clone();
                let headers = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
                let answer = browser.post_bytes(&action, parts.join("&").into_bytes(), &headers).await;
                // `remember` only has to be there; where one goes next may be nowhere.
                let harmless = matches!(field.as_str(), "remember" | "next");
                let expected = if harmless { 200..500 } else { 400..500 };
                assert!(expected.contains(&answer.status), "{action} {field}={bad:?}: {}", answer.status);
                assert!(answer.body.contains("<html"), "{action} {field}={bad:?}: {}", answer.body);
            }
        }
        // And raw, as no browser sends it.
        for bad in [&b"\xff=\xff"[..], b"\xff", b"%", b"=&=&=", b"\0", b"a=\xc3\x28"] {
            let headers = [("sec-fetch-site", "same-origin")];
            let answer = anna.clone().post_bytes(&action, bad.to_vec(), &headers).await;
            assert!((400..500).contains(&answer.status), "{action} {bad:?}: {}", answer.status);
        }
    }
    assert!(anna.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn nul_and_broken_utf_8_in_paths_and_queries_are_never_a_5xx(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let anna = server.newcomer("anna").await;
    let cookie = format!("Cookie: {}", anna.cookie_header());
    for bad in [&b"%00"[..], b"%ff", b"a%00b", b"%c3%28", b"\xff", b"%", b"%zz", b"%2e%2e", b"%u0000"] {
        for (path, status) in [
            ("/setup/", 400..500),
            ("/reset/", 400..500),
            ("/account/sessions/", 400..500),
            ("/", 400..500),
            ("/login?next=", 200..500),
            ("/account/activity?before=", 200..500),
            ("/account/sessions?limit=", 200..500),
            ("/register?", 200..500),
            ("/static/", 400..500),
            ("/assets/", 400..500),
        ] {
            let path = [path.as_bytes(), bad].concat();
            let answer = raw::get(server.address, &path, &[cookie.as_bytes()]).await;
            // actix-web normalises `/..` away; every other path is unknown.
            let shown = String::from_utf8_lossy(&path).into_owned();
            let gone_up = bad == b"%2e%2e";
            assert!(status.contains(&answer.status) || gone_up && answer.status < 500, "{shown}: {}", answer.head);
        }
        let path = [b"/account/sessions/", bad, b"/end"].concat();
        let headers: [&[u8]; 3] =
            [cookie.as_bytes(), b"Sec-Fetch-Site: same-origin", b"Content-Type: application/x-www-form-urlencoded"];
        let answer = raw::exchange(server.address, &raw::request(b"POST", &path, &headers, b"csrf_token=x")).await;
        assert!((400..500).contains(&answer.status), "{}: {}", String::from_utf8_lossy(&path), answer.head);
        let headers = [[b"User-Agent: ", bad].concat(), [b"Accept: ", bad].concat(), [b"X-Request-Id: ", bad].concat()];
        let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
        let answer = raw::get(server.address, b"/login", &headers).await;
        assert!(answer.status < 500, "a header of {}: {}", String::from_utf8_lossy(bad), answer.head);
    }
}

#[tokio::test]
async fn a_form_that_is_no_form_is_415_or_400() {
    let server = TestServer::start(Sqlite).await;
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
        let headers = [("content-type", kind), ("sec-fetch-site", "same-origin")];
        let body = br#"{"username":"anna","password":"x"}"#.to_vec();
        let page = server.browser().send(reqwest::Method::POST, "/login", &headers, Some(body)).await;
        assert!(matches!(page.status, 400 | 415), "{kind}: {}", page.status);
        assert!(page.body.contains("<html"), "{kind}: {}", page.body);
    }
}
