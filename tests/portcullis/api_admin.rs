//! What managers and administrators do over the API.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::{Event, Role, User, UserId};
use portcullis::services::accounts::lookup;
use portcullis::services::administration::user_acts;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::*;

const SESSION: [&str; 12] = [
    "address",
    "created_at",
    "current",
    "device",
    "end_reason",
    "ended_at",
    "ended_by",
    "expires_at",
    "id",
    "kind",
    "last_active_at",
    "user",
];

fn keys_of(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value}")).keys().map(String::as_str).collect()
}

fn path_of(user: UserId) -> String {
    format!("/api/v1/users/{user}")
}

/// A program of an administrator.
async fn administrator(server: &TestServer) -> ApiClient {
    server.create("adele", Role::Admin).await;
    server.program("adele").await
}

/// The column `field` of a list.
fn column(list: &Value, field: &str) -> Vec<String> {
    let rows = list["data"].as_array().unwrap_or_else(|| panic!("{list}"));
    rows.iter().map(|row| row[field].as_str().unwrap_or_else(|| panic!("{field}: {row}")).to_owned()).collect()
}

async fn usernames(program: &ApiClient, query: &str) -> Vec<String> {
    column(&program.get(&format!("/api/v1/users?{query}")).await.expect(200).json(), "username")
}

async fn session_ids(program: &ApiClient, query: &str) -> Vec<String> {
    column(&program.get(&format!("/api/v1/sessions?{query}")).await.expect(200).json(), "id")
}

/// The column `field` of all pages from this one on, by the links that each of them gives.
async fn follow(program: &ApiClient, path: &str, field: &str) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let answer = program.get(&path).await.expect(200);
        let list = answer.json();
        found.extend(column(&list, field));
        let link = answer.header("link").map(|link| {
            let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
            let url = url::Url::parse(url).unwrap();
            format!("{}?{}", url.path(), url.query().unwrap())
        });
        assert_eq!(link.is_some(), list["page"]["next_cursor"].is_string());
        next = link;
    }
    found
}

/// The events of one name in the audit log.
async fn events(program: &ApiClient, event: Event) -> Vec<Value> {
    let list = program.get(&format!("/api/v1/audit?event={event}")).await.expect(200).json();
    list["data"].as_array().unwrap().clone()
}

