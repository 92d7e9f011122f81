//! One-time links, and the first of them: the one that makes an administrator.

use crate::support::spawn::command_line;
use crate::support::*;
use portcullis::domain::Role;
use portcullis::domain::audit::Client;

#[tokio::test]
async fn nobody_can_take_the_administrators_names_or_register_before_there_is_one() {
    let server = TestServer::without_administrator(stores::Stores::new(Sqlite).await, &[]).await;
    server.browser().get("/register").await.expect(403);
    let fields = [("username", "first"), ("email", "first@example.com"), ("password", PASSWORD)];
    server.browser().post("/register", &fields).await.expect(403);
    assert!(server.browser().get("/login").await.expect(200).text().contains("setup-link"), "no hint on /login");
    let link = server.services.issue_setup_link().await.unwrap();
    let path = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    let mut administrator = server.browser();
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    administrator.submit(&path, &fields).await.expect_redirect("/account");
    assert_eq!(server.services.find_user(KEEPER).await.unwrap().role, Role::Admin);

    // The link is used up, also for who had the page open.
    let again = [("username", "second"), ("email", "second@example.com"), ("password", PASSWORD)];
    server.browser().post(&path, &again).await.expect(410);
    server.browser().get(&path).await.expect(410);
    assert!(server.services.find_user("second").await.is_err());
    for (name, email) in [(KEEPER, "x@example.com"), ("Keeper", "y@example.com"), ("z1z", "KEEPER@example.com")] {
        server.browser().try_register(name, email, PASSWORD).await.expect(409);
    }
    for name in ["admin", "root", "administrator"] {
        let page = server.browser().try_register(name, &format!("{name}@example.com"), PASSWORD).await;
        if page.status == 303 {
            assert_eq!(server.services.find_user(name).await.unwrap().role, Role::User);
        }
    }
}

#[tokio::test]
async fn a_mail_scanner_that_fetches_a_link_does_not_use_it_up() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let (steward, client) = (command_line(), Client::default());
    let old = server.services.issue_reset_link(&steward, user, &client).await.unwrap().url;
    let link = server.services.issue_reset_link(&steward, user, &client).await.unwrap().url;
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
    assert_eq!(statuses.iter().filter(|&&status| status == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 410).count(), 19, "{statuses:?}");
    server.browser().try_sign_in("anna", NEW_PASSWORD).await.expect_redirect("/account");
}

#[tokio::test]
async fn a_one_time_link_ends_with_its_time() {
    let server = TestServer::without_administrator(stores::Stores::new(Sqlite).await, &[]).await;
    let link = server.services.issue_setup_link().await.unwrap().url;
    let path = link.strip_prefix(&server.public_url).unwrap().to_owned();
    server.clock.advance(chrono::TimeDelta::minutes(59));
    server.browser().get(&path).await.expect(200);
    server.clock.advance(chrono::TimeDelta::minutes(2));
    server.browser().get(&path).await.expect(410);
    let fields = [("username", "late"), ("email", "late@example.com"), ("password", PASSWORD)];
    server.browser().post(&path, &fields).await.expect(410);

    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let link = server.services.issue_reset_link(&command_line(), user, &Client::default()).await.unwrap().url;
    let path = link.strip_prefix(&server.public_url).unwrap().to_owned();
    server.clock.advance(chrono::TimeDelta::hours(24) + chrono::TimeDelta::minutes(1));
    server.browser().post(&path, &[("new_password", NEW_PASSWORD)]).await.expect(410);
}

#[tokio::test]
async fn c40_a_suspension_voids_the_reset_link_and_no_reinstatement_revives_it() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let (steward, client) = (command_line(), Client::default());
    let link = server.services.issue_reset_link(&steward, user, &client).await.unwrap().url;
    let path = link.strip_prefix(&server.public_url).unwrap().to_owned();
    server.browser().get(&path).await.expect(200);
    server.services.suspend(&steward, user, &client).await.unwrap();
    let fields = [("new_password", NEW_PASSWORD)];
    server.browser().post(&path, &fields).await.expect(410);
    server.services.reinstate(&steward, user, &client).await.unwrap();
    server.browser().post(&path, &fields).await.expect(410);
    server.browser().try_sign_in("anna", PASSWORD).await.expect_redirect("/account");
}

#[tokio::test]
async fn pages_whose_address_is_a_secret_tell_it_to_nobody() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let link = server.services.issue_reset_link(&command_line(), user, &Client::default()).await.unwrap();
    let page = server.browser().get(link.url.strip_prefix(&server.public_url).unwrap()).await.expect(200);
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let addresses = page.attributes("[src], [href]", "src").into_iter().chain(page.attributes("[href]", "href"));
    for address in addresses {
        assert!(address.starts_with('/') || address.starts_with('#'), "{address} is asked of someone else");
    }
}
