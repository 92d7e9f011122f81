//! The database away, the server killed or stopped in the middle of work.

use std::time::Duration;

use portcullis::domain::Role;
use rstest::rstest;

use crate::support::raw::SlowRequest;
use crate::support::stores::Stores;
use crate::support::*;

/// A server whose line to PostgreSQL can be cut.
pub async fn server_behind_relay() -> (TestServer, Relay, u16) {
    server_behind_relay_with(&[]).await
}

/// The same with settings of the test's own.
pub async fn server_behind_relay_with(settings: &[(&str, &str)]) -> (TestServer, Relay, u16) {
    let mut stores = Stores::new(PostgresRedis).await;
    let mut url = url::Url::parse(&stores.database_url).unwrap();
    let port = url.port().expect("a port");
    let relay = Relay::to(port);
    url.set_port(Some(relay.port())).unwrap();
    stores.database_url = url.into();
    (TestServer::on(stores, settings).await, relay, port)
}

/// The index of a large table takes longer than any query of a request may.
#[tokio::test]
async fn a_node_that_starts_waits_for_another_that_migrates_the_database() {
    let stores = Stores::new(PostgresRedis).await;
    let (other, connection) = tokio_postgres::connect(&stores.database_url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // The lock that migrations are made under.
    other.batch_execute("SELECT pg_advisory_lock(8101820098873224300)").await.unwrap();
    let migrated = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        other.batch_execute("SELECT pg_advisory_unlock(8101820098873224300)").await.unwrap();
    };
    let (server, ()) = tokio::join!(TestServer::on(stores, &[]), migrated);
    server.is_ready().await;
}

#[rstest]
#[tokio::test]
async fn without_its_database_the_server_says_so_at_once_and_recovers(#[values(false, true)] frozen: bool) {
    let (server, relay, port) = server_behind_relay().await;
    let mut anna = server.newcomer("anna").await;
    let cookie = anna.cookie();
    assert!(anna.is_signed_in().await);
    if frozen {
        relay.freeze()
    } else {
        relay.cut_off()
    }
    let mut guest = server.browser();
    for _ in 0..2 {
        let deadline = Deadline::second();
        let page = guest.post("/login", &[("username", "anna"), ("password", PASSWORD)]).await.expect(503);
        deadline.expect_met("503");
        assert!(page.header("retry-after").is_some() && page.body.contains("<html"), "{}", page.body);
        assert!(page.set_cookies().is_empty());
        // A page of someone signed in is 503 too, or what Redis knows: never a sign-out.
        let page = anna.get("/account").await;
        assert!(matches!(page.status, 200 | 503), "{} {:?}", page.status, page.location());
    }
    // Who hears nothing from the database for more than a second can't know what has ended: 503, whatever Redis says.
    // The way from `/` to the account needs no more than the session.
    let silent = Deadline::within(Duration::from_millis(1500));
    silent
        .expect_soon("no copy is believed", async || {
            let page = anna.get("/").await;
            assert!(page.set_cookies().is_empty(), "{:?}", page.set_cookies());
            page.status == 503
        })
        .await;
    assert_eq!(guest.get("/livez").await.status, 200);
    assert_eq!(guest.get("/readyz").await.status, 503);
    relay.switch_to(port);
    eventually("signed in again", Duration::from_secs(6), async || anna.get("/account").await.status == 200).await;
    eventually("ready again", Duration::from_secs(6), async || anna.get("/readyz").await.status == 200).await;
    assert_eq!(anna.cookie(), cookie);
    // The refused attempts were no failures of the person.
    guest.try_sign_in("anna", PASSWORD).await.expect_redirect("/account");
}

#[rstest]
#[tokio::test]
async fn a_sign_out_that_the_database_did_not_hear_of_is_no_success(#[values(false, true)] redis_knows: bool) {
    let (server, relay, port) = server_behind_relay().await;
    let mut anna = server.newcomer("anna").await;
    let token = anna.get("/account").await.csrf_token().unwrap();
    if !redis_knows {
        server.stores.redis().cli(&[
            "eval",
            "for _, k in ipairs(redis.call('keys', ARGV[1] .. '*')) do redis.call('del', k) end",
            "0",
            &server.stores.redis_prefix,
        ]);
    }
    relay.cut_off();
    let page = anna.post("/logout", &[("csrf_token", &token)]).await.expect(503);
    assert!(page.set_cookies().iter().all(|cookie| cookie.name != server.session_cookie()), "the cookie was removed");
    relay.switch_to(port);
    eventually("an answer", Duration::from_secs(6), async || anna.get("/account").await.status != 503).await;
    assert!(anna.is_signed_in().await);
    anna.sign_out().await;
}

