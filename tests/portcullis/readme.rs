//! Every example of README.md is run, and says what stands there. An example without a runner fails.
//!
//! In what is shown, `…` stands for anything; ids, keys, tokens and times may be others.

use std::collections::BTreeSet;
use std::process::Command;

use jsonwebtoken::jwk::JwkSet;
use portcullis::domain::signing_key::is_kid;

use crate::support::stores::Stores;
use crate::support::tools::{self, Dialogue};
use crate::support::*;

mod coming_from;

/// The example in Rust, compiled with the tests.
#[path = "../foreign/check.rs"]
#[expect(clippy::disallowed_methods, reason = "a service of somebody else, who has no `UnverifiedToken`")]
mod check;

const README: &str = include_str!("../../README.md");

/// What the examples are written for.
const URL: &str = "http://localhost:8080";

/// A fenced block: the heading above it, its language, and what is inside.
struct Block {
    section: &'static str,
    language: &'static str,
    text: &'static str,
}

/// Sections and languages that a test here runs.
const RUN: &[(&str, &str)] = &[
    ("The first two minutes", "console"),
    ("For programs", "console"),
    ("For programs", "rust"),
    ("For programs", "js"),
    ("For programs", "python"),
    ("Administration", "console"),
    ("Redis and PostgreSQL", "console"),
    ("Settings", "console"),
    ("Command line", "console"),
    ("Metrics", "console"),
    (COMING_FROM, "console"),
    (COMING_FROM, "jq"),
];

const COMING_FROM: &str = "Coming from Express, Django, Keycloak, Devise";

fn blocks() -> Vec<Block> {
    let (mut blocks, mut section, mut rest) = (Vec::new(), "", README);
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
        }
        if let Some(language) = line.strip_prefix("```") {
            let (text, after) = rest.split_once("```\n").expect("the block ends");
            blocks.push(Block { section, language, text });
            rest = after;
        }
    }
    blocks
}

fn blocks_of(section: &str, language: &str) -> Vec<&'static str> {
    let ours = blocks().into_iter().filter(|block| (block.section, block.language) == (section, language));
    let texts: Vec<_> = ours.map(|block| block.text).collect();
    assert!(!texts.is_empty(), "no {language} in {section}");
    texts
}

/// A command after `$`, and what is shown below it. A line that ends with `\` goes on.
#[derive(Debug)]
struct Step {
    command: String,
    shown: String,
}

fn steps(section: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for text in blocks_of(section, "console") {
        let mut goes_on = false;
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step { command: command.to_owned(), shown: String::new() });
            } else {
                let step = steps.last_mut().expect("a command first");
                let text = if goes_on { &mut step.command } else { &mut step.shown };
                text.push('\n');
                text.push_str(line);
            }
            goes_on = line.ends_with('\\') && steps.last().is_some_and(|step| step.shown.is_empty());
        }
    }
    steps
}

// --- comparing ---------------------------------------------------------------------------------------------------

/// With ids, keys, tokens and times by their kind, and all that only moves things on the screen left out.
fn normal(text: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.:+".contains(c);
    let mut normal = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if is_word(c) {
            word.push(c);
            continue;
        }
        normal.push_str(kind(&word).unwrap_or(&word));
        word.clear();
        let c = if c.is_whitespace() { ' ' } else { c };
        if !(matches!(c, ' ' | '─') && normal.ends_with(c)) {
            normal.push(c);
        }
    }
    normal.trim().to_owned()
}

fn kind(word: &str) -> Option<&'static str> {
    let is_token = word.len() == 43 && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if uuid::Uuid::try_parse(word).is_ok() {
        Some("<id>")
    } else if is_kid(word) {
        Some("<key>")
    } else if is_token {
        Some("<token>")
    } else if chrono::DateTime::parse_from_rfc3339(word).is_ok()
        || chrono::NaiveDate::parse_from_str(word, "%Y-%m-%d").is_ok()
        || chrono::NaiveTime::parse_from_str(word, "%H:%M").is_ok()
    {
        Some("<time>")
    } else {
        None
    }
}

