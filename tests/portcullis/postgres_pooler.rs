//! PgBouncer in between: what several hosts hand out as the only URL.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;

use crate::support::mixed::mixed_requests;
use crate::support::postgres_server::{PgBouncer, at_port, sql, value};
use crate::support::stores::Stores;
use crate::support::*;

/// Stores whose PostgreSQL is reached through a PgBouncer of their own; and the URL without it.
async fn behind(pool_mode: &str, redis: bool, pool_size: u32) -> (Stores, PgBouncer, String) {
    let mut stores = Stores::with_redis(PostgresRedis, redis.then(RedisServer::shared)).await;
    let direct = stores.database_url.clone();
    let port = url::Url::parse(&direct).unwrap().port().expect("a port");
    let bouncer = PgBouncer::start(port, pool_mode, pool_size);
    stores.database_url = at_port(&direct, bouncer.port);
    (stores, bouncer, direct)
}

#[rstest]
#[tokio::test]
async fn behind_a_transaction_pooler_sixteen_clients_get_no_error(
    #[values(false, true)] redis: bool,
    #[values(false, true)] said: bool,
) {
    let (mut stores, bouncer, direct) = behind("transaction", redis, 8).await;
    if said {
        stores.database_url.push_str("&statement_cache=off");
    }
    // Any setting that a session keeps would leak to other programs, and theirs to us.
    let server = TestServer::on(stores, &[("api_rate", "100000/1m"), ("database_pool", "18")]).await;
    let tally = mixed_requests(&server, 16, 2000).await;
    assert!(tally.requests >= 2000, "{}", tally.requests);
    let some = &tally.failures[..tally.failures.len().min(3)];
    assert!(tally.failures.is_empty(), "{} of {}: {some:#?}\n{}", tally.failures.len(), tally.requests, bouncer.log());
    drop(server);
    let shared = at_port(&direct, bouncer.port);
    for (setting, own) in [("statement_timeout", "0"), ("lock_timeout", "0"), ("row_security", "on")] {
        assert_eq!(value(&shared, &format!("SHOW {setting}")).await, own, "{setting} has leaked");
    }
    assert_eq!(value(&shared, "SELECT count(*) FROM pg_prepared_statements").await, "0");
    // Of this database: other servers may be migrating theirs.
    let locks = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database \
                 WHERE locktype = 'advisory' AND datname = current_database()";
    assert_eq!(value(&shared, locks).await, "0");
}

#[tokio::test]
async fn what_other_programs_leave_in_a_pooled_session_is_not_in_the_way() {
    let (stores, _bouncer, _) = behind("transaction", false, 1).await;
    let url = stores.database_url.clone();
    let server = TestServer::on(stores, &[]).await;
    server.create_user("anna").await;
    let leftovers = [
        "SET statement_timeout = '1ms'",
        "SET default_transaction_isolation = 'serializable'",
        "SET standard_conforming_strings = off",
        "SET row_security = on",
        // As pg_dump does it.
        "SET search_path = ''",
    ];
    sql(&url, &leftovers).await;
    let mut anna = server.signed_in("anna").await;
    assert!(anna.is_signed_in().await);
    anna.sign_out().await;
    let found = server.program(KEEPER).await.get("/api/v1/users?q=an").await.expect(200).json();
    assert_eq!(found["data"][0]["username"], "anna", "{found}");
}

#[tokio::test]
async fn behind_a_session_pooler_statements_are_kept_as_without_one() {
    let (stores, _bouncer, direct) = behind("session", true, 20).await;
    let server = TestServer::on(stores, &[("database_pool", "18")]).await;
    server.create_user("anna").await;
    for _ in 0..6 {
        futures_util::future::join_all((0..10).map(|_| server.signed_in("anna"))).await;
    }
    // What was sent last had a name, and so was prepared.
    let settings = "SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE datname = current_database()";
    assert_ne!(value(&direct, settings).await, "1");
    let plans =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'BEGIN%SET LOCAL%'";
    assert_eq!(value(&direct, plans).await, "0");
}

/// As one that looked like none at start, for other programs kept it busy.
#[tokio::test]
async fn a_transaction_pooler_that_was_not_noticed_at_start_is_noticed_later() {
    let (stores, bouncer, _) = behind("session", false, 8).await;
    let server = TestServer::on(stores, &[("database_pool", "6")]).await;
    for number in 0..6 {
        server.create_user(&format!("person{number}")).await;
    }
    let sign_in = async |number: usize| {
        let name = format!("person{}", number % 6);
        server.browser().post("/login", &[("username", &name), ("password", PASSWORD)]).await.status
    };
    // Statements are prepared in every session.
    futures_util::future::join_all((0..12).map(sign_in)).await;
    let left = || bouncer.log().matches("closing because: client").count();
    let before = left();
    bouncer.change_pool_mode("session", "transaction");
    eventually("connected anew", Duration::from_secs(5), async || {
        let answers = futures_util::future::join_all((0..6).map(sign_in)).await;
        // What it noticed by is tried again.
        assert!(answers.iter().all(|status| *status == 303), "{answers:?}");
        left() > before
    })
    .await;
    for _ in 0..10 {
        let answers = futures_util::future::join_all((0..6).map(sign_in)).await;
        assert!(answers.iter().all(|status| *status == 303), "{answers:?}");
    }
}

#[tokio::test]
async fn the_program_and_its_commands_work_behind_a_transaction_pooler() {
    let (stores, _bouncer, _) = behind("transaction", false, 2).await;
    let program = Arc::new(Program::with_administrator().set("database_url", &stores.database_url));
    // Migrated by two that start at once.
    let other = program.clone();
    let listing = tokio::task::spawn_blocking(move || other.run(&["user", "list"]));
    let _running = program.serve().await;
    let listed = listing.await.unwrap();
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let mut anna = program.browser();
    anna.register("anna").await.expect_redirect("/account");
    let shown = program.run(&["user", "show", "anna"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
}
