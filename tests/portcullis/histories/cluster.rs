//! Two nodes on one pair of stores, each behind a relay and with relays before its stores, and all that can happen to them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use portcullis::domain::Clock;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::act::{Fault, Line};
use super::check::SKEW;
use super::record::Recorder;
use crate::support::postgres_server::{at_port, sql};
use crate::support::stores::{Backend, Stores};
use crate::support::{KEEP_ALIVE, Lost, RedisServer, Relay, TestServer, eventually};

/// What every node is set to beyond its stores: nobody is refused for asking often.
const SETTINGS: [(&str, &str); 1] = [("api_rate", "100000/1s")];

/// A relay, and where it leads when nothing is wrong.
pub struct Wire {
    relay: Relay,
    port: AtomicU16,
}

impl Wire {
    fn to(port: u16) -> Self {
        Self { relay: Relay::to(port), port: AtomicU16::new(port) }
    }

    pub fn port(&self) -> u16 {
        self.relay.port()
    }

    fn switch_to(&self, port: u16) {
        self.port.store(port, Ordering::SeqCst);
        self.heal();
    }

    fn heal(&self) {
        self.relay.delay(Duration::ZERO);
        self.relay.switch_to(self.port.load(Ordering::SeqCst));
    }
}

pub struct Cluster {
    pub backend: Backend,
    pub fronts: [Wire; 2],
    pub public_url: String,
    redis_lines: Option<[Wire; 2]>,
    postgres_lines: Option<[Wire; 2]>,
    redis: Mutex<Option<Arc<RedisServer>>>,
    database_url: String,
    /// Follows nothing by itself.
    pub http: reqwest::Client,
    clocks: [Clock; 2],
    /// At least one of them is there at any time.
    nodes: Mutex<[Option<TestServer>; 2]>,
}

impl Cluster {
    pub async fn new(backend: Backend) -> Self {
        let redis = backend.has_redis().then(RedisServer::start);
        let mut stores = Stores::with_redis(backend, redis.clone()).await;
        let database_url = stores.database_url.clone();
        let redis_lines = redis.as_ref().map(|redis| [(); 2].map(|()| Wire::to(redis.port)));
        let postgres_port = url::Url::parse(&database_url).expect("a URL").port();
        let postgres_lines = postgres_port.map(|port| [(); 2].map(|()| Wire::to(port)));
        if let Some(lines) = &redis_lines {
            stores.redis_url = Some(lines[0].relay.redis_url());
        }
        if let Some(lines) = &postgres_lines {
            stores.database_url = at_port(&database_url, lines[0].port());
        }
        let one = TestServer::on(stores, &SETTINGS).await;
        let clocks = [one.clock.clone(), Clock::adjustable()];
        // Two machines never agree.
        clocks[1].advance(TimeDelta::from_std(SKEW / 2).expect("a short time"));
        let cluster = Self {
            backend,
            fronts: [(); 2].map(|()| Wire::to(one.address.port())),
            public_url: one.public_url.clone(),
            redis_lines,
            postgres_lines,
            redis: Mutex::new(redis),
            database_url,
            http: client(),
            clocks,
            nodes: Mutex::new([Some(one), None]),
        };
        cluster.restart_node(1).await;
        cluster
    }

    /// Runs `act` with a server that runs.
    pub async fn with_a_node<T>(&self, act: impl AsyncFnOnce(&TestServer) -> T) -> T {
        let nodes = self.nodes.lock().await;
        act(nodes.iter().flatten().next().expect("a node")).await
    }

    /// Stops the node in the middle of what it does, and starts another one in its place.
    pub async fn restart_node(&self, number: usize) {
        let mut nodes = self.nodes.lock().await;
        self.fronts[number].relay.cut_off();
        let stopped = nodes[number].take();
        tokio::task::spawn_blocking(move || drop(stopped)).await.expect("it stops");
        let mut urls = Vec::new();
        if let Some(lines) = &self.redis_lines {
            urls.push(("redis_url", lines[number].relay.redis_url()));
        }
        if let Some(lines) = &self.postgres_lines {
            urls.push(("database_url", at_port(&self.database_url, lines[number].port())));
        }
        let urls: Vec<_> = urls.iter().map(|(key, url)| (*key, url.as_str())).collect();
        let other = nodes[1 - number].as_ref().expect("the other node");
        let started = other.second_node_by(self.clocks[number].clone(), &urls).await;
        self.fronts[number].switch_to(started.address.port());
        nodes[number] = Some(started);
    }

    /// Waits until both nodes have all they need.
    pub async fn recover(&self) {
        for node in 0..2 {
            let ready = format!("http://127.0.0.1:{}/readyz", self.fronts[node].port());
            eventually("ready", Duration::from_secs(30), async || {
                self.http.get(&ready).send().await.is_ok_and(|answer| answer.status() == 200)
            })
            .await;
        }
    }

    /// Both nodes are new, and Redis is empty.
    pub async fn restart_all(&self, recorder: &Recorder) {
        recorder.note_fault("everything is restarted".to_owned());
        for node in 0..2 {
            self.restart_node(node).await;
        }
        self.inflict(Fault::RestartEmpty, recorder).await;
    }

