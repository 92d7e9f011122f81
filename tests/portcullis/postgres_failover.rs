//! A primary that is lost, a standby that takes its place, and the old one that comes back as a standby of it.

use std::time::{Duration, Instant};

use rstest::rstest;

use crate::support::crowd::Crowd;
use crate::support::postgres_pair::PostgresServer;
use crate::support::postgres_server::{PgBouncer, at_port, sql};
use crate::support::stores::Stores;
use crate::support::*;

/// How a node finds the server that takes writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// One name, behind which another server stands afterwards.
    Name,
    /// Both are named in the URL.
    Hosts,
    /// One name, and a transaction pooler before it.
    Pooler,
}

/// Two servers of which one follows the other, and what stands before them.
struct Pair {
    primary: PostgresServer,
    standby: PostgresServer,
    line: Relay,
    _pooler: Option<PgBouncer>,
}

impl Pair {
    async fn start(way: Way) -> (Self, String) {
        let primary = PostgresServer::start();
        sql(&primary.url("postgres"), &["CREATE DATABASE portcullis"]).await;
        let standby = primary.standby().await;
        let line = Relay::to(primary.port);
        let pooler = (way == Way::Pooler).then(|| PgBouncer::start(line.port(), "transaction", 4));
        let url = primary.url("portcullis");
        let url = match (way, &pooler) {
            (Way::Hosts, _) => {
                let (one, two) = (primary.port, standby.port);
                format!("postgres://postgres@127.0.0.1:{one},127.0.0.1:{two}/portcullis?sslmode=disable")
            }
            (_, Some(pooler)) => at_port(&url, pooler.port),
            _ => at_port(&url, line.port()),
        };
        (Self { primary, standby, line, _pooler: pooler }, url)
    }

    /// The primary goes, the standby takes its place. Says since when that takes writes and has the name.
    async fn switch(&mut self, signal: &str) -> Instant {
        self.primary.stop(signal);
        self.standby.promote().await;
        self.line.lead_to(self.standby.port);
        Instant::now()
    }

    /// The one that was lost follows the other from now on.
    async fn heal(&mut self) {
        self.primary.become_standby_of(&self.standby).await;
        std::mem::swap(&mut self.primary, &mut self.standby);
    }
}

/// For how long after `since` something that writes failed, on a node where it was asked for all the time.
async fn outage(node: &TestServer, since: Instant) -> Duration {
    let mut last_failure = Duration::ZERO;
    let mut good = 0;
    // Not only once: all connections have to be good again.
    while good < 30 {
        let asked = since.elapsed();
        let answer = node.browser().post("/login", &[("username", KEEPER), ("password", PASSWORD)]).await;
        if answer.status == 303 {
            good += 1;
        } else {
            assert_eq!(answer.status, 503, "{}", answer.excerpt());
            (last_failure, good) = (asked, 0);
            assert!(asked < Duration::from_secs(20), "out of order for {asked:?}");
        }
    }
    last_failure
}

#[rstest]
#[tokio::test]
async fn a_standby_takes_the_place_of_the_primary(
    #[values(Way::Name, Way::Hosts, Way::Pooler)] way: Way,
    #[values(false, true)] redis: bool,
) {
    let (mut pair, url) = Pair::start(way).await;
    let mut stores = Stores::with_redis(Sqlite, redis.then(RedisServer::shared)).await;
    stores.database_url = url;
    let one = TestServer::on(stores, &[]).await;
    let two = one.second_node().await;
    let nodes = [&one, &two];
    let mut crowd = Crowd::gather(&nodes, 3).await;
    let rounds = if long() { 20 } else { 2 };
    for round in 1..=rounds {
        let what = format!("{way:?}, round {round}");
        crowd.join(&nodes, 5, round).await;
        crowd.end(&nodes, 5).await;
        // By turns in order, and as at a loss of power.
        let since = pair.switch(["INT", "QUIT"][round % 2]).await;
        let (first, second) = tokio::join!(outage(&one, since), outage(&two, since));
        let longest = first.max(second);
        assert!(longest <= Duration::from_secs(2), "{what}: out of order for {longest:?}");
        crowd.judge(&nodes, &what).await;
        pair.heal().await;
        crowd.judge(&nodes, &format!("{what}, with a standby again")).await;
    }
}

/// A server that hangs, rather than one that is gone: it takes connections and says nothing.
#[tokio::test]
async fn a_server_that_hangs_is_left_for_another() {
    let (mut pair, url) = Pair::start(Way::Name).await;
    let mut stores = Stores::with_redis(Sqlite, None).await;
    stores.database_url = url;
    let server = TestServer::on(stores, &[]).await;
    let mut anna = server.newcomer("anna").await;
    pair.line.freeze();
    // All connections of the pool hang, and new ones too.
    let asked = futures_util::future::join_all((0..8).map(|_| async { server.browser().get("/readyz").await.status }));
    assert!(asked.await.contains(&503));
    let since = pair.switch("QUIT").await;
    let longest = outage(&server, since).await;
    assert!(longest <= Duration::from_secs(2), "out of order for {longest:?}");
    assert!(anna.is_signed_in().await);
}

/// One that has to make room, and whose sessions still stand: they read what was true before.
#[tokio::test]
async fn an_old_primary_that_takes_no_writes_any_more_is_believed_nothing() {
    let (pair, url) = Pair::start(Way::Name).await;
    let mut stores = Stores::with_redis(Sqlite, None).await;
    stores.database_url = url;
    let one = TestServer::on(stores, &[]).await;
    let mut crowd = Crowd::gather(&[&one], 7).await;
    pair.primary.fence().await;
    pair.standby.promote().await;
    let two = one.second_node_with(&[("database_url", &pair.standby.url("portcullis"))]).await;
    pair.line.lead_to(pair.standby.port);
    crowd.end(&[&two], 5).await;
    // At most once for each connection of the old ones.
    let mut guest = one.browser();
    eventually("in order", Duration::from_secs(2), async || guest.get("/readyz").await.status == 200).await;
    crowd.judge(&[&one, &two], "after the old primary").await;
}

#[tokio::test]
async fn a_standby_is_no_place_to_start_on_and_is_said_to_be_one() {
    let (pair, _) = Pair::start(Way::Name).await;
    for options in ["", "&target_session_attrs=primary", "&target_session_attrs=any"] {
        let program = Program::with_administrator();
        let program = program.set("database_url", &format!("{}{options}", pair.standby.url("portcullis")));
        let refused = program.run(&["serve"]);
        assert_eq!(refused.code, Some(69), "{options}: {refused:?}");
        assert!(refused.stderr.contains("standby"), "{options}: {refused:?}");
    }
    // With both named it starts, whichever comes first.
    let both = format!(
        "postgres://postgres@127.0.0.1:{},127.0.0.1:{}/portcullis?sslmode=disable&target_session_attrs=read-write",
        pair.standby.port, pair.primary.port
    );
    let program = Program::with_administrator().set("database_url", &both);
    let _running = program.serve().await;
}
