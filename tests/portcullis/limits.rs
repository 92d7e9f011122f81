//! Limits by address, whose address that is, and how long a client may take.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rstest::rstest;
use tokio::net::TcpSocket;

use crate::support::raw::RawConnection;
use crate::support::*;

/// Three attempts an hour: what the fourth gets is no question of the test's speed.
const RATE: (&str, &str) = ("login_rate", "3/1h");

/// Fails to sign in, with these headers.
async fn attempt(browser: &mut Browser, headers: &[(&str, &str)]) -> page::Page {
    let mut all = vec![("sec-fetch-site", "same-origin")];
    all.extend_from_slice(headers);
    browser.post_with("/login", &[("username", "anna"), ("password", "wrong password")], &all).await
}

#[tokio::test]
async fn too_many_attempts_from_one_address_wait_and_are_told_how_long() {
    let server = TestServer::with(Sqlite, &[RATE]).await;
    server.create_user("anna").await;
    for _ in 0..3 {
        attempt(&mut server.browser(), &[]).await.expect(401);
    }
    let page = attempt(&mut server.browser(), &[]).await.expect(429);
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
    let link = server.services.issue_reset_link(&spawn::command_line(), user, &Default::default()).await.unwrap();
    let reset = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    let home = [("x-forwarded-for", "203.0.113.1")];
    let mut anna = server.browser();
    let fields = [("username", "anna"), ("password", PASSWORD)];
    let mut own = home.to_vec();
    own.push(("sec-fetch-site", "same-origin"));
    anna.post_with("/login", &fields, &own).await.expect(303);
    let token = anna.get("/account").await.csrf_token().unwrap();

    let routes: [(&str, Vec<(&str, &str)>, bool); 7] = [
        ("/login", vec![("username", "anna"), ("password", "wrong")], false),
        ("/register", vec![("username", "x"), ("email", "x"), ("password", "x")], false),
        ("/setup/unknown", vec![("username", "x"), ("email", "x"), ("password", "x")], false),
        (&reset, vec![("new_password", "x")], false),
        ("/confirm", vec![("csrf_token", &token), ("password", "wrong")], true),
        (
            "/account/password",
            vec![("csrf_token", &token), ("current_password", "no"), ("new_password", NEW_PASSWORD)],
            true,
        ),
        (
            "/account/profile",
            vec![("csrf_token", &token), ("name", ""), ("email", "n@example.com"), ("current_password", "no")],
            true,
        ),
    ];
    for (number, (path, fields, signed_in)) in routes.iter().enumerate() {
        let address = format!("198.51.100.{number}");
        let headers = [("x-forwarded-for", address.as_str()), ("sec-fetch-site", "same-origin")];
        let mut browser = if *signed_in { anna.clone() } else { server.browser() };
        for _ in 0..3 {
            let page = browser.post_with(path, fields, &headers).await;
            assert!(matches!(page.status, 401 | 410 | 422), "{path}: {} {}", page.status, page.excerpt());
        }
        browser.post_with(path, fields, &headers).await.expect(429);
        attempt(&mut server.browser(), &headers[..1]).await.expect(429);
    }
    // Nobody else is held up by that.
    attempt(&mut server.browser(), &[("x-forwarded-for", "198.51.100.200")]).await.expect(401);
    assert!(anna.is_signed_in().await);
}

