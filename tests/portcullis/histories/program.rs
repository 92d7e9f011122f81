//! A program with tokens: of a person, or of the administrator.

use futures_util::future::join;
use portcullis::domain::Role;
use reqwest::Method;
use serde_json::{Value as Json, json};

use super::act::Act;
use super::record::{Account, Answer, Entry, Kind, Revocation, Session, Value};
use super::scene::{Scene, Secret, Sent, password, verdict};
use crate::support::Page;

pub struct Program<'a> {
    scene: &'a Scene<'a>,
    account: Account,
    what: String,
    tokens: Option<Tokens>,
}

#[derive(Clone)]
struct Tokens {
    session: Session,
    access: Secret,
    refresh: Secret,
}

/// A call with the access token.
struct Call<'a> {
    method: Method,
    path: &'a str,
    body: Option<Json>,
    entry: Entry,
}

impl<'a> Program<'a> {
    pub fn new(scene: &'a Scene<'a>, account: Account, what: String) -> Self {
        Self { scene, account, what, tokens: None }
    }

    pub async fn act(&mut self, act: Act, node: usize) {
        let Some(tokens) = self.tokens.clone() else { return self.sign_in(node).await };
        let others = Revocation::Account { account: self.account, except: Some(tokens.session) };
        match act {
            // The session of before goes on.
            Act::SignIn { .. } => self.sign_in(node).await,
            Act::Refresh { twice } => self.refresh(node, twice).await,
            Act::SignOut => {
                let body = json!({ "refresh_token": tokens.refresh.text });
                let sent = Sent { json: Some(&body), ..Sent::default() };
                let entry = Entry {
                    shows: Some(tokens.refresh.credential),
                    revokes: vec![Revocation::Session(tokens.session)],
                    ..self.entry("signs out", node)
                };
                let judge = |entry: &mut Entry, page: &Page| entry.answer = verdict(page, &[204]);
                let (answer, _) = self.scene.ask(Method::POST, "/api/v1/auth/logout", sent, entry, judge).await;
                if answer != Answer::Unknown {
                    self.tokens = None;
                }
            }
            Act::EndOthers => {
                let entry = Entry { revokes: vec![others], ..self.entry("ends all others", node) };
                self.call(Call { method: Method::DELETE, path: "/api/v1/me/sessions", body: None, entry }).await;
            }
            Act::Confirm { .. } => {
                let present = self.scene.password(self.account);
                let entry = Entry { tries: Some((self.account, present)), ..self.entry("confirms", node) };
                let body = Some(json!({ "password": password(present) }));
                let answer = self.call(Call { method: Method::POST, path: "/api/v1/auth/confirm", body, entry }).await;
                self.scene.learn(self.account, present, answer);
            }
            Act::ChangePassword { .. } => {
                let (present, new) = (self.scene.password(self.account), self.scene.new_password());
                let entry = Entry {
                    revokes: vec![others],
                    sets: Some((self.account, Value::Password(new))),
                    tries: Some((self.account, present)),
                    ..self.entry(&format!("changes the password to {new}"), node)
                };
                let body = Some(json!({ "current_password": password(present), "new_password": password(new) }));
                let answer = self.call(Call { method: Method::PUT, path: "/api/v1/me/password", body, entry }).await;
                match answer {
                    Answer::WrongPassword => self.scene.learn(self.account, present, answer),
                    _ => self.scene.learn(self.account, new, answer),
                }
            }
            _ => {
                let entry = self.entry("asks who it is", node);
                self.call(Call { method: Method::GET, path: "/api/v1/me", body: None, entry }).await;
            }
        }
    }

    /// Does something to an account, or to everyone's.
    pub async fn administer(&mut self, act: Act, node: usize) {
        let scene = self.scene;
        let Some(tokens) = self.tokens.clone() else { return self.sign_in(node).await };
        let all_of = |account| Revocation::Account { account, except: None };
        let of = |account, rest: &str| format!("/api/v1/users/{}{rest}", scene.id(account));
        let (method, path, body, mut entry) = match act {
            Act::Suspend(account) => {
                let sets = Some((account, Value::Suspended(true)));
                let entry = Entry { revokes: vec![all_of(account)], sets, ..self.entry("suspends", node) };
                (Method::POST, of(account, "/suspend"), None, entry)
            }
            Act::Reinstate(account) => {
                let entry = Entry { sets: Some((account, Value::Suspended(false))), ..self.entry("reinstates", node) };
                (Method::POST, of(account, "/reinstate"), None, entry)
            }
            Act::EndAll(account) => {
                let entry = Entry { revokes: vec![all_of(account)], ..self.entry("ends all", node) };
                (Method::DELETE, of(account, "/sessions"), None, entry)
            }
            Act::EndOne(account) => {
                let Some((session, id)) = scene.latest_program(account) else { return };
                let entry = Entry { revokes: vec![Revocation::Session(session)], ..self.entry("ends one", node) };
                (Method::DELETE, format!("/api/v1/sessions/{id}"), None, entry)
            }
            Act::Promote(account) | Act::Demote(account) => {
                let role = if matches!(act, Act::Promote(_)) { Role::Manager } else { Role::User };
                let entry =
                    Entry { sets: Some((account, Value::Role(role))), ..self.entry(&format!("makes a {role}"), node) };
                (Method::PUT, of(account, "/role"), Some(json!({ "role": role.as_str() })), entry)
            }
            _ => {
                let everyone = Revocation::Everyone { except: tokens.session };
                let entry = Entry { revokes: vec![everyone], ..self.entry("ends everyone's", node) };
                (Method::POST, "/api/v1/sessions/revoke".to_owned(), Some(json!({ "all": true })), entry)
            }
        };
        if let Some((account, _)) = entry.sets {
            entry.what += &format!(" account {}", account.0);
        }
        self.call(Call { method, path: &path, body, entry }).await;
    }

