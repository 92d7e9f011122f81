//! Forms that come twice: by a double click, or because the answer to the first was lost and the browser has its old
//! cookie still. The second ends where the first did. Nobody else gets anywhere with an old cookie.

use std::time::Duration;

use chrono::TimeDelta;
use portcullis::domain::audit_list::AuditFilter;
use portcullis::services::accounts::links;
use portcullis::services::{audit, maintenance, sessions};
use rstest::rstest;

use crate::support::page::Form;
use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;

type Fields<'a> = &'a [(&'a str, &'a str)];

/// The forms that give a session that there is a new secret: page, fields, and where it goes on.
const RENEWING: [(&str, Fields<'_>, &str); 2] = [
    ("/confirm", &[("password", PASSWORD)], "/account"),
    ("/account/password", &[("current_password", PASSWORD), ("new_password", NEW_PASSWORD)], "/account"),
];

/// Fills in the form at `path`.
async fn filled(browser: &mut Browser, path: &str, fields: &[(&str, &str)]) -> Form {
    let mut form = browser.get(path).await.expect(200).form(path);
    fields.iter().for_each(|(name, value)| form.fill(name, value));
    form
}

async fn open_sessions(server: &TestServer, name: &str) -> i64 {
    let id = server.id_of(name).await;
    sessions::account::live(&server.services, id, 10).await.unwrap().1.browser
}

async fn events(server: &TestServer) -> usize {
    let filter = AuditFilter::default();
    audit::search(&server.services, &command_line(), &filter, None, 200).await.unwrap().events.len()
}

#[rstest]
#[tokio::test]
async fn a_password_form_whose_answer_was_lost_is_answered_again_on_any_node(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let node = server.second_node().await;
    let mut browser = server.newcomer("anna").await;
    for (path, fields, onward) in RENEWING {
        let form = filled(&mut browser, path, fields).await;
        let mut lost = browser.clone();
        lost.submit_form(form.clone(), &[]).await.expect_redirect(onward);
        let noted = events(&server).await;

        let before = browser.cookie();
        let mut elsewhere = browser.clone().at(&node);
        elsewhere.submit_form(form.clone(), &[]).await.expect_redirect(onward);
        browser.submit_form(form, &[]).await.expect_redirect(onward);
        assert_ne!(browser.cookie(), before, "{path}");
        assert_eq!((browser.cookie(), elsewhere.cookie()), (lost.cookie(), lost.cookie()), "{path}");
        assert!(browser.is_signed_in().await && elsewhere.is_signed_in().await, "{path}");
        assert_eq!(events(&server).await, noted, "{path}: it was done again");
        assert_eq!(open_sessions(&server, "anna").await, 1, "{path}");
    }
    // What the second tells is what the first would have told.
    let mut told = server.browser();
    told.try_sign_in("anna", NEW_PASSWORD).await.expect(303);
    let back = [("current_password", NEW_PASSWORD), ("new_password", PASSWORD)];
    let form = filled(&mut told, "/account/password", &back).await;
    told.clone().submit_form(form.clone(), &[]).await.expect(303);
    told.submit_form(form, &[]).await.expect(303);
    assert!(told.get("/account").await.text().contains("Your password is changed."));
}

#[rstest]
#[tokio::test]
async fn an_old_cookie_alone_gets_nobody_anything(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut browser = server.newcomer("anna").await;
    // The thief has looked at every page while the cookie was good.
    let thief = browser.clone();
    let of_thief = thief.clone().get("/confirm").await.expect(200).form("/confirm");
    let form = filled(&mut browser, "/confirm", &[("password", PASSWORD)]).await;
    browser.submit_form(form.clone(), &[]).await.expect_redirect("/account");

    let with = |name: &str, value: &str| {
        let mut form = form.clone();
        form.fields.retain(|(field, _)| field != name);
        form.fields.push((name.to_owned(), value.to_owned()));
        form
    };
    let without = |name: &str| {
        let mut form = form.clone();
        form.fields.retain(|(field, _)| field != name);
        form
    };
    let elsewhere = Form { action: "/account/password".to_owned(), ..form.clone() };
    let reordered = Form { fields: form.fields.iter().rev().cloned().collect(), ..form.clone() };
    let others = [
        with("password", "not the password"),
        with("password", ""),
        with("form_id", &of_thief.fields.iter().find(|(name, _)| name == "form_id").unwrap().1),
        with("form_id", ""),
        with("next", "/admin"),
        with("more", "x"),
        without("form_id"),
        without("csrf_token"),
        elsewhere,
        reordered,
    ];
    for other in others {
        let shown = format!("{other:?}");
        let page = thief.clone().submit_form(other, &[]).await;
        assert!(page.asks_to_sign_in(), "{shown}: {} {}", page.status, page.excerpt());
        assert!(page.set_cookies().is_empty(), "{shown}: {:?}", page.set_cookies());
    }
    let mut filled_in = of_thief;
    filled_in.fill("password", PASSWORD);
    thief.clone().submit_form(filled_in, &[]).await.expect_sign_in();
    for path in ["/account", "/confirm", "/account/password", "/logout"] {
        thief.clone().get(path).await.expect_sign_in();
    }
    // Nor does the form without the cookie, or with that of somebody else.
    server.browser().submit_form(form.clone(), &[]).await.expect_sign_in();
    server.newcomer("mallory").await.submit_form(form, &[]).await.expect(403);
    assert!(browser.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn after_a_minute_or_an_end_nothing_is_answered_again(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    for (path, fields, onward) in RENEWING {
        let name = path.rsplit('/').next().unwrap();
        let mut browser = server.newcomer(name).await;
        let form = filled(&mut browser, path, fields).await;
        let mut old = browser.clone();
        browser.submit_form(form.clone(), &[]).await.expect_redirect(onward);
        server.clock.advance(TimeDelta::seconds(45));
        old.clone().submit_form(form.clone(), &[]).await.expect_redirect(onward);
        server.clock.advance(TimeDelta::seconds(15));
        old.submit_form(form, &[]).await.expect_sign_in();
        assert!(browser.is_signed_in().await);
    }
    for (number, (path, fields, onward)) in RENEWING.into_iter().enumerate() {
        let mut browser = server.newcomer(&format!("ended{number}")).await;
        let form = filled(&mut browser, path, fields).await;
        let mut old = browser.clone();
        browser.submit_form(form.clone(), &[]).await.expect_redirect(onward);
        browser.sign_out().await;
        old.submit_form(form, &[]).await.expect_sign_in();
        assert!(!old.is_signed_in().await);
    }
}

/// A script may send the same id for ever: its forms are no repeats of each other, and each gives a new secret or nothing.
#[tokio::test]
async fn a_form_that_is_sent_again_gives_no_former_secret_again() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let form = filled(&mut browser, "/confirm", &[("password", PASSWORD)]).await;
    browser.submit_form(form.clone(), &[]).await.expect(303);
    // Somebody copies the cookie, and the owner enters the password once more.
    let mut thief = browser.clone();
    browser.submit("/confirm", &[("password", PASSWORD)]).await.expect(303);
    assert!(!thief.is_signed_in().await);
    // The first form is still open in a tab.
    for wait in [TimeDelta::zero(), TimeDelta::minutes(2)] {
        server.clock.advance(wait);
        let before = browser.cookie();
        browser.submit_form(form.clone(), &[]).await.expect(303);
        assert_ne!(browser.cookie(), before);
        assert_ne!(browser.cookie(), thief.cookie());
        assert!(browser.is_signed_in().await && !thief.is_signed_in().await);
    }
}

#[rstest]
#[tokio::test]
async fn a_sign_in_that_is_answered_again_ends_the_session_of_another_tab(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    server.create_user("anna").await;
    let mut browser = server.browser();
    let fields = [("username", "anna"), ("password", PASSWORD)];
    let [first, second] =
        [filled(&mut browser, "/login", &fields).await, filled(&mut browser, "/login", &fields).await];
    let mut lost = browser.clone();
    lost.submit_form(first.clone(), &[]).await.expect(303);
    browser.submit_form(second, &[]).await.expect(303);
    assert!(browser.is_signed_in().await);
    let mut other_tab = browser.clone();
    browser.submit_form(first, &[]).await.expect(303);
    assert_eq!(browser.cookie(), lost.cookie());
    assert!(browser.is_signed_in().await && !other_tab.is_signed_in().await);
    assert_eq!(open_sessions(&server, "anna").await, 1);
}

#[rstest]
#[tokio::test]
async fn forms_that_come_at_the_same_moment_end_in_one_session(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::with(backend, &[("login_rate", "1000/1m")]).await;
    server.create_user("anna").await;
    let fields = [("username", "anna"), ("password", PASSWORD)];
    let mut guest = server.browser();
    let login = filled(&mut guest, "/login", &fields).await;
    let mut browser = twice(&guest, login, "/account").await;
    assert_eq!(open_sessions(&server, "anna").await, 1);
    for (path, fields, onward) in RENEWING {
        let form = filled(&mut browser, path, fields).await;
        browser = twice(&browser, form, onward).await;
        assert_eq!(open_sessions(&server, "anna").await, 1, "{path}");
    }
    let mut guest = server.browser();
    let fields = [("username", "berta"), ("email", "berta@example.com"), ("password", PASSWORD)];
    let register = filled(&mut guest, "/register", &fields).await;
    twice(&guest, register, "/account").await;
    assert_eq!(open_sessions(&server, "berta").await, 1);
}

/// Sends a form twice at once; the browser with either answer is signed in, with the same cookie.
async fn twice(browser: &Browser, form: Form, onward: &str) -> Browser {
    let (mut one, mut two) = (browser.clone(), browser.clone());
    let (first, second) = tokio::join!(one.submit_form(form.clone(), &[]), two.submit_form(form, &[]));
    first.expect_redirect(onward);
    second.expect_redirect(onward);
    assert_eq!(one.cookie(), two.cookie());
    assert!(one.is_signed_in().await);
    one
}

#[rstest]
#[tokio::test]
async fn a_form_that_opens_a_session_opens_one(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::without_administrator(Stores::new(backend).await, &[]).await;
    let link = links::issue_setup(&server.services).await.unwrap().url;
    let setup = link.strip_prefix(&server.public_url).unwrap().to_owned();
    let keeper = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    let anna = [("username", "anna"), ("email", "anna@example.com"), ("password", PASSWORD)];
    let login = [("username", "anna"), ("password", PASSWORD)];
    for (path, name, fields) in
        [(setup.as_str(), KEEPER, &keeper[..]), ("/register", "anna", &anna), ("/login", "anna", &login)]
    {
        let mut guest = server.browser();
        let form = filled(&mut guest, path, fields).await;
        let mut first = guest.clone();
        first.submit_form(form.clone(), &[]).await.expect_redirect("/account");
        let noted = events(&server).await;
        let mut second = guest.clone();
        second.submit_form(form.clone(), &[]).await.expect_redirect("/account");
        assert_eq!(second.cookie(), first.cookie(), "{path}");
        assert_eq!(second.signed_in_as().await.as_deref(), Some(name), "{path}");
        // A click that comes when the new cookie is there already.
        second.submit_form(form.clone(), &[]).await.expect_redirect("/account");
        assert!(second.is_signed_in().await && first.is_signed_in().await, "{path}");
        assert_eq!(open_sessions(&server, name).await, 1, "{path}");
        assert_eq!(events(&server).await, noted, "{path}: it was done again");

        // Another password, or another form, is none of this.
        let mut wrong = form.clone();
        wrong.fill("password", NEW_PASSWORD);
        let refused = guest.clone().submit_form(wrong, &[]).await;
        assert!(matches!(refused.status, 401 | 409 | 410), "{path}: {}", refused.status);
        first.sign_out().await;
        if path != "/login" {
            let ended = guest.submit_form(form, &[]).await;
            assert!(matches!(ended.status, 409 | 410), "{path}: {}", ended.status);
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_reset_and_a_new_account_that_come_twice_are_answered_twice(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let anna = server.create_user("anna").await;
    let link = links::issue_reset(&server.services, &command_line(), anna.id, &Default::default()).await.unwrap().url;
    let reset = link.strip_prefix(&server.public_url).unwrap().to_owned();
    let mut browser = server.browser();
    let form = filled(&mut browser, &reset, &[("new_password", NEW_PASSWORD)]).await;
    browser.clone().submit_form(form.clone(), &[]).await.expect_redirect("/login");
    browser.submit_form(form.clone(), &[]).await.expect_redirect("/login");
    assert!(browser.get("/login").await.text().contains("Your password is set."));
    let mut wrong = form.clone();
    wrong.fill("new_password", PASSWORD);
    server.browser().submit_form(wrong, &[]).await.expect(410);
    browser.get(&reset).await.expect(410);
    server.clock.advance(TimeDelta::minutes(1));
    server.browser().submit_form(form, &[]).await.expect(410);

    let mut keeper = server.signed_in(KEEPER).await;
    let fields = [("username", "bert"), ("email", "bert@example.com")];
    let form = filled(&mut keeper, "/admin/users/new", &fields).await;
    let mut lost = keeper.clone();
    let first = lost.submit_form(form.clone(), &[]).await.expect(303).location().unwrap().to_owned();
    keeper.submit_form(form.clone(), &[]).await.expect_redirect(&first);
    let shown = |page: Page| page.text_of("[data-copy]").expect("a link to hand over");
    let handed_over = shown(keeper.get(&first).await);
    assert_eq!(handed_over, shown(lost.get(&first).await));
    let path = handed_over.strip_prefix(&server.public_url).unwrap();
    server.browser().submit(path, &[("new_password", PASSWORD)]).await.expect_redirect("/login");
    // The link was used: it does not come again.
    keeper.submit_form(form, &[]).await.expect(409);

    // An edit is not overtaken by itself.
    let edit = filled(&mut keeper, &first, &[("name", "Bert B.")]).await;
    keeper.clone().submit_form(edit.clone(), &[]).await.expect_redirect(&first);
    keeper.submit_form(edit, &[]).await.expect_redirect(&first);
}

#[tokio::test]
async fn a_double_click_in_chromium_on_a_slow_line_ends_where_one_click_would() {
    let server = TestServer::start(SqliteRedis).await;
    let chromium = Chromium::open(&server.public_url, true).await;
    chromium.slow_down(Duration::from_millis(200)).await;
    let button = "main form button[type='submit']";
    chromium.goto("/register").await;
    for (field, text) in [("username", "anna"), ("email", "anna@example.com"), ("password", PASSWORD)] {
        chromium.fill(field, text).await;
    }
    chromium.click_twice(button, Duration::from_millis(150)).await;
    chromium.arrives("/account").await;
    for (path, fields, onward) in RENEWING {
        chromium.goto(path).await;
        for (field, text) in fields {
            chromium.fill(field, text).await;
        }
        chromium.click_twice(button, Duration::from_millis(150)).await;
        chromium.arrives(onward).await;
        assert_eq!(chromium.texts(".who").await, ["anna"], "{path}");
    }
    let said = chromium.text().await;
    assert!(said.contains("Your password is changed."), "{said}");
    assert_eq!(open_sessions(&server, "anna").await, 1);
    chromium.quit().await;
}

#[rstest]
#[tokio::test]
async fn a_session_whose_cookie_nobody_ever_showed_ends_by_itself_soon(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    for name in ["looked", "away", "confirmed", "repeated"] {
        server.create_user(name).await;
    }
    let program = server.program("away").await;
    let mut looked = server.browser();
    looked.sign_in_remembered("looked").await;
    assert!(looked.is_signed_in().await);
    let mut confirmed = server.signed_in("confirmed").await;
    assert!(confirmed.is_signed_in().await);
    // The cookies of these are never shown: of a sign-in, and of an entry of the password, also where it was repeated.
    server.browser().sign_in_remembered("away").await;
    confirmed.submit("/confirm", &[("password", PASSWORD)]).await.expect(303);
    let mut repeated = server.signed_in("repeated").await;
    let form = filled(&mut repeated, "/confirm", &[("password", PASSWORD)]).await;
    repeated.clone().submit_form(form.clone(), &[]).await.expect(303);
    repeated.clone().submit_form(form, &[]).await.expect(303);

    server.clock.advance(TimeDelta::minutes(9));
    maintenance::sweep(&server.services).await.unwrap();
    for name in ["looked", "away", "confirmed", "repeated"] {
        assert!(open_sessions(&server, name).await >= 1, "{name}");
    }
    server.clock.advance(TimeDelta::minutes(2));
    maintenance::sweep(&server.services).await.unwrap();
    assert_eq!(open_sessions(&server, "looked").await, 1);
    for name in ["away", "confirmed", "repeated"] {
        assert_eq!(open_sessions(&server, name).await, 0, "{name}");
    }
    assert!(looked.is_signed_in().await);
    assert!(!confirmed.is_signed_in().await);
    assert_eq!(program.get("/api/v1/me").await.status, 200);
}
