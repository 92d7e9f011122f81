//! Looking at a page writes nothing: whoever reads waits for no writer.

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use portcullis::routes::{self, Access};

use crate::support::*;

/// As while a backup, or somebody's `sqlite3`, holds the file.
#[tokio::test]
async fn every_page_and_list_is_shown_while_another_program_holds_the_write_lock() {
    let server = TestServer::with(Sqlite, &[("session_idle_timeout", "10m")]).await;
    // One that has expired, and that the history does not know of yet.
    server.signed_in(KEEPER).await;
    server.clock.advance(TimeDelta::minutes(13));
    let mut keeper = server.signed_in(KEEPER).await;
    let program = server.program(KEEPER).await;
    let id = server.id_of(KEEPER).await;

    let file = server.stores.data_dir.join("portcullis.db");
    let mut other = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    for route in routes::ALL.iter().filter(|route| route.method == "GET") {
        let path = match route.path {
            path if path.contains("/users/{id}") => path.replace("{id}", &id.to_string()),
            path if path.contains('{') => continue,
            "/admin/sessions/end" => continue, // nothing is selected
            "/readyz" => continue,             // it tries a write, and says so
            "/admin/audit/export" => "/admin/audit/export?format=csv".to_owned(),
            path => path.to_owned(),
        };
        let answer = match route.access {
            Access::Bearer(..) => program.get(&path).await,
            _ => keeper.get(&path).await,
        };
        assert!(matches!(answer.status, 200 | 303), "{path}: {}", answer.status);
    }
    other.batch_execute("ROLLBACK").unwrap();

    let page = keeper.get("/account/sessions").await.expect(200);
    assert!(page.text().contains("1 other session"), "{}", page.text());
    let listed = program.get("/api/v1/me/sessions").await.expect(200).json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{listed}");
}
