//! What one node learns of another's acts.
//!
//! The witness of these tests acts without a word to Redis, as a writer that dies after its commit: what it did
//! reaches the other nodes by the feed alone.

use std::time::Duration;

use diesel::RunQueryDsl as _;
use portcullis::domain::audit::Client;
use portcullis::domain::keys::SessionHandle;
use portcullis::domain::{Actor, EndReason, Role, Timestamp, User};
use portcullis::services::accounts::passwords;
use portcullis::services::administration::user_acts;
use portcullis::services::authentication::reauthentication;
use portcullis::services::maintenance;
use portcullis::services::sessions::{everyone, own};
use portcullis::storage::database::AnyConnection;
use portcullis::storage::sessions::rows::{self, End};
use portcullis::storage::sessions::{Change, changes};
use rstest::rstest;

use super::{Node, TestCluster, keeper};
use crate::support::stores::{Backend, Stores};
use crate::support::{
    Deadline, NEW_PASSWORD, PASSWORD, PostgresRedis, RedisServer, Relay, Sqlite, SqliteRedis, eventually,
};

const WITHIN: Duration = Duration::from_secs(1);

/// The key of a user's copy.
fn user_key(cluster: &TestCluster, user: &User) -> String {
    format!("{}:{{{}}}:u", cluster.stores.redis_prefix, user.id)
}

/// Puts a role into the copy that SQL knows nothing of: whoever sees it has asked the copy.
fn forge_role(cluster: &TestCluster, user: &User) {
    let key = user_key(cluster, user);
    assert_eq!(cluster.stores.redis().cli(&["hexists", &key, "r"]), "1", "there is no copy");
    cluster.stores.redis().cli(&["hset", &key, "r", "admin"]);
}

#[rstest]
#[tokio::test]
async fn an_act_of_another_node_is_seen_within_a_second(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (node, witness) = (cluster.node().await, cluster.witness().await);
    let client = Client::default();
    let ann = node.create("ann").await;
    let dies = async |what: &str, handle: &SessionHandle| {
        Deadline::second().expect_soon(what, async || !node.alive(handle).await).await;
    };
    let copied = async || {
        let handle = node.opens("ann").await;
        assert!(node.alive(&handle).await && node.alive(&handle).await);
        handle
    };
    let handle = copied().await;
    everyone::end_one(&witness, &keeper(), handle.session_id, &client).await.unwrap();
    dies("one ended", &handle).await;

    let handle = copied().await;
    for role in [Role::Admin, Role::User] {
        witness.sets_role(&ann, role).await;
        Deadline::second().expect_soon("a changed role", async || node.role(&handle).await == role).await;
    }
    witness.ends_all(&ann).await;
    dies("all ended", &handle).await;

    let handle = copied().await;
    let me = witness.caller(&handle).await;
    let new = reauthentication::confirm(&witness, &me, &PASSWORD.into(), &client).await.unwrap().handle;
    dies("the old secret", &handle).await;
    assert!(node.alive(&new).await);
    let other = copied().await;
    let new = passwords::change(&witness, &me, &PASSWORD.into(), &NEW_PASSWORD.into(), &client).await.unwrap().handle;
    dies("another session after a new password", &other).await;
    assert!(node.alive(&new).await);
    user_acts::suspend(&witness, &keeper(), ann.id, &client).await.unwrap();
    dies("suspended", &new).await;
    user_acts::reinstate(&witness, &keeper(), ann.id, &client).await.unwrap();
    assert!(!node.alive(&new).await);
}

/// As where a commit waits for a synchronous standby: by then its row is older than any that a node looks for by itself.
#[rstest]
#[tokio::test]
async fn a_change_whose_commit_took_longer_than_nodes_look_back_is_seen_all_the_same(
    #[values(PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (node, witness) = (cluster.node().await, cluster.witness().await);
    let ann = node.create("ann").await;
    let handle = node.opens("ann").await;
    assert!(node.alive(&handle).await && node.alive(&handle).await);
    let (user, session) = (ann.id, handle.session_id);
    let late = move |connection: &mut AnyConnection| {
        let end = End { reason: EndReason::EndedByOwner, by: &Actor::System, at: Timestamp::from_millis(0) };
        assert!(rows::end(connection, user, session, &end)?);
        let backdated = format!("UPDATE changes SET at = now() - interval '9.5 s' WHERE session_id = '{session}'");
        diesel::sql_query(backdated).execute(connection)?;
        // The node reads meanwhile, several times.
        diesel::sql_query("SELECT pg_sleep(2)").execute(connection)?;
        Ok(())
    };
    witness.database.clone().with_long_timeout().write(late).await.unwrap();
    Deadline::second().expect_soon("an end that was committed late", async || !node.alive(&handle).await).await;
}

