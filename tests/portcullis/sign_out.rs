//! Signing out: nothing that ended comes back, whatever was on its way.

use std::time::Duration;

use portcullis::domain::audit::Client;
use portcullis::services::accounts::lookup;
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::{account, everyone};
use rstest::rstest;

use crate::support::raw::{RawAnswer, SlowRequest};
use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn signing_out_ends_this_session_and_no_other(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut laptop = server.newcomer("anna").await;
    let mut phone = server.signed_in("anna").await;
    let old = laptop.cookie().unwrap();
    let page = laptop.sign_out().await;
    let removal = page.set_cookies().into_iter().find(|cookie| cookie.name == server.session_cookie());
    assert!(removal.is_some_and(|cookie| cookie.removes()), "the cookie stays in the browser");
    assert!(!laptop.with_cookie(&old).is_signed_in().await);
    assert!(phone.is_signed_in().await);
    if let Some(redis) = &server.stores.redis {
        // What is left of it says only that it is over.
        let secret = old.rsplit('.').next().unwrap();
        assert!(!redis.dump(&server.stores.redis_prefix).contains(secret));
    }
}

#[tokio::test]
async fn a_get_of_logout_asks_and_ends_nothing() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let page = browser.get("/logout").await.expect(200);
    assert!(page.set_cookies().is_empty());
    browser.send(reqwest::Method::HEAD, "/logout", &[], None).await;
    assert!(browser.is_signed_in().await);
}

#[tokio::test]
async fn signing_out_twice_is_no_error() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let mut tab = browser.clone();
    let form = tab.get("/logout").await.form("/logout");
    browser.sign_out().await;
    tab.submit_form(form, &[]).await.expect_sign_in();
}

/// What is under way while the session ends, and how it ends.
#[derive(Clone, Copy, Debug)]
enum Race {
    /// A profile form arrives slowly; the person signs out in another tab.
    ProfileAgainstSignOut,
    /// The password is being confirmed, which gives a new secret; another device ends the session.
    ConfirmAgainstOwner,
    /// The password is being changed, which gives a new secret; an administrator ends the session.
    PasswordAgainstAdministrator,
    /// Pages are being read; the person signs out.
    PagesAgainstSignOut,
}

const RACES: [Race; 4] = [
    Race::ProfileAgainstSignOut,
    Race::ConfirmAgainstOwner,
    Race::PasswordAgainstAdministrator,
    Race::PagesAgainstSignOut,
];

/// Fails if the cookie of before, or one that an answer set meanwhile, still signs in.
async fn nothing_authenticates(browser: &Browser, old: &str, answers: &[RawAnswer], what: &str) {
    let name = browser.cookie_name();
    let set = answers.iter().flat_map(RawAnswer::set_cookies).filter(|cookie| cookie.name == name && !cookie.removes());
    let values = std::iter::once(old.to_owned()).chain(set.map(|cookie| cookie.value));
    for value in values {
        assert!(!browser.with_cookie(&value).is_signed_in().await, "{what}: signed in after the end");
    }
}

