//! What a session is, act by act. Each act is done on one node and seen at once on another with the same stores.

use chrono::TimeDelta;
use portcullis::domain::audit::Client;
use portcullis::domain::keys::SessionHandle;
use portcullis::domain::{EndReason, Error, Role, User};
use portcullis::services::accounts::passwords;
use portcullis::services::administration::user_acts;
use portcullis::services::authentication::{reauthentication, sign_in};
use portcullis::services::maintenance;
use portcullis::services::sessions::{account, everyone, own};
use rstest::rstest;

use super::{Node, TestCluster, keeper};
use crate::support::stores::Backend;
use crate::support::{NEW_PASSWORD, PASSWORD, PostgresRedis, Sqlite, SqliteRedis};

/// Two nodes, and ann with two sessions that both nodes have seen.
struct Scene {
    cluster: TestCluster,
    one: Node,
    two: Node,
    ann: User,
    here: SessionHandle,
    there: SessionHandle,
}

impl Scene {
    async fn new(backend: Backend) -> Self {
        let cluster = TestCluster::new(backend).await;
        let (one, two) = (cluster.node().await, cluster.node().await);
        let ann = one.create("ann").await;
        let (here, there) = (one.opens("ann").await, two.opens("ann").await);
        let scene = Self { cluster, one, two, ann, here, there };
        scene.expect(&[true, true]).await;
        scene
    }

    /// Whether the two sessions live, on each node; asked twice, for the first answer may have made a copy.
    async fn expect(&self, lives: &[bool; 2]) {
        for round in 1..=2 {
            for (number, node) in [&self.one, &self.two].into_iter().enumerate() {
                let seen = [node.alive(&self.here).await, node.alive(&self.there).await];
                assert_eq!(&seen, lives, "round {round} on node {number}");
            }
        }
    }

    async fn why_ended(&self, handle: &SessionHandle) -> Option<EndReason> {
        let id = handle.session_id;
        let found = self.one.database.read(move |connection| {
            portcullis::storage::sessions::rows::by_id(connection, id) //
        });
        found.await.unwrap().expect("the history keeps it").ended.map(|ended| ended.reason)
    }
}

#[rstest]
#[tokio::test]
async fn a_session_lives_from_sign_in_to_sign_out(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let seen = scene.one.view(&scene.here).await.unwrap();
    assert_eq!((seen.user_id, seen.id, seen.role), (scene.ann.id, scene.here.session_id, Role::User));
    assert!(!seen.remember);
    assert_eq!(scene.two.view(&scene.here).await.unwrap(), seen);

    let caller = scene.one.caller(&scene.here).await;
    own::sign_out(&scene.one, &caller, &Client::default()).await.unwrap();
    scene.expect(&[false, true]).await;
    assert_eq!(scene.why_ended(&scene.here).await, Some(EndReason::SignedOut));
}

#[rstest]
#[tokio::test]
async fn only_the_handle_of_the_session_opens_it(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let mixed = SessionHandle { secret: scene.there.secret.clone(), ..scene.here.clone() };
    let foreign = SessionHandle { user_id: scene.one.create("bob").await.id, ..scene.here.clone() };
    for handle in [mixed, foreign] {
        assert!(!scene.one.alive(&handle).await);
    }
    scene.expect(&[true, true]).await;
}

#[rstest]
#[tokio::test]
async fn activity_is_noted_at_most_once_a_minute_and_the_later_moment_stays(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let scene = Scene::new(backend).await;
    let noted = async || {
        let (sessions, _) = account::live(&scene.one, scene.ann.id, 10).await.unwrap();
        let session = sessions.iter().find(|session| session.id == scene.here.session_id);
        session.expect("a live session").last_active_at
    };
    maintenance::flush_activity(&scene.one.sessions).await.unwrap();
    maintenance::flush_activity(&scene.two.sessions).await.unwrap();
    let first = noted().await;
    scene.cluster.clock.advance(TimeDelta::seconds(40));
    assert!(scene.one.alive(&scene.here).await);
    maintenance::flush_activity(&scene.one.sessions).await.unwrap();
    assert_eq!(noted().await, first, "written within the minute");

    scene.cluster.clock.advance(TimeDelta::seconds(40));
    assert!(scene.one.alive(&scene.here).await);
    let second = scene.cluster.clock.now();
    if backend.has_redis() {
        assert_eq!(noted().await, first, "SQL learns it in the batch");
        // The first node's batch is late; the second has seen the session later and says so first.
        scene.cluster.clock.advance(TimeDelta::seconds(70));
        assert!(scene.two.alive(&scene.here).await);
        let third = scene.cluster.clock.now();
        maintenance::flush_activity(&scene.two.sessions).await.unwrap();
        let late = noted().await;
        assert!(third - late < TimeDelta::seconds(5), "{late:?} is not {third:?}");
        maintenance::flush_activity(&scene.one.sessions).await.unwrap();
        assert_eq!(noted().await, late, "the earlier moment of the late batch won");
    } else {
        assert!(second - noted().await < TimeDelta::seconds(5));
    }
}

