//! A flood of sign-ins is mostly refusals, so they have to be cheap: none writes anything.

use diesel::connection::SimpleConnection as _;
use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types};
use rstest::rstest;
use serde_json::json;

use crate::support::*;

/// Notes each statement that writes, or would, to what sign-ins write to: SQLite has triggers for rows alone.
const POSTGRES_WITNESS: &str = "CREATE TABLE witness (at text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO witness VALUES (TG_TABLE_NAME || ' ' || TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER witness BEFORE INSERT OR UPDATE OR DELETE ON lockouts FOR EACH STATEMENT EXECUTE FUNCTION note();
    CREATE TRIGGER witness BEFORE INSERT OR UPDATE OR DELETE ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION note();";
const SQLITE_WITNESS: &str = "CREATE TABLE witness (at text);
    CREATE TRIGGER inserted BEFORE INSERT ON lockouts BEGIN INSERT INTO witness VALUES ('lockouts INSERT'); END;
    CREATE TRIGGER updated BEFORE UPDATE ON lockouts BEGIN INSERT INTO witness VALUES ('lockouts UPDATE'); END;
    CREATE TRIGGER deleted BEFORE DELETE ON lockouts BEGIN INSERT INTO witness VALUES ('lockouts DELETE'); END;
    CREATE TRIGGER audited BEFORE INSERT ON audit_events BEGIN INSERT INTO witness VALUES ('audit_events INSERT'); END;";

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = sql_types::Text)]
    at: String,
}

async fn server_with_witness(backend: Backend) -> TestServer {
    let server = TestServer::with(backend, &[("lockout_threshold", "3"), ("hash_queue", "2"), ONE_HASHER]).await;
    let witness = if backend == PostgresRedis { POSTGRES_WITNESS } else { SQLITE_WITNESS };
    server.services.database.write(|connection| Ok(connection.batch_execute(witness)?)).await.unwrap();
    server
}

/// What was written since the last time.
async fn written(server: &TestServer) -> Vec<String> {
    let written = server.services.database.write(|connection| {
        let written: Vec<Written> = sql_query("SELECT at FROM witness").load(connection)?;
        sql_query("DELETE FROM witness").execute(connection)?;
        Ok(written.into_iter().map(|written| written.at).collect())
    });
    written.await.unwrap()
}

#[rstest]
#[tokio::test]
async fn a_refused_sign_in_writes_nothing(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
    #[values("anna", "nobody")] name: &str,
) {
    let server = server_with_witness(backend).await;
    server.create_user("anna").await;
    let page = async |password| server.browser().post("/login", &[("username", name), ("password", password)]).await;
    let program = async |password| {
        let body = json!({ "username": name, "password": password });
        ApiClient::new(&server).post("/api/v1/auth/login", &body).await
    };

    // No place in the hashing queue.
    let mut held = HeldHasher::new(&server.services).await;
    held.fill();
    written(&server).await;
    page(PASSWORD).await.expect(503);
    program(PASSWORD).await.expect(503);
    assert_eq!(written(&server).await, [""; 0]);
    drop(held);

    for _ in 0..3 {
        page("a wrong password").await.expect(401);
    }
    assert!(written(&server).await.contains(&"lockouts INSERT".to_owned()), "the witness sees nothing");
    for _ in 0..5 {
        page(PASSWORD).await.expect(429);
        program(PASSWORD).await.expect(429);
    }
    assert_eq!(written(&server).await, [""; 0]);
}

/// As where a connection is lost at COMMIT: a count that is not known to be taken is not given back. It could be another's.
#[tokio::test]
async fn an_attempt_whose_count_was_not_committed_gives_none_back() {
    let server = TestServer::with(PostgresRedis, &[("lockout_threshold", "3"), ONE_HASHER]).await;
    server.create_user("anna").await;
    let sql = async |text: &'static str| {
        server.services.database.write(move |connection| Ok(connection.batch_execute(text)?)).await.unwrap();
    };
    let attempt = async || server.browser().post("/login", &[("username", "anna"), ("password", PASSWORD)]).await;
    let held = HeldHasher::new(&server.services).await;
    let first = attempt();
    let others = async {
        held.is_waited_for_by(1).await;
        sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
             CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON lockouts DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW WHEN (new.pending > old.pending) EXECUTE FUNCTION refuse();")
        .await;
        assert!(attempt().await.status >= 500);
        sql("DROP TRIGGER refuse ON lockouts").await;
        let under_way = held::guesses(&server.services).await;
        drop(held);
        under_way
    };
    let (first, under_way) = tokio::join!(first, others);
    assert_eq!(under_way, 1, "the first one's count was given back");
    first.expect(303);
}
