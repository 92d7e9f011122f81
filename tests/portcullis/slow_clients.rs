//! Clients that take their time, and requests that could be read in two ways.

use std::time::{Duration, Instant};

use rstest::rstest;

use crate::support::raw::RawConnection;
use crate::support::*;

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
    let head = b"POST /login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\nu";
    let mut stalled = Vec::new();
    for _ in 0..200 {
        let mut connection = RawConnection::open(server.address).await;
        connection.send(head).await;
        stalled.push(connection);
    }
    let served = Deadline::within(Duration::from_secs(3));
    let mut browser = server.newcomer("anna").await;
    assert!(browser.is_signed_in().await);
    served.expect_met("somebody else is served");
    for connection in &mut stalled {
        assert!(connection.is_waited_for(), "one of them was let go before somebody else was served");
    }
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
