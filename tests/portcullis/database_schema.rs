//! The tables as the migrations make them: `schema.rs` says the same, and each migration can be taken back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};
use portcullis::settings::{self, Sources};
use portcullis::storage::Database;
use rstest::rstest;

use crate::support::stores::Stores;
use crate::support::*;

/// The types of `schema.rs`, and what they are on SQLite and on PostgreSQL.
const TYPES: &[(&str, &str, &str)] = &[
    ("BigInt", "INTEGER", "bigint"),
    ("Binary", "BLOB", "bytea"),
    ("Bool", "INTEGER", "boolean"),
    ("Id", "BLOB", "uuid"),
    ("TimestampColumn", "INTEGER", "timestamp with time zone"),
    ("Text", "TEXT", "text"),
];

/// Columns of SQLite's tables, but for those of its own, Diesel's and the full-text index. A primary key is declared
/// without `NOT NULL` there, and never null.
const SQLITE_COLUMNS: &str = "\
    SELECT t.name AS table_name, c.name AS column_name, c.type AS type_name, \
           c.pk AS place_in_key, c.\"notnull\" = 0 AND c.pk = 0 AS nullable \
    FROM sqlite_schema AS t, pragma_table_info(t.name) AS c \
    WHERE t.type = 'table' AND t.name NOT GLOB 'sqlite_*' AND t.name NOT GLOB 'users_search*' \
      AND t.name <> '__diesel_schema_migrations'";

const POSTGRES_COLUMNS: &str = "\
    SELECT t.relname::text AS table_name, c.attname::text AS column_name, \
           format_type(c.atttypid, c.atttypmod) AS type_name, \
           coalesce(array_position(string_to_array(k.indkey::text, ' '), c.attnum::text), 0)::bigint AS place_in_key, \
           NOT c.attnotnull AS nullable \
    FROM pg_class AS t \
    JOIN pg_attribute AS c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped \
    LEFT JOIN pg_index AS k ON k.indrelid = t.oid AND k.indisprimary \
    WHERE t.relnamespace = 'public'::regnamespace AND t.relkind IN ('r', 'p') \
      AND t.relname <> '__diesel_schema_migrations'";

/// All that SQLite was told, but for what is Diesel's.
const SQLITE_OBJECTS: &str = "\
    SELECT type || ' ' || name || ': ' || sql AS line FROM sqlite_schema \
    WHERE name NOT GLOB 'sqlite_*' AND name <> '__diesel_schema_migrations'";

/// Columns with all that is said of them, settings of tables, indexes, constraints and functions.
const POSTGRES_OBJECTS: &str = "\
    WITH t AS ( \
        SELECT * FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') \
          AND relname <> '__diesel_schema_migrations') \
    SELECT concat_ws(' ', t.relname, c.attname, format_type(c.atttypid, c.atttypmod), l.collname, c.attnotnull, \
           c.attidentity, pg_get_expr(d.adbin, d.adrelid)) AS line \
    FROM t JOIN pg_attribute AS c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped \
    LEFT JOIN pg_collation AS l ON l.oid = c.attcollation \
    LEFT JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = c.attnum \
    UNION ALL SELECT concat_ws(' ', relname, reloptions::text) FROM t \
    UNION ALL SELECT pg_get_indexdef(i.indexrelid) FROM t JOIN pg_index AS i ON i.indrelid = t.oid \
    UNION ALL SELECT concat_ws(' ', t.relname, n.conname, pg_get_constraintdef(n.oid)) \
        FROM t JOIN pg_constraint AS n ON n.conrelid = t.oid \
    UNION ALL SELECT pg_get_functiondef(f.oid) FROM pg_proc AS f \
        WHERE f.pronamespace = 'public'::regnamespace \
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = f.oid AND deptype = 'e')";

#[rstest]
#[tokio::test]
async fn schema_rs_describes_the_tables_that_the_migrations_make(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let found = columns(&migrated(&Stores::with_redis(backend, None).await).await, backend).await;
    let source = std::fs::read_to_string(repository("src/storage/schema.rs")).expect("schema.rs");
    let differences = differences(&described(&source, backend), &found);
    assert!(differences.is_empty(), "schema.rs differs from the database:\n{}", differences.join("\n"));
}

#[rstest]
#[case::a_column_too_many("        rev -> BigInt,", "        rev -> BigInt,\n        age -> BigInt,", "users.age")]
#[case::a_column_too_few("        rev -> BigInt,\n", "", "users.rev")]
#[case::another_type("remember -> Bool", "remember -> BigInt", "sessions.remember")]
#[case::null_where_there_is_none("role -> Text", "role -> Nullable<Text>", "users.role")]
#[case::no_null_where_there_is("name -> Nullable<Text>", "name -> Text", "users.name")]
#[case::a_table_that_is_not_there("leases (name) {", "locks (name) {", "leases.name")]
#[case::another_key("failing_addresses (hour, address)", "failing_addresses (address, hour)", "failing_addresses.hour")]
#[tokio::test]
async fn what_schema_rs_says_wrongly_is_found(#[case] right: &str, #[case] wrong: &str, #[case] column: &str) {
    let source = std::fs::read_to_string(repository("src/storage/schema.rs")).expect("schema.rs");
    assert!(source.contains(right), "{right}");
    // `remember` is a whole number on SQLite, whichever of the two is said.
    let patched = source.replacen(right, wrong, 1);
    let differences = differences(&described(&patched, PostgresRedis), &described(&source, PostgresRedis));
    assert!(differences.iter().any(|line| line.contains(column)), "{differences:?}");
}

