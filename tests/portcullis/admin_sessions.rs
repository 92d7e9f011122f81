//! Everyone's sessions, as managers and administrators see and end them.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::audit::Client;
use portcullis::domain::keys::{Secret, SessionHandle};
use portcullis::domain::session_list::{SessionFilter, SessionOrder, SessionState};
use portcullis::domain::{Error, Event, Role, SessionId, SessionKind, Timestamp, User};
use portcullis::services::accounts::lookup;
use portcullis::services::administration::{stats, user_acts};
use portcullis::services::sessions::{counts, everyone};
use portcullis::services::{AuthContext, Caller, audit, maintenance};
use portcullis::storage::leases::Lease;
use portcullis::storage::sessions::rows::{self, NewSession};
use rstest::rstest;

use crate::admin_users::LONG_AGO;
use crate::support::spawn::command_line;
use crate::support::*;

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                     Version/17.5 Mobile/15E148 Safari/604.1";

fn client() -> Client {
    Client::default()
}

fn live() -> SessionFilter {
    SessionFilter { state: SessionState::Live, order: SessionOrder::Activity, kind: None, user: None, q: None }
}

fn ended() -> SessionFilter {
    SessionFilter { state: SessionState::Ended, order: SessionOrder::End, ..live() }
}

/// Sessions of `user` as sign-ins would make them, each a second younger than the one before; the newest first.
pub async fn seed(
    server: &TestServer,
    user: &User,
    count: usize,
    kind: SessionKind,
    device: &str,
) -> Vec<SessionHandle> {
    let now = server.clock.now();
    let plan: Vec<(SessionHandle, Timestamp)> = (0..count)
        .map(|index| {
            let at = now - TimeDelta::seconds(index as i64);
            let handle = SessionHandle { user_id: user.id, session_id: SessionId::new(at), secret: Secret::generate() };
            (handle, at)
        })
        .collect();
    let rows: Vec<_> = plan.iter().map(|(handle, at)| (handle.session_id, handle.secret.hash(), *at)).collect();
    let (user, device) = (user.clone(), device.to_owned());
    // What the server writes when it starts would wait for all of this.
    server.is_ready().await;
    let database = server.services.database.clone();
    let seeded = database.write(move |connection| {
        for &(id, secret, at) in &rows {
            let new = NewSession {
                id,
                kind,
                secret,
                remember: false,
                device: device.clone(),
                address: "198.51.100.77".to_owned(),
                now: at,
                idle: TimeDelta::hours(8),
                absolute_limit: at + TimeDelta::hours(24),
                refresh_seed: None,
            };
            rows::insert(connection, &user, &new)?;
        }
        Ok(())
    });
    seeded.await.unwrap();
    plan.into_iter().map(|(handle, _)| handle).collect()
}

/// What the list of the page shows: the text of each row.
async fn find(browser: &mut Browser, query: &str) -> Vec<String> {
    browser.get(&format!("/admin/sessions?{query}")).await.expect(200).texts("tbody tr")
}

/// Every page of a list.
async fn all_pages(server: &TestServer, filter: &SessionFilter, limit: u16) -> Vec<SessionId> {
    let mut cursor = None;
    let mut ids = Vec::new();
    loop {
        let page = everyone::search(&server.services, &command_line(), filter, cursor.as_deref(), limit).await.unwrap();
        ids.extend(page.sessions.iter().map(|listed| listed.session.id));
        cursor = page.next;
        if cursor.is_none() {
            return ids;
        }
    }
}

async fn events(server: &TestServer, event: Event) -> usize {
    let filter = portcullis::domain::audit_list::AuditFilter { event: Some(event), ..Default::default() };
    audit::search(&server.services, &command_line(), &filter, None, 200).await.unwrap().events.len()
}

