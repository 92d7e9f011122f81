//! PostgreSQL servers of a test's own, with their standbys.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::certificates::Certificates;
use super::folder::Folder;
use super::port::Port;
use super::postgres_server::{folder, sql, unprivileged, value};

/// A program of the newest PostgreSQL that is installed.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = versions.map(|entry| entry.path()).max_by_key(version);
    newest.map(|folder| folder.join("bin").join(name)).unwrap_or_else(|| panic!("{name} is missing. Use tests/run.sh"))
}

fn run(command: &mut Command) {
    let done = command.current_dir("/").stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{error}"));
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// A PostgreSQL of a test's own, to be stopped, promoted and followed; killed on drop.
pub struct PostgresServer {
    pub port: u16,
    _reserved: Port,
    folder: Folder,
    process: Option<Child>,
    /// Whether it had the time to send all that it has to its standby.
    clean: bool,
}

impl PostgresServer {
    /// A primary.
    pub fn start() -> Self {
        let folder = folder();
        let data = folder.join("data");
        run(unprivileged(&program("initdb")).args(["--username=postgres", "--auth=trust", "--encoding=UTF8"]).args([
            "--locale=C".as_ref(),
            "--no-sync".as_ref(),
            "--pgdata".as_ref(),
            data.as_os_str(),
        ]));
        let mut server = Self::new(folder);
        server.serve();
        server
    }

    fn new(folder: Folder) -> Self {
        let reserved = Port::reserve();
        Self { port: reserved.number(), _reserved: reserved, folder, process: None, clean: true }
    }

    /// A standby that streams from this one, which waits for it at each commit from then on.
    pub async fn standby(&self) -> Self {
        let mut server = Self::new(folder());
        server.copy(self);
        server.serve();
        server.follow_by(self).await;
        server
    }

    fn copy(&self, primary: &Self) {
        run(unprivileged(&program("pg_basebackup"))
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &primary.port.to_string(),
                "-U",
                "postgres",
                "--no-sync",
                "-c",
                "fast",
                "-R",
            ])
            .args(["-X".as_ref(), "stream".as_ref(), "-D".as_ref(), self.folder.join("data").as_os_str()]));
    }

    /// Waits until `self`, a standby, streams from `primary`, which from then on commits nothing without it.
    async fn follow_by(&self, primary: &Self) {
        let url = primary.url("postgres");
        super::eventually("a standby that streams", Duration::from_secs(30), async || {
            value(&url, "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'").await == "1"
        })
        .await;
        sql(&url, &["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"]).await;
    }

    /// Ends the standby's standing by: from when this returns it takes writes.
    pub async fn promote(&self) {
        sql(&self.url("postgres"), &["SELECT pg_promote()"]).await;
    }

    /// Started again as a standby of `primary`, which it was the primary of.
    pub async fn become_standby_of(&mut self, primary: &Self) {
        let data = self.folder.join("data");
        assert!(self.process.is_none(), "still running");
        if self.clean {
            let following = format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n", primary.port);
            std::fs::write(data.join("postgresql.auto.conf"), following).expect("its settings");
            std::fs::write(data.join("standby.signal"), "").expect("standby.signal");
        } else {
            // It may have what the other never got.
            std::fs::remove_dir_all(&data).expect("its data are gone");
            self.copy(primary);
        }
        self.serve();
        self.follow_by(primary).await;
    }

    /// It takes no writes any more, as managers of clusters do it to a primary that is to be replaced. Its sessions stay.
    pub async fn fence(&self) {
        let fence = ["ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"];
        sql(&self.url("postgres"), &fence).await;
    }

    /// From now on nobody gets in without TLS and a certificate of that authority.
    pub async fn ask_for_certificates(&self) -> Certificates {
        let certificates = Certificates::new(&self.folder);
        let alter = |setting: &str, file: &str| format!("ALTER SYSTEM SET {setting} = '{}'", certificates.path(file));
        let files =
            [alter("ssl_cert_file", "server.pem"), alter("ssl_key_file", "server.key"), alter("ssl_ca_file", "ca.pem")];
        sql(&self.url("postgres"), &files.each_ref().map(String::as_str)).await;
        let rule = "hostssl all all 127.0.0.1/32 trust clientcert=verify-full\n";
        std::fs::write(self.folder.join("data/pg_hba.conf"), rule).expect("its rules");
        sql(&self.url("postgres"), &["ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()"]).await;
        certificates
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    fn serve(&mut self) {
        let log = std::fs::File::create(self.folder.join("log")).expect("a log");
        let process = unprivileged(&program("postgres"))
            .arg("-D")
            .arg(self.folder.join("data"))
            .args(["-p", &self.port.to_string(), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
            .args(["-c", "wal_log_hints=on", "-c", "max_connections=100"])
            .args(["-c", "shared_buffers=32MB", "-c", "wal_keep_size=256MB"])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("postgres");
        self.process = Some(process);
        let start = Instant::now();
        let ready = || {
            let asked = Command::new(program("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status();
            asked.is_ok_and(|status| status.success())
        };
        while !ready() {
            assert!(start.elapsed() < Duration::from_secs(30), "PostgreSQL does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Stops it, as `pg_ctl stop -m fast` or `-m immediate`: with SIGINT or SIGQUIT.
    pub fn stop(&mut self, signal: &str) {
        let mut process = self.process.take().expect("a running PostgreSQL");
        let sent = Command::new("kill").args([&format!("-{signal}"), &process.id().to_string()]).status();
        assert!(sent.expect("kill").success());
        process.wait().expect("its end");
        self.clean = signal == "INT";
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.stop("QUIT");
        }
    }
}
