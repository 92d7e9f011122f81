//! The API: programs sign in, call, list, and are cut off.

use portcullis::domain::Role;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::*;

fn keys_of(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value}")).keys().map(String::as_str).collect()
}

const USER: [&str; 9] =
    ["created_at", "email", "id", "last_sign_in_at", "locked_until", "name", "role", "status", "username"];

#[rstest]
#[tokio::test]
async fn a_program_signs_in_calls_refreshes_and_signs_out(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut program = ApiClient::new(&server);
    let account = json!({
        "username": "ada", "email": "ada@example.com", "password": PASSWORD, "name": "Ada", "device_name": "build-17",
    });
    let registered = program.post("/api/v1/auth/register", &account).await.expect(201);
    assert_eq!(registered.header("cache-control"), Some("no-store"));
    let body = registered.json();
    let expected =
        ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "session_id", "token_type", "user"];
    assert_eq!(keys_of(&body), expected);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(900)));
    assert_eq!(keys_of(&body["user"]), USER);
    assert_eq!((&body["user"]["role"], &body["user"]["locked_until"]), (&json!("user"), &Value::Null));
    program.keep(&registered);

    let me = program.get("/api/v1/me").await.expect(200).json();
    assert_eq!((&me["username"], &me["name"]), (&json!("ada"), &json!("Ada")));
    let whoami = program.get("/api/v1/whoami").await.expect(200).json();
    assert_eq!(whoami["authenticated"], true);
    assert_eq!(whoami["session_id"], program.session_id);
    assert_eq!(ApiClient::new(&server).get("/api/v1/whoami").await.expect(200).json(), json!({"authenticated": false}));

    let before = program.clone();
    program.refresh().await.expect(200);
    assert_eq!(program.session_id, before.session_id);
    assert_ne!(program.refresh_token, before.refresh_token);
    assert!(program.is_signed_in().await && before.is_signed_in().await, "the session lives, and so do its tokens");

    let listed = program.get("/api/v1/me/sessions").await.expect(200).json();
    let session = &listed["data"][0];
    assert_eq!((&session["device"], &session["kind"]), (&json!("build-17"), &json!("api")));
    assert_eq!((&session["current"], &session["user"]["username"]), (&json!(true), &json!("ada")));
    program.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    program.expect_dead().await;
}

/// Each way to sign out ends cookie, access and refresh token of that session, and no other.
#[tokio::test]
async fn signing_out_ends_one_session_and_all_its_tokens() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let other = server.program("anna").await;

    let mut by_bearer = server.program("anna").await;
    by_bearer.send("POST", "/api/v1/auth/logout", &[], None).await.expect(204);
    by_bearer.expect_dead().await;

    let mut by_refresh = server.program("anna").await;
    let token = json!({ "refresh_token": by_refresh.refresh_token });
    ApiClient::new(&server).post("/api/v1/auth/logout", &token).await.expect(204);
    by_refresh.expect_dead().await;

    // The usual case of a program that wakes up: the access token has expired.
    let mut asleep = server.program("anna").await;
    let token = json!({ "refresh_token": asleep.refresh_token });
    let headers = [("authorization", "Bearer expired.or.forged")];
    asleep.json_with("POST", "/api/v1/auth/logout", &token, &headers).await.expect(204);
    asleep.expect_dead().await;

    // On the page, with one click.
    let mut on_page = server.program("anna").await;
    let end = format!("/account/sessions/{}/end", on_page.session_id);
    let page = browser.get("/account/sessions").await;
    let token = page.csrf_token().expect("a token");
    browser.post(&end, &[("csrf_token", &token)]).await.expect_redirect("/account/sessions");
    on_page.expect_dead().await;

    let answer = ApiClient::new(&server).get("/api/v1/auth/logout").await;
    assert_eq!(answer.status, 405);
    assert!(other.is_signed_in().await && browser.is_signed_in().await);
    let forged = json!({ "refresh_token": "pcr_forged" });
    let answer = other.post("/api/v1/auth/logout", &forged).await.expect(401);
    assert_eq!(answer.json()["code"], "invalid_refresh_token");
    assert!(other.is_signed_in().await);
}