#[rstest]
#[tokio::test]
async fn a_confirmed_password_gives_a_new_secret_and_the_old_one_is_dead_at_once(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let mut scene = Scene::new(backend).await;
    scene.cluster.clock.advance(TimeDelta::minutes(3));
    let before = scene.one.view(&scene.here).await.unwrap();
    let caller = scene.one.caller(&scene.here).await;
    let confirmed = reauthentication::confirm(&scene.one, &caller, &PASSWORD.into(), &Client::default()).await.unwrap();
    confirmed.delivered.unwrap();
    scene.expect(&[false, true]).await;
    scene.here = confirmed.handle;
    scene.expect(&[true, true]).await;
    let after = scene.two.view(&scene.here).await.unwrap();
    assert_eq!(after.id, before.id);
    assert!(after.password_entered_at - before.password_entered_at >= TimeDelta::minutes(3));

    let wrong = reauthentication::confirm(&scene.one, &caller, &NEW_PASSWORD.into(), &Client::default()).await;
    assert!(matches!(wrong, Err(Error::WrongPassword { field: "password" })));
    scene.expect(&[true, true]).await;
}

#[rstest]
#[tokio::test]
async fn one_session_ends_and_no_other(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let caller = scene.one.caller(&scene.here).await;
    own::end(&scene.one, &caller, scene.there.session_id, &Client::default()).await.unwrap();
    scene.expect(&[true, false]).await;
    assert_eq!(scene.why_ended(&scene.there).await, Some(EndReason::EndedByOwner));

    let bob = {
        scene.one.create("bob").await;
        scene.one.opens("bob").await
    };
    let stranger = own::end(&scene.one, &caller, bob.session_id, &Client::default()).await;
    assert!(matches!(stranger, Err(Error::NotFound)));
    assert!(scene.one.alive(&bob).await);
    everyone::end_one(&scene.two, &keeper(), scene.here.session_id, &Client::default()).await.unwrap();
    scene.expect(&[false, false]).await;
    assert_eq!(scene.why_ended(&scene.here).await, Some(EndReason::EndedByAdministrator));
    assert!(scene.two.alive(&bob).await);
}

#[rstest]
#[tokio::test]
async fn ending_all_others_keeps_this_one(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let third = scene.two.opens("ann").await;
    let caller = scene.one.caller(&scene.here).await;
    assert_eq!(own::end_others(&scene.one, &caller, &Client::default()).await.unwrap(), 2);
    scene.expect(&[true, false]).await;
    assert!(!scene.two.alive(&third).await);
    assert_eq!(scene.why_ended(&third).await, Some(EndReason::EndedAll));
}

#[rstest]
#[tokio::test]
async fn ending_all_ends_all_of_the_account_and_a_later_sign_in_lives(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let scene = Scene::new(backend).await;
    scene.one.create("bob").await;
    let bob = scene.one.opens("bob").await;
    assert_eq!(scene.two.ends_all(&scene.ann).await, 2);
    scene.expect(&[false, false]).await;
    let later = scene.one.opens("ann").await;
    assert!(scene.two.alive(&later).await && scene.one.alive(&bob).await);
    scene.expect(&[false, false]).await;

    everyone::end_all(&scene.one, &keeper(), None, &Client::default()).await.unwrap();
    assert!(!scene.two.alive(&later).await && !scene.two.alive(&bob).await);
    assert!(!scene.one.alive(&later).await && !scene.one.alive(&bob).await);
}

#[rstest]
#[tokio::test]
async fn a_changed_password_keeps_this_session_and_ends_the_others(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let mut scene = Scene::new(backend).await;
    let caller = scene.one.caller(&scene.here).await;
    let (old, new) = (PASSWORD.into(), NEW_PASSWORD.into());
    let changed = passwords::change(&scene.one, &caller, &old, &new, &Client::default()).await.unwrap();
    changed.delivered.unwrap();
    scene.expect(&[false, false]).await;
    scene.here = changed.handle;
    scene.expect(&[true, false]).await;
    assert_eq!(scene.why_ended(&scene.there).await, Some(EndReason::PasswordChanged));
    let refused = sign_in::browser(&scene.two, "ann", &old, false, None, &Client::default()).await;
    assert!(matches!(refused, Err(Error::WrongCredentials)));
}

