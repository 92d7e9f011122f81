//! An export goes on only as long as somebody may read it, and reads it.

use std::pin::pin;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::TryStreamExt as _;
use portcullis::domain::audit::Client;
use portcullis::domain::audit_list::AuditFilter;
use portcullis::domain::{Error, Event, Role, SessionId};
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::everyone;
use portcullis::services::{AuthContext, audit};
use rstest::rstest;

use crate::admin_audit::seed;
use crate::support::raw::{RawConnection, request};
use crate::support::spawn::command_line;
use crate::support::*;

/// About 8 MiB: several times what the kernel takes for a reader with a small buffer, who keeps it from sending more.
const MANY: usize = 21_000;
const EXPORT: &str = "/admin/audit/export?format=jsonl";

fn session_of(browser: &Browser) -> SessionId {
    browser.cookie().unwrap().split('.').nth(1).unwrap().parse().unwrap()
}

#[rstest]
#[tokio::test]
async fn no_piece_of_an_export_is_read_after_the_right_to_it_has_ended(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
    #[values("session", "all sessions", "suspended", "deleted", "user", "manager")] end: &str,
) {
    let server = TestServer::start(backend).await;
    let adele = server.create("adele", Role::Admin).await;
    seed(&server, "adele", 1_100, Event::SignOut, "203.0.113.9").await;
    let session = session_of(&server.signed_in("adele").await);
    let auth = AuthContext::signed_in(portcullis::domain::Actor::user(&adele), adele.role, session);
    let mut export = pin!(audit::export(&server.services, &auth, AuditFilter::default()).unwrap());
    assert_eq!(export.try_next().await.unwrap().unwrap().len(), 500);

    let (services, cli, client) = (&server.services, command_line(), Client::default());
    match end {
        "session" => everyone::end_one(services, &cli, session, &client).await.unwrap(),
        "all sessions" => drop(everyone::end_of_account(services, &cli, adele.id, &client).await.unwrap()),
        "suspended" => drop(user_acts::suspend(services, &cli, adele.id, &client).await.unwrap()),
        "deleted" => user_acts::delete(services, &cli, adele.id, &client).await.unwrap(),
        role => drop(user_acts::set_role(services, &cli, adele.id, role.parse().unwrap(), &client).await.unwrap()),
    }
    let next = export.try_next().await;
    match end {
        "manager" => assert_eq!(next.unwrap().unwrap().len(), 500, "a manager may"),
        "user" => assert!(matches!(next, Err(Error::Forbidden)), "{next:?}"),
        _ => assert!(matches!(next, Err(Error::NotSignedIn)), "{next:?}"),
    }
}

/// Asks for an export, and reads no more than how it begins.
async fn begin(browser: &Browser) -> RawConnection {
    let mut connection = RawConnection::open_narrow(browser.address()).await;
    let cookie = format!("Cookie: {}", browser.cookie_header());
    assert!(connection.send(&request(b"GET", EXPORT.as_bytes(), &[cookie.as_bytes()], b"")).await);
    let start = connection.read_some().await;
    assert!(start.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&start));
    connection
}

/// Reads until the connection is closed; whether the export came to its end, by the last chunk (RFC 9112, 7.1).
async fn is_whole(mut export: RawConnection) -> bool {
    let (rest, closed) = export.read_all(Duration::from_secs(60)).await;
    assert!(closed, "still open");
    rest.ends_with(b"\r\n0\r\n\r\n")
}

#[tokio::test]
async fn an_export_is_cut_off_when_the_session_of_a_slow_reader_ends() {
    let server = TestServer::start(Sqlite).await;
    seed(&server, KEEPER, MANY, Event::SignOut, "203.0.113.9").await;
    let (thief, other) = (server.signed_in(KEEPER).await, server.signed_in(KEEPER).await);
    let (export, untouched) = (begin(&thief).await, begin(&other).await);
    everyone::end_one(&server.services, &command_line(), session_of(&thief), &Client::default()).await.unwrap();
    assert!(!is_whole(export).await);
    assert!(is_whole(untouched).await);
}

#[tokio::test]
async fn a_node_writes_few_exports_at_once_and_none_that_nobody_reads_is_in_the_way() {
    let server = TestServer::start(Sqlite).await;
    seed(&server, KEEPER, MANY, Event::SignOut, "203.0.113.9").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let mut halted = Vec::new();
    for _ in 0..3 {
        halted.push(begin(&keeper).await);
    }
    let small = "/admin/audit/export?format=csv&event=setup.completed";
    let refused = keeper.get(small).await.expect(503);
    assert!(refused.header("retry-after").is_some());
    keeper.get("/admin/audit").await.expect(200);
    server.second_node().await.signed_in(KEEPER).await.get(small).await.expect(200);

    // Takes the place of one of them, once the connections are full, and gives it back.
    let mut next = keeper.clone();
    eventually("an export that nobody reads gives way", Duration::from_secs(20), async || {
        server.clock.advance(TimeDelta::minutes(2));
        next.get(small).await.status == 200
    })
    .await;
    keeper.get(small).await.expect(200);
    let mut whole = 0;
    for export in halted {
        whole += usize::from(is_whole(export).await);
    }
    assert_eq!(whole, 2);
}
