//! Guesses made at the same time.

use std::collections::BTreeMap;
use std::pin::pin;

use chrono::TimeDelta;
use diesel::{QueryDsl as _, RunQueryDsl as _};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use portcullis::domain::audit::Client;
use portcullis::domain::{Error, Event};
use portcullis::services::authentication::{lockout, sign_in};
use portcullis::storage::authentication::lockouts::{self as store, Key, Rule, Taken};
use portcullis::storage::schema::lockouts;
use rstest::rstest;
use serde_json::json;

use super::{FIVE, WRONG, attempt, counts, events, server_on};
use crate::support::*;

#[rstest]
#[tokio::test]
async fn of_parallel_guesses_no_more_than_five_are_compared(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("anna").await;
    for name in ["anna", "nobody"] {
        let all = (0..50).map(|number| attempt(if number % 2 == 0 { &server } else { &second }, name, WRONG));
        let statuses: Vec<_> = join_all(all).await.iter().map(|page| page.status).collect();
        let count = |status| statuses.iter().filter(|&&other| other == status).count();
        // A busy machine may answer 503, which is no comparison and no failure.
        assert_eq!(count(401) + count(429) + count(503), 50, "{statuses:?}");
        assert!(count(401) <= 5 && (count(401) == 5 || count(503) > 0), "{name}: {statuses:?}");
    }
}

#[rstest]
#[tokio::test]
async fn parallel_guesses_on_every_route_together_are_no_more_than_five(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("anna").await;
    let mut thief = server.signed_in("anna").await;
    let token = thief.get("/account").await.csrf_token().unwrap();
    // With the cookie of the session alone: a browser that is known has its own count.
    let thief = thief.with_cookie(&thief.cookie().unwrap());
    let program = server.program("anna").await;
    let guesses = (0..50).map(async |number| {
        let node = if number % 2 == 0 { &server } else { &second };
        let (browser, program) = (thief.clone().at(node), program.clone().at(node));
        let login = json!({ "username": "anna", "password": WRONG });
        let change = json!({ "current_password": WRONG, "new_password": NEW_PASSWORD });
        match number % 5 {
            0 => attempt(node, "anna", WRONG).await,
            1 => program.post("/api/v1/auth/login", &login).await,
            2 => program.post("/api/v1/auth/confirm", &json!({ "password": WRONG })).await,
            3 => program.json("PUT", "/api/v1/me/password", &change).await,
            _ => browser.clone().post("/confirm", &[("csrf_token", &token), ("password", WRONG)]).await,
        }
    });
    let statuses: Vec<_> = join_all(guesses).await.iter().map(|page| page.status).collect();
    let count = |status| statuses.iter().filter(|&&other| other == status).count();
    assert_eq!(count(401) + count(429) + count(503), 50, "{statuses:?}");
    assert!(count(401) <= 5 && (count(401) == 5 || count(503) > 0), "{statuses:?}");
}

#[rstest]
#[tokio::test]
async fn the_right_guess_among_fifty_gets_in_only_where_its_turn_came_in_time(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    for round in 0..4 {
        let name = format!("person{round}");
        server.create_user(&name).await;
        for _ in 0..4 {
            attempt(&server, &name, WRONG).await.expect(401);
        }
        let right = [0, 7, 23, 49][round];
        let all = (0..50).map(|number| {
            let node = if number % 2 == 0 { &server } else { &second };
            attempt(node, &name, if number == right { PASSWORD } else { WRONG })
        });
        let statuses: Vec<_> = join_all(all).await.iter().map(|page| page.status).collect();
        let wrong = statuses.iter().filter(|&&status| status == 401).count();
        let got_in = statuses[right] == 303;
        assert!(statuses.iter().filter(|&&status| status == 303).count() == usize::from(got_in), "{statuses:?}");
        // One guess was left. Where the right one had it, the count began anew.
        assert!(wrong <= if got_in { 5 } else { 1 }, "{statuses:?}");
    }
}

/// Of these, how many got which status.
fn tally(answers: &[Page]) -> BTreeMap<u16, usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(answer.status).or_default() += 1;
    }
    tally
}

/// A node that is busy asks to come again in a moment, and is asked again; nobody is told to wait for a lock to end.
async fn insist(mut ask: impl AsyncFnMut() -> Page) -> Page {
    for _ in 0..100 {
        let page = ask().await;
        if page.status != 503 {
            return page;
        }
        assert_eq!(page.header("retry-after"), Some("2"));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("busy for ever");
}

#[rstest]
#[tokio::test]
async fn twenty_parallel_sign_ins_with_the_right_password_all_get_in(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values(0, 4)] failures: usize,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    let anna = server.create_user("anna").await.id;
    let program = server.program("anna").await;
    let fail = async || {
        for _ in 0..failures {
            attempt(&server, "anna", WRONG).await.expect(401);
        }
    };
    let nodes = || [&server, &second].into_iter().cycle().take(20);
    let login = json!({ "username": "anna", "password": PASSWORD });

    fail().await;
    let login = async |node| insist(async || ApiClient::new(node).post("/api/v1/auth/login", &login).await).await;
    assert_eq!(tally(&join_all(nodes().map(login)).await), [(200, 20)].into());
    assert_eq!(counts(&server).await, 0, "a guess is still under way");

    fail().await;
    let password = json!({ "password": PASSWORD });
    let confirm = async |node| {
        let program = program.clone().at(node);
        insist(async || program.post("/api/v1/auth/confirm", &password).await).await
    };
    assert_eq!(tally(&join_all(nodes().map(confirm)).await), [(204, 20)].into());

    fail().await;
    let on_page = async |node| insist(async || attempt(node, "anna", PASSWORD).await).await;
    assert_eq!(tally(&join_all(nodes().map(on_page)).await), [(303, 20)].into());
    assert_eq!(counts(&server).await, 0, "a guess is still under way");
    assert_eq!(events(&server, anna, Event::SignInFailed).await, 3 * failures);
    assert_eq!(events(&server, anna, Event::SignInLocked).await, 0);
}

