//! Every error of Redis that a real one can be brought to, as `docs/redis-errors.md` lists them: it is told by its name,
//! signs nobody out, brings nothing back, and is over without a restart once Redis is well.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use portcullis::domain::SessionId;
use portcullis::domain::audit::Client;
use portcullis::services::sessions::{account, everyone};

use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;

/// What no Redis that a test can start says to a node; the sorting of these is a unit test.
const NOT_CAUSED: &[&str] = &[
    // Of Valkey, of a blocked client, after ASKING, of another host, of a proxy, of a faulty script.
    "REDIRECT",
    "UNBLOCKED",
    "TRYAGAIN",
    "DENIED",
    "CROSSSLOT",
    "ERR",
    // Answers to what nobody here asks for.
    "NOPROTO",
    "EXECABORT",
    "UNKILLABLE",
    "NOTBUSY",
    "NOSUB",
    "BUSYKEY",
    "BUSYGROUP",
    "NOGROUP",
    "INVALIDOBJ",
    "IOERR",
    "NOMASTERLINK",
    "TESTFAILED",
    "INPROG",
    "NOGOODSLAVE",
    "NOQUORUM",
    "anything else",
];

/// A node that reaches its Redis through a relay.
struct Scene {
    redis: Arc<RedisServer>,
    relay: Relay,
    server: TestServer,
    anna: Browser,
    /// Rows of the table that were caused so far.
    caused: Vec<&'static str>,
}

impl Scene {
    /// `who` and `database` are what the URL has before the host and after the port.
    async fn new(redis: Arc<RedisServer>, who: &str, database: &str) -> Self {
        let relay = Relay::to(redis.port);
        let url = format!("redis://{who}127.0.0.1:{}{database}", relay.port());
        Self::at(redis, relay, url).await
    }

    async fn at(redis: Arc<RedisServer>, relay: Relay, url: String) -> Self {
        let mut stores = Stores::with_redis(SqliteRedis, Some(redis.clone())).await;
        stores.redis_url = Some(url);
        let server = TestServer::on(stores, &[]).await;
        let mut anna = server.newcomer("anna").await;
        assert!(anna.is_signed_in().await);
        Self { redis, relay, server, anna, caused: Vec::new() }
    }

    /// Brings Redis to that row of the table, and out of it again. `failed` is the step that has to be named.
    async fn meets<T>(
        &mut self,
        row: &'static str,
        failed: &str,
        cause: impl AsyncFnOnce(&Self) -> T,
        cure: impl AsyncFnOnce(&Self, T),
    ) {
        let advice =
            table().into_iter().find(|told| told[0] == row).unwrap_or_else(|| panic!("{row} is not told"))[3].clone();
        let (mut left, left_session) = self.leaver("left").await;
        let (mut leaving, leaving_session) = self.leaver("leaving").await;
        let end = async |session| {
            everyone::end_one(&self.server.services, &command_line(), session, &Client::default()).await
        };
        end(left_session).await.unwrap();
        let cookie = self.anna.cookie();

        let caused = cause(self).await;
        let ready = async || self.server.browser().get("/readyz").await;
        eventually(row, Duration::from_secs(3), async || ready().await.status == 503).await;
        let told = ready().await.expect(503).json()["redis"].clone();
        let told = ["failed", "code", "advice"].map(|field| told[field].as_str().unwrap_or_default().to_owned());
        let code = if row.starts_with("ERR") { "ERR" } else { row };
        assert_eq!(told, [failed, code, &advice], "{row}");
        let doctor = Program::on(&self.server).run(&["doctor", "--output", "json"]);
        assert_eq!(doctor.code, Some(69), "{row}: {doctor:?}");
        let checks: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap_or_else(|_| panic!("{doctor:?}"));
        assert_eq!((&checks[0]["status"], &checks[1]["code"]), (&"ok".into(), &code.into()), "{row}: {checks}");
        assert!(checks[1]["detail"].as_str().unwrap().ends_with(&advice), "{row}: {checks}");

        // Whatever is answered, it is not that nobody is signed in.
        let page = self.anna.get("/account").await;
        assert!(matches!(page.status, 200 | 503), "{row}: {} {:?}", page.status, page.location());
        // SQL knows it, whether or not Redis can be told.
        let _ = end(leaving_session).await;

        cure(self, caused).await;
        eventually(row, Duration::from_secs(2), async || ready().await.status == 200).await;
        assert!(self.anna.is_signed_in().await, "{row}: signed out");
        assert_eq!(self.anna.cookie(), cookie, "{row}");
        assert!(!left.is_signed_in().await, "{row}: back");
        // The feed brings it within a second of the store's return.
        eventually("ended", Duration::from_secs(1), async || !leaving.is_signed_in().await).await;
        self.caused.push(row);
    }

