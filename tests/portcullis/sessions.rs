//! Sessions in use: their limits, their list, and on two nodes at once.

use std::time::Duration;

use chrono::TimeDelta;
use portcullis::domain::Role;
use portcullis::domain::audit::Client;
use portcullis::services::administration::user_acts;
use portcullis::services::authentication::sign_in;
use portcullis::services::sessions::{account, own};
use portcullis::services::{audit, maintenance};
use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::*;

/// The default limits: two hours of idling, 24 hours in all. With Redis the idle limit has two minutes' slack.
const IDLE: TimeDelta = TimeDelta::minutes(120);
const SLACK: TimeDelta = TimeDelta::minutes(2);

#[rstest]
#[tokio::test]
async fn a_session_that_is_not_used_ends_after_the_idle_limit(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut used = server.newcomer("anna").await;
    let mut idle = server.signed_in("anna").await;
    server.clock.advance(IDLE - TimeDelta::minutes(5));
    assert!(used.is_signed_in().await);
    server.clock.advance(TimeDelta::minutes(5) + SLACK + TimeDelta::minutes(1));
    assert!(used.is_signed_in().await, "a touched session went with the idle one");
    assert!(!idle.is_signed_in().await);
    assert!(!idle.is_signed_in().await, "the refused request touched it");
    // The list agrees; with Redis it knows of the last use when the node's next batch is in SQL.
    let listed = account::live(&server.services, server.id_of("anna").await, 10).await.unwrap().0.len();
    assert!(listed == 1 || backend.has_redis() && listed == 0, "{listed}");
}

