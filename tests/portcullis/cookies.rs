//! The session cookie: its attributes, and every way to forge, toss or bend it.

use portcullis::services::sessions::counts;
use rstest::rstest;
use serde_json::json;

use crate::support::spawn::command_line;
use crate::support::*;

/// Visits pages that set and remove cookies, and gives every `Set-Cookie` of them.
async fn all_cookies(server: &TestServer) -> Vec<jar::SetCookie> {
    server.create_user("anna").await;
    let mut browser = server.browser();
    let mut cookies = Vec::new();
    for page in [
        browser.get("/login").await,
        browser.try_sign_in("anna", PASSWORD).await,
        browser.get("/account").await,
        browser.submit("/account/profile", &[("name", "Anna")]).await,
        browser.get("/account/profile").await,
        browser.submit("/confirm", &[("password", PASSWORD)]).await,
        browser.change_password().await,
        browser.get("/account").await,
        browser.submit("/logout", &[]).await,
        browser.submit("/login", &[("username", "anna"), ("password", NEW_PASSWORD), ("remember", "on")]).await,
        browser.submit("/logout", &[]).await,
        browser.get("/login").await,
    ] {
        assert!(page.status < 400, "{}: {}", page.path, page.excerpt());
        cookies.extend(page.set_cookies());
    }
    cookies
}

#[rstest]
#[tokio::test]
async fn every_cookie_is_as_safe_as_it_can_be(
    #[values("http://127.0.0.1:8080", "https://auth.example.test")] public_url: &str,
) {
    let server = TestServer::with(SqliteRedis, &[("public_url", public_url)]).await;
    let https = public_url.starts_with("https");
    let cookies = all_cookies(&server).await;
    let session = server.session_cookie();
    assert!(cookies.iter().any(|cookie| cookie.name == session && !cookie.removes()), "no session cookie");
    assert!(cookies.iter().any(|cookie| cookie.name == session && cookie.removes()), "it is never removed");
    for cookie in cookies {
        let has = |attribute: &str| cookie.attributes.contains_key(attribute);
        assert_eq!(cookie.name.starts_with("__Host-"), https, "{cookie:?}");
        assert_eq!(has("secure"), https, "{cookie:?}");
        assert!(has("httponly"), "{cookie:?}");
        assert_eq!(cookie.attributes.get("path").map(String::as_str), Some("/"), "{cookie:?}");
        assert!(!has("domain"), "{cookie:?}");
        assert!(matches!(cookie.attributes.get("samesite").map(String::as_str), Some("Lax" | "Strict")), "{cookie:?}");
        assert!(cookie.name.len() + cookie.value.len() < 4096, "{cookie:?}");
    }
}

