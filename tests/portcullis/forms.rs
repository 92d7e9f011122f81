//! What people type, what attackers send, and the headers of every answer.

use rstest::rstest;

use crate::support::page::Page;
use crate::support::spawn::command_line;
use crate::support::*;
use portcullis::domain::Role;
use portcullis::domain::audit::Client;

/// Sends the registration form.
async fn register(server: &TestServer, name: &str, email: &str, password: &str) -> Page {
    let fields = [("username", name), ("email", email), ("password", password)];
    server.browser().submit("/register", &fields).await
}

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
        let page = register(&server, &name, &email, password).await;
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
        let page = register(&server, "tomasz.wrona", "harbourline.tw@example.com", password).await.expect(422);
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
    let user = server.services.find_user("anna").await.unwrap().id;
    let link = server.services.issue_reset_link(&command_line(), user, &Client::default()).await.unwrap();
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
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let token = browser.get("/account").await.csrf_token().unwrap();
    let long = "a".repeat(1024 * 1024);
    let forms: [(&str, Vec<(&str, &str)>); 4] = [
        ("/login", vec![("username", "anna"), ("password", &long)]),
        ("/register", vec![("username", "berta"), ("email", "b@example.com"), ("password", &long)]),
        ("/account/password", vec![("csrf_token", &token), ("current_password", &long), ("new_password", &long)]),
        ("/confirm", vec![("csrf_token", &token), ("password", &long)]),
    ];
    for (path, fields) in forms {
        let start = std::time::Instant::now();
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let cookie = format!("Cookie: {}", browser.cookie_header());
        let headers: [&[u8]; 3] =
            [b"Content-Type: application/x-www-form-urlencoded", b"Sec-Fetch-Site: same-origin", cookie.as_bytes()];
        let request = raw::request(b"POST", path.as_bytes(), &headers, body.as_bytes());
        let answer = raw::exchange(server.address, &request).await;
        assert_eq!(answer.status, 413, "{path}: {}", answer.head);
        assert!(start.elapsed() < std::time::Duration::from_secs(3), "{path}: {:?}", start.elapsed());
        assert!(answer.body.contains("<html"), "{path}: {}", answer.body);
    }
    // Within the body's limit, but longer than any password.
    let long = "a".repeat(20 * 1024);
    let page = server.browser().post("/login", &[("username", "anna"), ("password", &long)]).await;
    assert!(matches!(page.status, 400 | 401 | 422), "{}", page.status);
}

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
    assert_eq!(server.services.find_user("nadia").await.unwrap().name.as_deref(), Some("Nadia <b>"));
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
        let page = register(&server, name, "other@example.com", PASSWORD).await.expect(409);
        assert!(page.field_error("username").is_some(), "{name}");
        assert!(page.field_error("email").is_none(), "{name}");
    }
    for email in ["anna@example.com", "ANNA@EXAMPLE.COM", "Anna@Example.com"] {
        let page = register(&server, "other", email, PASSWORD).await.expect(409);
        assert!(page.field_error("email").is_some(), "{email}");
    }
    // Of twenty at once one gets the name.
    let all = (0..20).map(|number| {
        let server = &server;
        async move {
            let email = format!("race{number}@example.com");
            register(server, "raced", &email, PASSWORD).await.status
        }
    });
    let statuses = futures_util::future::join_all(all).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 409).count(), 19, "{statuses:?}");
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
        let page = register(&server, name, "x@example.com", PASSWORD).await;
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
        let page = register(&server, "fresh", email, PASSWORD).await;
        assert_eq!(page.status, 422, "{email:?}");
        assert!(page.field_error("email").is_some(), "{email:?}");
    }
    assert!(server.services.find_user("fresh").await.is_err());
}

/// Fields by which someone could try to become more than a user.
const MORE: &[(&str, &str)] = &[
    ("role", "admin"),
    ("is_admin", "true"),
    ("admin", "1"),
    ("roles[]", "admin"),
    ("user[role]", "admin"),
    ("status", "active"),
    ("email_verified", "true"),
    ("password_hash", "$argon2id$x"),
    ("id", "1"),
    ("user_id", "1"),
    ("epoch", "0"),
    ("Role", "admin"),
    ("role ", "admin"),
    ("created_at", "2000-01-01"),
];

