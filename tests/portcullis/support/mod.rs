//! What the tests stand on.
//!
//! [`TestServer`] is the production server on fresh [`stores`]; [`Browser`] and [`Chromium`] are people with a
//! browser, [`ApiClient`] is a program, [`raw`] a client that keeps no rule, [`Program`] the binary, [`tools`] what others
//! wrote, [`gallery`] what was seen. [`held`] lets transactions meet.

pub mod api_client;
pub mod browser;
pub mod chromium;
pub mod crowd;
pub mod folder;
pub mod gallery;
pub mod held;
pub mod hostile;
pub mod jar;
pub mod page;
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
pub use held::HeldTable;
pub use page::Page;
pub use program::Program;
pub use redis_server::RedisServer;
pub use relay::Relay;
pub use spawn::TestServer;
pub use stores::Backend;
pub use stores::Backend::{PostgresRedis, Sqlite, SqliteRedis};

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

/// A password that the policy accepts, of everyone whom a test creates.
pub const PASSWORD: &str = "copper lantern drifts at noon";
/// Another one, to change to.
pub const NEW_PASSWORD: &str = "seven quiet herons by the weir";
/// The administrator whom every test server has.
pub const KEEPER: &str = "keeper";

/// A TCP port of 127.0.0.1 that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Whether the suites that take minutes of real time were asked for (`tests/run.sh --long`).
pub fn long() -> bool {
    std::env::var_os("TEST_LONG").is_some()
}

/// Asks again and again until the answer is yes; the test fails when it still is no after `limit`.
pub async fn eventually(what: &str, limit: Duration, mut ask: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !ask().await {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