#[rstest]
#[tokio::test]
async fn a_right_password_forgets_failures_but_no_guess_that_is_under_way(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let now = server.clock.now();
    let rule = Rule { threshold: 5, now, until: now + TimeDelta::minutes(15), lease: now + TimeDelta::minutes(1) };
    let steps = server.services.database.write(move |connection| {
        let key = Key { hash: [7; 32], user_id: None };
        let mut taken = Vec::new();
        let mut take = |connection: &mut _, times| -> Result<(), Error> {
            for _ in 0..times {
                taken.push(store::take(connection, &key, rule)?);
            }
            Ok(())
        };
        take(connection, 5)?;
        assert_eq!(store::fail(connection, &key, rule)?, Some(1));
        take(connection, 1)?; // full: one has failed, four are under way
        store::succeed(connection, &key, rule)?;
        take(connection, 3)?; // two, and full again: three were under way
        store::give_back(connection, &key)?;
        take(connection, 2)?; // one, and full again
        let failures: Vec<_> = (0..5).map(|_| store::fail(connection, &key, rule)).collect::<Result<_, _>>()?;
        assert_eq!(failures, (1..=5).map(Some).collect::<Vec<_>>());
        take(connection, 1)?; // locked
        Ok(taken)
    });
    let (guess, full) = (Taken::Guess, Taken::Full);
    let locked = Taken::Locked(rule.until);
    let expected = [guess, guess, guess, guess, guess, full, guess, guess, full, guess, full, locked];
    assert_eq!(steps.await.unwrap(), expected);
}

#[rstest]
#[tokio::test]
async fn guesses_of_a_node_that_crashed_lock_nobody_and_hold_up_nobody_else(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let anna = server.create_user("anna").await.id;
    server.create_user("berta").await;
    attempt(&server, "anna", WRONG).await.expect(401);
    let now = server.clock.now();
    let rule = Rule { threshold: 5, now, until: now + TimeDelta::minutes(15), lease: now + TimeDelta::minutes(1) };
    let crash = server.services.database.write(move |connection| {
        let hash: Vec<u8> = lockouts::table.select(lockouts::key).first(connection)?;
        store::forget_user(connection, anna)?;
        let key = Key { hash: hash.try_into().unwrap(), user_id: Some(anna) };
        (0..5).map(|_| store::take(connection, &key, rule)).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(crash.await.unwrap(), [Taken::Guess; 5]);

    // More than may wait: those for whom there is no room are told at once, and the others wait while berta signs in.
    let mut rounds = 0;
    loop {
        let mut flood: FuturesUnordered<_> = (0..80).map(|_| attempt(&server, "anna", PASSWORD)).collect();
        let mut answers = vec![flood.next().await.unwrap()];
        let mut berta = pin!(attempt(&server, "berta", PASSWORD));
        loop {
            tokio::select! {
                page = &mut berta => {
                    page.expect(303);
                    break;
                }
                Some(page) = flood.next() => answers.push(page),
            }
        }
        let waited = 80 - answers.len();
        answers.extend(flood.collect::<Vec<_>>().await);
        for page in answers {
            assert!(page.expect(503).header("retry-after").is_some());
        }
        // Nobody waits longer than a second, in which a busy machine may not even have come to berta.
        if waited > 0 {
            break;
        }
        rounds += 1;
        assert!(rounds < 20, "nobody waited when berta was there");
    }
    assert_eq!(lockout::locked_until(&server.services, anna).await.unwrap(), None);
    assert_eq!(lockout::count_locked(&server.services).await.unwrap(), 0);
    assert_eq!(events(&server, anna, Event::SignInLocked).await, 0);

    server.clock.advance(TimeDelta::seconds(61));
    attempt(&server, "anna", PASSWORD).await.expect(303);
    assert_eq!(counts(&server).await, 0);
}

#[rstest]
#[tokio::test]
async fn what_was_not_compared_does_not_count(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::with(backend, &[FIVE, ONE_HASHER, ("hash_queue", "1"), ("database_pool", "8")]).await;
    server.create_user("anna").await;
    let mut held = HeldHasher::new(&server.services).await;
    held.fill();
    // More than may fail.
    for name in ["anna", "nobody"] {
        for page in join_all((0..6).map(|_| attempt(&server, name, WRONG))).await {
            page.expect(503);
        }
    }
    assert_eq!(counts(&server).await, 0, "a guess that was not made left a count");
    drop(held);
    for _ in 0..4 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    attempt(&server, "anna", PASSWORD).await.expect(303);

    // Whoever goes away before the answer learned nothing, and guessed nothing.
    let held = HeldHasher::new(&server.services).await;
    for _ in 0..8 {
        let password = PASSWORD.into();
        let client = Client::default();
        tokio::select! {
            _ = sign_in::browser(&server.services, "anna", &password, false, None, &client) => panic!("its turn has not come"),
            () = held.is_waited_for_by(1) => {}
        }
        held.is_waited_for_by(0).await;
    }
    drop(held);
    assert_eq!(counts(&server).await, 0, "a guess that nobody waited for was counted");
    attempt(&server, "anna", PASSWORD).await.expect(303);
}
