//! What the tests stand on.
//!
//! [`TestServer`] is the production server on fresh [`stores`]; [`Browser`] and [`Chromium`] are people with a
//! browser, [`ApiClient`] is a program, [`raw`] a client that keeps no rule, [`Program`] the binary, [`nginx`] a
//! proxy, [`tools`] what others
//! wrote, [`gallery`] what was seen. [`held`] lets transactions meet, [`mixed`] everyone.

pub mod api_client;
pub mod browser;
pub mod certificates;
pub mod chromium;
pub mod crowd;
pub mod deadline;
pub mod folder;
pub mod gallery;
pub mod held;
pub mod hostile;
pub mod jar;
pub mod mixed;
pub mod nginx;
pub mod page;
pub mod port;
pub mod postgres_pair;
pub mod postgres_server;
pub mod program;
pub mod raw;
pub mod redis_cluster;
pub mod redis_server;
pub mod relay;
pub mod spawn;
pub mod stores;
pub mod tools;

pub use api_client::ApiClient;
pub use browser::Browser;
pub use chromium::Chromium;
pub use deadline::Deadline;
pub use held::{HeldHasher, HeldTable, ONE_HASHER};
pub use page::Page;
pub use port::Port;
pub use program::Program;
pub use redis_server::RedisServer;
pub use relay::{Lost, Relay};
pub use spawn::TestServer;
pub use stores::Backend;
pub use stores::Backend::{PostgresRedis, Sqlite, SqliteRedis};

use std::time::Duration;

/// A password that the policy accepts, of everyone whom a test creates.
pub const PASSWORD: &str = "copper lantern drifts at noon";
/// Another one, to change to.
pub const NEW_PASSWORD: &str = "seven quiet herons by the weir";
/// How long the server keeps a connection on which nothing comes: the default of actix-web.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The administrator whom every test server has.
pub const KEEPER: &str = "keeper";

/// Fails unless one of those who asked at the same time got `yes`, and all others `no`. A busy machine may answer 503 to
/// some, and even to the one whose wish was done.
#[track_caller]
pub fn expect_one(statuses: &[u16], yes: u16, no: u16) {
    let count = |status| statuses.iter().filter(|&&seen| seen == status).count();
    assert_eq!(count(yes) + count(no) + count(503), statuses.len(), "{statuses:?}");
    assert!(count(yes) == 1 || count(yes) == 0 && count(503) > 0, "{statuses:?}");
    assert!(count(no) > 0, "nobody was refused: {statuses:?}");
}

/// Whether the suites that take minutes of real time were asked for (`tests/run.sh --long`).
pub fn long() -> bool {
    std::env::var_os("TEST_LONG").is_some()
}

/// Asks again and again until the answer is yes; the test fails when it still is no after `limit`. Where that is nothing
/// that the contract promises, it is longer than any machine takes.
pub async fn eventually(what: &str, limit: Duration, ask: impl AsyncFnMut() -> bool) {
    Deadline::within(limit).expect_soon(what, ask).await;
}
