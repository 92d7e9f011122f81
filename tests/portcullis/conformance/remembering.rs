//! Nodes that remember what Redis said, as running servers do: where something is done it counts at once, and on every
//! other node within a second, whatever becomes of the channel that tells of it.

use portcullis::domain::Role;
use portcullis::domain::audit::Client;
use portcullis::services::authentication::reauthentication;
use portcullis::services::sessions::everyone;
use portcullis::storage::sessions::SessionStore;
use rstest::rstest;

use super::races::{requests, rounds, stagger};
use super::{Node, TestCluster, keeper};
use crate::support::stores::{Backend, Stores};
use crate::support::{Deadline, PASSWORD, PostgresRedis, RedisServer, SqliteRedis, eventually};

impl TestCluster {
    /// A node that hears of changes, and so remembers what it asked.
    async fn node_that_remembers(&self) -> Node {
        let mut node = self.node_without_feed().await;
        let SessionStore::Redis(store) = node.services.sessions.clone() else { panic!("Redis tells of changes") };
        let follow = async move { tokio::join!(store.follow_feed(), store.follow_channel()) };
        node.feed = Some(tokio::spawn(follow).abort_handle());
        node
    }
}

/// Ends sessions, changes roles and secrets on one of two nodes amid requests on both.
async fn act_amid_requests(cluster: &TestCluster, rounds: usize) {
    let nodes = [&cluster.node_that_remembers().await, &cluster.node_that_remembers().await];
    let ann = nodes[0].create("ann").await;
    let mut dead = Vec::new();
    let mut role = Role::User;
    for round in 0..rounds {
        let handle = nodes[round % 2].opens("ann").await;
        for node in nodes {
            assert_eq!(node.role(&handle).await, role, "round {round}: a former role");
        }
        let requests = requests(nodes, &handle);
        stagger(round).await;
        let (acting, other) = (nodes[round / 2 % 2], nodes[1 - round / 2 % 2]);
        match round % 3 {
            0 => everyone::end_one(acting, &keeper(), handle.session_id, &Client::default()).await.unwrap(),
            1 => {
                let me = acting.caller(&handle).await;
                let new = reauthentication::confirm(acting, &me, &PASSWORD.into(), &Client::default()).await.unwrap();
                new.delivered.unwrap();
                assert!(acting.alive(&new.handle).await && other.alive(&new.handle).await, "round {round}");
            }
            _ => {
                role = if role == Role::User { Role::Manager } else { Role::User };
                acting.sets_role(&ann, role).await;
                assert_eq!(acting.role(&handle).await, role, "round {round}: after the act");
                let soon = async || other.role(&handle).await == role;
                Deadline::second().expect_soon("the role elsewhere", soon).await;
                requests.join_all().await;
                for node in nodes {
                    assert_eq!(node.role(&handle).await, role, "round {round}: after the requests");
                }
                continue;
            }
        }
        assert!(!acting.alive(&handle).await, "round {round}: alive after its end");
        Deadline::second().expect_soon("dead elsewhere", async || !other.alive(&handle).await).await;
        requests.join_all().await;
        dead.push(handle);
        for node in nodes {
            assert!(!node.alive(&dead[dead.len() - 1]).await, "round {round}: back");
        }
    }
    for (number, handle) in dead.iter().enumerate() {
        for node in nodes {
            assert!(!node.alive(handle).await, "{number}: back at last");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_counts_here_at_once_and_elsewhere_within_a_second(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    act_amid_requests(&TestCluster::new(backend).await, rounds(60)).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_while_the_channel_is_cut_again_and_again(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let redis = RedisServer::start();
    let cluster = TestCluster::on(Stores::with_redis(backend, Some(redis.clone())).await).await;
    let cutting = tokio::task::spawn_blocking({
        let redis = std::sync::Arc::downgrade(&redis);
        move || {
            let mut cuts = 0;
            while let Some(redis) = redis.upgrade() {
                cuts += redis.cli(&["client", "kill", "type", "pubsub"]).parse::<u32>().unwrap_or(0);
                drop(redis);
                std::thread::sleep(std::time::Duration::from_millis(130));
            }
            cuts
        }
    });
    act_amid_requests(&cluster, rounds(30)).await;
    drop((cluster, redis));
    assert!(cutting.await.unwrap() > 0, "nothing was cut, so this shows nothing");
}

#[rstest]
#[tokio::test]
async fn a_node_answers_from_memory_while_it_hears_and_not_after(#[values(SqliteRedis)] backend: Backend) {
    let redis = RedisServer::start();
    let cluster = TestCluster::on(Stores::with_redis(backend, Some(redis.clone())).await).await;
    let node = cluster.node_that_remembers().await;
    let ann = node.create("ann").await;
    let handle = node.opens("ann").await;
    let key = format!("{}:{{{}}}:u", cluster.stores.redis_prefix, ann.id);
    let in_redis = |role: &str| redis.cli(&["hset", &key, "r", role]);
    // What is in the copy now is what the node remembers, as soon as it hears.
    assert!(node.alive(&handle).await && node.alive(&handle).await);
    let remembers = async || {
        in_redis("manager");
        let before = node.role(&handle).await;
        in_redis("admin");
        let after = node.role(&handle).await;
        before == after
    };
    eventually("remembered", std::time::Duration::from_secs(10), remembers).await;
    // A node that hears itself no more asks again, the copy until it lacks the feed too.
    let known = node.role(&handle).await;
    in_redis(if known == Role::Admin { "manager" } else { "admin" });
    assert_eq!(node.role(&handle).await, known);
    node.feed.as_ref().expect("it hears").abort();
    eventually("asked", std::time::Duration::from_secs(2), async || node.role(&handle).await != known).await;
}
