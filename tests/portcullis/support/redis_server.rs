//! Real `redis-server` processes, and everything bad that can happen to one.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::port::Port;

/// A `redis-server` of its own folder and port, killed on drop.
pub struct RedisServer {
    folder: Folder,
    pub port: u16,
    /// That one, and others on which it listens: kept from others, also while no process is running.
    ports: Vec<Port>,
    extra: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl RedisServer {
    /// A server for this test alone, to be killed, stopped and flushed at will.
    pub fn start() -> Arc<Self> {
        Self::start_with(&[])
    }

    /// The same with more of its command line.
    pub fn start_with(extra: &[&str]) -> Arc<Self> {
        Self::start_on(vec![Port::reserve()], extra)
    }

    /// A member of a cluster that is to be made.
    pub fn start_for_cluster() -> Arc<Self> {
        let bus = Port::reserve();
        let number = bus.number().to_string();
        let extra = ["--cluster-enabled", "yes", "--cluster-port", &number, "--cluster-node-timeout", "2000"];
        Self::start_on(vec![Port::reserve(), bus], &extra)
    }

    /// Where the nodes of a cluster talk to each other.
    pub fn bus_port(&self) -> u16 {
        self.ports[1].number()
    }

    /// On the first of these ports.
    fn start_on(ports: Vec<Port>, extra: &[&str]) -> Arc<Self> {
        let server = Self {
            folder: Folder::new(),
            port: ports[0].number(),
            ports,
            extra: extra.iter().map(|&word| word.to_owned()).collect(),
            process: Mutex::new(None),
        };
        server.restart();
        Arc::new(server)
    }

    /// The server that tests share, each with its own prefix. It lives as long as a test uses it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<RedisServer>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Self::start();
            *shared = Arc::downgrade(&server);
            server
        })
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts the process, with the snapshot that lies in its folder.
    pub fn restart(&self) {
        let mut process = self.process();
        assert!(process.is_none(), "already running");
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"])
            .arg("--dir")
            .arg(self.folder.as_os_str())
            .args(["--logfile", "redis.log"])
            .args(&self.extra)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server can't be started: {error}. Use tests/run.sh"));
        let child = process.insert(child);
        let start = Instant::now();
        while self.try_cli(&["ping"]).as_deref() != Some("PONG") {
            let ended = child.try_wait().expect("a child of ours");
            if ended.is_some() || start.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(self.folder.join("redis.log")).unwrap_or_default();
                panic!("redis-server on port {} does not answer ({ended:?}): {log}", self.port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`: nothing is written, nobody is told.
    pub fn kill9(&self) {
        let mut child = self.process().take().expect("a running redis-server");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    /// `SIGSTOP`: the process keeps its connections and answers nobody.
    pub fn stop(&self) {
        self.signal("STOP");
        // That it was sent does not say that each thread has stopped.
        let tasks = format!("/proc/{}/task", self.process().as_ref().expect("a running redis-server").id());
        let is_stopped = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task.expect("a thread").path().join("status")).expect("its status");
            status.lines().any(|line| line.starts_with("State:") && line.contains("T (stopped)"))
        };
        let start = Instant::now();
        while !std::fs::read_dir(&tasks).expect("its threads").all(is_stopped) {
            assert!(start.elapsed() < Duration::from_secs(60), "redis-server goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// `SIGCONT`.
    pub fn cont(&self) {
        self.signal("CONT");
    }

    /// Writes the snapshot that the next [`RedisServer::restart`] loads.
    pub fn save(&self) {
        assert_eq!(self.cli(&["save"]), "OK");
    }

    /// Removes the snapshot: the next restart is empty.
    pub fn forget(&self) {
        let _ = std::fs::remove_file(self.snapshot());
    }

    /// What `redis-cli` prints.
    pub fn cli(&self, words: &[&str]) -> String {
        self.try_cli(words).unwrap_or_else(|| panic!("redis-cli {words:?} failed"))
    }

    /// All keys that begin with `prefix`.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let keys = self.cli(&["--scan", "--pattern", &format!("{prefix}*")]);
        let mut keys: Vec<_> = keys.lines().map(str::to_owned).collect();
        // In whatever order the server has them.
        keys.sort();
        keys
    }

    /// Everything below `prefix` as text: keys, types and values; to be searched for what must not be there.
    pub fn dump(&self, prefix: &str) -> String {
        let mut text = String::new();
        for key in self.keys(prefix) {
            let value = match self.cli(&["type", &key]).as_str() {
                "hash" => self.cli(&["hgetall", &key]),
                "string" => self.cli(&["get", &key]),
                "zset" => self.cli(&["zrange", &key, "0", "-1", "withscores"]),
                "set" => self.cli(&["smembers", &key]),
                other => panic!("{key} is a {other}"),
            };
            text.push_str(&format!("{key}\n{value}\n"));
        }
        text
    }

    /// Watches what clients send from now on.
    pub fn monitor(&self) -> Monitor {
        let mut child = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "monitor"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-cli monitor");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = lines.next().expect("a line").expect("of text");
        assert_eq!(first, "OK");
        let seen = Arc::new(Mutex::new(Vec::new()));
        std::thread::spawn({
            let seen = seen.clone();
            move || {
                for line in lines.map_while(Result::ok) {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            }
        });
        Monitor { child, seen, port: self.port }
    }

    fn try_cli(&self, words: &[&str]) -> Option<String> {
        cli(self.port, words)
    }

    fn signal(&self, name: &str) {
        let pid = self.process().as_ref().expect("a running redis-server").id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status().expect("kill");
        assert!(status.success(), "kill -{name} {pid}");
    }

    fn snapshot(&self) -> PathBuf {
        self.folder.join("dump.rdb")
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.process().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What `redis-cli` prints, where it succeeds.
fn cli(port: u16, words: &[&str]) -> Option<String> {
    let output = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", &port.to_string()])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("redis-cli can't be started: {error}. Use tests/run.sh"));
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `redis-cli monitor`.
pub struct Monitor {
    child: Child,
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Monitor {
    /// The commands that came over the network and name `prefix`; what a script calls inside is not among them.
    /// Each is a round trip. Those by which a node tries Redis out each second, and hears whether it hears, are not.
    pub fn round_trips(&self, prefix: &str) -> Vec<String> {
        // The monitor lags behind the answers: what came before a word of our own is there when that is.
        let word = uuid::Uuid::new_v4().to_string();
        assert_eq!(cli(self.port, &["echo", &word]).as_ref(), Some(&word));
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let start = Instant::now();
        while !seen().iter().any(|line| line.contains(&word)) {
            assert!(start.elapsed() < Duration::from_secs(60), "redis-cli monitor shows no more");
            std::thread::sleep(Duration::from_millis(5));
        }
        let is_of_itself = |line: &str| ["{ready", "PUBLISH", "SUBSCRIBE"].iter().any(|own| line.contains(own));
        let counts = |line: &&String| line.contains(prefix) && !line.contains(" lua] ") && !is_of_itself(line);
        seen().iter().filter(counts).cloned().collect()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
