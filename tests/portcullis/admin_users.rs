//! The administration of users, as managers and administrators use its pages.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use portcullis::domain::audit::Client;
use portcullis::domain::{Error, Event, Role, User, UserId};
use portcullis::services::accounts::{links, lookup};
use portcullis::services::administration::user_acts;
use portcullis::services::administration::users::{self, UserChange};
use portcullis::services::audit;
use portcullis::services::authorization::Subject;
use portcullis::services::sessions::everyone;
use reqwest::Method;
use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::*;

/// Longer than `reauthentication_window`, shorter than the idle limit.
pub const LONG_AGO: TimeDelta = TimeDelta::minutes(11);

/// An account that nobody has signed in to.
pub async fn create(server: &TestServer, username: &str, email: &str, name: &str) -> User {
    let created =
        users::create(&server.services, &command_line(), username, email, Some(name), Role::User, &client()).await;
    created.unwrap().0
}

fn client() -> Client {
    Client::default()
}

fn page_of(user: &User) -> String {
    format!("/admin/users/{}", user.id)
}

/// The first administrator's browser.
async fn keeper(server: &TestServer) -> Browser {
    server.signed_in(KEEPER).await
}

/// The usernames that a list shows, in its order.
fn listed(page: &Page) -> Vec<String> {
    page.texts("tbody th a")
}

async fn find(browser: &mut Browser, query: &str) -> Vec<String> {
    listed(&browser.get(&format!("/admin/users?{query}")).await.expect(200))
}

async fn events_of(server: &TestServer, user: UserId) -> Vec<Event> {
    let events = audit::of_account(&server.services.database, user, None, 100).await.unwrap();
    events.into_iter().map(|event| event.event).collect()
}

#[rstest]
#[tokio::test]
async fn a_person_is_found_by_a_part_of_a_name_or_an_address_however_it_is_written(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    create(&server, "Ada.L", "ada@engine.example", "Ada Lovelace").await;
    create(&server, "joerg", "jm@example.com", "JÖRG Müller").await;
    create(&server, "percent", "a_b%c@example.com", "100% o\\k").await;
    let suspended = create(&server, "sleeper", "zzz@example.com", "").await;
    user_acts::suspend(&server.services, &command_line(), suspended.id, &client()).await.unwrap();
    server.create("manuel", Role::Manager).await;
    let mut manuel = server.signed_in("manuel").await;

    for (query, expected) in [
        ("q=ada", vec!["Ada.L"]),
        ("q=%20LOVE+", vec!["Ada.L"]),
        ("q=engine.ex", vec!["Ada.L"]),
        ("q=ADA.l", vec!["Ada.L"]),
        ("q=j%C3%B6rg", vec!["joerg"]),
        ("q=Jo%CC%88rg", vec!["joerg"]),
        ("q=M%C3%9C", vec!["joerg"]),
        ("q=%25", vec!["percent"]),
        ("q=_", vec!["percent"]),
        ("q=o%5Ck", vec!["percent"]),
        ("q=a_b", vec!["percent"]),
        ("q=axb", vec![]),
        ("q=AD", vec!["Ada.L"]),
        ("q=%C3%B6", vec!["joerg"]),
        ("q=xq", vec![]),
        ("q=%25+&role=user&status=active", vec!["percent"]),
        ("q=ad&role=manager", vec![]),
        ("q=zz&status=suspended&role=user&sort=-created_at", vec!["sleeper"]),
        ("q=l%0Aada", vec!["Ada.L"]),
        ("q=%27%20OR%201%3D1--", vec![]),
        ("role=manager", vec!["manuel"]),
        ("role=manager&status=active", vec!["manuel"]),
        ("role=admin", vec![KEEPER]),
        ("status=suspended", vec!["sleeper"]),
        ("status=suspended&q=ada", vec![]),
        ("role=nonsense&status=nonsense&q=ada&sort=%3Bdrop", vec!["Ada.L"]),
        ("sort=-username", vec!["sleeper", "percent", "manuel", KEEPER, "joerg", "Ada.L"]),
        ("sort=created_at", vec![KEEPER, "Ada.L", "joerg", "percent", "sleeper", "manuel"]),
        ("sort=-created_at", vec!["manuel", "sleeper", "percent", "joerg", "Ada.L", KEEPER]),
        ("", vec!["Ada.L", "joerg", KEEPER, "manuel", "percent", "sleeper"]),
    ] {
        assert_eq!(find(&mut manuel, query).await, expected, "{query}");
    }
    let page = manuel.get("/admin/users?q=nobody-at-all").await.expect(200);
    assert!(page.text().contains("No user matches"), "{}", page.text());
    let long = "a".repeat(5000);
    assert_eq!(find(&mut manuel, &format!("q={long}")).await, Vec::<String>::new());

    // A deleted account is in no list, and its page is gone.
    user_acts::delete(&server.services, &command_line(), suspended.id, &client()).await.unwrap();
    assert_eq!(find(&mut manuel, "q=sleeper").await, Vec::<String>::new());
    manuel.get(&page_of(&suspended)).await.expect(404);
}

