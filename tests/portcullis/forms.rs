//! What people type: names, addresses, and what a refused form says.

use portcullis::services::accounts::lookup;
use rstest::rstest;

use crate::support::*;

#[tokio::test]
async fn a_refused_form_names_each_field_and_keeps_everything_but_passwords() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.browser();
    let fields = [("username", "9 lives"), ("email", "no address"), ("name", "Nadia <b>"), ("password", "short")];
    let page = browser.submit("/register", &fields).await.expect(422);
    for field in ["username", "email", "password"] {
        assert!(page.field_error(field).is_some(), "{field}");
        let described = page.attributes(&format!("#{field}"), "aria-describedby");
        assert!(described.iter().any(|ids| ids.contains(&format!("{field}-error"))), "{field}: {described:?}");
        assert_eq!(page.attributes(&format!("#{field}"), "aria-invalid"), ["true"], "{field}");
        let linked = page.attributes("[role='alert'] a", "href");
        assert!(linked.contains(&format!("#{field}")), "{field}: {linked:?}");
    }
    assert_eq!(page.field_error("name"), None);
    for (field, typed) in &fields[..3] {
        assert_eq!(page.value(field).as_deref(), Some(*typed));
    }
    assert!(!page.body.contains("short\""), "the password is sent back");
    assert!(page.title().starts_with("Error: "), "{}", page.title());

    // Corrected on the same page, it works.
    let right = [("username", "nadia"), ("email", "nadia@example.com"), ("password", PASSWORD)];
    browser.submit_form(page.form("/register"), &right).await.expect_redirect("/account");
    assert_eq!(lookup::find(&server.services.database, "nadia").await.unwrap().name.as_deref(), Some("Nadia <b>"));
    let page = browser.get("/account").await.expect(200);
    assert!(
        page.body.contains("Nadia &lt;b&gt;") || page.body.contains("Nadia &#60;b&#62;"),
        "unescaped, or not shown"
    );
}

#[rstest]
#[tokio::test]
async fn a_taken_name_is_409_in_every_spelling(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    server.create_user("anna").await;
    for name in ["anna", "ANNA", "Anna"] {
        let page = server.browser().try_register(name, "other@example.com", PASSWORD).await.expect(409);
        assert!(page.field_error("username").is_some(), "{name}");
        assert!(page.field_error("email").is_none(), "{name}");
    }
    for email in ["anna@example.com", "ANNA@EXAMPLE.COM", "Anna@Example.com"] {
        let page = server.browser().try_register("other", email, PASSWORD).await.expect(409);
        assert!(page.field_error("email").is_some(), "{email}");
    }
    // Of twenty at once one gets the name.
    let all = (0..20).map(|number| {
        let server = &server;
        async move {
            let email = format!("race{number}@example.com");
            server.browser().try_register("raced", &email, PASSWORD).await.status
        }
    });
    let statuses = futures_util::future::join_all(all).await;
    expect_one(&statuses, 303, 409);
    assert!(lookup::find(&server.services.database, "raced").await.is_ok(), "{statuses:?}");
}

#[tokio::test]
async fn names_that_could_be_taken_for_another_are_refused() {
    let server = TestServer::start(Sqlite).await;
    for name in [
        "ab",
        "9anna",
        "_anna",
        "anna@example.com",
        "anna smith",
        "a".repeat(33).as_str(),
        "\u{430}nna",
        "anna\u{200b}",
        "\u{ff41}nna",
        "anna\u{301}",
        "anna/..",
        "<script>",
        "anna\r\nx",
        "\u{202e}anna",
        "k\u{131}m",
        "\u{212a}im",
    ] {
        let page = server.browser().try_register(name, "x@example.com", PASSWORD).await;
        assert_eq!(page.status, 422, "{name:?}");
        assert!(page.field_error("username").is_some(), "{name:?}");
    }
    for email in [
        "anna",
        "anna@",
        "@example.com",
        "a@b@c.example",
        "a@x.example,b@y.example",
        "anna @example.com",
        "anna@example.com\r\nBcc: x@y.example",
        "<anna@example.com>",
        "anna@xn--example-.org",
        "\u{0430}nna@example.com\u{200b}",
        &format!("{}@example.com", "a".repeat(250)),
    ] {
        let page = server.browser().try_register("fresh", email, PASSWORD).await;
        assert_eq!(page.status, 422, "{email:?}");
        assert!(page.field_error("email").is_some(), "{email:?}");
    }
    assert!(lookup::find(&server.services.database, "fresh").await.is_err());
}

#[tokio::test]
async fn a_changed_e_mail_needs_the_password_and_a_changed_name_does_not() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    browser.submit("/account/profile", &[("name", "Anna A.")]).await.expect(303);
    let page = browser.submit("/account/profile", &[("email", "new@example.com")]).await;
    assert!(matches!(page.status, 401 | 422), "{}", page.status);
    assert!(page.field_error("current_password").is_some());
    let wrong = [("email", "new@example.com"), ("current_password", "wrong password")];
    browser.submit("/account/profile", &wrong).await.expect(401);
    assert_eq!(lookup::find(&server.services.database, "anna").await.unwrap().email.as_str(), "anna@example.com");
    let right = [("email", "new@example.com"), ("current_password", PASSWORD)];
    browser.submit("/account/profile", &right).await.expect(303);
    let user = lookup::find(&server.services.database, "new@example.com").await.unwrap();
    assert_eq!((user.username.as_str(), user.name.as_deref()), ("anna", Some("Anna A.")));
}
