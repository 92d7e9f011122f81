//! Unlocking, by managers, administrators and on the command line.

use portcullis::domain::audit::Client;
use portcullis::domain::{Error, Event, Role};
use portcullis::services::AuthContext;
use portcullis::services::authentication::lockout;
use rstest::rstest;

use super::{WRONG, attempt, events, lock, server_on};
use crate::support::spawn::command_line;
use crate::support::*;

#[rstest]
#[tokio::test]
async fn a_manager_unlocks_users_and_an_administrator_everyone(#[values(Sqlite, PostgresRedis)] backend: Backend) {
    let server = server_on(backend).await;
    let client = Client::default();
    let manager = server.create("manuel", Role::Manager).await;
    let manager = AuthContext::of(&manager);
    let user = server.create_user("ursula").await;
    let other = server.create("mona", Role::Manager).await;
    let auth = AuthContext::of(&user);

    lock(&server, "ursula").await;
    lock(&server, "mona").await;
    let locks = lockout::locks_of(&server.services, vec![user.id, other.id, server.create_user("free").await.id])
        .await
        .unwrap();
    assert_eq!(locks.len(), 2);
    assert_eq!(lockout::count_locked(&server.services).await.unwrap(), 2);
    assert!(matches!(lockout::unlock(&server.services, &auth, user.id, &client).await, Err(Error::Forbidden)));
    assert!(matches!(lockout::unlock(&server.services, &manager, other.id, &client).await, Err(Error::Forbidden)));
    lockout::unlock(&server.services, &manager, user.id, &client).await.unwrap();
    attempt(&server, "ursula", PASSWORD).await.expect(303);
    attempt(&server, "mona", PASSWORD).await.expect(429);
    lockout::unlock(&server.services, &command_line(), other.id, &client).await.unwrap();
    attempt(&server, "mona", PASSWORD).await.expect(303);
    assert_eq!(events(&server, user.id, Event::UserUnlocked).await, 1);
    // There is nothing to unlock: nothing happened.
    lockout::unlock(&server.services, &manager, user.id, &client).await.unwrap();
    assert_eq!(events(&server, user.id, Event::UserUnlocked).await, 1);

    // Nobody gives guesses away unseen, before the lock begins.
    for _ in 0..4 {
        attempt(&server, "ursula", WRONG).await.expect(401);
    }
    lockout::unlock(&server.services, &manager, user.id, &client).await.unwrap();
    assert_eq!(events(&server, user.id, Event::UserUnlocked).await, 2);
}

#[tokio::test]
async fn the_command_line_shows_a_lock_and_ends_it() {
    let program = Program::new()
        .set("bootstrap_admin_username", KEEPER)
        .set("bootstrap_admin_email", "keeper@example.com")
        .set("bootstrap_admin_password", PASSWORD);
    let _running = program.serve().await;
    let sign_in = async |password: &str| {
        let fields = [("username", KEEPER), ("password", password)];
        program.browser().post("/login", &fields).await.status
    };
    let shown = |command: &[&str]| {
        let outcome = program.run(&[command, &["--output", "json"]].concat());
        let shape: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"));
        shape.as_array().map_or_else(|| shape.clone(), |all| all[0].clone())["locked_until"].clone()
    };
    assert!(shown(&["user", "show", KEEPER]).is_null());
    for _ in 0..5 {
        assert_eq!(sign_in(WRONG).await, 401);
    }
    assert_eq!(sign_in(PASSWORD).await, 429);
    let until = shown(&["user", "show", KEEPER]);
    assert!(until.as_str().is_some_and(|until| until.ends_with('Z')), "{until}");
    assert_eq!(shown(&["user", "list"]), until);
    assert!(program.run(&["user", "list"]).stdout.contains("active, locked"));
    let unlocked = program.run(&["user", "unlock", KEEPER, "--yes"]);
    assert_eq!(unlocked.code, Some(0), "{unlocked:?}");
    assert_eq!(sign_in(PASSWORD).await, 303);
    assert!(shown(&["user", "show", KEEPER]).is_null());
}