#[tokio::test]
async fn another_spelling_of_the_path_is_unknown_or_counts() {
    let server = TestServer::with(Sqlite, &[RATE]).await;
    server.create_user("anna").await;
    for _ in 0..3 {
        attempt(&mut server.browser(), &[]).await.expect(401);
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
async fn an_address_that_a_stranger_claims_is_not_believed() {
    let server = TestServer::with(Sqlite, &[RATE, ("trusted_proxies", "10.0.0.0/8")]).await;
    server.create_user("anna").await;
    let mut statuses = Vec::new();
    for number in 0..6 {
        let claimed = format!("198.51.100.{number}");
        let forwarded = format!("for={claimed}");
        let headers = [
            ("x-forwarded-for", claimed.as_str()),
            ("x-real-ip", &claimed),
            ("forwarded", &forwarded),
            ("true-client-ip", &claimed),
            ("cf-connecting-ip", &claimed),
            ("client-ip", &claimed),
        ];
        statuses.push(attempt(&mut server.browser(), &headers).await.status);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429, 429]);
}

#[tokio::test]
async fn what_a_stranger_claims_is_not_written_down_either() {
    let server = TestServer::with(Sqlite, &[("trusted_proxies", "10.0.0.0/8")]).await;
    server.create_user("anna").await;
    let mut browser = server.browser();
    let headers =
        [("sec-fetch-site", "same-origin"), ("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.7")];
    browser.post_with("/login", &[("username", "anna"), ("password", PASSWORD)], &headers).await.expect(303);
    let text = browser.get("/account/sessions").await.expect(200).text();
    assert!(text.contains("127.0.0.1") && !text.contains("198.51.100.7"), "{text}");
}

/// What a trusted proxy forwards, and the address that counts.
#[tokio::test]
async fn of_what_a_trusted_proxy_forwards_the_rightmost_untrusted_address_counts() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    for (forwarded, counts) in [
        (vec!["203.0.113.5"], "203.0.113.5"),
        (vec!["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
        (vec!["1.1.1.1,203.0.113.5,127.0.0.1"], "203.0.113.5"),
        (vec!["1.1.1.1", "203.0.113.5"], "203.0.113.5"),
        (vec!["203.0.113.5:4711"], "203.0.113.5"),
        (vec!["[2001:db8::5]:4711"], "2001:db8::5"),
        (vec!["2001:db8::5"], "2001:db8::5"),
        (vec!["::ffff:203.0.113.5"], "203.0.113.5"),
        (vec!["203.0.113.5, ::ffff:127.0.0.1"], "203.0.113.5"),
        // An entry that can't be read ends the walk: who forwards it is all that is known.
        (vec!["203.0.113.5, unknown"], "127.0.0.1"),
        (vec!["1.1.1.1, unknown, 203.0.113.5"], "203.0.113.5"),
        (vec!["203.0.113.5, "], "127.0.0.1"),
        (vec![""], "127.0.0.1"),
        (vec!["' OR 1=1"], "127.0.0.1"),
        (vec!["fe80::1%eth0"], "127.0.0.1"),
    ] {
        let cookie = {
            let mut head: Vec<String> = forwarded.iter().map(|value| format!("X-Forwarded-For: {value}")).collect();
            head.push("Content-Type: application/x-www-form-urlencoded".to_owned());
            head.push("Sec-Fetch-Site: same-origin".to_owned());
            let head: Vec<&[u8]> = head.iter().map(|line| line.as_bytes()).collect();
            let body = format!("username=anna&password={}", PASSWORD.replace(' ', "+"));
            let answer = raw::exchange(server.address, &raw::request(b"POST", b"/login", &head, body.as_bytes())).await;
            assert_eq!(answer.status, 303, "{forwarded:?}: {}", answer.head);
            answer.set_cookies().into_iter().find(|cookie| cookie.name == server.session_cookie()).unwrap().value
        };
        let mut browser = server.browser().with_cookie(&cookie);
        let page = browser.get("/account/sessions").await.expect(200);
        let here = page.text_of("main li .item").unwrap();
        assert!(here.contains(counts), "{forwarded:?}: {here}");
        browser.sign_out().await;
    }
}

#[tokio::test]
async fn ipv6_counts_by_its_network_and_a_mapped_address_as_ipv4() {
    let server = TestServer::with(Sqlite, &[RATE]).await;
    server.create_user("anna").await;
    let try_from = async |address: &str| attempt(&mut server.browser(), &[("x-forwarded-for", address)]).await.status;
    // One /64 is one household.
    for (address, status) in [
        ("2001:db8:1:1::1", 401),
        ("2001:db8:1:1:ffff::2", 401),
        ("[2001:db8:1:1::3]:80", 401),
        ("2001:db8:1:1::4", 429),
        ("2001:db8:1:2::1", 401),
        // Two people on IPv4 are two, however their addresses are written.
        ("::ffff:203.0.113.7", 401),
        ("203.0.113.7", 401),
        ("::ffff:cb00:7107", 401),
        ("203.0.113.7", 429),
        ("::ffff:203.0.113.7", 429),
        ("::ffff:198.51.100.9", 401),
        ("198.51.100.10", 401),
    ] {
        assert_eq!(try_from(address).await, status, "{address}");
    }
}

/// Fails to sign in from a local address; says the status.
async fn attempt_from(source: IpAddr, server: SocketAddr) -> u16 {
    let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.bind((source, 0).into()).unwrap();
    let target: IpAddr = if source.is_ipv4() { "127.0.0.1".parse().unwrap() } else { "::1".parse().unwrap() };
    let stream = socket.connect((target, server.port()).into()).await.unwrap();
    let mut connection = RawConnection::of(stream);
    let headers: [&[u8]; 2] = [b"Content-Type: application/x-www-form-urlencoded", b"Sec-Fetch-Site: same-origin"];
    connection.send(&raw::request(b"POST", b"/login", &headers, b"username=anna&password=wrong")).await;
    connection.answer().await.status
}

#[tokio::test]
async fn two_people_on_ipv4_are_two_on_a_listener_for_both_families() {
    let listen = format!("[::]:{}", free_port());
    let server = TestServer::with(Sqlite, &[RATE, ("listen", &listen), ("trusted_proxies", "10.0.0.0/8")]).await;
    server.create_user("anna").await;
    let (one, two) = ("127.0.0.1".parse().unwrap(), "127.0.0.77".parse().unwrap());
    for _ in 0..3 {
        assert_eq!(attempt_from(one, server.address).await, 401);
    }
    assert_eq!(attempt_from(one, server.address).await, 429);
    assert_eq!(attempt_from(two, server.address).await, 401, "one address spent the budget of all of IPv4");
}

#[tokio::test]
async fn all_workers_of_a_node_count_together() {
    let server = TestServer::with(Sqlite, &[("login_rate", "10/1h")]).await;
    server.create_user("anna").await;
    // Forty connections, which land on different workers.
    let all = (0..40).map(|_| {
        let mut browser = server.browser();
        async move { attempt(&mut browser, &[]).await.status }
    });
    let statuses = futures_util::future::join_all(all).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 429).count(), 30, "{statuses:?}");
}

