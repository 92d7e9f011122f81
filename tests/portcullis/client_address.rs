//! Whose request it is: the one address that limits, lists and logs go by.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpSocket;

use crate::limits::RATE;
use crate::support::raw::RawConnection;
use crate::support::*;

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
        statuses.push(server.browser().attempt(&headers).await.status);
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
    let try_from = async |address: &str| server.browser().attempt(&[("x-forwarded-for", address)]).await.status;
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
    let port = Port::reserve();
    let listen = format!("[::]:{}", port.number());
    let server = TestServer::with(Sqlite, &[RATE, ("listen", &listen), ("trusted_proxies", "10.0.0.0/8")]).await;
    server.create_user("anna").await;
    let (one, two) = ("127.0.0.1".parse().unwrap(), "127.0.0.77".parse().unwrap());
    for _ in 0..3 {
        assert_eq!(attempt_from(one, server.address).await, 401);
    }
    assert_eq!(attempt_from(one, server.address).await, 429);
    assert_eq!(attempt_from(two, server.address).await, 401, "one address spent the budget of all of IPv4");
}
