//! A Redis that forgets, remembers too much, or is two: nothing that ended comes back, nobody is signed out.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;
use portcullis::domain::audit::Client;

/// People who are signed in, and cookies that must never work again.
#[derive(Default)]
struct Crowd {
    people: Vec<Person>,
    ended: Vec<(String, Browser)>,
}

struct Person {
    name: String,
    browser: Browser,
}

impl Crowd {
    /// Signs so many people in, each on the node whose turn it is, and lets each visit every node: copies everywhere.
    async fn gather(nodes: &[&TestServer], count: usize) -> Self {
        let mut people = Vec::new();
        for number in 0..count {
            let name = format!("person{number}");
            let node = nodes[number % nodes.len()];
            node.create_user(&name).await;
            let mut browser = nodes[0].browser().at(node);
            browser.sign_in(&name).await;
            people.push(Person { name, browser });
        }
        let mut crowd = Self { people, ended: Vec::new() };
        crowd.all_visit(nodes).await;
        crowd
    }

    /// Everyone looks at a page on every node, so that Redis has copies.
    async fn all_visit(&mut self, nodes: &[&TestServer]) {
        for person in &mut self.people {
            for node in nodes {
                person.browser.go_to(node);
                assert!(person.browser.is_signed_in().await, "{}", person.name);
            }
        }
    }

    /// Ends so many sessions in all the ways there are, on each node by turns.
    async fn end(&mut self, nodes: &[&TestServer], count: usize) {
        let (steward, client) = (command_line(), Client::default());
        for number in 0..count {
            let node = nodes[number % nodes.len()];
            let mut person = self.people.remove(0);
            person.browser.go_to(node);
            let before = person.browser.clone();
            let user = node.services.find_user(&person.name).await.unwrap().id;
            let how =
                ["sign-out", "suspension", "password", "one by an administrator", "all of the account"][number % 5];
            match number % 5 {
                0 => {
                    person.browser.sign_out().await;
                }
                1 => {
                    node.services.suspend(&steward, user, &client).await.unwrap();
                }
                2 => {
                    person.browser.change_password().await;
                }
                3 => {
                    let sessions = node.services.sessions_of(user, 10).await.unwrap().0;
                    for session in sessions {
                        node.services.end_session(&steward, session.id, &client).await.unwrap();
                    }
                }
                _ => {
                    node.services.end_all_sessions(&steward, Some(user), &client).await.unwrap();
                }
            }
            self.ended.push((format!("{} ({how})", person.name), before));
            if number % 5 == 2 {
                // The session that changed its password lives on, with a new secret.
                self.people.push(person);
            }
        }
    }

    /// Nothing that ended works, and everyone else is signed in, on each node; asked twice, for the first answer may
    /// have made a copy that the second believes.
    async fn judge(&mut self, nodes: &[&TestServer], what: &str) {
        for round in 1..=2 {
            for node in nodes {
                for (name, browser) in &self.ended {
                    let mut thief = browser.with_cookie(&browser.cookie().unwrap()).at(node);
                    assert!(!thief.is_signed_in().await, "{what}, round {round}: {name} is back");
                }
                for person in &mut self.people {
                    person.browser.go_to(node);
                    let signed_in = person.browser.is_signed_in().await;
                    assert!(signed_in, "{what}, round {round}: {} was signed out", person.name);
                }
            }
        }
    }
}

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
            eventually("ready again", Duration::from_secs(5), async || {
                node.browser().get("/readyz").await.status == 200
            })
            .await;
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
    scene.master.kill9();
    scene.promote();
    for line in &scene.lines {
        line.switch_to(scene.replica.port);
    }
    for node in scene.nodes() {
        eventually("ready again", Duration::from_secs(5), async || node.browser().get("/readyz").await.status == 200)
            .await;
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
    eventually("ready again", Duration::from_secs(5), async || scene.one.browser().get("/readyz").await.status == 200)
        .await;
    crowd.end(&[&scene.one], 5).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    crowd.judge(&scene.nodes(), "ended on the new side").await;
    crowd.end(&[&scene.two], 5).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    crowd.judge(&scene.nodes(), "ended on the old side").await;
    // The old master is found out and goes.
    scene.master.kill9();
    scene.lines[1].switch_to(scene.replica.port);
    eventually("ready again", Duration::from_secs(5), async || scene.two.browser().get("/readyz").await.status == 200)
        .await;
    crowd.judge(&scene.nodes(), "together again").await;
}
