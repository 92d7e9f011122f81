//! The figures of the administration, its settings and its keys.

use chrono::TimeDelta;
use diesel::{QueryDsl as _, RunQueryDsl as _};
use portcullis::domain::audit::Client;
use portcullis::domain::audit_list::AuditFilter;
use portcullis::domain::{Error, Event, Role};
use portcullis::services::accounts::lookup;
use portcullis::services::administration::stats;
use portcullis::services::authentication::sign_in;
use portcullis::services::sessions::signing_keys;
use portcullis::services::{self, maintenance};
use portcullis::storage::audit::{self, Entry};
use portcullis::storage::schema::failing_addresses;
use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn every_sign_in_failure_and_alarm_is_counted_in_its_hour(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::with(backend, &[("lockout_threshold", "5")]).await;
    server.stay_within_the_hour();
    let stats = async || stats::all(&server.services, &command_line()).await.unwrap();
    let before = stats().await;
    assert_eq!((before.users, before.new_users, before.last_day().sign_ins), (1, 1, 1));
    server.newcomer("anna").await; // registers and signs in
    server.browser().try_sign_in("anna", "wrong").await.expect(401);
    server.browser().try_sign_in("nobody", "wrong").await.expect(401);
    let user = lookup::find(&server.services.database, "anna").await.unwrap();
    let now = server.clock.now();
    let append = server.services.database.write(move |connection| {
        let actor = portcullis::domain::Actor::user(&user);
        audit::append(connection, &Entry::success(Event::TokenReuseDetected, &actor, &user, &Client::default()), now)
    });
    append.await.unwrap();

    let now = stats().await;
    let day = now.last_day();
    assert_eq!((day.sign_ins, day.failures, day.reuse_alarms), (3, 2, 1));
    assert_eq!((now.users, now.new_users), (2, 2));
    assert_eq!((now.sessions.browser.value, now.sessions.api.value), (2, 0));
    assert_eq!((now.by_hour.len(), now.by_day.len()), (24, 30));
    assert_eq!(now.by_day[29].1.failures, 2);
    assert_eq!(now.locked, 0);
    for _ in 0..4 {
        server.browser().try_sign_in("anna", "wrong").await;
    }
    assert_eq!(stats().await.locked, 1);
    assert_eq!(failing(&server).await, [("127.0.0.1".to_owned(), 6)]);

    // A day later they are in the days, no longer in the hours; after a month nowhere.
    server.clock.advance(TimeDelta::hours(25));
    let later = stats().await;
    assert_eq!(later.last_day().failures, 0);
    assert_eq!(later.by_day.iter().map(|(_, counts)| counts.failures).sum::<i64>(), 6);
    assert!(failing(&server).await.is_empty());
    server.clock.advance(TimeDelta::days(31));
    maintenance::sweep(&server.services).await.unwrap();
    assert_eq!(stats().await.by_day.iter().map(|(_, counts)| counts.sign_ins).sum::<i64>(), 0);
}

async fn failing(server: &TestServer) -> Vec<(String, i64)> {
    let addresses = stats::failing_addresses(&server.services, &command_line()).await.unwrap();
    addresses.into_iter().map(|failing| (failing.address, failing.failures)).collect()
}

/// Fails to sign in from there, so often, as nobody who exists.
pub async fn fail(server: &TestServer, address: &str, times: usize) {
    let client = Client { address: Some(address.parse().unwrap()), ..Client::default() };
    let name = format!("nobody of {address}");
    for _ in 0..times {
        let refused = sign_in::browser(&server.services, &name, &"wrong".into(), false, None, &client).await;
        assert!(matches!(refused, Err(Error::WrongCredentials)));
    }
}

#[rstest]
#[tokio::test]
async fn whoever_fails_on_is_told_however_many_others_come_once(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let hour = 3_600_000;
    server.clock.advance(TimeDelta::milliseconds(hour - server.clock.now().timestamp_millis() % hour));
    fail(&server, "2001:db8:1:2::a", 3).await;
    fail(&server, "198.51.100.7", 2).await;
    for number in 0..250 {
        fail(&server, &format!("203.0.{}.{}", number / 100, number % 100), 1).await;
    }
    fail(&server, "198.51.100.7", 2).await;
    fail(&server, "2001:db8:1:2::b", 2).await;
    let worst = failing(&server).await;
    assert_eq!(worst[..2], [("2001:db8:1:2::/64".to_owned(), 5), ("198.51.100.7".to_owned(), 4)], "{worst:?}");
    let rows = async || {
        let count = |connection: &mut _| Ok(failing_addresses::table.count().get_result::<i64>(connection)?);
        server.services.database.read(count).await.unwrap()
    };
    assert_eq!(rows().await, 200);

    let mut keeper = server.signed_in(KEEPER).await;
    let page = keeper.get("/admin").await.expect(200);
    let told = page.texts("section[aria-labelledby='failing'] tbody tr");
    assert_eq!((told.len(), told[5].starts_with("All others247")), (6, true), "{told:?}");
    let links = page.attributes("section[aria-labelledby='failing'] a", "href");
    assert!(links.iter().all(|link| link.contains("&since=")) && links.len() == 5, "{links:?}");
    let events = keeper.get(&links[0]).await.expect(200).texts("tbody tr");
    assert_eq!(events.len(), 4, "{events:?}");

    // The day after nobody asks for them.
    server.clock.advance(TimeDelta::hours(25));
    assert!(failing(&server).await.is_empty());
    maintenance::sweep(&server.services).await.unwrap();
    assert_eq!(rows().await, 0);
}