/// Registers over a connection of its own; says whether the answer was a success.
async fn register(address: std::net::SocketAddr, name: &str) -> bool {
    let body = format!("username={name}&email={name}%40example.com&password={}", PASSWORD.replace(' ', "+"));
    let headers: [&[u8]; 2] = [b"Content-Type: application/x-www-form-urlencoded", b"Sec-Fetch-Site: same-origin"];
    let Ok(stream) = tokio::net::TcpStream::connect(address).await else { return false };
    let mut connection = raw::RawConnection::of(stream);
    connection.send(&raw::request(b"POST", b"/register", &headers, body.as_bytes())).await;
    connection.answer().await.status == 303
}

#[tokio::test]
async fn a_server_killed_in_the_middle_of_registrations_is_consistent_afterwards() {
    let program = Program::with_administrator();
    let mut registered = Vec::new();
    for round in 0..3 {
        let mut running = program.serve().await;
        let address = program.address();
        let names: Vec<_> = (0..40).map(|number| format!("person{round}x{number}")).collect();
        // The kill comes when some have their answer, others are under way and others not even heard.
        let answered = std::cell::Cell::new(0);
        let all = futures_util::future::join_all(names.iter().map(async |name| {
            let done = register(address, name).await;
            answered.set(answered.get() + usize::from(done));
            done
        }));
        let kill = async {
            while answered.get() < 3 * (round + 1) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            running.kill9();
        };
        let (answers, ()) = tokio::join!(all, kill);
        registered.extend(names.into_iter().zip(answers));
    }
    let _running = program.serve().await;
    assert!(registered.iter().any(|(_, done)| !done), "everyone was registered before the kill");
    let list = program.run(&["user", "list", "--output", "json"]);
    let users: serde_json::Value = serde_json::from_str(&list.stdout).unwrap_or_else(|_| panic!("{list:?}"));
    let users: Vec<_> =
        users.as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
    for (name, done) in &registered {
        assert!(!done || users.contains(name), "{name} was told so, and is not there");
        // Whoever is there can sign in; who is not can still take the name.
        let body = format!("username={name}&password={}", PASSWORD.replace(' ', "+"));
        let headers: [&[u8]; 2] = [b"Content-Type: application/x-www-form-urlencoded", b"Sec-Fetch-Site: same-origin"];
        let request = raw::request(b"POST", b"/login", &headers, body.as_bytes());
        let status = raw::exchange(program.address(), &request).await.status;
        assert_eq!(status, if users.contains(name) { 303 } else { 401 }, "{name}");
    }
    let free = registered.iter().find(|(name, _)| !users.contains(name));
    if let Some((name, _)) = free {
        assert!(register(program.address(), name).await, "{name} is half there");
    }
}

#[tokio::test]
async fn stopped_by_a_signal_it_finishes_what_it_began_and_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let program = Program::with_administrator();
        let mut running = program.serve().await;
        let server = program.browser();
        let fields = [("username", "nadia"), ("email", "nadia@example.com"), ("password", PASSWORD)];
        let slow = SlowRequest::begin(&server, "/register", &fields).await;
        running.signal(signal);
        running.line("stopping").await;
        let answer = slow.finish().await;
        assert_eq!(answer.status, 303, "SIG{signal}: {}", answer.head);
        let deadline = Deadline::within(Duration::from_secs(9));
        assert_eq!(running.end().code(), Some(0), "SIG{signal}: {}", running.stderr());
        deadline.expect_met(signal);
        assert!(!running.output().contains("panicked"), "{}", running.output());
        let shown = program.run(&["user", "show", "nadia"]);
        assert_eq!(shown.code, Some(0), "{shown:?}");
    }
}

#[rstest]
#[case("/api/v1/auth/logout")]
#[case("/oauth/revoke")]
#[tokio::test]
async fn a_revocation_that_the_database_did_not_hear_of_is_503_and_a_retry_ends_the_session(#[case] path: &str) {
    let (server, relay, port) = server_behind_relay().await;
    server.create("anna", Role::User).await;
    let program = server.program("anna").await;
    let revoke = async || match path {
        "/oauth/revoke" => program.form(path, &[("token", program.refresh_token.as_deref().unwrap())]).await,
        _ => program.post(path, &serde_json::json!({ "refresh_token": program.refresh_token })).await,
    };
    relay.cut_off();
    let refused = revoke().await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    relay.switch_to(port);
    eventually("an answer", Duration::from_secs(6), async || revoke().await.status != 503).await;
    assert_eq!(program.get("/api/v1/me").await.status, 401);
}
