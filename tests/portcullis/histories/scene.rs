//! Where a history takes place: the servers, the accounts, the record; and how a request becomes a line of it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

use super::act::{ACCOUNTS, KEEPERS_ACCOUNT};
use super::cluster::Cluster;
use super::record::{Account, Answer, Credential, Entry, Held, Kind, Recorder, Session, Value};
use crate::support::browser::session_cookie;
use crate::support::{KEEPER, PASSWORD, Page};
use portcullis::domain::Role;

/// What the servers call the grace by default, which is left as it is.
const GRACE: Duration = Duration::from_secs(10);

pub struct Scene<'a> {
    pub cluster: &'a Cluster,
    pub recorder: Recorder,
    people: Vec<Person>,
    /// Sessions of programs, with the ids that the server knows them by.
    programs: Mutex<Vec<(Account, Session, String)>>,
    next_password: AtomicUsize,
}

/// Whose account it is.
struct Person {
    name: String,
    id: String,
    /// Which passwords it may have, the likeliest first.
    passwords: Mutex<Vec<usize>>,
}

/// What comes with a request.
#[derive(Clone, Copy, Default)]
pub struct Sent<'a> {
    pub cookie: Option<&'a str>,
    pub bearer: Option<&'a str>,
    pub form: Option<&'a [(String, String)]>,
    pub json: Option<&'a Json>,
}

/// What a session's credential is, and its number in the record.
#[derive(Clone)]
pub struct Secret {
    pub credential: Credential,
    /// That of the record, where the same was given before.
    pub session: Session,
    pub text: String,
}

impl<'a> Scene<'a> {
    /// With accounts that nobody has seen before.
    pub async fn new(cluster: &'a Cluster) -> Self {
        let mut people = Vec::new();
        let tag = uuid::Uuid::new_v4().simple().to_string();
        for number in 0..ACCOUNTS {
            let name = format!("person{number}x{}", &tag[..12]);
            let user = cluster.with_a_node(async |node| node.create_user(&name).await).await;
            people.push(Person { name, id: user.id.to_string(), passwords: Mutex::new(vec![0]) });
        }
        people.push(Person { name: KEEPER.to_owned(), id: String::new(), passwords: Mutex::new(vec![0]) });
        let accounts = (0..ACCOUNTS).map(Account);
        let of_people = accounts.map(|account| (account, Role::User)).chain([(KEEPERS_ACCOUNT, Role::Admin)]);
        let initial = of_people.flat_map(|(account, role)| {
            [Value::Role(role), Value::Password(0), Value::Suspended(false)].map(|value| (account, value))
        });
        Self {
            cluster,
            recorder: Recorder::new(initial.collect(), GRACE),
            people,
            programs: Mutex::default(),
            next_password: AtomicUsize::new(1),
        }
    }

    pub fn name(&self, account: Account) -> &str {
        &self.people[account.0].name
    }

    pub fn id(&self, account: Account) -> &str {
        &self.people[account.0].id
    }

    // --- passwords -----------------------------------------------------------------------------------------------

    /// The one that the account most likely has.
    pub fn password(&self, account: Account) -> usize {
        self.passwords(account)[0]
    }

    pub fn possible_passwords(&self, account: Account) -> Vec<usize> {
        self.passwords(account).clone()
    }

    pub fn new_password(&self) -> usize {
        self.next_password.fetch_add(1, Ordering::SeqCst)
    }

    /// What somebody learns of the account's password.
    pub fn learn(&self, account: Account, password: usize, answer: Answer) {
        let mut passwords = self.passwords(account);
        let known = passwords.contains(&password);
        match answer {
            Answer::Done => {
                passwords.retain(|other| *other != password);
                passwords.insert(0, password);
            }
            Answer::Unknown if !known => passwords.push(password),
            // Perhaps it was another's turn.
            Answer::WrongPassword if known => {
                passwords.retain(|other| *other != password);
                passwords.push(password);
            }
            _ => {}
        }
    }

