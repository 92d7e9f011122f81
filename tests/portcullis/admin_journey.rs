//! The way of an administrator through the pages with a real browser: without scripts, and by keyboard alone.

use portcullis::services::sessions::signing_keys;

use crate::admin_users::LONG_AGO;
use crate::support::*;

/// A browser without scripts in which `name` goes to `path` and signs in on the way.
async fn at(server: &TestServer, name: &str, path: &str) -> Chromium {
    let chromium = Chromium::open(&server.public_url, false).await;
    chromium.goto(path).await;
    chromium.submit(&[("username", name), ("password", PASSWORD)], path).await;
    chromium
}

/// Enters the password on `/confirm`, and goes on to `path`.
async fn confirm(chromium: &Chromium, path: &str) {
    assert!(chromium.path().await.starts_with("/confirm?next="), "{}", chromium.path().await);
    chromium.submit(&[("password", PASSWORD)], path).await;
}

/// The one-time link that the page shows.
async fn link(chromium: &Chromium, server: &TestServer) -> String {
    let link = chromium.texts("code[data-copy]").await.pop().expect("a link");
    link.strip_prefix(&server.public_url).expect("a link of ours").to_owned()
}

async fn says(chromium: &Chromium, words: &str) {
    let text = chromium.text().await;
    assert!(text.contains(words), "no “{words}”: {text}");
}

#[tokio::test]
async fn an_account_is_led_from_its_creation_to_its_end_without_scripts() {
    let server = TestServer::with(Sqlite, &[("lockout_threshold", "5")]).await;
    signing_keys::prepare(&server.services).await.unwrap();
    server.create_user("berta").await;
    let keeper = at(&server, KEEPER, "/admin/users").await;

    // Created: the owner chooses a password with the link, which is not shown again.
    keeper.press(".head a[href='/admin/users/new']", "/admin/users/new").await;
    for (field, text) in [("username", "anna"), ("email", "anna@harbour.example"), ("name", "Anna Arnold")] {
        keeper.fill(field, text).await;
    }
    keeper.leave("main form button[type='submit']").await;
    let own = format!("/admin/users/{}", server.id_of("anna").await);
    keeper.arrives(&own).await;
    let owner = Chromium::open(&server.public_url, false).await;
    owner.goto(&link(&keeper, &server).await).await;
    owner.submit(&[("new_password", PASSWORD)], "/login").await;
    owner.submit(&[("username", "anna"), ("password", PASSWORD)], "/account").await;
    assert_eq!(owner.count(".lintel nav a[href='/admin']").await, 0);

    // Found by a part of the address.
    keeper.press(".tabs a[href='/admin/users']", "/admin/users").await;
    keeper.fill("q", "harbour").await;
    keeper.press(".filter button", "/admin/users?q=harbour&role=&status=&sort=username").await;
    assert_eq!(keeper.texts("tbody th a").await, ["anna"]);
    keeper.press("tbody th a", &own).await;
    assert_eq!(keeper.count("code[data-copy]").await, 0);
    says(&keeper, "Anna Arnold").await;

    // Another role: the password first, then on to the choice that was made.
    server.clock.advance(LONG_AGO);
    keeper.choose("role", "manager").await;
    keeper.leave(&format!("form[action='{own}/role'] button")).await;
    confirm(&keeper, &format!("{own}/role?role=manager")).await;
    keeper.press("main form button", &own).await;
    says(&keeper, "The role is changed.").await;
    owner.press(".tabs a[href='/account/profile']", "/account/profile").await;
    owner.press(".lintel nav a[href='/admin']", "/admin").await;

    keeper.press(&format!("a[href='{own}/suspend']"), &format!("{own}/suspend")).await;
    says(&keeper, "1 session ends at once on every node: 1 in a browser.").await;
    keeper.press("main form button", &own).await;
    says(&keeper, "The account is suspended.").await;
    owner.press(".tabs a[href='/admin/users']", "/login?next=%2Fadmin%2Fusers").await;
    owner.submit(&[("username", "anna"), ("password", PASSWORD)], "/login").await;
    says(&owner, "The username or password is not right.").await;
    keeper.press(&format!("form[action='{own}/reinstate'] button"), &own).await;
    says(&keeper, "The account is reinstated.").await;
    owner.submit(&[("password", PASSWORD)], "/admin/users").await;

    for _ in 0..5 {
        server.browser().try_sign_in("anna", NEW_PASSWORD).await.expect(401);
    }
    server.browser().try_sign_in("anna", PASSWORD).await.expect(429);
    keeper.goto(&own).await;
    keeper.press(&format!("form[action='{own}/unlock'] button"), &own).await;
    says(&keeper, "The account is unlocked.").await;
    server.browser().sign_in("anna").await;

    keeper.press(&format!("form[action='{own}/reset-link'] button"), &own).await;
    let reset = link(&keeper, &server).await;
    owner.press(".tabs a[href='/admin/users']", "/admin/users").await;
    owner.goto(&reset).await;
    owner.submit(&[("new_password", NEW_PASSWORD)], "/login").await;
    owner.submit(&[("username", "anna"), ("password", NEW_PASSWORD)], "/account").await;

    // One device, whose next click leads to the sign-in page.
    keeper.goto(&own).await;
    assert_eq!(keeper.texts(".rows .item h3").await, ["Chrome on Linux\nBrowser"]);
    keeper.leave("a[href^='/admin/sessions/'][href*='/end?next=']").await;
    says(&keeper, "End the session of anna?").await;
    keeper.press("main form button", &own).await;
    owner.press(".tabs a[href='/account/sessions']", "/login?next=%2Faccount%2Fsessions").await;
    owner.submit(&[("username", "anna"), ("password", NEW_PASSWORD)], "/account/sessions").await;

    // The key that was to be the next signs, once the password is given.
    keeper.press(".tabs a[href='/admin/keys']", "/admin/keys").await;
    let before = keeper.texts("tbody th").await;
    server.clock.advance(LONG_AGO);
    keeper.leave(".head a[href='/admin/keys/rotate']").await;
    confirm(&keeper, "/admin/keys/rotate").await;
    keeper.press("main form button", "/admin/keys").await;
    assert_eq!(keeper.texts("tbody .state").await, ["Next", "Active", "Retired"]);
    assert_eq!(keeper.texts("tbody th").await[1..], before[..]);

    keeper.goto(&own).await;
    keeper.press(&format!("a[href='{own}/delete']"), &format!("{own}/delete")).await;
    keeper.press("main form button", "/admin/users").await;
    says(&keeper, "The account is deleted.").await;
    assert_eq!(keeper.texts("tbody th a").await, ["berta", KEEPER]);
    owner.press(".tabs a[href='/account']", "/login?next=%2Faccount").await;
    owner.submit(&[("username", "anna"), ("password", NEW_PASSWORD)], "/login").await;

    // All of it is in the log, under the name that the account had.
    keeper.press(".tabs a[href='/admin/audit']", "/admin/audit").await;
    keeper.fill("user", "anna").await;
    keeper.leave(".filter button").await;
    let acts = keeper.texts("tbody tr:has(td[data-label='Actor']) th code").await;
    for act in [
        "user.created",
        "user.role_changed",
        "user.suspended",
        "user.reinstated",
        "user.unlocked",
        "password.reset_link",
        "session.revoked",
        "user.deleted",
    ] {
        assert_eq!(acts.iter().filter(|written| *written == act).count(), 1, "{act}: {acts:?}");
    }
    // And it can be taken along, as it is filtered.
    keeper.click("//a[text()='Export CSV']").await;
    let exported = keeper.download(".csv").await;
    assert_eq!(exported.lines().count(), 1 + keeper.count("tbody tr").await, "{exported}");
    assert!(exported.starts_with("\"id\",") && exported.contains("\"user.deleted\",\"success\""), "{exported}");
    assert_eq!(keeper.console_errors().await, Vec::<String>::new());
    assert_eq!(owner.console_errors().await, Vec::<String>::new());
    keeper.quit().await;
    owner.quit().await;
}

