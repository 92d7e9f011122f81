//! A Redis that forgets, or remembers too much: nothing that ended comes back, nobody is signed out.

use std::sync::Arc;

use rstest::rstest;

use crate::support::crowd::Crowd;
use crate::support::stores::Stores;
use crate::support::*;

/// Two nodes on a Redis of their own.
struct Scene {
    redis: Arc<RedisServer>,
    one: TestServer,
    two: TestServer,
}

impl Scene {
    async fn new(backend: Backend) -> Self {
        let redis = RedisServer::start();
        let one = TestServer::on(Stores::with_redis(backend, Some(redis.clone())).await, &[]).await;
        let two = one.second_node().await;
        Self { redis, one, two }
    }

    fn nodes(&self) -> [&TestServer; 2] {
        [&self.one, &self.two]
    }

    /// Waits until both nodes have a Redis again.
    async fn recover(&self) {
        for node in self.nodes() {
            node.is_ready().await;
        }
    }
}

#[rstest]
#[tokio::test]
async fn redis_killed_and_restarted_from_a_snapshot_of_before_50_ends(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let scene = Scene::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 55).await;
    scene.redis.save();
    crowd.end(&scene.nodes(), 50).await;
    crowd.judge(&scene.nodes(), "before the kill").await;
    crowd.be_forgotten_by_the_feed().await;
    scene.redis.kill9();
    scene.redis.restart();
    let returned = scene.redis.keys(&scene.one.stores.redis_prefix);
    assert!(returned.len() >= 100, "the snapshot does not hold the ended sessions: {}", returned.len());
    scene.recover().await;
    crowd.judge(&scene.nodes(), "after the snapshot").await;
}

#[rstest]
#[tokio::test]
async fn redis_killed_and_restarted_empty(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 8).await;
    crowd.end(&scene.nodes(), 5).await;
    scene.redis.kill9();
    scene.redis.forget();
    scene.redis.restart();
    let copies: Vec<_> = scene.redis.keys("").into_iter().filter(|key| key.ends_with(":u")).collect();
    assert_eq!(copies, Vec::<String>::new(), "it is not empty");
    scene.recover().await;
    crowd.judge(&scene.nodes(), "empty").await;
}

#[rstest]
#[tokio::test]
async fn a_restart_while_a_node_asks_for_nothing_is_noticed(#[values(SqliteRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 8).await;
    scene.redis.save();
    // Only the first node hears of the ends; the second is silent throughout.
    crowd.end(&[&scene.one], 5).await;
    scene.redis.kill9();
    scene.redis.restart();
    scene.recover().await;
    crowd.judge(&[&scene.two], "on the silent node").await;
    crowd.judge(&scene.nodes(), "on both").await;
}

#[rstest]
#[tokio::test]
async fn everything_flushed(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 8).await;
    crowd.end(&scene.nodes(), 5).await;
    scene.redis.cli(&["flushall"]);
    crowd.judge(&scene.nodes(), "flushed").await;
    // And again, now that the copies were made anew.
    crowd.end(&scene.nodes(), 3).await;
    scene.redis.cli(&["flushall"]);
    crowd.judge(&scene.nodes(), "flushed again").await;
}

#[rstest]
#[tokio::test]
async fn all_scripts_flushed(#[values(SqliteRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 8).await;
    scene.redis.cli(&["script", "flush"]);
    crowd.end(&scene.nodes(), 5).await;
    scene.redis.cli(&["script", "flush"]);
    crowd.judge(&scene.nodes(), "without scripts").await;
}

#[rstest]
#[tokio::test]
async fn keys_evicted_one_by_one(#[values(SqliteRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 8).await;
    crowd.end(&scene.nodes(), 5).await;
    for key in scene.redis.keys(&scene.one.stores.redis_prefix) {
        scene.redis.cli(&["del", &key]);
        crowd.judge(&[&scene.one], &key).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_flood_that_evicts_everything(#[values(SqliteRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 8).await;
    crowd.end(&scene.nodes(), 5).await;
    let redis = &scene.redis;
    redis.cli(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
    redis.cli(&["config", "set", "maxmemory", "1mb"]);
    redis.cli(&["eval", "for i = 1, 20000 do redis.pcall('set', 'flood' .. i, 'x') end return 1", "0"]);
    let left = redis.keys(&scene.one.stores.redis_prefix);
    redis.cli(&["config", "set", "maxmemory", "0"]);
    assert!(left.is_empty(), "nothing was evicted: {}", left.len());
    crowd.judge(&scene.nodes(), "evicted").await;
}

#[rstest]
#[tokio::test]
async fn copies_that_another_server_made_are_not_believed(#[values(SqliteRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 8).await;
    // Every key as it was, with the replication id (field `g`) of some other server's history, and as if read from SQL
    // just now (field `q`): what an import of a part of another server's memory would leave.
    let stale = "for _, key in ipairs(redis.call('keys', ARGV[1] .. '*')) do \
                   if redis.call('hexists', key, 'g') == 1 then \
                     redis.call('hset', key, 'g', string.rep('0', 40), 'q', '999999999') \
                     redis.call('set', 'stale' .. key, redis.call('dump', key)) \
                   end \
                 end return 1";
    let restore = "for _, key in ipairs(redis.call('keys', 'stale*')) do \
                     redis.call('restore', string.sub(key, 6), 600000, redis.call('get', key), 'REPLACE') \
                   end return 1";
    scene.redis.cli(&["eval", stale, "0", &scene.one.stores.redis_prefix]);
    crowd.judge(&scene.nodes(), "with another server's copies").await;
    crowd.end(&scene.nodes(), 5).await;
    scene.redis.cli(&["eval", restore, "0"]);
    assert!(scene.redis.keys(&scene.one.stores.redis_prefix).len() >= 16);
    crowd.judge(&scene.nodes(), "restored").await;
}

#[tokio::test]
async fn a_redis_that_may_forget_is_warned_of() {
    let redis = RedisServer::start();
    let server = TestServer::on(Stores::with_redis(SqliteRedis, Some(redis.clone())).await, &[]).await;
    let ready = server.browser().get("/readyz").await.expect(200);
    assert!(!ready.body.contains("noeviction"), "{}", ready.body);
    redis.cli(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
    let ready = server.browser().get("/readyz").await.expect(200);
    assert!(ready.body.contains("noeviction"), "{}", ready.body);
}

#[tokio::test]
async fn each_server_of_a_cluster_is_asked_whether_it_evicts() {
    let servers = redis_cluster::cluster(0).await;
    let mut stores = Stores::with_redis(SqliteRedis, Some(servers[0].clone())).await;
    stores.redis_url = Some(redis_cluster::url(&servers));
    let server = TestServer::on(stores, &[]).await;
    let ready = server.browser().get("/readyz").await.expect(200);
    assert!(!ready.body.contains("noeviction"), "{}", ready.body);
    servers[2].cli(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
    let ready = server.browser().get("/readyz").await.expect(200);
    assert!(ready.body.contains("maxmemory-policy is allkeys-lru; set it to noeviction"), "{}", ready.body);
}
