//! A running server with its data, and those who ask it.

use std::path::Path;
use std::time::{Duration, Instant};

use portcullis::domain::UserId;
use portcullis::services::accounts::lookup;
use portcullis::services::administration::users::{self, UserSearch, UserSort};
use portcullis::services::maintenance;

use crate::people;
use crate::seed::{Size, seed};
use crate::support::folder::Folder;
use crate::support::spawn::command_line;
use crate::support::stores::{Stores, postgres_database};
use crate::support::{ApiClient, Backend, Browser, KEEPER, Page, RedisServer, TestServer};

/// Who has [`Size::heavy`] open sessions: one who asks for them, and one whose sessions are ended.
const HEAVY: [&str; 2] = ["heavy", "doomed"];
/// Who comes and goes while something long is under way.
pub const VISITOR: &str = "visitor";

const SETTINGS: &[(&str, &str)] = &[
    ("api_rate", "1000000/1s"),
    ("lockout_threshold", "5"),
    ("lockout_duration", "1d"),
    // Nobody is asked for the password again.
    ("reauthentication_window", "1d"),
    ("database_pool", "8"),
];

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum Who {
    Nobody,
    Administrator,
    /// Somebody with very many sessions.
    Heavy,
    /// A program of the administrator's.
    Program,
}

pub struct Instance {
    pub server: TestServer,
    pub size: Size,
    pub administrator: Browser,
    heavy: Browser,
    program: ApiClient,
    /// An account like any other, with a name that hardly anybody has.
    someone: (UserId, String),
    pub doomed: UserId,
    heavy_id: UserId,
    /// What the first sweep after a long time took.
    pub sweep: Duration,
}

impl Instance {
    /// Where the data is kept already it is taken as it is.
    pub async fn start(backend: Backend, name: &str, size: Size, keep: Option<&Path>) -> Self {
        let stores = match keep {
            Some(folder) => kept(backend, folder, name).await,
            None => Stores::with_redis(backend, backend.has_redis().then(RedisServer::start)).await,
        };
        let server = TestServer::on(stores, SETTINGS).await;
        if lookup::find(&server.services.database, VISITOR).await.is_err() {
            let mut heavy = Vec::new();
            for name in HEAVY {
                heavy.push(server.create_user(name).await.id);
            }
            server.create_user(VISITOR).await;
            let (url, now) = (server.stores.database_url.clone(), server.clock.now());
            tokio::task::spawn_blocking(move || seed(&url, size, &heavy, now)).await.expect("seeded");
        }
        eprintln!("  sweep");
        let start = Instant::now();
        maintenance::sweep(&server.services).await.expect("swept");
        let sweep = start.elapsed();
        Self {
            administrator: server.signed_in(KEEPER).await,
            heavy: server.signed_in(HEAVY[0]).await,
            program: server.program(KEEPER).await,
            someone: someone(&server).await,
            heavy_id: server.id_of(HEAVY[0]).await,
            doomed: server.id_of(HEAVY[1]).await,
            sweep,
            size,
            server,
        }
    }

    /// The path of this template here.
    pub fn path(&self, template: &str) -> String {
        let day = |ago| (self.server.clock.now() - chrono::TimeDelta::days(ago)).format("%Y-%m-%d").to_string();
        let (id, username) = &self.someone;
        template
            .replace("{heavy}", &self.heavy_id.to_string())
            .replace("{someone}", &id.to_string())
            .replace("{username}", username)
            .replace("{office}", people::OFFICE)
            .replace("{two_months_ago}", &day(60))
            .replace("{a_month_ago}", &day(30))
    }

    pub async fn ask(&mut self, who: Who, path: &str) -> Page {
        match who {
            Who::Nobody => self.server.browser().get(path).await,
            Who::Administrator => self.administrator.get(path).await,
            Who::Heavy => self.heavy.get(path).await,
            Who::Program => self.program.get(path).await,
        }
    }
}

async fn someone(server: &TestServer) -> (UserId, String) {
    let text = people::RARE_NAME.to_owned();
    let search = UserSearch { text, role: None, status: None, locked: false, sort: UserSort::Username };
    let found = users::search(&server.services, &command_line(), &search, None, 1).await.expect("accounts");
    let user = &found.users.first().expect("an account with a rare name").user;
    (user.id, user.username.as_str().to_owned())
}

/// Stores that outlive the process.
async fn kept(backend: Backend, folder: &Path, name: &str) -> Stores {
    let name = format!("{}_{name}", format!("{backend:?}").to_lowercase());
    let data_dir = Folder::from(folder.join(&name));
    let database_url = match backend {
        Backend::Sqlite | Backend::SqliteRedis => format!("sqlite://{}/portcullis.db", data_dir.display()),
        Backend::PostgresRedis => postgres_database(&name).await,
    };
    let redis = backend.has_redis().then(RedisServer::start);
    let redis_url = redis.as_ref().map(|server| server.url());
    Stores { data_dir, database_url, redis, redis_url, redis_prefix: name }
}
