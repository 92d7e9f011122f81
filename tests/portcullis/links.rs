//! One-time links, and the first of them: the one that makes an administrator.

use portcullis::domain::audit::Client;
use portcullis::domain::{Role, User};
use portcullis::services::accounts::{links, lookup};
use portcullis::services::administration::user_acts;
use rstest::rstest;
use serde_json::json;

use crate::support::spawn::command_line;
use crate::support::*;

#[tokio::test]
async fn nobody_can_take_the_administrators_names_or_register_before_there_is_one() {
    let server = TestServer::without_administrator(stores::Stores::new(Sqlite).await, &[]).await;
    server.browser().get("/register").await.expect(403);
    let fields = [("username", "first"), ("email", "first@example.com"), ("password", PASSWORD)];
    server.browser().post("/register", &fields).await.expect(403);
    assert!(server.browser().get("/login").await.expect(200).text().contains("setup-link"), "no hint on /login");
    let link = links::issue_setup(&server.services).await.unwrap();
    let path = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    let mut administrator = server.browser();
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    administrator.submit(&path, &fields).await.expect_redirect("/account");
    assert_eq!(lookup::find(&server.services.database, KEEPER).await.unwrap().role, Role::Admin);

    // The link is used up, also for who had the page open.
    let again = [("username", "second"), ("email", "second@example.com"), ("password", PASSWORD)];
    server.browser().post(&path, &again).await.expect(410);
    server.browser().get(&path).await.expect(410);
    assert!(lookup::find(&server.services.database, "second").await.is_err());
    for (name, email) in [(KEEPER, "x@example.com"), ("Keeper", "y@example.com"), ("z1z", "KEEPER@example.com")] {
        server.browser().try_register(name, email, PASSWORD).await.expect(409);
    }
    for name in ["admin", "root", "administrator"] {
        let page = server.browser().try_register(name, &format!("{name}@example.com"), PASSWORD).await;
        if page.status == 303 {
            assert_eq!(lookup::find(&server.services.database, name).await.unwrap().role, Role::User);
        }
    }
}

#[tokio::test]
async fn a_mail_scanner_that_fetches_a_link_does_not_use_it_up() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let (auth, client) = (command_line(), Client::default());
    let old = links::issue_reset(&server.services, &auth, user, &client).await.unwrap().url;
    let link = links::issue_reset(&server.services, &auth, user, &client).await.unwrap().url;
    let path = |link: &str| link.strip_prefix(&server.public_url).unwrap().to_owned();
    for method in ["GET", "HEAD", "GET", "OPTIONS"] {
        server.browser().send(method.parse().unwrap(), &path(&link), &[], None).await;
    }
    server.browser().get(&path(&old)).await.expect(410);
    let cut = &path(&link)[..path(&link).len() - 1];
    server.browser().get(cut).await.expect(410);
    // Twenty at once: one changes the password.
    let (reset, fields) = (path(&link), [("new_password", NEW_PASSWORD)]);
    let all = (0..20).map(|_| {
        let mut browser = server.browser();
        let reset = reset.clone();
        async move { browser.post(&reset, &fields).await.status }
    });
    let statuses = futures_util::future::join_all(all).await;
    expect_one(&statuses, 303, 410);
    server.browser().try_sign_in("anna", NEW_PASSWORD).await.expect_redirect("/account");
}

#[tokio::test]
async fn a_one_time_link_ends_with_its_time() {
    let server = TestServer::without_administrator(stores::Stores::new(Sqlite).await, &[]).await;
    let link = links::issue_setup(&server.services).await.unwrap().url;
    let path = link.strip_prefix(&server.public_url).unwrap().to_owned();
    server.clock.advance(chrono::TimeDelta::minutes(59));
    server.browser().get(&path).await.expect(200);
    server.clock.advance(chrono::TimeDelta::minutes(2));
    server.browser().get(&path).await.expect(410);
    let fields = [("username", "late"), ("email", "late@example.com"), ("password", PASSWORD)];
    server.browser().post(&path, &fields).await.expect(410);

    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let link = links::issue_reset(&server.services, &command_line(), user, &Client::default()).await.unwrap().url;
    let path = link.strip_prefix(&server.public_url).unwrap().to_owned();
    server.clock.advance(chrono::TimeDelta::hours(24) + chrono::TimeDelta::minutes(1));
    server.browser().post(&path, &[("new_password", NEW_PASSWORD)]).await.expect(410);
}

#[tokio::test]
async fn a_suspension_voids_the_reset_link_and_no_reinstatement_revives_it() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let (auth, client) = (command_line(), Client::default());
    let link = links::issue_reset(&server.services, &auth, user, &client).await.unwrap().url;
    let path = link.strip_prefix(&server.public_url).unwrap().to_owned();
    server.browser().get(&path).await.expect(200);
    user_acts::suspend(&server.services, &auth, user, &client).await.unwrap();
    let fields = [("new_password", NEW_PASSWORD)];
    server.browser().post(&path, &fields).await.expect(410);
    user_acts::reinstate(&server.services, &auth, user, &client).await.unwrap();
    server.browser().post(&path, &fields).await.expect(410);
    server.browser().try_sign_in("anna", PASSWORD).await.expect_redirect("/account");
}

