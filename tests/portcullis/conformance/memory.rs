//! A Redis that forgets or remembers too much: nobody is signed out, nothing that ended comes back.

use std::sync::Arc;

use portcullis::domain::audit::Client;
use portcullis::domain::keys::SessionHandle;
use portcullis::domain::{Role, User};
use portcullis::services::accounts::passwords;
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::{everyone, own};
use rstest::rstest;

use super::{Node, TestCluster, keeper};
use crate::support::stores::{Backend, Stores};
use crate::support::{NEW_PASSWORD, PASSWORD, PostgresRedis, RedisServer, SqliteRedis, eventually};

/// A Redis of its own, two nodes, and sessions that both nodes have copies of.
struct Scene {
    redis: Arc<RedisServer>,
    cluster: TestCluster,
    one: Node,
    two: Node,
    live: Vec<(User, SessionHandle)>,
    dead: Vec<(&'static str, SessionHandle)>,
}

impl Scene {
    /// Eight accounts with a session each.
    async fn new(backend: Backend) -> Self {
        let redis = RedisServer::start();
        let cluster = TestCluster::on(Stores::with_redis(backend, Some(redis.clone())).await).await;
        let (one, two) = (cluster.node().await, cluster.node().await);
        let mut live = Vec::new();
        for number in 0..8 {
            let name = format!("person{number}");
            live.push((one.create(&name).await, one.opens(&name).await));
        }
        let scene = Self { redis, cluster, one, two, live, dead: Vec::new() };
        scene.judge("at first").await;
        scene
    }

    /// Ends five of the sessions, each in another way.
    async fn end_five(&mut self) {
        let client = Client::default();
        let mut next = || self.live.remove(0);
        let (user, handle) = next();
        self.dead.push(("one", handle.clone()));
        everyone::end_one(&self.two, &keeper(), handle.session_id, &client).await.unwrap();
        let (_, second) = (user, next());
        self.one.ends_all(&second.0).await;
        self.dead.push(("all", second.1));
        let (user, handle) = next();
        user_acts::suspend(&self.two, &keeper(), user.id, &client).await.unwrap();
        user_acts::reinstate(&self.one, &keeper(), user.id, &client).await.unwrap();
        self.dead.push(("suspension", handle));
        let (user, handle) = next();
        user_acts::delete(&self.one, &keeper(), user.id, &client).await.unwrap();
        self.dead.push(("deletion", handle));
        let (user, handle) = next();
        let me = self.two.caller(&handle).await;
        let changed = passwords::change(&self.two, &me, &PASSWORD.into(), &NEW_PASSWORD.into(), &client).await.unwrap();
        changed.delivered.unwrap();
        self.dead.push(("new secret", handle));
        self.live.push((user, changed.handle));
    }

    /// Asks twice, for the first answer may have made a copy.
    async fn judge(&self, when: &str) {
        for round in 1..=2 {
            for node in [&self.one, &self.two] {
                for (how, handle) in &self.dead {
                    assert!(!node.alive(handle).await, "{when}, round {round}: {how} is back");
                }
                for (user, handle) in &self.live {
                    let seen = node.view(handle).await;
                    assert!(seen.is_some(), "{when}, round {round}: {} was signed out", user.username);
                    assert_eq!(seen.unwrap().role, Role::User, "{when}, round {round}: {}", user.username);
                }
            }
        }
    }

    fn keys(&self, ending: &str) -> Vec<String> {
        let keys = self.redis.keys(&self.cluster.stores.redis_prefix);
        keys.into_iter().filter(|key| key.ends_with(ending)).collect()
    }
}

#[rstest]
#[tokio::test]
async fn everything_is_flushed(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let mut scene = Scene::new(backend).await;
    scene.end_five().await;
    scene.redis.cli(&["flushall"]);
    scene.judge("flushed").await;
}

#[rstest]
#[tokio::test]
async fn the_scripts_are_flushed(#[values(SqliteRedis)] backend: Backend) {
    let mut scene = Scene::new(backend).await;
    scene.redis.cli(&["script", "flush"]);
    scene.end_five().await;
    scene.redis.cli(&["script", "flush"]);
    scene.judge("without scripts").await;
}

#[rstest]
#[tokio::test]
async fn only_the_user_copies_are_evicted(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let mut scene = Scene::new(backend).await;
    scene.keys(":u").iter().for_each(|key| drop(scene.redis.cli(&["del", key])));
    scene.judge("before the ends").await;
    scene.keys(":u").iter().for_each(|key| drop(scene.redis.cli(&["del", key])));
    scene.end_five().await;
    scene.keys(":u").iter().for_each(|key| drop(scene.redis.cli(&["del", key])));
    scene.judge("after the ends").await;
}

#[rstest]
#[tokio::test]
async fn only_the_session_copies_are_evicted(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let mut scene = Scene::new(backend).await;
    let evict = |scene: &Scene| {
        let keys = scene.keys("").into_iter().filter(|key| !key.ends_with(":u"));
        keys.for_each(|key| drop(scene.redis.cli(&["del", &key])));
    };
    evict(&scene);
    scene.judge("before the ends").await;
    evict(&scene);
    scene.end_five().await;
    evict(&scene);
    scene.judge("after the ends").await;
}

#[rstest]
#[tokio::test]
async fn a_snapshot_from_before_the_ends_comes_back(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let mut scene = Scene::new(backend).await;
    // In the snapshot everyone is an administrator. Its copies carry the replication id of a history that is over.
    scene.keys(":u").iter().for_each(|key| drop(scene.redis.cli(&["hset", key, "r", "admin"])));
    let (user, handle) = &scene.live[7];
    assert_eq!(scene.one.role(handle).await, Role::Admin, "no copy is asked, so this shows nothing");
    scene.redis.save();
    scene.redis.cli(&["del", &format!("{}:{{{}}}:u", scene.cluster.stores.redis_prefix, user.id)]);
    scene.end_five().await;
    scene.redis.kill9();
    scene.redis.restart();
    assert!(scene.keys("").len() >= 16, "the snapshot is not there");
    for node in [&scene.one, &scene.two] {
        eventually("Redis is back", std::time::Duration::from_secs(5), async || {
            own::load(&node.services, &scene.live[0].1).await.is_ok()
        })
        .await;
    }
    scene.judge("from the snapshot").await;
}