/// A token is taken from one Authorization header, and only an access token is one.
#[tokio::test]
async fn nothing_but_an_access_token_in_the_header_opens_anything() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let program = server.program("anna").await;
    let (access, refresh) = (program.access_token.clone().unwrap(), program.refresh_token.clone().unwrap());
    let nobody = ApiClient::new(&server);
    let cookie = browser.cookie_header();
    let cookie_value = cookie.split_once('=').unwrap().1.to_owned();
    let bearer = format!("Bearer {access}");

    // Other things that look like a credential.
    let mut forged =
        vec![program.session_id.clone(), refresh.clone(), cookie_value, "null".to_owned(), "a".repeat(9000)];
    forged.extend((1..access.len()).step_by(7).map(|end| access[..end].to_owned()));
    forged.push(access[1..].to_owned());
    forged.push(format!("{access}="));
    forged.push(access.to_uppercase());
    for token in forged {
        let answer = nobody.send("GET", "/api/v1/me", &[("authorization", &format!("Bearer {token}"))], None).await;
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.json()["code"], "invalid_token", "{token}");
        let whoami = nobody.send("GET", "/api/v1/whoami", &[("authorization", &format!("Bearer {token}"))], None).await;
        assert_eq!(whoami.status, 401, "a bad credential is not nobody: {token}");
    }
    // The right token in the wrong place.
    for path in [format!("/api/v1/me?access_token={access}"), format!("/api/v1/me?token={access}")] {
        assert_eq!(nobody.get(&path).await.expect(401).json()["code"], "not_signed_in");
    }
    for cookie in
        [format!("portcullis={access}"), format!("access_token={access}"), format!("portcullis-refresh={refresh}")]
    {
        nobody.send("GET", "/api/v1/me", &[("cookie", &cookie)], None).await.expect(401);
    }
    nobody.form("/api/v1/me/sessions", &[("access_token", &access)]).await.expect(401);
    for scheme in ["Basic", "Token", "JWT", ""] {
        let header = format!("{scheme} {access}");
        nobody.send("GET", "/api/v1/me", &[("authorization", header.trim())], None).await.expect(401);
    }
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    nobody.send("GET", "/api/v1/me", &twice, None).await.expect(400);
    nobody.send("GET", "/api/v1/me", &[("authorization", &bearer.replace("Bearer", "bearer"))], None).await.expect(200);
    // Access tokens are no refresh tokens, nor cookies.
    for token in [&access, &program.session_id] {
        nobody.post("/api/v1/auth/refresh", &json!({ "refresh_token": token })).await.expect(401);
    }
    let mut thief = server.browser().with_cookie(&access);
    assert!(!thief.is_signed_in().await);
    assert!(program.is_signed_in().await && browser.is_signed_in().await);
}

#[tokio::test]
async fn no_other_origin_may_use_the_api_unless_the_setting_says_so() {
    let preflight = async |server: &TestServer, path: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ];
        ApiClient::new(server).send("OPTIONS", path, &headers, None).await
    };
    let allowed = |answer: &Page| answer.header("access-control-allow-origin").map(str::to_owned);
    let closed = TestServer::start(Sqlite).await;
    let app = "https://app.example.org";
    let open = TestServer::with(Sqlite, &[("cors_origins", app)]).await;
    for origin in [app, "https://evil.test", "null", "https://sub.app.example.org", "http://app.example.org"] {
        for path in ["/api/v1/auth/login", "/api/v1/me", "/login", "/oauth/token"] {
            let answer = preflight(&closed, path, origin).await;
            assert_eq!(allowed(&answer), None, "{origin} {path}");
            let answer = ApiClient::new(&closed).send("GET", path, &[("origin", origin)], None).await;
            assert_eq!(allowed(&answer), None, "{origin} {path}");
            assert_eq!(answer.header("access-control-allow-credentials"), None);
        }
    }
    let answer = preflight(&open, "/api/v1/auth/login", app).await.expect(200);
    assert_eq!(allowed(&answer).as_deref(), Some(app));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    let answer = ApiClient::new(&open).send("GET", "/api/v1/me", &[("origin", app)], None).await.expect(401);
    assert_eq!(allowed(&answer).as_deref(), Some(app), "a script may read why it was refused");
    // To any other it is as if the setting were not there.
    for origin in ["https://evil.test", "null", "https://sub.app.example.org", "http://app.example.org", ""] {
        let refused = preflight(&open, "/api/v1/auth/login", origin).await.expect(405);
        assert_eq!(refused.json()["code"], "method_not_allowed", "{origin}");
        let answer = ApiClient::new(&open).send("GET", "/api/v1/whoami", &[("origin", origin)], None).await;
        for answer in [refused, answer.expect(200)] {
            let told = answer.headers.keys().find(|name| name.as_str().starts_with("access-control"));
            assert_eq!(told, None, "{origin}");
        }
    }
    let answer = ApiClient::new(&open).get("/api/v1/whoami").await.expect(200);
    assert_eq!(answer.header("access-control-allow-credentials"), None, "no origin at all");
    for path in ["/login", "/account", "/oauth/token", "/openapi.json"] {
        assert_eq!(allowed(&preflight(&open, path, app).await), None, "{path}");
    }
}