#[tokio::test]
async fn no_extra_field_of_a_form_makes_anyone_more_than_a_user() {
    let server = TestServer::start(Sqlite).await;
    for (number, &(field, value)) in MORE.iter().enumerate() {
        let name = format!("climber{number}");
        let email = format!("{name}@example.com");
        let query: String = url::form_urlencoded::byte_serialize(field.as_bytes()).collect();
        let path = format!("/register?{query}={value}&role=admin");
        let mut browser = server.browser();
        let fields = [("username", name.as_str()), ("email", &email), ("password", PASSWORD), (field, value)];
        let page = browser.post(&path, &fields).await;
        assert!(page.status == 303 || (400..500).contains(&page.status), "{field}: {}", page.status);
        if page.status != 303 {
            continue;
        }
        let token = browser.get("/account").await.csrf_token().unwrap();
        for (path, rest) in [
            ("/account/profile", vec![("name", "Climber"), ("email", email.as_str())]),
            ("/account/password", vec![("current_password", PASSWORD), ("new_password", NEW_PASSWORD)]),
        ] {
            let mut fields = vec![("csrf_token", token.as_str()), (field, value)];
            fields.extend(rest);
            let page = browser.post(path, &fields).await;
            assert!(page.status == 303 || (400..500).contains(&page.status), "{path} {field}: {}", page.status);
        }
        let user = server.services.find_user(&name).await.unwrap();
        assert_eq!(user.role, Role::User, "{field}");
    }
    // The same field twice is refused, or the first or the last counts: never a third thing.
    let body = b"username=twice1&username=twice2&email=t%40example.com&password=copper+lantern+drifts+at+noon".to_vec();
    let page = server.browser().post_bytes("/register", body, &[("sec-fetch-site", "same-origin")]).await;
    assert!(page.status == 303 || page.status == 400 || page.status == 422, "{}", page.status);
}

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
        register(&server, name, email, PASSWORD).await.expect(409);
    }
    for name in ["admin", "root", "administrator"] {
        let page = register(&server, name, &format!("{name}@example.com"), PASSWORD).await;
        if page.status == 303 {
            assert_eq!(server.services.find_user(name).await.unwrap().role, Role::User);
        }
    }
}

#[rstest]
#[tokio::test]
async fn nothing_that_is_typed_reaches_a_store_as_more_than_text(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut anna = server.newcomer("anna").await;
    let mut tab = server.signed_in("anna").await;
    let user = server.services.find_user("anna").await.unwrap().id;
    let hash_tag = format!("{{{user}}}");
    let long = "x".repeat(10_000);
    let texts = [
        "' OR '1'='1",
        "\"; DROP TABLE users; --",
        "anna' --",
        "anna\\",
        "*",
        "?",
        "[a-z]*",
        "%",
        "_",
        "a%00b",
        "${7*7}",
        "anna\r\nDEL x",
        "\r\nFLUSHALL\r\n",
        &hash_tag,
        "{}",
        "{{7*7}}",
        "\u{202e}",
        "a:b:c",
        &long,
        "../../..",
        "|id",
        "`id`",
    ];
    for text in texts {
        let page = server.browser().post("/login", &[("username", text), ("password", text)]).await;
        assert!((400..500).contains(&page.status), "/login {text:?}: {}", page.status);
        let fields = [("username", text), ("email", text), ("name", text), ("password", text)];
        let page = server.browser().post("/register", &fields).await;
        assert!((400..500).contains(&page.status), "/register {text:?}: {}", page.status);
        let token = anna.get("/account").await.csrf_token().unwrap();
        let path: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let page = anna.post(&format!("/account/sessions/{path}/end"), &[("csrf_token", &token)]).await;
        assert!((400..500).contains(&page.status), "{text:?} as an id: {}", page.status);
        let page = server.browser().get(&format!("/reset/{path}")).await;
        assert!((400..500).contains(&page.status), "{text:?} as a link: {}", page.status);
        let page = anna.get(&format!("/account/activity?before={path}&limit={path}")).await;
        assert!(page.status < 500, "{text:?} as a cursor: {}", page.status);
    }
    assert!(anna.is_signed_in().await && tab.is_signed_in().await, "someone was signed out");
    assert_eq!(server.services.sessions_of(user, 10).await.unwrap().0.len(), 2);
}

/// Every form that there is, opened by who may open it: the page, and the action.
async fn all_forms(server: &TestServer, anna: &mut Browser) -> Vec<(Page, String)> {
    let user = server.services.find_user("anna").await.unwrap().id;
    let link = server.services.issue_reset_link(&command_line(), user, &Client::default()).await.unwrap();
    let reset = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    let mut forms = Vec::new();
    for path in ["/login", "/register", reset.as_str()] {
        forms.push((server.browser().get(path).await.expect(200), path.to_owned()));
    }
    for path in ["/confirm", "/account/profile", "/account/password"] {
        forms.push((anna.get(path).await.expect(200), path.to_owned()));
    }
    forms
}

