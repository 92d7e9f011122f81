//! `docs/postgresql-errors.md`, walked through: the table against the function that sorts, and against a real server.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis::storage::postgres::Remedy;

use crate::support::postgres_server::{database_of, sql, value};
use crate::support::stores::Stores;
use crate::support::*;

const DOCUMENT: &str = include_str!("../../docs/postgresql-errors.md");

/// The table: a whole SQLSTATE or a class, and what it says is done.
fn table() -> BTreeMap<String, Remedy> {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let code = cells[1].trim_matches('`').trim_end_matches('…').to_owned();
        assert!(matches!(code.len(), 2 | 5), "{row}");
        let remedy = match cells[3] {
            "connect anew" => Remedy::ConnectAnew,
            "try again" => Remedy::TryAgain,
            "tell the operator" => Remedy::TellOperator,
            "our fault" => Remedy::OurFault,
            other => panic!("{other}: {row}"),
        };
        (code, remedy)
    })
    .collect()
}

/// All that the installed PostgreSQL knows, with its name: its own list.
fn known_codes() -> Vec<(String, String)> {
    let folders = std::fs::read_dir("/usr/share/postgresql").expect("PostgreSQL is installed").flatten();
    let newest = folders.map(|entry| entry.path()).filter(|path| path.join("errcodes.txt").exists()).max();
    let list = std::fs::read_to_string(newest.expect("errcodes.txt").join("errcodes.txt")).expect("errcodes.txt");
    let lines = list.lines().filter(|line| line.len() > 5 && line.as_bytes()[5] == b' ' && !line.starts_with('#'));
    let mut codes: Vec<_> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() >= 3 && words[0].len() == 5 && words[2].starts_with("ERRCODE_"))
        .map(|words| (words[0].to_owned(), words.get(3).unwrap_or(&"").to_string()))
        .collect();
    codes.dedup_by(|one, other| one.0 == other.0);
    codes
}

#[test]
fn the_table_says_what_is_done_about_each_error_that_postgresql_knows() {
    let table = table();
    for (code, remedy) in &table {
        // That of a class is that of a code nobody knows yet.
        let asked = if code.len() == 2 { format!("{code}ZZZ") } else { code.clone() };
        assert_eq!(Remedy::of(&asked), *remedy, "{code}");
    }
    let codes = known_codes();
    assert!(codes.len() > 200, "{}", codes.len());
    for (code, name) in &codes {
        let row = table.get(code).or_else(|| table.get(&code[..2]));
        assert_eq!(row, Some(&Remedy::of(code)), "{code} {name}");
    }
    // A row of its own has PostgreSQL's own name.
    let names: BTreeMap<_, _> = codes.into_iter().collect();
    for row in DOCUMENT.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let code = cells[1].trim_matches('`');
        if let Some(name) = names.get(code).filter(|name| !name.is_empty()) {
            assert_eq!(cells[2], name, "{row}");
        }
    }
    assert_eq!(Remedy::of(""), Remedy::TellOperator);
    assert_eq!(Remedy::of("é"), Remedy::TellOperator);
    assert_eq!(Remedy::of("QQ123"), Remedy::TellOperator);
}

/// A server on PostgreSQL alone, by a role that is not a superuser; and the URLs of that and of the superuser.
async fn server_of_a_role() -> (TestServer, String, String) {
    let stores = Stores::with_redis(PostgresRedis, None).await;
    let superuser = stores.database_url.clone();
    let name = database_of(&superuser);
    let role = format!("owner_of_{name}");
    sql(&superuser, &[&format!("CREATE ROLE {role} LOGIN"), &format!("ALTER DATABASE {name} OWNER TO {role}")]).await;
    let mut url = url::Url::parse(&superuser).unwrap();
    url.set_username(&role).unwrap();
    let stores = Stores { database_url: url.into(), ..stores };
    (TestServer::on(stores, &[]).await, superuser, role)
}

async fn sign_in(server: &TestServer) -> u16 {
    server.browser().post("/login", &[("username", KEEPER), ("password", PASSWORD)]).await.status
}