#[tokio::test]
async fn revocation_ends_the_session_and_tells_nothing() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    let nobody = ApiClient::new(&server);
    for kind in ["access", "refresh"] {
        let mut program = server.program("anna").await;
        let token =
            if kind == "access" { program.access_token.clone() } else { program.refresh_token.clone() }.unwrap();
        // Twice: the second time it is revoked already.
        for _ in 0..2 {
            let answer = nobody.form("/oauth/revoke", &[("token", &token), ("token_type_hint", "nonsense")]).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{kind}");
        }
        program.expect_dead().await;
    }
    for token in ["x", "pcr_x", "a.b.c", &"x".repeat(10_000)] {
        let answer = nobody.form("/oauth/revoke", &[("token", token)]).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }
    for fields in [&[][..], &[("token", "")], &[("token", "a"), ("token", "b")]] {
        let answer = nobody.form("/oauth/revoke", fields).await.expect(400);
        assert_eq!(answer.json()["error"], "invalid_request");
    }
    let browser = &mut server.signed_in("anna").await;
    let activity = browser.get("/account/activity").await.expect(200);
    assert!(activity.text().contains("Signed a program out"), "{}", activity.text());
}

#[tokio::test]
async fn an_oauth_client_refreshes_and_a_service_introspects() {
    let server = TestServer::start(Sqlite).await;
    server.create("manuel", Role::Manager).await;
    server.create_user("anna").await;
    let mut program = server.program("anna").await;
    let service = server.program("manuel").await;
    let nobody = ApiClient::new(&server);

    let refresh = program.refresh_token.clone().unwrap();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str()), ("client_id", "any")];
    let answer = nobody.form("/oauth/token", &fields).await.expect(200);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), (Some("no-store"), Some("no-cache")));
    let body = answer.json();
    assert_eq!(keys_of(&body), ["access_token", "expires_in", "refresh_token", "token_type"]);
    program.access_token = body["access_token"].as_str().map(str::to_owned);
    program.refresh_token = body["refresh_token"].as_str().map(str::to_owned);
    assert!(program.is_signed_in().await);
    for (fields, error) in [
        (&[("grant_type", "password")][..], "unsupported_grant_type"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&[], "invalid_request"),
        (&[("grant_type", "refresh_token"), ("refresh_token", "pcr_x")], "invalid_grant"),
        (&[("grant_type", "refresh_token"), ("grant_type", "refresh_token")], "invalid_request"),
    ] {
        assert_eq!(nobody.form("/oauth/token", fields).await.expect(400).json()["error"], error, "{fields:?}");
    }
    let answer = nobody.post("/oauth/token", &json!({ "grant_type": "refresh_token" })).await.expect(400);
    assert_eq!(answer.json()["error"], "invalid_request");

    let ask = async |token: &str| service.form("/oauth/introspect", &[("token", token)]).await.expect(200).json();
    let access = program.access_token.clone().unwrap();
    let seen = ask(&access).await;
    assert_eq!((&seen["active"], &seen["token_type"]), (&json!(true), &json!("Bearer")));
    assert_eq!((&seen["username"], &seen["sid"]), (&json!("anna"), &json!(program.session_id)));
    let seen = ask(program.refresh_token.as_ref().unwrap()).await;
    assert_eq!((&seen["active"], &seen["token_type"]), (&json!(true), &json!("refresh_token")));
    program.post("/api/v1/auth/logout", &json!({})).await.expect(204);
    for token in [&access, program.refresh_token.as_ref().unwrap(), "x"] {
        assert_eq!(ask(token).await, json!({ "active": false }));
    }
    let metadata = nobody.get("/.well-known/oauth-authorization-server").await.expect(200).json();
    assert_eq!(metadata["issuer"], server.public_url);
    assert_eq!(metadata["jwks_uri"], format!("{}/.well-known/jwks.json", server.public_url));
    let jwks = nobody.get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(jwks.header("cache-control"), Some("public, max-age=300"));
    assert!(!jwks.json()["keys"].as_array().unwrap().is_empty());
    assert!(!jwks.body.contains("\"d\""), "a private key: {}", jwks.body);
}