#[rstest]
#[tokio::test]
async fn a_session_is_found_by_whose_it_is_by_device_and_by_address(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let samuel = server.create_user("samuel").await;
    server.signed_in("samuel").await;
    seed(&server, &samuel, 1, SessionKind::Api, "Build_100% on ci-7").await;
    server.create_user("aiko").await;
    let mut phone = server.browser();
    phone.user_agent = PHONE.to_owned();
    phone.sign_in("aiko").await;

    for (query, expected) in [
        ("", 5), // keeper twice: once from the setup
        ("q=AMUE", 2),
        ("q=samuel%40example", 2),
        ("q=safari+on", 1),
        ("q=build_100%25", 1),
        ("q=build%251", 0),
        ("q=198.51.", 1),
        ("q=127.0.0.1", 3),
        ("kind=api", 1),
        ("kind=browser&q=samuel", 1),
        ("kind=nonsense&state=nonsense&cursor=nonsense", 5),
        ("state=ended", 2), // registering signed in
        ("state=ended&q=samuel", 1),
        ("state=all", 7),
        ("state=all&q=samuel", 3),
        (&format!("user={}", samuel.id), 2),
        (&format!("user={}&q=firefox", samuel.id), 1),
        (&format!("user={}&state=all", samuel.id), 3),
        ("q=nobody-has-this", 0),
    ] {
        let rows = find(&mut keeper, query).await;
        assert_eq!(rows.len(), expected, "{query}: {rows:#?}");
    }
    let page = keeper.get("/admin/sessions").await;
    assert!(page.text().contains("5 active: 4 in browsers, 1 of a program."), "{}", page.text());
    let phone_row = find(&mut keeper, "q=aiko").await.remove(0);
    assert!(phone_row.contains("aiko@example.com") && phone_row.contains("Safari on iPhone"), "{phone_row}");
    let ended = find(&mut keeper, "state=ended&q=samuel").await.remove(0);
    assert!(ended.contains("samuel") && ended.contains("Signed out"), "{ended}");
}

/// A compatibility form that is eleven times as long.
#[rstest]
#[tokio::test]
async fn a_text_longer_than_anything_there_is_finds_nothing(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut keeper = server.signed_in(KEEPER).await;
    for text in ["%EF%B7%BA".repeat(1700), "%EF%B7%BA".repeat(15), "x".repeat(255)] {
        for (path, told) in [("/admin/sessions?q=", "No session matches"), ("/admin/users?q=", "No user matches")] {
            let page = keeper.get(&format!("{path}{text}&cursor=x")).await.expect(200);
            assert!(page.text().contains(told), "{}", page.excerpt());
        }
        keeper.get(&format!("/admin/audit?user={text}")).await.expect(200);
    }
    keeper.get(&format!("/admin/sessions?q={}", "x".repeat(254))).await.expect(200);
}

#[tokio::test]
async fn the_history_of_a_deleted_account_has_its_name() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let samuel = server.create_user("samuel").await;
    user_acts::delete(&server.services, &command_line(), samuel.id, &client()).await.unwrap();
    let page = keeper.get(&format!("/admin/sessions?user={}&state=ended", samuel.id)).await.expect(200);
    assert_eq!(page.text_of("h1").as_deref(), Some("Sessions of samuel"));
    assert_eq!(page.texts("tbody th"), ["samuelDeleted"]);
    assert!(page.attributes("main a", "href").iter().all(|link| !link.contains("/admin/users/")), "{}", page.body);
    assert!(page.attributes(".head .actions a", "href").is_empty(), "an account that is gone has nothing to end");
}

#[rstest]
#[tokio::test]
async fn pages_follow_each_other_without_a_gap_or_a_repeat(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let samuel = server.create_user("samuel").await;
    let mut expected: Vec<_> = seed(&server, &samuel, 130, SessionKind::Browser, "Firefox on Linux").await;
    let of_samuel = SessionFilter { q: Some("samuel".to_owned()), ..live() };
    let ids = all_pages(&server, &of_samuel, 50).await;
    assert_eq!(ids, expected.iter().map(|handle| handle.session_id).collect::<Vec<_>>(), "last active first");
    assert_eq!(all_pages(&server, &SessionFilter { user: Some(samuel.id), ..live() }, 50).await, ids);

    // The history: ended last first.
    for handle in expected.drain(..60) {
        everyone::end_one(&server.services, &command_line(), handle.session_id, &client()).await.unwrap();
        server.clock.advance(TimeDelta::milliseconds(1));
    }
    assert_eq!(all_pages(&server, &of_samuel, 7).await, ids[60..]);
    let history = all_pages(&server, &SessionFilter { q: of_samuel.q.clone(), ..ended() }, 7).await;
    assert_eq!(history[..60], ids[..60].iter().rev().copied().collect::<Vec<_>>()[..]);
    let newest = SessionOrder::Beginning;
    let all = SessionFilter { state: SessionState::All, order: newest, ..of_samuel.clone() };
    let all: BTreeSet<_> = all_pages(&server, &all, 7).await.into_iter().collect();
    assert!(ids.iter().all(|id| all.contains(id)) && all.len() == 131, "and the one of registering");

    // A cursor is good for its own list alone, and nobody can make one.
    let manager = command_line();
    let page = everyone::search(&server.services, &manager, &of_samuel, None, 5).await.unwrap();
    let cursor = page.next.unwrap();
    for (filter, cursor) in [(&live(), cursor.as_str()), (&of_samuel, "x"), (&of_samuel, &cursor[1..])] {
        let refused = everyone::search(&server.services, &manager, filter, Some(cursor), 5).await;
        assert!(matches!(refused, Err(Error::Invalid(_))));
    }
}

