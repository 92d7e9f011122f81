//! What stands before a PostgreSQL, and what a test asks it itself.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::port::Port;

/// Not as root: neither PostgreSQL nor PgBouncer starts as that. Without a process in between.
pub fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
    command
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A folder that those programs may write to.
pub fn folder() -> Folder {
    let folder = Folder::new();
    if is_root() {
        let owned = Command::new("chown").arg("postgres:").arg(folder.as_os_str()).status();
        assert!(owned.expect("chown").success());
    }
    folder
}

/// Runs SQL on a database, a statement at a time where it is several strings.
pub async fn sql(url: &str, statements: &[&str]) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("PostgreSQL");
    let connection = tokio::spawn(connection);
    for statement in statements {
        client.batch_execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    }
    drop(client);
    let _ = connection.await;
}

/// One value of a database, as text.
pub async fn value(url: &str, statement: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("PostgreSQL");
    tokio::spawn(connection);
    let answer = client.simple_query(statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let row = answer.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap_or_default()
}

/// The name of the database of a URL.
pub fn database_of(url: &str) -> String {
    url::Url::parse(url).expect("a URL").path().trim_start_matches('/').to_owned()
}

/// The same database by another port.
pub fn at_port(url: &str, port: u16) -> String {
    let mut url = url::Url::parse(url).expect("a URL");
    url.set_port(Some(port)).expect("a port");
    url.into()
}

/// A `pgbouncer` before a PostgreSQL, killed on drop.
pub struct PgBouncer {
    pub port: u16,
    folder: Folder,
    process: Child,
    _reserved: Port,
}

impl PgBouncer {
    /// Before the PostgreSQL on that port, with so many sessions for each database. `pool_mode` is `transaction` or
    /// `session`.
    pub fn start(server: u16, pool_mode: &str, pool_size: u32) -> Self {
        let (folder, reserved) = (folder(), Port::reserve());
        let port = reserved.number();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {0}/users\nlogfile = {0}/log\npool_mode = {pool_mode}\n\
             default_pool_size = {pool_size}\nmax_client_conn = 500\n\
             server_login_retry = 1\n",
            folder.display()
        );
        std::fs::write(folder.join("users"), "\"postgres\" \"\"\n").expect("the users");
        std::fs::write(folder.join("pgbouncer.ini"), settings).expect("the settings");
        let process = unprivileged(Path::new("/usr/sbin/pgbouncer"))
            .args(["-q".as_ref(), folder.join("pgbouncer.ini").as_os_str()])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("pgbouncer can't be started: {error}. Use tests/run.sh"));
        let bouncer = Self { port, folder, process, _reserved: reserved };
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(10), "pgbouncer does not answer: {}", bouncer.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        bouncer
    }

    /// From now on it gives each transaction, or each client, a session; whoever is connected stays.
    pub fn change_pool_mode(&self, from: &str, to: &str) {
        let file = self.folder.join("pgbouncer.ini");
        let settings = std::fs::read_to_string(&file).expect("the settings");
        let changed = settings.replace(&format!("pool_mode = {from}"), &format!("pool_mode = {to}"));
        std::fs::write(&file, changed).expect("the settings");
        let sent = Command::new("kill").args(["-HUP", &self.process.id().to_string()]).status();
        assert!(sent.expect("kill").success());
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
