//! Addresses and values as people, mail programs and scripts write them.

use portcullis::domain::audit::Client;
use portcullis::services::accounts::links;

use crate::support::spawn::command_line;
use crate::support::*;

#[tokio::test]
async fn an_address_with_a_slash_too_many_leads_to_the_page() {
    let server = TestServer::start(Sqlite).await;
    let mut browser = server.newcomer("anna").await;
    for (asked, page) in [
        ("/login/", "/login"),
        ("/account/sessions/?x=1&y", "/account/sessions?x=1&y"),
        ("/admin/users/x/", "/admin/users/x"),
        ("/docs/", "/docs"),
        ("/api/v1/me/", "/api/v1/me"),
        ("/oauth-not/", ""),
        ("//evil.example/", ""),
        ("/account//", ""),
        ("/nowhere/", ""),
        ("/reset/", ""),
        ("/account/sessions/end-others/", ""),
    ] {
        let answer = browser.get(asked).await.expect(if page.is_empty() { 404 } else { 303 });
        assert_eq!(answer.location().unwrap_or_default(), page, "{asked}");
    }
    // What a form would do is not sent elsewhere.
    browser.post("/login/", &[]).await.expect(404);
}

#[tokio::test]
async fn a_one_time_link_with_the_full_stop_of_its_sentence_opens_what_it_is_for() {
    let server = TestServer::start(Sqlite).await;
    let user = server.create_user("anna").await.id;
    let link = links::issue_reset(&server.services, &command_line(), user, &Client::default()).await.unwrap().url;
    let path = link.strip_prefix(&server.public_url).unwrap();
    for end in [".", ")", ").", "%29", "%E2%80%9D", "%3E"] {
        server.browser().get(&format!("{path}{end}")).await.expect(200);
    }
    server.browser().get(&format!("{path}x")).await.expect(410);
    let fields = [("new_password", NEW_PASSWORD)];
    server.browser().post(&format!("{path}."), &fields).await.expect_redirect("/login");
    server.browser().post(path, &[("new_password", PASSWORD)]).await.expect(410);
}

#[tokio::test]
async fn a_script_that_says_false_is_not_remembered() {
    let server = TestServer::start(Sqlite).await;
    server.create_user("anna").await;
    for (remember, lasts) in
        [("on", true), ("true", true), ("1", true), ("false", false), ("False", false), ("0", false)]
    {
        let fields = [("username", "anna"), ("password", PASSWORD), ("remember", remember)];
        let answer = server.browser().post("/login", &fields).await.expect(303);
        let cookies = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let session = cookies.into_iter().find(|cookie| cookie.starts_with("portcullis=")).unwrap();
        assert_eq!(session.contains("Max-Age"), lasts, "{remember}: {session}");
    }
}

#[tokio::test]
async fn a_bare_plus_in_an_address_is_answered_with_how_to_write_it() {
    let server = TestServer::start(Sqlite).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let program = server.program(KEEPER).await;
    for field in ["since", "until"] {
        let asked = format!("{field}=2026-11-20T00:00:00+01:00");
        let page = keeper.get(&format!("/admin/audit?{asked}")).await.expect(422);
        let advice = page.field_error(field).unwrap();
        assert!(advice.contains("2026-11-20T00:00:00%2B01:00"), "{advice}");
        let problem = program.get(&format!("/api/v1/audit?{asked}")).await.expect(422).json();
        assert!(problem["errors"][0]["message"].as_str().unwrap().contains("00:00%2B01:00"), "{problem}");
        let written = asked.replace('+', "%2B");
        keeper.get(&format!("/admin/audit?{written}")).await.expect(200);
        program.get(&format!("/api/v1/audit?{written}")).await.expect(200);
    }
    let problem = program.get("/api/v1/audit?user=anna+news@example.com").await.expect(422).json();
    assert!(problem["errors"][0]["message"].as_str().unwrap().contains("%2B"), "{problem}");
    program.get("/api/v1/audit?user=anna%2Bnews@example.com").await.expect(200);
}