#[rstest]
#[tokio::test]
async fn a_node_whose_feed_is_stale_asks_sql_and_no_copy(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let cluster = TestCluster::new(backend).await;
    let (node, unfed, witness) = (cluster.node().await, cluster.node_without_feed().await, cluster.witness().await);
    let ann = node.create("ann").await;
    let handle = node.opens("ann").await;
    assert!(node.alive(&handle).await && unfed.alive(&handle).await);
    // What the node without feed has read of the feed is older than a second from here on.
    tokio::time::sleep(WITHIN).await;
    forge_role(&cluster, &ann);
    assert_eq!(node.role(&handle).await, Role::Admin, "no copy is asked, so this shows nothing");
    assert_eq!(unfed.role(&handle).await, Role::User);
    everyone::end_one(&witness, &keeper(), handle.session_id, &Client::default()).await.unwrap();
    assert!(!unfed.alive(&handle).await);
}

#[rstest]
#[tokio::test]
async fn every_key_goes_away_by_itself(#[values(SqliteRedis)] backend: Backend) {
    let cluster = TestCluster::new(backend).await;
    let (node, unfed) = (cluster.node().await, cluster.node_without_feed().await);
    let ann = node.create("ann").await;
    let idle = node.settings.session_idle_timeout;
    for number in 0..4 {
        let handle = node.opens("ann").await;
        assert!(node.alive(&handle).await && unfed.alive(&handle).await);
        // A touch sets the time anew, and leaves it be.
        cluster.clock.advance(chrono::TimeDelta::minutes(2));
        assert!(node.alive(&handle).await);
        let me = node.caller(&handle).await;
        match number {
            0 => own::sign_out(&node, &me, &Client::default()).await.unwrap(),
            1 => drop(reauthentication::confirm(&node, &me, &PASSWORD.into(), &Client::default()).await.unwrap()),
            2 => node.sets_role(&ann, Role::Manager).await,
            // Fill tokens alone are left of one that SQL knows nothing of.
            _ => {
                let session_id = portcullis::domain::SessionId::new(cluster.clock.now());
                assert!(!node.alive(&SessionHandle { session_id, ..handle.clone() }).await);
            }
        }
        node.alive(&handle).await;
    }
    let keys = cluster.stores.redis().keys(&cluster.stores.redis_prefix);
    assert!(keys.len() >= 5, "{keys:?}");
    for key in keys {
        let left: i64 = cluster.stores.redis().cli(&["pttl", &key]).parse().unwrap();
        let longest = (idle + chrono::TimeDelta::minutes(1)).num_milliseconds();
        assert!(left > 0 && left <= longest, "{key} stays for {left} ms");
    }
}

#[rstest]
#[tokio::test]
async fn copies_are_believed_after_an_hour_in_which_nothing_happened(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let node = cluster.node().await;
    let ann = node.create("ann").await;
    let handle = node.opens("ann").await;
    assert!(node.alive(&handle).await);
    // Two hours pass for the feed, whose clock is the database's, and it is swept.
    let backdate = match backend {
        PostgresRedis => "UPDATE changes SET at = at - interval '2 hours'",
        _ => "UPDATE changes SET at = at - 7200000",
    };
    let read =
        |query: &'static str| node.database.write(move |connection| Ok(diesel::sql_query(query).execute(connection)?));
    assert!(read(backdate).await.unwrap() > 0);
    maintenance::sweep(&node).await.unwrap();
    cluster.stores.redis().cli(&["del", &user_key(&cluster, &ann)]);
    assert_eq!(node.role(&handle).await, Role::User);
    forge_role(&cluster, &ann);
    assert_eq!(node.role(&handle).await, Role::Admin, "the copy is not believed: each request asks SQL");
}

#[rstest]
#[tokio::test]
async fn a_request_that_redis_gets_twice_leaves_two_different_fill_tokens(#[values(SqliteRedis)] backend: Backend) {
    let cluster = TestCluster::new(backend).await;
    let redis = cluster.stores.redis();
    let script = concat!(
        include_str!("../../../src/storage/sessions/lua/prelude.lua"),
        include_str!("../../../src/storage/sessions/lua/live.lua"),
        include_str!("../../../src/storage/sessions/lua/load.lua"),
    );
    let prefix = &cluster.stores.redis_prefix;
    let (session, user) = (format!("{prefix}:{{u}}:s:1"), format!("{prefix}:{{u}}:u"));
    let load = || redis.cli(&["eval", script, "2", &session, &user, "0", "hash", "0", "random", "60000"]);
    let first = load();
    assert_eq!(load(), first, "fill tokens that stand are shared");
    // A writer takes the fill tokens away; then the first request's second copy arrives, which was long under way.
    redis.cli(&["del", &session, &user]);
    let late = load();
    for (one, other) in first.lines().zip(late.lines()).skip(2) {
        assert_ne!(one, other, "what was read before the writer could be installed");
    }
}

