//! Where a server under test keeps what it knows: each test has stores of its own.

use std::sync::Arc;

use super::folder::Folder;
use super::redis_server::RedisServer;

/// The three ways to run the server. A suite that touches a store runs on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Sessions in SQLite too.
    Sqlite,
    SqliteRedis,
    PostgresRedis,
}

impl Backend {
    pub fn has_redis(self) -> bool {
        self != Self::Sqlite
    }
}

/// A fresh data folder, a fresh database and, where there is a Redis, a prefix of its own there.
pub struct Stores {
    pub data_dir: Folder,
    pub database_url: String,
    pub redis: Option<Arc<RedisServer>>,
    pub redis_url: Option<String>,
    pub redis_prefix: String,
}

impl Stores {
    /// With the Redis that tests share.
    pub async fn new(backend: Backend) -> Self {
        Self::with_redis(backend, backend.has_redis().then(RedisServer::shared)).await
    }

    /// With a given Redis.
    pub async fn with_redis(backend: Backend, redis: Option<Arc<RedisServer>>) -> Self {
        let data_dir = Folder::new();
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        let database_url = match backend {
            Backend::Sqlite | Backend::SqliteRedis => format!("sqlite://{}/portcullis.db", data_dir.display()),
            Backend::PostgresRedis => postgres_database(&name).await,
        };
        let redis_url = redis.as_ref().map(|server| server.url());
        Self { data_dir, database_url, redis, redis_url, redis_prefix: name }
    }

    /// The settings that point a server here.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut settings = vec![
            ("data_dir".to_owned(), self.data_dir.display().to_string()),
            ("database_url".to_owned(), self.database_url.clone()),
        ];
        if let Some(url) = &self.redis_url {
            settings.push(("redis_url".to_owned(), url.clone()));
            settings.push(("redis_prefix".to_owned(), self.redis_prefix.clone()));
        }
        settings
    }

    /// The Redis of these stores.
    pub fn redis(&self) -> &RedisServer {
        self.redis.as_deref().expect("stores with Redis")
    }
}

/// A database of that name on the PostgreSQL that `TEST_POSTGRES_URL` names, made unless it is there; says its URL. The
/// server is `tests/run.sh`'s own and goes away with all its databases.
pub async fn postgres_database(name: &str) -> String {
    let url = std::env::var("TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!("TEST_POSTGRES_URL names no PostgreSQL. Use tests/run.sh or benches/run.sh, which start one");
    });
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("PostgreSQL");
    let connection = tokio::spawn(connection);
    let there = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await;
    if there.expect("an answer").is_none() {
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("CREATE DATABASE");
    }
    drop(client);
    let _ = connection.await;
    let mut url = url::Url::parse(&url).expect("TEST_POSTGRES_URL is a URL");
    url.set_path(name);
    url.into()
}
