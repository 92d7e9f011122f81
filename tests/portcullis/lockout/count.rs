//! What is counted for which name, and for how long.

use chrono::TimeDelta;
use portcullis::domain::audit::Client;
use portcullis::domain::{Error, Event, Role};
use portcullis::services::administration::users;
use portcullis::services::authentication::lockout;
use rstest::rstest;
use serde_json::json;

use super::{WRONG, attempt, counts, events, lock, server_on};
use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn a_lock_ends_by_itself_however_often_a_stranger_goes_on(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let anna = server.create_user("anna").await.id;
    lock(&server, "anna").await;
    let until = lockout::locked_until(&server.services, anna).await.unwrap().expect("a lock");
    assert!((until - server.clock.now()).num_seconds() > 800);
    assert_eq!(lockout::count_locked(&server.services).await.unwrap(), 1);
    for _ in 0..40 {
        attempt(&server, "anna", WRONG).await.expect(429);
    }
    // A busy machine may take seconds for one of them.
    server.clock.advance(until - server.clock.now() - TimeDelta::minutes(1));
    attempt(&server, "anna", WRONG).await.expect(429);
    server.clock.advance(until - server.clock.now() + TimeDelta::seconds(1));
    assert_eq!(lockout::locked_until(&server.services, anna).await.unwrap(), None);
    assert_eq!(lockout::count_locked(&server.services).await.unwrap(), 0);
    // All five are there again, and no fewer.
    for _ in 0..4 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    attempt(&server, "anna", PASSWORD).await.expect(303);
    assert_eq!(events(&server, anna, Event::SignInLocked).await, 1);
    assert_eq!(events(&server, anna, Event::SignInFailed).await, 9, "a refused guess is audited");
}

#[tokio::test]
async fn failures_of_long_ago_are_forgotten() {
    let server = server_on(Sqlite).await;
    server.create_user("anna").await;
    for _ in 0..4 {
        attempt(&server, "anna", WRONG).await.expect(401);
        server.clock.advance(TimeDelta::minutes(3));
    }
    server.clock.advance(TimeDelta::minutes(13));
    for _ in 0..4 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    attempt(&server, "anna", PASSWORD).await.expect(303);
}

#[rstest]
#[tokio::test]
async fn the_right_password_begins_the_count_anew(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = server_on(backend).await;
    server.create_user("anna").await;
    for _ in 0..3 {
        for _ in 0..4 {
            attempt(&server, "anna", WRONG).await.expect(401);
        }
        attempt(&server, "anna", PASSWORD).await.expect(303);
    }
    assert_eq!(counts(&server).await, 0);
}

#[rstest]
#[tokio::test]
async fn all_spellings_of_both_names_have_one_count_on_two_nodes(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("anna").await;
    server.create_user("berta").await;
    let spellings = ["anna", " ANNA ", "Anna@Example.com", "\u{ff41}nna", "anna@example.com"];
    for (number, name) in spellings.into_iter().enumerate() {
        attempt(if number % 2 == 0 { &server } else { &second }, name, WRONG).await.expect(401);
    }
    for name in spellings {
        attempt(&second, name, PASSWORD).await.expect(429);
    }
    attempt(&server, "anna.", WRONG).await.expect(401);
    attempt(&second, "berta", PASSWORD).await.expect(303);
    // A name that nobody has is as one, too.
    for name in ["nobody", "NOBODY", " nobody", "Nobody ", "\u{ff4e}obody"] {
        attempt(&server, name, WRONG).await.expect(401);
    }
    attempt(&second, "nobody", WRONG).await.expect(429);
}

#[tokio::test]
async fn nobody_is_called_like_anothers_address() {
    let server = server_on(Sqlite).await;
    server.create_user("anna").await;
    let fields = [("username", "anna@example.com"), ("email", "x@example.com"), ("password", PASSWORD)];
    server.browser().submit("/register", &fields).await.expect(422);
    let (username, email) = ("anna@example.com", "x@example.com");
    let body = json!({ "username": username, "email": email, "password": PASSWORD });
    ApiClient::new(&server).post("/api/v1/auth/register", &body).await.expect(422);
    let mut keeper = server.signed_in(KEEPER).await;
    keeper.submit("/admin/users/new", &fields[..2]).await.expect(422);
    let (auth, client) = (command_line(), Client::default());
    let created = users::create(&server.services, &auth, username, email, None, Role::User, &client).await;
    assert!(matches!(created, Err(Error::Invalid(_))));
}
