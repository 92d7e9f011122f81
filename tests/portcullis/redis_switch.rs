//! A fail-over as hosted Redis does it: the primary becomes a replica and keeps its connections open, and its name leads
//! to the new primary from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::domain::audit::Client;
use portcullis::services::sessions::{account, everyone};
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

/// Comes to the site for as long as `on` says so; says when the answer was 503. Whoever is not sent on to the account is
/// signed out. That way needs no more than the session, and little of a busy database.
async fn keep_reading(mut browser: Browser, on: Arc<AtomicBool>) -> Vec<Instant> {
    let mut refused = Vec::new();
    while on.load(Ordering::Relaxed) {
        let page = browser.get("/").await;
        match (page.status, page.location()) {
            (303, Some("/account")) => {}
            (503, _) => refused.push(Instant::now()),
            (status, location) => panic!("a browser: {status} {location:?} {}", page.excerpt()),
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
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
        tokio::time::sleep(Duration::from_millis(50)).await;
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
        for reader in 0..2 {
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
        let session = account::live(&scene.one.services, scene.one.id_of(&name).await, 9).await.unwrap().0[0].id;
        assert!(late.is_signed_in().await);
        scene.replicated().await;
        scene.demote();
        let began = Instant::now();
        // The database knows it, Redis can't be told: it has ended all the same.
        let told = everyone::end_one(&scene.one.services, &command_line(), session, &Client::default()).await;
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
        within_the_limit(&refused.await.unwrap(), &outages);
    }
}

/// As a machine that vanishes: nothing is said on the old connections, not even that they are closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_falls_silent_is_left_within_two_seconds() {
    let mut scene = Switch::new(SqliteRedis).await;
    let mut crowd = Crowd::gather(&scene.nodes(), 8).await;
    crowd.end(&scene.nodes(), 4).await;
    scene.replicated().await;
    let on = Arc::new(AtomicBool::new(true));
    let mut load = Vec::new();
    for (number, node) in scene.nodes().into_iter().enumerate() {
        let browser = node.newcomer(&format!("reader{number}")).await;
        load.push(tokio::spawn(keep_reading(browser, on.clone())));
    }
    let began = Instant::now();
    scene.primary.stop();
    for node in scene.nodes() {
        let ready = node.browser().get("/readyz").await.expect(503).json();
        assert_eq!(ready["redis"]["code"], "no answer", "{ready}");
    }
    scene.promote();
    let outages = [(began, Instant::now())];
    for node in scene.nodes() {
        node.is_ready().await;
    }
    tokio::time::sleep(LIMIT.saturating_sub(outages[0].1.elapsed())).await;
    crowd.judge(&scene.nodes(), "on the new primary").await;
    on.store(false, Ordering::Relaxed);
    for refused in load {
        within_the_limit(&refused.await.unwrap(), &outages);
    }
}

/// As with a name server that leads to another while the old server, cut off from the others, still takes writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_another_server_is_followed_though_the_old_one_answers() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let _other_address = Relay::at(([127, 0, 0, 2], old.port).into(), new.port);
    let program = Program::with_administrator()
        .set("redis_url", &format!("redis://redis.test:{}", old.port))
        // Answers for this process what the file says.
        .export("LD_PRELOAD", "libnss_wrapper.so")
        .export("NSS_WRAPPER_HOSTS", "hosts");
    program.file("hosts", "127.0.0.1 redis.test\n");
    let running = program.serve().await;
    let mut keeper = program.browser();
    keeper.sign_in(KEEPER).await;
    assert!(keeper.is_signed_in().await);
    assert_eq!((old.keys("portcullis").len(), new.keys("portcullis").len()), (2, 0));

    program.file("hosts", "127.0.0.2 redis.test\n");
    // By the second in which it was written, it is seen to be another; this is not the one that it has.
    let hosts = std::fs::File::options().write(true).open(program.folder.join("hosts")).unwrap();
    hosts.set_modified(std::time::UNIX_EPOCH).unwrap();
    running.line("the name of Redis leads elsewhere").await;
    eventually("the new one is asked", LIMIT, async || {
        assert!(keeper.is_signed_in().await);
        new.keys("portcullis").len() == 2
    })
    .await;
    assert!(!old.cli(&["client", "list"]).contains("cmd=evalsha"), "the old one is still asked");
    keeper.sign_out().await;
    assert!(!running.stderr().contains("Redis refuses"), "{}", running.stderr());
}

