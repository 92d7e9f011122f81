//! `/openapi.json`, as the tools read it that people point at it, and `/docs`, its page.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use portcullis::domain::Role;
use serde_json::Value;

use crate::support::folder::Folder;
use crate::support::*;

/// The document of a server, in a file of its own folder.
async fn saved(server: &TestServer) -> (Folder, Value) {
    let answer = ApiClient::new(server).get("/openapi.json").await.expect(200);
    let folder = Folder::new();
    std::fs::write(folder.join("openapi.json"), &answer.body).unwrap();
    (folder, answer.json())
}

/// What a tool says that worked.
async fn told(mut tool: Command) -> String {
    let run = move || tool.output().unwrap_or_else(|error| panic!("{tool:?}: {error}"));
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
    let told = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success(), "{status}: {told}");
    told
}

#[tokio::test]
async fn a_linter_finds_nothing_to_say() {
    let server = TestServer::start(Sqlite).await;
    let (folder, _) = saved(&server).await;
    let mut redocly = tools::node_tool("redocly");
    // Strict: a warning is an error.
    redocly.args(["lint", "openapi.json", "--extends", "recommended-strict", "--format", "json"]);
    redocly.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true").current_dir(&*folder);
    let told = told(redocly).await;
    assert!(told.contains(r#""errors": 0"#) && told.contains(r#""warnings": 0"#), "{told}");
}

#[tokio::test]
async fn the_document_is_that_of_the_instance() {
    let settings = [("public_url", "https://id.example.org"), ("password_min_length", "17")];
    let server = TestServer::with(Sqlite, &settings).await;
    let nobody = ApiClient::new(&server);
    let document = nobody.get("/openapi.json").await.expect(200).json();
    assert_eq!(document["servers"].as_array().unwrap().len(), 1);
    assert_eq!(document["servers"][0]["url"], "https://id.example.org");
    let cookie = &document["components"]["securitySchemes"]["refresh_cookie"]["name"];
    assert_eq!(cookie, "__Secure-portcullis-refresh");
    let page = nobody.get("/docs").await.expect(200);
    assert!(page.body.contains("<code>https://id.example.org</code>"));
    assert_eq!(document["components"]["schemas"]["NewPassword"]["minLength"], 17);
    assert!(page.body.contains("17 to 128 characters"));

    let server = TestServer::start(Sqlite).await;
    let document = ApiClient::new(&server).get("/openapi.json").await.expect(200).json();
    assert_eq!(document["servers"][0]["url"], server.public_url.as_str());
    assert_eq!(document["components"]["securitySchemes"]["refresh_cookie"]["name"], "portcullis-refresh");
}

#[tokio::test]
async fn every_link_within_the_reference_leads_somewhere() {
    let server = TestServer::start(Sqlite).await;
    let page = ApiClient::new(&server).get("/docs").await.expect(200);
    let ids: BTreeSet<_> = page.attributes("[id]", "id").into_iter().collect();
    let links: BTreeSet<_> = page.attributes("main a, nav a", "href").into_iter().collect();
    let within: Vec<_> = links.iter().filter_map(|link| link.strip_prefix('#')).collect();
    assert!(within.contains(&"schema-UserId") && within.contains(&"schema-Problem"), "{within:?}");
    let lost: Vec<_> = within.into_iter().filter(|target| !ids.contains(*target)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    // What is no object says in words what it is.
    for words in ["string (3 to 32 characters)", "string (date-time) or string (date)", "string (uuid)"] {
        assert!(page.body.contains(&format!("Written as {words}.")), "{words}");
    }
    assert!(!page.body.contains("Written as ."));
}

#[tokio::test]
async fn a_client_that_is_generated_in_python_signs_in_lists_refreshes_and_signs_out() {
    let server = TestServer::start(Sqlite).await;
    server.create("adele", Role::Admin).await;
    let (folder, _) = saved(&server).await;
    let mut generator = tools::python_tool("openapi-python-client");
    generator.args(["generate", "--path", "openapi.json", "--output-path", "portcullis_client", "--meta", "none"]);
    generator.arg("--fail-on-warning").current_dir(&*folder);
    let said = told(generator).await;
    assert!(!said.to_lowercase().contains("warning"), "{said}");
    let mut program = tools::python();
    program.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/generated_client.py"));
    program.args([&server.public_url, "adele", PASSWORD]).env("PYTHONPATH", &*folder);
    assert_eq!(told(program).await, "signed out\n");
}

#[tokio::test]
async fn a_client_that_is_generated_in_typescript_compiles_and_does_what_its_types_say() {
    let server = TestServer::start(Sqlite).await;
    server.create("adele", Role::Admin).await;
    let (folder, _) = saved(&server).await;
    std::fs::write(folder.join("client.mts"), include_str!("../foreign/generated_client.mts")).unwrap();
    std::os::unix::fs::symlink(tools::node_modules(), folder.join("node_modules")).unwrap();
    let mut generator = tools::node_tool("openapi-typescript");
    generator.args(["openapi.json", "--output", "openapi.d.ts"]).current_dir(&*folder);
    let said = told(generator).await;
    assert!(!said.to_lowercase().contains("warn"), "{said}");
    let mut compiler = tools::node_tool("tsc");
    compiler.args(["--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--target", "es2022"]);
    compiler.args(["--module", "nodenext", "--lib", "es2023,dom,dom.iterable", "client.mts"]).current_dir(&*folder);
    assert_eq!(told(compiler).await, "");
    let mut program = Command::new("node");
    program.args(["client.mjs", &server.public_url, "adele", PASSWORD]).current_dir(&*folder);
    assert_eq!(told(program).await, "signed out\n");
}