#[tokio::test]
async fn no_body_sets_what_it_may_not() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    let program = server.program("anna").await;
    let account = json!({ "username": "eve", "email": "eve@example.com", "password": PASSWORD });
    let evil = [
        ("role", json!("admin")),
        ("is_admin", json!(true)),
        ("roles", json!(["admin"])),
        ("status", json!("active")),
        ("id", json!("00000000-0000-7000-8000-000000000000")),
        ("password_hash", json!("x")),
        ("user", json!({ "role": "admin" })),
    ];
    for (field, value) in &evil {
        for (method, path, base) in [
            ("POST", "/api/v1/auth/register", account.clone()),
            ("POST", "/api/v1/auth/login", json!({ "username": "anna", "password": PASSWORD })),
            ("PATCH", "/api/v1/me", json!({ "name": "Anna" })),
            ("PUT", "/api/v1/me/password", json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD })),
        ] {
            let mut body = base;
            body[*field] = value.clone();
            let answer = program.json(method, path, &body).await.expect(422).json();
            assert_eq!(
                (&answer["errors"][0]["field"], &answer["errors"][0]["code"]),
                (&json!(field), &json!("unknown_field"))
            );
        }
    }
    let twice = format!(r#"{{"username":"eve","username":"eve2","email":"eve@example.com","password":"{PASSWORD}"}}"#);
    let headers = [("content-type", "application/json")];
    program.send("POST", "/api/v1/auth/register", &headers, Some(twice.into_bytes())).await.expect(400);
    let answer = program.json("POST", "/api/v1/auth/register?role=admin", &account).await.expect(201);
    assert_eq!(answer.json()["user"]["role"], "user");
    let me = program.get("/api/v1/me").await.json();
    assert_eq!((&me["role"], &me["name"]), (&json!("user"), &Value::Null));
}

