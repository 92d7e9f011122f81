//! `kill -9` of the server amid registrations, refreshes and changes of passwords.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use rstest::rstest;
use serde_json::json;

use crate::support::program::Running;
use crate::support::stores::Stores;
use crate::support::*;

/// Of all three kinds together.
const REQUESTS: usize = 200;
/// Who sends them, each one after the other: nearly as many are under way when the server is killed.
const CLIENTS: usize = 20;
/// Answers after which it is killed, counted from its start.
const ANSWERS: usize = 40;
/// Who look afterwards what became of it: not more at once than a busy machine answers.
const INSPECTORS: usize = 8;

/// A request that changes something, and who sends it.
enum Wish {
    /// Nobody has the name so far.
    Register { name: String, program: ApiClient },
    /// The program uses the refresh token that it was given when it registered.
    Refresh { program: ApiClient },
    /// One of two sessions changes the password, which ends the other.
    ChangePassword { name: String, program: ApiClient, other: ApiClient },
}

impl Wish {
    /// By turns one of each kind, each of an account of its own.
    async fn prepare(nobody: &ApiClient, number: usize) -> Self {
        let (name, mut program) = (format!("person{number}"), nobody.clone());
        if number.is_multiple_of(3) {
            return Self::Register { name, program };
        }
        program.keep(&register(&program, &name).await.expect(201));
        if number % 3 == 1 {
            return Self::Refresh { program };
        }
        let mut other = nobody.clone();
        other.sign_in(&name).await;
        Self::ChangePassword { name, program, other }
    }

    /// `None` where no whole answer came.
    async fn send(&self) -> Option<Answer> {
        let (program, method, path, body, done) = match self {
            Self::Register { name, program } => (program, "POST", REGISTER, account(name), 201),
            Self::Refresh { program } => {
                let body = json!({ "refresh_token": program.refresh_token });
                (program, "POST", "/api/v1/auth/refresh", body, 200)
            }
            Self::ChangePassword { program, .. } => {
                let body = json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD });
                (program, "PUT", "/api/v1/me/password", body, 204)
            }
        };
        let headers = [("content-type", "application/json")];
        let page = program.try_send(method, path, &headers, Some(body.to_string().into_bytes())).await.ok()?;
        match page.status {
            status if status == done => Some(Answer::Done(page)),
            // Of a busy machine. It says nothing of what was done.
            503 => Some(Answer::Busy),
            status => panic!("{path}: {status}: {}", page.body),
        }
    }

    /// Fails unless the first token was used, on a server without a grace.
    async fn expect_used_up(self) {
        let Self::Refresh { mut program } = self else { panic!("no refresh") };
        program.refresh().await.expect(401);
        assert!(!program.is_signed_in().await, "a reuse ended nothing");
    }

    /// Fails unless it is there as a whole, or, where it was not acknowledged, not at all.
    async fn inspect(self, acknowledged: Option<Page>) {
        match self {
            Self::Register { name, mut program } => match acknowledged {
                Some(answer) => {
                    assert!(signs_in(&program, &name, PASSWORD).await, "{name} was told so, and is not there");
                    program.keep(&answer);
                    assert!(program.is_signed_in().await, "{name} was signed in");
                    program.refresh().await.expect(200);
                }
                // Whoever can't sign in is not there: name and address are free.
                None if !signs_in(&program, &name, PASSWORD).await => {
                    register(&program, &name).await.expect(201);
                }
                None => {}
            },
            Self::Refresh { program } => {
                let mut repeat = program.clone();
                repeat.refresh().await.expect(200);
                if let Some(answer) = acknowledged {
                    let told = answer.json()["refresh_token"].as_str().map(str::to_owned);
                    assert_eq!(repeat.refresh_token, told, "the repeat got another successor");
                }
                assert!(repeat.is_signed_in().await);
                repeat.refresh().await.expect(200);
                // Two further by now, the first token is one that was used.
                let mut used = program;
                used.refresh().await.expect(401);
            }
            Self::ChangePassword { name, program, other } => {
                let new = signs_in(&program, &name, NEW_PASSWORD).await;
                let old = signs_in(&program, &name, PASSWORD).await;
                assert!(new != old, "{name}: the new password is good: {new}, the old one: {old}");
                assert!(new || acknowledged.is_none(), "{name} was told so, and has the old password");
                assert!(program.is_signed_in().await, "{name} was signed out");
                assert_eq!(
                    other.is_signed_in().await,
                    old,
                    "{name}: the other session, where the old password is {old}"
                );
            }
        }
    }
}

/// What a server answered that was not killed before.
enum Answer {
    Done(Page),
    Busy,
}