#[tokio::test]
async fn counts_are_exact_under_parallel_sign_ins() {
    let server = TestServer::start(PostgresRedis).await;
    server.create_user("anna").await;
    let tries = (0..16).map(|index| {
        let mut browser = server.browser();
        async move { browser.try_sign_in("anna", if index % 2 == 0 { PASSWORD } else { "wrong" }).await.status }
    });
    let statuses = futures_util::future::join_all(tries).await;
    let count = |status: u16| statuses.iter().filter(|seen| **seen == status).count() as i64;
    // As many as the log has. What was answered with 503 may be done all the same, and a little later.
    let log = async |event| {
        let filter = AuditFilter { event: Some(event), ..AuditFilter::default() };
        let found = services::audit::search(&server.services, &command_line(), &filter, None, 200).await.unwrap();
        found.events.len() as i64
    };
    let events = async || (log(Event::SignInSuccess).await, log(Event::SignInFailed).await);
    let (noted, after) = loop {
        let noted = events().await;
        let after = stats::all(&server.services, &command_line()).await.unwrap().last_day();
        if events().await == noted {
            break (noted, after);
        }
    };
    assert!(noted.0 >= count(303) && noted.1 >= count(401) && count(303) > 0 && count(401) > 0, "{statuses:?}");
    assert_eq!((after.sign_ins, after.failures), noted);
}

/// Rows that PostgreSQL can only estimate, and those of deleted accounts stay.
#[tokio::test]
async fn deleted_accounts_are_not_counted_however_many_there_are() {
    let server = TestServer::start(PostgresRedis).await;
    let seed = "INSERT INTO users (id, username, email, role, status, epoch, rev, created_at, deleted_at, \
                username_key, email_key) \
                SELECT gen_random_uuid(), 'u' || n, 'u' || n || '@example.com', 'user', 'active', 1, 1, now(), \
                CASE WHEN n > 10100 THEN now() END, \
                CASE WHEN n <= 10100 THEN 'u' || n END, CASE WHEN n <= 10100 THEN 'u' || n || '@example.com' END \
                FROM generate_series(1, 11000) AS n";
    let database = server.services.database.clone();
    for statement in [seed, "ANALYZE users"] {
        database.write(move |connection| Ok(diesel::sql_query(statement).execute(connection)?)).await.unwrap();
    }
    assert_eq!(stats::all(&server.services, &command_line()).await.unwrap().users, 10_101);
}

#[rstest]
#[tokio::test]
async fn the_dashboard_tells_the_same_numbers_as_a_picture_and_as_a_table(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    server.create("manuel", Role::Manager).await;
    let mut manager = server.signed_in("manuel").await;
    server.browser().try_sign_in("manuel", "wrong").await.expect(401);
    let page = manager.get("/admin").await.expect(200);
    let label = page.attributes("svg[role='img']", "aria-label").remove(0);
    assert!(label.starts_with("3 sign-ins and 1 failure; most sign-ins: 3 ("), "{label}");
    assert_eq!(page.texts("details").len(), 2);
    let last_hour = page.texts("details:first-of-type tbody tr:last-of-type td");
    assert!(last_hour.contains(&"3".to_owned()) && last_hour.contains(&"1".to_owned()), "{last_hour:?}");
    assert_eq!(page.texts("svg[role='img'] g").len(), 54);
    assert!(page.attributes("[style]", "style").is_empty() && page.texts("main script, style").is_empty());
    assert_eq!(page.text().contains("Redis"), backend.has_redis());
    assert!(page.text().contains("127.0.0.1"), "from where it failed");
    assert!(!page.text().contains("Needs attention"), "{}", page.text());
}

