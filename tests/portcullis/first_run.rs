//! The binary as an operator meets it first: the link, the folder, the port, the log.

use std::net::TcpListener;

use crate::support::program::mode;
use crate::support::*;

/// The setup link's path in what the server wrote.
fn setup_path(line: &str, program: &Program) -> String {
    let start = format!("http://127.0.0.1:{}/setup/", program.port);
    let link = line.split_whitespace().find(|word| word.starts_with(&start)).expect("the link in one piece");
    link.strip_prefix(start.trim_end_matches("/setup/")).unwrap().to_owned()
}

#[tokio::test]
async fn the_first_start_prints_a_link_that_makes_one_administrator() {
    let program = Program::new();
    let running = program.start();
    // Whoever waits for `/livez` finds the link printed.
    running.answers().await;
    let stderr = running.stderr();
    let line = stderr.lines().find(|line| line.contains("/setup/")).unwrap_or_else(|| panic!("no link: {stderr}"));
    let path = setup_path(line, &program);
    assert!(stderr.contains("portcullis setup-link"), "{stderr}");
    assert_eq!(stderr.matches("/setup/").count(), 1, "{stderr}");

    // Closed until then, and `/login` says so.
    let mut guest = program.browser();
    assert!(guest.get("/login").await.expect(200).text().contains("setup-link"));
    guest.get("/register").await.expect(403);

    let mut administrator = program.browser();
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    administrator.submit(&path, &fields).await.expect_redirect("/account");
    assert!(administrator.is_signed_in().await);
    guest.get(&path).await.expect(410);
    guest.get("/register").await.expect(200);

    // Nothing secret in what it wrote, and its folder is closed to others.
    let output = running.output();
    assert!(!output.contains(PASSWORD) && !output.contains(&administrator.cookie().unwrap()), "{output}");
    let data = program.folder.join("data");
    assert_eq!(mode(&data) & 0o077, 0, "{:o}", mode(&data));
    for file in ["secret_key", "portcullis.db", "portcullis.db-wal", "portcullis.db-shm"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn nobody_else_reads_the_database_in_a_folder_that_is_open_to_all() {
    use std::os::unix::fs::PermissionsExt as _;
    let program = Program::new();
    let data = program.folder.join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let running = program.start();
    running.answers().await;
    for file in ["portcullis.db", "portcullis.db-wal", "secret_key"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
}

#[tokio::test]
async fn no_link_is_printed_once_there_is_an_administrator() {
    let program = Program::with_administrator();
    let mut running = program.serve().await;
    assert!(!running.output().contains("/setup/"), "{}", running.output());
    let mut browser = program.browser();
    browser.sign_in(KEEPER).await;
    assert_eq!(running.terminate().code(), Some(0));
    let shown = program.run(&["user", "show", KEEPER, "--output", "json"]);
    let user: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown:?}"));
    let user = user.as_array().map_or(&user, |list| &list[0]);
    assert_eq!((user["role"].as_str(), user["status"].as_str()), (Some("admin"), Some("active")));
    // The secret that made the administrator makes no second one, and changes nothing of the first.
    let program = program.set("bootstrap_admin_username", "second").set("bootstrap_admin_email", "second@example.com");
    let running = program.serve().await;
    program.browser().try_sign_in("second", PASSWORD).await.expect(401);
    program.browser().sign_in(KEEPER).await;
    assert!(!running.output().contains(PASSWORD), "{}", running.output());
}

#[tokio::test]
async fn the_bootstrap_password_may_come_from_a_file_and_is_held_to_the_policy() {
    let program = Program::with_administrator()
        .unset("bootstrap_admin_password")
        .set("bootstrap_admin_password_file", "password.txt");
    program.file("password.txt", &format!("{PASSWORD}\n"));
    let running = program.serve().await;
    program.browser().sign_in(KEEPER).await;
    assert!(!running.output().contains(PASSWORD));
    drop(running);

    let program = Program::with_administrator().set("bootstrap_admin_password", "password123");
    let mut running = program.start();
    assert!(matches!(running.end().code(), Some(1 | 78)), "{}", running.output());
    assert!(running.stderr().contains("bootstrap_admin_password") || running.stderr().contains("password"));
    assert!(!running.output().contains("password123"), "{}", running.output());
}

#[tokio::test]
async fn a_new_setup_link_voids_the_old_one_while_the_server_runs() {
    let program = Program::new();
    let running = program.start();
    let old = setup_path(&running.line("/setup/").await, &program);
    running.answers().await;
    let printed = program.run(&["setup-link"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let new = setup_path(&printed.stdout, &program);
    assert_ne!(old, new);
    let mut browser = program.browser();
    browser.get(&old).await.expect(410);
    let fields = [("username", KEEPER), ("email", "keeper@example.com"), ("password", PASSWORD)];
    browser.submit(&new, &fields).await.expect_redirect("/account");
    // With an administrator there is nothing left to set up.
    let refused = program.run(&["setup-link"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(!refused.stdout.contains("/setup/"), "{refused:?}");
}

#[tokio::test]
async fn a_start_after_an_unfinished_setup_prints_a_fresh_link() {
    let program = Program::new();
    let mut running = program.serve().await;
    let old = setup_path(&running.line("/setup/").await, &program);
    assert_eq!(running.terminate().code(), Some(0));
    let running = program.serve().await;
    let new = setup_path(&running.line("/setup/").await, &program);
    assert_ne!(old, new);
    program.browser().get(&old).await.expect(410);
    program.browser().get(&new).await.expect(200);
}

#[tokio::test]
async fn a_taken_port_is_one_line_that_says_what_to_do() {
    let program = Program::with_administrator();
    let _other = TcpListener::bind(program.address()).unwrap();
    program.start().ends_in_one_line(1, &[&program.port.to_string(), "listen"]);
}

#[tokio::test]
async fn a_data_folder_that_is_no_folder_is_one_line_that_says_what_to_do() {
    let program = Program::with_administrator();
    program.file("data", "a file where the folder should be");
    program.start().ends_in_one_line(78, &["data_dir"]);
}

#[tokio::test]
async fn another_owners_data_folder_is_refused_by_server_and_command_line() {
    if std::process::Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        panic!("only root can make a folder of another owner; run tests/run.sh as root");
    }
    let program = Program::with_administrator();
    drop(program.serve().await);
    let data = program.folder.join("data");
    let chown = std::process::Command::new("chown").args(["-R", "nobody"]).arg(&data).status().unwrap();
    assert!(chown.success());
    program.start().ends_in_one_line(78, &["another user"]);
    let listed = program.run(&["user", "list"]);
    assert_eq!(listed.code, Some(78), "{listed:?}");
    assert!(listed.stderr.contains("another user"), "{listed:?}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_one_line_and_status_69() {
    let nobody = Port::reserve();
    let port = nobody.number();
    let url = format!("postgres://portcullis:hunter2-canary@127.0.0.1:{port}/portcullis?sslmode=disable");
    let program = Program::with_administrator().set("database_url", &url);
    let mut running = program.start();
    running.ends_in_one_line(69, &[&port.to_string()]);
    assert!(!running.output().contains("hunter2-canary"), "{}", running.output());
}

#[tokio::test]
async fn every_line_of_the_log_is_one_json_object_whatever_is_asked() {
    let program = Program::with_administrator().set("log_format", "json").set("log_level", "debug");
    let mut running = program.serve().await;
    for evil in ["a\u{1b}[2Jb", "x\u{2028}{\"level\":\"ERROR\"}", "%0d%0a{}", "\u{85}y"] {
        let agent = format!("User-Agent: {evil}");
        raw::get(program.address(), b"/login%0d%0a%1b[31m?a=%0a", &[agent.as_bytes()]).await;
        let encoded: String = url::form_urlencoded::byte_serialize(format!("{evil}\r\nforged").as_bytes()).collect();
        let body = format!("username={encoded}&password=canary-password");
        let headers: [&[u8]; 3] = [
            b"Content-Type: application/x-www-form-urlencoded",
            b"Sec-Fetch-Site: same-origin",
            b"X-Forwarded-For: 1.2.3.4\", \"forged\": \"5.6.7.8",
        ];
        raw::exchange(program.address(), &raw::request(b"POST", b"/login", &headers, body.as_bytes())).await;
    }
    assert_eq!(running.terminate().code(), Some(0));
    let mut lines = 0;
    for line in running.stderr().lines().chain(running.output().lines()) {
        let object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object.is_object(), "{line}");
        assert!(!line.contains('\u{1b}') && !line.contains("canary-password"), "{line}");
        lines += 1;
    }
    assert!(lines > 8, "{lines} lines");
}