fn has_the_shape(seen: &str, shown: &str) -> bool {
    let (seen, shown) = (normal(seen), normal(shown));
    let parts: Vec<_> = shown.split('…').map(str::trim).collect();
    let [first, middle @ .., last] = &parts[..] else { return seen == shown };
    let Some(mut rest) = seen.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_shape_leaves_open_what_differs_from_run_to_run_and_nothing_else() {
    let shown = "{ \"id\": \"01a1fc5c-287b-7000-8000-002207022fe3\", … \"role\": \"user\" }";
    let seen = "{\n  \"id\": \"01a1fc64-b41a-7000-8005-15cc1e860067\",\n  \"x\": 1,\n  \"role\": \"user\"\n}\n";
    assert!(has_the_shape(seen, shown));
    assert!(!has_the_shape(&seen.replace("user", "admin"), shown));
    assert!(!has_the_shape(&seen.replace("01a1fc64-", ""), shown));
    assert!(!has_the_shape(&format!("{seen}x"), shown));
    assert!(has_the_shape("until 05:12 UTC", "until 04:41 UTC") && !has_the_shape("until noon", "until 04:41 UTC"));
    assert!(has_the_shape("", "") && !has_the_shape("x", ""));
}

#[test]
fn every_example_has_a_runner() {
    let found: BTreeSet<_> = blocks().iter().map(|block| (block.section, block.language)).collect();
    assert_eq!(found, RUN.iter().copied().collect(), "blocks of README.md, and those that readme.rs runs");
}

// --- running -----------------------------------------------------------------------------------------------------

/// A program that believes to be at [`URL`], and an account for the examples.
fn program() -> Program {
    let program = Program::with_administrator().set("public_url", URL);
    // So that curl finds it there.
    program.file(".curlrc", &format!("connect-to = \"localhost:8080:127.0.0.1:{}\"\n", program.port));
    program
}

fn create_nadia(program: &Program) {
    let arguments = ["user", "create", "nadia", "--email", "nadia@example.com", "--password-stdin", "--yes"];
    let created = program.run_with_input(&arguments, &format!("{PASSWORD}\n"));
    assert_eq!(created.code, Some(0), "{created:?}");
}

/// Runs all commands of a section in one shell. Each succeeds and shows what it should; where README.md shows
/// nothing, it may say something all the same.
fn run(program: &Program, section: &str) {
    let steps = steps(section);
    let mut script = "exec 2>&1; export CURL_HOME=$PWD\n".to_owned();
    for step in &steps {
        script.push_str(&format!("{}\nprintf '\\036%s\\036' $?\n", step.command));
    }
    let outcome = program.shell(&script);
    let mut told = outcome.stdout.split('\u{1e}');
    for Step { command, shown } in &steps {
        let (seen, status) = (told.next().unwrap_or_default(), told.next().unwrap_or("not run"));
        assert_eq!(status, "0", "{command}\n{seen}");
        assert!(shown.is_empty() || has_the_shape(seen, shown), "{command}\nshows\n{shown}\nand is\n{seen}");
    }
}

#[tokio::test]
async fn the_first_two_minutes() {
    for Step { command, shown } in steps("The first two minutes") {
        match command.as_str() {
            // The binary that the tests were built with.
            "cargo run --release" => {
                let program = Program::new().set("public_url", URL);
                let running = program.serve().await;
                let text = running.output();
                let lines = text.lines().skip_while(|line| !line.starts_with('┌'));
                let mut seen: Vec<_> = lines.take_while(|line| line.starts_with(['┌', '│'])).collect();
                seen.push(shown.lines().last().unwrap());
                assert!(has_the_shape(&seen.join("\n"), &shown), "{text}");
            }
            // That is what runs this.
            "tests/run.sh" => {
                let help = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/run.sh")).arg("--help").output();
                assert!(help.unwrap().status.success());
            }
            other => panic!("no runner: {other}"),
        }
    }
}

#[tokio::test]
async fn for_programs() {
    let program = program();
    let _running = program.serve().await;
    create_nadia(&program);
    run(&program, "For programs");
}

#[tokio::test]
async fn administration() {
    let program = program();
    let _running = program.serve().await;
    create_nadia(&program);
    let login = format!(
        "CURL_HOME=$PWD curl -s -o login {URL}/api/v1/auth/login --json '{{\"username\": \"nadia\", \"password\": \"{PASSWORD}\"}}'"
    );
    assert_eq!(program.shell(&login).code, Some(0));
    run(&program, "Administration");
}

#[tokio::test]
async fn settings() {
    run(&program(), "Settings");
}

#[tokio::test]
async fn the_command_line() {
    let program = program();
    let _running = program.serve().await;
    run(&program, "Command line");
}

#[tokio::test]
async fn metrics() {
    let port = Port::reserve();
    let program = Program::with_administrator().set("metrics_listen", &format!("127.0.0.1:{}", port.number()));
    let elsewhere = format!("connect-to = \"127.0.0.1:9464:127.0.0.1:{}\"\n", port.number());
    program.file(".curlrc", &elsewhere);
    let _running = program.serve().await;
    program.browser().sign_in(KEEPER).await;
    run(&program, "Metrics");
}

#[tokio::test]
async fn redis_and_postgresql() {
    let steps = steps("Redis and PostgreSQL");
    let commands: Vec<_> = steps.iter().map(|step| step.command.as_str()).collect();
    let [redis, postgres, "portcullis serve"] = commands[..] else { panic!("no runner: {commands:?}") };
    let checked = Program::new().shell(&format!("{redis}\n{postgres}\nportcullis config check"));
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(
        redis.starts_with("export PORTCULLIS_REDIS_URL=") && postgres.starts_with("export PORTCULLIS_DATABASE_URL=")
    );
    // The same with stores that are there.
    let stores = Stores::new(PostgresRedis).await;
    let program = Program::with_administrator()
        .set("redis_url", stores.redis_url.as_ref().unwrap())
        .set("redis_prefix", &stores.redis_prefix)
        .set("database_url", &stores.database_url);
    let _running = program.serve().await;
    program.browser().sign_in(KEEPER).await;
}

#[tokio::test]
async fn the_checks_of_a_service_take_our_tokens_and_no_others() {
    let server = TestServer::with(Sqlite, &[("public_url", URL)]).await;
    let user = server.create_user("nadia").await;
    let good = server.program("nadia").await.access_token.unwrap();
    // Signed by the same key for somebody else.
    let elsewhere = server.second_node_with(&[("jwt_audience", "https://other.example.org")]).await;
    let other = elsewhere.program("nadia").await.access_token.unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let bad = [other, format!("{signed}."), format!("{signed}.A{signature}")];

    let here = format!("http://{}/.well-known", server.address);
    let code = |language: &str| {
        let [code] = blocks_of("For programs", language)[..] else { panic!("one example in {language}") };
        code.replace(&format!("{URL}/.well-known"), &here)
    };
    let python = r#"
import sys
for line in sys.stdin:
    try:
        print(check(line.strip())["sub"], flush=True)
    except jwt.PyJWTError:
        print("refused", flush=True)
"#;
    let js = r#"
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  console.log(await check(line).then(({ sub }) => sub, (error) => error.code ? "refused" : error.message));
}
"#;
    let mut interpreter = tools::python();
    interpreter.args(["-c", &format!("{}{python}", code("python"))]);
    for command in [interpreter, tools::node(&format!("{}{js}", code("js")))] {
        let mut service = Dialogue::start(command);
        assert_eq!(service.ask(&good), user.id.to_string());
        for token in &bad {
            assert_eq!(service.ask(token), "refused", "{token}");
        }
    }

    assert_eq!(blocks_of("For programs", "rust"), [include_str!("../foreign/check.rs")], "what is compiled here");
    let keys = ApiClient::new(&server).get("/.well-known/jwks.json").await.expect(200).json();
    let keys: JwkSet = serde_json::from_value(keys).unwrap();
    let claims = check::check(&good, &keys).expect("a good token");
    assert_eq!((claims.sub, claims.role.as_str()), (user.id.to_string(), "user"));
    assert!(!claims.sid.is_empty() && claims.preferred_username == "nadia");
    for token in &bad {
        assert!(check::check(token, &keys).is_none(), "{token}");
    }
}