/// Ends all sessions of that role.
async fn terminate(superuser: &str, role: &str) {
    sql(superuser, &[&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")])
        .await;
}

/// Within the two seconds that a switch of servers may take.
async fn is_well_again(server: &TestServer, what: &str) {
    eventually(what, Duration::from_secs(2), async || sign_in(server).await == 303).await;
    for _ in 0..10 {
        assert_eq!(sign_in(server).await, 303, "{what}");
    }
}

#[tokio::test]
async fn each_error_met_once_is_remedied_or_told_as_the_table_says() {
    let (server, superuser, _) = server_of_a_role().await;
    // Raises an error once: a sequence goes on where a transaction is rolled back.
    sql(
        &superuser,
        &["CREATE SEQUENCE met", "ALTER SEQUENCE met OWNER TO CURRENT_USER", "GRANT ALL ON SEQUENCE met TO public"],
    )
    .await;
    for (code, name) in known_codes() {
        if ["00", "01", "02"].contains(&&code[..2]) {
            continue; // no errors: RAISE takes none of them
        }
        let function = format!(
            "CREATE OR REPLACE FUNCTION meet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('met') = 1 THEN RAISE EXCEPTION 'met' USING ERRCODE = '{code}'; END IF; RETURN NEW; END $$"
        );
        sql(
            &superuser,
            &[
                &function,
                "ALTER SEQUENCE met RESTART",
                "DROP TRIGGER IF EXISTS meet ON audit_events",
                "CREATE TRIGGER meet BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION meet()",
            ],
        )
        .await;
        let expected = match Remedy::of(&code) {
            Remedy::ConnectAnew | Remedy::TryAgain => 303,
            Remedy::TellOperator => 503,
            Remedy::OurFault => 500,
        };
        assert_eq!(sign_in(&server).await, expected, "{code} {name}");
        sql(&superuser, &["DROP TRIGGER meet ON audit_events"]).await;
        assert_eq!(sign_in(&server).await, 303, "after {code} {name}");
    }
}

#[tokio::test]
async fn sessions_that_an_administrator_ends_are_made_anew_unnoticed() {
    let (server, superuser, role) = server_of_a_role().await;
    for _ in 0..5 {
        terminate(&superuser, &role).await;
        assert_eq!(sign_in(&server).await, 303);
    }
}

#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let (server, superuser, _) = server_of_a_role().await;
    let name = database_of(&superuser);
    sql(&superuser, &[&format!("ALTER DATABASE {name} SET deadlock_timeout = '400ms'")]).await;
    let (server, _old) = (server.second_node().await, server);
    let (other, connection) = tokio_postgres::connect(&superuser, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // The other one looks for no deadlock, so that ours is the one that is given up.
    other
        .batch_execute("SET deadlock_timeout = '1min'; BEGIN; LOCK TABLE audit_events IN EXCLUSIVE MODE")
        .await
        .unwrap();
    let meet = async {
        // Asked in the same session, which is quick: it has to wait, too, before ours looks for a deadlock.
        eventually("ours waits", Duration::from_secs(5), async || {
            let waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'audit_events'::regclass";
            !other.query(waiting, &[]).await.unwrap().is_empty()
        })
        .await;
        other.batch_execute("SELECT 1 FROM users FOR UPDATE; ROLLBACK").await.unwrap();
    };
    let (status, ()) = tokio::join!(sign_in(&server), meet);
    assert_eq!(status, 303);
    // A session tells what it has counted when it is used again after a while.
    eventually("counted", Duration::from_secs(15), async || {
        assert_eq!(sign_in(&server).await, 303);
        value(&superuser, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").await == "1"
    })
    .await;
}

#[tokio::test]
async fn a_schema_that_another_version_has_changed_is_read_anew() {
    let (server, superuser, _) = server_of_a_role().await;
    let mut anna = server.newcomer("anna").await;
    for length in [600, 700, 800] {
        assert_eq!(sign_in(&server).await, 303);
        assert!(anna.is_signed_in().await);
        sql(&superuser, &[&format!("ALTER TABLE users ALTER COLUMN name TYPE varchar({length})")]).await;
        assert!(anna.is_signed_in().await, "cached plan must not change result type");
        assert_eq!(anna.get("/account").await.status, 200);
        assert_eq!(sign_in(&server).await, 303);
    }
}

#[tokio::test]
async fn what_an_operator_has_taken_away_and_gives_back_needs_no_restart() {
    let (server, superuser, role) = server_of_a_role().await;
    let name = database_of(&superuser);
    let elsewhere = superuser.replace(&format!("/{name}"), "/postgres");
    for (what, take, give) in [
        ("28000", format!("ALTER ROLE {role} NOLOGIN"), format!("ALTER ROLE {role} LOGIN")),
        ("53300", format!("ALTER ROLE {role} CONNECTION LIMIT 0"), format!("ALTER ROLE {role} CONNECTION LIMIT -1")),
        (
            "25006",
            format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
            format!("ALTER DATABASE {name} RESET default_transaction_read_only"),
        ),
        (
            "3D000",
            format!("ALTER DATABASE {name} RENAME TO away_{name}"),
            format!("ALTER DATABASE away_{name} RENAME TO {name}"),
        ),
    ] {
        let end = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        // A rename needs a database without sessions; the pool may be quicker once.
        eventually(what, Duration::from_secs(10), async || {
            sql(&elsewhere, &[&end]).await;
            let (client, connection) = tokio_postgres::connect(&elsewhere, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(&take).await.is_ok()
        })
        .await;
        sql(&elsewhere, &[&end]).await;
        assert_eq!(sign_in(&server).await, 503, "{what}");
        sql(&elsewhere, &[&give]).await;
        is_well_again(&server, what).await;
    }
    for (what, take, give) in [
        (
            "42501",
            format!("REVOKE INSERT ON audit_events FROM {role}"),
            format!("GRANT INSERT ON audit_events TO {role}"),
        ),
        (
            "42P01",
            "ALTER TABLE audit_events RENAME TO away".to_owned(),
            "ALTER TABLE away RENAME TO audit_events".to_owned(),
        ),
    ] {
        sql(&superuser, &[&take]).await;
        assert_eq!(sign_in(&server).await, 503, "{what}");
        sql(&superuser, &[&give]).await;
        is_well_again(&server, what).await;
    }
}
