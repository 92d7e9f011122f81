//! What `tests/run.sh` installs beside the stores: Python with PyJWT, Schemathesis, openapi-python-client and Django,
//! Node.js with libraries for OAuth, html-validate, axe, Redocly and openapi-typescript.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Python with the packages of `tests/requirements.txt`.
pub fn python() -> Command {
    Command::new(folder().join("venv/bin/python"))
}

/// Users of other systems, as lines for `user import`, with hashes that those systems' libraries make of `password`.
pub fn foreign_users(password: &str) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/users.py");
    let made = python().args([script, password]).output().expect("Python");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).expect("text")
}

/// A program of those packages, which finds others of them.
pub fn python_tool(name: &str) -> Command {
    let programs = folder().join("venv/bin");
    let mut tool = Command::new(programs.join(name));
    let before = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&before)));
    tool.env("PATH", path.expect("a PATH"));
    tool
}

/// Schemathesis with the hooks and the settings of `tests/foreign`.
pub fn schemathesis() -> Command {
    let mut schemathesis = Command::new(folder().join("venv/bin/schemathesis"));
    schemathesis.env("SCHEMATHESIS_HOOKS", "schemathesis_hooks").env("PYTHONDONTWRITEBYTECODE", "1");
    schemathesis.env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign"));
    schemathesis.args(["--config-file", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/schemathesis.toml")]);
    schemathesis
}

/// Node.js that runs `script`, a module, with the packages of `tests/foreign/package.json`.
pub fn node(script: &str) -> Command {
    let mut node = Command::new("node");
    // Packages are looked for from the working folder on.
    node.args(["--input-type=module", "--eval", script, "--"]).current_dir(folder().join("node"));
    node
}

/// A program of those packages.
pub fn node_tool(name: &str) -> Command {
    let mut node = Command::new("node");
    node.arg(node_modules().join(".bin").join(name));
    node
}

/// The folder of those packages.
pub fn node_modules() -> PathBuf {
    folder().join("node/node_modules")
}

/// axe, as a script for a browser.
pub fn axe() -> String {
    let path = node_modules().join("axe-core/axe.min.js");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> PathBuf {
    let folder =
        std::env::var_os("TEST_TOOLS").expect("TEST_TOOLS names no folder. Use tests/run.sh, which installs it");
    folder.into()
}

/// A process that answers each line with a line. Killed on drop.
pub struct Dialogue {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Dialogue {
    pub fn start(mut command: Command) -> Self {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, input, output }
    }

    pub fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("it reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("it answers");
        assert!(answer.ends_with('\n'), "it ended instead of answering {line}");
        answer.trim_end().to_owned()
    }
}

impl Drop for Dialogue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