#[rstest]
#[tokio::test]
async fn the_pages_of_a_list_show_each_account_once_in_order(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    for number in 0..120 {
        create(&server, &format!("user{number:03}"), &format!("u{number}@example.com"), "").await;
    }
    let mut keeper = keeper(&server).await;
    for (query, expected_pages) in
        [("", 3), ("sort=-username", 3), ("sort=created_at", 3), ("sort=-created_at", 3), ("q=user0&role=user", 2)]
    {
        let mut next = Some(format!("/admin/users?{query}"));
        let (mut seen, mut pages) = (Vec::new(), 0);
        while let Some(path) = next {
            let page = keeper.get(&path).await.expect(200);
            seen.extend(listed(&page));
            next = page.attributes("a[rel='next']", "href").into_iter().next();
            pages += 1;
            assert!(pages <= 3, "{query}: no end");
        }
        assert_eq!(pages, expected_pages, "{query}");
        let unique: BTreeSet<_> = seen.iter().cloned().collect();
        assert_eq!(unique.len(), seen.len(), "{query}: an account came twice");
        let (mut names, expected) = (seen.clone(), if query.starts_with("q=") { 100 } else { 121 });
        assert_eq!(seen.len(), expected, "{query}");
        match query {
            "sort=-username" => names.sort_by(|a, b| b.cmp(a)),
            "sort=created_at" => assert_eq!(names.remove(0), KEEPER),
            "sort=-created_at" => names.reverse(),
            _ => names.sort(),
        }
        if query != "sort=-created_at" {
            assert!(names.iter().zip(seen.iter().skip(seen.len() - names.len())).all(|(a, b)| a == b), "{query}");
        }
    }
    let first = keeper.get("/admin/users").await.expect(200);
    assert!(first.text().contains("1 to 50 of 121"), "{}", first.text());
    let next = first.attributes("a[rel='next']", "href").remove(0);
    assert!(keeper.get(&next).await.expect(200).text().contains("51 to 100 of 121"));

    // A cursor that was tampered with, or is of another list, shows the first page.
    let cursor = next.split("cursor=").nth(1).unwrap();
    for query in [
        format!("sort=-username&cursor={cursor}"),
        format!("q=user&cursor={cursor}"),
        format!("cursor={}", cursor.replace(&cursor[..2], "zz")),
        "cursor=eyJ1IjoicyJ9".to_owned(),
        "cursor=%27%3B+drop+table+users".to_owned(),
        "cursor=".to_owned(),
        "cursor=-1&limit=1000000000&page=-1".to_owned(),
    ] {
        let page = keeper.get(&format!("/admin/users?{query}")).await.expect(200);
        assert!(page.text().contains("1 to 50"), "{query}: {}", page.text());
    }
}

#[rstest]
#[tokio::test]
async fn a_new_account_comes_with_a_link_that_is_shown_once_and_works_once(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other = create(&server, "other", "other@example.com", "").await;
    let mut keeper = keeper(&server).await;
    let fields = [("username", "nora"), ("email", "nora@example.com"), ("name", "Nora N."), ("role", "manager")];
    let answer = keeper.submit("/admin/users/new", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.excerpt());
    let nora = lookup::find(&server.services.database, "nora").await.unwrap();
    assert_eq!((nora.role, nora.name.as_deref()), (Role::Manager, Some("Nora N.")));
    assert_eq!(answer.location(), Some(page_of(&nora).as_str()));
    assert_eq!(events_of(&server, nora.id).await, [Event::UserCreated]);

    // Another account's page, opened in between, does not show it as its own.
    let mut tab = keeper.clone();
    assert!(!tab.get(&page_of(&other)).await.expect(200).body.contains("/reset/"));
    let page = keeper.get(&page_of(&nora)).await.expect(200);
    let link = page.text_of("code[data-copy]").expect("the link");
    let path = link.strip_prefix(&server.public_url).expect("a link of ours").to_owned();
    assert!(!keeper.get(&page_of(&nora)).await.expect(200).body.contains("/reset/"), "shown twice");

    let mut browser = server.browser();
    browser.submit(&path, &[("new_password", PASSWORD)]).await.expect_redirect("/login");
    browser.sign_in("nora").await;
    browser.get(&path).await.expect(410);

    // What is wrong is said beside its field, and what was typed is kept.
    let fields = [("username", "nora"), ("email", "no-address"), ("name", "Second")];
    let page = keeper.submit("/admin/users/new", &fields).await.expect(422);
    assert!(page.field_error("email").is_some());
    assert_eq!(page.value("username").as_deref(), Some("nora"));
    let fields = [("username", "NORA"), ("email", "nora@EXAMPLE.com")];
    let page = keeper.submit("/admin/users/new", &fields).await.expect(409);
    assert!(page.field_error("username").is_some() && page.field_error("email").is_some());
    let fields = [("username", "third"), ("email", "third@example.com"), ("role", "root")];
    assert!(keeper.submit("/admin/users/new", &fields).await.expect(422).field_error("role").is_some());
    assert!(matches!(lookup::find(&server.services.database, "third").await, Err(Error::NotFound)));
}

