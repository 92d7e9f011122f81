//! The end of everyone's sessions: done at once, whatever their number, and told by the history afterwards.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use chrono::TimeDelta;
use diesel::RunQueryDsl as _;
use portcullis::domain::audit::Client;
use portcullis::domain::session_list::{SessionFilter, SessionOrder, SessionState};
use portcullis::domain::{Actor, EndReason, Error, Role, Session};
use portcullis::services::accounts::lookup;
use portcullis::services::maintenance;
use portcullis::services::sessions::{self, account, own};
use portcullis::storage::accounts::users;
use portcullis::storage::database::AnyConnection;
use portcullis::storage::sessions::everyone;
use portcullis::storage::sessions::rows::End;
use rstest::rstest;
use tokio::task::{JoinHandle, JoinSet};

use super::{Node, TestCluster, keeper, try_sign_in};
use crate::support::stores::Backend;
use crate::support::{Deadline, PostgresRedis, Sqlite, SqliteRedis, eventually};

/// The transaction that ends the sessions of accounts of these roles, and then waits for a word before it commits. What
/// would follow it does not, as where the process dies.
async fn half_done(node: &Node, roles: &'static [Role]) -> (Sender<()>, JoinHandle<Result<(), Error>>) {
    let (go_on, waiting) = channel();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let (database, at) = (node.database.clone().with_long_timeout(), node.clock.now());
    let transaction = tokio::spawn(async move {
        let act = database.write(move |connection| {
            users::lock_all(connection)?;
            everyone::raise_epochs(connection, roles, None, at)?;
            everyone::tell(connection, roles, &End { reason: EndReason::EndedAll, by: &Actor::System, at })?;
            begun.take().expect("once").send(()).expect("somebody waits for this");
            waiting.recv().map_err(Error::internal)
        });
        act.await
    });
    has_begun.await.expect("the transaction begins");
    (go_on, transaction)
}

