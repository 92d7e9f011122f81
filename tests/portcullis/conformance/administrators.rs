//! There is always an active administrator, whatever administrators do to each other at the same moment.

use std::time::Duration;

use portcullis::domain::audit::Client;
use portcullis::domain::{Clock, Error, Role, UserId, UserStatus};
use portcullis::services::accounts::{links, lookup, setup};
use portcullis::services::administration::user_acts;
use portcullis::services::administration::users::{self, UserSearch, UserSort};
use portcullis::services::{RecentAuthContext, Services};
use rstest::rstest;
use tokio::task::JoinSet;

use super::{Node, TestCluster, account, keeper};
use crate::support::stores::{Backend, Stores};
use crate::support::{HeldTable, PASSWORD, PostgresRedis, Sqlite};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_administrators_who_are_all_taken_away_at_once_one_is_left(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster::new(backend).await;
    let (one, two) = (cluster.node().await, cluster.node().await);
    let first = lookup::find(&one.database, "keeper").await.unwrap();
    let mut administrators = vec![first];
    for number in 1..100 {
        let (name, email) = (format!("admin{number}"), format!("admin{number}@example.com"));
        let created = users::create(&one, &keeper(), &name, &email, None, Role::Admin, &Client::default()).await;
        administrators.push(created.unwrap().0);
    }
    let mut acts = JoinSet::new();
    for number in 0..100 {
        let services = [&one, &two][number % 2].services.clone();
        let subject = administrators[number].id;
        // By the command line, whose right to act nobody takes away meanwhile.
        acts.spawn(async move { insist(services, keeper(), subject, number).await });
    }
    let outcomes = acts.join_all().await;
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::LastAdmin { .. }))).count();
    let left = administrators_left(&one).await;
    assert_eq!((left, refused), (1, 1), "{outcomes:?}");
}

/// One of the three ways to take an administrator away. A busy database is asked again; what it did all the same
/// before it answered too late is no failure.
async fn insist(services: Services, auth: RecentAuthContext, subject: UserId, way: usize) -> Result<(), Error> {
    loop {
        let client = Client::default();
        let outcome = match way % 3 {
            0 => user_acts::set_role(&services, &auth, subject, Role::User, &client).await.map(drop),
            1 => user_acts::suspend(&services, &auth, subject, &client).await.map(drop),
            _ => user_acts::delete(&services, &auth, subject, &client).await,
        };
        match outcome {
            Err(Error::Unavailable(..)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(Error::NotFound) if way % 3 == 2 => return Ok(()),
            outcome => return outcome,
        }
    }
}

async fn administrators_left(node: &Node) -> usize {
    let search = UserSearch {
        text: String::new(),
        role: Some(Role::Admin),
        status: Some(UserStatus::Active),
        locked: false,
        sort: UserSort::Username,
    };
    users::search(node, &keeper(), &search, None, 200).await.unwrap().users.len()
}

const BOOTSTRAP: [(&str, &str); 3] = [
    ("bootstrap_admin_username", "first"),
    ("bootstrap_admin_email", "first@example.com"),
    ("bootstrap_admin_password", PASSWORD),
];

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_the_same_moment_make_one_administrator_of_their_settings(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster { stores: Stores::new(backend).await, clock: Clock::adjustable() };
    let mut nodes = Vec::new();
    for _ in 0..4 {
        let mut services = cluster.node_without_feed_with(&BOOTSTRAP).await.services.clone();
        // However busy the machine is.
        services.database = services.database.with_long_timeout();
        nodes.push(services);
    }
    // All have found no administrator when they come to tell of theirs.
    let log = match backend {
        PostgresRedis => Some(HeldTable::new(&nodes[0].database, "audit_events").await),
        _ => None,
    };
    let mut starts = JoinSet::new();
    for services in nodes {
        starts.spawn(async move { setup::bootstrap(&services).await });
    }
    if let Some(log) = log {
        log.is_waited_for_by(4).await;
        log.release().await;
    }
    let started = starts.join_all().await;
    let created = started.iter().filter(|start| matches!(start, Ok(Some(_)))).count();
    assert!(created == 1 && started.iter().all(Result::is_ok), "{started:?}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_link_and_settings_at_the_same_moment_one_makes_the_first_administrator(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let cluster = TestCluster { stores: Stores::new(backend).await, clock: Clock::adjustable() };
    let node = cluster.node_without_feed_with(&BOOTSTRAP).await;
    let link = links::issue_setup(&node).await.unwrap();
    // Both have found no administrator when they come to tell of theirs.
    let log = match backend {
        PostgresRedis => Some(HeldTable::new(&node.database, "audit_events").await),
        _ => None,
    };
    let mut services = node.services.clone();
    // However busy the machine is.
    services.database = services.database.with_long_timeout();
    let other = services.clone();
    let by_link =
        tokio::spawn(async move { setup::complete(&other, link.token(), account("other"), &Client::default()).await });
    let by_settings = tokio::spawn(async move { setup::bootstrap(&services).await });
    if let Some(log) = log {
        log.is_waited_for_by(2).await;
        log.release().await;
    }
    let (by_link, by_settings) = (by_link.await.unwrap(), by_settings.await.unwrap());
    let made = (by_link.is_ok(), matches!(by_settings, Ok(Some(_))));
    assert!(matches!(made, (true, false) | (false, true)), "{made:?}");
    assert!(by_link.is_ok() || matches!(by_link, Err(Error::LinkGone)));
    assert!(by_settings.is_ok(), "{by_settings:?}");
    assert_eq!(administrators_left(&node).await, 1);
}
