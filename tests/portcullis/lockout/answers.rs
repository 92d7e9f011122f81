//! What somebody who guesses is told: the same, whether or not there is such an account.

use portcullis::domain::audit::Client;
use portcullis::services::administration::user_acts;
use rstest::rstest;
use serde_json::json;

use super::{WRONG, attempt, server_on};
use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn onset_and_answer_are_the_same_whether_or_not_there_is_such_an_account(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("present").await;
    let suspended = server.create_user("suspend").await;
    user_acts::suspend(&server.services, &command_line(), suspended.id, &Client::default()).await.unwrap();
    let mut answers = Vec::new();
    for name in ["present", "missing", "suspend", "not any name", "missing@example.com"] {
        let mut statuses = Vec::new();
        for node in [&server, &second].into_iter().cycle().take(6) {
            statuses.push(attempt(node, name, WRONG).await.status);
        }
        assert_eq!(statuses, [401, 401, 401, 401, 401, 429], "{name}");
        for password in [PASSWORD, WRONG] {
            let page = attempt(&server, name, password).await.expect(429);
            let seconds: u64 = page.header("retry-after").expect("Retry-After").parse().unwrap();
            assert!((850..=900).contains(&seconds), "{seconds}");
            assert_eq!(page.value("username").as_deref(), Some(name), "the form is not kept");
            assert!(page.text_of("#refusal").is_some_and(|words| words.contains("15 minutes")), "{}", page.excerpt());
            assert!(page.set_cookies().is_empty());
            let request_id = page.header("x-request-id").expect("a request id").to_owned();
            let mut headers = page.headers.clone();
            for varies in ["date", "x-request-id", "ratelimit", "retry-after", "content-length"] {
                headers.remove(varies);
            }
            let form_id = page.value("form_id").expect("a form’s id");
            let body = page.body.replace(&format!("\"{name}\""), "NAME").replace(&request_id, "ID");
            answers.push((headers, body.replace(&form_id, "FORM")));
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[rstest]
#[tokio::test]
async fn a_program_learns_no_more_of_who_exists_than_a_page_tells(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = server_on(backend).await;
    let second = server.second_node().await;
    server.create_user("present").await;
    let suspended = server.create_user("suspend").await;
    user_acts::suspend(&server.services, &command_line(), suspended.id, &Client::default()).await.unwrap();
    let nodes = [ApiClient::new(&server), ApiClient::new(&second)];
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for name in ["present", "missing", "suspend", "not any name", "missing@example.com"] {
        let mut guesses = 0;
        for node in nodes.iter().cycle().take(8) {
            guesses += 1;
            // The right password comes too late.
            let password = if guesses == 7 { PASSWORD } else { WRONG };
            let answer = node.post("/api/v1/auth/login", &json!({ "username": name, "password": password })).await;
            let answer = answer.expect(if guesses <= 5 { 401 } else { 429 });
            let (mut headers, mut body) = (answer.headers.clone(), answer.json());
            for varies in ["date", "x-request-id", "ratelimit", "retry-after"] {
                headers.remove(varies);
            }
            body["request_id"] = json!("ID");
            assert_eq!(body["code"], if guesses <= 5 { "invalid_credentials" } else { "too_many_attempts" });
            if guesses <= 5 { &mut before } else { &mut after }.push((headers, body));
        }
    }
    for answers in [before, after] {
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    }
}