/// On a cluster each of the three primaries hands over to its replica; then one of the new ones has no room.
#[tokio::test(flavor = "multi_thread")]
async fn the_primaries_of_a_cluster_hand_over_to_their_replicas() {
    let servers = redis_cluster::cluster(1).await;
    let mut stores = Stores::with_redis(SqliteRedis, Some(servers[0].clone())).await;
    stores.redis_url = Some(redis_cluster::url(&servers));
    let server = TestServer::on(stores, &[("api_rate", "100000/1s")]).await;
    let mut crowd = Crowd::gather(&[&server], 14).await;
    let on = Arc::new(AtomicBool::new(true));
    let mut load = Vec::new();
    for reader in 0..4 {
        load.push(tokio::spawn(keep_reading(server.newcomer(&format!("reader{reader}")).await, on.clone())));
    }
    server.create_user("caller").await;
    load.push(tokio::spawn(keep_calling(server.program("caller").await, on.clone())));

    let mut outages = Vec::new();
    for (round, replica) in servers[3..].iter().enumerate() {
        crowd.end(&[&server], 2).await;
        let began = Instant::now();
        // At once: on a busy machine the primaries may take longer to agree than they wait for each other.
        assert_eq!(replica.cli(&["cluster", "failover", "takeover"]), "OK");
        eventually("handed over", Duration::from_secs(10), async || {
            replica.cli(&["info", "replication"]).contains("role:master")
        })
        .await;
        outages.push((began, Instant::now()));
        server.is_ready().await;
        tokio::time::sleep(LIMIT.saturating_sub(outages[round].1.elapsed())).await;
        crowd.judge(&[&server], &format!("round {round}")).await;
    }
    on.store(false, Ordering::Relaxed);
    for refused in load {
        within_the_limit(&refused.await.unwrap(), &outages);
    }

    servers[4].cli(&["config", "set", "maxmemory", "1"]);
    let ready = server.browser().get("/readyz").await.expect(503).json();
    assert_eq!((&ready["redis"]["failed"], &ready["redis"]["code"]), (&"write".into(), &"OOM".into()), "{ready}");
    servers[4].cli(&["config", "set", "maxmemory", "0"]);
    server.is_ready().await;
}

/// As a machine that is gone: who has an account on another primary notices nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_primary_of_a_cluster_that_dies_takes_only_its_own_accounts_with_it() {
    let servers = redis_cluster::cluster(1).await;
    for server in &servers {
        server.cli(&["config", "set", "cluster-require-full-coverage", "no"]);
    }
    let mut stores = Stores::with_redis(PostgresRedis, Some(servers[0].clone())).await;
    stores.redis_url = Some(redis_cluster::url(&servers));
    let one = TestServer::on(stores, &[("api_rate", "100000/1s")]).await;
    let two = one.second_node_with(&[]).await;
    let nodes = [&one, &two];
    let mut crowd = Crowd::gather(&nodes, 12).await;
    crowd.end(&nodes, 5).await;

    // On which primary an account is, its id says.
    let [mut there, mut elsewhere] = [const { Vec::new() }; 2];
    while there.len() < 4 || elsewhere.len() < 4 {
        let name = format!("reader{}", there.len() + elsewhere.len());
        let browser = nodes[there.len() % 2].newcomer(&name).await;
        let id = one.id_of(&name).await.to_string();
        let keys = servers[0].keys(&one.stores.redis_prefix);
        let of_them = if keys.iter().any(|key| key.contains(&id)) { &mut there } else { &mut elsewhere };
        of_them.push((name, browser));
    }
    let (late, mut late_browser) = there.remove(0);
    let late = account::live(&one.services, one.id_of(&late).await, 9).await.unwrap().0[0].id;
    let its_port = format!("master_port:{}", servers[0].port);
    let replicates_it = |replica: &&Arc<RedisServer>| {
        replica.cli(&["info", "replication"]).lines().any(|line| line.trim_end() == its_port)
    };
    let replica = servers[3..].iter().find(replicates_it).expect("a replica of the first");
    assert_eq!(servers[0].cli(&["wait", "1", "5000"]), "1", "the replica has not all");

    let on = Arc::new(AtomicBool::new(true));
    let read = |(_, browser): (String, Browser)| tokio::spawn(keep_reading(browser, on.clone()));
    let there: Vec<_> = there.into_iter().map(read).collect();
    let elsewhere: Vec<_> = elsewhere.into_iter().map(read).collect();
    let began = Instant::now();
    servers[0].kill9();
    // The database knows it, that primary can't be told: it has ended all the same.
    let told = everyone::end_one(&one.services, &command_line(), late, &Client::default()).await;
    assert!(told.is_err(), "a dead primary was told");
    let ready = two.browser().get("/readyz").await.expect(503).json();
    assert_eq!(ready["redis"]["status"], "unavailable", "{ready}");
    eventually("the replica has taken over", Duration::from_secs(30), async || {
        replica.cli(&["info", "replication"]).contains("role:master")
    })
    .await;
    let outages = [(began, Instant::now())];
    for node in nodes {
        node.is_ready().await;
    }
    tokio::time::sleep(LIMIT.saturating_sub(outages[0].1.elapsed())).await;
    assert!(!late_browser.is_signed_in().await && !late_browser.at(&two).is_signed_in().await, "back");
    crowd.judge(&nodes, "without that primary").await;
    on.store(false, Ordering::Relaxed);
    for refused in there {
        let refused = refused.await.unwrap();
        assert!(!refused.is_empty(), "answered without its primary");
        within_the_limit(&refused, &outages);
    }
    for refused in elsewhere {
        let refused = refused.await.unwrap();
        assert!(refused.is_empty(), "{} refused, though their primary is there", refused.len());
    }
}

/// Every 503 was in one of these outages, or less than [`LIMIT`] after its end.
fn within_the_limit(refused: &[Instant], outages: &[(Instant, Instant)]) {
    for at in refused {
        let round = outages.iter().rposition(|(began, _)| at >= began);
        let round = round.unwrap_or_else(|| panic!("503 before any fail-over"));
        let late = at.saturating_duration_since(outages[round].1);
        assert!(late < LIMIT, "round {round}: 503 {late:?} after the new primary had the name");
    }
}
