//! The contract while others act too: whatever answer a request got meanwhile, what ended stays ended.
//!
//! A race is judged in two ways: by what the acts promise, and by a witness that asks SQL alone. Redis may never say
//! more than SQL does.

use std::time::Duration;

use portcullis::domain::audit::Client;
use portcullis::domain::keys::SessionHandle;
use portcullis::domain::{Error, Event, Role};
use portcullis::services::accounts::profile::{self, ProfileChange};
use portcullis::services::accounts::{links, passwords};
use portcullis::services::audit;
use portcullis::services::authentication::{reauthentication, sign_in};
use portcullis::services::sessions::{account, everyone};
use rstest::rstest;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Node, TestCluster, keeper, try_sign_in, view};
use crate::support::stores::Backend;
use crate::support::{HeldHasher, NEW_PASSWORD, ONE_HASHER, PASSWORD, PostgresRedis, Sqlite, SqliteRedis, long};

/// So that none waits before it has read the account.
const MANY_GUESSES: (&str, &str) = ("lockout_threshold", "1000");

/// How many rounds of a race are run.
pub fn rounds(few: usize) -> usize {
    if long() { few * 10 } else { few }
}

/// Requests with that cookie on both nodes, under way while the test goes on.
pub fn requests(nodes: [&Node; 2], handle: &SessionHandle) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for number in 0..4 {
        let (services, handle) = (nodes[number % 2].services.clone(), handle.clone());
        tasks.spawn(async move {
            for _ in 0..4 {
                view(&services, &handle).await;
            }
        });
    }
    tasks
}