async fn race(server: &TestServer, race: Race, round: u64) {
    let name = format!("person{round}");
    let mut browser = server.newcomer(&name).await;
    let old = browser.cookie().unwrap();
    let user = lookup::find(&server.services.database, &name).await.unwrap().id;
    let token = browser.get("/account/profile").await.csrf_token().unwrap();
    let pause = Duration::from_micros(300 * (round % 11));
    let what = format!("{race:?}, round {round}");
    let answers = match race {
        Race::ProfileAgainstSignOut => {
            let fields = [("csrf_token", token.as_str()), ("name", "Slow"), ("email", &format!("{name}@example.com"))];
            let slow = SlowRequest::begin(&browser, "/account/profile", &fields).await;
            tokio::time::sleep(pause).await;
            let mut tab = browser.clone();
            let fields = [("csrf_token", token.as_str())];
            let sign_out = tab.post("/logout", &fields);
            // In even rounds the last byte only comes when the session is over.
            let (answer, page) = if round.is_multiple_of(2) {
                let page = sign_out.await;
                (slow.finish().await, page)
            } else {
                tokio::join!(slow.finish(), sign_out)
            };
            assert!(page.asks_to_sign_in(), "{what}: {} {}", page.status, page.excerpt());
            vec![answer]
        }
        Race::ConfirmAgainstOwner => {
            let mut phone = server.signed_in(&name).await;
            let listed = phone.get("/account/sessions").await.expect(200);
            let id = phone.other_sessions().await.remove(0).id;
            let form = listed.form(&format!("/account/sessions/{id}/end"));
            let slow =
                SlowRequest::begin(&browser, "/confirm", &[("csrf_token", &token), ("password", PASSWORD)]).await;
            tokio::time::sleep(pause).await;
            let (answer, page) = tokio::join!(slow.finish(), phone.submit_form(form, &[]));
            assert_eq!(page.status, 303, "{what}: {}", page.excerpt());
            vec![answer]
        }
        Race::PasswordAgainstAdministrator => {
            let (sessions, _) = account::live(&server.services, user, 10).await.unwrap();
            let mine = sessions.iter().max_by_key(|session| session.created_at).unwrap().id;
            let fields =
                [("csrf_token", token.as_str()), ("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
            let slow = SlowRequest::begin(&browser, "/account/password", &fields).await;
            tokio::time::sleep(pause).await;
            let (auth, client) = (command_line(), Client::default());
            let (answer, ended) =
                tokio::join!(slow.finish(), everyone::end_one(&server.services, &auth, mine, &client));
            ended.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            vec![answer]
        }
        Race::PagesAgainstSignOut => {
            let line = format!("Cookie: {}", browser.cookie_header());
            let headers: [&[u8]; 1] = [line.as_bytes()];
            let page = || raw::get(server.address, b"/account/sessions", &headers);
            let mut tab = browser.clone();
            let fields = [("csrf_token", token.as_str())];
            let (one, two, three, _) = tokio::join!(page(), page(), page(), tab.post("/logout", &fields));
            vec![one, two, three]
        }
    };
    for answer in &answers {
        assert!(
            matches!(answer.status, 200 | 303 | 401 | 403 | 409 | 422),
            "{what}: {} {}",
            answer.status,
            answer.head
        );
    }
    nothing_authenticates(&browser, &old, &answers, &what).await;
    // Nor does anything later, when all caches and copies were made again.
    browser.jar.clear();
    nothing_authenticates(&browser, &old, &answers, &what).await;
}

#[rstest]
#[tokio::test]
async fn no_request_in_flight_brings_an_ended_session_back_in_200_rounds(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    for round in 0..200 {
        race(&server, RACES[round as usize % RACES.len()], round).await;
    }
}

#[rstest]
#[tokio::test]
async fn a_refused_request_of_an_ended_session_leaves_no_cookie_that_works_later(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut browser = server.newcomer("anna").await;
    let user = server.id_of("anna").await;
    let old = browser.cookie().unwrap();
    let (auth, client) = (command_line(), Client::default());
    user_acts::suspend(&server.services, &auth, user, &client).await.unwrap();
    let page = browser.get("/account").await.expect_sign_in();
    assert!(page.set_cookies().iter().all(|cookie| cookie.removes()));
    // The refusal was no mere answer: the session is over, also once the account is good again.
    user_acts::reinstate(&server.services, &auth, user, &client).await.unwrap();
    assert!(!browser.with_cookie(&old).is_signed_in().await, "the account's return brought its session back");
    assert!(server.signed_in("anna").await.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn a_sign_in_that_began_before_end_all_leaves_no_session_alive_after_it(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::with(backend, &[ONE_HASHER]).await;
    let user = server.create_user("anna").await.id;
    let (auth, client) = (command_line(), Client::default());
    for _ in 0..3 {
        let mut browser = server.browser();
        let form = browser.get("/login").await.form("/login");
        let fields = [("username", "anna"), ("password", PASSWORD)];
        // The end comes between the moment at which the account is read and that at which the password is checked.
        let held = HeldHasher::new(&server.services).await;
        let end_all = async {
            held.is_waited_for_by(1).await;
            everyone::end_of_account(&server.services, &auth, user, &client).await.unwrap();
            drop(held);
        };
        let (page, ()) = tokio::join!(browser.submit_form(form, &fields), end_all);
        assert_eq!(page.status, 409, "{}", page.excerpt());
        assert!(!browser.is_signed_in().await, "a session outlives the end of all");
        assert!(account::live(&server.services, user, 10).await.unwrap().0.is_empty());
    }
}

#[rstest]
#[tokio::test]
async fn a_sign_in_that_began_before_a_suspension_leaves_no_session_alive_after_it(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::with(backend, &[ONE_HASHER]).await;
    let user = server.create_user("anna").await.id;
    let (auth, client) = (command_line(), Client::default());
    let mut browser = server.browser();
    let form = browser.get("/login").await.form("/login");
    let fields = [("username", "anna"), ("password", PASSWORD)];
    let held = HeldHasher::new(&server.services).await;
    let suspend = async {
        held.is_waited_for_by(1).await;
        user_acts::suspend(&server.services, &auth, user, &client).await.unwrap();
        drop(held);
    };
    let (page, _) = tokio::join!(browser.submit_form(form, &fields), suspend);
    assert!(matches!(page.status, 401 | 409), "{}", page.status);
    user_acts::reinstate(&server.services, &auth, user, &client).await.unwrap();
    assert!(!browser.is_signed_in().await);
}
