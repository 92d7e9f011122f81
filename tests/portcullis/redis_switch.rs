//! A fail-over as hosted Redis does it: the primary becomes a replica and keeps its connections open, and its name leads
//! to the new primary from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::domain::audit::Client;
use rstest::rstest;

use crate::support::crowd::Crowd;
use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;

/// All must be well so long after a writable server is behind the name.
const LIMIT: Duration = Duration::from_secs(2);

/// Two nodes that reach Redis by a name each, and two servers of which one copies the other.
struct Switch {
    primary: Arc<RedisServer>,
    replica: Arc<RedisServer>,
    names: [Relay; 2],
    one: TestServer,
    two: TestServer,
}

impl Switch {
    async fn new(backend: Backend) -> Self {
        let primary = RedisServer::start();
        let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &primary.port.to_string()]);
        let names = [Relay::to(primary.port), Relay::to(primary.port)];
        let mut stores = Stores::with_redis(backend, Some(primary.clone())).await;
        stores.redis_url = Some(names[0].redis_url());
        // Programs under load are not what is limited here.
        let one = TestServer::on(stores, &[("api_rate", "100000/1s")]).await;
        let two = one.second_node_with(&[("redis_url", &names[1].redis_url())]).await;
        Self { primary, replica, names, one, two }
    }

    fn nodes(&self) -> [&TestServer; 2] {
        [&self.one, &self.two]
    }

    /// From here on no server takes writes.
    fn demote(&self) {
        assert_eq!(self.primary.cli(&["replicaof", "127.0.0.1", &self.replica.port.to_string()]), "OK");
    }

    /// The other server is the primary, and has the name. Every connection stays open.
    fn promote(&mut self) {
        assert_eq!(self.replica.cli(&["replicaof", "no", "one"]), "OK");
        std::mem::swap(&mut self.primary, &mut self.replica);
        for name in &self.names {
            name.lead_to(self.primary.port);
        }
    }

    /// Waits until the replica has all that there is.
    async fn replicated(&self) {
        eventually("replicated", Duration::from_secs(20), async || {
            let info = self.replica.cli(&["info", "replication"]);
            info.contains("role:slave") && info.contains("master_link_status:up")
        })
        .await;
    }
}

/// Looks at a page for as long as `on` says so; says when the answer was 503. Any other but the page is a sign-out.
async fn keep_reading(mut browser: Browser, on: Arc<AtomicBool>) -> Vec<Instant> {
    let mut refused = Vec::new();
    while on.load(Ordering::Relaxed) {
        let page = browser.get("/account").await;
        match page.status {
            200 => {}
            503 => refused.push(Instant::now()),
            status => panic!("a browser: {status} {:?} {}", page.location(), page.excerpt()),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    refused
}

/// The same of a program, which rotates its token after each call; where the answer is lost, with the same token again.
async fn keep_calling(mut program: ApiClient, on: Arc<AtomicBool>) -> Vec<Instant> {
    let mut refused = Vec::new();
    while on.load(Ordering::Relaxed) {
        for page in [program.get("/api/v1/me").await, program.refresh().await] {
            match page.status {
                200 => {}
                503 => refused.push(Instant::now()),
                status => panic!("a program: {status} {}", page.body),
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    refused
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_becomes_a_replica_is_left_within_two_seconds(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let rounds = if long() { 20 } else { 3 };
    let mut scene = Switch::new(backend).await;
    let mut crowd = Crowd::gather(&scene.nodes(), rounds * 2 + 2).await;
    let on = Arc::new(AtomicBool::new(true));
    let mut load = Vec::new();
    for (number, node) in scene.nodes().into_iter().enumerate() {
        for reader in 0..3 {
            let browser = node.newcomer(&format!("reader{number}x{reader}")).await;
            load.push(tokio::spawn(keep_reading(browser, on.clone())));
        }
        node.create_user(&format!("caller{number}")).await;
        load.push(tokio::spawn(keep_calling(node.program(&format!("caller{number}")).await, on.clone())));
    }

    let mut outages = Vec::new();
    for round in 0..rounds {
        crowd.end(&scene.nodes(), 2).await;
        let name = format!("late{round}");
        let mut late = scene.one.newcomer(&name).await;
        let session = scene.one.services.sessions_of(scene.one.id_of(&name).await, 9).await.unwrap().0[0].id;
        assert!(late.is_signed_in().await);
        scene.replicated().await;
        scene.demote();
        let began = Instant::now();
        // The database knows it, Redis can't be told: it has ended all the same.
        let told = scene.one.services.end_session(&command_line(), session, &Client::default()).await;
        assert!(told.is_err(), "round {round}: a replica was told");
        for node in scene.nodes() {
            let ready = node.browser().get("/readyz").await.expect(503).json();
            assert_eq!(ready["redis"]["code"], "READONLY", "round {round}: {ready}");
        }
        scene.promote();
        outages.push((began, Instant::now()));
        for node in scene.nodes() {
            node.is_ready().await;
        }
        tokio::time::sleep(LIMIT.saturating_sub(outages[round].1.elapsed())).await;
        assert!(!late.is_signed_in().await && !late.at(&scene.two).is_signed_in().await, "round {round}: back");
        crowd.judge(&scene.nodes(), &format!("round {round}")).await;
    }
    on.store(false, Ordering::Relaxed);
    for refused in load {
        for at in refused.await.unwrap() {
            let round = outages.iter().rposition(|(began, _)| at >= *began);
            let round = round.unwrap_or_else(|| panic!("503 before any fail-over"));
            let late = at.saturating_duration_since(outages[round].1);
            assert!(late < LIMIT, "round {round}: 503 {late:?} after the new primary had the name");
        }
    }
}
