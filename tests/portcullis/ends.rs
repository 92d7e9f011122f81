//! Sessions that end: one, the others, all of an account, everyone’s; and secrets that are replaced.

use portcullis::domain::UserId;
use portcullis::domain::audit::Client;
use portcullis::services::accounts::links;
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::{account, everyone};
use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn ending_another_device_signs_it_out_on_its_next_click_on_every_node(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let mut laptop = server.newcomer("anna").await;
    let mut phone = server.signed_in("anna").await.at(&other_node);
    assert!(phone.is_signed_in().await);
    let id = laptop.other_sessions().await.remove(0).id;
    laptop.end_session(&id).await.expect_redirect("/account/sessions");
    assert!(!phone.with_cookie(&phone.cookie().unwrap()).at(&server).is_signed_in().await, "on the node that ended it");
    assert!(!phone.is_signed_in().await, "on the other node");
    assert!(laptop.is_signed_in().await);
    assert!(laptop.other_sessions().await.is_empty());
}

#[rstest]
#[tokio::test]
async fn nobody_ends_or_finds_out_about_anothers_session(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut mallory = server.newcomer("mallory").await;
    let mut anna = server.newcomer("anna").await;
    let annas = account::live(&server.services, server.id_of("anna").await, 10).await.unwrap().0;
    let annas = annas.iter().map(|session| session.id.to_string()).next().unwrap();
    let token = mallory.get("/account").await.csrf_token().unwrap();
    let random = uuid::Uuid::now_v7().to_string();
    let mut answers = Vec::new();
    for id in
        [annas.as_str(), &random, "x", "019a8c10", &annas.to_uppercase(), "%2e%2e", "..%2f..", "%27%20OR%201=1", "*"]
    {
        let page = mallory.post(&format!("/account/sessions/{id}/end"), &[("csrf_token", &token)]).await;
        let request_id = page.header("x-request-id").unwrap().to_owned();
        let mut headers = page.headers.clone();
        headers.remove("date");
        headers.remove("x-request-id");
        headers.remove("connection");
        answers.push((id.to_owned(), page.status, headers, page.body.replace(&request_id, "ID")));
    }
    for (id, status, headers, body) in &answers {
        assert_eq!(*status, 404, "{id}");
        assert_eq!((headers, body), (&answers[0].2, &answers[0].3), "{id} gets another answer");
    }
    assert!(anna.is_signed_in().await);
    assert!(mallory.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn a_changed_password_ends_all_other_sessions_and_gives_this_one_a_new_secret(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let mut laptop = server.newcomer("anna").await;
    let mut phone = server.signed_in("anna").await.at(&other_node);
    let mut stranger = server.newcomer("berta").await;
    assert!(phone.is_signed_in().await);
    let (old, old_token) = (laptop.cookie().unwrap(), laptop.get("/account").await.csrf_token().unwrap());

    let wrong = [("current_password", "not the password"), ("new_password", NEW_PASSWORD)];
    let page = laptop.submit("/account/password", &wrong).await.expect(401);
    assert!(page.field_error("current_password").is_some());
    assert!(phone.is_signed_in().await, "a refused change ended something");

    laptop.change_password().await;
    assert!(!phone.is_signed_in().await);
    assert_ne!(laptop.cookie().unwrap(), old);
    assert!(!laptop.with_cookie(&old).is_signed_in().await, "the old secret still works");
    assert!(!laptop.with_cookie(&old).at(&other_node).is_signed_in().await, "it does on the other node");
    assert!(laptop.is_signed_in().await && laptop.clone().at(&other_node).is_signed_in().await);
    assert_eq!(laptop.get("/account").await.csrf_token().unwrap(), old_token, "forms of other tabs died");
    assert!(stranger.is_signed_in().await);
    server.browser().try_sign_in("anna", PASSWORD).await.expect(401);
    server.browser().try_sign_in("anna", NEW_PASSWORD).await.expect_redirect("/account");
}

#[rstest]
#[tokio::test]
async fn a_refused_old_secret_does_not_take_the_new_cookie_away(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut browser = server.newcomer("anna").await;
    let mut late = browser.clone();
    browser.submit("/confirm", &[("password", PASSWORD)]).await.expect_redirect("/account");
    // A request of before, whose answer arrives after the one with the new cookie.
    let page = late.get("/account").await.expect_sign_in();
    assert!(page.set_cookies().iter().all(|cookie| cookie.name != server.session_cookie()), "{:?}", page.set_cookies());
    assert!(browser.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn confirming_the_password_gives_a_new_secret_and_goes_on(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut browser = server.newcomer("anna").await;
    let old = browser.cookie().unwrap();
    browser.submit("/confirm?next=/account/activity", &[("password", "wrong")]).await.expect(401);
    assert!(browser.is_signed_in().await);
    let page = browser.submit("/confirm?next=%2Faccount%2Factivity", &[("password", PASSWORD)]).await;
    page.expect_redirect("/account/activity");
    assert_ne!(browser.cookie().unwrap(), old);
    assert!(!browser.with_cookie(&old).is_signed_in().await);
    assert!(browser.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn ending_the_others_leaves_this_one(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut here = server.newcomer("anna").await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(server.signed_in("anna").await);
    }
    let page = here.get("/account/sessions").await.expect(200);
    let form = page.form("/account/sessions/end-others");
    here.submit_form(form, &[]).await.expect_redirect("/account/sessions");
    for other in &mut others {
        assert!(!other.is_signed_in().await);
    }
    assert!(here.is_signed_in().await);
    assert!(here.other_sessions().await.is_empty());
}

/// What an administrator does to an account, and whether it ends the account's sessions.
async fn signed_out_by(backend: Backend, act: impl AsyncFn(&TestServer, UserId)) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let mut here = server.newcomer("anna").await;
    let mut there = server.signed_in("anna").await.at(&other_node);
    let mut stranger = server.newcomer("berta").await;
    assert!(there.is_signed_in().await);
    act(&server, server.id_of("anna").await).await;
    assert!(!here.is_signed_in().await, "on the node that did it");
    assert!(!there.is_signed_in().await, "on the other node");
    assert!(stranger.is_signed_in().await, "someone else");
}

#[rstest]
#[tokio::test]
async fn a_suspended_account_is_signed_out_and_stays_out(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    signed_out_by(backend, async |server, user| {
        user_acts::suspend(&server.services, &command_line(), user, &Client::default()).await.unwrap();
        server.browser().try_sign_in("anna", PASSWORD).await.expect(401);
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_deleted_account_is_signed_out_and_its_names_are_free(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    signed_out_by(backend, async |server, user| {
        user_acts::delete(&server.services, &command_line(), user, &Client::default()).await.unwrap();
        server.browser().try_sign_in("anna", PASSWORD).await.expect(401);
        // Someone else may have the name; nothing of the first account comes with it.
        let mut namesake = server.newcomer("anna").await;
        assert!(namesake.other_sessions().await.is_empty());
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn ending_all_sessions_of_an_account_ends_them_everywhere(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    signed_out_by(backend, async |server, user| {
        let ended =
            everyone::end_of_account(&server.services, &command_line(), user, &Client::default()).await.unwrap();
        assert!(ended >= 2, "{ended}");
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn a_reset_password_ends_all_sessions(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    signed_out_by(backend, async |server, user| {
        let link = links::issue_reset(&server.services, &command_line(), user, &Client::default()).await.unwrap();
        let path = link.url.strip_prefix(&server.public_url).unwrap();
        server.browser().submit(path, &[("new_password", NEW_PASSWORD)]).await.expect_redirect("/login");
    })
    .await;
}

#[rstest]
#[tokio::test]
async fn ending_everyones_sessions_is_one_act(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let mut people = Vec::new();
    for name in ["anna", "berta", "carla"] {
        people.push(server.newcomer(name).await);
    }
    everyone::end_all(&server.services, &command_line(), None, &Client::default()).await.unwrap();
    for person in &mut people {
        assert!(!person.is_signed_in().await);
        assert!(!person.clone().at(&other_node).is_signed_in().await);
    }
    let mut again = server.signed_in("anna").await;
    assert!(again.is_signed_in().await);
}
