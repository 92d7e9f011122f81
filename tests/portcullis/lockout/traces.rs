//! What guesses leave in the stores, and what these lose.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::RunQueryDsl as _;
use portcullis::domain::Error;
use portcullis::domain::audit::Client;
use portcullis::services::authentication::sign_in;
use portcullis::services::maintenance;
use rstest::rstest;

use super::{FIVE, WRONG, attempt, counts, lock, server_on};
use crate::support::*;

#[rstest]
#[tokio::test]
async fn a_flood_of_invented_names_leaves_nothing_for_long(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = server_on(backend).await;
    let long = "x".repeat(2000);
    for number in 0..300 {
        let name = format!("invented{number}{}", if number % 10 == 0 { long.as_str() } else { "" });
        let error = sign_in::browser(&server.services, &name, &WRONG.into(), false, None, &Client::default()).await;
        assert!(matches!(error, Err(Error::WrongCredentials)));
    }
    assert_eq!(counts(&server).await, 300);
    maintenance::sweep(&server.services).await.unwrap();
    assert_eq!(counts(&server).await, 300, "swept before its time");
    server.clock.advance(TimeDelta::minutes(16));
    maintenance::sweep(&server.services).await.unwrap();
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
