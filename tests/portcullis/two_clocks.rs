//! Nodes on hosts whose clocks are wrong: the database's is the one that counts.

use chrono::TimeDelta;
use diesel::{ExpressionMethods as _, QueryDsl as _, RunQueryDsl as _};
use portcullis::services::maintenance;
use portcullis::services::sessions::signing_keys;
use portcullis::storage::schema::sessions;
use rstest::rstest;

use crate::support::stores::Stores;
use crate::support::*;

async fn server(redis: bool) -> TestServer {
    let stores = Stores::with_redis(PostgresRedis, redis.then(RedisServer::shared)).await;
    TestServer::on(stores, &[]).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn no_honest_client_notices_that_the_clock_of_a_node_is_wrong(#[values(false, true)] redis: bool) {
    let server = server(redis).await;
    server.create_user("anna").await;
    for wrong in [-3600, -61, -31, -10, 10, 31, 61, 3600] {
        let node = server.second_node_by(server.clock.of_other_host(TimeDelta::seconds(wrong)), &[]).await;
        // What one node gives is good on the other at once.
        let first = server.program("anna").await;
        let mut there = first.clone().at(&node);
        assert!(there.is_signed_in().await, "{wrong} s: a fresh token of another node is refused");
        there.refresh().await.expect(200);
        assert!(there.clone().at(&server).is_signed_in().await, "{wrong} s: a fresh token of this node is refused");
        // The answer was lost, and the balancer chooses the other node: both ways.
        let mut repeated = first.at(&server);
        repeated.refresh().await.expect(200);
        assert_eq!(repeated.refresh_token, there.refresh_token, "{wrong} s: a repeat was none");
        let used = repeated.clone();
        repeated.refresh().await.expect(200);
        let mut again = used.clone().at(&node);
        again.refresh().await.expect(200);
        assert_eq!(again.refresh_token, repeated.refresh_token, "{wrong} s: a repeat was none");
        // A browser that has signed in there goes on here.
        let mut browser = node.signed_in("anna").await.at(&server);
        assert!(browser.is_signed_in().await, "{wrong} s");
        // The grace is no longer for all that.
        server.clock.advance(TimeDelta::seconds(11));
        used.at(&node).refresh().await.expect(401);
        again.at(&server).expect_dead().await;
    }
}

/// One of the two is wrong, and nobody knows which.
#[tokio::test]
async fn nothing_is_closed_or_deleted_for_its_age_where_host_and_database_are_far_apart() {
    let server = server(false).await;
    let anna = server.newcomer("anna").await;
    server.clock.advance(TimeDelta::days(400));
    let sessions = async || {
        let of_anna = |connection: &mut _| {
            let ended =
                sessions::table.filter(sessions::ended_at.is_not_null()).count().get_result::<i64>(connection)?;
            Ok((ended, sessions::table.count().get_result::<i64>(connection)?))
        };
        server.services.database.read(of_anna).await.unwrap()
    };
    let keys = async || signing_keys::list(&server.services.database).await.unwrap().len();
    let (before, keys_before) = (sessions().await, keys().await);
    assert!(before.0 < before.1, "{before:?}");
    for wrong in [-1, 1] {
        let node = server.second_node_by(server.clock.of_other_host(TimeDelta::days(wrong)), &[]).await;
        maintenance::sweep(&node.services).await.unwrap();
        signing_keys::rotate_when_due(&node.services).await.unwrap();
        assert_eq!((sessions().await, keys().await), (before, keys_before), "{wrong} days");
        assert!(!anna.clone().at(&node).is_signed_in().await);
    }
    maintenance::sweep(&server.services).await.unwrap();
    let after = sessions().await;
    assert!(after.0 == after.1, "{after:?}");
    signing_keys::rotate_when_due(&server.services).await.unwrap();
    assert!(keys().await > keys_before);
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_says_by_how_much() {
    let server = server(false).await;
    for (wrong, way) in [(-31, "behind"), (90, "ahead of")] {
        let node = server.second_node_by(server.clock.of_other_host(TimeDelta::seconds(wrong)), &[]).await;
        let mut keeper = node.signed_in(KEEPER).await;
        let ready = keeper.get("/readyz").await.expect(200).json();
        let ahead = ready["database"]["clock_ahead_seconds"].as_f64().unwrap_or_else(|| panic!("{ready}"));
        assert!((ahead - wrong as f64).abs() < 2.0, "{ready}");
        let warning = ready["database"]["warning"].as_str().unwrap_or_else(|| panic!("{ready}"));
        assert!(warning.contains(&format!(" s {way} that of the database")) && warning.contains("NTP"), "{ready}");
        let page = keeper.get("/admin").await.expect(200);
        assert!(page.text().contains("Two clocks differ: the clock of this host is"), "{}", page.text());
        let rows = page.texts("section[aria-labelledby='node'] tbody tr");
        assert!(rows[1].starts_with("ClockDiffers"), "{rows:?}");
    }
    let mut keeper = server.signed_in(KEEPER).await;
    let ready = keeper.get("/readyz").await.expect(200).json();
    assert!(ready["database"]["clock_ahead_seconds"].as_f64().is_some_and(|ahead| ahead.abs() < 2.0), "{ready}");
    assert_eq!(ready["database"].get("warning"), None, "{ready}");
    let page = keeper.get("/admin").await.expect(200);
    assert!(page.texts("section[aria-labelledby='node'] tbody tr")[1].starts_with("ClockAgrees"));
    assert!(!page.text().contains("clocks differ"));
    // Of a file on this host there is no other clock.
    let server = TestServer::start(Sqlite).await;
    let ready = server.browser().get("/readyz").await.expect(200).json();
    assert_eq!(ready["database"].get("clock_ahead_seconds"), None, "{ready}");
}
