//! Which passwords are accepted, and who says why not.

use portcullis::domain::audit::Client;
use portcullis::services::accounts::links;

use crate::support::spawn::command_line;
use crate::support::*;

#[tokio::test]
async fn passwords_are_judged_by_length_and_by_how_easy_they_are_to_guess() {
    let server = TestServer::start(Sqlite).await;
    let words: String = (0..20).map(|number| format!("q{number}v{}z ", number * 7919 % 1000)).collect();
    let cut = |length: usize| words.chars().take(length).collect::<String>().trim_end().to_owned() + "!";
    let (longest, too_long) =
        (format!("{}{}", &cut(127), "x".repeat(128 - cut(127).chars().count())), "v7#".repeat(43));
    assert_eq!((longest.chars().count(), too_long.chars().count()), (128, 129));
    let good = [
        "k7#vQ2x!pZ",
        "ж9ы?кл2мёх",
        "correct horse and battery staples",
        "  blanks at both ends stay  ",
        "nodigitsnocapitalsnosymbols but long",
        "\u{1f9ed}\u{1f511}\u{1f6aa}\u{1f9f1}\u{26f0}\u{1f30a}\u{1f33e}\u{1f6e1}\u{1f570}\u{1f4dc}",
        &cut(63),
        &longest,
    ];
    for (number, password) in good.iter().enumerate() {
        let (name, email) = (format!("good{number}"), format!("good{number}@example.com"));
        let page = server.browser().try_register(&name, &email, password).await;
        assert_eq!(page.status, 303, "{password:?}: {:?}", page.field_error("password"));
        // It is the password that was typed, blanks included.
        server.browser().try_sign_in(&name, password).await.expect_redirect("/account");
        server.browser().try_sign_in(&name, password.trim_end_matches(['!', ' ', 'Z'])).await;
    }
    let bad = [
        ("k7#vQ2x!p", "10"),
        ("ж9ы?кл2мё", "10"),
        ("", "password"),
        (too_long.as_str(), "128"),
        ("password123", ""),
        ("1234567890", ""),
        ("qwertyuiop", ""),
        ("aaaaaaaaaaaaaaaaaaaa", ""),
        ("portcullis2026", ""),
        ("tomasz.wrona1", ""),
        ("harbourline.tw", ""),
        ("letmein1234", ""),
        ("iloveyou2026", ""),
    ];
    for (password, named) in bad {
        let page =
            server.browser().try_register("tomasz.wrona", "harbourline.tw@example.com", password).await.expect(422);
        let error = page.field_error("password").unwrap_or_else(|| panic!("{password:?}: no reason"));
        assert!(error.to_lowercase().contains(named), "{password:?}: {error}");
        assert!(error.len() > 15 && error.ends_with('.'), "{password:?}: {error}");
        assert!(password.is_empty() || page.value("password").is_none_or(|value| value.is_empty()), "it is sent back");
        assert!(page.title().starts_with("Error"), "{}", page.title());
        assert_eq!(page.value("username").as_deref(), Some("tomasz.wrona"), "what was typed is lost");
    }
}

#[tokio::test]
async fn the_same_rules_hold_wherever_a_password_is_chosen() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let user = server.id_of("anna").await;
    let link = links::issue_reset(&server.services, &command_line(), user, &Client::default()).await.unwrap();
    let reset = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    for bad in ["short", "password123", "anna@example.com", &"v7#".repeat(43)] {
        let fields = [("current_password", PASSWORD), ("new_password", bad)];
        let page = browser.submit("/account/password", &fields).await.expect(422);
        assert!(page.field_error("new_password").is_some(), "{bad:?}");
        let page = server.browser().submit(&reset, &[("new_password", bad)]).await.expect(422);
        assert!(page.field_error("new_password").is_some(), "{bad:?}");
    }
    assert!(browser.is_signed_in().await);
    // None of that used the link up.
    server.browser().submit(&reset, &[("new_password", NEW_PASSWORD)]).await.expect_redirect("/login");
    server.browser().get(&reset).await.expect(410);
}

#[tokio::test]
async fn a_megabyte_of_password_is_refused_before_it_is_hashed() {
    let server = TestServer::with(Sqlite, &[ONE_HASHER]).await;
    let mut browser = server.newcomer("anna").await;
    let token = browser.get("/account").await.csrf_token().unwrap();
    let long = "a".repeat(1024 * 1024);
    // What waited for a hash would not be answered.
    let held = HeldHasher::new(&server.services).await;
    let forms: [(&str, Vec<(&str, &str)>); 4] = [
        ("/login", vec![("username", "anna"), ("password", &long)]),
        ("/register", vec![("username", "berta"), ("email", "b@example.com"), ("password", &long)]),
        ("/account/password", vec![("csrf_token", &token), ("current_password", &long), ("new_password", &long)]),
        ("/confirm", vec![("csrf_token", &token), ("password", &long)]),
    ];
    for (path, fields) in forms {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let cookie = format!("Cookie: {}", browser.cookie_header());
        let headers: [&[u8]; 3] =
            [b"Content-Type: application/x-www-form-urlencoded", b"Sec-Fetch-Site: same-origin", cookie.as_bytes()];
        let request = raw::request(b"POST", path.as_bytes(), &headers, body.as_bytes());
        let answer = raw::exchange(server.address, &request).await;
        assert_eq!(answer.status, 413, "{path}: {}", answer.head);
        assert!(answer.body.contains("<html"), "{path}: {}", answer.body);
    }
    drop(held);
    // Within the body's limit, but longer than any password.
    let long = "a".repeat(20 * 1024);
    let page = server.browser().post("/login", &[("username", "anna"), ("password", &long)]).await;
    assert!(matches!(page.status, 400 | 401 | 422), "{}", page.status);
}