#[rstest]
#[tokio::test]
async fn a_session_that_the_history_has_as_expired_is_dead_though_a_copy_knows_better(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (one, two, witness) = (cluster.node().await, cluster.node().await, cluster.witness().await);
    one.create("ann").await;
    let handle = one.opens("ann").await;
    assert!(two.alive(&handle).await);
    // Used again just in time; the node that saw it dies before it could tell SQL.
    cluster.clock.advance(one.settings.session_idle_timeout - chrono::TimeDelta::seconds(30));
    assert!(one.alive(&handle).await);
    drop(one);
    cluster.clock.advance(chrono::TimeDelta::minutes(3));
    assert!(two.alive(&handle).await);
    maintenance::sweep(&witness).await.unwrap();
    assert!(!witness.alive(&handle).await, "the sweep left it, so this shows nothing");
    Deadline::second().expect_soon("Redis says no more than SQL", async || !two.alive(&handle).await).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_saw_the_same_sessions_bring_their_activity_to_sql_at_the_same_time(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (one, two) = (cluster.node().await, cluster.node().await);
    let ann = one.create("ann").await;
    let mut handles = Vec::new();
    for _ in 0..60 {
        handles.push(one.opens("ann").await);
    }
    for round in 0..3 {
        for node in [&one, &two] {
            cluster.clock.advance(chrono::TimeDelta::seconds(61));
            for handle in &handles {
                assert!(node.alive(handle).await);
            }
        }
        let (first, second) =
            tokio::join!(maintenance::flush_activity(&one.sessions), maintenance::flush_activity(&two.sessions));
        assert!(first.is_ok() && second.is_ok(), "round {round}: {first:?} {second:?}");
    }
    cluster.clock.advance(chrono::TimeDelta::seconds(61));
    for handle in &handles {
        assert!(one.alive(handle).await);
    }
    let (flushed, ended) = tokio::join!(maintenance::flush_activity(&one.sessions), two.ends_all(&ann));
    flushed.unwrap();
    assert_eq!(ended, 60);
}

#[rstest]
#[tokio::test]
async fn a_database_whose_clock_was_set_back_hides_no_row_of_the_feed(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let node = cluster.node_without_feed().await;
    let ann = node.create("ann").await;
    node.sets_role(&ann, Role::Manager).await;
    let later = cluster.clock.now() + chrono::TimeDelta::hours(1);
    let read = node.database.read(move |connection| changes::read(connection, Some(later))).await;
    let rows = read.unwrap().rows;
    assert!(rows.iter().any(|row| row.change == Change::User(ann.id)), "{rows:?}");
}

/// Two masters, as after a partition of the network: what one side acknowledged must not be undone by copies that
/// wait on the other.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_to_another_server_believes_no_copy_from_before_its_acts(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let (left, right) = (RedisServer::start(), RedisServer::start());
    let line = Relay::to(left.port);
    let mut stores = Stores::with_redis(backend, Some(right.clone())).await;
    stores.redis_url = Some(right.url());
    let cluster = TestCluster::on(stores).await;
    let moving = cluster.node_with(&[("redis_url", &line.redis_url())]).await;
    let still: Node = cluster.node_without_feed().await;
    for round in 0..6 {
        let name = format!("person{round}");
        let user = moving.create(&name).await;
        let handle = moving.opens(&name).await;
        // Copies on both sides. One may be refused where something else changes meanwhile; then the next load makes it.
        assert!(moving.alive(&handle).await && moving.alive(&handle).await);
        eventually("a copy on the other side", Duration::from_secs(20), async || {
            assert!(still.alive(&handle).await);
            right.cli(&["hexists", &user_key(&cluster, &user), "r"]) == "1"
        })
        .await;
        if round % 2 == 0 {
            everyone::end_one(&moving, &keeper(), handle.session_id, &Client::default()).await.unwrap();
        } else {
            moving.ends_all(&user).await;
        }
        // The act is acknowledged, and at once the node is led to the other side, where the copies still are: there it may
        // take them away itself, as soon as it comes.
        let copies = right.cli(&["hexists", &user_key(&cluster, &user), "r"]);
        assert_eq!(copies, "1", "there is no copy to be wary of");
        line.switch_to(right.port);
        let asked = (0..16).map(|_| {
            let (services, handle) = (moving.services.clone(), handle.clone());
            tokio::spawn(async move { super::view(&services, &handle).await.is_some() })
        });
        for asked in asked.collect::<Vec<_>>() {
            assert!(!asked.await.unwrap(), "round {round}: what ended on one side is alive on the other");
        }
        line.switch_to(left.port);
        assert!(!moving.alive(&handle).await, "round {round}: back on the first side");
    }
}