#[rstest]
#[tokio::test]
async fn each_migration_can_be_taken_back_and_made_again(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    // With rows in them, which constraints look at.
    let server = TestServer::start(backend).await;
    server.newcomer("anna").await;
    server.program("anna").await;
    let stores = server.stores.clone();
    drop(server);
    let database = migrated(&stores).await.with_long_timeout();
    let all = objects(&database, backend).await;
    let migrations = migrations(backend);
    for migration in migrations.iter().rev() {
        run(&database, migration, "down.sql").await;
    }
    assert_eq!(objects(&database, backend).await, BTreeSet::new(), "left by the way back");

    let mut before = Vec::new();
    for migration in &migrations {
        before.push(objects(&database, backend).await);
        run(&database, migration, "up.sql").await;
    }
    assert_eq!(objects(&database, backend).await, all);
    for (migration, before) in migrations.iter().zip(before).rev() {
        run(&database, migration, "down.sql").await;
        assert_eq!(objects(&database, backend).await, before, "after {} was taken back", migration.display());
    }
}

/// Where a column is, and what it is.
type Columns = BTreeMap<String, String>;

fn column(table: &str, name: &str, type_name: &str, nullable: bool, place_in_key: i64) -> (String, String) {
    let null = if nullable { "NULL" } else { "NOT NULL" };
    (format!("{table}.{name}"), format!("{type_name} {null}, place {place_in_key} in the primary key"))
}

/// What `schema.rs` says, in the words of that database.
fn described(source: &str, backend: Backend) -> Columns {
    let mut columns = Columns::new();
    for block in source.split("diesel::table! {").skip(1) {
        let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_head = |line: &&str| line.ends_with(") {");
        let head = lines.by_ref().find(is_head).expect("a table");
        let (table, keys) = head.trim_end_matches(") {").split_once(" (").expect("a primary key");
        let keys: Vec<_> = keys.split(", ").collect();
        for line in lines.take_while(|line| *line != "}") {
            let (name, said) = line.trim_end_matches(',').split_once(" -> ").expect("a column");
            let inner = said.strip_prefix("Nullable<").and_then(|rest| rest.strip_suffix('>'));
            let known = TYPES.iter().find(|(known, ..)| *known == inner.unwrap_or(said));
            let (_, sqlite, postgres) = known.unwrap_or_else(|| panic!("{said} is not in TYPES"));
            let type_name = if backend == PostgresRedis { postgres } else { sqlite };
            let place = keys.iter().position(|key| *key == name).map_or(0, |index| index + 1);
            let (name, what) = column(table, name, type_name, inner.is_some(), i64::try_from(place).expect("a few"));
            columns.insert(name, what);
        }
    }
    columns
}

fn differences(described: &Columns, found: &Columns) -> Vec<String> {
    let names: BTreeSet<_> = described.keys().chain(found.keys()).collect();
    let pairs = names.into_iter().map(|name| (name, described.get(name), found.get(name)));
    pairs
        .filter(|(_, said, is)| said != is)
        .map(|(name, said, is)| {
            let [said, is] = [said, is].map(|what| what.map_or("nothing", String::as_str));
            format!("{name}: {said} in schema.rs, {is} in the database")
        })
        .collect()
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    type_name: String,
    #[diesel(sql_type = BigInt)]
    place_in_key: i64,
    #[diesel(sql_type = Bool)]
    nullable: bool,
}

async fn columns(database: &Database, backend: Backend) -> Columns {
    let query = if backend == PostgresRedis { POSTGRES_COLUMNS } else { SQLITE_COLUMNS };
    let rows = database.read(move |connection| Ok(sql_query(query).load::<Column>(connection)?)).await.unwrap();
    let column =
        |row: Column| column(&row.table_name, &row.column_name, &row.type_name, row.nullable, row.place_in_key);
    rows.into_iter().map(column).collect()
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Tables, indexes and the like, each as one line.
async fn objects(database: &Database, backend: Backend) -> BTreeSet<String> {
    let query = if backend == PostgresRedis { POSTGRES_OBJECTS } else { SQLITE_OBJECTS };
    let lines = database.read(move |connection| Ok(sql_query(query).load::<Line>(connection)?)).await.unwrap();
    lines.into_iter().map(|Line { line }| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The database of these stores, migrated as the server does at start.
async fn migrated(stores: &Stores) -> Database {
    let settings = stores.settings();
    let pairs: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let loaded = settings::load(&Sources::of_pairs(&pairs)).unwrap_or_else(|error| panic!("{error}"));
    let open = move || Database::open(&loaded.settings.database_url, "test", 1);
    let opened = tokio::task::spawn_blocking(open).await.expect("no panic");
    opened.unwrap_or_else(|error| panic!("{error}"))
}

/// The folders of the migrations, oldest first.
fn migrations(backend: Backend) -> Vec<PathBuf> {
    let kind = if backend == PostgresRedis { "postgres" } else { "sqlite" };
    let folder = std::fs::read_dir(repository("migrations").join(kind)).expect("the migrations");
    let mut migrations: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
    migrations.sort();
    migrations
}

/// Runs one of the two files of a migration in one transaction, as the server does.
async fn run(database: &Database, migration: &Path, file: &str) {
    let path = migration.join(file);
    let sql = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let done = database.write(move |connection| Ok(connection.batch_execute(&sql)?)).await;
    done.unwrap_or_else(|error| panic!("{}: {error:?}", path.display()));
}

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
