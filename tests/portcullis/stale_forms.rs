//! Forms that were on the screen while another tab went on: those of the same session stay good, and those of an earlier
//! sign-in come back filled in.

use portcullis::domain::Role;
use portcullis::services::accounts::lookup;
use portcullis::services::sessions::account;
use rstest::rstest;

use crate::support::*;

type Fields<'a> = &'a [(&'a str, &'a str)];

#[rstest]
#[tokio::test]
async fn a_form_stays_good_while_another_tab_enters_the_password(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut browser = server.newcomer("anna").await;
    let profile = browser.get("/account/profile").await.expect(200).form("/account/profile");
    let password = browser.get("/account/password").await.expect(200).form("/account/password");
    let before = browser.cookie();
    browser.submit("/confirm", &[("password", PASSWORD)]).await.expect_redirect("/account");
    assert_ne!(browser.cookie(), before, "the session has a new secret");

    let fields = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    browser.submit_form(password, &fields).await.expect_redirect("/account");
    browser.submit_form(profile, &[("name", "Anna A.")]).await.expect_redirect("/account/profile");
    let user = lookup::find(&server.services.database, "anna").await.unwrap();
    assert_eq!(user.name.as_deref(), Some("Anna A."));
}

#[tokio::test]
async fn a_form_of_an_earlier_sign_in_does_nothing_and_comes_back_filled_in() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let anna = server.create_user("anna").await;
    let _browsers = [server.signed_in("anna").await, server.newcomer("carl").await, server.signed_in(KEEPER).await];
    let page_of_anna = format!("/admin/users/{}", anna.id);
    let act = |name: &str| format!("{page_of_anna}/{name}");
    let end_own = format!("/account/sessions/{}/end", keeper.other_sessions().await[0].id);
    let annas = account::live(&server.services, anna.id, 1).await.unwrap().0.remove(0).id;
    let end_annas = format!("/admin/sessions/{annas}/end");
    let (suspend, reset_link, role, delete) = (act("suspend"), act("reset-link"), act("role"), act("delete"));
    let typed_profile: &[(&str, &str)] =
        &[("name", "Typed <b>"), ("email", "typed@example.com"), ("current_password", PASSWORD)];
    let passwords: &[(&str, &str)] = &[("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    let new_user: &[(&str, &str)] =
        &[("username", "bert"), ("email", "bert@example.com"), ("name", "Bert"), ("role", "manager")];
    // Page, form, what is typed, and where it goes on when it is sent again.
    let forms: [(&str, &str, Fields<'_>, Option<&str>); 14] = [
        ("/account/profile", "/account/profile", typed_profile, Some("/account/profile")),
        ("/confirm?next=%2Fadmin", "/confirm", &[("password", PASSWORD)], Some("/admin")),
        ("/account/sessions", &end_own, &[], Some("/account/sessions")),
        ("/account/sessions", "/account/sessions/end-others", &[], Some("/account/sessions")),
        ("/admin/users/new", "/admin/users/new", new_user, None),
        (&page_of_anna, &page_of_anna, &[("name", "Annette")], Some(&page_of_anna)),
        (&page_of_anna, &role, &[("role", "manager")], Some(&page_of_anna)),
        (&end_annas, &end_annas, &[], Some("/admin/sessions")),
        (&reset_link, &reset_link, &[], Some(&page_of_anna)),
        (&suspend, &suspend, &[], Some(&page_of_anna)),
        ("/admin/sessions/end?all=1", "/admin/sessions/end", &[], Some("/admin/sessions")),
        ("/admin/keys/rotate", "/admin/keys/rotate", &[], Some("/admin/keys")),
        (&delete, &delete, &[], Some("/admin/users")),
        ("/account/password", "/account/password", passwords, Some("/account")),
    ];
    for (page, action, typed, onward) in forms {
        let form = keeper.get(page).await.expect(200).form(action);
        keeper.sign_out().await;
        keeper.sign_in(KEEPER).await;
        let refused = keeper.submit_form(form, typed).await.expect(403);
        assert!(refused.text().contains("nothing was changed"), "{action}: {}", refused.text());
        assert!(refused.title().starts_with("Error: "), "{action}: {}", refused.title());
        for (field, value) in typed {
            match field.contains("password") {
                true => assert!(!refused.body.contains(value), "{action}: a password comes back"),
                false if *field == "role" => {
                    let chosen = refused.attributes("option[selected]", "value");
                    assert!(chosen.contains(&(*value).to_owned()), "{action}: {chosen:?}");
                }
                false => assert_eq!(refused.value(field).as_deref(), Some(*value), "{action}"),
            }
        }
        let anew = typed.iter().filter(|(field, _)| field.contains("password") || *field == "role").copied();
        let again = keeper.submit_form(refused.form(action), &anew.collect::<Vec<_>>()).await;
        assert_eq!(again.status, 303, "{action}: {}", again.excerpt());
        if let Some(onward) = onward {
            assert_eq!(again.location(), Some(onward), "{action}");
        }
    }
    let bert = lookup::find(&server.services.database, "bert").await.unwrap();
    assert_eq!((bert.role, bert.name.as_deref()), (Role::Manager, Some("Bert")));
}

/// Whoever is signed in now sees what it would do, and to whom, before it is done.
#[tokio::test]
async fn a_form_filled_in_by_somebody_else_in_the_same_browser_is_shown_and_not_done() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("berta").await;
    let mut browser = server.newcomer("anna").await;
    let sign_out = browser.get("/account").await.expect(200).form("/logout");
    let profile = browser.get("/account/profile").await.expect(200).form("/account/profile");
    browser.sign_out().await;
    browser.sign_in("berta").await;
    let page = browser.submit_form(profile, &[("name", "Anna")]).await.expect(403);
    assert_eq!(page.text_of(".who").as_deref(), Some("berta"));
    assert_eq!(lookup::find(&server.services.database, "berta").await.unwrap().name, None);
    browser.submit_form(sign_out, &[]).await.expect(403).form("/logout");
    assert_eq!(browser.signed_in_as().await.as_deref(), Some("berta"));
}
