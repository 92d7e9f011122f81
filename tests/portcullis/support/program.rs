//! The binary itself, as an operator runs it.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portcullis::domain::Clock;

use super::browser::Browser;
use super::folder::Folder;
use super::port::Port;
use super::spawn::TestServer;
use super::{KEEPER, PASSWORD, eventually};

/// A working folder in which the binary is run, with its port and what it is told by environment variables.
pub struct Program {
    pub folder: Folder,
    pub port: u16,
    /// That one, kept from others.
    _port: Port,
    environment: Vec<(String, String)>,
}

/// What a command of the binary came to.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// SQLite in the working folder and cheap password hashing.
    pub fn new() -> Self {
        let reserved = Port::reserve();
        let port = reserved.number();
        let program = Self { folder: Folder::new(), port, _port: reserved, environment: Vec::new() };
        program
            .set("listen", &format!("127.0.0.1:{port}"))
            .set("public_url", &format!("http://127.0.0.1:{port}"))
            .set("argon2_memory_kib", "64")
            .set("argon2_iterations", "1")
            .set("login_rate", "1000/1s")
    }

    /// The same with the administrator [`KEEPER`], so that people can register.
    pub fn with_administrator() -> Self {
        Self::new()
            .set("bootstrap_admin_username", KEEPER)
            .set("bootstrap_admin_email", "keeper@example.com")
            .set("bootstrap_admin_password", PASSWORD)
    }

    /// On the stores of a running server.
    pub fn on(server: &TestServer) -> Self {
        server.stores.settings().iter().fold(Self::new(), |program, (key, value)| program.set(key, value))
    }

    /// Sets `PORTCULLIS_{KEY}`.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("PORTCULLIS_{}", key.to_uppercase());
        self.environment.retain(|(other, _)| *other != name);
        self.environment.push((name, value.to_owned()));
        self
    }

    /// Sets a variable that is no setting.
    pub fn export(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a setting back, to its default or to a file.
    pub fn unset(mut self, key: &str) -> Self {
        let name = format!("PORTCULLIS_{}", key.to_uppercase());
        self.environment.retain(|(other, _)| *other != name);
        self
    }

    /// Another one in the same folder and with the same settings, on the same port.
    pub fn in_the_folder_of(other: &Self) -> Self {
        let folder = Folder::from(other.folder.to_path_buf());
        Self { folder, port: other.port, _port: Port::reserve(), environment: other.environment.clone() }
    }

    /// Writes a file of the working folder.
    pub fn file(&self, name: &str, text: &str) -> &Self {
        std::fs::write(self.folder.join(name), text).expect("the file is written");
        self
    }

    /// A browser that looks at it. Its clock is the system's, as the server's is.
    pub fn browser(&self) -> Browser {
        Browser::new(self.address(), &format!("http://127.0.0.1:{}", self.port), &Clock::default())
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.run_with_input(arguments, "")
    }

    /// Runs a command to its end; `input` is its standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> CommandOutput {
        finish(&mut self.command(arguments), input)
    }

    /// Runs a script of bash in the folder, where the binary is the command `portcullis`.
    pub fn shell(&self, script: &str) -> CommandOutput {
        finish(&mut self.bash(script), "")
    }

    /// Starts a script that becomes `serve`.
    pub fn start_in_shell(&self, script: &str) -> Running {
        self.spawn(&mut self.bash(script))
    }

    fn bash(&self, script: &str) -> Command {
        let binaries = Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().expect("its folder");
        let path = std::env::var("PATH").expect("a PATH");
        let mut bash = self.within("bash");
        bash.args(["-c", script]).env("PATH", format!("{}:{path}", binaries.display()));
        bash
    }

    /// Runs a command to its end whose stdout goes there.
    pub fn run_into(&self, arguments: &[&str], stdout: impl Into<Stdio>) -> CommandOutput {
        let mut child = self.command(arguments).stdin(Stdio::null()).stdout(stdout).spawn().expect("the binary");
        let stderr = Lines::of(child.stderr.take().expect("its errors"));
        let status = wait(&mut child, Duration::from_secs(60));
        let status = status.unwrap_or_else(|| panic!("{arguments:?} does not end: {}", stderr.text()));
        CommandOutput { code: status.code(), stdout: String::new(), stderr: stderr.all() }
    }

    /// Starts `serve`, whose stderr goes there.
    pub fn start_logging_into(&self, stderr: impl Into<Stdio>) -> Running {
        let mut command = self.command(&[]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().expect("the binary");
        let nothing = || Lines::of(std::io::empty());
        Running { child, stdout: nothing(), stderr: nothing(), address: self.address() }
    }

    /// Starts `serve` and waits until it answers.
    pub async fn serve(&self) -> Running {
        let running = self.start();
        running.answers().await;
        running
    }

    /// Starts `serve`, as no command at all does.
    pub fn start(&self) -> Running {
        self.spawn(&mut self.command(&[]))
    }

    fn spawn(&self, command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the process");
        let stderr = Lines::of(child.stderr.take().expect("its errors"));
        let stdout = Lines::of(child.stdout.take().expect("its output"));
        Running { child, stdout, stderr, address: self.address() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.within(env!("CARGO_BIN_EXE_portcullis"));
        command.args(arguments);
        command
    }

    /// A process in the folder, that knows what the binary is told.
    fn within(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Whoever runs the tests may read another language, and have a proxy.
        command.envs([("LC_ALL", "C.UTF-8"), ("no_proxy", "*"), ("NO_PROXY", "*")]);
        command.current_dir(&*self.folder).envs(self.environment.iter().cloned());
        command.stderr(Stdio::piped());
        command
    }
}

/// Runs a process to its end.
fn finish(command: &mut Command, input: &str) -> CommandOutput {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the process");
    let stderr = Lines::of(child.stderr.take().expect("its errors"));
    let stdout = Lines::of(child.stdout.take().expect("its output"));
    // What it writes is read meanwhile, or neither would go on where that is much. One that reads nothing may have gone
    // before this is written.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let status = wait(&mut child, Duration::from_secs(60))
        .unwrap_or_else(|| panic!("{command:?} does not end: {}", stderr.text()));
    CommandOutput { code: status.code(), stdout: stdout.all(), stderr: stderr.all() }
}

/// A running `serve`, killed on drop.
pub struct Running {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    address: SocketAddr,
}

impl Running {
    /// Its working folder as it sees it, with what is mounted for it alone.
    pub fn folder(&self) -> PathBuf {
        let process = Path::new("/proc").join(self.child.id().to_string());
        let folder = std::fs::read_link(process.join("cwd")).expect("its folder");
        process.join("root").join(folder.strip_prefix("/").expect("a whole path"))
    }

    /// MiB of memory that it had at most.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.expect("a peak").parse::<u64>().expect("a number") / 1024
    }

    /// Waits until `/livez` answers; fails when the process ends before.
    pub async fn answers(&self) {
        let address = self.address;
        eventually(&format!("/livez of {address}: {}", self.stderr.text()), Duration::from_secs(30), async || {
            tokio::net::TcpStream::connect(address).await.is_ok()
                && super::raw::get(address, b"/livez", &[]).await.status == 200
        })
        .await;
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// All that it wrote, on both streams.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout.text(), self.stderr.text())
    }

    /// Waits for a line on stderr that contains `part`.
    pub async fn line(&self, part: &str) -> String {
        let mut found = None;
        eventually(&format!("a line with {part}"), Duration::from_secs(30), async || {
            found = self.stderr.text().lines().find(|line| line.contains(part)).map(str::to_owned);
            found.is_some()
        })
        .await;
        found.expect("the line")
    }

    /// Asks it to stop and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.end()
    }

    /// Waits until it ends; all that it wrote is there then.
    pub fn end(&mut self) -> ExitStatus {
        let status = wait(&mut self.child, Duration::from_secs(30));
        let status = status.unwrap_or_else(|| panic!("goes on: {}", self.stderr.text()));
        self.stdout.all();
        self.stderr.all();
        status
    }

    /// Fails unless it ends with `code` and says why in one line that contains each of `parts`.
    pub fn ends_in_one_line(&mut self, code: i32, parts: &[&str]) {
        let status = self.end();
        let stderr = self.stderr();
        assert_eq!(status.code(), Some(code), "{stderr}");
        let lines: Vec<_> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines.last().unwrap_or(&"");
        for part in parts {
            assert!(last.contains(part), "{part} is not in: {stderr}");
        }
        assert!(!stderr.contains("panicked") && !stderr.contains("Error {") && !stderr.contains("Os {"), "{stderr}");
        assert!(lines.len() <= 3, "more than is to be read: {stderr}");
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }

    /// `kill -9`.
    pub fn kill9(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process writes, collected while it runs.
pub(super) struct Lines {
    text: Arc<Mutex<String>>,
    reader: Mutex<Option<JoinHandle<()>>>,
}

impl Lines {
    pub(super) fn of(stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let reader = std::thread::spawn({
            let text = text.clone();
            move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                    text.push_str(&line);
                    text.push('\n');
                }
            }
        });
        Self { text, reader: Mutex::new(Some(reader)) }
    }

    /// What there is so far.
    pub(super) fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end of the stream.
    fn all(&self) -> String {
        if let Some(reader) = self.reader.lock().unwrap_or_else(PoisonError::into_inner).take() {
            reader.join().expect("the stream is read");
        }
        self.text()
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            return Some(status);
        }
        if start.elapsed() > limit {
            let _ = child.kill();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).expect("the file").permissions().mode() & 0o777
}
