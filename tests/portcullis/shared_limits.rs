//! The limit by address where several nodes have one Redis, and what every answer says of it.

use chrono::TimeDelta;
use rstest::rstest;
use serde_json::json;

use crate::limits::RATE;
use crate::support::stores::Stores;
use crate::support::*;

const POLICY: &str = "\"login\";q=3;w=3600";

/// What an answer says of the attempts that are left: how many, and in how many seconds there is one more.
fn left(page: &Page) -> (u32, u64) {
    assert_eq!(page.header("ratelimit-policy"), Some(POLICY), "{}", page.path);
    let field = page.header("ratelimit").expect("RateLimit");
    let parts = field.strip_prefix("\"login\";r=").and_then(|rest| rest.split_once(";t="));
    let (left, next) = parts.unwrap_or_else(|| panic!("{field}"));
    (left.parse().expect("a number"), next.parse().expect("a number"))
}

/// A program whose password is wrong.
async fn program_at(node: &TestServer) -> Page {
    let body = json!({ "username": "anna", "password": "wrong password" });
    ApiClient::new(node).post("/api/v1/auth/login", &body).await
}

#[rstest]
#[tokio::test]
async fn two_nodes_together_let_in_no_more_than_one_would(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let one = TestServer::with(backend, &[RATE]).await;
    let two = one.second_node().await;
    one.browser().attempt(&[]).await.expect(401);
    program_at(&two).await.expect(401);
    one.browser().attempt(&[]).await.expect(401);
    // Two were made here and one there: by itself either would let in another.
    let refused = two.browser().attempt(&[]).await.expect(429);
    let seconds: u64 = refused.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=1200).contains(&seconds), "{seconds}");
    assert_eq!(left(&refused), (0, seconds));
    assert_eq!(program_at(&one).await.expect(429).json()["code"], "too_many_attempts");

    // Nobody else is held up, and of IPv6 a network counts as one.
    for (node, address, status) in [
        (&one, "198.51.100.7", 401),
        (&one, "2001:db8::1", 401),
        (&two, "2001:db8::2", 401),
        (&one, "2001:db8::3", 401),
        (&two, "2001:db8::4", 429),
        (&two, "2001:db8:0:1::4", 401),
    ] {
        let answer = node.browser().attempt(&[("x-forwarded-for", address)]).await;
        assert_eq!(answer.status, status, "{address}");
    }

    // One more comes when it was said, and no more than that.
    one.clock.advance(TimeDelta::seconds(seconds as i64));
    let three = one.second_node().await;
    assert_eq!(left(&three.browser().attempt(&[]).await.expect(401)).0, 0);
    three.browser().attempt(&[]).await.expect(429);
}

#[tokio::test]
async fn of_attempts_at_once_on_two_nodes_as_many_are_let_in_as_one_would_let_in() {
    let one = TestServer::with(PostgresRedis, &[("login_rate", "10/1h")]).await;
    let two = one.second_node().await;
    let errors = |node: &TestServer| node.services.sessions.redis_errors().map_or(0, |errors| errors.get());
    let late = || errors(&one) + errors(&two);
    for round in 1..=5 {
        let before = late();
        let address = format!("198.51.100.{round}");
        let all = (0..16).map(|number| {
            let (mut browser, address) = (if number % 2 == 0 { one.browser() } else { two.browser() }, &address);
            async move { browser.attempt(&[("x-forwarded-for", address)]).await.status }
        });
        let statuses = futures_util::future::join_all(all).await;
        if late() > before {
            // Redis was too slow for one of them on this machine: of that nothing is promised.
            continue;
        }
        // Each node has been asked eight times, which is within its own limit. A busy database may have kept one that was
        // let in from its answer.
        assert_eq!(statuses.iter().filter(|&&status| matches!(status, 401 | 503)).count(), 10, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|&&status| status == 429).count(), 6, "{statuses:?}");
        return;
    }
    panic!("Redis was late in every round");
}

#[rstest]
#[tokio::test]
async fn every_answer_to_an_attempt_says_how_many_are_left(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::with(backend, &[RATE]).await;
    server.create_user("anna").await;
    let shown = server.browser().get("/login").await.expect(200);
    assert!(shown.header("ratelimit").is_none() && shown.header("ratelimit-policy").is_none());
    // A page and the API, whatever becomes of it.
    let first = server.browser().attempt(&[]).await.expect(401);
    let second = server.browser().post("/login", &[("username", "anna"), ("password", PASSWORD)]).await.expect(303);
    let third = program_at(&server).await.expect(401);
    let lefts = [&first, &second, &third].map(|answer| {
        let (left, next) = left(answer);
        assert!((1..=1200).contains(&next), "{next}");
        left
    });
    assert_eq!(lefts, [2, 1, 0]);
    for refused in [program_at(&server).await, server.browser().attempt(&[]).await] {
        let seconds = refused.expect(429);
        let (left, next) = left(&seconds);
        assert_eq!((left, Some(next.to_string().as_str())), (0, seconds.header("retry-after")));
    }
}

