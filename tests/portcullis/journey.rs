//! The whole way of a newcomer: set up, register, sign in twice, end the other device, change the password, sign out.

use portcullis::services::accounts::links;
use rstest::rstest;

use crate::support::stores::Stores;
use crate::support::*;

/// A server as after its very first start, and the path of the link that it printed.
async fn fresh(backend: Backend) -> (TestServer, String) {
    let server = TestServer::without_administrator(Stores::new(backend).await, &[]).await;
    let link = links::issue_setup(&server.services).await.unwrap().url;
    let path = link.strip_prefix(&server.public_url).expect("a link of ours").to_owned();
    (server, path)
}

#[rstest]
#[tokio::test]
async fn a_newcomers_way_over_plain_http(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let (server, setup) = fresh(backend).await;
    let mut administrator = server.browser();
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    administrator.submit(&setup, &fields).await.expect_redirect("/account");
    assert_eq!(administrator.signed_in_as().await.as_deref(), Some(KEEPER));

    let mut laptop = server.browser();
    laptop.register("nadia").await;
    laptop.sign_out().await;
    laptop.sign_in("nadia").await;
    let mut phone = server.browser();
    phone.user_agent = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) \
                        Chrome/140.0.0.0 Mobile Safari/537.36"
        .to_owned();
    phone.sign_in("nadia").await;

    let others = laptop.other_sessions().await;
    assert_eq!(others.len(), 1);
    assert!(others[0].device.contains("Android"), "{others:?}");
    laptop.end_session(&others[0].id).await.expect_redirect("/account/sessions");
    phone.get("/account").await.expect_sign_in();

    laptop.change_password().await;
    laptop.sign_out().await;
    laptop.get("/account").await.expect_sign_in();
    laptop.try_sign_in("nadia", PASSWORD).await.expect(401);
    laptop.try_sign_in("nadia", NEW_PASSWORD).await.expect_redirect("/account");
    assert!(administrator.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn a_newcomers_way_in_chromium(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values(true, false)] javascript: bool,
) {
    let (server, setup) = fresh(backend).await;
    let laptop = Chromium::open(&server.public_url, javascript).await;
    assert_eq!(laptop.runs_scripts().await, javascript);

    laptop.goto("/").await;
    laptop.arrives("/login").await;
    assert!(laptop.text().await.contains("setup-link"), "{}", laptop.text().await);
    laptop.goto(&setup).await;
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    laptop.submit(&fields, "/account").await;
    laptop.press(".lintel form[action='/logout'] button", "/login").await;

    // A refused form, then the right one.
    laptop.goto("/register").await;
    laptop
        .submit(&[("username", "nadia"), ("email", "nadia@example.com"), ("password", "passwordpassword")], "/register")
        .await;
    assert!(laptop.title().await.starts_with("Error"), "{}", laptop.title().await);
    laptop.submit(&[("password", PASSWORD)], "/account").await;
    laptop.press(".lintel form[action='/logout'] button", "/login").await;
    laptop.submit(&[("username", "nadia"), ("password", PASSWORD)], "/account").await;

    let phone = Chromium::open(&server.public_url, javascript).await;
    phone.goto("/account/sessions").await;
    phone.arrives("/login?next=%2Faccount%2Fsessions").await;
    phone.tick("remember").await;
    phone.submit(&[("username", "nadia@example.com"), ("password", PASSWORD)], "/account/sessions").await;

    laptop.goto("/account/sessions").await;
    assert_eq!(laptop.count("section[aria-labelledby='others'] li").await, 1);
    laptop.press("section[aria-labelledby='others'] li form button", "/account/sessions").await;
    assert_eq!(laptop.count("section[aria-labelledby='others'] li").await, 0);
    phone.goto("/account").await;
    phone.arrives("/login?next=%2Faccount").await;

    laptop.goto("/account/password").await;
    laptop.submit(&[("current_password", PASSWORD), ("new_password", NEW_PASSWORD)], "/account").await;
    laptop.goto("/account/sessions").await;
    laptop.press(".lintel form[action='/logout'] button", "/login").await;

    // Neither the history nor an old password brings anything back.
    laptop.back().await;
    assert!(!laptop.text().await.contains("This device"), "the history shows a private page: {}", laptop.text().await);
    laptop.goto("/login").await;
    laptop.submit(&[("username", "nadia"), ("password", PASSWORD)], "/login").await;
    laptop.submit(&[("password", NEW_PASSWORD)], "/account").await;
    assert_eq!(laptop.console_errors().await, Vec::<String>::new());
    assert_eq!(phone.console_errors().await, Vec::<String>::new());
    laptop.quit().await;
    phone.quit().await;
}
