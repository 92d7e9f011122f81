//! Sessions in Redis: what is there, what it costs, and what happens while it does not answer.

use std::time::Duration;

use portcullis::services::sessions::{account, everyone};
use rstest::rstest;

use crate::support::stores::Stores;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn a_session_is_under_its_users_hash_tag_without_a_secret_and_with_a_ttl(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut browser = server.newcomer("anna").await;
    browser.is_signed_in().await;
    let redis = server.stores.redis();
    let prefix = &server.stores.redis_prefix;
    let user = server.id_of("anna").await;
    let session = account::live(&server.services, user, 10).await.unwrap().0[0].id;

    let record = format!("{prefix}:{{{user}}}:s:{session}");
    let keys = redis.keys(prefix);
    assert!(keys.contains(&record), "{record} is not among {keys:?}");
    assert!(keys.contains(&format!("{prefix}:{{{user}}}:u")), "{keys:?}");
    assert_eq!(redis.cli(&["type", &record]), "hash");
    for key in &keys {
        assert!(key.starts_with(&format!("{prefix}:{{")), "{key} has no hash tag");
        let ttl: i64 = redis.cli(&["ttl", key]).parse().unwrap();
        assert!(ttl > 0, "{key} has no TTL");
    }

    let dump = redis.dump(prefix);
    let cookie = browser.cookie().unwrap();
    let token = browser.get("/account").await.csrf_token().unwrap();
    for secret in [cookie.rsplit('.').next().unwrap(), &cookie, &token, PASSWORD, "argon2", "anna@example.com"] {
        assert!(!dump.contains(secret), "{secret} is in Redis: {dump}");
    }
}

#[rstest]
#[tokio::test]
async fn a_signed_in_page_costs_one_round_trip_at_most_and_a_guests_page_none(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let prefix = &server.stores.redis_prefix;
    let mut browser = server.browser();
    // Who registers stays signed in. Nothing has ended, so the feed has nothing to tell Redis meanwhile.
    browser.register("anna").await;
    // The first visits make the copies.
    browser.is_signed_in().await;
    browser.is_signed_in().await;

    let mut round_trips = async || {
        let monitor = server.stores.redis().monitor();
        for path in ["/account", "/account/profile", "/account/password", "/account/sessions", "/account/activity"] {
            browser.get(path).await.expect(200);
        }
        monitor.round_trips(prefix)
    };
    let seen = round_trips().await;
    assert!(seen.len() <= 5, "{seen:#?}");
    // While it hears of changes, the node remembers.
    eventually("no round trip", Duration::from_secs(5), async || round_trips().await.is_empty()).await;

    let monitor = server.stores.redis().monitor();
    for path in ["/login", "/register", "/nowhere", "/livez", "/version"] {
        server.browser().get(path).await;
    }
    assert_eq!(monitor.round_trips(prefix), Vec::<String>::new());
}

/// A server on a Redis of its own, which the test may treat as it likes.
async fn server_with_own_redis(backend: Backend) -> TestServer {
    TestServer::on(Stores::with_redis(backend, Some(RedisServer::start())).await, &[]).await
}

/// Asks for a signed-in page while Redis does not answer. For some moments a node may remember what Redis said.
async fn is_unavailable(server: &TestServer, person: &Browser) {
    let mut person = person.clone();
    let mut page = None;
    eventually("503", Duration::from_secs(2), async || {
        let deadline = Deadline::second();
        let answer = person.get("/account").await;
        deadline.expect_met("503");
        let is_unavailable = answer.status == 503;
        page = Some(answer);
        is_unavailable
    })
    .await;
    let page = page.expect("an answer");
    assert!(page.header("retry-after").is_some());
    assert!(page.set_cookies().iter().all(|cookie| cookie.name != server.session_cookie()), "the cookie was touched");
    assert!(page.body.contains("<html"), "no page: {}", page.body);
    let deadline = Deadline::second();
    let form = [("csrf_token", "any")];
    person.post("/account/sessions/end-others", &form).await.expect(503);
    deadline.expect_met("503 for a form");

    let mut guest = server.browser();
    guest.get("/login").await.expect(200);
    guest.try_sign_in("berta", "wrong password").await.expect(401);
    guest.get("/livez").await.expect(200);
    guest.get("/version").await.expect(200);
    guest.get("/readyz").await.expect(503);
}