#[rstest]
#[tokio::test]
async fn an_edit_changes_what_it_was_made_on_and_nothing_newer(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let anna = create(&server, "anna", "anna@example.com", "Anna").await;
    create(&server, "berta", "berta@example.com", "").await;
    let mut keeper = keeper(&server).await;
    let old = keeper.get(&page_of(&anna)).await.expect(200).form(&page_of(&anna));

    let fields = [("username", "Anna.New"), ("email", "new@example.com"), ("name", "Änne")];
    keeper.submit_form(old.clone(), &fields).await.expect_redirect(&page_of(&anna));
    let changed = lookup::by_id(&server.services.database, anna.id).await.unwrap();
    assert_eq!((changed.username.as_str(), changed.email.as_str()), ("Anna.New", "new@example.com"));
    assert_eq!(find(&mut keeper, "q=%C3%A4nne").await, ["Anna.New"]);
    assert_eq!(find(&mut keeper, "q=anna@").await, Vec::<String>::new());
    assert!(events_of(&server, anna.id).await.contains(&Event::UserUpdated));

    // Someone who still has the old page before the eyes.
    let page = keeper.submit_form(old.clone(), &[("name", "Other")]).await.expect(409);
    assert!(page.text().contains("Someone else changed this account meanwhile"), "{}", page.text());
    assert_eq!(page.value("name").as_deref(), Some("Other"));
    assert!(page.text().contains("It is now “Änne”."), "{}", page.text());
    assert_eq!(lookup::by_id(&server.services.database, anna.id).await.unwrap().name.as_deref(), Some("Änne"));
    keeper.submit_form(page.form(&page_of(&anna)), &[("name", "Other")]).await.expect_redirect(&page_of(&anna));

    // What is not sent stays; what is sent empty goes.
    let token = page.csrf_token().unwrap();
    let fields = [("csrf_token", token.as_str()), ("email", "newer@example.com")];
    keeper.post(&page_of(&anna), &fields).await.expect_redirect(&page_of(&anna));
    let changed = lookup::by_id(&server.services.database, anna.id).await.unwrap();
    assert_eq!((changed.name.as_deref(), changed.email.as_str()), (Some("Other"), "newer@example.com"));
    let page = keeper.post(&page_of(&anna), &[("csrf_token", token.as_str()), ("email", "x")]).await.expect(422);
    assert_eq!((page.value("name").as_deref(), page.value("email").as_deref()), (Some("Other"), Some("x")));
    let fields = [("csrf_token", token.as_str()), ("name", "")];
    keeper.post(&page_of(&anna), &fields).await.expect_redirect(&page_of(&anna));
    assert_eq!(lookup::by_id(&server.services.database, anna.id).await.unwrap().name, None);
    let page = keeper.submit_form(old.clone(), &[("name", "Other")]).await.expect(409);
    assert!(page.text().contains("It is empty now."), "{}", page.text());

    let page = keeper.submit(&page_of(&anna), &[("username", "BERTA"), ("email", "berta@example.com")]).await;
    let page = page.expect(409);
    assert!(page.field_error("username").is_some() && page.field_error("email").is_some());
    let page = keeper.submit(&page_of(&anna), &[("username", "a b"), ("email", "")]).await.expect(422);
    assert!(page.field_error("username").is_some() && page.field_error("email").is_some());
    assert!(page.title().starts_with("Error: "));
}

#[rstest]
#[tokio::test]
async fn of_edits_made_on_the_same_page_one_is_taken(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let anna = create(&server, "anna", "anna@example.com", "Anna").await;
    let edits = (0..8).map(|number| {
        let change = UserChange { name: Some(format!("Name {number}")), ..UserChange::default() };
        let seen = Subject::seen(anna.id, vec![anna.version()]);
        let services = server.services.clone();
        async move { users::update(&services, &command_line(), seen, change, &Client::default()).await }
    });
    let outcomes = futures_util::future::join_all(edits).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(Error::Stale))));
}

