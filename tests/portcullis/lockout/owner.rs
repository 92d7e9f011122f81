//! The owner, while a stranger holds the lock.

use chrono::TimeDelta;
use portcullis::domain::audit::Client;
use portcullis::services::accounts::links;
use rstest::rstest;
use serde_json::json;

use super::{FIVE, WRONG, attempt, lock, server_on};
use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn the_owner_gets_into_a_known_browser_while_a_stranger_holds_the_lock(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values("http://127.0.0.1:8080", "https://auth.example.test")] public_url: &str,
) {
    let server = TestServer::with(backend, &[FIVE, ("public_url", public_url)]).await;
    let second = server.second_node().await;
    let name = if public_url.starts_with("https") { "__Host-portcullis-device" } else { "portcullis-device" };
    server.create_user("anna").await;
    let mut open = server.signed_in("anna").await;
    let mut known = server.browser();
    let cookie = known.sign_in("anna").await.set_cookies().into_iter().find(|cookie| cookie.name == name);
    let cookie = cookie.expect("a device cookie");
    assert_eq!(cookie.max_age(), Some(365 * 24 * 3600));
    known.sign_out().await;
    known.jar.close();
    assert_eq!(known.jar.get(name), Some(cookie.value.as_str()), "it ends with the session");

    lock(&server, "anna").await;
    for node in [&server, &second, &server] {
        known.go_to(node);
        known.sign_in("anna").await;
        known.sign_out().await;
        attempt(&second, "anna", WRONG).await.expect(429);
    }
    assert_eq!(known.jar.get(name), Some(cookie.value.as_str()), "the same browser gets another count");
    // A session that was open goes on, with all that asks for the password.
    assert!(open.is_signed_in().await);
    open.submit("/confirm", &[("password", PASSWORD)]).await.expect(303);

    // The browser's own count ends too, and locks nobody else.
    server.clock.advance(TimeDelta::minutes(16));
    for node in [&server, &second].into_iter().cycle().take(5) {
        known.go_to(node);
        known.try_sign_in("anna", WRONG).await.expect(401);
    }
    known.try_sign_in("anna", PASSWORD).await.expect(429);
    open.sign_out().await;
    open.sign_in("anna").await;
    attempt(&server, "anna", PASSWORD).await.expect(303);
}

#[tokio::test]
async fn a_device_cookie_is_good_for_one_account_and_one_password() {
    let server = server_on(Sqlite).await;
    let device = |browser: &Browser| browser.jar.get("portcullis-device").expect("a device cookie").to_owned();
    let mut anna = server.newcomer("anna").await;
    let mallory = server.newcomer("mallory").await;
    let (annas, mallorys) = (device(&anna), device(&mallory));
    lock(&server, "anna").await;
    // What begins like one and ends like the other.
    let spliced = |one: &str, other: &str, at: usize| format!("{}{}", &one[..at], &other[at..]);
    let half = annas.len() / 2;
    let forged = [
        mallorys.clone(),
        spliced(&annas, &mallorys, half),
        spliced(&mallorys, &annas, half),
        annas.to_uppercase(),
        "x".into(),
    ];
    for value in forged {
        let mut stranger = server.browser();
        stranger.jar.set("portcullis-device", &value);
        stranger.post("/login", &[("username", "anna"), ("password", PASSWORD)]).await.expect(429);
    }
    // It opens nothing by itself.
    let mut thief = server.browser();
    thief.jar.set("portcullis-device", &annas);
    assert!(!thief.is_signed_in().await);

    // The browser in which the password was changed stays known; cookies of before are worth nothing.
    anna.change_password().await;
    assert_ne!(device(&anna), annas);
    for _ in 0..5 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    let new = [("username", "anna"), ("password", NEW_PASSWORD)];
    thief.post("/login", &new).await.expect(429);
    anna.sign_out().await;
    anna.post("/login", &new).await.expect(303);
}

