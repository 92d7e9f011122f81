//! A request whose body comes slowly: what its caller may do is decided when it is complete.

use portcullis::domain::audit::Client;
use portcullis::domain::{Error, Role};
use portcullis::services::accounts::lookup;
use portcullis::services::administration::users;
use portcullis::services::sessions::everyone;
use rstest::rstest;
use serde_json::json;

use crate::support::raw::SlowRequest;
use crate::support::spawn::command_line;
use crate::support::*;

/// Ways in which the session of `thief` ends, told by whom.
const ENDS: [&str; 5] = ["one", "selected", "all of the account", "all others", "a new password"];

async fn end(server: &TestServer, way: &str, session: &str) {
    let (services, client, id) = (&server.services, &Client::default(), server.id_of("adele").await);
    let session = session.parse().unwrap();
    match way {
        "one" => everyone::end_one(services, &command_line(), session, client).await.unwrap(),
        "selected" => drop(everyone::end_selected(services, &command_line(), &[session], client).await.unwrap()),
        "all of the account" => drop(everyone::end_of_account(services, &command_line(), id, client).await.unwrap()),
        "all others" => {
            let owner = server.program("adele").await;
            owner.delete("/api/v1/me/sessions").await.expect(200);
        }
        "a new password" => {
            let owner = server.program("adele").await;
            let passwords = json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD });
            owner.json("PUT", "/api/v1/me/password", &passwords).await.expect(204);
        }
        other => panic!("{other}"),
    }
}

/// A session that has ended does nothing more. A thief who is about to be thrown out keeps a
/// request open, to make an administrator of somebody.
#[rstest]
#[tokio::test]
async fn an_act_that_began_before_its_session_ended_is_not_done_after_it(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    for way in ENDS {
        let server = TestServer::start(backend).await;
        server.create("adele", Role::Admin).await;
        let target = server.create_user("udo").await;
        let path = format!("/api/v1/users/{}/role", target.id);

        let thief = server.program("adele").await;
        let token = thief.access_token.as_deref().unwrap();
        let role = SlowRequest::begin_json(server.address, "PUT", &path, token, r#"{"role":"admin"}"#).await;
        let account = r#"{"username":"eve","email":"eve@example.com","role":"admin"}"#;
        let create = SlowRequest::begin_json(server.address, "POST", "/api/v1/users", token, account).await;
        let selected = format!(r#"{{"ids":["{}"]}}"#, server.program("udo").await.session_id);
        let profile =
            SlowRequest::begin_json(server.address, "PATCH", "/api/v1/me", token, r#"{"name":"Thief"}"#).await;
        let revoke = SlowRequest::begin_json(server.address, "POST", "/api/v1/sessions/revoke", token, &selected).await;

        let mut browser = server.signed_in("adele").await;
        let csrf = browser.get("/account").await.csrf_token().unwrap();
        let page = format!("/admin/users/{}/role", target.id);
        let fields = [("csrf_token", csrf.as_str()), ("role", "admin")];
        let on_page = SlowRequest::begin(&browser, &page, &fields).await;
        end(&server, way, &thief.session_id).await;
        if matches!(way, "one" | "selected") {
            let sessions = server.program(KEEPER).await.get("/api/v1/sessions?q=adele&kind=browser").await.json();
            end(&server, way, sessions["data"][0]["id"].as_str().unwrap()).await;
        }
        for held in [role, create, revoke, profile] {
            let answer = held.finish().await;
            assert_eq!(answer.status, 401, "{way}: {}", answer.head);
        }
        let answer = on_page.finish().await;
        assert!(matches!(answer.status, 303 | 401 | 403), "{way}: {}", answer.head);
        assert_eq!(lookup::by_id(&server.services.database, target.id).await.unwrap().role, Role::User, "{way}");
        assert!(lookup::find(&server.services.database, "eve").await.is_err(), "{way}");
        assert_eq!(lookup::find(&server.services.database, "adele").await.unwrap().name, None, "{way}");
    }
}

/// While the end of all sessions is written it is not yet to be seen; what it has locked is waited for.
#[tokio::test]
async fn an_account_that_is_made_while_everybody_is_signed_out_is_not_made_by_one_of_them() {
    let server = TestServer::with(PostgresRedis, &[("database_pool", "8")]).await;
    let adele = server.create("adele", Role::Admin).await;
    let thief = server.stepped_up(&adele).await;
    let services = server.services.clone();
    // Where every end is told to other nodes, and no new account is.
    let feed = HeldTable::new(&services.database, "changes").await;
    let ending = services.clone();
    let end_all =
        tokio::spawn(async move { everyone::end_all(&ending, &command_line(), None, &Client::default()).await });
    feed.is_waited_for_by(1).await;
    let create = tokio::spawn(async move {
        users::create(&services, &thief, "eve", "eve@example.com", None, Role::Admin, &Client::default()).await
    });
    feed.is_waited_for_by(2).await;
    feed.release().await;
    end_all.await.unwrap().unwrap();
    assert!(matches!(create.await.unwrap(), Err(Error::NotSignedIn)));
    assert!(lookup::find(&server.services.database, "eve").await.is_err());
}
