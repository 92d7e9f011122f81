//! Too many wrong passwords: the same lock for every name, on every node, and the owner's known browser gets in.
//!
//! - [`answers`]: what somebody who guesses is told. [`count`]: for which name, and for how long.
//! - [`routes`]: every way to guess. [`parallel`]: several guesses at the same time.
//! - [`traces`]: what guesses leave in the stores. [`rows`]: rows that several transactions lock.
//! - [`owner`]: who gets in all the same. [`unlocking`]: who ends a lock.

mod answers;
mod count;
mod owner;
mod parallel;
mod routes;
mod rows;
mod traces;
mod unlocking;

use diesel::{QueryDsl as _, RunQueryDsl as _};
use portcullis::domain::{Event, UserId};
use portcullis::services::audit;
use portcullis::storage::schema::lockouts;

use crate::support::*;

/// The default, which the other tests don't want.
const FIVE: (&str, &str) = ("lockout_threshold", "5");
const WRONG: &str = "a wrong password";

async fn server_on(backend: Backend) -> TestServer {
    TestServer::with(backend, &[FIVE]).await
}

/// Signs in, or not, in a browser that nobody has used before.
async fn attempt(server: &TestServer, name: &str, password: &str) -> Page {
    server.browser().post("/login", &[("username", name), ("password", password)]).await
}

/// A stranger locks the name.
async fn lock(server: &TestServer, name: &str) {
    for _ in 0..5 {
        attempt(server, name, WRONG).await.expect(401);
    }
    attempt(server, name, PASSWORD).await.expect(429);
}

/// How many counts there are.
async fn counts(server: &TestServer) -> i64 {
    let rows = server.services.database.read(|connection| Ok(lockouts::table.count().get_result(connection)?));
    rows.await.unwrap()
}

/// How often the account's audit log has this event.
async fn events(server: &TestServer, user: UserId, event: Event) -> usize {
    let activity = audit::of_account(&server.services.database, user, None, 200).await.unwrap();
    activity.iter().filter(|entry| entry.event == event).count()
}