    /// Does it, waits where it lasts, and undoes it.
    pub async fn inflict(&self, fault: Fault, recorder: &Recorder) {
        recorder.note_fault(format!("{fault:?}"));
        match fault {
            Fault::Delay { line, most, ms } => {
                self.disturb(line, ms, |relay| relay.delay(Duration::from_millis(most))).await;
            }
            Fault::Cut(line) => self.disturb(line, 0, |_| ()).await,
            Fault::CutOff { line, ms } => self.disturb(line, ms, Relay::cut_off).await,
            Fault::Freeze { line, ms } => self.disturb(line, ms, Relay::freeze).await,
            Fault::LoseScript(node) => self.redis_line(node).lose(Lost::Request),
            Fault::LoseAnswer(node) => self.redis_line(node).lose(Lost::Answer),
            Fault::Terminate => {
                let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                              WHERE datname = current_database() AND pid <> pg_backend_pid()";
                sql(&self.database_url, &[others]).await;
            }
            Fault::Hold { ms } => self.hold_sqlite(ms).await,
            Fault::RestartNode(node) => self.restart_node(node).await,
            Fault::Advance { seconds } => {
                recorder.note_advance(Duration::from_secs(seconds));
                for clock in &self.clocks {
                    clock.advance(TimeDelta::seconds(seconds as i64));
                }
            }
            Fault::Promote { lag, ms } => self.promote(lag, ms).await,
            Fault::Flush
            | Fault::FlushScripts
            | Fault::Evict
            | Fault::RestartEmpty
            | Fault::RestartFromSnapshot { .. }
            | Fault::Stop { .. }
            | Fault::Full { .. } => self.inflict_on_redis(fault).await,
        }
        recorder.note_fault(format!("{fault:?} is over"));
    }

    async fn disturb(&self, line: Line, ms: u64, how: impl Fn(&Relay)) {
        let wire = match line {
            Line::Front(node) => Some(&self.fronts[node]),
            Line::Redis(node) => self.redis_lines.as_ref().map(|lines| &lines[node]),
            Line::Postgres(node) => self.postgres_lines.as_ref().map(|lines| &lines[node]),
        };
        let Some(wire) = wire else { return };
        how(&wire.relay);
        sleep(Duration::from_millis(ms)).await;
        wire.heal();
    }

    fn redis_line(&self, node: usize) -> &Relay {
        &self.redis_lines.as_ref().expect("a Redis")[node].relay
    }

    async fn inflict_on_redis(&self, fault: Fault) {
        let Some(redis) = self.redis.lock().await.clone() else { return };
        // Programs are run, and waited for.
        let inflict = move || match fault {
            Fault::Flush => drop(redis.cli(&["flushall"])),
            Fault::FlushScripts => drop(redis.cli(&["script", "flush"])),
            Fault::Evict => {
                drop(redis.cli(&["eval", "redis.call('del', redis.call('randomkey') or '') return 1", "0"]))
            }
            Fault::Stop { ms } => {
                redis.stop();
                std::thread::sleep(Duration::from_millis(ms));
                redis.cont();
            }
            Fault::Full { ms } => {
                redis.cli(&["config", "set", "maxmemory", "1"]);
                std::thread::sleep(Duration::from_millis(ms));
                redis.cli(&["config", "set", "maxmemory", "0"]);
            }
            Fault::RestartFromSnapshot { ms } => {
                redis.save();
                std::thread::sleep(Duration::from_millis(ms));
                redis.kill9();
                redis.restart();
            }
            _ => {
                redis.kill9();
                redis.forget();
                redis.restart();
            }
        };
        tokio::task::spawn_blocking(inflict).await.expect("no panic");
    }

    async fn promote(&self, lag: u64, ms: u64) {
        let mut redis = self.redis.lock().await;
        let (Some(old), Some(lines)) = (redis.clone(), &self.redis_lines) else { return };
        let port = old.port.to_string();
        let copied = move || {
            // Not by its command line, by which it would be one again after a restart.
            let replica = RedisServer::start();
            replica.cli(&["replicaof", "127.0.0.1", &port]);
            while !replica.cli(&["info", "replication"]).contains("master_link_status:up") {
                std::thread::sleep(Duration::from_millis(10));
            }
            // It hears nothing from here on.
            replica.cli(&["replicaof", "no", "one"]);
            replica
        };
        let new = tokio::task::spawn_blocking(copied).await.expect("a replica");
        sleep(Duration::from_millis(lag)).await;
        lines[0].switch_to(new.port);
        sleep(Duration::from_millis(ms)).await;
        lines[1].switch_to(new.port);
        *redis = Some(new);
        tokio::task::spawn_blocking(move || old.kill9()).await.expect("it is killed");
    }

    async fn hold_sqlite(&self, ms: u64) {
        let Some(path) = self.database_url.strip_prefix("sqlite://").map(str::to_owned) else { return };
        let hold = move || {
            let mut connection = SqliteConnection::establish(&path).expect("the file");
            connection.batch_execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE").expect("the lock");
            std::thread::sleep(Duration::from_millis(ms));
            connection.batch_execute("ROLLBACK").expect("released");
        };
        tokio::task::spawn_blocking(hold).await.expect("no panic");
    }
}

fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    // A connection that the server closes while a request is on its way would be no answer.
    let builder = builder.timeout(Duration::from_secs(10)).pool_idle_timeout(KEEP_ALIVE / 2);
    builder.build().expect("an HTTP client")
}
