//! Accounts with more sessions than a request has the time to write about: whoever has a stolen password opens any
//! number, and nobody may be kept from ending them.

use diesel::{QueryableByName, RunQueryDsl as _, sql_query, sql_types};
use portcullis::domain::User;
use portcullis::domain::audit::Client;
use portcullis::services::accounts::links;
use portcullis::services::maintenance;
use portcullis::services::sessions::account;
use rstest::rstest;

use crate::support::spawn::command_line;
use crate::support::*;

/// More than an act marks as ended itself. With `--long` far more than one could mark in a request's time.
fn many() -> u32 {
    if long() { 60_000 } else { PART }
}

/// Made by one statement, within its time.
const PART: u32 = 3_000;

/// Copies of the only session of an account, under other ids.
async fn multiply(server: &TestServer, backend: Backend, user: &User) {
    let (series, new, id) = match backend {
        PostgresRedis => ("generate_series(1, {n}) AS n", "gen_random_uuid()", "'{id}'::uuid"),
        _ => (
            "(WITH RECURSIVE n AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM n WHERE n < {n}) SELECT n FROM n)",
            "randomblob(16)",
            "x'{id}'",
        ),
    };
    let only = account::live(&server.services, user.id, 1).await.unwrap().0.remove(0).id;
    let (series, id) = (series.replace("{n}", &PART.to_string()), id.replace("{id}", &only.0.simple().to_string()));
    let columns = "user_id, kind, secret_hash, epoch, remember, device, address, created_at, password_entered_at, \
                   last_active_at, idle_ms, absolute_limit";
    let copies =
        format!("INSERT INTO sessions (id, {columns}) SELECT {new}, {columns} FROM sessions, {series} WHERE id = {id}");
    for _ in 0..many() / PART {
        let copies = copies.clone();
        let database = server.services.database.clone().with_long_timeout();
        database.write(move |connection| Ok(sql_query(&copies).execute(connection)?)).await.unwrap();
    }
}

/// As pages write it.
fn in_words(sessions: i64) -> String {
    format!("{},{:03}", sessions / 1000, sessions % 1000)
}

#[derive(QueryableByName)]
struct Ended {
    #[diesel(sql_type = sql_types::Text)]
    reason: String,
    #[diesel(sql_type = sql_types::BigInt)]
    count: i64,
}

/// How many sessions the history has, by why they ended; `live` of those it says nothing of.
async fn history(server: &TestServer) -> Vec<(String, i64)> {
    let by_reason =
        "SELECT COALESCE(end_reason, 'live') AS reason, count(*) AS count FROM sessions GROUP BY 1 ORDER BY 1";
    let database = server.services.database.clone().with_long_timeout();
    let found = database.read(move |connection| Ok(sql_query(by_reason).load::<Ended>(connection)?)).await.unwrap();
    found.into_iter().map(|Ended { reason, count }| (reason, count)).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_of_sessions_keeps_anybody_from_ending_them(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let mut keeper = server.signed_in(KEEPER).await;
    let many = i64::from(many()) + 1;

    for act in ["end-others", "password", "end-sessions", "reset", "suspend", "delete"] {
        let user = server.create_user(act).await;
        let mut held = server.signed_in(act).await;
        multiply(&server, backend, &user).await;
        let mut owner = server.signed_in(act).await;
        let page = format!("/admin/users/{}", user.id);
        match act {
            "end-others" => {
                let form = owner.get("/account/sessions").await.expect(200).form("/account/sessions/end-others");
                owner.submit_form(form, &[]).await.expect_redirect("/account/sessions");
                let told = owner.get("/account/sessions").await.text();
                assert!(told.contains(&format!("Your {} other sessions have ended.", in_words(many))), "{told}");
            }
            "password" => drop(owner.change_password().await),
            "end-sessions" => {
                keeper.submit(&format!("{page}/end-sessions"), &[]).await.expect(303);
                let told = keeper.get(&page).await.text();
                assert!(told.contains(&format!("{} sessions have ended.", in_words(many + 1))), "{told}");
            }
            "reset" => {
                let made = links::issue_reset(&server.services, &command_line(), user.id, &Client::default()).await;
                let url = made.unwrap().url;
                let path = url.strip_prefix(&server.public_url).unwrap();
                server.browser().submit(path, &[("new_password", NEW_PASSWORD)]).await.expect(303);
            }
            "suspend" => drop(keeper.submit(&format!("{page}/suspend"), &[]).await.expect_redirect(&page)),
            _ => drop(keeper.submit(&format!("{page}/delete"), &[]).await.expect_redirect("/admin/users")),
        }
        let stays = ["end-others", "password"].contains(&act);
        assert_eq!((held.is_signed_in().await, owner.is_signed_in().await), (false, stays), "{act}");
    }

    // The history has all of it, by and by, whoever writes it.
    let whole = [("deleted", many + 1), ("ended_all", 2 * many + 1), ("password_changed", 2 * many + 1)];
    let whole = whole.into_iter().chain([("suspended", many + 1)]).map(|(reason, count)| (reason.to_owned(), count));
    let (whole, mut told) = (whole.collect::<Vec<_>>(), Vec::new());
    for _ in 0..20 {
        maintenance::sweep(&server.services).await.unwrap();
        told = history(&server).await;
        told.retain(|(reason, _)| !["live", "signed_out"].contains(&reason.as_str()));
        if told == whole {
            return;
        }
    }
    assert_eq!(told, whole);
}