#[tokio::test]
async fn what_is_set_up_wrong_needs_attention() {
    let server = TestServer::with(Sqlite, &[("public_url", "http://auth.example.org"), ("trusted_proxies", "")]).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let headers = [("x-forwarded-for", "203.0.113.9")];
    keeper.send(reqwest::Method::GET, "/account", &headers, None).await.expect(200);
    let text = keeper.get("/admin").await.expect(200).text();
    assert!(text.contains("http://auth.example.org is not https"), "{text}");
    assert!(text.contains("127.0.0.1 sends X-Forwarded-For and is not believed"), "{text}");
}

#[tokio::test]
async fn settings_are_shown_with_their_source_and_without_their_secrets() {
    let secret = "a-secret-key-of-more-than-32-bytes-in-all";
    let settings = [("secret_key", secret), ("audit_retention", "90d"), ("trusted_proxies", "127.0.0.0/8")];
    let server = TestServer::with(Sqlite, &settings).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let headers = [("x-forwarded-for", "203.0.113.9, 127.0.0.2")];
    let page = keeper.send(reqwest::Method::GET, "/admin/settings", &headers, None).await.expect(200);
    assert!(!page.body.contains(secret), "the secret is shown");
    let rows = page.texts("tbody tr");
    assert!(rows.iter().any(|row| row.starts_with("audit_retention90d")), "{rows:#?}");
    assert!(rows.iter().any(|row| row.starts_with("api_rate") && row.ends_with("default")), "{rows:#?}");
    assert_eq!(page.texts(".facts dd")[0], "203.0.113.9");
}

#[tokio::test]
async fn an_administrator_rotates_the_keys_after_the_password() {
    let server = TestServer::start(Sqlite).await;
    signing_keys::prepare(&server.services).await.unwrap();
    let mut keeper = server.signed_in(KEEPER).await;
    let kids = |page: &Page| page.texts("tbody th");
    let states = |page: &Page| page.texts("tbody tr .state");
    let before = keeper.get("/admin/keys").await.expect(200);
    assert_eq!(states(&before), ["Next", "Active"]);
    server.clock.advance(TimeDelta::minutes(11));
    keeper.get("/admin/keys/rotate").await.expect_redirect("/confirm?next=%2Fadmin%2Fkeys%2Frotate");
    let token = before.csrf_token().unwrap();
    keeper.post("/admin/keys/rotate", &[("csrf_token", &token)]).await.expect(303);
    assert_eq!(kids(&keeper.get("/admin/keys").await), kids(&before), "nothing was rotated");
    keeper.submit("/confirm?next=%2Fadmin%2Fkeys%2Frotate", &[("password", PASSWORD)]).await.expect(303);
    // A double click is one rotation.
    let form = keeper.get("/admin/keys/rotate").await.expect(200).form("/admin/keys/rotate");
    keeper.submit_form(form.clone(), &[]).await.expect_redirect("/admin/keys");
    keeper.submit_form(form, &[]).await.expect_redirect("/admin/keys");
    let after = keeper.get("/admin/keys").await.expect(200);
    assert_eq!(states(&after), ["Next", "Active", "Retired"]);
    assert_eq!(kids(&after)[1..], kids(&before)[..]);
    assert!(!after.body.contains("PRIVATE") && !after.body.contains("\"d\""));

    let shared = [("jwt_algorithm", "HS256"), ("jwt_secret", "thirty-two-bytes-that-are-shared-here")];
    let server = TestServer::with(Sqlite, &shared).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let page = keeper.get("/admin/keys").await.expect(200);
    assert!(page.text().contains("jwt_secret") && !page.body.contains("thirty-two-bytes"), "{}", page.text());
    keeper.submit("/admin/keys/rotate", &[]).await.expect(422);
}

#[tokio::test]
async fn the_state_of_a_node_is_read_on_a_telephone_without_scrolling() {
    let server = TestServer::start(SqliteRedis).await;
    let chromium = Chromium::open(&server.public_url, true).await;
    chromium.goto("/login").await;
    chromium.submit(&[("username", KEEPER), ("password", PASSWORD)], "/account").await;
    chromium.look(360, false).await;
    chromium.goto("/admin").await;
    let hidden = "const table = document.querySelector('.scroll[aria-label=\"Node figures\"]');
                  arguments[0](table.scrollWidth - table.clientWidth)";
    assert_eq!(chromium.run(hidden, vec![]).await, 0);
    // Words of one cell stay together, beside what it is about.
    let indent = "const [cell, time] = ['td:last-child', 'time'].map((css) =>
                      document.querySelector(`section[aria-labelledby='node'] tr:last-child ${css}`));
                  arguments[0](time.getBoundingClientRect().left - cell.getBoundingClientRect().left > 90)";
    assert_eq!(chromium.run(indent, vec![]).await, true);
    // Never relative: "since Just now" is no English.
    let signs = chromium.texts("section[aria-labelledby='node'] tr:last-child time").await;
    assert!(signs[0].ends_with(" UTC"), "{signs:?}");
    chromium.quit().await;
}
