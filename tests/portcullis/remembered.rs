//! What a process remembers of sessions and accounts between requests is never older than what has been answered.

use portcullis::domain::Role;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::stores::Stores;
use crate::support::*;

async fn me(program: &ApiClient) -> Value {
    program.get("/api/v1/me").await.expect(200).json()
}

#[rstest]
#[tokio::test]
async fn a_profile_is_shown_as_it_is_on_the_next_request_whoever_changed_it(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let id = server.create("anna", Role::User).await.id;
    let anna = server.program("anna").await;
    let mut elsewhere = ApiClient::new(&other_node);
    elsewhere.access_token = anna.access_token.clone();
    let keeper = other_node.program(KEEPER).await;
    let mut browser = server.signed_in("anna").await;
    for name in ["Anna A", "Anna B", "Anna C"] {
        assert_ne!(me(&anna).await["name"], name);
        assert_ne!(me(&elsewhere).await["name"], name);
        keeper.json("PATCH", &format!("/api/v1/users/{id}"), &json!({ "name": name })).await.expect(200);
        assert_eq!(me(&elsewhere).await["name"], name, "on the node of the change");
        let seen = async || me(&anna).await["name"] == name;
        Deadline::second().expect_soon("the change on another node", seen).await;
        assert!(browser.get("/account").await.body.contains(name));
    }
    anna.json("PATCH", "/api/v1/me", &json!({ "name": "Anna D" })).await.expect(200);
    assert_eq!(me(&anna).await["name"], "Anna D");
    assert!(browser.get("/account/profile").await.body.contains("Anna D"));
}

#[rstest]
#[tokio::test]
async fn the_last_sign_in_and_a_lock_are_shown_on_the_next_request(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::with(backend, &[("lockout_threshold", "3")]).await;
    server.create("anna", Role::User).await;
    let anna = server.program("anna").await;
    let first = me(&anna).await["last_sign_in_at"].clone();
    server.clock.advance(chrono::TimeDelta::seconds(5));
    server.program("anna").await;
    assert_ne!(me(&anna).await["last_sign_in_at"], first);

    assert_eq!(me(&anna).await["locked_until"], Value::Null);
    for _ in 0..3 {
        let guess = json!({ "username": "anna", "password": "not the password at all" });
        ApiClient::new(&server).post("/api/v1/auth/login", &guess).await.expect(401);
    }
    assert_ne!(me(&anna).await["locked_until"], Value::Null);
    let unlock = format!("/api/v1/users/{}/unlock", server.id_of("anna").await);
    server.program(KEEPER).await.post(&unlock, &json!({})).await.expect(200);
    assert_eq!(me(&anna).await["locked_until"], Value::Null);
}

/// The command line is another process: on SQLite nobody tells of it, on Redis it does so itself.
#[rstest]
#[tokio::test]
async fn what_the_command_line_does_counts_on_the_next_request(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    server.create("anna", Role::User).await;
    let (anna, mut browser) = (server.program("anna").await, server.signed_in("anna").await);
    assert!(anna.is_signed_in().await && browser.is_signed_in().await);
    assert!(anna.is_signed_in().await && browser.is_signed_in().await);
    let command_line = Program::on(&server);
    let revoked = command_line.run(&["sessions", "revoke", &anna.session_id, "--yes"]);
    assert_eq!(revoked.code, Some(0), "{}", revoked.stderr);
    let dead = async || !anna.is_signed_in().await;
    if backend == Sqlite {
        assert!(dead().await, "a session that another process ended lives on");
    }
    Deadline::second().expect_soon("dead", dead).await;
    assert!(browser.is_signed_in().await);
}

/// A Redis that takes no word from node to node, as where its user may not publish.
async fn server_that_hears_nothing(backend: Backend) -> TestServer {
    let redis = RedisServer::start_with(&["--rename-command", "PUBLISH", ""]);
    TestServer::on(Stores::with_redis(backend, Some(redis)).await, &[]).await
}

#[rstest]
#[tokio::test]
async fn a_node_that_hears_nothing_asks_redis_each_time(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = server_that_hears_nothing(backend).await;
    let other_node = server.second_node().await;
    let mut browser = server.newcomer("anna").await;
    let anna = server.program("anna").await;
    let mut elsewhere = ApiClient::new(&other_node);
    elsewhere.access_token = anna.access_token.clone();
    // The first visits make the copies.
    for _ in 0..2 {
        assert!(browser.is_signed_in().await && elsewhere.is_signed_in().await);
    }
    let monitor = server.stores.redis().monitor();
    for _ in 0..5 {
        browser.get("/account/profile").await.expect(200);
        assert!(elsewhere.is_signed_in().await);
    }
    let seen = monitor.round_trips(&server.stores.redis_prefix);
    assert_eq!(seen.len(), 10, "{seen:#?}");
    browser.end_session(&anna.session_id).await.expect(303);
    assert!(!elsewhere.is_signed_in().await, "Redis knew");
}
