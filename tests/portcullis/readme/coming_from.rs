//! The examples of the section that other systems' users come by, on what those systems keep.

use serde_json::{Value, json};

use super::{COMING_FROM, blocks_of, run};
use crate::support::stores::Stores;
use crate::support::*;

/// The tables of an Express application and of Devise in one, and Django's; `BCRYPT` and `DJANGO` are hashes.
const OLD_DATABASE: &str = "
CREATE TABLE users (
    id serial, username text, email text, password_hash text, encrypted_password text, created_at timestamp
);
INSERT INTO users (username, email, password_hash, encrypted_password, created_at)
VALUES ('ada', 'ada@example.com', 'BCRYPT', 'BCRYPT', '2019-05-04 03:02:01.123456');
CREATE TABLE auth_user (
    username text, email text, first_name text, last_name text, is_active boolean, date_joined timestamptz,
    last_login timestamptz, password text
);
INSERT INTO auth_user
VALUES ('ada', 'ada@example.com', 'Ada', 'L', true, '2019-05-04 03:02:01.123456+02', NULL, 'DJANGO');
";

/// The file that `kc.sh export` writes, with the parts of it that matter here.
fn realm(argon2: &str, pbkdf2: &str) -> Value {
    let user = |number: u8, name: &str, credentials: Value| {
        json!({
            "id": format!("6a5b2c1d-0000-4000-8000-00000000000{number}"),
            "username": name,
            "email": format!("{name}@example.com"),
            "firstName": name.to_uppercase(),
            "enabled": true,
            "createdTimestamp": 1_700_000_000_123_u64,
            "credentials": credentials,
        })
    };
    // Padded, as a PHC string is not.
    let padded = |base64: &str| base64.to_owned() + ["", "", "==", "="][base64.len() % 4];
    let password = |salt: &str, value: &str, data: Value| {
        let secret = json!({ "value": padded(value), "salt": padded(salt), "additionalParameters": {} });
        json!({ "type": "password", "secretData": secret.to_string(), "credentialData": data.to_string() })
    };
    let argon2: Vec<_> = argon2.split(['$', ',', '=']).collect();
    let ["", "argon2id", "v", "19", "m", memory, "t", passes, "p", lanes, salt, value] = argon2[..] else {
        panic!("{argon2:?}")
    };
    let argon2 = json!({
        "algorithm": "argon2",
        "hashIterations": passes.parse::<u32>().unwrap(),
        "additionalParameters": {
            "hashLength": ["32"], "memory": [memory], "type": ["id"], "version": ["1.3"], "parallelism": [lanes]
        },
    });
    let ada = json!([{ "type": "otp" }, password(salt, value, argon2)]);
    let pbkdf2: Vec<_> = pbkdf2.split('$').collect();
    let ["", algorithm, "i=100000,l=32", salt, value] = pbkdf2[..] else { panic!("{pbkdf2:?}") };
    let pbkdf2 = json!({ "algorithm": algorithm, "hashIterations": 100_000, "additionalParameters": {} });
    let berta = json!([password(salt, value, pbkdf2)]);
    let mut robot = user(4, "service-account-shop", json!([]));
    robot["serviceAccountClientId"] = "shop".into();
    json!({ "users": [user(1, "ada", ada), user(2, "berta", berta), user(3, "hugo", json!([])), robot] })
}

#[tokio::test]
async fn coming_from_another_system() {
    let users = tools::foreign_users(PASSWORD);
    let users: Vec<Value> = users.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let hash = |name: &str| {
        let user = users.iter().find(|user| user["username"] == name).unwrap();
        user["password_hash"].as_str().unwrap()
    };
    let stores = Stores::new(PostgresRedis).await;
    let program = Program::with_administrator().export("OLD_DATABASE_URL", &stores.database_url);
    // No less than the hash that stands for one of Keycloak's, which take less than the default.
    let program = program.set("argon2_memory_kib", "65536");
    program
        .file("old.sql", &OLD_DATABASE.replace("BCRYPT", hash("bcrypt-2b")).replace("DJANGO", hash("django-pbkdf2")));
    let made = program.shell("psql \"$OLD_DATABASE_URL\" -q -v ON_ERROR_STOP=1 -f old.sql");
    assert_eq!(made.code, Some(0), "{made:?}");
    program.file("shop.json", &realm(hash("argon2-id"), hash("phc-pbkdf2")).to_string());
    let [script] = blocks_of(COMING_FROM, "jq")[..] else { panic!("one script") };
    program.file("keycloak.jq", script);

    let _running = program.serve().await;
    run(&program, COMING_FROM);
    let ada = program.run(&["user", "show", "ada", "--output", "json"]);
    let ada: Value = serde_json::from_str(&ada.stdout).unwrap();
    assert_eq!(ada["id"], "6a5b2c1d-0000-4000-8000-000000000001");
    assert_eq!((&ada["name"], &ada["created_at"]), (&json!("ADA"), &json!("2023-11-14T22:13:20.000Z")));
    for name in ["ada", "berta@example.com"] {
        program.browser().sign_in(name).await;
    }
    for file in ["express.jsonl", "devise.jsonl", "django.jsonl"] {
        let lines = std::fs::read_to_string(program.folder.join(file)).unwrap();
        let program = Program::with_administrator();
        let imported = program.run_with_input(&["user", "import", "-"], &lines);
        assert_eq!(imported.stdout, "Created 1 account, skipped 0 lines.\n", "{file}: {imported:?}");
        let _running = program.serve().await;
        program.browser().sign_in("ada@example.com").await;
    }
}