#[rstest]
#[tokio::test]
async fn no_use_stretches_a_session_past_its_absolute_limit(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut browser = server.newcomer("anna").await;
    let old = browser.cookie().unwrap();
    for hour in 1..24 {
        server.clock.advance(TimeDelta::hours(1));
        assert!(browser.is_signed_in().await, "hour {hour}");
        // What a node does each minute: SQL is asked where a copy is not believed.
        maintenance::flush_activity(&server.services.sessions).await.unwrap();
    }
    server.clock.advance(TimeDelta::hours(1));
    assert!(!browser.is_signed_in().await);
    // Nothing that the client keeps or edits helps.
    assert!(!browser.with_cookie(&old).is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn a_remembered_session_has_the_long_limits(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    server.create_user("anna").await;
    let mut browser = server.browser();
    browser.sign_in_remembered("anna").await;
    for _ in 0..6 {
        server.clock.advance(TimeDelta::days(13));
        assert!(browser.is_signed_in().await);
    }
    server.clock.advance(TimeDelta::days(13));
    assert!(!browser.is_signed_in().await, "past 90 days");

    browser.sign_in_remembered("anna").await;
    server.clock.advance(TimeDelta::days(14) + SLACK + TimeDelta::minutes(1));
    assert!(!browser.is_signed_in().await, "idle for 14 days");
}

#[rstest]
#[tokio::test]
async fn the_list_shows_this_device_first_and_each_by_what_it_is(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut laptop = server.newcomer("anna").await;
    let mut phone = server.browser();
    phone.user_agent =
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                        Version/18.5 Mobile/15E148 Safari/604.1"
            .to_owned();
    phone.sign_in("anna").await;
    let _stranger = server.newcomer("berta").await;

    let page = laptop.get("/account/sessions").await.expect(200);
    let devices = page.texts("main li .item h3");
    assert_eq!(devices.len(), 2, "{devices:?}");
    assert!(devices[0].contains("Firefox") && devices[0].contains("Linux"), "{devices:?}");
    assert!(devices[1].contains("Safari") && devices[1].contains("iPhone"), "{devices:?}");
    assert!(page.text().contains("127.0.0.1"));
    assert_eq!(laptop.other_sessions().await.len(), 1);

    // Nothing of the page opens a session: neither this one's secret nor the other's.
    for cookie in [laptop.cookie().unwrap(), phone.cookie().unwrap()] {
        for secret in [cookie.as_str(), cookie.rsplit('.').next().unwrap()] {
            assert!(!page.body.contains(secret), "the page shows a secret");
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_changed_role_counts_on_the_next_request_and_signs_nobody_out(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let mut browser = server.newcomer("anna").await;
    assert!(browser.is_signed_in().await && browser.clone().at(&other_node).is_signed_in().await);
    let user = server.id_of("anna").await;
    let handle = handle_of(&server, "anna").await;
    for role in [Role::Manager, Role::Admin, Role::User] {
        user_acts::set_role(&server.services, &command_line(), user, role, &Client::default()).await.unwrap();
        for node in [&server, &other_node] {
            let live = own::load(&node.services, &handle).await.unwrap().expect("the session lives on");
            assert_eq!(live.role, role);
            assert!(browser.clone().at(node).is_signed_in().await);
        }
    }
}

/// A session opened by the service, with the handle that its cookie would carry.
async fn handle_of(server: &TestServer, name: &str) -> portcullis::domain::keys::SessionHandle {
    let signed_in = sign_in::browser(&server.services, name, &PASSWORD.into(), false, None, &Client::default()).await;
    signed_in.unwrap_or_else(|error| panic!("{error:?}")).handle
}

#[rstest]
#[tokio::test]
async fn there_is_no_cap_on_sessions_and_the_list_stays_a_page(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut here = server.newcomer("anna").await;
    let others = if long() { 10_000 } else { 300 };
    for _ in 0..others {
        handle_of(&server, "anna").await;
    }
    let page = here.get("/account/sessions").await.expect(200);
    let shown = here.other_sessions().await.len();
    assert!((1..=200).contains(&shown), "{shown} sessions on one page");
    assert!(page.text().contains(&others.to_string()), "the page does not say how many there are");
    assert!(page.body.len() < 512 * 1024, "{} bytes", page.body.len());

    let deadline = Deadline::within(Duration::from_secs(2));
    here.submit_form(page.form("/account/sessions/end-others"), &[]).await.expect_redirect("/account/sessions");
    deadline.expect_met("ending them");
    assert!(here.other_sessions().await.is_empty());
    assert!(here.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn two_nodes_serve_one_session(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    server.create_user("anna").await;
    // Each click lands on the other node, the sign-in too.
    let mut browser = server.browser();
    let nodes = [&server, &other_node];
    let page = browser.get("/login").await.expect(200);
    browser.go_to(&other_node);
    let fields = [("username", "anna"), ("password", PASSWORD)];
    browser.submit_form(page.form("/login"), &fields).await.expect_redirect("/account");
    for click in 0..6 {
        browser.go_to(nodes[click % 2]);
        assert!(browser.is_signed_in().await);
    }
    let page = browser.get("/account/password").await.expect(200);
    browser.go_to(&server);
    let fields = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    browser.submit_form(page.form("/account/password"), &fields).await;
    for node in nodes {
        browser.go_to(node);
        assert!(browser.is_signed_in().await);
    }
    let form = browser.get("/logout").await.form("/logout");
    browser.go_to(&server);
    let old = browser.cookie().unwrap();
    browser.submit_form(form, &[]).await.expect_sign_in();
    for node in nodes {
        let mut thief: Browser = browser.with_cookie(&old).at(node);
        assert!(!thief.is_signed_in().await);
    }
}

#[tokio::test]
async fn own_activity_shows_what_happened_and_to_whom_it_belongs() {
    let server = TestServer::start(Sqlite).await;
    let mut anna = server.browser();
    anna.register("anna").await;
    let mut berta = server.newcomer("berta").await;
    server.browser().try_sign_in("anna", "wrong password").await.expect(401);
    anna.change_password().await;
    let events = audit::of_account(&server.services.database, server.id_of("anna").await, None, 50).await.unwrap();
    let names: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(names, ["password.changed", "sign_in.failed", "sign_in.success", "user.registered"]);
    let page = anna.get("/account/activity").await.expect(200);
    assert!(page.texts("main time").len() >= 4, "{}", page.text());
    let page = berta.get("/account/activity").await.expect(200);
    assert!(!page.body.contains("anna"), "another's events");
}
