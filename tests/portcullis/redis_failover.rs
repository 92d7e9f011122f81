//! A fail-over to a Redis that lags behind, and two Redis servers that both believe to be the one.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;

use crate::support::crowd::Crowd;
use crate::support::stores::Stores;
use crate::support::*;

/// Two nodes that reach Redis through relays, and a second Redis that copies the first.
struct Failover {
    master: Arc<RedisServer>,
    replica: Arc<RedisServer>,
    /// The line of the replica to its master.
    replication: Relay,
    lines: [Relay; 2],
    one: TestServer,
    two: TestServer,
}

impl Failover {
    async fn new(backend: Backend) -> Self {
        let master = RedisServer::start();
        let replication = Relay::to(master.port);
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &replication.port().to_string()]);
        let lines = [Relay::to(master.port), Relay::to(master.port)];
        let mut stores = Stores::with_redis(backend, Some(master.clone())).await;
        stores.redis_url = Some(lines[0].redis_url());
        let one = TestServer::on(stores, &[]).await;
        let two = one.second_node_with(&[("redis_url", &lines[1].redis_url())]).await;
        Self { master, replica, replication, lines, one, two }
    }

    fn nodes(&self) -> [&TestServer; 2] {
        [&self.one, &self.two]
    }

    /// Waits until the replica has all that the master has.
    async fn replicated(&self) {
        let prefix = &self.one.stores.redis_prefix;
        eventually("replicated", Duration::from_secs(20), async || {
            let (mut here, mut there) = (self.master.keys(prefix), self.replica.keys(prefix));
            here.sort();
            there.sort();
            here == there && self.replica.cli(&["info", "replication"]).contains("master_link_status:up")
        })
        .await;
    }

    /// Makes the replica a master of its own.
    fn promote(&self) {
        assert_eq!(self.replica.cli(&["replicaof", "no", "one"]), "OK");
    }
}

#[rstest]
#[tokio::test]
async fn a_lagging_replica_promoted(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Failover::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 13).await;
    scene.replicated().await;
    // From here on the replica hears nothing.
    scene.replication.cut_off();
    crowd.end(&scene.nodes(), 10).await;
    crowd.be_forgotten_by_the_feed().await;
    scene.master.kill9();
    scene.promote();
    for line in &scene.lines {
        line.switch_to(scene.replica.port);
    }
    for node in scene.nodes() {
        node.is_ready().await;
    }
    crowd.judge(&scene.nodes(), "on the promoted replica").await;
    // The nodes work with it as before.
    crowd.end(&scene.nodes(), 2).await;
    crowd.judge(&scene.nodes(), "later").await;
}

#[rstest]
#[tokio::test]
async fn a_cut_off_old_master_that_still_serves_one_of_two_nodes(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let scene = Failover::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 14).await;
    scene.replicated().await;
    scene.replication.cut_off();
    scene.promote();
    // The first node follows the fail-over, the second keeps asking the old master, which has all copies.
    scene.lines[0].switch_to(scene.replica.port);
    scene.one.is_ready().await;
    crowd.end(&[&scene.one], 5).await;
    crowd.is_known_to_have_ended(&scene.nodes()).await;
    crowd.judge(&scene.nodes(), "ended on the new side").await;
    crowd.end(&[&scene.two], 5).await;
    crowd.is_known_to_have_ended(&scene.nodes()).await;
    crowd.judge(&scene.nodes(), "ended on the old side").await;
    // The old master is found out and goes.
    scene.master.kill9();
    scene.lines[1].switch_to(scene.replica.port);
    scene.two.is_ready().await;
    crowd.judge(&scene.nodes(), "together again").await;
}