#[rstest]
#[tokio::test]
async fn what_matches_much_is_found_as_what_matches_little_is(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let samuel = server.create_user("samuel").await;
    let aiko = server.create_user("aiko").await;
    let many = seed(&server, &samuel, 5_100, SessionKind::Browser, "Firefox on Linux").await;
    seed(&server, &aiko, 10, SessionKind::Api, "curl").await;
    let filter = SessionFilter { q: Some("firefox".to_owned()), ..live() };
    let found = all_pages(&server, &filter, 200).await;
    assert_eq!(found, many.iter().map(|handle| handle.session_id).collect::<Vec<_>>());
    // Within one account, too, it goes on to the last.
    assert_eq!(all_pages(&server, &SessionFilter { user: Some(samuel.id), ..filter.clone() }, 200).await, found);
    let rare = SessionFilter { q: Some("CUR".to_owned()), ..live() };
    assert_eq!(all_pages(&server, &rare, 4).await.len(), 10);
    let of_programs = SessionFilter { kind: Some(SessionKind::Api), ..live() };
    assert_eq!(all_pages(&server, &of_programs, 4).await.len(), 10);
    let newest_first = SessionFilter { order: SessionOrder::Beginning, ..of_programs };
    assert_eq!(all_pages(&server, &newest_first, 4).await.len(), 10);
    assert_eq!(all_pages(&server, &SessionFilter { kind: filter.kind, q: filter.q, ..newest_first }, 200).await, found);

    // Too many to be counted for each page: told as they were counted last.
    let open = counts::open(&server.services, &command_line()).await.unwrap();
    assert_eq!((open.browser.value, open.browser.exact), (5_101, false));
    assert_eq!((open.api.value, open.api.exact), (10, true));
    // Of those that a manager reaches, none of the first administrator's.
    let manager = AuthContext::of(&server.create("manuel", Role::Manager).await);
    let reached = counts::within_reach(&server.services, &manager).await.unwrap();
    assert_eq!((reached.browser.value, reached.browser.exact), (5_100, false));
    assert_eq!((reached.api.value, reached.api.exact), (10, true));
    let reached = counts::within_reach(&server.services, &command_line()).await.unwrap();
    assert_eq!(reached.total().value, 5_111);
}