#[tokio::test]
async fn someone_who_registers_or_sets_up_is_known_in_that_browser() {
    let server = server_on(Sqlite).await;
    let mut anna = server.browser();
    anna.register("anna").await;
    anna.sign_out().await;
    lock(&server, "anna").await;
    anna.sign_in("anna").await;
}

/// Signs in as a program would, in a browser with this device cookie.
async fn log_in(server: &TestServer, device: &str, name: &str, password: &str) -> Page {
    let cookie = format!("portcullis-device={device}");
    let body = json!({ "username": name, "password": password });
    ApiClient::new(server).json_with("POST", "/api/v1/auth/login", &body, &[("cookie", &cookie)]).await
}

#[rstest]
#[tokio::test]
async fn a_browser_is_known_to_each_of_the_last_accounts_that_signed_in_there(
    #[values(Sqlite, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let names = ["anna", "berta", "carla", "doris", "elsa", "frieda"];
    let mut shared = server.browser();
    for name in names {
        server.create_user(name).await;
        // Over the session of the one before, and after a sign-out.
        shared.post("/login", &[("username", name), ("password", PASSWORD)]).await.expect(303);
        if name == "carla" {
            shared.sign_out().await;
        }
    }
    shared.sign_out().await;
    let device = shared.jar.get("portcullis-device").expect("a device cookie").to_owned();
    for name in names {
        lock(&server, name).await;
    }
    for (number, name) in names.into_iter().enumerate() {
        // More than five are not kept.
        let [page, program] = if number == 0 { [429, 429] } else { [303, 200] };
        let mut browser = server.browser();
        browser.jar.set("portcullis-device", &device);
        browser.post("/login", &[("username", name), ("password", PASSWORD)]).await.expect(page);
        log_in(&server, &device, name, PASSWORD).await.expect(program);
        attempt(&server, name, PASSWORD).await.expect(429);
    }
    // Each has its own count there.
    for _ in 0..5 {
        log_in(&server, &device, "berta", WRONG).await.expect(401);
    }
    log_in(&server, &device, "berta", PASSWORD).await.expect(429);
    log_in(&server, &device, "elsa", PASSWORD).await.expect(200);
}

#[rstest]
#[tokio::test]
async fn a_reset_link_lets_the_owner_in_while_a_stranger_goes_on(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values("http://127.0.0.1:8080", "https://auth.example.test")] public_url: &str,
) {
    let server = TestServer::with(backend, &[FIVE, ("public_url", public_url)]).await;
    let anna = server.create_user("anna").await;
    let mut known = server.signed_in("anna").await;
    lock(&server, "anna").await;
    let link = links::issue_reset(&server.services, &command_line(), anna.id, &Client::default()).await.unwrap();
    let path = link.url.strip_prefix(&server.public_url).unwrap();
    let mut owner = server.browser();
    owner.submit(path, &[("new_password", "short")]).await.expect(422);
    assert!(!owner.jar.header(&server.clock).unwrap_or_default().contains("-device"), "known without a password");
    owner.submit(path, &[("new_password", NEW_PASSWORD)]).await.expect_redirect("/login");
    // The stranger is faster than the owner types.
    for _ in 0..5 {
        attempt(&server, "anna", WRONG).await.expect(401);
    }
    for password in [PASSWORD, NEW_PASSWORD] {
        attempt(&server, "anna", password).await.expect(429);
        known.post("/login", &[("username", "anna"), ("password", password)]).await.expect(429);
    }
    let name = if public_url.starts_with("https") { "__Host-portcullis-device" } else { "portcullis-device" };
    let device = owner.jar.get(name).expect("a device cookie").to_owned();
    owner.try_sign_in("anna", NEW_PASSWORD).await.expect_redirect("/account");
    if name == "portcullis-device" {
        log_in(&server, &device, "anna", NEW_PASSWORD).await.expect(200);
    }
}
