//! Counts of one account, locked by several transactions.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use diesel::{QueryDsl as _, RunQueryDsl as _};
use portcullis::domain::audit::Client;
use portcullis::domain::{Event, UserId};
use portcullis::services::authentication::lockout;
use portcullis::storage::authentication::lockouts::{self as store, Key, Rule, Taken};
use portcullis::storage::schema::lockouts;

use super::{WRONG, attempt, counts, events, server_on};
use crate::support::spawn::command_line;
use crate::support::*;

fn key(first: u8, user: UserId) -> Key {
    Key { hash: [first; 32], user_id: Some(user) }
}

fn rule(server: &TestServer) -> Rule {
    let now = server.clock.now();
    Rule { threshold: 5, now, until: now + TimeDelta::minutes(15), lease: now + TimeDelta::minutes(1) }
}

async fn take(server: &TestServer, key: Key) {
    let rule = rule(server);
    let taken = server.services.database.write(move |connection| store::take(connection, &key, rule)).await;
    assert_eq!(taken.unwrap(), Taken::Guess);
}

/// A guess that has one of these counts goes on to the other when `beside`, begun meanwhile, waits for it.
async fn take_both<T>(server: &TestServer, keys: [Key; 2], beside: impl Future<Output = T>) -> T {
    let rule = rule(server);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let database = server.services.database.clone();
    let both = database.write(move |connection| {
        store::take(connection, &keys[0], rule)?;
        begun.take().unwrap().send(()).unwrap();
        let waiting = "(SELECT count(*) FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)))";
        let waiting = || diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>(waiting));
        let start = std::time::Instant::now();
        while waiting().get_result::<i64>(connection)? == 0 {
            assert!(start.elapsed() < Duration::from_secs(20), "nobody waits for the first of them");
            std::thread::sleep(Duration::from_millis(5));
        }
        store::take(connection, &keys[1], rule)
    });
    let beside = async {
        begins.await.unwrap();
        beside.await
    };
    let (both, beside) = tokio::join!(both, beside);
    assert_eq!(both.expect("neither waits for the other"), Taken::Guess);
    beside
}

#[tokio::test]
async fn an_unlock_and_a_guess_do_not_wait_for_each_other() {
    let server = server_on(PostgresRedis).await;
    let anna = server.create_user("anna").await.id;
    // Found in this order.
    take(&server, key(9, anna)).await;
    take(&server, key(1, anna)).await;
    let (auth, client) = (command_line(), Client::default());
    let unlock = lockout::unlock(&server.services, &auth, anna, &client);
    take_both(&server, [key(1, anna), key(9, anna)], unlock).await.unwrap();
    assert_eq!(counts(&server).await, 0);
}

#[tokio::test]
async fn a_guess_in_a_known_browser_locks_its_counts_in_the_order_of_everyone() {
    let server = server_on(PostgresRedis).await;
    let anna = server.create_user("anna").await.id;
    let (auth, client) = (command_line(), Client::default());
    let keys = async || {
        let keys =
            server.services.database.read(|connection| Ok(lockouts::table.select(lockouts::key).load(connection)?));
        let keys: Vec<Vec<u8>> = keys.await.unwrap();
        keys.into_iter().map(|key| <[u8; 32]>::try_from(key).unwrap()).collect::<BTreeSet<_>>()
    };
    let wrong = [("password", WRONG)];
    attempt(&server, "anna", WRONG).await.expect(401);
    let account = keys().await;
    // Until there is a browser whose count comes after the account's.
    let (mut known, both) = loop {
        let mut known = server.signed_in("anna").await;
        known.submit("/confirm", &wrong).await.expect(401);
        let both = keys().await;
        assert!(both.len() == 2 && both.is_superset(&account), "{both:?}");
        if both.first() == account.first() {
            break (known, both);
        }
        lockout::unlock(&server.services, &auth, anna, &client).await.unwrap();
    };
    let both: Vec<_> = both.into_iter().map(|hash| Key { hash, user_id: Some(anna) }).collect();
    let token = known.get("/account").await.csrf_token().unwrap();
    let noted = events(&server, anna, Event::SignInFailed).await;
    let fields = [("csrf_token", token.as_str()), wrong[0]];
    take_both(&server, both.try_into().unwrap(), known.post("/confirm", &fields)).await.expect(401);
    assert_eq!(events(&server, anna, Event::SignInFailed).await, noted + 1);
}

#[tokio::test]
async fn the_sweep_does_not_wait_for_a_count_that_somebody_begins_anew() {
    let server = server_on(PostgresRedis).await;
    let anna = server.create_user("anna").await.id;
    take(&server, key(1, anna)).await;
    take(&server, key(9, anna)).await;
    server.clock.advance(TimeDelta::minutes(2));
    let rule = rule(&server);
    let (begun, begins) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let (end, ends) = std::sync::mpsc::channel::<()>();
    let anew = server.services.database.write(move |connection| {
        let taken = store::take(connection, &key(1, anna), rule)?;
        begun.take().unwrap().send(()).unwrap();
        ends.recv().unwrap();
        Ok(taken)
    });
    let prune = async {
        begins.await.unwrap();
        let pruned = server.services.database.write(move |connection| store::prune(connection, rule.now)).await;
        end.send(()).unwrap();
        pruned
    };
    let (anew, pruned) = tokio::join!(anew, prune);
    assert_eq!((anew.unwrap(), pruned.unwrap()), (Taken::Guess, 1));
    assert_eq!(counts(&server).await, 1);
}
