//! Where the program stands, and what it can read and write there.

use std::time::Duration;

use crate::support::*;

/// The program as a script of bash names it, held to the permissions of files even where root runs it.
fn plain() -> &'static str {
    let is_root = std::process::Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    if is_root {
        "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all portcullis"
    } else {
        "portcullis"
    }
}

/// One line that says why and what to do, and what is there afterwards as before.
fn is_told(outcome: &program::CommandOutput, code: i32, parts: &[&str]) {
    let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.starts_with("portcullis:")).collect();
    assert_eq!((outcome.code, lines.len()), (Some(code), 1), "{outcome:?}");
    for part in parts {
        assert!(outcome.stderr.contains(part), "{part}: {outcome:?}");
    }
    for odd in ["panicked", "Os {", "Error {"] {
        assert!(!outcome.stderr.contains(odd), "{odd}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_data_folder_may_have_any_name() {
    for name in
        ["a#b", "a?mode=ro", "a%20b", "100%", "a b", "it's", "\"q\"", "file:x", "sqlite:", ":memory:", "ä🦉", "deep/er"]
    {
        let program = Program::with_administrator().set("data_dir", name);
        let checked = program.run(&["config", "check"]);
        assert_eq!(checked.code, Some(0), "{name}: {checked:?}");
        let mut running = program.serve().await;
        program.browser().sign_in(KEEPER).await;
        assert_eq!(running.terminate().code(), Some(0), "{name}: {}", running.output());
        assert!(program.folder.join(name).join("portcullis.db").exists(), "{name}");
        // And nowhere else.
        let top = name.split('/').next().unwrap();
        let names: Vec<_> =
            std::fs::read_dir(&*program.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [top], "{name}");
        // What is shown as the setting is one that can be written.
        let shown = program.run(&["config", "show", "--output", "json"]);
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        let url = shown.as_array().unwrap().iter().find(|setting| setting["key"] == "database_url").unwrap();
        let again = Program::in_the_folder_of(&program)
            .set("data_dir", name)
            .set("database_url", url["value"].as_str().unwrap());
        let listed = again.run(&["user", "list"]);
        assert!(listed.code == Some(0) && listed.stdout.contains(KEEPER), "{name}: {listed:?}");
    }
}

#[tokio::test]
async fn the_data_folder_may_be_a_link_to_one() {
    let program = Program::with_administrator();
    std::fs::create_dir(program.folder.join("real")).unwrap();
    std::os::unix::fs::symlink("real", program.folder.join("data")).unwrap();
    let _running = program.serve().await;
    program.browser().sign_in(KEEPER).await;
    assert!(program.folder.join("real/portcullis.db").exists());
    let program = Program::with_administrator();
    std::os::unix::fs::symlink("nowhere", program.folder.join("data")).unwrap();
    is_told(&program.run(&["serve"]), 78, &["data_dir"]);
}

#[test]
fn a_name_that_is_not_utf_8_is_refused_in_one_sentence() {
    let program = Program::with_administrator();
    let outcome = program.shell("PORTCULLIS_DATA_DIR=$'a\\xff' portcullis serve");
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(outcome.stderr.contains("data_dir") && outcome.stderr.contains("UTF-8"), "{outcome:?}");
    let outcome = program.shell("portcullis serve --data-dir $'a\\xff'");
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    // A working folder of such a name is nobody's fault.
    let outcome = program.shell("mkdir $'a\\xff' && cd $'a\\xff' && portcullis user list");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[test]
fn a_folder_or_file_that_can_not_be_used_is_one_sentence_that_says_what_to_do() {
    let portcullis = plain();
    for (script, parts) in [
        ("mkdir data; chmod 500 data", &["data_dir"][..]),
        ("mkdir data; chmod 000 data", &["data_dir"]),
        ("mkdir up; chmod 500 up; export PORTCULLIS_DATA_DIR=up/data", &["data_dir"]),
        ("export PORTCULLIS_DATA_DIR=/proc/data", &["data_dir"]),
        ("portcullis user list; chmod 000 data/secret_key", &["secret_key", "backup"]),
        ("portcullis user list; chmod 644 data/secret_key", &["secret_key", "chmod 600"]),
        ("portcullis user list; rm data/secret_key; mkdir data/secret_key", &["secret_key", "backup"]),
        ("portcullis user list; printf '\\xff%.0s' {1..40} > data/secret_key", &["secret_key", "backup"]),
        ("portcullis user list; : > data/secret_key", &["secret_key", "backup"]),
        ("portcullis user list; chmod 400 data/portcullis.db", &["portcullis.db"]),
        ("portcullis user list; chmod 000 data/portcullis.db", &["portcullis.db"]),
        ("mkdir -p data/portcullis.db", &["portcullis.db"]),
        ("mkdir data; echo 'no database at all, but a text of some length' > data/portcullis.db", &["portcullis.db"]),
    ] {
        for command in ["serve", "user list"] {
            let program = Program::with_administrator();
            let outcome = program.shell(&format!("{{ {script}; }} >/dev/null 2>&1; {portcullis} {command}"));
            let code = outcome.code.unwrap_or_default();
            assert!(matches!(code, 69 | 78), "{script}: {outcome:?}");
            is_told(&outcome, code, parts);
            program.shell("chmod -R u+rwx .");
        }
    }
}

#[test]
fn a_working_folder_that_can_not_be_read_is_one_sentence_or_none() {
    let portcullis = plain();
    let program = Program::with_administrator();
    // Nothing is looked for but by name: to go through is enough.
    let outcome = program.shell(&format!(
        "mkdir w data && chmod 100 w && cd w && PORTCULLIS_DATA_DIR=../data {portcullis} user list; e=$?; chmod 700 .; exit $e"
    ));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let outcome = program.shell(&format!(
        "cd w && chmod 000 . && PORTCULLIS_DATA_DIR=../data {portcullis} user list; e=$?; chmod 700 .; exit $e"
    ));
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(outcome.stderr.contains("can't be read"), "{outcome:?}");
    // One that is gone.
    let outcome = program.shell("cd w && rmdir ../w && portcullis user list");
    assert_eq!(outcome.code, Some(78), "{outcome:?}");
    assert!(outcome.stderr.contains("data_dir"), "{outcome:?}");
    for (file, text) in [(".env", "PORTCULLIS_LOG_LEVEL=warn"), ("portcullis.toml", "log_level = 'warn'")] {
        let program = Program::with_administrator();
        program.file(file, text);
        let outcome = program.shell(&format!("chmod 000 {file}; {portcullis} config check"));
        assert_eq!(outcome.code, Some(78), "{outcome:?}");
        assert!(outcome.stderr.contains(file) && outcome.stderr.contains("make it readable"), "{outcome:?}");
    }
}

/// A volume of its own for the data folder, which ends with the process: 16 MiB.
async fn on_a_small_volume(program: &Program) -> program::Running {
    std::fs::create_dir(program.folder.join("data")).unwrap();
    let mounted = "mount -t tmpfs -o size=16m,mode=700 none data && exec portcullis serve";
    let running = program.start_in_shell(&format!("exec unshare --map-root-user --mount bash -c '{mounted}'"));
    running.answers().await;
    running
}

#[tokio::test]
async fn a_full_volume_is_503_by_name_and_over_when_there_is_room() {
    let program = Program::with_administrator().set("lockout_threshold", "1000");
    let running = on_a_small_volume(&program).await;
    let data = running.folder().join("data");
    let mut keeper = program.browser();
    keeper.sign_in(KEEPER).await;
    keeper.get("/readyz").await.expect(200);

    let filler = data.join("filler");
    let fill = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 1024]).is_ok() {}
    };
    fill();
    let mut ready = serde_json::Value::Null;
    // What its files already hold is used up first.
    eventually("not ready", Duration::from_secs(30), async || {
        fill();
        let page = keeper.get("/readyz").await;
        ready = page.json();
        page.status == 503
    })
    .await;
    let database = &ready["database"];
    assert_eq!((&database["failed"], &database["code"]), (&"write".into(), &"disk_full".into()), "{ready}");
    assert!(database["advice"].as_str().unwrap().contains("room"), "{ready}");
    assert_eq!(keeper.get("/readyz").await.status, 503);
    // A page that only reads is shown, and says what is wrong; what has to be written is refused and nobody signed out.
    let page = keeper.get("/admin").await.expect(200);
    assert!(page.text().contains("disk_full"), "{}", page.text());
    let mut guest = program.browser();
    let refused = guest.post("/login", &[("username", KEEPER), ("password", PASSWORD)]).await.expect(503);
    assert!(refused.set_cookies().is_empty() && refused.body.contains("<html"), "{}", refused.body);
    assert!(keeper.is_signed_in().await);
    assert!(!running.output().contains("panicked"), "{}", running.output());

    std::fs::remove_file(&filler).unwrap();
    eventually("ready again", Duration::from_secs(30), async || keeper.get("/readyz").await.status == 200).await;
    program.browser().sign_in(KEEPER).await;
    assert!(keeper.is_signed_in().await);
}

#[tokio::test]
async fn a_volume_that_is_full_at_the_start_is_one_sentence() {
    let program = Program::with_administrator();
    std::fs::create_dir(program.folder.join("data")).unwrap();
    let script = "mount -t tmpfs -o size=64k,mode=700 none data && exec portcullis serve";
    let outcome = program.shell(&format!("unshare --map-root-user --mount bash -c '{script}'"));
    assert!(matches!(outcome.code, Some(1 | 69 | 78)), "{outcome:?}");
    is_told(&outcome, outcome.code.unwrap(), &["full"]);
}