#[tokio::test]
async fn a_manager_ends_what_is_selected_of_users_and_nothing_of_others() {
    let server = TestServer::start(Sqlite).await;
    server.create("manuel", Role::Manager).await;
    server.create("mona", Role::Manager).await;
    let mut manager = server.signed_in("manuel").await;
    let mut other_manager = server.signed_in("mona").await;
    let (mut one, mut two, mut three) =
        (server.newcomer("anna").await, server.newcomer("bert").await, server.newcomer("cleo").await);

    let page = manager.get("/admin/sessions").await.expect(200);
    let boxes = page.attributes("input[name='id']", "value");
    assert_eq!(boxes.len(), 3, "those of users alone can be ended");
    let rows = page.texts("tbody tr");
    let (anna, bert) = (row_of(&rows, "anna"), row_of(&rows, "bert"));
    let (anna, bert) = (session_in_row(&page, anna), session_in_row(&page, bert));

    let asked = manager.get(&format!("/admin/sessions/end?id={anna}&id={bert}")).await.expect(200);
    assert!(asked.text().contains("End 2 sessions?") && asked.text().contains("anna@example.com"), "{}", asked.text());
    assert!(one.is_signed_in().await, "asking ends nothing");
    let token = asked.csrf_token().unwrap();
    let fields = [("csrf_token", token.as_str()), ("id", &anna), ("id", &bert)];
    manager.post("/admin/sessions/end", &fields).await.expect_redirect("/admin/sessions");
    assert!(manager.get("/admin/sessions").await.text().contains("2 sessions have ended."));
    assert!(!one.is_signed_in().await && !two.is_signed_in().await && three.is_signed_in().await);
    assert_eq!(events(&server, Event::SessionRevoked).await, 2);

    // With one out of reach among them nothing ends.
    let mona = server.id_of("mona").await;
    let of_mona = SessionFilter { user: Some(mona), ..live() };
    let cleo = SessionFilter { user: Some(server.id_of("cleo").await), ..live() };
    let mona = all_pages(&server, &of_mona, 5).await[0].to_string();
    let cleo = all_pages(&server, &cleo, 5).await[0].to_string();
    manager.get(&format!("/admin/sessions/end?id={cleo}&id={mona}")).await.expect(403);
    let fields = [("csrf_token", token.as_str()), ("id", &cleo), ("id", &mona)];
    manager.post("/admin/sessions/end", &fields).await.expect(403);
    manager.post(&format!("/admin/sessions/{mona}/end"), &[("csrf_token", &token)]).await.expect(403);
    manager.get(&format!("/admin/sessions/{mona}/end")).await.expect(403);
    assert!(three.is_signed_in().await && other_manager.is_signed_in().await);
    assert_eq!(events(&server, Event::SessionRevoked).await, 2);

    // One, by its own page.
    let asked = manager.get(&format!("/admin/sessions/{cleo}/end")).await.expect(200);
    assert!(asked.text().contains("End the session of cleo?"), "{}", asked.text());
    let form = asked.form(&format!("/admin/sessions/{cleo}/end"));
    manager.submit_form(form, &[]).await.expect_redirect("/admin/sessions");
    assert!(!three.is_signed_in().await);
    // Asked for again from a list of before.
    let asked = manager.get(&format!("/admin/sessions/{cleo}/end?next=/admin/users")).await.expect(200);
    assert_eq!(asked.text_of("h1").as_deref(), Some("This session has ended already"));
    let facts = asked.texts("main dd");
    assert_eq!(facts[1..], ["manuel", "Ended by an administrator"], "when, by whom and why");
    assert_eq!(asked.forms().len(), 1, "there is nothing to send but the sign-out");
    assert_eq!(asked.attributes("main a.button", "href"), ["/admin/users"]);
    let asked = manager.get(&format!("/admin/sessions/end?id={cleo}")).await.expect(200);
    assert!(asked.text().contains("The selected sessions have ended already"), "{}", asked.text());
    let unknown = SessionId::new(server.clock.now());
    manager.get(&format!("/admin/sessions/{unknown}/end")).await.expect(404);
    assert_eq!(events(&server, Event::SessionRevoked).await, 3);
}

fn row_of(rows: &[String], name: &str) -> usize {
    rows.iter().position(|row| row.contains(&format!("{name}@example.com"))).expect("a row")
}

/// The id of the session in that row of the list.
fn session_in_row(page: &Page, row: usize) -> String {
    let href = page.attributes(&format!("tbody tr:nth-of-type({}) td.do a", row + 1), "href").remove(0);
    href.split('/').nth(3).expect("/admin/sessions/{id}/end").to_owned()
}