#[tokio::test]
async fn pages_whose_address_is_a_secret_tell_it_to_nobody() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let link = links::issue_reset(&server.services, &command_line(), user, &Client::default()).await.unwrap();
    let page = server.browser().get(link.url.strip_prefix(&server.public_url).unwrap()).await.expect(200);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let addresses = page.attributes("[src], [href]", "src").into_iter().chain(page.attributes("[href]", "href"));
    for address in addresses {
        assert!(address.starts_with('/') || address.starts_with('#'), "{address} is asked of someone else");
    }
}

/// The path of a new reset link.
async fn reset_link(server: &TestServer, user: &User) -> String {
    let link = links::issue_reset(&server.services, &command_line(), user.id, &Client::default()).await.unwrap();
    link.url.strip_prefix(&server.public_url).unwrap().to_owned()
}

/// What makes a link that was handed out worth nothing.
#[derive(Clone, Copy, Debug)]
enum Voids {
    Suspension,
    Deletion,
    PasswordChanged,
    EmailChangedByTheOwner,
    EmailChangedByAnAdministrator,
}

#[rstest]
#[tokio::test]
async fn a_link_is_void_once_the_account_is_not_what_it_was_made_for(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
    #[values(
        Voids::Suspension,
        Voids::Deletion,
        Voids::PasswordChanged,
        Voids::EmailChangedByTheOwner,
        Voids::EmailChangedByAnAdministrator
    )]
    how: Voids,
) {
    let server = TestServer::start(backend).await;
    let user = server.create_user("ursula").await;
    let other = server.create_user("other").await;
    let mut owner = server.signed_in("ursula").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let (link, link_of_other) = (reset_link(&server, &user).await, reset_link(&server, &other).await);
    let page = format!("/admin/users/{}", user.id);
    server.browser().get(&link).await.expect(200);
    let new_email = ("email", "moved@example.com");
    match how {
        Voids::Suspension => drop(keeper.submit(&format!("{page}/suspend"), &[]).await.expect(303)),
        Voids::Deletion => drop(keeper.submit(&format!("{page}/delete"), &[]).await.expect(303)),
        Voids::PasswordChanged => drop(owner.change_password().await),
        Voids::EmailChangedByTheOwner => {
            let fields = [new_email, ("current_password", PASSWORD)];
            owner.submit("/account/profile", &fields).await.expect(303);
        }
        Voids::EmailChangedByAnAdministrator => drop(keeper.submit(&page, &[new_email]).await.expect(303)),
    }
    server.browser().get(&link).await.expect(410);
    server.browser().post(&link, &[("new_password", "a third way through the marsh")]).await.expect(410);
    server.browser().try_sign_in("ursula", "a third way through the marsh").await.expect(401);
    // Nobody else's.
    server.browser().submit(&link_of_other, &[("new_password", NEW_PASSWORD)]).await.expect(303);
}

#[tokio::test]
async fn a_link_of_a_suspended_account_sets_a_password_and_lets_nobody_in() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("ursula").await;
    user_acts::suspend(&server.services, &command_line(), user.id, &Client::default()).await.unwrap();
    let link = reset_link(&server, &user).await;
    server.browser().submit(&link, &[("new_password", NEW_PASSWORD)]).await.expect_redirect("/login");
    server.browser().try_sign_in("ursula", NEW_PASSWORD).await.expect(401);
    let login = json!({ "username": "ursula", "password": NEW_PASSWORD });
    assert_eq!(ApiClient::new(&server).post("/api/v1/auth/login", &login).await.status, 401);
    user_acts::reinstate(&server.services, &command_line(), user.id, &Client::default()).await.unwrap();
    server.browser().try_sign_in("ursula", PASSWORD).await.expect(401);
    server.browser().try_sign_in("ursula", NEW_PASSWORD).await.expect_redirect("/account");
}

#[tokio::test]
async fn a_link_that_was_changed_in_any_character_opens_nothing() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("ursula").await;
    let link = reset_link(&server, &user).await;
    let token = link.strip_prefix("/reset/").unwrap();
    let setup = format!("/setup/{token}");
    let bent: Vec<String> = (0..token.len())
        .map(|place| {
            let mut bytes = token.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            format!("/reset/{}", String::from_utf8(bytes).unwrap())
        })
        .chain((1..4).map(|cut| format!("/reset/{}", &token[cut..])))
        .chain((1..4).map(|cut| format!("/reset/{}", &token[..token.len() - cut])))
        .chain([format!("{link}="), format!("{link}A"), format!("/reset/{}", token.to_uppercase()), setup])
        .filter(|bent| *bent != link)
        .collect();
    for bent in &bent {
        server.browser().get(bent).await.expect(410);
        server.browser().post(bent, &[("new_password", NEW_PASSWORD)]).await.expect(410);
    }
    server.browser().submit(&link, &[("new_password", NEW_PASSWORD)]).await.expect_redirect("/login");
}
