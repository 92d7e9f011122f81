//! `database_url` and `redis_url` in every spelling: what the check passes, the program uses; anything else is refused by
//! both, in the same words.

use crate::support::postgres_pair::PostgresServer;
use crate::support::postgres_server::{sql, value};
use crate::support::stores::postgres_database;
use crate::support::*;

/// Words that stand in no message.
const CANARY: &str = "hunter2-canary";

/// The check, and what opens the stores, both pass.
fn is_used(program: &Program, text: &str) {
    for arguments in [&["config", "check"][..], &["user", "list"]] {
        let outcome = program.run(arguments);
        assert_eq!(outcome.code, Some(0), "{text} {arguments:?}: {outcome:?}");
    }
}

/// The check says the same as the start, and names the part.
fn is_refused(program: &Program, text: &str, part: &str) {
    let checked = program.run(&["config", "check"]);
    assert_eq!(checked.code, Some(78), "{text}: {checked:?}");
    let told = |stderr: &str| stderr.lines().map(str::trim).find(|line| line.contains("_url (")).map(str::to_owned);
    let line = told(&checked.stderr).unwrap_or_else(|| panic!("{text}: {checked:?}"));
    assert!(line.contains(part), "{part}: {line}");
    let started = program.run(&["serve"]);
    assert_eq!((started.code, told(&started.stderr)), (Some(78), Some(line)), "{text}: {started:?}");
    assert!(!format!("{checked:?}{started:?}").contains(CANARY), "{checked:?} {started:?}");
}

#[tokio::test]
async fn a_postgresql_is_reached_by_every_spelling_that_psql_knows() {
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let url = postgres_database(&name).await;
    let port = url::Url::parse(&url).unwrap().port().unwrap();
    let sockets = value(&url, "SHOW unix_socket_directories").await;
    let folder = sockets.replace('/', "%2F");
    let (user, password) = ("a@b/c d", "p/a:s@s?w%&+=#'\\");
    sql(
        &url,
        &[
            &format!("DROP ROLE IF EXISTS \"{user}_{name}\""),
            &format!("CREATE ROLE \"{user}_{name}\" SUPERUSER LOGIN PASSWORD 'p/a:s@s?w%&+=#''\\'"),
        ],
    )
    .await;
    let encoded = |text: &str| -> String {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect()
    };
    let account = encoded(&format!("{user}_{name}"));
    let secret = encoded(password);
    let nobody = Port::reserve();
    let away = nobody.number();
    for text in [
        format!("postgresql://postgres@127.0.0.1:{port}/{name}"),
        format!("postgres://{account}:{secret}@127.0.0.1:{port}/{name}?sslmode=disable"),
        format!("postgres://127.0.0.1:{port}/{name}?user={account}&password={secret}"),
        format!("postgres://postgres@127.0.0.1/wrong?dbname={name}&port={port}"),
        format!("postgres://postgres@{folder}:{port}/{name}"),
        format!("postgres:///{name}?host={sockets}&port={port}&user=postgres&sslmode=require"),
        format!("postgres://postgres@127.0.0.1:{away},127.0.0.1:{port}/{name}?target_session_attrs=read-write"),
        format!("postgres:///{name}?host=127.0.0.1,{sockets}&port={away},{port}&user=postgres"),
        format!("postgres://postgres@nowhere.invalid:{port}/{name}?hostaddr=127.0.0.1"),
        format!("postgres://postgres@127.0.0.1:{port}/{name}?options=-c%20statement_timeout%3D3s&connect_timeout=2"),
        format!("postgres://postgres@127.0.0.1:{port}/{name}?keepalives=1&keepalives_idle=30&keepalives_count=3"),
        format!("postgres://postgres@127.0.0.1:{port}/{name}?client_encoding=auto&gssencmode=prefer&sslsni=1"),
        format!("host=127.0.0.1 port={port} dbname={name} user=postgres sslmode=disable"),
        format!("host={sockets} port={port} dbname={name} user='{user}_{name}' password='p/a:s@s?w%&+=#\\'\\\\'"),
    ] {
        // One installation, whose key is not in the folder of each.
        let program = Program::with_administrator().set("secret_key", "one-key-for-all-of-these-programs");
        is_used(&program.set("database_url", &text), &text);
    }
}

#[test]
fn a_part_of_database_url_that_can_not_be_used_is_refused_by_its_name() {
    for (rest, part) in [
        ("?sslmode=bogus", "sslmode"),
        ("?sslmode=allow", "sslmode"),
        ("?connect_timeout=abc", "connect_timeout"),
        ("?target_session_attrs=standby", "target_session_attrs"),
        ("?service=main", "service"),
        ("?passfile=/root/.pgpass", "passfile"),
        ("?sslcert=/there/is/none.pem", "sslkey"),
        ("?sslrootcert=/there/is/none.pem", "sslrootcert"),
        ("?channel_binding=require&sslmode=disable", "channel_binding"),
        ("?sslnegotiation=direct", "sslnegotiation"),
        ("?pasword=hunter2-canary", "pasword"),
        ("?port=1,2", "port"),
    ] {
        let text = format!("postgres://portcullis:{CANARY}@127.0.0.1:9/portcullis{rest}");
        is_refused(&Program::with_administrator().set("database_url", &text), &text, part);
    }
    for (text, part) in [
        ("postgres:///portcullis", "host"),
        ("postgres://portcullis:hunter2-canary/x@127.0.0.1/portcullis", "%2F"),
        ("postgres://portcullis:hunter2-canary%@127.0.0.1/portcullis", "password"),
        ("host=127.0.0.1 password=hunter2-canary x", "KEYWORD=VALUE"),
        ("host=127.0.0.1 password=hunter2-canary service=x", "service"),
        ("sqlite://a.db?mode=ro", "%3F"),
        ("sqlite://a%zz.db", "%25"),
        ("mysql://a:hunter2-canary@127.0.0.1/b", "postgres://"),
    ] {
        is_refused(&Program::with_administrator().set("database_url", text), text, part);
    }
}