#[tokio::test]
async fn who_has_to_wait_reads_how_long() {
    let server = TestServer::with(Sqlite, &[("login_rate", "1/100s")]).await;
    server.browser().attempt(&[]).await.expect(401);
    let page = server.browser().attempt(&[]).await.expect(429);
    let words = |answer: &Page| match answer.header("retry-after").expect("Retry-After") {
        "1" => "Try again in 1 second.".to_owned(),
        seconds => format!("Try again in {seconds} seconds."),
    };
    assert!(page.text().contains(&words(&page)), "{}", page.text());
    let answer = program_at(&server).await.expect(429);
    assert_eq!(answer.json()["detail"], format!("Too many attempts. {}", words(&answer)));
}

#[tokio::test]
async fn an_attempt_costs_one_round_trip_and_one_that_the_node_refuses_none() {
    let server = TestServer::with(SqliteRedis, &[RATE]).await;
    let monitor = server.stores.redis().monitor();
    let round_trips = || monitor.round_trips(&server.stores.redis_prefix);
    let headers = [("x-forwarded-for", "198.51.100.77")];
    for _ in 0..3 {
        server.browser().attempt(&headers).await.expect(401);
    }
    let seen = round_trips();
    // The first also says what the script is.
    let asked: Vec<_> = seen.iter().filter(|line| line.contains("EVALSHA")).collect();
    assert!(asked.len() == 3 && seen.len() <= 4, "{seen:#?}");
    assert!(!seen.join("\n").contains("198.51.100"), "an address is in Redis: {seen:#?}");
    server.browser().attempt(&headers).await.expect(429);
    server.browser().get("/login").await.expect(200);
    ApiClient::new(&server).get("/api/v1/me").await.expect(401);
    assert_eq!(round_trips(), seen);
}

#[tokio::test]
async fn on_a_cluster_all_nodes_are_counted_together_too() {
    let servers = redis_cluster::cluster(0).await;
    let mut stores = Stores::with_redis(SqliteRedis, Some(servers[0].clone())).await;
    stores.redis_url = Some(redis_cluster::url(&servers));
    let one = TestServer::on(stores, &[RATE]).await;
    let two = one.second_node().await;
    // Of several addresses, that each server has some.
    for number in 1..=6 {
        let address = format!("198.51.100.{number}");
        let headers = [("x-forwarded-for", address.as_str())];
        for (node, status) in [(&one, 401), (&two, 401), (&one, 401), (&two, 429)] {
            node.browser().attempt(&headers).await.expect(status);
        }
    }
    for server in &servers {
        server.cli(&["config", "set", "maxmemory", "1"]);
    }
    // Where they have no room, each node has its own again.
    let headers = [("x-forwarded-for", "198.51.100.7")];
    for (node, status) in [(&one, 401), (&two, 401), (&one, 401), (&two, 401), (&one, 401), (&one, 429)] {
        node.browser().attempt(&headers).await.expect(status);
    }
}

#[tokio::test]
async fn without_redis_each_node_goes_on_by_its_own_limit() {
    let stores = Stores::with_redis(SqliteRedis, Some(RedisServer::start())).await;
    let one = TestServer::on(stores, &[RATE]).await;
    let two = one.second_node().await;
    let redis = one.stores.redis();
    one.browser().attempt(&[("x-forwarded-for", "198.51.100.1")]).await.expect(401);
    let is_away = async |address: &str| {
        let headers = [("x-forwarded-for", address)];
        for node in [&one, &two] {
            for expected in [2, 1, 0] {
                let deadline = Deadline::second();
                let answer = node.browser().attempt(&headers).await.expect(401);
                deadline.expect_met("an answer");
                assert_eq!(left(&answer).0, expected);
            }
            node.browser().attempt(&headers).await.expect(429);
        }
    };
    redis.stop();
    is_away("198.51.100.2").await;
    redis.cont();
    redis.kill9();
    is_away("198.51.100.3").await;
    redis.restart();
    // It is counted together again as soon as Redis is found well: what the node alone would have let in is refused.
    let mut number = 3;
    eventually("counted together", std::time::Duration::from_secs(5), async || {
        number += 1;
        let address = format!("198.51.100.{number}");
        let headers = [("x-forwarded-for", address.as_str())];
        for node in [&one, &two, &one] {
            node.browser().attempt(&headers).await.expect(401);
        }
        two.browser().attempt(&headers).await.status == 429
    })
    .await;
}

/// Such as a page of another site sends it, which is not asked before whether it may.
#[tokio::test]
async fn what_the_api_would_not_read_uses_up_nothing() {
    let server = TestServer::with(Sqlite, &[RATE]).await;
    let program = ApiClient::new(&server);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        for _ in 0..2 {
            let headers = [("content-type", content_type), ("origin", "https://elsewhere.example")];
            let answer = program.send("POST", "/api/v1/auth/login", &headers, Some(b"username=anna".to_vec())).await;
            answer.expect(415);
        }
    }
    server.browser().attempt(&[]).await.expect(401);
}