#[rstest]
#[tokio::test]
async fn only_keep_me_signed_in_outlives_the_browser(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let session = server.session_cookie();
    server.create_user("anna").await;

    let mut plain = server.signed_in("anna").await;
    plain.jar.close();
    assert!(!plain.is_signed_in().await, "the cookie outlived the browser");

    let mut remembered = server.browser();
    let page = remembered.sign_in_remembered("anna").await;
    let cookie = page.set_cookies().into_iter().find(|cookie| cookie.name == session).expect("the session cookie");
    // `remember_absolute_timeout`
    assert_eq!(cookie.max_age(), Some(90 * 24 * 3600));
    remembered.jar.close();
    assert!(remembered.is_signed_in().await);

    // A new secret outlives the browser too, and no longer than the first would have from here.
    server.clock.advance(chrono::TimeDelta::days(10));
    let page = remembered.change_password().await;
    let cookie = page.set_cookies().into_iter().find(|cookie| cookie.name == session).expect("the new secret");
    let age = cookie.max_age().expect("a Max-Age");
    assert!((79 * 24 * 3600..=90 * 24 * 3600).contains(&age), "{age}");
    remembered.jar.close();
    assert!(remembered.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn an_anonymous_visit_leaves_nothing_behind(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let before = server.stores.redis.as_ref().map(|redis| redis.keys(&server.stores.redis_prefix));
    for path in ["/", "/login", "/login?next=/account", "/register", "/account", "/nowhere", "/setup/x", "/reset/x"] {
        let mut browser = server.browser();
        let page = browser.get(path).await;
        assert!(page.set_cookies().is_empty(), "{path}: {:?}", page.set_cookies());
        // Nor does a cookie that opens nothing: it is not answered with a session.
        browser.jar.set(browser.cookie_name(), "nothing");
        let page = browser.get(path).await;
        assert!(page.set_cookies().iter().all(|cookie| cookie.removes()), "{path}: {:?}", page.set_cookies());
    }
    let open = counts::open(&server.services, &command_line()).await.unwrap().total();
    assert_eq!((open.value, open.exact), (1, true), "only the administrator's");
    assert_eq!(server.stores.redis.as_ref().map(|redis| redis.keys(&server.stores.redis_prefix)), before);
}

/// Names that a sibling host could toss and that a lenient parser takes for ours.
fn lookalikes(name: &str) -> Vec<Vec<u8>> {
    let encoded = name.replace('p', "%70");
    let mut all: Vec<Vec<u8>> = ["%", "%20", "\u{2000}", "\u{a0}", "\u{85}", "\u{3000}", "\u{2028}"]
        .iter()
        .flat_map(|blank| [format!("{blank}{name}"), format!("{name}{blank}")])
        .chain([encoded, name.to_uppercase(), format!("{name}%00"), format!("\"{name}\"")])
        .map(String::into_bytes)
        .collect();
    all.extend([name.replace('-', "%2D"), name.replace("__", "%5F%5F")].map(String::into_bytes));
    all.push([name.as_bytes(), b"\xff"].concat());
    all.retain(|other| other != name.as_bytes());
    all
}

#[rstest]
#[tokio::test]
async fn a_cookie_that_only_looks_like_ours_signs_nobody_in_and_does_not_shadow_ours(
    #[values("http://127.0.0.1:8080", "https://auth.example.test")] public_url: &str,
) {
    let server = TestServer::with(Sqlite, &[("public_url", public_url)]).await;
    let name = server.session_cookie();
    let tossed = server.newcomer("mallory").await.cookie().unwrap();
    let ours = server.newcomer("victor").await.cookie().unwrap();
    for lookalike in lookalikes(name) {
        let shown = String::from_utf8_lossy(&lookalike).into_owned();
        let evil = [lookalike.as_slice(), b"=", tossed.as_bytes()].concat();
        let alone = [b"Cookie: ", evil.as_slice()].concat();
        let answer = raw::get(server.address, b"/account", &[&alone]).await;
        assert_eq!(answer.status, 303, "{shown:?} alone: {}", answer.head);

        let good = format!("{name}={ours}");
        for line in [[evil.as_slice(), b"; ", good.as_bytes()].concat(), [good.as_bytes(), b"; ", &evil].concat()] {
            let line = [b"Cookie: ", line.as_slice()].concat();
            let answer = raw::get(server.address, b"/account", &[&line]).await;
            assert_eq!(answer.status, 200, "{shown:?} beside ours: {}", answer.head);
            assert!(answer.body.contains("victor") && !answer.body.contains("mallory"), "{shown:?}");
        }
    }
}

#[tokio::test]
async fn one_bad_cookie_does_not_drop_the_others() {
    let server = TestServer::start(Sqlite).await;
    let ours = server.newcomer("victor").await.cookie().unwrap();
    let good = format!("{}={ours}", server.session_cookie());
    let good = good.as_bytes();
    let bad: &[&[u8]] =
        &[b"x=\xff", b"\xff=x", b"x=\xc3", b"=", b";;;", b"novalue", b"x=%ff", b"%zz=1", b"a=\"b", b"=x"];
    for &bad in bad {
        for line in [[bad, b"; ", good].concat(), [good, b"; ", bad].concat()] {
            let line = [b"Cookie: ", line.as_slice()].concat();
            let answer = raw::get(server.address, b"/account", &[&line]).await;
            assert_eq!(answer.status, 200, "{:?}", String::from_utf8_lossy(&line));
        }
        // On a line of its own, as HTTP/2 proxies split it.
        let (one, two) = ([b"Cookie: ", bad].concat(), [b"Cookie: ", good].concat());
        let answer = raw::get(server.address, b"/account", &[&one, &two]).await;
        assert_eq!(answer.status, 200, "{:?} on its own line", String::from_utf8_lossy(bad));
    }
}

#[tokio::test]
async fn our_cookie_twice_is_refused() {
    let server = TestServer::start(Sqlite).await;
    let name = server.session_cookie();
    let ours = server.newcomer("victor").await.cookie().unwrap();
    let other = server.newcomer("mallory").await.cookie().unwrap();
    for (one, two) in [(&ours, &other), (&other, &ours), (&ours, &ours), (&ours, &"garbage".to_owned())] {
        let line = format!("Cookie: {name}={one}; {name}={two}");
        assert_eq!(raw::get(server.address, b"/account", &[line.as_bytes()]).await.status, 400, "{line}");
        let (one, two) = (format!("Cookie: {name}={one}"), format!("Cookie: {name}={two}"));
        assert_eq!(raw::get(server.address, b"/account", &[one.as_bytes(), two.as_bytes()]).await.status, 400);
    }
}

/// Five hundred values made from a good cookie and from nothing.
fn forgeries(good: &str, other: &str) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    // Every proper prefix and suffix that is not absurdly short, every fourth.
    all.extend((0..good.len()).step_by(4).map(|end| good.as_bytes()[..end].to_vec()));
    all.extend((1..good.len()).step_by(4).map(|start| good.as_bytes()[start..].to_vec()));
    // One character changed to another of the alphabet.
    for place in 0..good.len() {
        let mut bytes = good.as_bytes().to_vec();
        bytes[place] = match bytes[place] {
            b'A' => b'B',
            b'a' => b'b',
            b'0' => b'1',
            byte if byte.is_ascii_uppercase() => b'A',
            byte if byte.is_ascii_lowercase() => b'a',
            byte if byte.is_ascii_digit() => b'0',
            _ => b'x',
        };
        all.push(bytes);
    }
    for padded in ["{}=", "{}%3D", " {}", "{}.x", "x{}", "\"{}\"", "{}\u{a0}", "%20{}", "{}%00", "{}%0a", "{}{}", "{}/"]
    {
        all.push(padded.replace("{}", good).into_bytes());
    }
    all.push(good.to_uppercase().into_bytes());
    all.push(good.to_lowercase().into_bytes());
    // The head of one with the tail of another.
    all.extend(
        (8..good.len())
            .step_by(9)
            .map(|at| [&good.as_bytes()[..at], &other.as_bytes()[at.min(other.len())..]].concat()),
    );
    for text in [
        "",
        "0",
        "null",
        "true",
        "{}",
        "[]",
        "admin",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "pcr_AAAA",
        "00000000-0000-0000-0000-000000000000",
        "a.b.c",
        "...",
        "%",
        "%00",
        "%ff%fe",
        "../../etc/passwd",
        "' OR 1=1 --",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "<script>",
        "*",
        "?",
        "[a-z]",
        "\u{1f511}",
    ] {
        all.push(text.as_bytes().to_vec());
    }
    all.push(vec![b'a'; 6000]);
    all.push(vec![0xff; 50]);
    // Bytes of no meaning, the same at every run.
    let mut state = 1_u32;
    while all.len() < 500 {
        let bytes = (0..60).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            33 + ((state >> 16) % 93) as u8
        });
        all.push(bytes.filter(|byte| !b";,\"\\".contains(byte)).collect());
    }
    all.retain(|bytes| bytes != good.as_bytes());
    all
}