#[tokio::test]
async fn whoever_ends_sessions_or_keeps_them_comes_back_to_where_that_was_asked() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let samuel = server.create_user("samuel").await;
    seed(&server, &samuel, 60, SessionKind::Api, "curl").await;
    let first = keeper.get("/admin/sessions?q=samuel&kind=api").await.expect(200);
    let second = first.attributes("a[rel='next']", "href").remove(0);
    let account = format!("/admin/users/{}", samuel.id);

    for place in [second.as_str(), account.as_str()] {
        let page = keeper.get(place).await.expect(200);
        let end = page.attributes("a[href*='/end?next=']", "href").remove(0);
        let asked = keeper.get(&end).await.expect(200);
        assert_eq!(asked.attributes("form a.button", "href"), [place], "keep them");
        keeper.submit(&end, &[]).await.expect_redirect(place);
        assert!(keeper.get(place).await.expect(200).text().contains("The session has ended."));
    }

    // The selected: the form of the list carries its place along.
    let page = keeper.get(&second).await.expect(200);
    assert_eq!(page.form("/admin/sessions/end").fields, [("next".to_owned(), second.clone())]);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("next", &second);
    query.extend_pairs(page.attributes("input[name='id']", "value").iter().take(2).map(|id| ("id", id)));
    keeper.submit(&format!("/admin/sessions/end?{}", query.finish()), &[]).await.expect_redirect(&second);

    // All of the account; the password, where it is asked for, does not make it forgotten.
    server.clock.advance(LONG_AGO);
    let of_samuel = format!("/admin/sessions?kind=api&user={}", samuel.id);
    let all = keeper.get(&of_samuel).await.expect(200).attributes(".head .actions a", "href").remove(0);
    let confirm = keeper.get(&all).await.expect(303).location().unwrap().to_owned();
    let asked = keeper.get(&confirm).await.expect(200);
    assert!(asked.text().contains("Enter your password to end all sessions of samuel."), "{}", asked.text());
    assert_eq!(asked.attributes("main a.button", "href"), [of_samuel.as_str()], "cancel");
    let act = keeper.submit(&confirm, &[("password", PASSWORD)]).await.expect(303).location().unwrap().to_owned();
    keeper.submit(&act, &[]).await.expect_redirect(&of_samuel);

    // Never to another site.
    let own = all_pages(&server, &live(), 200).await.len();
    for next in ["//evil.example", "https://evil.example/", "/%09/evil.example", "javascript:alert(1)"] {
        let samuel = lookup::by_id(&server.services.database, samuel.id).await.unwrap();
        let [session] = &seed(&server, &samuel, 1, SessionKind::Api, "curl").await[..] else { panic!("one") };
        let end = format!("/admin/sessions/{}/end?next={next}", session.session_id);
        assert_eq!(keeper.get(&end).await.expect(200).attributes("form a.button", "href"), ["/admin/sessions"]);
        keeper.submit(&end, &[]).await.expect_redirect("/admin/sessions");
    }
    assert_eq!(all_pages(&server, &live(), 200).await.len(), own);
}

#[tokio::test]
async fn the_list_says_of_whom_its_figure_is_and_keeps_the_columns_of_what_is_live() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let samuel = server.create_user("samuel").await;
    let nadia = server.create_user("nadia").await;
    seed(&server, &samuel, 3, SessionKind::Api, "curl").await;
    server.signed_in("samuel").await;
    let in_all = "6 active in all accounts: 3 in browsers, 3 of programs.";
    for (query, lede) in [
        ("", "6 active: 3 in browsers, 3 of programs."),
        ("?q=samuel", in_all),
        ("?kind=api", in_all),
        ("?state=ended", in_all),
        ("?state=all", in_all),
        (&format!("?user={}", samuel.id), "4 active: 1 in a browser, 3 of programs."),
        (&format!("?user={}&state=ended", samuel.id), "4 active: 1 in a browser, 3 of programs."),
        (&format!("?user={}", nadia.id), "None active."),
    ] {
        let page = keeper.get(&format!("/admin/sessions{query}")).await.expect(200);
        assert_eq!(page.text_of(".lede").as_deref(), Some(lede), "{query}");
    }
    let all = keeper.get("/admin/sessions?state=all&q=samuel").await.expect(200);
    for column in ["Last active", "Expires", "Ended"] {
        assert_eq!(all.texts(&format!("td[data-label='{column}']")).len(), 5, "{column}");
    }
    let ended = all.texts("td[data-label='Ended']");
    assert_eq!(ended.iter().filter(|text| *text == "Live").count(), 4, "{ended:?}");
    assert!(ended.iter().any(|text| text.contains("Signed out, by samuel")), "{ended:?}");

    // The search goes on among those that ended.
    let none = keeper.get(&format!("/admin/sessions?q=curl&user={}", nadia.id)).await.expect(200);
    let among_ended = format!("/admin/sessions?q=curl&state=ended&user={}", nadia.id);
    assert_eq!(none.attributes(".empty .hint a", "href"), [among_ended]);
}

#[tokio::test]
async fn nothing_is_offered_to_be_ended_where_nothing_can_be() {
    let server = TestServer::start(Sqlite).await;
    server.create("manuel", Role::Manager).await;
    let mut manager = server.signed_in("manuel").await;
    let page = manager.get("/admin/sessions").await.expect(200);
    assert!(page.texts("tbody tr").len() > 1 && page.attributes("input[name='id']", "value").is_empty());
    assert!(page.texts(".bulk").is_empty() && page.texts("th.pick").is_empty(), "{}", page.text());
    server.newcomer("anna").await;
    let page = manager.get("/admin/sessions").await.expect(200);
    assert_eq!((page.texts(".bulk").len(), page.attributes("input[name='id']", "value").len()), (1, 1));
}

