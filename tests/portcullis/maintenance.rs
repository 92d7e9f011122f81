//! What the server does by itself from time to time.

use chrono::TimeDelta;
use diesel::RunQueryDsl as _;
use portcullis::domain::audit::Client;
use portcullis::domain::audit_list::AuditFilter;
use portcullis::services::accounts::links;
use portcullis::services::{audit, maintenance};
use portcullis::storage::leases::Lease;
use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn a_step_that_fails_keeps_no_other_from_its_turn(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let anna = server.create_user("anna").await;
    let database = &server.services.database;
    links::issue_reset(&server.services, &command_line(), anna.id, &Client::default()).await.unwrap();
    // The first step asks for it.
    let broken = "ALTER TABLE sessions RENAME COLUMN idle_ms TO forgotten";
    database.write(move |connection| Ok(diesel::sql_query(broken).execute(connection)?)).await.unwrap();
    server.clock.advance(TimeDelta::days(181));
    assert!(maintenance::sweep(&server.services).await.is_err(), "nobody would hear of it");
    let left = audit::search(&server.services, &command_line(), &AuditFilter::default(), None, 50).await.unwrap();
    assert!(left.events.is_empty(), "the audit log is kept for ever");
    let links = database.write(|connection| Ok(diesel::sql_query("DELETE FROM one_time_links").execute(connection)?));
    assert_eq!(links.await.unwrap(), 0);
}

#[rstest]
#[tokio::test]
async fn a_lease_is_renewed_and_given_back_by_whoever_has_it(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let database = &server.services.database;
    let begin = server.clock.now();
    let at = |minutes: i64| begin + TimeDelta::minutes(minutes);
    let take = async |minutes: i64| {
        let (now, until) = (at(minutes), at(minutes + 5));
        database.write(move |connection| Lease::take(connection, "test", now, until)).await.unwrap()
    };
    let renew = async |lease: Lease, minutes: i64| {
        let until = at(minutes + 5);
        database.write(move |connection| lease.renew(connection, until)).await.unwrap()
    };
    let give_back = async |lease: Lease| database.write(move |connection| lease.give_back(connection)).await.unwrap();

    let first = take(0).await.unwrap();
    assert!(take(4).await.is_none());
    let first = renew(first, 4).await.unwrap();
    assert!(take(5).await.is_none(), "it was renewed");
    let second = take(9).await.unwrap();
    assert!(renew(first, 9).await.is_none());
    give_back(first).await;
    assert!(take(10).await.is_none(), "the lease of another was given back");
    give_back(second).await;
    assert!(take(10).await.is_some());
}
