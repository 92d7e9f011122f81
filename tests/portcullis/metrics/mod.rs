//! `/metrics`: what a node tells of itself on a listener of its own, and the rules and the dashboard that are made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chrono::TimeDelta;
use diesel::{QueryDsl as _, RunQueryDsl as _};
use portcullis::domain::Role;
use portcullis::domain::audit::Client;
use portcullis::routes;
use portcullis::services::sessions::everyone;
use portcullis::storage::schema::changes;
use reqwest::Method;
use rstest::rstest;

use crate::stores_down::server_behind_relay_with;
use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;

mod dist;
mod listener;
mod outcomes;
mod stores;

/// A server, and where it tells its figures.
struct Watched {
    server: TestServer,
    metrics: Port,
}

impl Watched {
    async fn start(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    async fn with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let metrics = Port::reserve();
        let listen = listen_on(&metrics);
        let settings = [settings, &[("metrics_listen", listen.as_str())]].concat();
        Self { server: TestServer::with(backend, &settings).await, metrics }
    }

    /// A second node.
    async fn beside(first: &TestServer) -> Self {
        let metrics = Port::reserve();
        let server = first.second_node_with(&[("metrics_listen", &listen_on(&metrics))]).await;
        Self { server, metrics }
    }

    async fn scrape(&self) -> Scrape {
        scrape(&self.metrics).await
    }
}

impl std::ops::Deref for Watched {
    type Target = TestServer;
    fn deref(&self) -> &TestServer {
        &self.server
    }
}

fn listen_on(metrics: &Port) -> String {
    address_of(metrics).to_string()
}

fn address_of(metrics: &Port) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, metrics.number()).into()
}

/// What was told at one time: each series with its value.
struct Scrape {
    text: String,
    series: BTreeMap<String, f64>,
}

async fn scrape(metrics: &Port) -> Scrape {
    let answer = raw::get(address_of(metrics), b"/metrics", &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let series: Vec<_> = answer.body.lines().filter(|line| !line.starts_with('#')).map(series_of).collect();
    let by_name: BTreeMap<_, _> = series.iter().cloned().collect();
    assert_eq!(by_name.len(), series.len(), "a series is told twice");
    Scrape { text: answer.body, series: by_name }
}

fn series_of(line: &str) -> (String, f64) {
    let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
}

impl Scrape {
    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        let series = format!("portcullis_{series}");
        *self.series.get(&series).unwrap_or_else(|| panic!("{series} is not told"))
    }

    #[track_caller]
    fn requests(&self, method: &str, route: &str, status: &str) -> f64 {
        self.value(&format!("http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"))
    }

    #[track_caller]
    fn sign_ins(&self, kind: &str, outcome: &str) -> f64 {
        self.value(&format!("sign_ins_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}"))
    }

    #[track_caller]
    fn refreshes(&self, outcome: &str) -> f64 {
        self.value(&format!("refreshes_total{{outcome=\"{outcome}\"}}"))
    }

    #[track_caller]
    fn hits(&self, cache: &str) -> f64 {
        self.value(&format!("cache_lookups_total{{cache=\"{cache}\",result=\"hit\"}}"))
    }

    #[track_caller]
    fn sessions(&self, kind: &str) -> f64 {
        self.value(&format!("sessions{{kind=\"{kind}\"}}"))
    }

    fn names(&self) -> BTreeSet<&str> {
        self.series.keys().map(|series| series.split('{').next().unwrap_or_default()).collect()
    }
}

#[rstest]
#[tokio::test]
async fn every_series_is_there_as_0_from_the_first_scrape_and_no_other_comes_later(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = Watched::start(backend).await;
    let before = server.scrape().await;
    for route in routes::ALL {
        for status in ["200", "303", "401", "404", "429", "500", "503", "other"] {
            let expected = f64::from(route.path == "/livez" && status == "200");
            assert_eq!(before.requests(route.method, route.path, status), expected, "{route:?}");
        }
    }
    for (series, value) in &before.series {
        let is_counted = ["sign_ins", "refreshes", "store_errors"].iter().any(|name| series.contains(name));
        assert!(!is_counted || *value == 0.0, "{series} {value}");
    }

    let mut anna = server.newcomer("anna").await;
    anna.get("/account").await.expect(200);
    anna.get("/nowhere").await.expect(404);
    anna.send(Method::PUT, "/login", &[], None).await;
    server.browser().try_sign_in("anna", "wrong").await.expect(401);
    let mut program = server.program("anna").await;
    program.refresh().await.expect(200);
    anna.sign_out().await;
    let after = server.scrape().await;
    let of = |scrape: &Scrape| scrape.series.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(of(&before), of(&after));
    for (series, value) in &before.series {
        let may_fall = ["sessions{", "hash_", "feed_age", "clock_ahead"].iter().any(|name| series.contains(name));
        assert!(may_fall || after.series[series] >= *value, "{series} fell");
    }
}