async fn now(server: &TestServer, user: &User) -> User {
    lookup::by_id(&server.services.database, user.id).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn an_account_is_made_edited_suspended_and_deleted_and_each_act_is_one_event(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let admin = administrator(&server).await;
    let new = json!({ "username": "Ada", "email": "ada@example.com", "name": "Ada L.", "role": "manager" });
    let created = admin.post("/api/v1/users", &new).await.expect(201);
    let body = created.json();
    assert_eq!(keys_of(&body), ["expires_at", "reset_url", "user"]);
    assert_eq!((&body["user"]["role"], &body["user"]["status"]), (&json!("manager"), &json!("active")));
    let path = path_of(body["user"]["id"].as_str().unwrap().parse().unwrap());
    assert_eq!(created.location(), Some(format!("{}{path}", server.public_url).as_str()));
    let taken = admin.post("/api/v1/users", &new).await.expect(409).json();
    assert_eq!((&taken["code"], &taken["errors"][0]["field"]), (&json!("taken"), &json!("username")));

    // The owner chooses the password.
    let mut browser = server.browser();
    let link = body["reset_url"].as_str().unwrap().strip_prefix(&server.public_url).unwrap();
    browser.get(link).await.expect(200);
    browser.submit(link, &[("new_password", PASSWORD)]).await;
    let mut owner = server.program("ada").await;

    let seen = admin.get(&path).await.expect(200);
    let etag = seen.header("etag").unwrap().to_owned();
    assert_eq!(created.header("etag"), Some(etag.as_str()), "signing in is no edit");
    assert_eq!(seen.header("cache-control"), Some("no-store"));
    let edit = json!({ "name": null, "email": "ada@example.org" });
    let edited = admin.json_with("PATCH", &path, &edit, &[("if-match", &etag)]).await.expect(200);
    assert_eq!((&edited.json()["name"], &edited.json()["email"]), (&Value::Null, &json!("ada@example.org")));
    assert_ne!(edited.header("etag"), Some(etag.as_str()));
    admin.json("PATCH", &path, &json!({ "username": "ada2" })).await.expect(200);

    let role = admin.json("PUT", &format!("{path}/role"), &json!({ "role": "user" })).await.expect(200).json();
    assert_eq!(role["role"], "user");
    assert_eq!(owner.get("/api/v1/users").await.expect(403).json()["code"], "forbidden", "on the very next request");

    let suspended = admin.send("POST", &format!("{path}/suspend"), &[], None).await.expect(200).json();
    assert_eq!(suspended["status"], "suspended");
    owner.expect_dead().await;
    let reinstated = admin.send("POST", &format!("{path}/reinstate"), &[], None).await.expect(200).json();
    assert_eq!(reinstated["status"], "active");
    owner.expect_dead().await;

    let link = admin.send("POST", &format!("{path}/reset-link"), &[], None).await.expect(200).json();
    assert_eq!(keys_of(&link), ["expires_at", "url"]);
    let link = link["url"].as_str().unwrap().strip_prefix(&server.public_url).unwrap().to_owned();
    let deleted = admin.delete(&path).await.expect(204);
    assert!(deleted.body.is_empty());
    admin.get(&path).await.expect(404);
    admin.delete(&path).await.expect(404);
    server.browser().get(&link).await.expect(410);
    admin.post("/api/v1/users", &json!({ "username": "ada2", "email": "ada@example.org" })).await.expect(201);

    // Each act is exactly one event.
    for (event, count, detail) in [
        (Event::UserCreated, 2, "role manager"),
        (Event::UserUpdated, 2, "email, name"),
        (Event::UserRoleChanged, 2, "manager to user"),
        (Event::UserSuspended, 1, ""),
        (Event::UserReinstated, 1, ""),
        (Event::PasswordResetLink, 1, ""),
        (Event::UserDeleted, 1, ""),
    ] {
        let rows = events(&admin, event).await;
        assert_eq!(rows.len(), count, "{event}: {rows:?}");
        let by_adele: Vec<_> = rows.iter().filter(|row| row["actor"]["username"] == "adele").collect();
        let row = by_adele.last().unwrap_or_else(|| panic!("{event}: {rows:?}"));
        assert_eq!((&row["actor"]["kind"], &row["outcome"]), (&json!("user"), &json!("success")));
        assert_eq!(row["detail"].as_str().unwrap_or_default(), detail, "{event}");
        assert_eq!((&row["address"], row["request_id"].is_string()), (&json!("127.0.0.1"), true), "{event}");
        assert!(row["subject"]["username"].as_str().unwrap().to_lowercase().starts_with("ada"), "{row}");
    }
}

/// RFC 9110, 13.1.1.
#[rstest]
#[tokio::test]
async fn nothing_is_done_to_an_account_that_changed_since_it_was_seen(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let admin = administrator(&server).await;
    let anna = server.create("anna", Role::User).await;
    let path = path_of(anna.id);
    let old = admin.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    admin.json("PATCH", &path, &json!({ "name": "Anna" })).await.expect(200);
    let (before, new) = (now(&server, &anna).await, format!("\"{}\"", now(&server, &anna).await.version()));

    let weak = format!("W/{new}");
    let acts = [
        ("PATCH", path.clone(), json!({ "name": "Other" })),
        ("PUT", format!("{path}/role"), json!({ "role": "manager" })),
        ("POST", format!("{path}/suspend"), json!({})),
        ("POST", format!("{path}/reinstate"), json!({})),
        ("POST", format!("{path}/reset-link"), json!({})),
        ("DELETE", path.clone(), json!({})),
    ];
    for (method, path, body) in &acts {
        for (tag, status, code) in
            [(old.as_str(), 412, "precondition_failed"), (&weak, 412, "precondition_failed"), ("x", 400, "bad_request")]
        {
            let answer = admin.json_with(method, path, body, &[("if-match", tag)]).await.expect(status);
            assert_eq!(answer.json()["code"], code, "{method} {path} {tag}");
        }
    }
    let after = now(&server, &anna).await;
    assert_eq!((after.version(), after.epoch), (before.version(), before.epoch));
    assert_eq!(events(&admin, Event::PasswordResetLink).await.len(), 0);

    // As it is, whatever it is, or one of several.
    let name = |name: &str| json!({ "name": name });
    let several = format!("{old}, {new}");
    admin.json_with("PATCH", &path, &name("Two"), &[("if-match", &several)]).await.expect(200);
    admin.json_with("PATCH", &path, &name("Three"), &[("if-match", "*")]).await.expect(200);
    let etag = admin.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    admin.send("DELETE", &path, &[("if-match", &etag)], None).await.expect(204);
}

/// Of edits that were decided on the same sight, one is taken.
#[rstest]
#[tokio::test]
async fn of_parallel_edits_of_one_version_one_is_taken(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let admin = administrator(&server).await;
    let path = path_of(server.create("anna", Role::User).await.id);
    let etag = admin.get(&path).await.expect(200).header("etag").unwrap().to_owned();
    let edits = (0..10).map(|number| {
        let (admin, path, etag) = (admin.clone(), path.clone(), etag.clone());
        let body = json!({ "name": format!("Name {number}") });
        async move { admin.json_with("PATCH", &path, &body, &[("if-match", &etag)]).await.status }
    });
    let statuses = futures_util::future::join_all(edits).await;
    expect_one(&statuses, 200, 412);
    assert_eq!(events(&admin, Event::UserUpdated).await.len(), 1, "{statuses:?}");
}

#[rstest]
#[tokio::test]
async fn accounts_are_listed_newest_first_filtered_and_sorted(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::with(backend, &[("lockout_threshold", "5")]).await;
    for (name, role) in [("ursula", Role::User), ("anna", Role::User), ("manuel", Role::Manager), ("zoe", Role::User)] {
        server.clock.advance(TimeDelta::seconds(1));
        server.create(name, role).await;
    }
    let manager = server.program("manuel").await;
    user_acts::suspend(&server.services, &spawn::command_line(), server.id_of("anna").await, &Default::default())
        .await
        .unwrap();
    for _ in 0..5 {
        server.browser().try_sign_in("zoe", NEW_PASSWORD).await.expect(401);
    }
    for (query, expected) in [
        ("", &["zoe", "manuel", "anna", "ursula", KEEPER][..]),
        ("sort=-created_at", &["zoe", "manuel", "anna", "ursula", KEEPER]),
        ("sort=created_at", &[KEEPER, "ursula", "anna", "manuel", "zoe"]),
        ("sort=username", &["anna", KEEPER, "manuel", "ursula", "zoe"]),
        ("sort=-username", &["zoe", "ursula", "manuel", KEEPER, "anna"]),
        ("q=AN", &["manuel", "anna"]),
        ("q=an&role=user", &["anna"]),
        ("q=nobody", &[]),
        ("q=%25", &[]),
        ("role=admin", &[KEEPER]),
        ("status=suspended", &["anna"]),
        ("status=locked", &["zoe"]),
        ("status=active&role=user", &["zoe", "ursula"]),
    ] {
        assert_eq!(usernames(&manager, query).await, expected, "{query}");
        let paged = follow(&manager, &format!("/api/v1/users?limit=1&{query}"), "username").await;
        assert_eq!(paged, expected, "{query}, one by one");
    }
    let zoe = &manager.get("/api/v1/users?q=zoe").await.expect(200).json()["data"][0];
    let one = manager.get(&path_of(server.id_of("zoe").await)).await.expect(200).json();
    assert_eq!(&one, zoe);
    assert!(one["locked_until"].is_string());
    let unlocked = manager.send("POST", &format!("{}/unlock", path_of(server.id_of("zoe").await)), &[], None).await;
    assert_eq!(unlocked.expect(200).json()["locked_until"], Value::Null);
    server.browser().try_sign_in("zoe", PASSWORD).await.expect_redirect("/account");
}

#[tokio::test]
async fn what_a_list_cannot_be_asked_for_is_named() {
    let server = TestServer::start(Sqlite).await;
    let admin = administrator(&server).await;
    for name in ["ursula", "anna"] {
        server.create_user(name).await;
    }
    let of_users = admin.get("/api/v1/users?limit=1&sort=username").await.expect(200).json();
    let of_users = of_users["page"]["next_cursor"].as_str().unwrap();
    admin.get(&format!("/api/v1/users?sort=username&cursor={of_users}")).await.expect(200);
    let of_anna = format!("users/{}/sessions?", server.id_of("anna").await);
    for path in ["users?", "sessions?", "audit?", "keys?", "me/sessions?", "me/activity?", &of_anna] {
        let mut bad = vec![
            ("limit=0", "limit"),
            ("limit=-1", "limit"),
            ("limit=201", "limit"),
            ("limit=1000000000", "limit"),
            ("limit=x", "limit"),
            ("cursor=x", "cursor"),
            ("cursor=", "cursor"),
        ];
        let long = format!("q={}", "%EF%B7%BA".repeat(1700));
        if matches!(path, "users?" | "sessions?") || path == of_anna {
            bad.push((&long, "q"));
        }
        let foreign = format!("cursor={of_users}");
        bad.push((&foreign, "cursor"));
        bad.extend(match path {
            "users?" => vec![("sort=;drop", "sort"), ("role=king", "role"), ("status=", "status"), ("role=", "role")],
            "audit?" => vec![
                ("since=yesterday", "since"),
                ("until=", "until"),
                ("event=sign_in", "event"),
                ("outcome=bad", "outcome"),
                ("address=127.0.0", "address"),
                ("user=%20keeper", "user"),
            ],
            "sessions?" => vec![("user_id=keeper", "user_id"), ("kind=tv", "kind"), ("state=dead", "state")],
            "keys?" | "me/sessions?" | "me/activity?" => vec![("sort=;drop", "sort"), ("limit=", "limit")],
            _ => vec![("kind=tv", "kind"), ("state=", "state")],
        });
        for (query, field) in bad {
            let answer = admin.get(&format!("/api/v1/{path}{query}")).await.expect(422).json();
            assert_eq!(answer["errors"][0]["field"], field, "{path}{query}");
        }
        admin.get(&format!("/api/v1/{path}limit=1&limit=2")).await.expect(400);
    }
    // A typo does not widen the list.
    for path in ["users?", "sessions?", "audit?", "keys?", "me/sessions?", "me/activity?", &of_anna] {
        admin.get(&format!("/api/v1/{path}limit=1&sort=-created_at")).await.expect(200);
        let answer = admin.get(&format!("/api/v1/{path}limit=1&usr=anna")).await.expect(422).json();
        let error = &answer["errors"][0];
        assert_eq!((&error["field"], &error["code"]), (&json!("usr"), &json!("unknown_field")), "{path}");
        if path != "users?" {
            let answer = admin.get(&format!("/api/v1/{path}sort=username")).await.expect(422).json();
            assert_eq!(answer["errors"][0]["field"], "sort", "{path}");
        }
    }
    let keys = column(&admin.get("/api/v1/keys").await.expect(200).json(), "kid");
    assert!(keys.len() > 1 && follow(&admin, "/api/v1/keys?limit=1", "kid").await == keys);
    let answer = admin.get("/api/v1/sessions?user=anna").await.expect(422).json();
    assert_eq!(answer["errors"][0]["field"], "user");
    admin.get(&format!("/api/v1/{of_anna}user_id={}", server.id_of("anna").await)).await.expect(422);
    admin.get("/api/v1/whoami?usr=anna").await.expect(200);
    for id in ["x", "1", "*", "%27%20OR%201=1", "00000000-0000-7000-8000-000000000000"] {
        admin.get(&format!("/api/v1/users/{id}")).await.expect(404);
        admin.delete(&format!("/api/v1/users/{id}")).await.expect(404);
        admin.delete(&format!("/api/v1/sessions/{id}")).await.expect(404);
    }
}

/// Nor can an administrator set by a body what no body may set.
#[tokio::test]
async fn a_body_says_what_is_wrong_with_it_and_changes_nothing() {
    let server = TestServer::start(Sqlite).await;
    let admin = administrator(&server).await;
    let anna = server.create("anna", Role::User).await;
    let path = path_of(anna.id);
    let long = "x".repeat(101);
    for (method, path, body, field) in [
        ("POST", "/api/v1/users".to_owned(), json!({ "username": "1", "email": "x" }), "username"),
        ("POST", "/api/v1/users".to_owned(), json!({ "username": "bob", "email": "x" }), "email"),
        ("POST", "/api/v1/users".to_owned(), json!({ "username": "bob" }), "email"),
        ("POST", "/api/v1/users".to_owned(), json!({ "username": "bob", "email": "b@x.org", "role": "king" }), "role"),
        (
            "POST",
            "/api/v1/users".to_owned(),
            json!({ "username": "bob", "email": "b@x.org", "password": PASSWORD }),
            "password",
        ),
        ("PATCH", path.clone(), json!({ "role": "admin" }), "role"),
        ("PATCH", path.clone(), json!({ "name": long }), "name"),
        ("PATCH", path.clone(), json!({ "username": "a" }), "username"),
        ("PATCH", path.clone(), json!({ "email": 7 }), "email"),
        ("PUT", format!("{path}/role"), json!({ "role": "Admin" }), "role"),
        ("PUT", format!("{path}/role"), json!({}), "role"),
        ("PUT", format!("{path}/role"), json!({ "role": "admin", "id": KEEPER }), "id"),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({}), "ids"),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "ids": [] }), "ids"),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "ids": ["*"] }), "ids"),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "ids": vec![anna.id.to_string(); 201] }), "ids"),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "user_id": KEEPER }), "user_id"),
        (
            "POST",
            "/api/v1/sessions/revoke".to_owned(),
            json!({ "user_id": "00000000-0000-7000-8000-000000000000" }),
            "user_id",
        ),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "user_id": anna.id, "all": true }), "user_id"),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "all": "yes" }), "all"),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "all": false }), "all"),
        // A program that has lost the id must not end everyone's sessions.
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "user_id": null, "all": true }), "user_id"),
    ] {
        let answer = admin.json(method, &path, &body).await.expect(422).json();
        assert_eq!(answer["errors"][0]["field"], field, "{method} {path} {body}");
    }
    assert_eq!(now(&server, &anna).await.version(), anna.version());
    assert_eq!(usernames(&admin, "sort=username").await, ["adele", "anna", KEEPER]);
    assert!(admin.is_signed_in().await);
}