#[tokio::test]
async fn a_device_is_found_and_ended_by_keyboard_alone() {
    let server = TestServer::start(Sqlite).await;
    let (mut anna, mut bert) = (server.newcomer("anna").await, server.newcomer("bert").await);
    let keeper = Chromium::open(&server.public_url, false).await;
    keeper.goto("/admin/sessions").await;
    keeper.begins_in("username").await;
    keeper.keys(KEEPER).await;
    keeper.keys("\t").await;
    keeper.keys(PASSWORD).await;
    keeper.enter("/admin/sessions").await;

    // Past the beam and the tabs at once.
    keeper.keys("\t").await;
    assert_eq!(keeper.focus().await, "Skip to content");
    keeper.keys("\n").await;
    keeper.skips_to("main").await;
    keeper.keys("\t").await;
    assert_eq!(keeper.focus().await, "End all sessions…");
    keeper.tab_to("User, device or address").await;
    keeper.keys("bert").await;
    keeper.enter("/admin/sessions?q=bert&kind=&state=live").await;
    keeper.tab_to("Select Firefox on Linux of bert").await;
    keeper.keys(" ").await;
    keeper.tab_to("End selected sessions").await;
    let selected = keeper.attribute("main input[name='id']:checked", "value").await;
    keeper.enter(&format!("/admin/sessions/end?next=%2Fadmin%2Fsessions%3Fq%3Dbert&id={selected}")).await;
    keeper.tab_to("End the session").await;
    assert!(bert.is_signed_in().await, "asking ends nothing");
    keeper.enter("/admin/sessions?q=bert").await;
    says(&keeper, "1 session has ended.").await;
    assert!(!bert.is_signed_in().await && anna.is_signed_in().await);
    keeper.quit().await;
}