#[tokio::test]
async fn only_so_many_sessions_can_be_selected_at_once_and_forged_ids_are_none() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let samuel = server.create_user("samuel").await;
    let sessions = seed(&server, &samuel, 201, SessionKind::Browser, "Firefox on Linux").await;
    let token = keeper.get("/account").await.csrf_token().unwrap();
    let ids: Vec<_> = sessions.iter().map(|handle| handle.session_id.to_string()).collect();
    let fields = |ids: &[String]| {
        let mut fields = vec![("csrf_token".to_owned(), token.clone())];
        fields.extend(ids.iter().map(|id| ("id".to_owned(), id.clone())));
        fields
    };
    let send = async |keeper: &mut Browser, ids: &[String]| {
        let fields = fields(ids);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        keeper.post("/admin/sessions/end", &fields).await
    };
    send(&mut keeper, &ids).await.expect(422);
    send(&mut keeper, &["x".to_owned()]).await.expect(404);
    let unknown = SessionId::new(server.clock.now()).to_string();
    send(&mut keeper, &[unknown]).await.expect_redirect("/admin/sessions");
    assert_eq!(all_pages(&server, &SessionFilter { user: Some(samuel.id), ..live() }, 200).await.len(), 201);
    send(&mut keeper, &ids[..200]).await.expect_redirect("/admin/sessions");
    assert_eq!(all_pages(&server, &SessionFilter { user: Some(samuel.id), ..live() }, 200).await.len(), 1);
    assert_eq!(keeper.post("/admin/sessions/end", &[("id", &ids[200])]).await.status, 403, "without its token");
}

