//! Forms of administrators that come when the password has to be entered first: nothing that was typed is lost.

use chrono::TimeDelta;
use portcullis::domain::Role;
use portcullis::services::accounts::lookup;
use portcullis::services::administration::users::{self, UserChange};

use crate::support::spawn::command_line;
use crate::support::*;

/// Past `reauthentication_window`.
const LONG_AGO: TimeDelta = TimeDelta::minutes(11);

const ANNETTE: [(&str, &str); 3] = [("name", "Annette <b>"), ("email", "annette@example.com"), ("username", "annette")];

/// Enters the password where the answer leads, and gives the page on which one goes on.
async fn confirm(browser: &mut Browser, asked: Page) -> Page {
    assert!(asked.asks_for_the_password(), "{} {:?}", asked.status, asked.location());
    let question = browser.get(asked.location().unwrap()).await.expect(200);
    let mut form = question.form("/confirm");
    form.fill("password", PASSWORD);
    let onward = browser.submit_form(form, &[]).await.expect(303).location().unwrap().to_owned();
    browser.get(&onward).await.expect(200)
}

#[tokio::test]
async fn what_was_typed_is_there_again_after_the_password_and_is_saved_as_it_is() {
    let server = TestServer::start(Sqlite).await;
    let anna = server.create_user("anna").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let path = format!("/admin/users/{}", anna.id);
    let edit = keeper.get(&path).await.expect(200).form(&path);
    let create = keeper.get("/admin/users/new").await.expect(200).form("/admin/users/new");
    server.clock.advance(LONG_AGO);

    let asked = keeper.submit_form(edit, &ANNETTE).await;
    let location = asked.location().unwrap().to_owned();
    assert!(!location.contains("annette") && !location.contains("example"), "typed text is in the address: {location}");
    let page = confirm(&mut keeper, asked).await;
    for (field, typed) in ANNETTE {
        assert_eq!(page.value(field).as_deref(), Some(typed));
    }
    assert!(page.text().contains("not saved yet"), "{}", page.text());
    assert!(!page.title().starts_with("Error"), "{}", page.title());
    assert_eq!(lookup::by_id(&server.services.database, anna.id).await.unwrap().username.as_str(), "anna");
    keeper.submit_form(page.form(&path), &[]).await.expect_redirect(&path);
    assert_eq!(lookup::by_id(&server.services.database, anna.id).await.unwrap().username.as_str(), "annette");

    server.clock.advance(LONG_AGO);
    let bert = [("username", "bert"), ("email", "bert@example.com"), ("name", "Bert"), ("role", "manager")];
    let asked = keeper.submit_form(create, &bert).await;
    let page = confirm(&mut keeper, asked).await;
    for (field, typed) in &bert[..3] {
        assert_eq!(page.value(field).as_deref(), Some(*typed));
    }
    assert_eq!(page.attributes("option[selected]", "value"), ["manager"]);
    keeper.submit_form(page.form("/admin/users/new"), &[("role", "manager")]).await.expect(303);
    assert_eq!(lookup::find(&server.services.database, "bert").await.unwrap().role, Role::Manager);
}

#[tokio::test]
async fn what_was_typed_comes_back_to_nobody_else_for_nothing_else_and_not_later() {
    let server = TestServer::start(Sqlite).await;
    let (anna, berta) = (server.create_user("anna").await, server.create_user("berta").await);
    server.create("boss", Role::Admin).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let path = format!("/admin/users/{}", anna.id);
    let edit = keeper.get(&path).await.expect(200).form(&path);
    server.clock.advance(LONG_AGO);
    let asked = keeper.submit_form(edit, &ANNETTE).await.expect(303);
    let question = keeper.get(asked.location().unwrap()).await.expect(200);
    let next = question.value("next").unwrap();
    let typed = next.strip_prefix(&path).unwrap();
    let name = |page: Page| page.expect(200).value("name").unwrap_or_default();

    assert_eq!(name(keeper.get(&next).await), "Annette <b>");
    assert_eq!(name(server.signed_in("boss").await.get(&next).await), "");
    assert_eq!(name(server.signed_in(KEEPER).await.get(&next).await), "");
    assert_eq!(name(keeper.get(&format!("/admin/users/{}{typed}", berta.id)).await), "");
    for forged in ["?typed=x", "?typed=", &typed[..typed.len() - 2], "?typed=name%3DForged"] {
        assert_eq!(name(keeper.get(&format!("{path}{forged}")).await), "", "{forged}");
    }
    server.clock.advance(TimeDelta::minutes(10));
    assert_eq!(name(keeper.get(&next).await), "");
}

#[tokio::test]
async fn whoever_was_overtaken_while_entering_the_password_is_told() {
    let server = TestServer::start(Sqlite).await;
    let anna = server.create_user("anna").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let path = format!("/admin/users/{}", anna.id);
    let edit = keeper.get(&path).await.expect(200).form(&path);
    server.clock.advance(LONG_AGO);
    let asked = keeper.submit_form(edit, &[("name", "Annette")]).await;
    let change = UserChange { username: None, email: None, name: Some("Anna B.".to_owned()) };
    users::update(&server.services, &command_line(), anna.id, change, &Default::default()).await.unwrap();
    let page = confirm(&mut keeper, asked).await;
    let refused = keeper.submit_form(page.form(&path), &[]).await.expect(409);
    assert!(refused.text().contains("It is now “Anna B.”"), "{}", refused.text());
    assert_eq!(refused.value("name").as_deref(), Some("Annette"));
}
