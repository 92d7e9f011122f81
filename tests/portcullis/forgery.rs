//! Requests that another site makes a browser send, and addresses that a client makes up.

use portcullis::services::accounts::{links, lookup};
use portcullis::services::sessions::account;

use crate::support::*;

const EVIL: &str = "https://evil.example";

/// Whether a form with this token and these headers is one that our own page sent. Where the browser itself says
/// `same-origin`, an `Origin` of `null` is that of a page with `Referrer-Policy: no-referrer`.
fn is_ours(site: Option<&str>, origin: Option<&str>, ours: &str, token_right: bool) -> bool {
    let from_us = match (site, origin) {
        (Some("same-origin"), origin) => origin.is_none_or(|origin| origin == ours || origin == "null"),
        (Some(_), _) => false,
        (None, origin) => origin == Some(ours),
    };
    from_us && token_right
}

#[tokio::test]
async fn of_all_mixtures_of_origin_site_and_token_only_our_own_page_is_believed() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let stranger = server.newcomer("mallory").await.get("/account").await.csrf_token().unwrap();
    let token = browser.get("/account/profile").await.csrf_token().unwrap();
    let ours = server.public_url.clone();
    let neighbour = ours.replacen("127.0.0.1", "localhost", 1);
    let with_path = format!("{ours}/");
    let origins = [None, Some(ours.as_str()), Some(EVIL), Some("null"), Some(&neighbour), Some(&with_path), Some("")];
    let sites = [None, Some("same-origin"), Some("same-site"), Some("cross-site"), Some("none"), Some("Same-Origin")];
    let cut = &token[..token.len() - 1];
    let tokens =
        [("right", Some(token.as_str())), ("of another", Some(&stranger)), ("cut", Some(cut)), ("missing", None)];
    let mut tried = 0;
    for origin in origins {
        for site in sites {
            for (which, token) in tokens {
                tried += 1;
                let name = format!("Name {tried}");
                let mut fields = vec![("name", name.as_str()), ("email", "anna@example.com")];
                fields.extend(token.map(|token| ("csrf_token", token)));
                let mut headers = Vec::new();
                headers.extend(origin.map(|origin| ("origin", origin)));
                headers.extend(site.map(|site| ("sec-fetch-site", site)));
                let page = browser.post_with("/account/profile", &fields, &headers).await;
                let changed = lookup::find(&server.services.database, "anna").await.unwrap().name == Some(name.clone());
                let ours = is_ours(site, origin, &ours, which == "right");
                let shown = format!("origin {origin:?}, site {site:?}, token {which}");
                assert_eq!(page.status, if ours { 303 } else { 403 }, "{shown}: {}", page.excerpt());
                assert_eq!(changed, ours, "{shown}");
            }
        }
    }
    assert!(tried > 100);
}

#[tokio::test]
async fn every_form_of_a_signed_in_person_refuses_another_site_and_a_missing_token() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let mut other = server.signed_in("anna").await;
    let id = browser.other_sessions().await.remove(0).id;
    let token = browser.get("/account").await.csrf_token().unwrap();
    let end = format!("/account/sessions/{id}/end");
    let forms: [(&str, &[(&str, &str)]); 6] = [
        ("/account/profile", &[("name", "Forged"), ("email", "forged@example.com"), ("current_password", PASSWORD)]),
        ("/account/password", &[("current_password", PASSWORD), ("new_password", NEW_PASSWORD)]),
        ("/confirm", &[("password", PASSWORD)]),
        (&end, &[]),
        ("/account/sessions/end-others", &[]),
        ("/logout", &[]),
    ];
    let ours = server.public_url.clone();
    for (path, fields) in forms {
        let mut with_token = fields.to_vec();
        with_token.push(("csrf_token", &token));
        let foreign: [&[(&str, &str)]; 4] = [
            &[("origin", EVIL), ("sec-fetch-site", "cross-site")],
            &[("origin", "null")],
            &[("sec-fetch-site", "same-site")],
            &[],
        ];
        for headers in foreign {
            let page = browser.post_with(path, &with_token, headers).await;
            assert_eq!(page.status, 403, "{path} {headers:?}: {}", page.excerpt());
            assert!(page.set_cookies().is_empty(), "{path} {headers:?}");
        }
        let here = [("origin", ours.as_str()), ("sec-fetch-site", "same-origin")];
        let page = browser.post_with(path, fields, &here).await;
        assert_eq!(page.status, 403, "{path} without a token: {}", page.excerpt());
        assert!(browser.is_signed_in().await && other.is_signed_in().await, "{path} did something");
    }
    let user = lookup::find(&server.services.database, "anna").await.unwrap();
    assert_eq!((user.name, user.email.as_str()), (None, "anna@example.com"));
    assert!(server.browser().try_sign_in("anna", PASSWORD).await.status == 303, "the password was changed");
}