#[rstest]
#[tokio::test]
async fn a_manager_reaches_users_alone_and_only_to_end_their_sessions(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let user = server.create("ursula", Role::User).await;
    let colleague = server.create("martha", Role::Manager).await;
    let admin = lookup::find(&server.services.database, KEEPER).await.unwrap();
    let own = server.create("manuel", Role::Manager).await;
    let mut manuel = server.signed_in("manuel").await;
    let mut victims = vec![];
    for name in ["ursula", "martha", KEEPER] {
        victims.push(server.signed_in(name).await);
    }

    let token = manuel.get("/account").await.csrf_token().unwrap();
    for target in [&user, &colleague, &admin, &own] {
        let page = manuel.get(&page_of(target)).await.expect(200);
        assert!(page.text().contains(target.email.as_str()));
        let posts: Vec<_> = page.forms().into_iter().map(|form| form.action).collect();
        assert_eq!(posts, ["/logout"], "{}", target.username);
        for act in ["", "/role", "/suspend", "/reinstate", "/reset-link", "/delete"] {
            let path = format!("{}{act}", page_of(target));
            if !act.is_empty() {
                manuel.get(&path).await.expect(403);
            }
            let fields =
                [("csrf_token", token.as_str()), ("role", "admin"), ("username", "pwned"), ("email", "p@example.com")];
            manuel.post(&path, &fields).await.expect(403);
        }
        let now = lookup::by_id(&server.services.database, target.id).await.unwrap();
        assert_eq!((now.version(), now.epoch), (target.version(), target.epoch), "{}", target.username);
    }
    for target in [&colleague, &admin, &own] {
        let path = format!("{}/end-sessions", page_of(target));
        assert!(!manuel.get(&page_of(target)).await.body.contains("/end-sessions"));
        manuel.get(&path).await.expect(403);
        manuel.post(&path, &[("csrf_token", &token)]).await.expect(403);
    }
    let path = format!("{}/end-sessions", page_of(&user));
    let page = manuel.get(&path).await.expect(200);
    assert!(page.text().contains("1 session ends at once on every node: 1 in a browser."), "{}", page.text());
    manuel.submit(&path, &[]).await.expect_redirect(&page_of(&user));
    let page = manuel.get(&page_of(&user)).await.expect(200);
    assert!(page.text().contains("1 session has ended."), "{}", page.text());
    assert!(!victims[0].is_signed_in().await);
    assert!(victims[1].is_signed_in().await && victims[2].is_signed_in().await && manuel.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn a_manager_sees_who_is_locked_and_unlocks_users_alone(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::with(backend, &[("lockout_threshold", "5")]).await;
    let user = server.create("ursula", Role::User).await;
    let admin = lookup::find(&server.services.database, KEEPER).await.unwrap();
    server.create("manuel", Role::Manager).await;
    let mut manuel = server.signed_in("manuel").await;
    assert_eq!(find(&mut manuel, "status=locked").await, Vec::<String>::new());
    for name in ["ursula", KEEPER] {
        let mut stranger = server.browser();
        for _ in 0..5 {
            stranger.try_sign_in(name, NEW_PASSWORD).await.expect(401);
        }
        stranger.try_sign_in(name, PASSWORD).await.expect(429);
    }
    assert_eq!(find(&mut manuel, "status=locked").await, [KEEPER, "ursula"]);
    assert_eq!(find(&mut manuel, "status=locked&role=user&q=URS").await, ["ursula"]);
    let states = manuel.get("/admin/users").await.expect(200).texts("td .state");
    assert_eq!(states, ["Locked", "Active", "Locked"]);

    let path = format!("{}/unlock", page_of(&user));
    let form = manuel.get(&page_of(&user)).await.expect(200).form(&path);
    manuel.submit_form(form, &[]).await.expect_redirect(&page_of(&user));
    assert!(manuel.get(&page_of(&user)).await.expect(200).text().contains("The account is unlocked."));
    server.browser().try_sign_in("ursula", PASSWORD).await.expect_redirect("/account");
    assert!(events_of(&server, user.id).await.contains(&Event::UserUnlocked));

    // An administrator's lock is not for managers.
    let path = format!("{}/unlock", page_of(&admin));
    assert!(!manuel.get(&page_of(&admin)).await.expect(200).body.contains("/unlock"));
    let token = manuel.get("/account").await.csrf_token().unwrap();
    manuel.post(&path, &[("csrf_token", &token)]).await.expect(403);
    server.browser().try_sign_in(KEEPER, PASSWORD).await.expect(429);
}

#[tokio::test]
async fn nobody_below_an_administrator_raises_a_role_their_own_least_of_all() {
    let server = TestServer::start(Sqlite).await;
    for (name, role) in [("ursula", Role::User), ("manuel", Role::Manager)] {
        let user = server.create(name, role).await;
        let mut browser = server.signed_in(name).await;
        let token = browser.get("/account").await.csrf_token().unwrap();
        for path in [format!("{}/role", page_of(&user)), page_of(&user), "/admin/users/new".to_owned()] {
            let fields = [("csrf_token", token.as_str()), ("role", "admin"), ("username", "eve"), ("email", "e@e.org")];
            browser.post(&path, &fields).await.expect(403);
        }
        let fields = [("csrf_token", token.as_str()), ("name", "X"), ("email", user.email.as_str()), ("role", "admin")];
        browser.post("/account/profile", &fields).await;
        assert_eq!(lookup::by_id(&server.services.database, user.id).await.unwrap().role, role);
        let auth = server.stepped_up(&user).await;
        let raised = user_acts::set_role(&server.services, &auth, user.id, Role::Admin, &client()).await;
        assert!(matches!(raised, Err(Error::Forbidden)));
    }
}

#[tokio::test]
async fn who_was_an_administrator_when_the_request_began_is_asked_again_when_it_is_done() {
    let server = TestServer::start(Sqlite).await;
    let demoted = server.create("adele", Role::Admin).await;
    let user = server.create("ursula", Role::User).await;
    let auth = server.stepped_up(&demoted).await;
    user_acts::set_role(&server.services, &command_line(), demoted.id, Role::Manager, &client()).await.unwrap();
    let services = &server.services;
    assert!(matches!(user_acts::suspend(services, &auth, user.id, &client()).await, Err(Error::Forbidden)));
    assert!(matches!(links::issue_reset(services, &auth, user.id, &client()).await, Err(Error::Forbidden)));
    let created = users::create(services, &auth, "eve", "eve@example.com", None, Role::Admin, &client()).await;
    assert!(matches!(created, Err(Error::Forbidden)));
    user_acts::suspend(services, &command_line(), demoted.id, &client()).await.unwrap();
    assert!(matches!(everyone::end_of_account(services, &auth, user.id, &client()).await, Err(Error::NotSignedIn)));
}

#[rstest]
#[tokio::test]
async fn a_sensitive_act_asks_for_the_password_again_and_goes_on_where_it_was(
    #[values(Sqlite, SqliteRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let anna = server.create_user("anna").await;
    let mut keeper = keeper(&server).await;
    let role_form = keeper.get(&page_of(&anna)).await.expect(200).form(&format!("{}/role", page_of(&anna)));
    let edit_form = keeper.get(&page_of(&anna)).await.expect(200).form(&page_of(&anna));
    server.clock.advance(LONG_AGO);

    let confirm = |next: &str| {
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        format!(
            "/confirm?next={}",
            next.replace('+', "%20").replace('-', "%2D").replace('_', "%5F").replace('.', "%2E")
        )
    };
    for act in ["role", "suspend", "reinstate", "reset-link", "end-sessions", "delete"] {
        let path = format!("{}/{act}", page_of(&anna));
        keeper.get(&path).await.expect_redirect(&confirm(&path));
    }
    keeper.get("/admin/users/new").await.expect_redirect(&confirm("/admin/users/new"));
    // Looking needs no password.
    let page = keeper.get(&page_of(&anna)).await.expect(200);
    assert!(page.body.contains("/confirm?next="), "the page says so");
    keeper.get("/admin/users").await.expect(200);

    // A form that was on the screen for too long changes nothing.
    let chosen = confirm(&format!("{}/role?role=manager", page_of(&anna)));
    keeper.submit_form(role_form.clone(), &[("role", "manager")]).await.expect_redirect(&chosen);
    let kept = keeper.submit_form(edit_form, &[("name", "X")]).await.expect(303);
    let with_what_was_typed = confirm(&format!("{}?typed=", page_of(&anna)));
    assert!(kept.location().unwrap().starts_with(&with_what_was_typed), "{:?}", kept.location());
    let token = role_form.fields.iter().find(|(name, _)| name == "csrf_token").unwrap().1.clone();
    for act in ["suspend", "reset-link", "end-sessions", "delete"] {
        let path = format!("{}/{act}", page_of(&anna));
        keeper.post(&path, &[("csrf_token", &token)]).await.expect_redirect(&confirm(&path));
    }
    let headers =
        [("accept", "application/json"), ("sec-fetch-site", "same-origin"), ("origin", &server.public_url.clone())];
    let path = format!("{}/delete", page_of(&anna));
    let answer = keeper.send(Method::GET, &path, &headers[..1], None).await.expect(401);
    assert!(answer.body.contains("reauthentication_required"), "{}", answer.body);
    let unchanged = lookup::by_id(&server.services.database, anna.id).await.unwrap();
    assert_eq!((unchanged.version(), unchanged.epoch), (anna.version(), anna.epoch));

    // A wrong password leads nowhere; the right one to the page of the act, with the choice that was made.
    let form = keeper.get(&chosen).await.expect(200).form("/confirm");
    keeper.submit_form(form.clone(), &[("password", NEW_PASSWORD)]).await.expect(401);
    let next = format!("{}/role?role=manager", page_of(&anna));
    keeper.submit_form(form, &[("password", PASSWORD)]).await.expect_redirect(&next);
    let page = keeper.get(&next).await.expect(200);
    assert_eq!(page.attributes("option[selected]", "value"), ["manager"]);
    let form = page.form(&format!("{}/role", page_of(&anna)));
    keeper.submit_form(form, &[("role", "manager")]).await.expect_redirect(&page_of(&anna));
    assert_eq!(lookup::by_id(&server.services.database, anna.id).await.unwrap().role, Role::Manager);
}

#[rstest]
#[tokio::test]
async fn acts_on_an_account_count_on_its_very_next_request_on_every_node(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let anna = server.create_user("anna").await;
    let mut keeper = keeper(&server).await;
    let mut here = server.signed_in("anna").await;
    let mut there = server.signed_in("anna").await.at(&other_node);
    assert!(here.is_signed_in().await && there.is_signed_in().await);

    // A role: the sessions live on with it, up and down again.
    for (role, status) in [("manager", 200), ("user", 403)] {
        here.get("/admin/users").await.expect(if status == 200 { 403 } else { 200 });
        let form = keeper.get(&page_of(&anna)).await.expect(200).form(&format!("{}/role", page_of(&anna)));
        keeper.submit_form(form, &[("role", role)]).await.expect_redirect(&page_of(&anna));
        here.get("/admin/users").await.expect(status);
        Deadline::second()
            .expect_soon("the other node knows", async || there.get("/admin/users").await.status == status)
            .await;
    }

    let path = format!("{}/suspend", page_of(&anna));
    let page = keeper.get(&path).await.expect(200);
    assert!(page.text().contains("2 sessions end at once on every node: 2 in browsers."), "{}", page.text());
    keeper.submit(&path, &[]).await.expect_redirect(&page_of(&anna));
    assert!(!here.is_signed_in().await);
    Deadline::second().expect_soon("ended there", async || !there.is_signed_in().await).await;
    server.browser().try_sign_in("anna", PASSWORD).await.expect(401);
    let page = keeper.get(&page_of(&anna)).await.expect(200);
    assert!(page.text().contains("Suspended"));

    keeper.submit_form(page.form(&format!("{}/reinstate", page_of(&anna))), &[]).await.expect_redirect(&page_of(&anna));
    assert!(!here.is_signed_in().await, "a suspended session came back");
    let mut again = server.signed_in("anna").await;

    keeper.submit(&format!("{}/delete", page_of(&anna)), &[]).await.expect_redirect("/admin/users");
    assert!(!again.is_signed_in().await);
    for act in ["", "/role", "/suspend", "/delete", "/end-sessions"] {
        keeper.get(&format!("{}{act}", page_of(&anna))).await.expect(404);
    }
    assert_eq!(
        events_of(&server, anna.id)
            .await
            .into_iter()
            .filter(|event| event.as_str().starts_with("user."))
            .collect::<Vec<_>>(),
        [
            Event::UserDeleted,
            Event::UserReinstated,
            Event::UserSuspended,
            Event::UserRoleChanged,
            Event::UserRoleChanged,
            Event::UserRegistered,
        ]
    );
    server.create_user("anna").await;
}

#[tokio::test]
async fn whoever_acts_on_the_own_account_is_told_that_it_signs_out() {
    let server = TestServer::start(Sqlite).await;
    let (adele, anna) = (server.create("adele", Role::Admin).await, server.create_user("anna").await);
    let mut browser = server.signed_in("adele").await;
    let sign_out = "This signs you out";
    for act in ["suspend", "end-sessions", "delete", "reset-link"] {
        let own = browser.get(&format!("{}/{act}", page_of(&adele))).await.expect(200).text();
        assert_eq!(own.contains(sign_out), act != "reset-link", "{act}: {own}");
        let another = browser.get(&format!("{}/{act}", page_of(&anna))).await.expect(200).text();
        assert!(!another.contains(sign_out), "{act}: {another}");
    }
    let suspended = browser.get(&format!("{}/suspend", page_of(&adele))).await.expect(200).text();
    assert!(suspended.contains("until another administrator reinstates the account"), "{suspended}");
    let all = browser.get(&format!("/admin/sessions/end?user={}", adele.id)).await.expect(200).text();
    assert!(all.contains(sign_out), "{all}");
}

#[tokio::test]
async fn an_administrator_who_gives_the_own_role_up_is_warned_before_and_told_after() {
    let server = TestServer::start(Sqlite).await;
    let (adele, anna) = (server.create("adele", Role::Admin).await, server.create_user("anna").await);
    let mut browser = server.signed_in("adele").await;
    let warning = "lose access to the administration";
    for act in ["", "/role"] {
        let own = browser.get(&format!("{}{act}", page_of(&adele))).await.expect(200).text();
        assert!(own.contains(warning), "{act}: {own}");
        let another = browser.get(&format!("{}{act}", page_of(&anna))).await.expect(200).text();
        assert!(!another.contains(warning), "{act}: {another}");
    }
    let role = format!("{}/role", page_of(&adele));
    browser.submit(&role, &[("role", "user")]).await.expect_redirect("/account");
    assert!(browser.get("/account").await.expect(200).text().contains("The role is changed."));
    browser.get("/admin").await.expect(403);

    let bela = server.create("bela", Role::Admin).await;
    let mut browser = server.signed_in("bela").await;
    browser.submit(&format!("{}/role", page_of(&bela)), &[("role", "manager")]).await.expect_redirect(&page_of(&bela));
    assert!(browser.get(&page_of(&bela)).await.expect(200).text().contains("The role is changed."));
}

#[tokio::test]
async fn a_reset_link_for_a_suspended_account_says_that_it_opens_nothing_yet() {
    let server = TestServer::start(Sqlite).await;
    let anna = server.create_user("anna").await;
    let mut keeper = keeper(&server).await;
    let path = format!("{}/reset-link", page_of(&anna));
    assert!(!keeper.get(&path).await.expect(200).text().contains("suspended"));
    user_acts::suspend(&server.services, &command_line(), anna.id, &client()).await.unwrap();
    assert!(keeper.get(&page_of(&anna)).await.expect(200).text().contains("The account stays suspended."));
    let asked = keeper.get(&path).await.expect(200).text();
    assert!(asked.contains("The account is suspended and stays so"), "{asked}");
    keeper.submit(&path, &[]).await.expect_redirect(&page_of(&anna));
    let made = keeper.get(&page_of(&anna)).await.expect(200).text();
    assert!(made.contains("signing in is refused until you reinstate it"), "{made}");
}

#[tokio::test]
async fn nothing_to_end_is_no_button() {
    let server = TestServer::start(Sqlite).await;
    let anna = server.create_user("anna").await;
    let mut keeper = keeper(&server).await;
    for path in [format!("{}/end-sessions", page_of(&anna)), format!("/admin/sessions/end?user={}", anna.id)] {
        let page = keeper.get(&path).await.expect(200);
        assert!(page.text().contains("There is no session to end."), "{}", page.text());
        assert_eq!(page.forms().len(), 1, "{path}: the sign-out alone");
    }
    server.signed_in("anna").await;
    for path in [format!("{}/end-sessions", page_of(&anna)), format!("/admin/sessions/end?user={}", anna.id)] {
        let page = keeper.get(&path).await.expect(200);
        assert!(page.text().contains("1 session ends at once on every node: 1 in a browser."), "{}", page.text());
        assert_eq!(page.text_of("main form button").as_deref(), Some("End 1 session"));
    }
}

#[tokio::test]
async fn a_manager_is_told_what_only_an_administrator_does_and_sees_the_own_device() {
    let server = TestServer::start(Sqlite).await;
    let anna = server.create_user("anna").await;
    let own = server.create("manuel", Role::Manager).await;
    let admin = lookup::find(&server.services.database, KEEPER).await.unwrap();
    server.signed_in("manuel").await;
    let mut manuel = server.signed_in("manuel").await;
    for (user, told) in [
        (&anna, "Only an administrator can change this account."),
        (&own, "Only an administrator can act on this account."),
        (&admin, "Only an administrator can act on this account."),
    ] {
        let page = manuel.get(&page_of(user)).await.expect(200);
        assert!(page.text().contains(told), "{}: {}", user.username, page.text());
        assert_eq!(page.texts(".split > *").len(), 1, "no empty column");
    }
    let page = manuel.get(&page_of(&own)).await.expect(200);
    assert_eq!(page.texts(".rows .item").len(), 2);
    assert_eq!(page.texts(".rows .item .here"), ["This device"]);
    let page = keeper(&server).await.get(&page_of(&anna)).await.expect(200);
    assert!(!page.text().contains("Only an administrator") && page.texts(".split > *").len() == 2);
}

#[tokio::test]
async fn the_password_is_asked_for_an_act_by_its_name_and_cancel_leads_to_the_page_above_it() {
    let server = TestServer::start(Sqlite).await;
    let anna = server.create_user("anna").await;
    let mut keeper = keeper(&server).await;
    server.clock.advance(LONG_AGO);
    let own = page_of(&anna);
    for (path, words, tab, above) in [
        (format!("{own}/delete"), "to delete anna.", "Users", own.as_str()),
        (format!("{own}/suspend"), "to suspend anna.", "Users", &own),
        (format!("{own}/role"), "to change the role of anna.", "Users", &own),
        (format!("{own}/reset-link"), "to make a reset link for anna.", "Users", &own),
        ("/admin/users/new".to_owned(), "to create an account.", "Users", "/admin/users"),
        ("/admin/keys/rotate".to_owned(), "to rotate the signing keys.", "Keys", "/admin/keys"),
        ("/admin/sessions/end?all=1".to_owned(), "to end all sessions.", "Sessions", "/admin/sessions"),
        (
            format!("/admin/sessions/end?user={}", anna.id),
            "to end all sessions of anna.",
            "Sessions",
            "/admin/sessions",
        ),
    ] {
        let confirm = keeper.get(&path).await.expect(303).location().unwrap().to_owned();
        let page = keeper.get(&confirm).await.expect(200);
        assert!(page.text().contains(&format!("Enter your password {words}")), "{path}: {}", page.text());
        assert_eq!(page.texts(".tabs [aria-current]"), [tab], "{path}");
        assert_eq!(page.attributes("nav.tabs", "aria-label"), ["Administration"]);
        assert_eq!(page.attributes("main a.button", "href"), [above], "{path}");
        let refused = keeper.submit(&confirm, &[("password", NEW_PASSWORD)]).await.expect(401);
        assert!(refused.text().contains(words), "{path}: {}", refused.text());
    }
    // Whoever may not see the account does not learn its name here.
    let user = server.signed_in("anna").await;
    for (mut browser, next) in [
        (user, page_of(&lookup::find(&server.services.database, KEEPER).await.unwrap())),
        (keeper.clone(), format!("/admin/users/{}", UserId::new(server.clock.now()))),
        (keeper, "/admin/users/x".to_owned()),
    ] {
        let page = browser.get(&format!("/confirm?next={next}/delete")).await.expect(200);
        assert!(page.text().contains("Enter your password to go on."), "{next}: {}", page.text());
        assert_eq!(page.attributes("main a.button", "href"), ["/account"]);
    }
}

#[tokio::test]
async fn the_list_is_sorted_where_its_heads_are_not_to_be_seen_and_no_focus_is_lost() {
    let server = TestServer::start(Sqlite).await;
    create(&server, "berta", "berta@example.com", "").await;
    create(&server, "anna", "anna@example.com", "").await;
    let chromium = Chromium::open(&server.public_url, true).await;
    chromium.look(320, false).await;
    chromium.goto("/admin/users").await;
    chromium.submit(&[("username", KEEPER), ("password", PASSWORD)], "/admin/users").await;
    assert_eq!(chromium.texts("tbody th a").await, ["anna", "berta", KEEPER]);
    chromium.choose("sort", "-created_at").await;
    chromium.press(".filter button", "/admin/users?q=&role=&status=&sort=-created_at").await;
    assert_eq!(chromium.texts("tbody th a").await, ["anna", "berta", KEEPER]);
    chromium.choose("sort", "-username").await;
    chromium.press(".filter button", "/admin/users?q=&role=&status=&sort=-username").await;
    assert_eq!(chromium.texts("tbody th a").await, [KEEPER, "berta", "anna"]);
    chromium.tab_to("Created").await;
    let shown = "
        const { width, height } = document.activeElement.getBoundingClientRect();
        const clipped = getComputedStyle(document.activeElement.closest('thead')).clipPath;
        arguments[0](`${width > 20 && height > 10} ${clipped}`);";
    assert_eq!(chromium.run(shown, vec![]).await, "true none");
    chromium.quit().await;
}

#[rstest]
#[tokio::test]
async fn a_reset_link_is_made_on_the_page_and_voids_the_one_before(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let anna = server.create_user("anna").await;
    let mut keeper = keeper(&server).await;
    let mut links = Vec::new();
    for _ in 0..2 {
        let form = keeper.get(&page_of(&anna)).await.expect(200).form(&format!("{}/reset-link", page_of(&anna)));
        let answer = keeper.submit_form(form, &[]).await.expect_redirect(&page_of(&anna));
        assert!(!answer.location().unwrap().contains("reset/"));
        let link = keeper.get(&page_of(&anna)).await.expect(200).text_of("code[data-copy]").expect("the link");
        links.push(link.strip_prefix(&server.public_url).unwrap().to_owned());
    }
    let mut browser = server.browser();
    browser.get(&links[0]).await.expect(410);
    browser.submit(&links[1], &[("new_password", NEW_PASSWORD)]).await.expect_redirect("/login");
    browser.try_sign_in("anna", NEW_PASSWORD).await.expect_redirect("/account");
    // No page takes a password for somebody else.
    let page = keeper.get(&page_of(&anna)).await.expect(200);
    assert!(page.forms().iter().all(|form| form.inputs.iter().all(|input| !input.contains("password"))));
}

#[tokio::test]
async fn every_link_of_an_accounts_page_leads_to_a_page_about_that_account() {
    let server = TestServer::start(Sqlite).await;
    server.newcomer("berta").await;
    let anna = server.create_user("anna").await;
    let mut device = server.signed_in("anna").await;
    let mut keeper = keeper(&server).await;
    let links = keeper.get(&page_of(&anna)).await.expect(200).attributes("main a", "href");
    assert_eq!(links.len(), 8, "{links:?}");
    for link in &links {
        let page = keeper.get(link).await.expect(200);
        let main = page.text_of("main").unwrap();
        assert!(main.contains("anna"), "{link}: {main}");
        assert!(link == "/admin/users" || !main.contains("berta"), "{link}: {main}");
    }
    let end = links.iter().find(|link| link.starts_with("/admin/sessions/")).unwrap();
    assert_eq!(keeper.submit(end, &[]).await.status, 303);
    assert!(!device.is_signed_in().await);
}

#[tokio::test]
async fn an_account_that_is_not_there_is_404_however_it_is_spelt() {
    let server = TestServer::start(Sqlite).await;
    let anna = server.create_user("anna").await;
    let mut keeper = keeper(&server).await;
    let token = keeper.get("/account").await.csrf_token().unwrap();
    let unknown = UserId::new(server.clock.now()).to_string();
    let upper = anna.id.to_string().to_uppercase();
    for id in [&unknown, "x", "anna", &upper, &anna.id.to_string()[1..], "%27%20OR%201%3D1", "*", "0"] {
        for act in ["", "/role", "/suspend", "/reinstate", "/reset-link", "/end-sessions", "/delete"] {
            let path = format!("/admin/users/{id}{act}");
            keeper.get(&path).await.expect(404);
            let fields = [("csrf_token", token.as_str()), ("role", "admin"), ("username", "xxx"), ("email", "x@x.org")];
            keeper.post(&path, &fields).await.expect(404);
        }
    }
}
