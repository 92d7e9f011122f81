//! What is told of the stores: each failure once, how late a change comes, and whose clock is ahead.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use portcullis::storage::sessions::{RedisSessions, SessionStore};
use rstest::rstest;

use super::{Scrape, Watched, listen_on, scrape};
use crate::support::stores::Stores;
use crate::support::*;

const REDIS_ERRORS: &str = "store_errors_total{store=\"redis\"}";

async fn redis_errors(server: &Watched) -> f64 {
    server.scrape().await.value(REDIS_ERRORS)
}

/// At most so often has a node tried Redis out by itself since then.
fn tried_out(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() + 2.0
}

fn store(server: &TestServer) -> &RedisSessions {
    match &server.services.sessions {
        SessionStore::Redis(store) => store,
        SessionStore::Sql(_) => panic!("no Redis"),
    }
}

/// Waits until the node has carried out all that is in the feed now.
async fn reads_the_feed(server: &TestServer) {
    let now = Instant::now();
    eventually("a reading", Duration::from_secs(20), async || store(server).feed_age() < now.elapsed()).await;
}

async fn watched_with_own_redis() -> Watched {
    let metrics = Port::reserve();
    let stores = Stores::with_redis(SqliteRedis, Some(RedisServer::start())).await;
    let server = TestServer::on(stores, &[("metrics_listen", &listen_on(&metrics))]).await;
    Watched { server, metrics }
}

#[tokio::test]
async fn a_redis_that_fails_while_nobody_comes_is_told_by_its_try_outs() {
    let server = watched_with_own_redis().await;
    assert_eq!(redis_errors(&server).await, 0.0);
    server.stores.redis().cli(&["config", "set", "maxmemory", "1"]);
    eventually("its errors", Duration::from_secs(20), async || redis_errors(&server).await > 0.0).await;
}

#[tokio::test]
async fn each_call_that_redis_fails_is_counted_once_those_of_readyz_too() {
    let server = watched_with_own_redis().await;
    let mut anna = server.newcomer("anna").await;
    reads_the_feed(&server).await;
    server.stores.redis().kill9();
    for _ in 0..2 {
        let (since, before) = (Instant::now(), redis_errors(&server).await);
        for _ in 0..6 {
            server.browser().get("/readyz").await.expect(503);
        }
        let counted = redis_errors(&server).await - before;
        assert!((6.0..=6.0 + tried_out(since)).contains(&counted), "{counted} of {:?}", since.elapsed());
    }
    eventually("nothing is remembered", Duration::from_secs(20), async || anna.get("/account").await.status == 503)
        .await;
    let (since, before) = (Instant::now(), redis_errors(&server).await);
    for _ in 0..6 {
        anna.get("/account").await.expect(503);
    }
    let counted = redis_errors(&server).await - before;
    assert!((6.0..=6.0 + tried_out(since)).contains(&counted), "{counted} of {:?}", since.elapsed());
}

#[tokio::test]
async fn a_session_that_the_database_answers_for_because_redis_is_full_is_no_error() {
    let stores = Stores::with_redis(SqliteRedis, Some(RedisServer::start())).await;
    let first = TestServer::on(stores, &[]).await;
    let second = Watched::beside(&first).await;
    let mut people = Vec::new();
    for number in 0..40 {
        people.push(first.newcomer(&format!("anna{number}")).await);
    }
    first.stores.redis().cli(&["config", "set", "maxmemory", "1"]);
    let (since, before) = (Instant::now(), redis_errors(&second).await);
    for person in people {
        person.at(&second).get("/account").await.expect(200);
    }
    let counted = redis_errors(&second).await - before;
    assert!(counted <= tried_out(since), "{counted} of {:?}", since.elapsed());
}

/// All connections that a node has to its database, taken until this is dropped.
struct HeldConnections(#[expect(dead_code, reason = "dropped, it lets them go")] mpsc::Sender<()>);

impl HeldConnections {
    async fn of(server: &TestServer) -> Self {
        let (release, released) = mpsc::channel::<()>();
        let (released, held) = (Arc::new(Mutex::new(released)), Arc::new(AtomicU32::new(0)));
        let pool = server.services.settings.database_pool;
        for _ in 0..pool {
            let (database, released, held) = (server.services.database.clone(), released.clone(), held.clone());
            tokio::spawn(async move {
                let hold = database.read(move |_| {
                    held.fetch_add(1, Ordering::SeqCst);
                    let _ = released.lock().map(|released| released.recv());
                    Ok(())
                });
                hold.await
            });
        }
        eventually("all are held", Duration::from_secs(20), async || held.load(Ordering::SeqCst) == pool).await;
        Self(release)
    }
}

#[rstest]
#[tokio::test]
async fn how_late_a_revocation_is_does_not_include_that_the_reader_waited_for_a_connection_before(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let first = TestServer::start(backend).await;
    let second = Watched::beside(&first).await;
    let mut anna = first.newcomer("anna").await;
    reads_the_feed(&second).await;
    let figures = |now: &Scrape| ["sum", "count"].map(|end| now.value(&format!("revocation_lag_seconds_{end}")));
    let before = figures(&second.scrape().await);
    let held = HeldConnections::of(&second).await;
    let since = Instant::now();
    anna.sign_out().await;
    let wait = async || store(&second).feed_age() > Duration::from_millis(750);
    eventually("a reading has waited long", Duration::from_secs(20), wait).await;
    drop(held);
    let mut after = before;
    eventually("it is carried out", Duration::from_secs(20), async || {
        after = figures(&second.scrape().await);
        after[1] > before[1]
    })
    .await;
    let passed = since.elapsed().as_secs_f64();
    let mean = (after[0] - before[0]) / (after[1] - before[1]);
    // Rows are timed to a millisecond.
    assert!(mean <= passed + 0.002, "{mean} s of {passed} s that passed");
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_tells_by_how_much_it_is_ahead_as_readyz_does() {
    let server = TestServer::on(Stores::with_redis(PostgresRedis, None).await, &[]).await;
    for wrong in [-31, 90] {
        let (metrics, clock) = (Port::reserve(), server.clock.of_other_host(TimeDelta::seconds(wrong)));
        let node = server.second_node_by(clock, &[("metrics_listen", &listen_on(&metrics))]).await;
        let ready = node.browser().get("/readyz").await.expect(200).json();
        let shown = ready["database"]["clock_ahead_seconds"].as_f64().unwrap_or_else(|| panic!("{ready}"));
        let told = scrape(&metrics).await.value("clock_ahead_seconds");
        assert!([shown, told].iter().all(|ahead| (ahead - wrong as f64).abs() < 2.0), "{shown} {told}");
    }
    assert_eq!(Watched::start(Sqlite).await.scrape().await.value("clock_ahead_seconds"), 0.0);
}