#[tokio::test]
async fn requests_are_told_by_route_and_status_and_by_nothing_that_anyone_can_make_up() {
    let server = Watched::start(Sqlite).await;
    let [anna, berta] = [server.create_user("anna").await, server.create_user("berta").await];
    let program = server.program(KEEPER).await;
    let before = server.scrape().await;
    for user in [&anna, &berta] {
        program.get(&format!("/api/v1/users/{}", user.id)).await.expect(200);
    }
    program.send("HEAD", &format!("/api/v1/users/{}", anna.id), &[], None).await.expect(200);
    program.get("/api/v1/users/not-an-id").await.expect(404);
    program.send("GET", "/api/v1/me", &[("authorization", "Bearer forged")], None).await.expect(401);
    program.get("/made-up-by-somebody").await.expect(404);
    program.get("/api/v1/made-up-by-somebody?token=made-up").await.expect(404);
    program.send("PATCH", "/login", &[], None).await;
    program.send("MADEUP", "/login", &[], None).await;
    let mut browser = server.browser();
    browser.get("/%6cogin").await.expect(200);
    browser.get("/reset/made-up-token").await.expect(410);
    browser.get("/account").await.expect_sign_in();

    let after = server.scrape().await;
    for (method, route, status, count) in [
        ("GET", "/api/v1/users/{id}", "200", 3.0),
        ("GET", "/api/v1/users/{id}", "404", 1.0),
        ("GET", "/api/v1/me", "401", 1.0),
        ("GET", "/login", "200", 1.0),
        ("GET", "/reset/{token}", "410", 1.0),
        ("GET", "/account", "303", 1.0),
        ("unknown", "unknown", "404", 2.0),
    ] {
        let counted = after.requests(method, route, status) - before.requests(method, route, status);
        assert_eq!(counted, count, "{method} {route} {status}");
    }
    let took = "http_request_duration_seconds";
    let labels = "method=\"GET\",route=\"/api/v1/users/{id}\"";
    assert_eq!(after.value(&format!("{took}_count{{{labels}}}")), 4.0);
    assert_eq!(after.value(&format!("{took}_bucket{{{labels},le=\"+Inf\"}}")), 4.0);
    assert!(after.value(&format!("{took}_sum{{{labels}}}")) > 0.0);
    for told in ["made-up", "MADEUP", "anna", "berta", KEEPER, "127.0.0.1", "forged", &anna.id.to_string()] {
        assert!(!after.text.contains(told), "{told} is told");
    }
}

#[rstest]
#[tokio::test]
async fn sign_ins_and_refreshes_are_told_by_what_became_of_them(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = Watched::with(backend, &[("lockout_threshold", "2")]).await;
    server.create("anna", Role::User).await;
    let before = server.scrape().await;
    server.signed_in("anna").await;
    for _ in 0..2 {
        server.browser().try_sign_in("nobody", "wrong").await.expect(401);
    }
    server.browser().try_sign_in("nobody", "wrong").await.expect(429);
    let mut program = server.program("anna").await;
    let first = program.clone();
    program.refresh().await.expect(200);
    first.clone().refresh().await.expect(200);
    first.post("/api/v1/auth/refresh", &serde_json::json!({ "refresh_token": "pcr_forged" })).await.expect(401);
    server.clock.advance(TimeDelta::seconds(11));
    first.clone().refresh().await.expect(401);
    program.refresh().await.expect(401);

    let after = server.scrape().await;
    let sign_ins = |kind, outcome| after.sign_ins(kind, outcome) - before.sign_ins(kind, outcome);
    assert_eq!(
        [("browser", "success"), ("browser", "wrong_credentials"), ("browser", "locked"), ("api", "success")]
            .map(|(kind, outcome)| sign_ins(kind, outcome)),
        [1.0, 2.0, 1.0, 1.0]
    );
    let refreshes = ["success", "refused", "reused", "unavailable", "error"].map(|outcome| after.refreshes(outcome));
    assert_eq!(refreshes, [2.0, 2.0, 1.0, 0.0, 0.0]);
}

#[rstest]
#[tokio::test]
async fn sessions_are_told_by_kind_as_long_as_they_live(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = Watched::start(backend).await;
    let count = async || {
        let now = server.scrape().await;
        (now.sessions("browser"), now.sessions("api"))
    };
    // The keeper of every test server.
    assert_eq!(count().await, (1.0, 0.0));
    let mut anna = server.newcomer("anna").await;
    server.program("anna").await;
    assert_eq!(count().await, (2.0, 1.0));
    anna.sign_out().await;
    assert_eq!(count().await, (1.0, 1.0));
}

#[rstest]
#[tokio::test]
async fn a_request_that_memory_answers_is_a_hit_of_it(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = Watched::start(backend).await;
    let mut anna = server.newcomer("anna").await;
    let program = server.program("anna").await;
    let hits = async |cache| server.scrape().await.hits(cache);
    for cache in ["sessions", "accounts"] {
        let before = hits(cache).await;
        // What the first leaves behind, one after it finds, though maybe not before this node hears of changes.
        eventually(cache, Duration::from_secs(10), async || {
            anna.get("/account").await.expect(200);
            hits(cache).await > before
        })
        .await;
    }
    let before = hits("access_tokens").await;
    for _ in 0..2 {
        program.get("/api/v1/me").await.expect(200);
    }
    assert!(hits("access_tokens").await > before);
}