const REGISTER: &str = "/api/v1/auth/register";

fn account(name: &str) -> serde_json::Value {
    json!({ "username": name, "email": format!("{name}@example.com"), "password": PASSWORD })
}

async fn register(program: &ApiClient, name: &str) -> Page {
    program.post(REGISTER, &account(name)).await
}

async fn signs_in(program: &ApiClient, name: &str, password: &str) -> bool {
    let answer = program.post("/api/v1/auth/login", &json!({ "username": name, "password": password })).await;
    assert!(matches!(answer.status, 200 | 401), "{name}: {}: {}", answer.status, answer.body);
    answer.status == 200
}

/// Starts it, and waits until it is ready.
async fn start(program: &Program) -> Running {
    let running = program.serve().await;
    eventually("ready", Duration::from_secs(30), async || {
        raw::get(program.address(), b"/readyz", &[]).await.status == 200
    })
    .await;
    running
}

/// What was sent, each with the answer that says that it was done.
#[derive(Default)]
struct Sent {
    all: Vec<(Wish, Option<Page>)>,
    /// How many of them got no answer.
    lost: usize,
}

/// Has the clients send what is left, and kills the server as soon as it has given so many answers.
async fn send_until_the_kill(wishes: &mut VecDeque<Wish>, mut running: Running, sent: &mut Sent) {
    let (wishes, running, sent) = (RefCell::new(wishes), RefCell::new(&mut running), RefCell::new(sent));
    let answers = Cell::new(0);
    let next = || if answers.get() < ANSWERS { wishes.borrow_mut().pop_front() } else { None };
    join_all((0..CLIENTS).map(async |_| {
        while let Some(wish) = next() {
            let answer = wish.send().await;
            if answer.is_some() {
                answers.set(answers.get() + 1);
                if answers.get() == ANSWERS {
                    running.borrow_mut().kill9();
                }
            } else {
                assert!(answers.get() >= ANSWERS, "it was gone before it was killed");
                sent.borrow_mut().lost += 1;
            }
            let acknowledged = match answer {
                Some(Answer::Done(page)) => Some(page),
                Some(Answer::Busy) | None => None,
            };
            sent.borrow_mut().all.push((wish, acknowledged));
        }
    }))
    .await;
    // Where fewer were left than it takes.
    running.borrow_mut().kill9();
}

#[rstest]
#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_and_nothing_is_half_there(
    #[values(Sqlite, SqliteRedis, PostgresRedis)] backend: Backend,
) {
    let stores = Stores::new(backend).await;
    // All come from one address. An answer that was lost is asked for again once everything is over.
    let more = [("api_rate", "100000/1s"), ("refresh_reuse_grace", "1h")];
    let more = more.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let settings = stores.settings().into_iter().chain(more);
    let program = settings.fold(Program::with_administrator(), |program, (key, value)| program.set(&key, &value));
    let mut running = start(&program).await;
    let nobody = ApiClient::to(program.address());
    let prepared = stream::iter(0..REQUESTS).map(|number| Wish::prepare(&nobody, number));
    let mut wishes: VecDeque<_> = prepared.buffered(INSPECTORS).collect().await;

    let (mut kills, mut sent) = (0, Sent::default());
    while !wishes.is_empty() {
        send_until_the_kill(&mut wishes, running, &mut sent).await;
        kills += 1;
        running = start(&program).await;
    }
    let acknowledged = sent.all.iter().filter(|(_, answer)| answer.is_some()).count();
    println!("{kills} kills, {acknowledged} acknowledged, {} without an answer", sent.lost);
    assert!(kills > 1 && sent.lost > 0, "nothing was under way");
    running.kill9();

    // Whether a token was used is told where a repeat is no excuse. That ends the session: half of them are looked at so.
    let is_refreshed = |(wish, answer): &(Wish, Option<Page>)| matches!(wish, Wish::Refresh { .. }) && answer.is_some();
    let mut is_odd = false;
    let (used, rest): (Vec<_>, Vec<_>) = sent.all.into_iter().partition(|sent| {
        is_odd ^= is_refreshed(sent);
        is_odd && is_refreshed(sent)
    });
    assert!(!used.is_empty());
    let strict = Program::in_the_folder_of(&program).set("refresh_reuse_grace", "0s");
    let mut running = start(&strict).await;
    stream::iter(used).for_each_concurrent(INSPECTORS, |(wish, _)| wish.expect_used_up()).await;
    running.kill9();

    let _running = start(&program).await;
    stream::iter(rest).for_each_concurrent(INSPECTORS, |(wish, answer)| wish.inspect(answer)).await;
}
