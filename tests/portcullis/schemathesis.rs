//! Schemathesis, which we did not write, reads `/openapi.json` and calls the API with all that it allows and all that
//! it doesn't: the answers must be those that the document promises. What the document finds valid is taken, but for
//! what `tests/foreign/schemathesis.toml` names with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use portcullis::domain::Role;

use crate::support::folder::Folder;
use crate::support::*;

/// So many calls at least, of both callers together.
const CALLS: usize = 2000;

#[tokio::test]
async fn every_answer_is_one_that_the_document_promises() {
    // As many as make the calls, or by far more.
    let examples = if long() { "250" } else { "35" };
    let (administrator, user) =
        tokio::join!(examine(Sqlite, Role::Admin, examples), examine(SqliteRedis, Role::User, examples));
    let calls: usize = administrator.values().chain(user.values()).sum();
    assert!(calls >= CALLS, "{calls} calls");
    // Of each operation the way in was found.
    let is_success = |(call, _): (&String, &usize)| call.rsplit_once(" 2").map(|(operation, _)| operation.to_owned());
    let successful: BTreeSet<_> = administrator.iter().filter_map(is_success).collect();
    let tried: BTreeSet<_> = administrator.keys().map(|call| call.rsplit_once(' ').unwrap().0.to_owned()).collect();
    let never: Vec<_> = tried.difference(&successful).collect();
    assert!(never.is_empty(), "{never:?}: {administrator:#?}");
}

/// How often each operation was called with which status, by one whose account has this role.
async fn examine(backend: Backend, role: Role, examples: &str) -> BTreeMap<String, usize> {
    let limits = [("login_rate", "100000/1s"), ("api_rate", "100000/1s"), ("lockout_threshold", "1000000")];
    let server = TestServer::with(backend, &limits).await;
    server.create("adele", role).await;
    let folder = Folder::new();
    let mut schemathesis = tools::schemathesis();
    schemathesis
        .current_dir(&*folder)
        .env("SERVER", &server.public_url)
        .env("ACCOUNT", "adele")
        .env("PASSWORD", PASSWORD)
        .env("CALLS", folder.join("calls"))
        .args(["run", &format!("{}/openapi.json", server.public_url), "--url", &server.public_url, "--no-color"])
        .args(["--checks", "all"])
        .args(["--max-examples", examples, "--continue-on-failure"])
        .stdin(Stdio::null());
    if !long() {
        schemathesis.args(["--seed", "1"]);
    }
    let outcome = tokio::task::spawn_blocking(move || schemathesis.output()).await.unwrap().expect("Schemathesis");
    let told = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success(), "{role:?}: {told}{}", String::from_utf8_lossy(&outcome.stderr));
    let stateful = told.lines().find(|line| line.contains("Stateful")).unwrap_or_default();
    assert!(stateful.contains('✅'), "no calls that follow from others: {told}");
    let calls = std::fs::read_to_string(folder.join("calls")).expect("the calls");
    println!("{role:?}: {calls}\n{told}");
    serde_json::from_str(&calls).unwrap()
}