    fn passwords(&self, account: Account) -> std::sync::MutexGuard<'_, Vec<usize>> {
        self.people[account.0].passwords.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- sessions ------------------------------------------------------------------------------------------------

    /// Notes what was given.
    pub fn secret(&self, account: Account, session: Session, kind: Kind, text: &str) -> Secret {
        let credential = self.recorder.credential(Held { account, session, kind }, text);
        Secret { credential, session: self.recorder.held(credential).session, text: text.to_owned() }
    }

    pub fn note_program(&self, account: Account, session: Session, id: &str) {
        self.programs().push((account, session, id.to_owned()));
    }

    /// The latest session of a program of that account.
    pub fn latest_program(&self, account: Account) -> Option<(Session, String)> {
        let programs = self.programs();
        let latest = programs.iter().rev().find(|(whose, ..)| *whose == account);
        latest.map(|(_, session, id)| (*session, id.clone()))
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, Vec<(Account, Session, String)>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- requests ------------------------------------------------------------------------------------------------

    /// Asks, and notes it: `judge` completes the entry by the answer, if there is one.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        sent: Sent<'_>,
        mut entry: Entry,
        judge: impl FnOnce(&mut Entry, &Page),
    ) -> (Answer, Option<Page>) {
        let begin = self.recorder.begin();
        let page = self.send(method, path, sent, entry.node).await;
        if let Some(page) = &page {
            entry.status = Some(page.status);
            judge(&mut entry, page);
        }
        let answer = entry.answer;
        self.recorder.note(begin, entry);
        (answer, page)
    }

    /// `None` where there is no answer.
    async fn send(&self, method: Method, path: &str, sent: Sent<'_>, node: usize) -> Option<Page> {
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: &str| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"));
        };
        if let Some(cookie) = sent.cookie {
            add("cookie", &format!("{}={cookie}", self.cookie_name()));
        }
        if let Some(token) = sent.bearer {
            add("authorization", &format!("Bearer {token}"));
        }
        let mut body = Vec::new();
        if let Some(fields) = sent.form {
            add("content-type", "application/x-www-form-urlencoded");
            add("sec-fetch-site", "same-origin");
            add("origin", &self.cluster.public_url);
            body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish().into_bytes();
        } else if let Some(json) = sent.json {
            add("content-type", "application/json");
            body = json.to_string().into_bytes();
        }
        let url = format!("http://127.0.0.1:{}{path}", self.cluster.fronts[node].port());
        let answer = self.cluster.http.request(method, url).headers(headers).body(body).send().await.ok()?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = String::from_utf8_lossy(&answer.bytes().await.ok()?).into_owned();
        Some(Page { path: path.to_owned(), status, headers, body })
    }

    pub fn cookie_name(&self) -> &'static str {
        session_cookie(&self.cluster.public_url)
    }

    /// The session cookie that an answer gives.
    pub fn cookie_of(&self, page: &Page) -> Option<String> {
        let cookies = page.set_cookies().into_iter();
        cookies
            .filter(|cookie| cookie.name == self.cookie_name() && !cookie.removes())
            .map(|cookie| cookie.value)
            .next()
    }
}

/// What an answer says; `done` is what it is where all went well.
pub fn verdict(page: &Page, done: &[u16]) -> Answer {
    // In words of a page, or as the code of a problem.
    let wrong = [
        "The username or password is not right.",
        "This is not your current password.",
        "\"invalid_credentials\"",
        "\"wrong_password\"",
    ];
    match page.status {
        _ if page.asks_to_sign_in() => Answer::SignedOut,
        _ if page.asks_for_the_password() => Answer::Refused,
        status if done.contains(&status) => Answer::Done,
        401 if wrong.iter().any(|words| page.body.contains(words)) => Answer::WrongPassword,
        401 => Answer::SignedOut,
        429 | 503 => Answer::Unknown,
        400..=499 => Answer::Refused,
        _ => Answer::Broken,
    }
}

/// The words of a password.
pub fn password(number: usize) -> String {
    if number == 0 { PASSWORD.to_owned() } else { format!("seven quiet herons by the weir {number}") }
}