/// Lets the requests come to different points before the act.
pub async fn stagger(round: usize) {
    tokio::time::sleep(Duration::from_micros(round as u64 % 8 * 400)).await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_brings_no_ended_session_back(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let nodes = [&cluster.node().await, &cluster.node().await];
    nodes[0].create("ann").await;
    let mut ended = Vec::new();
    for round in 0..rounds(60) {
        let handle = nodes[round % 2].opens("ann").await;
        if round % 3 > 0 {
            assert!(nodes[round % 3 - 1].alive(&handle).await);
        }
        let requests = requests(nodes, &handle);
        stagger(round).await;
        let acting = nodes[round / 2 % 2];
        everyone::end_one(acting, &keeper(), handle.session_id, &Client::default()).await.unwrap();
        assert!(!acting.alive(&handle).await, "round {round}: alive after its end");
        requests.join_all().await;
        ended.push(handle);
        for node in nodes {
            assert!(!node.alive(&ended[round]).await, "round {round}: back");
        }
    }
    for (round, handle) in ended.iter().enumerate() {
        for node in nodes {
            assert!(!node.alive(handle).await, "round {round}: back at last");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_brings_no_former_role_back(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let nodes = [&cluster.node().await, &cluster.node().await];
    let ann = nodes[0].create("ann").await;
    let handle = nodes[0].opens("ann").await;
    for round in 0..rounds(60) {
        let role = [Role::Manager, Role::User][round % 2];
        let requests = requests(nodes, &handle);
        stagger(round).await;
        let acting = nodes[round / 2 % 2];
        acting.sets_role(&ann, role).await;
        assert_eq!(acting.role(&handle).await, role, "round {round}: after the act");
        requests.join_all().await;
        for node in nodes {
            assert_eq!(node.role(&handle).await, role, "round {round}: after the requests");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_brings_no_former_secret_and_no_other_session_back(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let nodes = [&cluster.node().await, &cluster.node().await];
    nodes[0].create("ann").await;
    let mut kept = nodes[0].opens("ann").await;
    let mut password = [PASSWORD, NEW_PASSWORD];
    let mut dead = Vec::new();
    for round in 0..rounds(40) {
        let client = Client::default();
        let signed_in =
            sign_in::browser(nodes[round % 2], "ann", &password[0].into(), false, None, &client).await.unwrap();
        let (old, other) = (kept.clone(), signed_in.handle);
        let requests = [requests(nodes, &old), requests(nodes, &other)];
        stagger(round).await;
        let acting = nodes[round / 2 % 2];
        let me = acting.caller(&old).await;
        let changed = passwords::change(acting, &me, &password[0].into(), &password[1].into(), &client).await.unwrap();
        changed.delivered.unwrap();
        password.reverse();
        kept = changed.handle;
        assert!(acting.alive(&kept).await, "round {round}: signed out by the change");
        assert!(!acting.alive(&old).await && !acting.alive(&other).await, "round {round}: after the act");
        for requests in requests {
            requests.join_all().await;
        }
        dead.extend([old, other]);
        for node in nodes {
            assert!(node.alive(&kept).await, "round {round}: signed out by a request");
            for handle in dead.iter().rev().take(2) {
                assert!(!node.alive(handle).await, "round {round}: back");
            }
        }
    }
    for node in nodes {
        for handle in &dead {
            assert!(!node.alive(handle).await, "back at last");
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_whose_password_is_being_checked_does_not_survive_an_end_all(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (node, other) =
        (cluster.node_with(&[ONE_HASHER, MANY_GUESSES]).await, cluster.node_with(&[MANY_GUESSES]).await);
    let ann = node.create("ann").await;
    for round in 0..rounds(4) {
        let held = HeldHasher::new(&node).await;
        let mut sign_ins = JoinSet::new();
        for _ in 0..6 {
            let services = node.services.clone();
            sign_ins.spawn(async move { try_sign_in(&services, "ann").await });
        }
        held.is_waited_for_by(6).await;
        let acting = [&node, &other][round % 2];
        acting.ends_all(&ann).await;
        drop(held);
        let outcomes = sign_ins.join_all().await;
        // A busy machine may have answered one that it is busy.
        let is_refused = |outcome: &Result<_, Error>| matches!(outcome, Err(Error::Raced | Error::Unavailable(..)));
        assert!(outcomes.iter().all(is_refused), "round {round}: {outcomes:?}");
        assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(Error::Raced))), "round {round}: {outcomes:?}");
        assert!(
            account::live(&node, ann.id, 10).await.unwrap().0.is_empty(),
            "round {round}: a session outlives the end"
        );
    }
}

/// Signs ann in, if nothing overtakes it, and says when that was done.
fn sign_in_and_look(node: &Node) -> impl Future<Output = Option<(Instant, SessionHandle)>> + use<> {
    let services = node.services.clone();
    async move {
        let handle = try_sign_in(&services, "ann").await.ok()?;
        let finished = Instant::now();
        view(&services, &handle).await;
        Some((finished, handle))
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_session_of_an_earlier_sign_in_is_alive_after_the_last_end_all(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (one, two, witness) = (cluster.node().await, cluster.node().await, cluster.witness().await);
    let ann = one.create("ann").await;
    // As long as the sign-ins of a round take here when nothing comes between. The acts come at different parts of it:
    // before them all, between them, and after them all.
    let alone = Instant::now();
    let sign_ins: JoinSet<_> = (0..6).map(|number| sign_in_and_look([&one, &two][number % 2])).collect();
    sign_ins.join_all().await;
    let alone = alone.elapsed();
    let (mut opened, mut survivors) = (0, 0);
    for round in 0..rounds(12) {
        let sign_ins: JoinSet<_> = (0..6).map(|number| sign_in_and_look([&one, &two][number % 2])).collect();
        let mut last = Instant::now();
        for act in 0..3 {
            tokio::time::sleep(alone * (round as u32 % 4) / 6).await;
            last = Instant::now();
            [&one, &two][act % 2].ends_all(&ann).await;
        }
        for (finished, handle) in sign_ins.join_all().await.into_iter().flatten() {
            opened += 1;
            for node in [&one, &two] {
                let alive = node.alive(&handle).await;
                assert_eq!(alive, witness.alive(&handle).await, "round {round}: Redis says more than SQL, or less");
                survivors += usize::from(alive && finished < last);
            }
        }
    }
    assert!(opened > 0, "no sign-in came through: nothing was shown");
    assert_eq!(survivors, 0, "of {opened} sessions");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ending_everybodys_sessions_reaches_sign_ins_that_come_between(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (one, two, witness) = (cluster.node().await, cluster.node().await, cluster.witness().await);
    let names: Vec<_> = (0..8).map(|number| format!("person{number}")).collect();
    for name in &names {
        one.create(name).await;
    }
    // Each act takes a second with Redis.
    for round in 0..rounds(10) {
        let mut sign_ins = JoinSet::new();
        for (number, name) in names.iter().cloned().enumerate() {
            let services = [&one, &two][number % 2].services.clone();
            sign_ins.spawn(async move {
                let handle = try_sign_in(&services, &name).await.ok()?;
                view(&services, &handle).await;
                Some(handle)
            });
        }
        stagger(round).await;
        everyone::end_all(&two, &keeper(), None, &Client::default()).await.unwrap();
        for handle in sign_ins.join_all().await.into_iter().flatten() {
            let truth = witness.alive(&handle).await;
            for node in [&one, &two] {
                assert_eq!(node.alive(&handle).await, truth, "round {round}: Redis says more than SQL, or less");
            }
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_and_a_new_password_at_the_same_time_are_done_one_after_the_other(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let node = cluster.node().await;
    let ann = node.create("ann").await;
    let mut resets = 0;
    for round in 0..rounds(40) {
        let client = Client::default();
        let link = links::issue_reset(&node, &keeper(), ann.id, &client).await.unwrap();
        let token = link.url.rsplit('/').next().unwrap();
        let (password, other) = (NEW_PASSWORD.into(), PASSWORD.into());
        // By turns, so that each comes first some time.
        let reset = async {
            if round % 2 == 0 {
                stagger(round).await;
            }
            passwords::reset(&node, token, &password, &client).await
        };
        let auth = keeper();
        let set = async {
            if round % 2 == 1 {
                stagger(round).await;
            }
            passwords::set(&node, &auth, ann.id, &other, &client).await
        };
        let (reset, set) = tokio::join!(reset, set);
        set.unwrap();
        match reset {
            Ok(_) => resets += 1,
            Err(error) => assert!(matches!(error, Error::LinkGone), "round {round}: {error:?}"),
        }
        let outcomes = [PASSWORD, NEW_PASSWORD].map(|password| {
            let services = node.services.clone();
            async move {
                sign_in::browser(&services, "ann", &password.into(), false, None, &Client::default()).await.is_ok()
            }
        });
        let [first, second] = outcomes;
        assert!(first.await != second.await, "round {round}: not one password");
    }
    assert!(resets > 0 && resets < rounds(40), "{resets} resets: they never met");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_of_the_former_password_does_not_take_the_session_over_once_it_was_changed(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (node, other) =
        (cluster.node_with(&[ONE_HASHER, MANY_GUESSES]).await, cluster.node_with(&[MANY_GUESSES]).await);
    node.create("ann").await;
    let mut handle = node.opens("ann").await;
    let mut password = [PASSWORD, NEW_PASSWORD];
    for round in 0..rounds(4) {
        let me = node.caller(&handle).await;
        let [former, new] = password.map(Into::into);
        // By turns: all entries have read the former hash when the new one is there, and they come as they may.
        let held = if round % 2 == 0 { Some(HeldHasher::new(&node).await) } else { None };
        let mut entries = JoinSet::new();
        for _ in 0..10 {
            let (services, me, former) = (node.services.clone(), me.clone(), password[0].into());
            entries.spawn(async move {
                reauthentication::confirm(&services, &me, &former, &Client::default()).await.map(|new| new.handle)
            });
        }
        if let Some(held) = &held {
            held.is_waited_for_by(10).await;
        }
        let acting = if held.is_some() { &other } else { &node };
        let changed = passwords::change(&acting.with_long_timeout(), &me, &former, &new, &Client::default()).await;
        let changed = changed.unwrap().handle;
        let was_held = held.is_some();
        drop(held);
        let entries = entries.join_all().await;
        let raced = entries.iter().any(|entry| matches!(entry, Err(Error::Raced)));
        assert!(raced || !was_held, "round {round}: nobody was overtaken");
        for entry in entries {
            match entry {
                Ok(other) => assert!(!was_held && !node.alive(&other).await, "round {round}: two secrets"),
                // A busy machine may have answered one that it is busy.
                Err(Error::Raced | Error::Unavailable(..)) => {}
                Err(error) => {
                    assert!(!was_held && matches!(error, Error::WrongPassword { .. }), "round {round}: {error:?}")
                }
            }
        }
        assert!(node.alive(&changed).await, "round {round}: signed out by an entry of the former password");
        handle = changed;
        password.reverse();
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_password_does_not_change_the_e_mail_once_it_was_changed(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (node, other) =
        (cluster.node_with(&[ONE_HASHER, MANY_GUESSES]).await, cluster.node_with(&[MANY_GUESSES]).await);
    let ann = node.create("ann").await;
    let handle = node.opens("ann").await;
    let me = node.caller(&handle).await;
    let held = HeldHasher::new(&node).await;
    let mut changes = JoinSet::new();
    for number in 0..10 {
        let (services, me) = (node.services.clone(), me.clone());
        changes.spawn(async move {
            let email = Some(format!("ann{number}@example.com"));
            let change = ProfileChange { name: None, email, current_password: Some(PASSWORD.into()) };
            profile::update(&services, &me, change, &Client::default()).await.map(drop)
        });
    }
    held.is_waited_for_by(10).await;
    let (former, new) = (PASSWORD.into(), NEW_PASSWORD.into());
    passwords::change(&other.with_long_timeout(), &me, &former, &new, &Client::default()).await.unwrap();
    drop(held);
    let outcomes = changes.join_all().await;
    // A busy machine may have answered one that it is busy.
    let is_refused = |outcome: &Result<_, Error>| matches!(outcome, Err(Error::Raced | Error::Unavailable(..)));
    assert!(outcomes.iter().all(is_refused), "{outcomes:?}");
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(Error::Raced))), "{outcomes:?}");
    let events = audit::of_account(&node.database, ann.id, None, 100).await.unwrap();
    let last = events.iter().find(|event| matches!(event.event, Event::UserUpdated | Event::PasswordChanged));
    assert_eq!(last.map(|last| last.event), Some(Event::PasswordChanged), "the former password was good after it");
}