#[rstest]
#[tokio::test]
async fn a_changed_role_is_seen_by_the_next_request_and_signs_nobody_out(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let scene = Scene::new(backend).await;
    for role in [Role::Admin, Role::Manager, Role::User] {
        scene.one.sets_role(&scene.ann, role).await;
        for node in [&scene.two, &scene.one] {
            assert_eq!([node.role(&scene.here).await, node.role(&scene.there).await], [role, role]);
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_suspension_ends_all_and_a_reinstatement_revives_nothing(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let scene = Scene::new(backend).await;
    user_acts::suspend(&scene.one, &keeper(), scene.ann.id, &Client::default()).await.unwrap();
    scene.expect(&[false, false]).await;
    let refused = super::try_sign_in(&scene.two, "ann").await;
    assert!(matches!(refused, Err(Error::WrongCredentials)));
    user_acts::reinstate(&scene.two, &keeper(), scene.ann.id, &Client::default()).await.unwrap();
    scene.expect(&[false, false]).await;
    let later = scene.two.opens("ann").await;
    assert!(scene.one.alive(&later).await);
    scene.expect(&[false, false]).await;
}

#[rstest]
#[tokio::test]
async fn a_deleted_account_has_no_session(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    user_acts::delete(&scene.two, &keeper(), scene.ann.id, &Client::default()).await.unwrap();
    scene.expect(&[false, false]).await;
    assert!(matches!(super::try_sign_in(&scene.one, "ann").await, Err(Error::WrongCredentials)));
    scene.one.create("ann").await;
    scene.expect(&[false, false]).await;
}

#[rstest]
#[tokio::test]
async fn a_session_that_was_idle_too_long_is_over(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let scene = Scene::new(backend).await;
    let idle = scene.one.settings.session_idle_timeout;
    scene.cluster.clock.advance(idle - TimeDelta::seconds(10));
    assert!(scene.one.alive(&scene.here).await);
    // SQL may know the last activity by two minutes too early, so without a copy it waits that long.
    let slack = if backend.has_redis() { TimeDelta::minutes(2) } else { TimeDelta::zero() };
    scene.cluster.clock.advance(TimeDelta::seconds(10) + slack);
    scene.expect(&[true, false]).await;
    scene.cluster.clock.advance(idle + slack);
    scene.expect(&[false, false]).await;
    let absolute = scene.one.settings.session_absolute_timeout;
    assert!(absolute > idle * 3, "the limit that this test does not mean comes first");
}

#[rstest]
#[tokio::test]
async fn a_session_that_is_used_all_the_time_ends_at_its_absolute_limit(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let scene = Scene::new(backend).await;
    // The one that was opened later.
    let limit = scene.one.view(&scene.there).await.unwrap().absolute_limit;
    let step = scene.one.settings.session_idle_timeout - TimeDelta::minutes(1);
    while limit - scene.cluster.clock.now() > step {
        scene.cluster.clock.advance(step);
        scene.expect(&[true, true]).await;
    }
    scene.cluster.clock.advance(limit - scene.cluster.clock.now() - TimeDelta::seconds(30));
    scene.expect(&[true, true]).await;
    scene.cluster.clock.advance(limit - scene.cluster.clock.now());
    scene.expect(&[false, false]).await;
    maintenance::sweep(&scene.one).await.unwrap();
    scene.cluster.clock.advance(TimeDelta::minutes(2));
    maintenance::flush_activity(&scene.one.sessions).await.unwrap();
    maintenance::flush_activity(&scene.two.sessions).await.unwrap();
    maintenance::sweep(&scene.one).await.unwrap();
    assert_eq!(scene.why_ended(&scene.here).await, Some(EndReason::Expired));
}

#[rstest]
#[tokio::test]
async fn a_sign_in_over_a_live_session_ends_the_old_one(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let mut scene = Scene::new(backend).await;
    let old = scene.one.caller(&scene.here).await;
    let again =
        sign_in::browser(&scene.one, "ann", &PASSWORD.into(), true, Some(&old), &Client::default()).await.unwrap();
    scene.expect(&[false, true]).await;
    assert_eq!(scene.why_ended(&scene.here).await, Some(EndReason::Replaced));
    scene.here = again.handle;
    scene.expect(&[true, true]).await;
    assert!(scene.two.view(&scene.here).await.unwrap().remember);
}
