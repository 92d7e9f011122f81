//! What is told where only a part was done.

use std::sync::mpsc;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use rstest::rstest;
use serde_json::json;

use super::{Watched, listen_on, scrape};
use crate::support::*;

#[tokio::test]
async fn a_program_that_signs_in_and_gets_no_tokens_has_not_signed_in_with_success() {
    let first = TestServer::start(Sqlite).await;
    first.create_user("anna").await;
    // It has not read its keys yet.
    let node = Watched::beside(&first).await;
    let no_keys = "DELETE FROM signing_keys;
                   CREATE TRIGGER refuse BEFORE INSERT ON signing_keys BEGIN SELECT RAISE(ABORT, 'not now'); END;";
    first.services.database.write(move |connection| Ok(connection.batch_execute(no_keys)?)).await.unwrap();
    let body = json!({ "username": "anna", "password": PASSWORD });
    let answer = ApiClient::new(&node).post("/api/v1/auth/login", &body).await;
    assert!(answer.status >= 500, "{}", answer.status);
    let now = node.scrape().await;
    let told = ["success", "unavailable", "error"].map(|outcome| now.sign_ins("api", outcome));
    assert!(told == [0.0, 1.0, 0.0] || told == [0.0, 0.0, 1.0], "{told:?}");
}

#[rstest]
#[tokio::test]
async fn a_refresh_token_that_was_used_twice_is_told_also_where_its_session_could_not_be_ended(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = Watched::with(backend, &[("database_pool", "3")]).await;
    server.create_user("anna").await;
    let mut program = server.program("anna").await;
    let used = program.clone();
    program.refresh().await.expect(200);
    server.clock.advance(TimeDelta::seconds(11));

    // The one who may write does so for long.
    let (entered, held) = tokio::sync::oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let (database, mut entered) = (server.services.database.clone(), Some(entered));
    let writer = tokio::spawn(async move {
        let hold = database.write(move |_| {
            let _ = entered.take().map(|entered| entered.send(()));
            let _ = released.recv();
            Ok(())
        });
        hold.await
    });
    held.await.unwrap();
    used.clone().refresh().await.expect(503);
    let now = server.scrape().await;
    assert_eq!(["reused", "unavailable"].map(|outcome| now.refreshes(outcome)), [1.0, 0.0]);
    drop(release);
    writer.await.unwrap().unwrap();
    used.clone().refresh().await.expect(401);
    program.expect_dead().await;
    assert_eq!(server.scrape().await.refreshes("reused"), 2.0);
}

#[tokio::test]
async fn lines_of_the_log_that_were_lost_are_told() {
    let metrics = Port::reserve();
    let program = Program::with_administrator().set("metrics_listen", &listen_on(&metrics));
    let running = program.start_in_shell("exec portcullis serve 2>/dev/full");
    running.answers().await;
    eventually("lost lines", Duration::from_secs(20), async || {
        scrape(&metrics).await.value("log_lines_lost_total") > 2.0
    })
    .await;
    let server = Watched::start(Sqlite).await;
    assert_eq!(server.scrape().await.value("log_lines_lost_total"), 0.0);
}