    fn entry(&self, what: &str, node: usize) -> Entry {
        Entry::of(format!("{} {what}", self.what), node)
    }

    pub async fn sign_in(&mut self, node: usize) {
        let tried = self.scene.password(self.account);
        let body = json!({ "username": self.scene.name(self.account), "password": password(tried) });
        let sent = Sent { json: Some(&body), ..Sent::default() };
        let session = self.scene.recorder.new_session();
        let entry = Entry { tries: Some((self.account, tried)), ..self.entry("signs in", node) };
        let mut given = None;
        let judge = |entry: &mut Entry, page: &Page| {
            entry.answer = verdict(page, &[200]);
            given = self.tokens(page, session, entry);
        };
        let (answer, page) = self.scene.ask(Method::POST, "/api/v1/auth/login", sent, entry, judge).await;
        self.scene.learn(self.account, tried, if answer == Answer::Unknown { Answer::Refused } else { answer });
        if let (Some(tokens), Some(page)) = (given, page) {
            let id = page.json()["session_id"].as_str().unwrap_or_default().to_owned();
            self.scene.note_program(self.account, session, &id);
            self.tokens = Some(tokens);
        }
    }

    /// Again, once, where no answer comes.
    async fn refresh(&mut self, node: usize, twice: bool) {
        let Some(tokens) = self.tokens.clone() else { return };
        let mut answers = if twice {
            let (one, other) = join(self.refresh_at(node, &tokens), self.refresh_at(1 - node, &tokens)).await;
            vec![one, other]
        } else {
            vec![self.refresh_at(node, &tokens).await]
        };
        if answers.iter().all(|(answer, _)| *answer == Answer::Unknown) {
            answers.push(self.refresh_at(1 - node, &tokens).await);
        }
        match answers.iter().find_map(|(_, given)| given.clone()) {
            Some(given) => self.tokens = Some(given),
            None if answers.iter().any(|(answer, _)| *answer == Answer::SignedOut) => self.tokens = None,
            None => {}
        }
    }

    async fn refresh_at(&self, node: usize, tokens: &Tokens) -> (Answer, Option<Tokens>) {
        let body = json!({ "refresh_token": tokens.refresh.text });
        let sent = Sent { json: Some(&body), ..Sent::default() };
        let entry = Entry { shows: Some(tokens.refresh.credential), ..self.entry("refreshes", node) };
        let mut given = None;
        let judge = |entry: &mut Entry, page: &Page| {
            entry.answer = verdict(page, &[200]);
            given = self.tokens(page, tokens.session, entry);
        };
        let (answer, _) = self.scene.ask(Method::POST, "/api/v1/auth/refresh", sent, entry, judge).await;
        (answer, given)
    }

    /// What an answer gives, noted as such.
    fn tokens(&self, page: &Page, session: Session, entry: &mut Entry) -> Option<Tokens> {
        if entry.answer != Answer::Done {
            return None;
        }
        let body = page.json();
        let secret = |name: &str, kind| Some(self.scene.secret(self.account, session, kind, body[name].as_str()?));
        let access = secret("access_token", Kind::AccessToken)?;
        let refresh = secret("refresh_token", Kind::RefreshToken)?;
        entry.gives = vec![access.credential, refresh.credential];
        Some(Tokens { session, access, refresh })
    }

    async fn call(&mut self, call: Call<'_>) -> Answer {
        let Some(tokens) = &self.tokens else { return Answer::SignedOut };
        let sent = Sent { bearer: Some(&tokens.access.text), json: call.body.as_ref(), ..Sent::default() };
        let entry = Entry { shows: Some(tokens.access.credential), ..call.entry };
        let judge = |entry: &mut Entry, page: &Page| entry.answer = verdict(page, &[200, 204]);
        let (answer, _) = self.scene.ask(call.method, call.path, sent, entry, judge).await;
        if answer == Answer::SignedOut {
            self.tokens = None;
        }
        answer
    }
}