/// All sessions in that state, as the lists have them.
async fn listed(node: &Node, state: SessionState) -> Vec<Session> {
    let filter = SessionFilter { state, order: SessionOrder::Beginning, kind: None, user: None, q: None };
    let found = sessions::everyone::search(node, &keeper(), &filter, None, 100).await.unwrap();
    found.sessions.into_iter().map(|listed| listed.session).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_made_while_everyones_sessions_end_is_believed_by_nobody(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let nodes = [&cluster.node().await, &cluster.node().await];
    nodes[0].create("ann").await;
    nodes[0].create("bob").await;
    let (ann, bob) = (nodes[0].opens("ann").await, nodes[0].opens("bob").await);
    let (go_on, transaction) = half_done(nodes[0], Role::ALL).await;
    // Somebody else would add to the feed, which the copy would then be as new as.
    let other = async { sessions::everyone::end_one(nodes[1], &keeper(), bob.session_id, &Client::default()).await };
    let other_is_done = matches!(tokio::time::timeout(Duration::from_millis(300), other).await, Ok(Ok(())));
    for node in nodes {
        assert!(node.alive(&ann).await && node.alive(&ann).await, "nothing has ended yet");
    }
    go_on.send(()).unwrap();
    transaction.await.unwrap().unwrap();
    let second = Deadline::second();
    let what = format!("ended, where the other's act was done meanwhile: {other_is_done}");
    for node in nodes {
        second.expect_soon(&what, async || !node.alive(&ann).await).await;
    }
    let later = cluster.node().await;
    for node in [nodes[0], nodes[1], &later] {
        assert!(!node.alive(&ann).await, "{what}");
    }
}

#[rstest]
#[tokio::test]
async fn an_end_of_everyones_sessions_is_done_on_every_node_when_it_answers(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let nodes = [&cluster.node().await, &cluster.node().await];
    let ann = nodes[0].create("ann").await;
    let mut handles = vec![nodes[0].opens("ann").await];
    nodes[1].create("bob").await;
    handles.push(nodes[1].opens("bob").await);
    for handle in &handles {
        assert!(nodes[0].alive(handle).await && nodes[1].alive(handle).await);
    }
    assert_eq!(sessions::everyone::end_all(nodes[0], &keeper(), None, &Client::default()).await.unwrap(), 2);
    let later = cluster.node().await;
    for handle in &handles {
        for node in [nodes[1], nodes[0], &later] {
            assert!(!node.alive(handle).await);
        }
    }
    let after = nodes[1].opens("ann").await;
    assert!(nodes[0].alive(&after).await && nodes[1].alive(&after).await && later.alive(&after).await);
    if cluster.stores.redis.is_some() {
        // Who is signed in now is asked of copies again.
        let key = format!("{}:{{{}}}:u", cluster.stores.redis_prefix, ann.id);
        cluster.stores.redis().cli(&["hset", &key, "r", "admin"]);
        for node in [nodes[0], nodes[1], &later] {
            assert_eq!(node.role(&after).await, Role::Admin, "no copy is asked");
        }
    }
}

#[rstest]
#[tokio::test]
async fn what_an_end_of_everyones_sessions_left_unwritten_is_written_by_the_next_sweep(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let node = cluster.node().await;
    node.create("ann").await;
    let expired = node.opens("ann").await;
    cluster.clock.advance(node.settings.session_idle_timeout + TimeDelta::minutes(1));
    // What expires is in the history once no node can know better.
    let grace = TimeDelta::minutes(2);
    cluster.clock.advance(grace);
    let ended = node.opens("ann").await;
    let at = node.clock.now();
    let (go_on, transaction) = half_done(&node, Role::ALL).await;
    go_on.send(()).unwrap();
    transaction.await.unwrap().unwrap();
    let later = node.opens("ann").await;

    let live = listed(&node, SessionState::Live).await;
    assert_eq!(live.iter().map(|session| session.id).collect::<Vec<_>>(), [later.session_id], "a list shows the dead");
    let selected = sessions::everyone::selected(&node.database, &keeper(), &[ended.session_id]).await.unwrap();
    assert!(selected.is_empty(), "the dead can be selected");

    maintenance::sweep(&node).await.unwrap();
    let all = listed(&node, SessionState::All).await;
    let told = |handle: &portcullis::domain::keys::SessionHandle| {
        let session = all.iter().find(|session| session.id == handle.session_id).expect("the history has it");
        session.ended.as_ref().map(|ended| (ended.reason, ended.at, ended.by.clone()))
    };
    assert_eq!(told(&ended), Some((EndReason::EndedAll, at, "system".to_owned())));
    assert_eq!(told(&later), None);
    let (reason, when, by) = told(&expired).expect("it has ended");
    assert!((reason, by.as_str()) == (EndReason::Expired, "system") && when < at - grace, "{reason:?} {when:?} {by}");
    // And it is written once.
    cluster.clock.advance(TimeDelta::hours(1));
    maintenance::sweep(&node).await.unwrap();
    assert_eq!(node.backfill.written(), 0);
}

#[rstest]
#[tokio::test]
async fn of_two_ends_of_everyones_sessions_the_history_says_which_one_ended_each(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let node = cluster.node().await;
    node.create("ann").await;
    let mary = node.create("mary").await;
    node.sets_role(&mary, Role::Manager).await;
    let (of_ann, of_mary) = (node.opens("ann").await, node.opens("mary").await);
    let first = node.clock.now();
    let (go_on, transaction) = half_done(&node, &[Role::User]).await;
    go_on.send(()).unwrap();
    transaction.await.unwrap().unwrap();
    cluster.clock.advance(TimeDelta::minutes(1));
    let again = node.opens("ann").await;
    // What has ended with everyone's is nothing that another act could end.
    let ann = node.caller(&again).await.user_id;
    assert_eq!(account::live(&node, ann, 10).await.unwrap().1.browser, 1);
    assert_eq!(sessions::everyone::end_all(&node, &keeper(), None, &Client::default()).await.unwrap(), 2);

    let all = listed(&node, SessionState::All).await;
    for (handle, at, by) in
        [(of_ann, first, "system"), (of_mary, node.clock.now(), "cli"), (again, node.clock.now(), "cli")]
    {
        let session = all.iter().find(|session| session.id == handle.session_id).expect("the history has it");
        let ended = session.ended.as_ref().expect("it has ended");
        assert_eq!((ended.by.as_str(), ended.reason), (by, EndReason::EndedAll));
        // To the clock's tick of this test, which goes on.
        assert!((ended.at - at).num_seconds().abs() < 30 && ended.at >= session.created_at, "{ended:?}");
    }
}

#[rstest]
#[tokio::test]
async fn what_was_committed_too_late_for_the_feed_is_told_once_more(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let nodes = [&cluster.node().await, &cluster.node().await];
    nodes[0].create("ann").await;
    let handle = nodes[0].opens("ann").await;
    assert!(nodes[0].alive(&handle).await && nodes[1].alive(&handle).await);
    let at = nodes[0].clock.now();
    let committed = nodes[0].database.write(move |connection| {
        everyone::raise_epochs(connection, Role::ALL, None, at)?;
        everyone::tell(connection, Role::ALL, &End { reason: EndReason::EndedAll, by: &Actor::Cli, at })?;
        // As it would be had the commit taken half a minute.
        let long_ago = match connection {
            AnyConnection::Postgres(_) => "at - interval '30 seconds'",
            AnyConnection::Sqlite(_) => "at - 30000",
        };
        let row = format!("UPDATE changes SET at = {long_ago} WHERE kind = 'everyone_changed'");
        diesel::sql_query(row).execute(connection)?;
        Ok(())
    });
    committed.await.unwrap();
    // A node that believes a copy from here on has read the feed since the commit.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let alive = async || nodes[1].alive(&handle).await;
    eventually("alive: else the feed has told it, and this shows nothing", Duration::from_secs(10), alive).await;
    maintenance::sweep(nodes[0]).await.unwrap();
    let second = Deadline::second();
    for node in nodes {
        second.expect_soon("ended", async || !node.alive(&handle).await).await;
    }
}

/// As long as the history has not noted their ends, only the epoch says that they are dead.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ends_their_other_sessions_does_not_bring_back_the_one_that_ended_with_everyones(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let node = cluster.node().await;
    node.create("ann").await;
    let handle = node.opens("ann").await;
    // A request that is under way knows already who asks.
    let me = node.caller(&handle).await;
    let (go_on, transaction) = half_done(&node, Role::ALL).await;
    go_on.send(()).unwrap();
    transaction.await.unwrap().unwrap();
    let outcome = own::end_others(&node.with_long_timeout(), &me, &Client::default()).await;
    assert!(matches!(outcome, Err(Error::NotSignedIn)), "{outcome:?}");
    let second = Deadline::second();
    second.expect_soon("ended with everyone's", async || !node.alive(&handle).await).await;
    assert!(!cluster.witness().await.alive(&handle).await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_is_served_while_many_wait_to_write(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let cluster = TestCluster::new(backend).await;
    let node = cluster.node().await;
    let ann = node.create("ann").await;
    let (go_on, transaction) = half_done(&node, Role::ALL).await;
    let mut sign_ins = JoinSet::new();
    // Longer than any of them waits.
    for _ in 0..12 {
        for _ in 0..10 {
            let services = node.services.clone();
            sign_ins.spawn(async move { try_sign_in(&services, "ann").await.map(drop) });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        lookup::by_id(&node.database, ann.id).await.expect("a page is served");
    }
    for refused in sign_ins.join_all().await {
        assert!(matches!(refused, Err(Error::Unavailable(..) | Error::Busy)), "{refused:?}");
    }
    go_on.send(()).unwrap();
    transaction.await.unwrap().unwrap();
    node.opens("ann").await;
}
