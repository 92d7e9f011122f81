//! The headers of every answer, and errors as pages or as JSON.

use rstest::rstest;

use crate::support::*;

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
        // A form that is shown again says in its place what is wrong.
        let is_form = page.text_of("#refusal").is_some() || matches!(page.status, 401 | 409 | 422);
        if page.status >= 400 && !is_form {
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