/// A body that comes one byte a second, or not at all, after a head that was fine.
#[rstest]
#[tokio::test]
async fn a_body_that_takes_longer_than_15_seconds_is_cut_off(#[values(false, true)] trickles: bool) {
    let server = TestServer::start(Sqlite).await;
    let mut connection = RawConnection::open(server.address).await;
    let head = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nusername=a";
    let start = Instant::now();
    assert!(connection.send(head).await);
    let answer = loop {
        if trickles && !connection.send(b"a").await {
            break Vec::new();
        }
        let (bytes, closed) = connection.read_all(Duration::from_secs(1)).await;
        if closed || !bytes.is_empty() {
            break bytes;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "still open after {:?}", start.elapsed());
    };
    assert!(start.elapsed() > Duration::from_secs(10), "cut off after {:?}", start.elapsed());
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    // Nobody else noticed.
    server.browser().get("/login").await.expect(200);
}

#[tokio::test]
async fn stalled_clients_hold_nobody_up() {
    let server = TestServer::start(Sqlite).await;
    let mut stalled = Vec::new();
    for _ in 0..200 {
        let mut connection = RawConnection::open(server.address).await;
        connection
            .send(b"POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 9\r\n\r\nu")
            .await;
        stalled.push(connection);
    }
    let start = Instant::now();
    let mut browser = server.newcomer("anna").await;
    assert!(browser.is_signed_in().await);
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_flood_of_sign_ins_is_bounded_and_delays_no_other_page() {
    let settings = [
        ("login_rate", "100000/1s"),
        ("argon2_memory_kib", "4096"),
        ("argon2_iterations", "3"),
        ("hash_concurrency", "1"),
        ("hash_queue", "4"),
    ];
    let server = TestServer::with(Sqlite, &settings).await;
    let mut anna = server.newcomer("anna").await;
    let flood = (0..60).map(|_| {
        let mut browser = server.browser();
        async move { attempt(&mut browser, &[]).await }
    });
    let others = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let start = Instant::now();
            assert!(anna.is_signed_in().await);
            slowest = slowest.max(start.elapsed());
        }
        slowest
    };
    let (pages, slowest) = tokio::join!(futures_util::future::join_all(flood), others);
    assert!(slowest < Duration::from_secs(1), "a page took {slowest:?}");
    let refused: Vec<_> = pages.iter().filter(|page| page.status == 503).collect();
    assert!(!refused.is_empty(), "the queue has no end");
    for page in &pages {
        assert!(matches!(page.status, 401 | 503), "{}", page.status);
    }
    for page in refused {
        assert!(page.header("retry-after").is_some() && page.body.contains("<html"), "{}", page.body);
    }
    attempt(&mut server.browser(), &[]).await.expect(401);
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_not_read_at_all() {
    let server = TestServer::start(Sqlite).await;
    let long = "a".repeat(200 * 1024);
    let many: String = (0..200).map(|number| format!("X-{number}: y\r\n")).collect();
    for (what, request) in [
        (
            "both lengths",
            "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
        ),
        (
            "two lengths",
            "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde".to_owned(),
        ),
        (
            "an odd encoding",
            "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        ("a negative length", "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n".to_owned()),
        ("a length with a sign", "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\nabcd".to_owned()),
        ("a folded header", "GET /login HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n".to_owned()),
        ("a blank before the colon", "GET /login HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n".to_owned()),
        ("a huge head", format!("GET /login HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n")),
        ("many headers", format!("GET /login HTTP/1.1\r\nHost: x\r\n{many}\r\n")),
        ("no HTTP", "nonsense\r\n\r\n".to_owned()),
    ] {
        let mut connection = RawConnection::open(server.address).await;
        connection.send(request.as_bytes()).await;
        let (bytes, closed) = connection.read_all(Duration::from_secs(8)).await;
        let text = String::from_utf8_lossy(&bytes);
        assert!(closed, "{what}: the connection stays open: {text}");
        assert!(bytes.is_empty() || text.starts_with("HTTP/1.1 4"), "{what}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count().max(1), 1, "{what}: two answers");
    }
    server.browser().get("/login").await.expect(200);
}
