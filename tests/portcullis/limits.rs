//! How often one address may try a password, and how much work sign-ins may make.

use portcullis::services::accounts::links;
use tokio::task::JoinSet;

use crate::support::*;

/// Three attempts an hour: what the fourth gets is no question of the test's speed.
pub const RATE: (&str, &str) = ("login_rate", "3/1h");

#[tokio::test]
async fn too_many_attempts_from_one_address_wait_and_are_told_how_long() {
    let server = TestServer::with(Sqlite, &[RATE]).await;
    server.create_user("anna").await;
    for _ in 0..3 {
        server.browser().attempt(&[]).await.expect(401);
    }
    let page = server.browser().attempt(&[]).await.expect(429);
    let seconds: u64 = page.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    assert!(page.body.contains("<html") && page.texts("h1").len() == 1, "{}", page.body);
    assert!(page.header("content-security-policy").is_some());
    assert_eq!(page.header("cache-control"), Some("no-store"));
    // Also the right password, and also another name.
    let mut browser = server.browser();
    let right = [("username", "anna"), ("password", PASSWORD)];
    browser.post("/login", &right).await.expect(429);
    let other = [("username", "somebody"), ("password", "else")];
    browser.post("/login", &other).await.expect(429);
    assert_eq!(browser.cookie(), None);
    // What doesn't look at a password goes on.
    browser.get("/login").await.expect(200);
    browser.get("/livez").await.expect(200);
}

#[tokio::test]
async fn every_route_that_looks_at_a_password_draws_on_one_budget() {
    let server = TestServer::with(Sqlite, &[RATE]).await;
    let user = server.create_user("anna").await.id;
    let link = links::issue_reset(&server.services, &spawn::command_line(), user, &Default::default()).await.unwrap();
    let reset = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    let home = [("x-forwarded-for", "203.0.113.1")];
    let mut anna = server.browser();
    let fields = [("username", "anna"), ("password", PASSWORD)];
    let mut own = home.to_vec();
    own.push(("sec-fetch-site", "same-origin"));
    anna.post_with("/login", &fields, &own).await.expect(303);
    let token = anna.get("/account").await.csrf_token().unwrap();

    let csrf = ("csrf_token", token.as_str());
    let account = [("username", "x"), ("email", "x"), ("password", "x")];
    let routes: [(&str, &[(&str, &str)]); 7] = [
        ("/login", &[("username", "anna"), ("password", "wrong")]),
        ("/register", &account),
        ("/setup/unknown", &account),
        (&reset, &[("new_password", "x")]),
        ("/confirm", &[csrf, ("password", "wrong")]),
        ("/account/password", &[csrf, ("current_password", "no"), ("new_password", NEW_PASSWORD)]),
        ("/account/profile", &[csrf, ("name", ""), ("email", "n@example.com"), ("current_password", "no")]),
    ];
    for (number, (path, fields)) in routes.into_iter().enumerate() {
        let address = format!("198.51.100.{number}");
        let headers = [("x-forwarded-for", address.as_str()), ("sec-fetch-site", "same-origin")];
        let mut browser = if fields.contains(&csrf) { anna.clone() } else { server.browser() };
        for _ in 0..3 {
            let page = browser.post_with(path, fields, &headers).await;
            assert!(matches!(page.status, 401 | 410 | 422), "{path}: {} {}", page.status, page.excerpt());
        }
        browser.post_with(path, fields, &headers).await.expect(429);
        server.browser().attempt(&headers[..1]).await.expect(429);
    }
    // Nobody else is held up by that.
    server.browser().attempt(&[("x-forwarded-for", "198.51.100.200")]).await.expect(401);
    assert!(anna.is_signed_in().await);
}

#[tokio::test]
async fn another_spelling_of_the_path_is_unknown_or_counts() {
    let server = TestServer::with(Sqlite, &[RATE]).await;
    server.create_user("anna").await;
    for _ in 0..3 {
        server.browser().attempt(&[]).await.expect(401);
    }
    let body = format!("username=anna&password={}", PASSWORD.replace(' ', "+"));
    for path in [
        "//login",
        "/login/",
        "/./login",
        "/x/../login",
        "/%6cogin",
        "/LOGIN",
        "/login;a=b",
        "/login?x",
        "/login%2f",
        "/login%00",
        "/login#x",
        "///login//",
        "\\login",
        "/login%20",
    ] {
        let headers: [&[u8]; 2] = [b"Content-Type: application/x-www-form-urlencoded", b"Sec-Fetch-Site: same-origin"];
        let request = raw::request(b"POST", path.as_bytes(), &headers, body.as_bytes());
        let answer = raw::exchange(server.address, &request).await;
        assert!(matches!(answer.status, 400 | 404 | 405 | 429), "{path}: {}", answer.head);
        assert!(answer.set_cookies().is_empty(), "{path}: {}", answer.head);
    }
}

#[tokio::test]
async fn wrong_passwords_of_someone_signed_in_are_counted_though_the_session_does_not_change() {
    let server = TestServer::with(Sqlite, &[("login_rate", "5/1h")]).await;
    let mut anna = server.newcomer("anna").await;
    let token = anna.get("/account").await.csrf_token().unwrap();
    // The same cookie each time: a count kept in it, or in the session, would start afresh.
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let fields = [("csrf_token", token.as_str()), ("password", "wrong password")];
        statuses.push(anna.clone().post("/confirm", &fields).await.status);
    }
    // The sign-in was the first of the five.
    assert_eq!(statuses, [401, 401, 401, 401, 429, 429, 429, 429]);
}

#[tokio::test]
async fn all_workers_of_a_node_count_together() {
    let server = TestServer::with(Sqlite, &[("login_rate", "10/1h")]).await;
    server.create_user("anna").await;
    // Forty connections, which land on different workers.
    let all = (0..40).map(|_| {
        let mut browser = server.browser();
        async move { browser.attempt(&[]).await.status }
    });
    let statuses = futures_util::future::join_all(all).await;
    // A busy database may have kept one that was let through from its answer.
    assert_eq!(statuses.iter().filter(|&&status| matches!(status, 401 | 503)).count(), 10, "{statuses:?}");
    assert!(statuses.contains(&401), "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 429).count(), 30, "{statuses:?}");
}

#[tokio::test]
async fn a_flood_of_sign_ins_is_bounded_and_delays_no_other_page() {
    let server = TestServer::with(Sqlite, &[("login_rate", "100000/1s"), ONE_HASHER, ("hash_queue", "4")]).await;
    let mut anna = server.newcomer("anna").await;
    // As slow as a hash can be: no other page waits for one.
    let held = HeldHasher::new(&server.services).await;
    let mut flood = JoinSet::new();
    for _ in 0..60 {
        let mut browser = server.browser();
        flood.spawn(async move { browser.attempt(&[]).await });
    }
    // All but the four for whom the queue has room are told at once to come again.
    for _ in 0..56 {
        let page = flood.join_next().await.unwrap().unwrap().expect(503);
        assert!(page.header("retry-after").is_some() && page.body.contains("<html"), "{}", page.body);
    }
    for _ in 0..20 {
        assert!(anna.is_signed_in().await);
    }
    assert!(flood.try_join_next().is_none(), "one of those who wait has an answer");
    drop(held);
    let statuses: Vec<_> = flood.join_all().await.iter().map(|page| page.status).collect();
    // A busy database may have refused one before.
    assert!(statuses.iter().all(|status| matches!(status, 401 | 503)) && statuses.contains(&401), "{statuses:?}");
    server.browser().attempt(&[]).await.expect(401);
}