#[tokio::test]
async fn another_site_can_not_sign_someone_in_up_or_out() {
    let server = TestServer::start(SqliteRedis).await;
    let user = server.create_user("mallory").await.id;
    let link = links::issue_reset(&server.services, &spawn::command_line(), user, &Default::default()).await.unwrap();
    let reset = link.url.strip_prefix(&server.public_url).unwrap().to_owned();
    let forms: [(&str, &[(&str, &str)]); 4] = [
        ("/login", &[("username", "mallory"), ("password", PASSWORD)]),
        ("/register", &[("username", "planted"), ("email", "planted@example.com"), ("password", PASSWORD)]),
        (&reset, &[("new_password", NEW_PASSWORD)]),
        ("/setup/anything", &[("username", "boss"), ("email", "boss@example.com"), ("password", PASSWORD)]),
    ];
    for (path, fields) in forms {
        for headers in [
            vec![("origin", EVIL), ("sec-fetch-site", "cross-site")],
            vec![("origin", EVIL)],
            vec![("sec-fetch-site", "same-site")],
            vec![("origin", "null"), ("sec-fetch-site", "cross-site")],
        ] {
            let mut victim = server.browser();
            let page = victim.post_with(path, fields, &headers).await;
            assert_eq!(page.status, 403, "{path} {headers:?}: {}", page.excerpt());
            assert!(page.set_cookies().is_empty(), "{path} {headers:?}: {:?}", page.set_cookies());
        }
    }
    assert!(account::live(&server.services, user, 10).await.unwrap().0.is_empty());
    assert!(lookup::find(&server.services.database, "planted").await.is_err());
    // An origin of `null` alone is a sandbox, or over plain http the page of a one-time link, whose address is a secret.
    for (path, fields) in &forms[..2] {
        server.browser().post_with(path, fields, &[("origin", "null")]).await.expect(403);
    }
    // The link was not used up.
    server.browser().submit(&reset, &[("new_password", NEW_PASSWORD)]).await.expect_redirect("/login");
}

#[tokio::test]
async fn a_page_under_another_address_than_public_url_says_so_and_names_the_setting() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    let there = "http://192.0.2.7:8080";
    let fields = [("username", "anna"), ("password", PASSWORD)];
    let page = server.browser().post_with("/login", &fields, &[("origin", there)]).await.expect(403);
    let text = page.text();
    for part in [there, &server.public_url, "public_url"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    // What is repeated is no way to write on the page.
    let page = server.browser().post_with("/login", &fields, &[("origin", "http://<script>x</script>")]).await;
    assert!(!page.expect(403).body.contains("<script>x"));
}

#[tokio::test]
async fn no_header_of_the_client_decides_where_links_and_redirects_lead() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    let cookie = format!("Cookie: {}", browser.cookie_header());
    let login = format!("username=anna&password={}", PASSWORD.replace(' ', "+"));
    let hosts: &[&[u8]] = &[
        b"Host: evil.example",
        b"Host: 127.0.0.1\r\nX-Forwarded-Host: evil.example",
        b"Host: 127.0.0.1\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 444",
        b"Host: 127.0.0.1\r\nForwarded: for=1.2.3.4;host=evil.example;proto=https",
        b"Host: 127.0.0.1\r\nX-Host: evil.example\r\nX-Original-URL: https://evil.example/\r\nX-Rewrite-URL: /evil.example",
    ];
    for host in hosts {
        for (method, path, cookie, body) in [
            ("GET", "/", "X: y", ""),
            ("GET", "/", cookie.as_str(), ""),
            ("GET", "/login", "X: y", ""),
            ("GET", "/account", "X: y", ""),
            ("GET", "/account/sessions", cookie.as_str(), ""),
            ("GET", "/.well-known/change-password", cookie.as_str(), ""),
            ("GET", "/nowhere", "X: y", ""),
            ("POST", "/login", "X: y", login.as_str()),
        ] {
            for target in [path.to_owned(), format!("http://evil.example{path}")] {
                let mut bytes = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
                bytes.extend_from_slice(host);
                bytes.extend_from_slice(format!("\r\n{cookie}\r\nSec-Fetch-Site: same-origin\r\n").as_bytes());
                bytes.extend_from_slice(b"Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n");
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
                let answer = raw::exchange(server.address, &bytes).await;
                let what = format!("{method} {target} with {}", String::from_utf8_lossy(host));
                let expected = browser_status(method, path, cookie.starts_with("Cookie"));
                assert_eq!(answer.status, expected, "{what}: {}", answer.head);
                assert!(!answer.head.contains("evil") && !answer.body.contains("evil"), "{what}: {}", answer.head);
            }
        }
    }
    assert!(browser.is_signed_in().await);
}

/// What the same request gets with an honest `Host`: the host is never used and never refused.
fn browser_status(method: &str, path: &str, signed_in: bool) -> u16 {
    match (method, path) {
        ("GET", "/login") => 200,
        ("GET", "/nowhere") => 404,
        ("GET", "/account/sessions") if signed_in => 200,
        _ => 303,
    }
}

#[tokio::test]
async fn one_time_links_have_the_address_of_public_url() {
    let server = TestServer::with(Sqlite, &[("public_url", "https://auth.example.test")]).await;
    let user = server.create_user("anna").await.id;
    let link = links::issue_reset(&server.services, &spawn::command_line(), user, &Default::default()).await.unwrap();
    assert!(link.url.starts_with("https://auth.example.test/reset/"), "{}", link.url);
}

#[tokio::test]
async fn no_page_grants_another_origin_anything() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    for path in ["/login", "/account", "/account/sessions", "/nowhere"] {
        for origin in [EVIL, "null", "http://127.0.0.1.evil.example"] {
            let page = browser.send(reqwest::Method::GET, path, &[("origin", origin)], None).await;
            let preflight = [("origin", origin), ("access-control-request-method", "POST")];
            let asked = browser.send(reqwest::Method::OPTIONS, path, &preflight, None).await;
            for page in [page, asked] {
                assert!(
                    page.headers.keys().all(|name| !name.as_str().starts_with("access-control")),
                    "{path} {origin}"
                );
            }
        }
    }
}