#[tokio::test]
async fn what_is_asked_to_end_in_two_ways_ends_in_none() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let (mut anna, mut bert) = (server.newcomer("anna").await, server.newcomer("bert").await);
    let id = server.id_of("anna").await;
    let of_anna = SessionFilter { user: Some(id), ..live() };
    let session = all_pages(&server, &of_anna, 5).await[0].to_string();
    let (id, token) = (id.to_string(), keeper.get("/account").await.csrf_token().unwrap());
    for (fields, told) in [
        (&[("all", "0"), ("user", &id)][..], "all=1"),
        (&[("all", "0")], "all=1"),
        (&[("all", "true")], "all=1"),
        (&[("all", "1"), ("user", &id)], "for one of these"),
        (&[("all", "1"), ("id", &session)], "for one of these"),
        (&[("user", &id), ("id", &session)], "for one of these"),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let page = keeper.get(&format!("/admin/sessions/end?{query}")).await.expect(422);
        assert!(page.text().contains(told), "{query}: {}", page.text());
        keeper.post("/admin/sessions/end", &[&[("csrf_token", token.as_str())], fields].concat()).await.expect(422);
    }
    assert!(anna.is_signed_in().await && bert.is_signed_in().await);
    // A field that is empty asks for nothing.
    let fields = [("csrf_token", token.as_str()), ("all", ""), ("user", &id)];
    keeper.post("/admin/sessions/end", &fields).await.expect_redirect("/admin/sessions");
    assert!(!anna.is_signed_in().await && bert.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn ending_all_spares_the_own_session_asks_for_the_password_and_is_one_act(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let mut elsewhere = server.signed_in(KEEPER).await;
    server.create("manuel", Role::Manager).await;
    let mut manager = server.signed_in("manuel").await;
    let mut user = server.newcomer("anna").await;
    let program = server.program("anna").await;
    assert!(program.get("/api/v1/me").await.status == 200);

    // A manager reaches users only, and stays signed in.
    let asked = manager.get("/admin/sessions/end?all=1").await.expect(200);
    assert!(asked.text().contains("Those of managers and administrators stay."), "{}", asked.text());
    let ending = "2 sessions end at once on every node: 1 in a browser, 1 of a program.";
    assert!(asked.text().contains(ending), "{}", asked.text());
    manager.submit_form(asked.form("/admin/sessions/end"), &[]).await.expect_redirect("/admin/sessions");
    assert!(!user.is_signed_in().await);
    assert_eq!(program.get("/api/v1/me").await.status, 401);
    assert!(manager.is_signed_in().await && keeper.is_signed_in().await && elsewhere.is_signed_in().await);
    let asked = manager.get("/admin/sessions/end?all=1").await.expect(200);
    assert!(asked.text().contains("There is no session to end.") && asked.forms().len() == 1, "{}", asked.text());
    assert_eq!(events(&server, Event::SessionRevokedAll).await, 1);

    let mut user = server.signed_in("anna").await;
    server.clock.advance(LONG_AGO);
    let to_confirm = "/confirm?next=%2Fadmin%2Fsessions%2Fend%3Fall%3D1";
    keeper.get("/admin/sessions/end?all=1").await.expect_redirect(to_confirm);
    let token = keeper.get("/account").await.csrf_token().unwrap();
    let fields = [("csrf_token", token.as_str()), ("all", "1")];
    keeper.post("/admin/sessions/end", &fields).await.expect_redirect(to_confirm);
    assert!(user.is_signed_in().await);
    keeper.submit(to_confirm, &[("password", PASSWORD)]).await.expect_redirect("/admin/sessions/end?all=1");
    let asked = keeper.get("/admin/sessions/end?all=1").await.expect(200);
    keeper.submit_form(asked.form("/admin/sessions/end"), &[]).await.expect_redirect("/admin/sessions");
    assert!(keeper.is_signed_in().await, "the session that asked stays");
    for (name, other) in [("elsewhere", &mut elsewhere), ("manager", &mut manager), ("user", &mut user)] {
        assert!(!other.is_signed_in().await, "{name}");
    }
    assert_eq!(events(&server, Event::SessionRevokedAll).await, 2);
    assert_eq!(all_pages(&server, &live(), 50).await.len(), 1);
    // Whoever had been ended can sign in again.
    assert!(server.signed_in("anna").await.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn all_of_ten_thousand_sessions_of_a_user_end_in_one_act(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let samuel = server.create_user("samuel").await;
    seed(&server, &samuel, 9_800, SessionKind::Browser, "Firefox on Linux").await;
    // The sample, known on both nodes.
    let (somebody, nobody) = (server.browser(), ApiClient::new(&server));
    let (mut browsers, mut programs) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let (mut browser, mut program) = (somebody.clone(), nobody.clone());
        browser.sign_in("samuel").await;
        program.sign_in("samuel").await;
        assert!(browser.is_signed_in().await && browser.clone().at(&other_node).is_signed_in().await);
        assert!(program.is_signed_in().await && program.clone().at(&other_node).is_signed_in().await);
        browsers.push(browser);
        programs.push(program);
    }

    let mut keeper = server.signed_in(KEEPER).await;
    let path = format!("/admin/users/{}/end-sessions", samuel.id);
    let asked = keeper.get(&path).await.expect(200);
    assert!(asked.text().contains("10,000 sessions end at once on every node"), "{}", asked.text());
    keeper.submit_form(asked.form(&path), &[]).await.expect(303);
    let told = keeper.get(&format!("/admin/users/{}", samuel.id)).await.text();
    assert!(told.contains("10,000 sessions have ended."), "{told}");
    assert_eq!(events(&server, Event::SessionRevokedAll).await, 1);

    // The node that did nothing has its second.
    let second = Deadline::second();
    for (browser, program) in browsers.iter_mut().zip(&mut programs) {
        assert!(!browser.is_signed_in().await);
        program.expect_dead().await;
    }
    for (browser, program) in browsers.into_iter().zip(programs) {
        let mut browser = browser.at(&other_node);
        second.expect_soon("ended on the other node", async || !browser.is_signed_in().await).await;
        program.at(&other_node).expect_dead().await;
    }
    assert_eq!(all_pages(&server, &SessionFilter { user: Some(samuel.id), ..live() }, 200).await.len(), 0);
}

#[rstest]
#[tokio::test]
async fn one_node_at_a_time_sweeps_and_all_that_expired_is_in_the_history(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let samuel = server.create_user("samuel").await;
    seed(&server, &samuel, 2_300, SessionKind::Browser, "Firefox on Linux").await;
    server.clock.advance(TimeDelta::hours(25));
    let of_samuel = SessionFilter { user: Some(samuel.id), ..live() };
    assert_eq!(all_pages(&server, &of_samuel, 200).await.len(), 0, "what has expired is not live, swept or not");

    let now = server.clock.now();
    let take = move |connection: &mut _| Lease::take(connection, "sweep", now, now + TimeDelta::minutes(30));
    assert!(server.services.database.write(take).await.unwrap().is_some());
    maintenance::sweep(&server.services).await.unwrap();
    let history = SessionFilter { state: SessionState::Ended, ..of_samuel.clone() };
    assert_eq!(all_pages(&server, &history, 200).await.len(), 1, "another node has the lease");

    server.clock.advance(TimeDelta::minutes(31));
    maintenance::sweep(&server.services).await.unwrap();
    assert_eq!(all_pages(&server, &history, 200).await.len(), 2_301);
    let page = everyone::search(&server.services, &command_line(), &history, None, 1).await.unwrap();
    let ended = page.sessions[0].session.ended.as_ref().unwrap();
    assert_eq!((ended.reason.as_str(), ended.by.as_str()), ("expired", "system"));

    // After the retention it is forgotten, sessions and events alike.
    server.clock.advance(TimeDelta::days(181));
    maintenance::sweep(&server.services).await.unwrap();
    assert_eq!(all_pages(&server, &history, 200).await.len(), 0);
    let filter = portcullis::domain::audit_list::AuditFilter::default();
    assert_eq!(audit::search(&server.services, &command_line(), &filter, None, 50).await.unwrap().events.len(), 0);
}

#[tokio::test]
async fn the_own_session_can_be_ended_like_any_and_signs_out() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let own = all_pages(&server, &live(), 1).await[0];
    let asked = keeper.get(&format!("/admin/sessions/{own}/end")).await.expect(200);
    assert!(asked.text().contains("This device"), "{}", asked.text());
    keeper.submit_form(asked.form(&format!("/admin/sessions/{own}/end")), &[]).await.expect_redirect("/login");
    assert_eq!(keeper.cookie(), None);
}

#[tokio::test]
async fn a_caller_can_not_list_or_end_as_a_user() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await;
    let (auth, recent) = (AuthContext::of(&user), server.stepped_up(&user).await);
    let services = &server.services;
    let caller = Caller { user_id: user.id, session_id: SessionId::new(server.clock.now()), role: Role::User };
    assert!(matches!(everyone::search(services, &auth, &live(), None, 5).await, Err(Error::Forbidden)));
    assert!(matches!(everyone::selected(&services.database, &auth, &[]).await, Err(Error::Forbidden)));
    assert!(matches!(everyone::end_selected(services, &auth, &[], &client()).await, Err(Error::Forbidden)));
    assert!(matches!(everyone::end_all(services, &recent, Some(&caller), &client()).await, Err(Error::Forbidden)));
    assert!(matches!(stats::all(services, &auth).await, Err(Error::Forbidden)));
    assert!(matches!(counts::open(services, &auth).await, Err(Error::Forbidden)));
    assert!(matches!(stats::failing_addresses(services, &auth).await, Err(Error::Forbidden)));
}