    /// Somebody who has just signed in, and whose copy is in Redis.
    async fn leaver(&self, name: &str) -> (Browser, SessionId) {
        let name = format!("{name}{}", self.caused.len());
        let mut browser = self.server.newcomer(&name).await;
        assert!(browser.is_signed_in().await, "{name}");
        let sessions = account::live(&self.server.services, self.server.id_of(&name).await, 9).await.unwrap().0;
        (browser, sessions[0].id)
    }

    /// The same where one command of `redis-cli` brings it there, and another out of it.
    async fn meets_by(&mut self, row: &'static str, failed: &str, cause: &str, cure: &str) {
        self.meets(row, failed, async |scene| scene.tells(cause), async |scene, ()| scene.tells(cure)).await;
    }

    /// The same where the name leads to another server meanwhile.
    async fn meets_another(&mut self, row: &'static str, failed: &str, port: u16) {
        let back = async |scene: &Self, ()| scene.relay.switch_to(scene.redis.port);
        self.meets(row, failed, async |scene| scene.relay.switch_to(port), back).await;
    }

    fn tells(&self, line: &str) {
        let words: Vec<_> = line.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
        let answer = self.redis.cli(&words);
        assert!(answer.ends_with("OK"), "{line}: {answer}");
    }

    /// The key that readiness writes.
    fn key(&self) -> String {
        format!("{}:{{ready}}:s:-", self.server.stores.redis_prefix)
    }
}

/// The rows of the table: the answer, what is done, when, what to look at.
fn table() -> Vec<[String; 4]> {
    let text = std::fs::read_to_string("docs/redis-errors.md").expect("the table");
    let rows = text.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let cells =
        |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    rows.map(|row| cells(row).try_into().expect("four cells")).collect()
}