#[rstest]
#[tokio::test]
async fn no_forged_cookie_signs_in_or_breaks_anything(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let good = server.newcomer("anna").await.cookie().unwrap();
    let other = server.newcomer("berta").await.cookie().unwrap();
    for forged in forgeries(&good, &other) {
        let line = [b"Cookie: ", server.session_cookie().as_bytes(), b"=", &forged].concat();
        let answer = raw::get(server.address, b"/account", &[&line]).await;
        let shown = String::from_utf8_lossy(&forged);
        assert!(matches!(answer.status, 303 | 400), "{shown:?}: {} {}", answer.status, answer.head);
    }
    assert!(server.browser().with_cookie(&good).is_signed_in().await, "a forgery ended the real session");
}

#[tokio::test]
async fn the_session_id_is_not_the_secret() {
    let server = TestServer::start(Sqlite).await;
    let mut here = server.newcomer("anna").await;
    let _there = server.signed_in("anna").await;
    let session = here.other_sessions().await.remove(0);
    for value in [session.id.clone(), format!("{0}.{0}.{0}", session.id)] {
        assert!(!server.browser().with_cookie(&value).is_signed_in().await);
        let line = format!("Authorization: Bearer {value}");
        assert_eq!(raw::get(server.address, b"/account", &[line.as_bytes()]).await.status, 303);
    }
    // Nor is the cookie a bearer token.
    let line = format!("Authorization: Bearer {}", here.cookie().unwrap());
    assert_eq!(raw::get(server.address, b"/account", &[line.as_bytes()]).await.status, 303);
}

#[rstest]
#[tokio::test]
async fn two_servers_on_one_host_leave_each_others_cookies_alone(
    #[values("http://127.0.0.1:8080", "https://auth.example.test")] public_url: &str,
) {
    let first = TestServer::with(Sqlite, &[("public_url", public_url)]).await;
    let second = TestServer::with(Sqlite, &[("public_url", public_url), ("cookie_name", "staging")]).await;
    for server in [&first, &second] {
        server.create_user("anna").await;
    }
    // A browser knows no ports: one jar for both.
    let mut browser = first.signed_in("anna").await;
    browser.go_to(&second);
    let signed_in = browser.try_sign_in("anna", PASSWORD).await.expect_redirect("/account");
    let prefix = if public_url.starts_with("https") { "__Host-" } else { "" };
    let names: Vec<_> = signed_in.set_cookies().into_iter().map(|cookie| cookie.name).collect();
    assert!(names.contains(&format!("{prefix}staging")), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with(&format!("{prefix}staging"))), "{names:?}");
    browser.get("/account").await.expect(200);
    browser.submit("/account/profile", &[("name", "Anna")]).await.expect_redirect("/account/profile");
    browser.go_to(&first);
    browser.get("/account").await.expect(200);
    browser.submit("/logout", &[]).await;
    browser.get("/account").await.expect_sign_in();
    browser.go_to(&second);
    browser.get("/account").await.expect(200);

    // The same of the refresh token of an application in the browser, and of the document that names it.
    let program = ApiClient::new(&second);
    let body = json!({ "username": "anna", "password": PASSWORD, "refresh_cookie": true });
    let cookies = program.post("/api/v1/auth/login", &body).await.expect(200).set_cookies();
    let refresh = if prefix.is_empty() { "staging-refresh" } else { "__Secure-staging-refresh" };
    assert!(cookies.iter().any(|cookie| cookie.name == refresh), "{cookies:?}");
    let document = program.get("/openapi.json").await.expect(200).json();
    assert_eq!(document["components"]["securitySchemes"]["refresh_cookie"]["name"], refresh);
}