/// The other node remembers nothing of them.
#[rstest]
#[tokio::test]
async fn a_session_that_another_node_has_used_is_a_hit_of_its_copy_in_redis(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let first = TestServer::start(backend).await;
    let second = Watched::beside(&first).await;
    let hits = async || second.scrape().await.hits("redis_copies");
    let before = hits().await;
    // A copy is not believed before that node has read the feed.
    for number in 0.. {
        let mut person = first.newcomer(&format!("anna{number}")).await;
        person.get("/account").await.expect(200);
        person.at(&second).get("/account").await.expect(200);
        if hits().await > before {
            break;
        }
        assert!(number < 100, "no copy is ever believed");
    }
}

#[rstest]
#[tokio::test]
async fn the_feed_is_told_by_its_age_and_a_revocation_by_how_late_it_is(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = Watched::start(backend).await;
    let lag = async || server.scrape().await.value("revocation_lag_seconds_count");
    let is_told = async |before: f64| {
        eventually("it is carried out", Duration::from_secs(10), async || lag().await > before).await;
    };
    for name in ["anna", "berta", "carla"] {
        let mut person = server.newcomer(name).await;
        let before = lag().await;
        person.sign_out().await;
        is_told(before).await;
        person.sign_in(name).await;
        let before = lag().await;
        everyone::end_all(&server.services, &command_line(), None, &Client::default()).await.unwrap();
        is_told(before).await;
    }
    // Each reading of the feed finds the rows of the last moments again, and tells none of them again.
    let rows = |connection: &mut _| Ok(changes::table.count().get_result::<i64>(connection)?);
    let rows = server.services.database.read(rows).await.unwrap();
    assert!(lag().await <= rows as f64);
    eventually("the feed is fresh", Duration::from_secs(30), async || {
        server.scrape().await.value("feed_age_seconds") < 1.0
    })
    .await;
}

#[tokio::test]
async fn password_checks_that_wait_are_told_while_they_do() {
    let server = Watched::with(Sqlite, &[ONE_HASHER, ("hash_queue", "3")]).await;
    let load = async || {
        let now = server.scrape().await;
        ["hash_queue_waiting", "hash_queue_capacity", "hash_threads_running"]
            .map(|name| now.value(&format!("{name}{{pool=\"usual\"}}")))
    };
    assert_eq!(load().await, [0.0, 3.0, 0.0]);
    let mut held = HeldHasher::new(&server.services).await;
    assert_eq!(load().await, [0.0, 3.0, 1.0]);
    held.fill();
    assert_eq!(load().await, [3.0, 3.0, 1.0]);
    server.browser().try_sign_in(KEEPER, PASSWORD).await.expect(503);
    assert_eq!(server.scrape().await.sign_ins("browser", "busy"), 1.0);
}

#[rstest]
#[tokio::test]
async fn a_database_that_is_away_takes_only_its_own_figures_with_it(#[values(false, true)] frozen: bool) {
    let metrics = Port::reserve();
    let (server, relay, port) = server_behind_relay_with(&[("metrics_listen", &listen_on(&metrics))]).await;
    server.newcomer("anna").await;
    let before = scrape(&metrics).await;
    assert!(before.names().contains("portcullis_sessions"));
    if frozen {
        relay.freeze()
    } else {
        relay.cut_off()
    }
    for _ in 0..2 {
        let deadline = Deadline::second();
        let now = scrape(&metrics).await;
        deadline.expect_met("the other figures");
        let missing: Vec<_> = before.names().difference(&now.names()).copied().collect();
        assert_eq!(missing, ["portcullis_sessions"]);
    }
    server.browser().post("/login", &[("username", "anna"), ("password", PASSWORD)]).await.expect(503);
    let now = scrape(&metrics).await;
    assert_eq!(now.sign_ins("browser", "unavailable"), 1.0);
    assert!(now.value("store_errors_total{store=\"database\"}") >= 3.0);
    eventually("the feed is old", Duration::from_secs(10), async || {
        scrape(&metrics).await.value("feed_age_seconds") > 1.0
    })
    .await;
    relay.switch_to(port);
    eventually("sessions again", Duration::from_secs(30), async || {
        scrape(&metrics).await.names().contains("portcullis_sessions")
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_is_away_is_told_as_such() {
    let metrics = Port::reserve();
    let stores = Stores::with_redis(SqliteRedis, Some(RedisServer::start())).await;
    let server = TestServer::on(stores, &[("metrics_listen", &listen_on(&metrics))]).await;
    let mut anna = server.newcomer("anna").await;
    server.stores.redis().kill9();
    anna.get("/account").await;
    eventually("its errors", Duration::from_secs(10), async || {
        anna.get("/account").await;
        scrape(&metrics).await.value("store_errors_total{store=\"redis\"}") > 0.0
    })
    .await;
    let now = scrape(&metrics).await;
    assert_eq!(now.value("store_errors_total{store=\"database\"}"), 0.0);
    assert_eq!(now.sessions("browser"), 2.0);
}