#[tokio::test]
async fn an_act_without_a_body_takes_none_and_an_empty_object() {
    let server = TestServer::start(Sqlite).await;
    let admin = administrator(&server).await;
    let anna = path_of(server.create("anna", Role::User).await.id);
    let acts = ["suspend", "reinstate", "unlock", "reset-link"].map(|act| format!("{anna}/{act}"));
    for path in acts.iter().map(String::as_str).chain(["/api/v1/keys/rotate"]) {
        let before = admin.get("/api/v1/audit").await.expect(200).body;
        for (kind, body, status) in [
            ("text/plain", "hello", 415),
            ("application/x-www-form-urlencoded", "x=1", 415),
            ("application/json", "{", 400),
            ("application/json", r#"{"x":1}"#, 422),
            ("application/json", "[]", 422),
        ] {
            let headers = [("content-type", kind)];
            admin.send("POST", path, &headers, Some(body.as_bytes().to_vec())).await.expect(status);
        }
        assert_eq!(admin.get("/api/v1/audit").await.expect(200).body, before, "{path}");
        admin.post(path, &json!({})).await.expect(200);
        admin.send("POST", path, &[], None).await.expect(200);
        admin.send("POST", path, &[("content-type", "text/plain")], None).await.expect(200);
    }
}

#[rstest]
#[tokio::test]
async fn everyones_sessions_are_listed_newest_first_and_each_filter_finds_its_own(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let admin = administrator(&server).await;
    // That of whoever set the server up is the oldest.
    let mut started = session_ids(&admin, "limit=200").await;
    assert_eq!((started.len(), &started[0]), (2, &admin.session_id));
    started.reverse();
    server.create_user("ursula").await;
    for number in 0..4 {
        server.clock.advance(TimeDelta::seconds(1));
        if number % 2 == 0 {
            let body = json!({ "username": "ursula", "password": PASSWORD, "device_name": format!("build-{number}") });
            let token = ApiClient::new(&server).post("/api/v1/auth/login", &body).await.expect(200).json();
            started.push(token["session_id"].as_str().unwrap().to_owned());
        } else {
            server.signed_in("ursula").await;
            started.push(session_ids(&admin, "limit=1").await.remove(0));
        }
    }
    started.reverse();
    let newest = started;
    let pick = |places: &[usize]| places.iter().map(|&place| newest[place].clone()).collect::<Vec<_>>();
    let id = server.id_of("ursula").await;
    assert_eq!(session_ids(&admin, "").await, newest);
    assert_eq!(follow(&admin, "/api/v1/sessions?limit=2", "id").await, newest);
    assert_eq!(session_ids(&admin, "kind=browser").await, pick(&[0, 2, 5]));
    assert_eq!(session_ids(&admin, &format!("user_id={id}&kind=api")).await, pick(&[1, 3]));
    assert_eq!(session_ids(&admin, "q=BUILD-").await, pick(&[1, 3]));
    assert_eq!(session_ids(&admin, "q=rsul&kind=browser").await, pick(&[0, 2]));
    let own = &admin.get("/api/v1/sessions?q=adele").await.expect(200).json()["data"][0];
    assert_eq!(keys_of(own), SESSION);
    assert_eq!((&own["current"], &own["user"]["username"]), (&json!(true), &json!("adele")));

    // Ended ones, with by whom and why.
    admin.delete(&format!("/api/v1/sessions/{}", newest[1])).await.expect(204);
    admin.delete(&format!("/api/v1/sessions/{}", newest[1])).await.expect(204);
    assert_eq!(session_ids(&admin, "").await, pick(&[0, 2, 3, 4, 5]));
    let ended = admin.get(&format!("/api/v1/sessions?state=ended&user_id={id}&kind=api")).await.expect(200).json();
    let ended = &ended["data"][0];
    assert_eq!((&ended["id"], &ended["end_reason"]), (&json!(newest[1]), &json!("ended_by_administrator")));
    assert!(ended["ended_at"].is_string() && ended["ended_by"].is_string(), "{ended}");
    assert_eq!(events(&admin, Event::SessionRevoked).await.len(), 1, "twice is one act");
    let all: BTreeSet<_> = session_ids(&admin, "state=all&limit=200").await.into_iter().collect();
    assert!(newest.iter().all(|id| all.contains(id)));

    // Those of one account, by its own address.
    let path = format!("{}/sessions", path_of(id));
    assert_eq!(column(&admin.get(&path).await.expect(200).json(), "id"), pick(&[0, 2, 3]));
    assert_eq!(follow(&admin, &format!("{path}?limit=1&state=all&kind=browser"), "id").await[..2], pick(&[0, 2]));
    let deleted = server.create_user("gone").await;
    admin.delete(&path_of(deleted.id)).await.expect(204);
    admin.get(&format!("{}/sessions", path_of(deleted.id))).await.expect(404);
    admin.delete(&format!("{}/sessions", path_of(deleted.id))).await.expect(404);
}

#[rstest]
#[tokio::test]
async fn what_a_manager_ends_is_dead_at_once_with_cookie_and_tokens_on_both_nodes(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other = server.second_node().await;
    server.create("manuel", Role::Manager).await;
    let manager = server.program("manuel").await;
    let user = server.create_user("ursula").await;
    let revoke = "/api/v1/sessions/revoke";

    let mut single = server.program("ursula").await;
    manager.delete(&format!("/api/v1/sessions/{}", single.session_id)).await.expect(204);
    single.expect_dead().await;

    let mut programs = [server.program("ursula").await, server.program("ursula").await, server.program("ursula").await];
    let mut browser = server.signed_in("ursula").await;
    let elsewhere = other.program("ursula").await;
    let ids = json!({ "ids": [programs[0].session_id, programs[1].session_id, single.session_id] });
    assert_eq!(manager.post(revoke, &ids).await.expect(200).json(), json!({ "revoked": 2 }), "one had ended before");
    programs[0].expect_dead().await;
    programs[1].expect_dead().await;
    assert!(programs[2].is_signed_in().await && browser.is_signed_in().await && elsewhere.is_signed_in().await);

    let ended = manager.post(revoke, &json!({ "user_id": user.id })).await.expect(200).json();
    assert_eq!(ended, json!({ "revoked": 3 }));
    programs[2].expect_dead().await;
    assert!(!browser.is_signed_in().await);
    Deadline::second().expect_soon("dead on the other node", async || !elsewhere.is_signed_in().await).await;

    let mut again = server.program("ursula").await;
    let ended = manager.delete(&format!("{}/sessions", path_of(user.id))).await.expect(200).json();
    assert_eq!(ended, json!({ "revoked": 1 }));
    again.expect_dead().await;
    assert_eq!(events(&manager, Event::SessionRevokedAll).await.len(), 2);
    assert_eq!(events(&manager, Event::SessionRevoked).await.len(), 3);
}

#[rstest]
#[tokio::test]
async fn ending_all_spares_the_caller_and_reaches_as_far_as_the_role(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let admin = administrator(&server).await;
    server.create("manuel", Role::Manager).await;
    server.create_user("ursula").await;
    let manager = server.program("manuel").await;
    let (mut user, mut browser) = (server.program("ursula").await, server.signed_in("ursula").await);
    let all = json!({ "all": true });
    assert_eq!(manager.post("/api/v1/sessions/revoke", &all).await.expect(200).json(), json!({ "revoked": 2 }));
    user.expect_dead().await;
    assert!(!browser.is_signed_in().await);
    assert!(admin.is_signed_in().await && manager.is_signed_in().await);

    // Whoever set the server up has a session too.
    let mut user = server.program("ursula").await;
    let mut own = server.program("adele").await;
    assert_eq!(admin.post("/api/v1/sessions/revoke", &all).await.expect(200).json(), json!({ "revoked": 4 }));
    user.expect_dead().await;
    own.expect_dead().await;
    let mut manager = manager;
    manager.expect_dead().await;
    let mut admin = admin;
    admin.refresh().await.expect(200);
    assert!(admin.is_signed_in().await);
}

/// What is above a role is refused, whoever it is done to; nothing changes.
#[rstest]
#[tokio::test]
async fn a_manager_reaches_users_alone(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let user = server.create("ursula", Role::User).await;
    let colleague = server.create("martha", Role::Manager).await;
    let own = server.create("manuel", Role::Manager).await;
    let admin = lookup::find(&server.services.database, KEEPER).await.unwrap();
    let manager = server.program("manuel").await;
    let mut victims = Vec::new();
    for name in ["martha", KEEPER, "ursula"] {
        victims.push(server.program(name).await);
    }
    for target in [&user, &colleague, &own, &admin] {
        let path = path_of(target.id);
        for (method, path, body) in [
            ("PATCH", path.clone(), json!({ "name": "Pwned" })),
            ("DELETE", path.clone(), json!({})),
            ("PUT", format!("{path}/role"), json!({ "role": "admin" })),
            ("POST", format!("{path}/suspend"), json!({})),
            ("POST", format!("{path}/reinstate"), json!({})),
            ("POST", format!("{path}/reset-link"), json!({})),
            ("POST", "/api/v1/users".to_owned(), json!({ "username": "eve", "email": "eve@example.com" })),
        ] {
            let refused = manager.json(method, &path, &body).await.expect(403);
            assert_eq!(refused.header("www-authenticate"), Some(r#"Bearer error="insufficient_scope""#));
        }
        let after = now(&server, target).await;
        assert_eq!((after.version(), after.epoch), (target.version(), target.epoch), "{}", target.username);
    }
    for target in [&colleague, &own, &admin] {
        manager.send("POST", &format!("{}/unlock", path_of(target.id)), &[], None).await.expect(403);
        manager.delete(&format!("{}/sessions", path_of(target.id))).await.expect(403);
        manager.post("/api/v1/sessions/revoke", &json!({ "user_id": target.id })).await.expect(403);
    }
    for victim in &victims[..2] {
        manager.delete(&format!("/api/v1/sessions/{}", victim.session_id)).await.expect(403);
    }
    // One that is out of reach keeps all of them.
    let mixed = json!({ "ids": [victims[2].session_id, victims[0].session_id] });
    manager.post("/api/v1/sessions/revoke", &mixed).await.expect(403);
    for victim in &victims {
        assert!(victim.is_signed_in().await);
    }
    // Whoever is below a manager learns nothing of what there is.
    let ursula = &victims[2];
    for path in [
        format!("/api/v1/sessions/{}", victims[0].session_id),
        "/api/v1/sessions/00000000-0000-7000-8000-000000000000".to_owned(),
    ] {
        assert_eq!(ursula.delete(&path).await.expect(403).json()["code"], "forbidden");
    }
    let theirs = format!("/api/v1/me/sessions/{}", victims[0].session_id);
    let nobodys = "/api/v1/me/sessions/00000000-0000-7000-8000-000000000000";
    let (theirs, nobodys) = (ursula.delete(&theirs).await.expect(404), ursula.delete(nobodys).await.expect(404));
    assert_eq!(theirs.json()["detail"], nobodys.json()["detail"]);
    assert!(victims[0].is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn the_last_administrator_stays_and_nobody_raises_an_own_role(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let keeper = server.program(KEEPER).await;
    let path = path_of(server.id_of(KEEPER).await);
    for (method, path, body) in [
        ("PUT", format!("{path}/role"), json!({ "role": "user" })),
        ("POST", format!("{path}/suspend"), json!({})),
        ("DELETE", path.clone(), json!({})),
    ] {
        let refused = keeper.json(method, &path, &body).await.expect(409).json();
        assert_eq!(refused["code"], "last_admin");
    }
    assert!(keeper.is_signed_in().await);

    // With another one it may step down, and not up again.
    let adele = server.create("adele", Role::Admin).await;
    keeper.json("PUT", &format!("{path}/role"), &json!({ "role": "manager" })).await.expect(200);
    keeper.json("PUT", &format!("{path}/role"), &json!({ "role": "admin" })).await.expect(403);
    keeper.json("PUT", &format!("{}/role", path_of(adele.id)), &json!({ "role": "user" })).await.expect(403);
    keeper.get("/api/v1/users").await.expect(200);
}

/// On the very next request, on a connection that stays open.
#[rstest]
#[tokio::test]
async fn a_changed_role_counts_at_once_for_whoever_is_signed_in(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other = server.second_node().await;
    let keeper = server.program(KEEPER).await;
    let martha = server.create("martha", Role::Admin).await;
    let (program, elsewhere) = (server.program("martha").await, other.program("martha").await);
    let mut browser = server.signed_in("martha").await;
    let path = format!("{}/role", path_of(martha.id));
    program.get("/api/v1/keys").await.expect(200);
    elsewhere.get("/api/v1/keys").await.expect(200);
    browser.get("/admin/keys").await.expect(200);
    keeper.json("PUT", &path, &json!({ "role": "user" })).await.expect(200);
    program.get("/api/v1/users").await.expect(403);
    browser.get("/admin").await.expect(403);
    assert!(program.is_signed_in().await && browser.is_signed_in().await);
    Deadline::second()
        .expect_soon("demoted on the other node", async || elsewhere.get("/api/v1/keys").await.status == 403)
        .await;
    keeper.json("PUT", &path, &json!({ "role": "manager" })).await.expect(200);
    program.get("/api/v1/users").await.expect(200);
    program.get("/api/v1/keys").await.expect(403);
    browser.get("/admin").await.expect(200);
}

/// The log names whoever acts as they are called then, not as they were when the token was issued.
#[tokio::test]
async fn whoever_was_renamed_acts_under_the_new_name() {
    let server = TestServer::start(Sqlite).await;
    let admin = administrator(&server).await;
    let udo = server.create_user("udo").await;
    let own = path_of(server.id_of("adele").await);
    let names = json!({ "username": "newname", "email": "newname@example.com" });
    admin.json("PATCH", &own, &names).await.expect(200);
    server.create_user("adele").await;
    let session = server.program("udo").await.session_id;
    admin.delete(&format!("/api/v1/sessions/{session}")).await.expect(204);
    admin.delete(&format!("{}/sessions", path_of(udo.id))).await.expect(200);
    admin.send("POST", &format!("{}/suspend", path_of(udo.id)), &[], None).await.expect(200);
    for event in [Event::SessionRevoked, Event::SessionRevokedAll, Event::UserSuspended] {
        assert_eq!(events(&admin, event).await[0]["actor"]["username"], "newname", "{event}");
    }
    let ended = admin.get("/api/v1/sessions?state=ended&q=udo").await.expect(200).json();
    assert_eq!(ended["data"][0]["ended_by"], "newname");
}

/// One who has not chosen a password yet, and may never do, is no administrator to rely on.
#[rstest]
#[tokio::test]
async fn an_administrator_without_a_password_does_not_replace_the_last(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let keeper = server.program(KEEPER).await;
    let own = format!("{}/role", path_of(server.id_of(KEEPER).await));
    let new = json!({ "username": "adele", "email": "adele@example.com", "role": "admin" });
    let link = keeper.post("/api/v1/users", &new).await.expect(201).json()["reset_url"].as_str().unwrap().to_owned();
    let refused = keeper.json("PUT", &own, &json!({ "role": "user" })).await.expect(409).json();
    assert_eq!(refused["code"], "last_admin");
    assert!(refused["detail"].as_str().unwrap().contains("no other has chosen a password yet"), "{refused}");
    // Who reads the list, with two active administrators, sees why.
    let mut reader = server.signed_in(KEEPER).await;
    let account = format!("/admin/users/{}", server.id_of("adele").await);
    let told = async |reader: &mut Browser| {
        let rows = reader.get("/admin/users?role=admin").await.expect(200).texts("tbody tr");
        let page = reader.get(&account).await.expect(200).text();
        (rows.iter().filter(|row| row.contains("No password yet")).count(), page.contains("No password yet"))
    };
    assert_eq!(told(&mut reader).await, (1, true));
    let demote = format!("/admin/users/{}/role", server.id_of(KEEPER).await);
    let refused = reader.submit(&demote, &[("role", "user")]).await.expect(409).text();
    assert!(refused.contains("no other has chosen a password yet"), "{refused}");
    let link = link.strip_prefix(&server.public_url).unwrap();
    let mut browser = server.browser();
    browser.get(link).await.expect(200);
    browser.submit(link, &[("new_password", PASSWORD)]).await;
    assert_eq!(told(&mut reader).await, (0, false));
    keeper.json("PUT", &own, &json!({ "role": "user" })).await.expect(200);
}

#[tokio::test]
async fn a_sensitive_act_on_an_account_needs_a_recent_password() {
    let server = TestServer::start(Sqlite).await;
    let admin = administrator(&server).await;
    server.create("manuel", Role::Manager).await;
    let manager = server.program("manuel").await;
    let anna = server.create("anna", Role::User).await;
    let path = path_of(anna.id);
    let acts = [
        ("POST", "/api/v1/users".to_owned(), json!({ "username": "bob", "email": "bob@example.com" })),
        ("PATCH", path.clone(), json!({ "name": "Anna" })),
        ("PUT", format!("{path}/role"), json!({ "role": "manager" })),
        ("POST", format!("{path}/suspend"), json!({})),
        ("POST", format!("{path}/reinstate"), json!({})),
        ("POST", format!("{path}/reset-link"), json!({})),
        ("POST", "/api/v1/sessions/revoke".to_owned(), json!({ "all": true })),
        ("DELETE", path.clone(), json!({})),
    ];
    server.clock.advance(TimeDelta::minutes(10) + TimeDelta::seconds(1));
    for (method, path, body) in &acts {
        let refused = admin.json(method, path, body).await.expect(401);
        assert_eq!(refused.json()["code"], "reauthentication_required", "{method} {path}");
        assert_eq!(refused.header("www-authenticate"), Some(r#"Bearer error="insufficient_user_authentication""#));
    }
    for (method, path, body) in [
        ("POST", "/api/v1/sessions/revoke", json!({ "all": true })),
        ("POST", "/api/v1/sessions/revoke", json!({ "user_id": anna.id })),
        ("DELETE", &format!("{path}/sessions"), json!({})),
    ] {
        let refused = manager.json(method, path, &body).await.expect(401);
        assert_eq!(refused.json()["code"], "reauthentication_required", "{method} {path}");
    }
    assert_eq!(now(&server, &anna).await.version(), anna.version());

    // What isn't sensitive goes on.
    manager.get("/api/v1/users").await.expect(200);
    manager.send("POST", &format!("{path}/unlock"), &[], None).await.expect(200);
    let session = server.program("anna").await.session_id;
    manager.post("/api/v1/sessions/revoke", &json!({ "ids": [session] })).await.expect(200);
    // A refreshed token is no entry of a password.
    let mut admin = admin;
    admin.refresh().await.expect(200);
    admin.json("PATCH", &path, &json!({ "name": "Anna" })).await.expect(401);
    admin.post("/api/v1/auth/confirm", &json!({ "password": PASSWORD })).await.expect(204);
    for (method, path, body) in &acts {
        let answer = admin.json(method, path, body).await;
        assert!(matches!(answer.status, 200..=204), "{method} {path}: {} {}", answer.status, answer.body);
    }
}

#[rstest]
#[tokio::test]
async fn the_figures_and_the_audit_log_are_those_of_the_pages(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    server.stay_within_the_hour();
    server.create("manuel", Role::Manager).await;
    let manager = server.program("manuel").await;
    server.browser().try_sign_in("manuel", NEW_PASSWORD).await.expect(401);
    let stats = manager.get("/api/v1/stats").await.expect(200).json();
    assert_eq!(keys_of(&stats), ["by_day", "by_hour", "locked", "reuse_alarms_24h", "sessions", "users"],);
    assert_eq!(stats["users"], json!({ "total": 2, "new_7d": 2 }));
    assert_eq!(stats["sessions"], json!({ "browser": 1, "api": 1 }));
    let (hours, days) = (stats["by_hour"].as_array().unwrap(), stats["by_day"].as_array().unwrap());
    assert_eq!((hours.len(), days.len()), (24, 30));
    assert_eq!((&hours[23]["failures"], &days[29]["failures"]), (&json!(1), &json!(1)));
    assert_eq!(keys_of(&hours[23]), ["at", "failures", "sign_ins"]);

    let failed = manager.get("/api/v1/audit?event=sign_in.failed&user=manuel&outcome=failure").await.expect(200).json();
    assert_eq!(failed["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        keys_of(&failed["data"][0]),
        ["actor", "address", "at", "detail", "device", "event", "id", "outcome", "request_id", "session_id", "subject"]
    );
    let all = follow(&manager, "/api/v1/audit?limit=2&since=2000-01-01&address=127.0.0.1", "id").await;
    let once = column(&manager.get("/api/v1/audit?limit=200&address=127.0.0.1").await.expect(200).json(), "id");
    assert_eq!(all, once);
    assert!(all.is_sorted_by(|newer, older| newer > older));
    assert_eq!(manager.get("/api/v1/audit?until=2000-01-01").await.expect(200).json()["data"], json!([]));
}

/// Of a suspended or deleted account nothing is good any more, whatever it was.
#[rstest]
#[tokio::test]
async fn a_suspension_and_a_deletion_end_everything_that_the_account_had(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let admin = administrator(&server).await;
    for delete in [false, true] {
        let user = server.create_user("ursula").await;
        let (mut program, mut browser) = (server.program("ursula").await, server.signed_in("ursula").await);
        let path = path_of(user.id);
        let link = admin.send("POST", &format!("{path}/reset-link"), &[], None).await.expect(200).json();
        let link = link["url"].as_str().unwrap().strip_prefix(&server.public_url).unwrap().to_owned();
        server.browser().get(&link).await.expect(200);
        match delete {
            false => admin.send("POST", &format!("{path}/suspend"), &[], None).await.expect(200),
            true => admin.delete(&path).await.expect(204),
        };
        program.expect_dead().await;
        assert!(!browser.is_signed_in().await);
        server.browser().get(&link).await.expect(410);
        server.browser().try_sign_in("ursula", PASSWORD).await.expect(401);
        if !delete {
            admin.send("POST", &format!("{path}/reinstate"), &[], None).await.expect(200);
            program.expect_dead().await;
            assert!(!browser.is_signed_in().await);
            server.browser().get(&link).await.expect(410);
            assert!(server.program("ursula").await.is_signed_in().await);
            admin.delete(&path).await.expect(204);
        }
    }
}
