//! Ending a session ends its tokens, whoever ends it and in whatever way, here at once and on the other node within a
//! second. The connections stay open.

use portcullis::domain::Role;
use portcullis::domain::audit::Client;
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::everyone;
use rstest::rstest;
use serde_json::json;

use crate::support::spawn::command_line;
use crate::support::*;

/// The ways in which a program's session ends without its doing.
#[derive(Clone, Copy, Debug)]
enum Way {
    OwnerOnThePage,
    OwnerOverTheApi,
    CommandLine,
    PasswordChangedElsewhere,
    Suspension,
    Deletion,
}

#[rstest]
#[tokio::test]
async fn every_end_of_a_session_ends_its_tokens_on_every_node(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values(
        Way::OwnerOnThePage,
        Way::OwnerOverTheApi,
        Way::CommandLine,
        Way::PasswordChangedElsewhere,
        Way::Suspension,
        Way::Deletion
    )]
    way: Way,
) {
    let server = TestServer::start(backend).await;
    let other_node = server.second_node().await;
    let user = server.create("anna", Role::User).await.id;
    let (mut program, owner) = (server.program("anna").await, server.program("anna").await);
    let mut browser = server.signed_in("anna").await;
    let mut elsewhere = ApiClient::new(&other_node);
    elsewhere.access_token = program.access_token.clone();
    elsewhere.refresh_token = program.refresh_token.clone();
    assert!(program.is_signed_in().await && elsewhere.is_signed_in().await);

    let id = program.session_id.clone();
    let (services, auth, client) = (&server.services, command_line(), Client::default());
    match way {
        Way::OwnerOnThePage => {
            let token = browser.get("/account").await.csrf_token().unwrap();
            browser.post(&format!("/account/sessions/{id}/end"), &[("csrf_token", &token)]).await.expect(303);
        }
        Way::OwnerOverTheApi => drop(owner.delete(&format!("/api/v1/me/sessions/{id}")).await.expect(204)),
        Way::CommandLine => everyone::end_one(services, &auth, id.parse().unwrap(), &client).await.unwrap(),
        Way::PasswordChangedElsewhere => {
            let body = json!({ "current_password": PASSWORD, "new_password": "another marble lantern otter" });
            owner.json("PUT", "/api/v1/me/password", &body).await.expect(204);
        }
        Way::Suspension => drop(user_acts::suspend(services, &auth, user, &client).await.unwrap()),
        Way::Deletion => user_acts::delete(services, &auth, user, &client).await.unwrap(),
    }
    assert!(!program.is_signed_in().await, "the access token lives on");
    Deadline::second().expect_soon("dead on the other node", async || !elsewhere.is_signed_in().await).await;
    assert_eq!(program.refresh().await.status, 401);
    assert_eq!(elsewhere.refresh().await.status, 401);
}

#[rstest]
#[tokio::test]
async fn a_changed_role_counts_on_the_next_request_of_a_program_and_signs_nobody_out(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let user = server.create("anna", Role::Admin).await.id;
    let program = server.program("anna").await;
    program.get("/api/v1/keys").await.expect(200);
    user_acts::set_role(&server.services, &command_line(), user, Role::User, &Client::default()).await.unwrap();
    program.get("/api/v1/keys").await.expect(403);
    assert!(program.is_signed_in().await);
}