/// `redis-cli` with a command that takes its time.
fn busy(redis: &RedisServer, words: &[&str]) -> Child {
    let mut cli = Command::new("redis-cli");
    cli.args(["-h", "127.0.0.1", "-p", &redis.port.to_string()]).args(words).stdout(Stdio::null()).stdin(Stdio::null());
    cli.spawn().expect("redis-cli")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_is_told_by_its_name_and_is_over_when_redis_is_well() {
    let redis = RedisServer::start_with(&["--enable-debug-command", "yes", "--enable-protected-configs", "yes"]);
    let mut scene = Scene::new(redis.clone(), "", "").await;
    let unused = Port::reserve();
    let nowhere = unused.number();

    scene.meets_by("READONLY", "run a script", &format!("replicaof 127.0.0.1 {nowhere}"), "replicaof no one").await;
    scene.tells("config set replica-serve-stale-data no");
    scene.meets_by("MASTERDOWN", "run a script", &format!("replicaof 127.0.0.1 {nowhere}"), "replicaof no one").await;
    scene
        .meets_by("NOREPLICAS", "write", "config set min-replicas-to-write 1", "config set min-replicas-to-write 0")
        .await;
    scene.meets_by("OOM", "write", "config set maxmemory 1", "config set maxmemory 0").await;
    scene.meets_by("NOPERM", "run a script", "acl setuser default -evalsha", "acl setuser default +@all").await;
    scene.meets_by("NOPERM", "run a script", "acl setuser default resetkeys ~others:*", "acl setuser default ~*").await;
    let row = "ERR The user executing the script";
    scene.meets_by(row, "write", "acl setuser default -hset", "acl setuser default +@all").await;
    let key = scene.key();
    let remove = async |scene: &Scene, ()| assert_eq!(scene.redis.cli(&["del", &key]), "1");
    scene.meets("WRONGTYPE", "read", async |scene| scene.tells(&format!("set {key} x")), remove).await;
    scene
        .meets(
            "NOAUTH",
            "run a script",
            async |scene| {
                scene.tells("config set requirepass other");
                scene.relay.switch_to(scene.redis.port);
            },
            async |scene, ()| scene.tells("--no-auth-warning -a other config set requirepass ''"),
        )
        .await;
    scene
        .meets(
            "MISCONF",
            "write",
            async |scene| {
                let folder = scene.redis.cli(&["config", "get", "dir"]).lines().last().unwrap().to_owned();
                std::fs::create_dir(format!("{folder}/a-folder")).unwrap();
                scene.redis.cli(&["config", "set", "save", "3600 1"]);
                scene.tells("config set dbfilename a-folder");
                snapshot(&scene.redis, "err").await;
            },
            async |scene, ()| {
                scene.tells("config set dbfilename dump.rdb");
                snapshot(&scene.redis, "ok").await;
                scene.tells("config set save ''");
            },
        )
        .await;

    // Its own fault, for as long as it takes.
    scene.tells("config set busy-reply-threshold 1");
    let script = async |scene: &Scene| busy(&scene.redis, &["eval", "while true do end", "0"]);
    let kill = async |scene: &Scene, mut cli: Child| {
        scene.tells("script kill");
        cli.wait().unwrap();
    };
    scene.meets("BUSY", "run a script", script, kill).await;
    scene.redis.cli(&["debug", "populate", "30000"]);
    scene.tells("config set key-load-delay 200");
    scene.tells("config set loading-process-events-interval-bytes 1024");
    let load = async |scene: &Scene| busy(&scene.redis, &["debug", "reload"]);
    let wait = async |_: &Scene, mut cli: Child| assert!(cli.wait().unwrap().success());
    scene.meets("LOADING", "run a script", load, wait).await;
    scene.caused.push("NOSCRIPT");
    scene.tells("script flush");
    scene.server.browser().get("/readyz").await.expect(200);

    // The connection, and who is at its other end.
    let back = async |scene: &Scene, ()| scene.relay.switch_to(scene.redis.port);
    scene.meets("connection lost", "connect", async |scene| scene.relay.cut_off(), back).await;
    scene.meets("no answer", "connect", async |scene| scene.redis.stop(), async |scene, ()| scene.redis.cont()).await;
    scene
        .meets(
            "ERR max number of clients",
            "connect",
            async |scene| {
                let held = TcpStream::connect(("127.0.0.1", scene.redis.port)).unwrap();
                scene.tells("config set maxclients 1");
                scene.relay.switch_to(scene.redis.port);
                held
            },
            async |_, held| drop(held),
        )
        .await;
    let reserved = Port::reserve();
    let http = reserved.number();
    let mut python = Command::new("python3");
    python.args(["-m", "http.server", "--bind", "127.0.0.1", &http.to_string()]).stdout(Stdio::null());
    let mut python = python.stderr(Stdio::null()).current_dir(&*scene.server.stores.data_dir).spawn().expect("python3");
    eventually("a web server", Duration::from_secs(10), async || TcpStream::connect(("127.0.0.1", http)).is_ok()).await;
    scene.meets_another("unreadable answer", "connect", http).await;
    python.kill().and_then(|()| python.wait()).unwrap();
    let without = RedisServer::start_with(&["--rename-command", "EVALSHA", ""]);
    scene.meets_another("ERR unknown command", "run a script", without.port).await;

    // One node of a cluster, where a single server should be.
    let nodes = [(); 2].map(|()| RedisServer::start_for_cluster());
    scene.meets_another("CLUSTERDOWN", "run a script", nodes[0].port).await;
    nodes[1].cli(&["cluster", "addslotsrange", "0", "16383"]);
    nodes[0].cli(&["cluster", "meet", "127.0.0.1", &nodes[1].port.to_string(), &nodes[1].bus_port().to_string()]);
    for node in &nodes {
        eventually("a cluster", Duration::from_secs(20), async || {
            node.cli(&["cluster", "info"]).contains("cluster_state:ok")
        })
        .await;
    }
    scene.meets_another("MOVED", "run a script", nodes[0].port).await;
    let slot = nodes[1].cli(&["cluster", "keyslot", &key]);
    nodes[1].cli(&["cluster", "setslot", &slot, "migrating", &nodes[0].cli(&["cluster", "myid"])]);
    scene.meets_another("ASK", "run a script", nodes[1].port).await;

    let redis = RedisServer::start();
    let mut direct = Scene::at(redis.clone(), Relay::to(redis.port), redis.url()).await;
    let restart = async |scene: &Scene, ()| scene.redis.restart();
    direct.meets("no connection", "connect", async |scene| scene.redis.kill9(), restart).await;

    // With a password and the number of a database in the URL.
    let redis = RedisServer::start();
    redis.cli(&["config", "set", "requirepass", "right"]);
    let mut signed_in = Scene::new(redis, ":right@", "/5").await;
    let change = |from: &str, to: &str| format!("--no-auth-warning -a {from} config set requirepass {to}");
    let cut = async |scene: &Scene, line: String| {
        scene.tells(&line);
        scene.relay.switch_to(scene.redis.port);
    };
    let cause = async |scene: &Scene| cut(scene, change("right", "other")).await;
    signed_in.meets("WRONGPASS", "connect", cause, async |scene, ()| scene.tells(&change("other", "right"))).await;
    let cause = async |scene: &Scene| cut(scene, change("right", "''")).await;
    signed_in.meets("ERR AUTH", "connect", cause, async |scene, ()| scene.tells("config set requirepass right")).await;
    let small = RedisServer::start_with(&["--databases", "2"]);
    small.cli(&["config", "set", "requirepass", "right"]);
    signed_in.meets_another("ERR DB index", "connect", small.port).await;
    nodes[0].cli(&["config", "set", "requirepass", "right"]);
    signed_in.meets_another("ERR SELECT", "connect", nodes[0].port).await;

    let met = [scene.caused, direct.caused, signed_in.caused].concat();
    let met: Vec<_> = met.into_iter().chain(NOT_CAUSED.iter().copied()).collect();
    for [row, ..] in table() {
        assert!(met.contains(&row.as_str()), "{row}: nothing brings Redis to it, and nothing says why not");
    }
}

/// Lets Redis write a snapshot, and waits for what becomes of it.
async fn snapshot(redis: &RedisServer, status: &str) {
    redis.cli(&["bgsave"]);
    eventually("a snapshot", Duration::from_secs(10), async || {
        let info = redis.cli(&["info", "persistence"]);
        info.contains("rdb_bgsave_in_progress:0") && info.contains(&format!("rdb_last_bgsave_status:{status}"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_one_line_of_the_log_when_it_begins_and_one_when_it_is_over() {
    let redis = RedisServer::start();
    let program = Program::with_administrator().set("redis_url", &redis.url());
    let running = program.serve().await;
    let mut keeper = program.browser();
    keeper.sign_in(KEEPER).await;
    keeper.get("/account").await.expect(200);
    let unused = Port::reserve();
    redis.cli(&["replicaof", "127.0.0.1", &unused.number().to_string()]);
    for _ in 0..20 {
        keeper.get("/account").await.expect(503);
    }
    redis.cli(&["replicaof", "no", "one"]);
    let back = running.line("Redis is back").await;
    assert!(keeper.is_signed_in().await);
    let log = running.stderr();
    let is_trouble = |line: &&str| line.contains("WARN") && line.contains("Redis") || line.contains("ERROR");
    let told: Vec<_> = log.lines().filter(is_trouble).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("READONLY") && told[0].contains("let it lead to the primary"), "{told:?}");
    assert!(back.contains("seconds") && log.matches("Redis is back").count() == 1, "{log}");
}
