//! A PostgreSQL as someone else has set it up: what a role or a database may have set for its sessions.

use rstest::rstest;

use crate::support::mixed::mixed_requests;
use crate::support::postgres_server::{database_of, sql, value};
use crate::support::stores::{Stores, postgres_database};
use crate::support::*;

/// Settings of the database of these stores, as `ALTER DATABASE … SET`.
async fn alter(stores: &Stores, settings: &[&str]) {
    let name = database_of(&stores.database_url);
    let statements: Vec<_> = settings.iter().map(|setting| format!("ALTER DATABASE {name} SET {setting}")).collect();
    sql(&stores.database_url, &statements.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

/// With a Redis, or without.
async fn stores(redis: bool) -> Stores {
    Stores::with_redis(PostgresRedis, redis.then(RedisServer::shared)).await
}

#[rstest]
#[tokio::test]
async fn under_each_isolation_level_sixteen_clients_get_no_error(
    #[values("read committed", "repeatable read", "serializable")] level: &str,
    #[values(false, true)] redis: bool,
) {
    let stores = stores(redis).await;
    alter(&stores, &[&format!("default_transaction_isolation = '{level}'")]).await;
    let server = TestServer::on(stores, &[("api_rate", "100000/1m"), ("database_pool", "18")]).await;
    let tally = mixed_requests(&server, 16, 2000).await;
    assert!(tally.requests >= 2000, "{}", tally.requests);
    let some = &tally.failures[..tally.failures.len().min(3)];
    assert!(tally.failures.is_empty(), "{} of {}: {some:#?}", tally.failures.len(), tally.requests);
}

#[tokio::test]
async fn what_a_database_sets_for_its_sessions_is_not_in_the_way() {
    let stores = stores(false).await;
    alter(
        &stores,
        &[
            "statement_timeout = '10ms'",
            "lock_timeout = '1ms'",
            "idle_in_transaction_session_timeout = '1ms'",
            "idle_session_timeout = '1s'",
            "default_transaction_deferrable = on",
            "standard_conforming_strings = off",
            "transform_null_equals = on",
            "gin_fuzzy_search_limit = 1",
            "exit_on_error = on",
            "synchronous_commit = off",
            "bytea_output = 'escape'",
            "extra_float_digits = -15",
            "\"DateStyle\" = 'SQL, DMY'",
            "\"IntervalStyle\" = 'sql_standard'",
            "\"TimeZone\" = 'Asia/Kathmandu'",
            "client_encoding = 'LATIN1'",
        ],
    )
    .await;
    let server = TestServer::on(stores, &[("api_rate", "100000/1m"), ("database_pool", "18")]).await;
    let tally = mixed_requests(&server, 4, 200).await;
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
    let mut anna = server.newcomer("anna").await;
    anna.submit("/account/profile", &[("name", "Ānna 🦉_%\\")]).await.expect_redirect("/account/profile");
    assert_eq!(anna.get("/account/profile").await.value("name").as_deref(), Some("Ānna 🦉_%\\"));
    // The search escapes with a backslash; and finds all, not a sample.
    let keeper = server.program(KEEPER).await;
    let found = keeper.get("/api/v1/users?q=%F0%9F%A6%89_%25%5C").await.expect(200).json();
    assert_eq!(found["data"][0]["username"], "anna", "{found}");
    let all = keeper.get("/api/v1/users?q=example.com&limit=200").await.expect(200).json();
    // The question of this test is under no limit of ten milliseconds.
    let name = database_of(&server.stores.database_url);
    sql(&postgres_database("postgres").await, &[&format!("ALTER DATABASE {name} RESET statement_timeout")]).await;
    let accounts = value(&server.stores.database_url, "SELECT count(*) FROM users").await;
    assert_eq!(all["data"].as_array().unwrap().len().to_string(), accounts);
}

#[tokio::test]
async fn an_encoding_that_has_not_all_letters_is_refused_at_start_by_name() {
    let url = postgres_database("postgres").await;
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    sql(&url, &[&format!("CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")]).await;
    let mut url = url::Url::parse(&url).unwrap();
    url.set_path(&name);
    let program = Program::with_administrator().set("database_url", url.as_str());
    for arguments in [&["serve"][..], &["user", "list"]] {
        let refused = program.run(arguments);
        assert_eq!(refused.code, Some(78), "{refused:?}");
        assert!(refused.stderr.contains("LATIN1") && refused.stderr.contains("UTF8"), "{refused:?}");
    }
    // Nothing was made there.
    assert_eq!(value(url.as_str(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, "0");
}

#[rstest]
#[case("default_transaction_read_only = on", "default_transaction_read_only")]
#[case("session_replication_role = replica", "session_replication_role")]
#[case("search_path = nowhere", "search_path")]
#[tokio::test]
async fn what_only_an_operator_can_put_right_is_refused_by_name(#[case] setting: &str, #[case] named: &str) {
    let stores = stores(false).await;
    alter(&stores, &[setting]).await;
    let program = Program::with_administrator().set("database_url", &stores.database_url);
    let refused = program.run(&["serve"]);
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.stderr.contains(named) && refused.stderr.contains("RESET"), "{refused:?}");
    // Put right, it starts.
    let name = database_of(&stores.database_url);
    let owner =
        format!("{}&options=-csearch_path%3Dpublic%20-cdefault_transaction_read_only%3Doff", stores.database_url);
    sql(&owner, &[&format!("ALTER DATABASE {name} RESET {named}")]).await;
    let _running = program.serve().await;
}