#[tokio::test]
async fn what_cannot_be_read_is_a_problem_that_names_the_field() {
    let server = TestServer::start(Sqlite).await;
    let nobody = ApiClient::new(&server);
    let login = "/api/v1/auth/login";
    let send = async |content_type: &str, body: &str| {
        nobody.send("POST", login, &[("content-type", content_type)], Some(body.as_bytes().to_vec())).await
    };
    for (content_type, body, status, code) in [
        ("text/plain", "{}", 415, "unsupported_media_type"),
        ("application/x-www-form-urlencoded", "username=a", 415, "unsupported_media_type"),
        ("application/json", "{", 400, "bad_request"),
        ("application/json", "", 400, "bad_request"),
        ("application/json", "[]", 422, "invalid"),
        ("application/json", r#"{"username":1,"password":"x"}"#, 422, "invalid"),
        ("application/json", r#"{"username":"a"}"#, 422, "invalid"),
        ("application/json", r#"{"username":"a","password":"x","device_name":1}"#, 422, "invalid"),
        ("application/json", r#"{"username":"a","password":"x"}"#, 401, "invalid_credentials"),
        ("application/json; charset=ISO-8859-1", r#"{"username":"a","password":"x"}"#, 401, "invalid_credentials"),
        ("application/json; charset=ISO-8859-1", r#"{"username":"ä","password":"x"}"#, 415, "unsupported_media_type"),
        ("application/json; charset=utf-16", r#"{"username":"a","password":"x"}"#, 415, "unsupported_media_type"),
    ] {
        let answer = send(content_type, body).await.expect(status);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{body}");
        let problem = answer.json();
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{body}");
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string() && problem["detail"].is_string() && problem["request_id"].is_string());
        assert_eq!(problem["errors"].is_array(), status == 422, "{problem}");
        assert!(!answer.body.contains("line 1"), "{}", answer.body);
    }
    for (coding, status) in [("identity", 401), ("gzip", 415)] {
        let headers = [("content-type", "application/json"), ("content-encoding", coding)];
        let body = br#"{"username":"a","password":"x"}"#.to_vec();
        nobody.send("POST", login, &headers, Some(body)).await.expect(status);
    }
    // Too long, and too deep.
    send("application/json", &format!(r#"{{"username":"{}"}}"#, "a".repeat(70_000))).await.expect(413);
    send("application/json", &"[".repeat(60_000)).await.expect(400);
    assert_eq!(nobody.get("/api/v1/nowhere").await.expect(404).json()["code"], "not_found");
    assert_eq!(nobody.get(login).await.expect(405).json()["code"], "method_not_allowed");
}

#[tokio::test]
async fn lists_come_in_pages_newest_first_and_no_cursor_can_be_made_up() {
    let server = TestServer::start(Sqlite).await;
    for name in ["anna", "bert"] {
        server.create_user(name).await;
    }
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, server.program("anna").await.session_id);
        server.clock.advance(chrono::TimeDelta::seconds(1));
    }
    let program = server.program("anna").await;
    ids.insert(0, program.session_id.clone());
    let (mut path, mut seen) = ("/api/v1/me/sessions?limit=2".to_owned(), Vec::new());
    let mut cursor = String::new();
    for page in 0.. {
        assert!(page < 3, "the list has no end");
        let answer = program.get(&path).await.expect(200);
        let body = answer.json();
        assert_eq!(body["page"]["limit"], 2);
        seen.extend(body["data"].as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()));
        let Some(next) = body["page"]["next_cursor"].as_str() else {
            assert_eq!(answer.header("link"), None);
            break;
        };
        let link = answer.header("link").unwrap();
        assert_eq!(link, format!("<{}/api/v1/me/sessions?limit=2&cursor={next}>; rel=\"next\"", server.public_url));
        cursor = next.to_owned();
        path = format!("/api/v1/me/sessions?limit=2&cursor={next}");
    }
    assert_eq!(seen, ids);
    let activity = program.get("/api/v1/me/activity?limit=1").await.expect(200).json();
    let event = &activity["data"][0];
    let fields =
        ["actor", "address", "at", "detail", "device", "event", "id", "outcome", "request_id", "session_id", "subject"];
    assert_eq!(keys_of(event), fields);
    assert_eq!((&event["event"], &event["actor"]["kind"]), (&json!("sign_in.success"), &json!("user")));

    let stranger = server.program("bert").await;
    stranger.get(&format!("/api/v1/me/sessions?cursor={cursor}")).await.expect(422);
    program.get(&format!("/api/v1/me/activity?cursor={cursor}")).await.expect(422);
    for query in [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=",
        "limit=1e9",
        "cursor=",
        "cursor=x",
        "cursor=%27%20OR%201%3D1",
    ] {
        let answer = program.get(&format!("/api/v1/me/sessions?{query}")).await.expect(422).json();
        assert_eq!(answer["errors"][0]["field"], query.split('=').next().unwrap());
    }
    program.get("/api/v1/me/sessions?limit=1&limit=2").await.expect(400);
    program.get("/api/v1/me/sessions?limit=200&sort=-created_at").await.expect(200);
    let unknown = program.get("/api/v1/me/sessions?limit=200&sort=%3Bdrop").await.expect(422).json();
    assert_eq!(unknown["errors"][0]["field"], "sort");
}

#[tokio::test]
async fn a_person_manages_the_account_from_a_program() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("bert").await;
    let mut browser = server.newcomer("anna").await;
    let mut program = server.program("anna").await;
    let mut other = server.program("anna").await;

    let patch = async |program: &ApiClient, body: Value| program.json("PATCH", "/api/v1/me", &body).await;
    assert_eq!(patch(&program, json!({ "name": "Anna" })).await.expect(200).json()["name"], "Anna");
    assert_eq!(patch(&program, json!({})).await.expect(200).json()["name"], "Anna");
    assert_eq!(patch(&program, json!({ "name": null })).await.expect(200).json()["name"], Value::Null);
    let moved = json!({ "email": "anna@example.net" });
    let refused = patch(&program, moved.clone()).await.expect(422).json();
    assert_eq!(refused["errors"][0]["field"], "current_password");
    patch(&program, json!({ "email": "anna@example.net", "current_password": "wrong" })).await.expect(401);
    let body = json!({ "email": "bert@example.com", "current_password": PASSWORD });
    assert_eq!(patch(&program, body).await.expect(409).json()["code"], "taken");
    let body = json!({ "email": "anna@example.net", "current_password": PASSWORD });
    assert_eq!(patch(&program, body).await.expect(200).json()["email"], "anna@example.net");

    let mine = format!("/api/v1/me/sessions/{}", other.session_id);
    server.program("bert").await.delete(&mine).await.expect(404);
    assert!(other.is_signed_in().await);
    program.delete(&mine).await.expect(204);
    other.expect_dead().await;
    for id in ["x", "00000000-0000-7000-8000-000000000000"] {
        program.delete(&format!("/api/v1/me/sessions/{id}")).await.expect(404);
    }

    let mut third = server.program("anna").await;
    let change = |old: &str| json!({ "current_password": old, "new_password": NEW_PASSWORD });
    program.json("PUT", "/api/v1/me/password", &change("wrong")).await.expect(401);
    program.json("PUT", "/api/v1/me/password", &change(PASSWORD)).await.expect(204);
    assert!(program.is_signed_in().await, "the tokens of the session that changed it stay good");
    program.refresh().await.expect(200);
    third.expect_dead().await;
    assert!(!browser.is_signed_in().await);

    let login = json!({ "username": "anna", "password": NEW_PASSWORD });
    ApiClient::new(&server).post("/api/v1/auth/login", &login).await.expect(200);
    let ended = program.delete("/api/v1/me/sessions").await.expect(200).json();
    assert_eq!(ended, json!({ "revoked": 1 }));
    assert!(program.is_signed_in().await);
    program.refresh().await.expect(200);
}

#[tokio::test]
async fn a_sensitive_act_needs_a_recent_password() {
    let server = TestServer::start(Sqlite).await;
    server.create("adele", Role::Admin).await;
    let mut program = server.program("adele").await;
    let before = program.get("/api/v1/keys").await.expect(200).json();
    assert_eq!(keys_of(&before["data"][0]), ["active_from", "algorithm", "created_at", "kid", "retired_at", "state"]);
    program.send("POST", "/api/v1/keys/rotate", &[], None).await.expect(200);
    server.clock.advance(chrono::TimeDelta::minutes(11));
    let refused = program.send("POST", "/api/v1/keys/rotate", &[], None).await.expect(401);
    assert_eq!(refused.json()["code"], "reauthentication_required");
    assert_eq!(refused.header("www-authenticate"), Some(r#"Bearer error="insufficient_user_authentication""#));
    program.post("/api/v1/auth/confirm", &json!({ "password": "wrong" })).await.expect(401);
    program.send("POST", "/api/v1/keys/rotate", &[], None).await.expect(401);
    program.post("/api/v1/auth/confirm", &json!({ "password": PASSWORD })).await.expect(204);
    let rotated = program.send("POST", "/api/v1/keys/rotate", &[], None).await.expect(200).json();
    assert_eq!(rotated["state"], "active");
    let list = program.get("/api/v1/keys").await.expect(200).json();
    assert_eq!((list["data"].as_array().unwrap().len(), &list["page"]["limit"]), (4, &json!(50)));
    assert!(program.is_signed_in().await, "what the former key signed stays good");
    program.refresh().await.expect(200);
}

/// The refresh token of a browser application.
#[tokio::test]
async fn a_refresh_cookie_is_taken_only_from_an_allowed_origin() {
    let app = "https://app.example.org";
    let server = TestServer::with(Sqlite, &[("cors_origins", app)]).await;
    server.create_user("anna").await;
    let nobody = ApiClient::new(&server);
    let login = json!({ "username": "anna", "password": PASSWORD, "refresh_cookie": true });
    let answer = nobody.post("/api/v1/auth/login", &login).await.expect(200);
    assert_eq!(answer.json()["refresh_token"], Value::Null);
    let line = answer.header("set-cookie").unwrap().to_owned();
    assert!(line.starts_with("portcullis-refresh=pcr_"), "{line}");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api/v1/auth", "Max-Age="] {
        assert!(line.contains(attribute), "{line}");
    }
    let cookie = line.split(';').next().unwrap().to_owned();
    let refresh = async |cookie: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("cookie", cookie)];
        all.extend_from_slice(headers);
        nobody.send("POST", "/api/v1/auth/refresh", &all, None).await
    };
    for headers in [
        &[][..],
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
    ] {
        assert_eq!(refresh(&cookie, headers).await.expect(403).json()["code"], "forged_request", "{headers:?}");
    }
    let answer = refresh(&cookie, &[("origin", app), ("sec-fetch-site", "cross-site")]).await.expect(200);
    assert_eq!(answer.json()["refresh_token"], Value::Null);
    let next = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(next, cookie);
    let ours = [("origin", server.public_url.as_str()), ("sec-fetch-site", "same-origin")];
    let answer = refresh(&next, &ours).await.expect(200);
    let last = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let mut program = nobody.clone();
    program.keep(&answer);
    let headers = [("cookie", last.as_str()), ours[0], ours[1]];
    let out = nobody.send("POST", "/api/v1/auth/logout", &headers, None).await.expect(204);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(!program.is_signed_in().await);
    refresh(&last, &ours).await.expect(401);
}

#[tokio::test]
async fn the_api_counts_accounts_and_sign_ins_count_addresses() {
    let server = TestServer::with(Sqlite, &[("api_rate", "7/1h"), ("login_rate", "4/1h")]).await;
    for name in ["anna", "bert"] {
        server.create_user(name).await;
    }
    let (anna, bert) = (server.program("anna").await, server.program("bert").await);
    for _ in 0..7 {
        anna.get("/api/v1/me").await.expect(200);
    }
    let refused = anna.get("/api/v1/me").await.expect(429);
    assert_eq!(refused.json()["code"], "too_many_requests");
    assert!(refused.header("retry-after").is_some());
    bert.get("/api/v1/me").await.expect(200);
    // Two sign-ins are spent; whatever looks at a password shares the rest.
    bert.post("/api/v1/auth/confirm", &json!({ "password": "wrong" })).await.expect(401);
    bert.json("PATCH", "/api/v1/me", &json!({})).await.expect(200);
    for (method, path) in
        [("POST", "/api/v1/auth/login"), ("PUT", "/api/v1/me/password"), ("POST", "/api/v1/auth/confirm")]
    {
        assert_eq!(bert.json(method, path, &json!({})).await.status, 429, "{path}");
    }
    bert.get("/api/v1/me").await.expect(200);
}

#[tokio::test]
async fn the_reference_shows_every_operation_and_loads_nothing_from_elsewhere() {
    let server = TestServer::start(Sqlite).await;
    let nobody = ApiClient::new(&server);
    let document = nobody.get("/openapi.json").await.expect(200);
    assert_eq!(document.header("content-type"), Some("application/json"));
    assert_eq!(document.json()["openapi"], "3.1.0");
    let page = nobody.get("/docs").await.expect(200);
    for path in keys_of(&document.json()["paths"]) {
        assert!(page.body.contains(path), "{path}");
    }
    for loaded in page.attributes("link, script, img", "href").into_iter().chain(page.attributes("script, img", "src"))
    {
        assert!(loaded.starts_with('/') && !loaded.starts_with("//"), "{loaded}");
    }
    assert!(!page.body.contains("style=") && !page.body.contains("<style"));
}

/// A name that only decorates is cleaned, and nothing that a person calls a phone keeps them out.
#[tokio::test]
async fn no_name_of_a_device_is_a_reason_to_refuse_a_sign_in() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    for (given, kept) in [
        ("Anna's iPhone \u{2764}\u{fe0f}", "Anna's iPhone \u{2764}"),
        ("  build\r\n 17\t", "build 17"),
        ("a\u{202e}b\u{200b}", "ab"),
        (&"ü".repeat(150), &"ü".repeat(100)),
        (&format!("{} tail", "x".repeat(99)), &"x".repeat(99)),
        ("", "Unknown device"),
        (" \u{200b} ", "Unknown device"),
    ] {
        let mut program = ApiClient::new(&server);
        let login = json!({ "username": "anna", "password": PASSWORD, "device_name": given });
        let answer = program.post("/api/v1/auth/login", &login).await.expect(200);
        program.keep(&answer);
        let sessions = program.get("/api/v1/me/sessions?limit=1").await.expect(200).json();
        assert_eq!(sessions["data"][0]["device"], kept, "{given:?}");
    }
}