#[rstest]
#[tokio::test]
async fn a_frozen_redis_is_503_within_a_second_and_signs_nobody_out(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_with_own_redis(backend).await;
    let mut anna = server.newcomer("anna").await;
    let mut berta = server.newcomer("berta").await;
    assert!(anna.is_signed_in().await && berta.is_signed_in().await);
    let cookie = anna.cookie();

    server.stores.redis().stop();
    for _ in 0..3 {
        is_unavailable(&server, &anna).await;
    }
    // Many at once wait no longer than one.
    let deadline = Deadline::within(Duration::from_secs(2));
    let crowd = (0..40).map(|_| {
        let mut tab = anna.clone();
        async move { tab.get("/account").await.expect(503) }
    });
    futures_util::future::join_all(crowd).await;
    deadline.expect_met("503 for 40 at once");
    server.stores.redis().cont();

    eventually("signed in again", Duration::from_secs(2), async || anna.get("/account").await.status == 200).await;
    assert!(anna.is_signed_in().await && berta.is_signed_in().await);
    assert_eq!(anna.cookie(), cookie);
    eventually("ready again", Duration::from_secs(2), async || anna.get("/readyz").await.status == 200).await;
}

#[rstest]
#[tokio::test]
async fn a_sign_out_that_redis_could_not_be_told_of_still_ends_the_session(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_with_own_redis(backend).await;
    let mut anna = server.newcomer("anna").await;
    assert!(anna.is_signed_in().await);
    let session = account::live(&server.services, server.id_of("anna").await, 9).await.unwrap();
    let id = session.0[0].id;
    server.stores.redis().stop();
    let ended = everyone::end_one(&server.services, &spawn::command_line(), id, &Default::default()).await;
    assert!(ended.is_err(), "it is not said that Redis could not be told");
    server.stores.redis().cont();
    // The truth is in SQL, and the feed brings it to Redis within a second of its return.
    let brings = Deadline::within(Duration::from_secs(2));
    brings.expect_soon("ended", async || anna.get("/account").await.asks_to_sign_in()).await;
}

#[rstest]
#[tokio::test]
async fn a_dead_redis_is_503_until_it_is_back(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = server_with_own_redis(backend).await;
    let mut anna = server.newcomer("anna").await;
    server.create_user("berta").await;
    assert!(anna.is_signed_in().await);
    server.stores.redis().kill9();
    for _ in 0..3 {
        is_unavailable(&server, &anna).await;
    }
    server.stores.redis().restart();
    eventually("signed in again", Duration::from_secs(3), async || anna.get("/account").await.status == 200).await;
    assert!(anna.is_signed_in().await);
}

#[tokio::test]
async fn a_signed_in_person_who_signs_in_again_while_redis_is_away_is_not_left_half_way() {
    let server = server_with_own_redis(SqliteRedis).await;
    server.create_user("anna").await;
    server.stores.redis().kill9();
    // SQL alone decides about a sign-in; the session is there as soon as Redis is.
    let mut browser = server.browser();
    let page = browser.try_sign_in("anna", PASSWORD).await;
    server.stores.redis().restart();
    if page.status == 303 {
        eventually("signed in", Duration::from_secs(3), async || browser.get("/account").await.status == 200).await;
    } else {
        page.expect(503);
        eventually("an answer", Duration::from_secs(3), async || browser.get("/account").await.status != 503).await;
        assert!(!browser.is_signed_in().await);
    }
}

#[tokio::test]
async fn a_redis_that_is_not_there_at_start_is_one_line_and_status_69() {
    let nobody = Port::reserve();
    let port = nobody.number();
    let program = Program::new().set("redis_url", &format!("redis://:hunter2-canary@127.0.0.1:{port}"));
    let mut running = program.start();
    assert_eq!(running.end().code(), Some(69), "{}", running.stderr());
    let stderr = running.stderr();
    assert!(stderr.contains("redis_url"), "it does not say what to do: {stderr}");
    assert!(stderr.contains(&format!("127.0.0.1:{port}")), "it does not say which one: {stderr}");
    assert!(!running.output().contains("hunter2-canary"), "the password is shown: {stderr}");
}

#[tokio::test]
async fn a_wrong_redis_password_is_refused_without_being_shown() {
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "requirepass", "right-password"]);
    let url = format!("redis://:hunter2-canary@127.0.0.1:{}", redis.port);
    let program = Program::new().set("redis_url", &url);
    let mut running = program.start();
    assert_eq!(running.end().code(), Some(69), "{}", running.stderr());
    assert!(!running.output().contains("hunter2-canary"), "{}", running.output());
}