#[tokio::test]
async fn one_and_selected_devices_are_ended_in_chromium_without_scripts() {
    let server = TestServer::start(Sqlite).await;
    let (mut one, mut two, mut three) =
        (server.newcomer("anna").await, server.newcomer("bert").await, server.newcomer("cleo").await);
    let chromium = Chromium::open(&server.public_url, false).await;
    chromium.goto("/admin/sessions").await;
    chromium.submit(&[("username", KEEPER), ("password", PASSWORD)], "/admin/sessions").await;

    chromium.fill("q", "anna").await;
    chromium.press(".filter button", "/admin/sessions?q=anna&kind=&state=live").await;
    assert_eq!(chromium.count("tbody tr").await, 1);
    let end_anna = chromium.attribute("tbody td.do a", "href").await;
    chromium.press("tbody td.do a", &end_anna).await;
    assert!(chromium.text().await.contains("What will happen"));
    chromium.press("main form button", "/admin/sessions?q=anna").await;
    assert!(chromium.text().await.contains("The session has ended."), "{}", chromium.text().await);
    assert!(!one.is_signed_in().await);

    chromium.press(".tabs a[href='/admin/sessions']", "/admin/sessions").await;
    for box_of in ["bert", "cleo"] {
        chromium.click(&format!("//tr[contains(., '{box_of}@example.com')]//input[@name='id']")).await;
    }
    chromium.leave(".bulk button").await;
    assert!(chromium.path().await.starts_with("/admin/sessions/end?id="), "{}", chromium.path().await);
    assert!(chromium.text().await.contains("End 2 sessions?"), "{}", chromium.text().await);
    chromium.press("main form button", "/admin/sessions").await;
    assert!(!two.is_signed_in().await && !three.is_signed_in().await);
    assert_eq!(chromium.console_errors().await, Vec::<String>::new());
    chromium.quit().await;
}