#[rstest]
#[tokio::test]
async fn nul_and_broken_utf_8_are_a_clear_4xx_in_every_field(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let mut anna = server.newcomer("anna").await;
    for (page, action) in all_forms(&server, &mut anna).await {
        let form = page.form(&action);
        for field in form.fields.iter().map(|(name, _)| name).chain(&form.inputs) {
            for bad in ["%00", "a%00b", "%ff", "%c3%28", "%ed%a0%80", "%f5%80%80%80", "\u{0}"] {
                let mut parts = Vec::new();
                for (name, value) in &form.fields {
                    let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
                    parts.push(if name == field { format!("{name}={bad}") } else { format!("{name}={value}") });
                }
                if !form.fields.iter().any(|(name, _)| name == field) {
                    parts.push(format!("{field}={bad}"));
                }
                let mut browser = if form.fields.iter().any(|(name, _)| name == "csrf_token") {
                    anna.clone()
                } else {
                    server.browser()
                };
                let origin = server.public_url.clone();
                let headers = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
                let answer = browser.post_bytes(&action, parts.join("&").into_bytes(), &headers).await;
                // `remember` only has to be there; where one goes next may be nowhere.
                let harmless = matches!(field.as_str(), "remember" | "next");
                let expected = if harmless { 200..500 } else { 400..500 };
                assert!(expected.contains(&answer.status), "{action} {field}={bad:?}: {}", answer.status);
                assert!(answer.body.contains("<html"), "{action} {field}={bad:?}: {}", answer.body);
            }
        }
        // And raw, as no browser sends it.
        for bad in [&b"\xff=\xff"[..], b"\xff", b"%", b"=&=&=", b"\0", b"a=\xc3\x28"] {
            let headers = [("sec-fetch-site", "same-origin")];
            let answer = anna.clone().post_bytes(&action, bad.to_vec(), &headers).await;
            assert!((400..500).contains(&answer.status), "{action} {bad:?}: {}", answer.status);
        }
    }
    assert!(anna.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn nul_and_broken_utf_8_in_paths_and_queries_are_never_a_5xx(
    #[values(SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let anna = server.newcomer("anna").await;
    let cookie = format!("Cookie: {}", anna.cookie_header());
    for bad in [&b"%00"[..], b"%ff", b"a%00b", b"%c3%28", b"\xff", b"%", b"%zz", b"%2e%2e", b"%u0000"] {
        for (path, status) in [
            ("/setup/", 400..500),
            ("/reset/", 400..500),
            ("/account/sessions/", 400..500),
            ("/", 400..500),
            ("/login?next=", 200..500),
            ("/account/activity?before=", 200..500),
            ("/account/sessions?limit=", 200..500),
            ("/register?", 200..500),
            ("/static/", 400..500),
            ("/assets/", 400..500),
        ] {
            let path = [path.as_bytes(), bad].concat();
            let answer = raw::get(server.address, &path, &[cookie.as_bytes()]).await;
            // actix-web normalises `/..` away; every other path is unknown.
            let shown = String::from_utf8_lossy(&path).into_owned();
            let gone_up = bad == b"%2e%2e";
            assert!(status.contains(&answer.status) || gone_up && answer.status < 500, "{shown}: {}", answer.head);
        }
        let path = [b"/account/sessions/", bad, b"/end"].concat();
        let headers: [&[u8]; 3] =
            [cookie.as_bytes(), b"Sec-Fetch-Site: same-origin", b"Content-Type: application/x-www-form-urlencoded"];
        let answer = raw::exchange(server.address, &raw::request(b"POST", &path, &headers, b"csrf_token=x")).await;
        assert!((400..500).contains(&answer.status), "{}: {}", String::from_utf8_lossy(&path), answer.head);
        let headers = [[b"User-Agent: ", bad].concat(), [b"Accept: ", bad].concat(), [b"X-Request-Id: ", bad].concat()];
        let headers: Vec<&[u8]> = headers.iter().map(Vec::as_slice).collect();
        let answer = raw::get(server.address, b"/login", &headers).await;
        assert!(answer.status < 500, "a header of {}: {}", String::from_utf8_lossy(bad), answer.head);
    }
}

#[tokio::test]
async fn a_form_that_is_no_form_is_415_or_400() {
    let server = TestServer::start(Sqlite).await;
    for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
        let headers = [("content-type", kind), ("sec-fetch-site", "same-origin")];
        let body = br#"{"username":"anna","password":"x"}"#.to_vec();
        let page = server.browser().send(reqwest::Method::POST, "/login", &headers, Some(body)).await;
        assert!(matches!(page.status, 400 | 415), "{kind}: {}", page.status);
        assert!(page.body.contains("<html"), "{kind}: {}", page.body);
    }
}

/// Pages of every kind: good, redirects, refusals, errors.
async fn pages_of_every_kind(server: &TestServer) -> Vec<Page> {
    let mut anna = server.newcomer("anna").await;
    let mut guest = server.browser();
    let mut pages = Vec::new();
    for path in ["/", "/login", "/register", "/setup/x", "/reset/x", "/account", "/nowhere", "/logout", "/account/"] {
        pages.push(guest.get(path).await);
    }
    for path in [
        "/",
        "/login",
        "/register",
        "/logout",
        "/confirm",
        "/account",
        "/account/profile",
        "/account/password",
        "/account/sessions",
        "/account/activity",
        "/.well-known/change-password",
        "/nowhere",
        "/account/nowhere",
    ] {
        pages.push(anna.get(path).await);
    }
    pages.push(guest.try_sign_in("anna", "wrong password").await);
    pages.push(guest.post("/register", &[]).await);
    pages.push(guest.post_with("/login", &[], &[("origin", "https://evil.example")]).await);
    pages.push(anna.post("/account/profile", &[]).await);
    pages.push(anna.send(reqwest::Method::PUT, "/login", &[], None).await);
    pages.push(anna.post_bytes("/login", vec![b'a'; 100_000], &[("sec-fetch-site", "same-origin")]).await);
    pages.push(anna.submit("/account/profile", &[("name", "Anna")]).await);
    pages.push(anna.sign_out().await);
    pages
}

#[rstest]
#[tokio::test]
async fn every_answer_carries_the_headers_that_protect_it(
    #[values("http://127.0.0.1:8080", "https://auth.example.test")] public_url: &str,
) {
    let server = TestServer::with(Sqlite, &[("public_url", public_url)]).await;
    for page in pages_of_every_kind(&server).await {
        let what = format!("{} {}", page.status, page.path);
        let header = |name: &str| page.header(name).unwrap_or_else(|| panic!("{what}: no {name}")).to_owned();
        let policy = header("content-security-policy");
        for part in ["frame-ancestors 'none'", "default-src", "form-action 'self'", "base-uri"] {
            assert!(policy.contains(part), "{what}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*') && !policy.contains("http:"), "{what}: {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(header("cache-control"), "no-store", "{what}");
        assert!(matches!(header("referrer-policy").as_str(), "no-referrer" | "same-origin"), "{what}");
        assert!(uuid::Uuid::parse_str(&header("x-request-id")).is_ok(), "{what}");
        let https = public_url.starts_with("https");
        assert_eq!(page.header("strict-transport-security").is_some(), https, "{what}");
        assert!(page.header("server").is_none() && page.header("x-powered-by").is_none(), "{what}");
        if page.status >= 400 && !matches!(page.status, 401 | 409 | 422) {
            let id = page.header("x-request-id").unwrap();
            assert!(page.body.contains(id), "{what} does not show its request id");
        }
        if (300..400).contains(&page.status) {
            assert_eq!(page.status, 303, "{what}");
        } else if page.status != 405 || page.body.contains("<html") {
            assert!(header("content-type").starts_with("text/html"), "{what}");
            assert_eq!(page.texts("h1").len(), 1, "{what}");
            assert!(!page.body.contains("<script>") && !page.body.contains(" style="), "{what}: inline");
            assert!(page.texts("style").is_empty(), "{what}: inline");
        }
    }
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
async fn a_changed_e_mail_needs_the_password_and_a_changed_name_does_not() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    browser.submit("/account/profile", &[("name", "Anna A.")]).await.expect(303);
    let page = browser.submit("/account/profile", &[("email", "new@example.com")]).await;
    assert!(matches!(page.status, 401 | 422), "{}", page.status);
    assert!(page.field_error("current_password").is_some());
    let wrong = [("email", "new@example.com"), ("current_password", "wrong password")];
    browser.submit("/account/profile", &wrong).await.expect(401);
    assert_eq!(server.services.find_user("anna").await.unwrap().email.as_str(), "anna@example.com");
    let right = [("email", "new@example.com"), ("current_password", PASSWORD)];
    browser.submit("/account/profile", &right).await.expect(303);
    let user = server.services.find_user("new@example.com").await.unwrap();
    assert_eq!((user.username.as_str(), user.name.as_deref()), ("anna", Some("Anna A.")));
}

#[tokio::test]
async fn errors_are_pages_unless_json_is_asked_for() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.browser();
    let page = browser.get("/nowhere").await.expect(404);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    for (accept, json) in
        [("application/json", true), ("application/problem+json", true), ("*/*", false), ("text/html", false)]
    {
        let page = browser.send(reqwest::Method::GET, "/nowhere", &[("accept", accept)], None).await.expect(404);
        let kind = page.header("content-type").unwrap();
        assert_eq!(kind.starts_with("application/problem+json"), json, "{accept}: {kind}");
        if json {
            let problem: serde_json::Value = serde_json::from_str(&page.body).unwrap();
            assert_eq!(problem["status"], 404);
            assert_eq!(problem["request_id"], page.header("x-request-id").unwrap());
            assert!(problem["title"].is_string() && problem["code"].is_string(), "{problem}");
        }
    }
}
