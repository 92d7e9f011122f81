//! Refresh tokens: rotated, repeated, raced, stolen, forgotten by a store.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use futures_util::future::join_all;
use portcullis::domain::audit::{Actor, AuditEvent, Client};
use portcullis::domain::{EndReason, Error, Event, Outcome, Role, Session, SessionKind, User, UserId};
use portcullis::services::accounts::new_account::NewAccount;
use portcullis::services::accounts::{passwords, registration};
use portcullis::services::administration::user_acts;
use portcullis::services::authentication::{reauthentication, sign_in};
use portcullis::services::sessions::tokens::{self, IssuedTokens};
use portcullis::services::sessions::{access_tokens, account, everyone, own};
use portcullis::services::{Caller, Services, audit, maintenance};
use rstest::rstest;
use secrecy::ExposeSecret as _;

use crate::support::spawn::command_line;
use crate::support::stores::Stores;
use crate::support::*;

/// Longer than the default of `refresh_reuse_grace`.
const AFTER_THE_GRACE: TimeDelta = TimeDelta::seconds(11);

async fn log_in(server: &TestServer, name: &str) -> IssuedTokens {
    let password = PASSWORD.into();
    let tokens = sign_in::program(&server.services, name, &password, None, &Client::default()).await;
    tokens.unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

/// The program of a new account.
async fn newcomer(server: &TestServer, name: &str) -> IssuedTokens {
    server.create_user(name).await;
    log_in(server, name).await
}

fn token(tokens: &IssuedTokens) -> String {
    tokens.refresh_token.expose_secret().to_owned()
}

fn caller(tokens: &IssuedTokens) -> Caller {
    Caller { user_id: tokens.user.id, session_id: tokens.session_id, role: tokens.user.role }
}

/// As a worker does it: what a busy store could not answer is asked again.
async fn refresh(services: &Services, refresh_token: &str) -> Result<IssuedTokens, Error> {
    for _ in 0..400 {
        match tokens::refresh(services, refresh_token, &Client::default()).await {
            Err(Error::Unavailable(..)) => tokio::time::sleep(Duration::from_millis(50)).await,
            answer => return answer,
        }
    }
    panic!("the stores stay busy");
}

/// Refreshes and says the next token.
async fn next(server: &TestServer, refresh_token: &str) -> String {
    match refresh(&server.services, refresh_token).await {
        Ok(tokens) => token(&tokens),
        Err(error) => panic!("a good refresh token was refused: {error:?}"),
    }
}

async fn is_refused(server: &TestServer, refresh_token: &str) -> bool {
    match refresh(&server.services, refresh_token).await {
        Ok(_) => false,
        Err(Error::InvalidRefreshToken) => true,
        Err(error) => panic!("{error:?}"),
    }
}

/// Neither token of a session that has ended works.
async fn is_dead(server: &TestServer, tokens: &IssuedTokens) -> bool {
    let access = access_tokens::authenticate(&server.services, tokens.access.token.expose_secret()).await;
    matches!(access, Err(Error::InvalidToken)) && is_refused(server, &token(tokens)).await
}

async fn session(server: &TestServer, tokens: &IssuedTokens) -> Session {
    let id = tokens.session_id;
    let found =
        server.services.database.read(move |connection| portcullis::storage::sessions::rows::by_id(connection, id));
    found.await.unwrap().unwrap()
}

async fn end_reason(server: &TestServer, tokens: &IssuedTokens) -> Option<EndReason> {
    session(server, tokens).await.ended.map(|ended| ended.reason)
}

/// The alarms about the account, newest first.
async fn alarms(server: &TestServer, user: UserId) -> Vec<AuditEvent> {
    let events = audit::of_account(&server.services.database, user, None, 200).await.unwrap();
    events.into_iter().filter(|event| event.event == Event::TokenReuseDetected).collect()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn fifty_workers_who_refresh_at_once_share_one_token_family_that_dies_as_a_whole(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    server.create_user("anna").await;
    for round in 0..if long() { 100 } else { 5 } {
        let first = log_in(&server, "anna").await;
        let mut seen = Vec::new();
        let mut present = token(&first);
        for _ in 0..2 {
            let workers = (0..50).map(|_| {
                let (services, present) = (server.services.clone(), present.clone());
                tokio::spawn(async move { refresh(&services, &present).await.expect("working tokens") })
            });
            let got: Vec<_> = join_all(workers).await.into_iter().map(Result::unwrap).collect();
            for tokens in &got {
                let access = tokens.access.token.expose_secret();
                let bearer =
                    access_tokens::authenticate(&server.services, access).await.expect("a working access token");
                assert_eq!(bearer.session.id, first.session_id);
            }
            let families: BTreeSet<_> = got.iter().map(token).collect();
            assert_eq!(families.len(), 1, "round {round}: more than one family");
            assert!(!families.contains(&present), "round {round}: not rotated");
            present = token(&got[0]);
            seen.extend(got);
        }
        server.clock.advance(AFTER_THE_GRACE);
        assert!(is_refused(&server, &token(&first)).await, "round {round}: reuse was not noticed");
        assert_eq!(end_reason(&server, &first).await, Some(EndReason::TokenReuse));
        seen.push(first);
        for dead in &seen {
            assert!(is_dead(&server, dead).await, "round {round}: a token outlived its session");
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_lost_answer_is_repeated_within_the_grace_and_ends_the_session_after_it(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let first = newcomer(&server, "anna").await;
    let lost = next(&server, &token(&first)).await;
    server.clock.advance(TimeDelta::seconds(5));
    assert_eq!(next(&server, &token(&first)).await, lost, "the repeat got another successor");
    let third = next(&server, &lost).await;

    server.clock.advance(AFTER_THE_GRACE);
    assert!(alarms(&server, first.user.id).await.is_empty());
    assert!(is_refused(&server, &lost).await);
    assert!(is_refused(&server, &third).await, "the session outlived the alarm");
    let ended = session(&server, &first).await.ended.expect("ended");
    assert_eq!((ended.reason, ended.by.as_str()), (EndReason::TokenReuse, "system"));
    let alarms = alarms(&server, first.user.id).await;
    let [alarm] = alarms.as_slice() else { panic!("{} alarms", alarms.len()) };
    assert_eq!((alarm.outcome, &alarm.actor), (Outcome::Failure, &Actor::System));
    assert_eq!(alarm.session_id, Some(first.session_id));
    assert_eq!(alarm.subject.as_ref().map(|(id, _)| *id), Some(first.user.id));
}

#[rstest]
#[tokio::test]
async fn a_token_older_than_the_one_before_is_reuse_even_within_the_grace(
    #[values(Sqlite, SqliteRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let first = newcomer(&server, "anna").await;
    let second = next(&server, &token(&first)).await;
    let third = next(&server, &second).await;
    assert!(is_refused(&server, &token(&first)).await);
    assert!(is_refused(&server, &third).await);
    assert_eq!(alarms(&server, first.user.id).await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn without_a_grace_the_second_use_is_reuse(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::with(backend, &[("refresh_reuse_grace", "0s")]).await;
    let first = newcomer(&server, "anna").await;
    let second = next(&server, &token(&first)).await;
    let third = next(&server, &second).await;
    assert!(is_refused(&server, &second).await);
    assert!(is_refused(&server, &third).await);
}

#[rstest]
#[tokio::test]
async fn no_other_spelling_of_a_token_is_accepted_and_none_ends_anything(
    #[values(Sqlite, SqliteRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let tokens = newcomer(&server, "anna").await;
    let other = newcomer(&server, "berta").await;
    let good = next(&server, &token(&tokens)).await;
    let flip = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    let mut wrong: Vec<String> = (0..good.len())
        .flat_map(|at| {
            let flipped = good.chars().enumerate().map(|(i, c)| if i == at { flip(c) } else { c }).collect();
            [good[..at].to_owned(), good[at + 1..].to_owned(), flipped]
        })
        .filter(|text| *text != good)
        .collect();
    wrong.extend([
        format!("{good}="),
        format!("{good}=="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}A"),
    ]);
    // The ids of one session with the MAC of another, and the newest number with the MAC of an older one.
    wrong.push(format!("{}{}", &good[..58], &token(&other)[58..]));
    wrong.push(format!("{}{}", &good[..58], &token(&tokens)[58..]));
    wrong.push(tokens.access.token.expose_secret().to_owned());
    wrong.push(tokens.session_id.to_string());
    let keys = |server: &TestServer| server.stores.redis.as_ref().map(|redis| redis.keys(&server.stores.redis_prefix));
    let before = keys(&server);
    for text in &wrong {
        assert!(is_refused(&server, text).await, "{text:?}");
        assert_eq!(tokens::inspect(&server.services, text).await.unwrap(), None, "{text:?}");
    }
    assert_eq!(keys(&server), before, "a forged token left something in Redis");
    assert!(alarms(&server, tokens.user.id).await.is_empty());
    next(&server, &good).await;
    next(&server, &token(&other)).await;
}

/// Each way in which a session ends by somebody's act.
const ENDS: [&str; 7] = [
    "sign-out",
    "one by its owner",
    "one by an administrator",
    "all others",
    "all of the account",
    "password",
    "suspension",
];

async fn end(server: &TestServer, tokens: &IssuedTokens, elsewhere: &Caller, how: &str) {
    let (services, client) = (&server.services, Client::default());
    let (user, auth) = (tokens.user.id, command_line());
    match how {
        "sign-out" => {
            let ended = own::end_by_itself(services, user, tokens.session_id, Event::SignOut, &client).await;
            ended.unwrap();
        }
        "one by its owner" => own::end(services, elsewhere, tokens.session_id, &client).await.unwrap(),
        "one by an administrator" => everyone::end_one(services, &auth, tokens.session_id, &client).await.unwrap(),
        "all others" => drop(own::end_others(services, elsewhere, &client).await.unwrap()),
        "all of the account" => drop(everyone::end_of_account(services, &auth, user, &client).await.unwrap()),
        "password" => {
            let (old, new) = (PASSWORD.into(), NEW_PASSWORD.into());
            drop(passwords::change(services, elsewhere, &old, &new, &client).await.unwrap());
        }
        "suspension" => drop(user_acts::suspend(services, &auth, user, &client).await.unwrap()),
        _ => unreachable!(),
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn no_token_of_a_refresh_that_raced_with_the_end_works_afterwards(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    for round in 0..if long() { 203 } else { 21 } {
        let how = ENDS[round % ENDS.len()];
        let tokens = newcomer(&server, &format!("person{round}")).await;
        let elsewhere = caller(&log_in(&server, &format!("person{round}")).await);
        let worker = tokio::spawn({
            let (services, mut present) = (server.services.clone(), token(&tokens));
            async move {
                let mut seen = Vec::new();
                while let Ok(tokens) = refresh(&services, &present).await {
                    present = token(&tokens);
                    seen.push(tokens);
                }
                seen
            }
        });
        tokio::time::sleep(Duration::from_millis(round as u64 % 10)).await;
        end(&server, &tokens, &elsewhere, how).await;
        let mut seen = worker.await.unwrap();
        seen.push(tokens);
        for dead in &seen {
            assert!(is_dead(&server, dead).await, "round {round}: after {how} a token works");
        }
        let tokens = seen.pop().unwrap();
        assert!(end_reason(&server, &tokens).await.is_some(), "{how}");
    }
}

#[rstest]
#[tokio::test]
async fn reinstating_an_account_revives_no_token(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let tokens = newcomer(&server, "anna").await;
    let (auth, client) = (command_line(), Client::default());
    user_acts::suspend(&server.services, &auth, tokens.user.id, &client).await.unwrap();
    assert!(is_refused(&server, &token(&tokens)).await);
    user_acts::reinstate(&server.services, &auth, tokens.user.id, &client).await.unwrap();
    assert!(is_refused(&server, &token(&tokens)).await);
    user_acts::delete(&server.services, &auth, tokens.user.id, &client).await.unwrap();
    assert!(is_refused(&server, &token(&tokens)).await);
}

#[rstest]
#[tokio::test]
async fn new_tokens_have_the_present_role(#[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let tokens = newcomer(&server, "anna").await;
    assert_eq!(tokens.user.role, Role::User);
    let (auth, client) = (command_line(), Client::default());
    user_acts::set_role(&server.services, &auth, tokens.user.id, Role::Manager, &client).await.unwrap();
    let refreshed = refresh(&server.services, &token(&tokens)).await.unwrap();
    assert_eq!(refreshed.user.role, Role::Manager);
    assert_eq!(refreshed.session_id, tokens.session_id);
}

/// What makes Redis read a session again from SQL, where the counter is up to a minute behind.
#[rstest]
#[case::role("role")]
#[case::password_entered_again("confirm")]
#[case::all_others_ended("others")]
#[tokio::test]
async fn a_changed_account_does_not_make_redis_forget_which_tokens_were_used(#[case] change: &str) {
    let server = TestServer::start(SqliteRedis).await;
    let tokens = newcomer(&server, "anna").await;
    let second = next(&server, &token(&tokens)).await;
    let third = next(&server, &second).await;
    let fourth = next(&server, &third).await;
    let (services, client) = (&server.services, Client::default());
    match change {
        "role" => {
            user_acts::set_role(services, &command_line(), tokens.user.id, Role::Manager, &client).await.unwrap();
        }
        "confirm" => {
            reauthentication::confirm(services, &caller(&tokens), &PASSWORD.into(), &client)
                .await
                .unwrap()
                .delivered
                .unwrap();
        }
        _ => {
            own::end_others(services, &caller(&tokens), &client).await.unwrap();
        }
    }
    assert!(is_refused(&server, &second).await, "an old token rotates");
    assert_eq!(alarms(&server, tokens.user.id).await.len(), 1);
    assert!(is_refused(&server, &fourth).await);
}

/// A rotation is sent again when its connection was cut, also where it had been done and only the answer was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_makes_no_use_of_a_token_look_like_two() {
    let redis = RedisServer::start();
    let relay = Relay::to(redis.port);
    let mut stores = Stores::with_redis(SqliteRedis, Some(redis.clone())).await;
    stores.redis_url = Some(relay.redis_url());
    let server = TestServer::on(stores, &[("refresh_reuse_grace", "0s")]).await;
    let tokens = newcomer(&server, "anna").await;
    let mut present = token(&tokens);
    for round in 0..60 {
        let what = [Lost::Request, Lost::Answer][round % 2];
        relay.lose(what);
        let next = tokens::refresh(&server.services, &present, &Client::default()).await;
        assert!(!relay.is_to_lose(), "round {round}: nothing was asked");
        present = token(&next.unwrap_or_else(|error| panic!("round {round}: {what:?} lost: {error:?}")));
    }
    assert!(alarms(&server, tokens.user.id).await.is_empty());
}

#[tokio::test]
async fn a_changed_password_leaves_the_tokens_of_the_session_that_changed_it() {
    let server = TestServer::start(SqliteRedis).await;
    let (tokens, other) = (newcomer(&server, "anna").await, log_in(&server, "anna").await);
    end(&server, &other, &caller(&tokens), "password").await;
    assert!(is_refused(&server, &token(&other)).await);
    next(&server, &token(&tokens)).await;
}

#[tokio::test]
async fn a_redis_that_went_back_in_time_neither_signs_out_nor_brings_back() {
    let stores = Stores::with_redis(SqliteRedis, Some(RedisServer::start())).await;
    let server = TestServer::on(stores, &[]).await;
    let (staying, leaving) = (newcomer(&server, "anna").await, newcomer(&server, "berta").await);
    let old = next(&server, &token(&staying)).await;
    let left = next(&server, &token(&leaving)).await;
    server.stores.redis().save();
    let mut newest = old.clone();
    for _ in 0..3 {
        newest = next(&server, &newest).await;
    }
    let left_later = next(&server, &left).await;
    end(&server, &leaving, &caller(&leaving), "sign-out").await;

    server.stores.redis().kill9();
    server.stores.redis().restart();
    newest = next(&server, &newest).await;
    for dead in [token(&leaving), left, left_later] {
        assert!(is_refused(&server, &dead).await, "an ended session came back");
    }
    assert!(alarms(&server, leaving.user.id).await.is_empty());
    // What has rotated since is known again.
    assert!(is_refused(&server, &old).await);
    assert!(is_refused(&server, &newest).await);
}

#[rstest]
#[tokio::test]
async fn the_counter_reaches_sql_with_the_activity(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let stores = Stores::with_redis(backend, Some(RedisServer::start())).await;
    let server = TestServer::on(stores, &[]).await;
    let tokens = newcomer(&server, "anna").await;
    let second = next(&server, &token(&tokens)).await;
    let third = next(&server, &second).await;
    let fourth = next(&server, &third).await;
    maintenance::flush_activity(&server.services.sessions).await.unwrap();
    server.stores.redis().cli(&["flushall"]);
    // Whoever lost an answer before the loss still has the grace.
    server.clock.advance(AFTER_THE_GRACE);
    assert_eq!(next(&server, &third).await, fourth);
    assert!(is_refused(&server, &second).await);
    assert!(is_refused(&server, &fourth).await);
    assert_eq!(alarms(&server, tokens.user.id).await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn two_nodes_rotate_one_token_family(#[values(SqliteRedis, PostgresRedis)] backend: Backend) {
    let one = TestServer::start(backend).await;
    let two = one.second_node().await;
    let tokens = newcomer(&one, "anna").await;
    let mut present = token(&tokens);
    let mut seen = vec![present.clone()];
    for _ in 0..3 {
        present = next(&two, &present).await;
        seen.push(present.clone());
        present = next(&one, &present).await;
        seen.push(present.clone());
    }
    assert!(is_refused(&two, &token(&tokens)).await);
    for dead in seen {
        assert!(is_refused(&one, &dead).await);
    }
}

#[tokio::test]
async fn a_redis_that_does_not_answer_ends_nothing() {
    let stores = Stores::with_redis(SqliteRedis, Some(RedisServer::start())).await;
    let server = TestServer::on(stores, &[]).await;
    let tokens = newcomer(&server, "anna").await;
    let second = next(&server, &token(&tokens)).await;
    server.stores.redis().stop();
    let deadline = Deadline::second();
    let answer = tokens::refresh(&server.services, &second, &Client::default()).await;
    assert!(matches!(answer, Err(Error::Unavailable(..))));
    deadline.expect_met("no answer of Redis");
    server.stores.redis().cont();
    let third = next(&server, &second).await;
    assert_eq!(next(&server, &second).await, third);
}

#[rstest]
#[tokio::test]
async fn a_session_refreshes_until_its_absolute_limit_and_no_longer_idle_than_allowed(
    #[values(Sqlite, SqliteRedis)] backend: Backend,
) {
    let server = TestServer::start(backend).await;
    let day = TimeDelta::days(1).num_seconds();
    let first = newcomer(&server, "anna").await;
    assert!((7 * day - 60..=7 * day).contains(&first.refresh_expires_in), "{}", first.refresh_expires_in);
    let mut present = token(&first);
    for days in [6, 12, 18, 24, 30, 36, 42, 48, 54, 60, 66, 72, 78, 84, 89] {
        let elapsed = session(&server, &first).await.created_at;
        server.clock.advance(TimeDelta::days(days) - (server.clock.now() - elapsed));
        let tokens = refresh(&server.services, &present).await.unwrap_or_else(|error| panic!("day {days}: {error:?}"));
        let left = (90 - days).min(7) * day;
        assert!((left - 60..=left).contains(&tokens.refresh_expires_in), "day {days}: {}", tokens.refresh_expires_in);
        present = token(&tokens);
    }
    let info = tokens::inspect(&server.services, &present).await.unwrap().expect("alive");
    assert!(info.current && info.expires_at == session(&server, &first).await.absolute_limit);
    server.clock.advance(TimeDelta::days(1));
    assert!(is_refused(&server, &present).await);

    let idle = log_in(&server, "anna").await;
    // SQL, which answers for a copy that is gone, may know of the last activity two minutes late.
    server.clock.advance(TimeDelta::days(7) + TimeDelta::minutes(2));
    assert!(is_refused(&server, &token(&idle)).await);
    assert_eq!(tokens::inspect(&server.services, &token(&idle)).await.unwrap(), None);
}

#[rstest]
#[tokio::test]
async fn looking_at_a_token_neither_rotates_nor_ends(#[values(Sqlite, SqliteRedis)] backend: Backend) {
    let server = TestServer::start(backend).await;
    let first = newcomer(&server, "anna").await;
    let second = next(&server, &token(&first)).await;
    let third = next(&server, &second).await;
    for (text, current) in [(token(&first), false), (second, true), (third.clone(), true)] {
        let info = tokens::inspect(&server.services, &text).await.unwrap().expect("ours");
        assert_eq!((info.user_id, info.session_id, info.current), (first.user.id, first.session_id, current));
    }
    next(&server, &third).await;
}

#[rstest]
#[case::signed_out(Event::SignOut)]
#[case::revoked(Event::TokenRevoked)]
#[tokio::test]
async fn a_program_ends_its_session_once_and_may_ask_twice(#[case] event: Event) {
    let server = TestServer::start(SqliteRedis).await;
    let tokens = newcomer(&server, "anna").await;
    let client = Client::default();
    for _ in 0..2 {
        own::end_by_itself(&server.services, tokens.user.id, tokens.session_id, event, &client).await.unwrap();
        assert!(is_refused(&server, &token(&tokens)).await);
    }
    let events = audit::of_account(&server.services.database, tokens.user.id, None, 100).await.unwrap();
    let noted = events.iter().filter(|noted| noted.event == event && noted.session_id == Some(tokens.session_id));
    assert_eq!(noted.count(), 1);
    assert_eq!(end_reason(&server, &tokens).await, Some(EndReason::SignedOut));
}

#[tokio::test]
async fn a_program_has_a_session_of_its_own_kind_under_the_name_it_gives() {
    let server = TestServer::start(Sqlite).await;
    let client = Client { device: Some("curl".to_owned()), ..Client::default() };
    let account = NewAccount {
        username: "anna".to_owned(),
        email: "anna@example.com".to_owned(),
        name: None,
        password: PASSWORD.into(),
    };
    let registered =
        registration::register_program(&server.services, account, Some("build-17"), &client).await.unwrap();
    let named = session(&server, &registered).await;
    assert_eq!((named.kind, named.device.as_str()), (SessionKind::Api, "build-17"));
    let User { id, .. } = registered.user;
    next(&server, &token(&registered)).await;

    let password = PASSWORD.into();
    let plain = sign_in::program(&server.services, "anna", &password, None, &client).await.unwrap();
    assert_eq!(session(&server, &plain).await.device, "curl");
    assert_eq!(account::live(&server.services, id, 10).await.unwrap().1.api, 2);
}

#[tokio::test]
async fn nothing_that_is_stored_gives_a_token() {
    let server = TestServer::start(SqliteRedis).await;
    let tokens = newcomer(&server, "anna").await;
    let second = next(&server, &token(&tokens)).await;
    let redis = server.stores.redis().dump(&server.stores.redis_prefix);
    maintenance::flush_activity(&server.services.sessions).await.unwrap();
    let files = std::fs::read_dir(&*server.stores.data_dir).unwrap().map(|file| file.unwrap().path());
    let files: Vec<Vec<u8>> = files.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap()).collect();
    let holds = |file: &[u8], part: &[u8]| file.windows(part.len()).any(|window| window == part);
    assert!(
        files.iter().any(|file| holds(file, tokens.session_id.0.as_bytes())),
        "the database is not among the files"
    );
    for text in [token(&tokens), second] {
        let mac = &URL_SAFE_NO_PAD.decode(&text[4..]).unwrap()[40..];
        let written = &text[60..];
        assert!(!redis.contains(written) && !redis.contains(&*String::from_utf8_lossy(mac)));
        assert!(!files.iter().any(|file| holds(file, mac) || holds(file, written.as_bytes())));
    }
}