#[tokio::test]
async fn postgresql_is_shown_the_certificate_that_it_asks_for() {
    let server = PostgresServer::start();
    let certificates = server.ask_for_certificates().await;
    let url = |options: &str| format!("postgres://postgres@127.0.0.1:{}/postgres?{options}", server.port);
    let program = Program::with_administrator();
    let full = url(&format!("sslmode=verify-full&{}", certificates.options()));
    is_used(&program.set("database_url", &full), &full);
    // Without one nobody is let in; and what is no certificate is refused before anybody is asked.
    let bare = url(&format!("sslmode=verify-full&sslrootcert={}", certificates.path("ca.pem")));
    let outcome = Program::with_administrator().set("database_url", &bare).run(&["user", "list"]);
    assert_eq!(outcome.code, Some(69), "{outcome:?}");
    let swapped = url(&format!("sslrootcert={}", certificates.path("client.key")));
    is_refused(&Program::with_administrator().set("database_url", &swapped), &swapped, "sslrootcert");
}

/// What that database holds of the program, which signs someone in there.
async fn sessions_in(program: Program, redis: &RedisServer, db: &str) -> usize {
    let _running = program.serve().await;
    let mut browser = program.browser();
    browser.sign_in(KEEPER).await;
    assert!(browser.is_signed_in().await);
    redis.cli(&["-n", db, "--scan", "--pattern", "portcullis:*"]).lines().count()
}

#[tokio::test]
async fn a_redis_is_reached_by_every_spelling() {
    let socket = folder::Folder::new();
    let path = socket.join("a b.sock").display().to_string();
    let redis = RedisServer::start_with(&["--unixsocket", &path]);
    redis.cli(&["acl", "setuser", "a@b", "on", ">p/a:s@s?w%&+=#", "~*", "&*", "+@all"]);
    let (port, path) = (redis.port, path.replace(' ', "%20"));
    let account = "a%40b:p%2Fa%3As%40s%3Fw%25%26%2B%3D%23";
    let in_query = "user=a%40b&pass=p%2Fa%3As%40s%3Fw%25%26+%3D%23";
    for (text, db) in [
        (format!("redis://127.0.0.1:{port}"), "0"),
        (format!("redis://127.0.0.1:{port}/"), "0"),
        (format!("redis://localhost:{port}/1"), "1"),
        (format!("redis://127.0.0.1:{port}?db=2"), "2"),
        (format!("redis://{account}@127.0.0.1:{port}/3/?protocol=2"), "3"),
        (format!("redis://127.0.0.1:{port}/4?{in_query}"), "4"),
        (format!("redis+unix://{path}?db=5&{in_query}"), "5"),
        (format!("unix://{account}@{path}?db=6"), "6"),
    ] {
        redis.cli(&["flushall"]);
        let program = Program::with_administrator().set("redis_url", &text);
        is_used(&program, &text);
        assert!(sessions_in(program, &redis, db).await > 0, "{text}: nothing is in {db}");
    }
}

#[tokio::test]
async fn a_redis_with_tls_is_shown_the_certificate_that_it_asks_for() {
    let folder = folder::Folder::new();
    let certificates = certificates::Certificates::new(&folder);
    let (reserved, [certificate, key, root]) =
        (Port::reserve(), ["server.pem", "server.key", "ca.pem"].map(|name| certificates.path(name)));
    let port = reserved.number();
    let number = port.to_string();
    let words = ["--tls-port", &number, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let redis = RedisServer::start_with(&[&words[..], &["--tls-ca-cert-file", &root]].concat());
    let text = format!("rediss://127.0.0.1:{port}/1?{}", certificates.options());
    let program = Program::with_administrator().set("redis_url", &text);
    is_used(&program, &text);
    assert!(sessions_in(program, &redis, "1").await > 0, "nothing is there");
    let bare = format!("rediss://127.0.0.1:{port}?sslrootcert={root}");
    let outcome = Program::with_administrator().set("redis_url", &bare).run(&["user", "list"]);
    assert_eq!(outcome.code, Some(69), "{outcome:?}");
}

#[test]
fn a_part_of_redis_url_that_can_not_be_used_is_refused_by_its_name() {
    for (text, part) in [
        ("redis://hunter2-canary@127.0.0.1:9", "password"),
        ("redis://:hunter2-canary@127.0.0.1:9/zero", "db"),
        ("redis://:hunter2-canary@127.0.0.1:9/1?db=2", "db"),
        ("redis://:hunter2-canary@127.0.0.1:9?protocol=3", "protocol"),
        ("redis://:hunter2-canary@127.0.0.1:9?timeout=3", "timeout"),
        ("redis://:hunter2-canary/x@127.0.0.1:9", "%2F"),
        ("redis://:hunter2-canary@127.0.0.1:nine", "port"),
        ("redis://:hunter2-canary@a:1,b:2", "host"),
        ("rediss://:hunter2-canary@127.0.0.1:9/#insecure", "%23"),
        ("rediss://:hunter2-canary@127.0.0.1:9?sslcert=/there/is/none.pem", "sslkey"),
        ("redis://127.0.0.1:9?sslrootcert=/there/is/none.pem", "sslrootcert"),
        ("redis-cluster://:hunter2-canary@127.0.0.1:9?db=1", "db"),
        ("redis-cluster://127.0.0.1", "port"),
        ("http://:hunter2-canary@127.0.0.1:9", "redis://HOST"),
    ] {
        is_refused(&Program::with_administrator().set("redis_url", text), text, part);
    }
}
