//! `/readyz`, the dashboard and `portcullis doctor` tell the same: whether the stores do what requests need of them.

use crate::support::stores::Stores;
use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_without_room_still_shows_pages_and_everybody_is_told_what_fails() {
    let redis = RedisServer::start();
    let server = TestServer::on(Stores::with_redis(SqliteRedis, Some(redis.clone())).await, &[]).await;
    server.create_user("anna").await;
    let mut keeper = server.signed_in(KEEPER).await;
    let mut program = server.program("anna").await;
    assert!(!keeper.get("/admin").await.expect(200).text().contains("Needs attention"));
    redis.cli(&["config", "set", "maxmemory", "1"]);

    let ready = keeper.get("/readyz").await.expect(503).json();
    assert_eq!((&ready["status"], &ready["database"]["status"]), (&"unavailable".into(), &"ok".into()), "{ready}");
    assert_eq!((&ready["redis"]["failed"], &ready["redis"]["code"]), (&"write".into(), &"OOM".into()), "{ready}");
    assert!(ready["redis"]["advice"].as_str().unwrap().contains("maxmemory"), "{ready}");
    // SQL answers for it. What needs a write there is refused, and said to be.
    let page = keeper.get("/admin").await.expect(200);
    assert!(page.text().contains("This node fails to write with Redis (OOM)"), "{}", page.text());
    let rows = page.texts("section[aria-labelledby='node'] tbody tr");
    assert!(rows[0].starts_with("DatabaseReady") && rows[1].starts_with("RedisNot readyfails to write"), "{rows:?}");
    assert!(program.is_signed_in().await);
    program.refresh().await.expect(503);
    let doctor = Program::on(&server).run(&["doctor"]);
    assert_eq!(doctor.code, Some(69), "{doctor:?}");
    let lines: Vec<_> = doctor.stdout.lines().collect();
    assert!(lines[1].starts_with("database  ok") && lines[2].starts_with("redis     failed"), "{doctor:?}");
    assert!(lines[2].contains("can't write: OOM") && lines[2].contains("raise maxmemory"), "{doctor:?}");
    assert_eq!(doctor.stderr, "portcullis: not as the server needs it: redis\n");
    // An end takes away, and needs no room.
    let mut anna = server.signed_in("anna").await;
    anna.sign_out().await;
    assert!(!anna.is_signed_in().await);

    redis.cli(&["config", "set", "maxmemory", "0"]);
    keeper.get("/readyz").await.expect(200);
    program.refresh().await.expect(200);
    assert_eq!(Program::on(&server).run(&["doctor"]).code, Some(0));
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_not_ready() {
    let server = TestServer::start(PostgresRedis).await;
    server.is_ready().await;
    let url = server.stores.database_url.clone();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = url::Url::parse(&url).unwrap().path()[1..].split('?').next().unwrap().to_owned();
    let read_only = |on: &str| {
        // As on a standby, for every connection from now on.
        format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = {on};
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        )
    };
    client.batch_execute(&read_only("on")).await.unwrap();
    let mut browser = server.browser();
    let mut told = serde_json::Value::Null;
    eventually("not ready", std::time::Duration::from_secs(6), async || {
        let page = browser.get("/readyz").await;
        told = page.json()["database"].clone();
        page.status == 503 && told["status"] == "unavailable"
    })
    .await;
    // Such a server is not even connected to, so that reading fails too.
    assert!(matches!(told["failed"].as_str(), Some("read" | "write")), "{told}");
    client.batch_execute(&format!("SET default_transaction_read_only = off; {}", read_only("off"))).await.unwrap();
    server.is_ready().await;
    // However often it was tried.
    let rows = client.query_one("SELECT count(*) FROM installation WHERE name LIKE 'readiness%'", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 1);
}

#[test]
fn doctor_has_a_line_for_each_store_whatever_became_of_the_others() {
    let program = Program::new();
    let well = program.run(&["doctor"]);
    let lines: Vec<_> = well.stdout.lines().collect();
    assert_eq!((well.code, lines.len()), (Some(0), 3), "{well:?}");
    assert!(lines[1].starts_with("database  ok      reads and writes in "), "{well:?}");
    assert_eq!(lines[2], "redis     unused  sessions are kept in the database");
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
    let unused = Port::reserve();
    let nowhere = format!("postgres://user:hunter2-canary@127.0.0.1:{}/none", unused.number());
    let program = program.set("redis_url", &redis.url()).set("database_url", &nowhere);
    let ill = program.run(&["doctor", "--output", "json"]);
    assert_eq!(ill.code, Some(69), "{ill:?}");
    assert!(!format!("{ill:?}").contains("canary"), "{ill:?}");
    let checks: serde_json::Value = serde_json::from_str(&ill.stdout).unwrap();
    assert_eq!((&checks[0]["check"], &checks[0]["status"]), (&"database".into(), &"failed".into()), "{checks}");
    assert!(checks[0]["detail"].as_str().unwrap().contains("check database_url"), "{checks}");
    assert_eq!((&checks[1]["check"], &checks[1]["status"]), (&"redis".into(), &"warning".into()), "{checks}");
    assert!(checks[1]["detail"].as_str().unwrap().contains("noeviction"), "{checks}");
}
