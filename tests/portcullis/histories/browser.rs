//! A person with a browser, who fills in forms, sometimes sends them twice, and again where no answer comes.

use futures_util::future::join;
use reqwest::Method;

use super::act::Act;
use super::record::{Account, Answer, Entry, Kind, Revocation, Session, Value};
use super::scene::{Scene, Secret, Sent, password, verdict};
use crate::support::Page;

pub struct Browser<'a> {
    scene: &'a Scene<'a>,
    account: Account,
    what: String,
    cookie: Option<Cookie>,
}

struct Cookie {
    secret: Secret,
    /// A form may have been accepted whose answer, with the new cookie, never came.
    is_in_doubt: bool,
}

/// A form that is filled in.
struct Filled {
    path: &'static str,
    fields: Vec<(String, String)>,
    /// As the record has it, but for the answer.
    entry: Entry,
    twice: bool,
}

impl<'a> Browser<'a> {
    pub fn new(scene: &'a Scene<'a>, account: Account, what: String) -> Self {
        Self { scene, account, what, cookie: None }
    }

    pub async fn act(&mut self, act: Act, node: usize) {
        let Some(cookie) = &self.cookie else {
            return self.sign_in(node, matches!(act, Act::SignIn { twice: true })).await;
        };
        let (session, shown) = (cookie.secret.session, cookie.secret.credential);
        let former = Revocation::Former(shown);
        match act {
            Act::SignIn { twice } => self.sign_in(node, twice).await,
            Act::SignOut => self.sign_out(node).await,
            Act::EndOthers => {
                let others = Revocation::Account { account: self.account, except: Some(session) };
                let Some(page) = self.visit("/account", node).await else { return };
                let fields = token_of(&page);
                let entry = Entry { shows: Some(shown), revokes: vec![others], ..self.entry("ends all others", node) };
                self.submit(Filled { path: "/account/sessions/end-others", fields, entry, twice: false }).await;
            }
            Act::Confirm { twice } => {
                let present = self.scene.password(self.account);
                let Some(fields) = self.form("/confirm", node, &[("password", password(present))]).await else {
                    return;
                };
                let tries = Some((self.account, present));
                let entry = Entry { shows: Some(shown), revokes: vec![former], tries, ..self.entry("confirms", node) };
                let (answer, _) = self.submit(Filled { path: "/confirm", fields, entry, twice }).await;
                self.scene.learn(self.account, present, answer);
            }
            Act::ChangePassword { twice } => {
                let (present, new) = (self.scene.password(self.account), self.scene.new_password());
                let typed = [("current_password", password(present)), ("new_password", password(new))];
                let Some(fields) = self.form("/account/password", node, &typed).await else { return };
                let others = Revocation::Account { account: self.account, except: Some(session) };
                let entry = Entry {
                    shows: Some(shown),
                    revokes: vec![former, others],
                    sets: Some((self.account, Value::Password(new))),
                    tries: Some((self.account, present)),
                    ..self.entry(&format!("changes the password to {new}"), node)
                };
                let (answer, _) = self.submit(Filled { path: "/account/password", fields, entry, twice }).await;
                match answer {
                    Answer::WrongPassword => self.scene.learn(self.account, present, answer),
                    _ => self.scene.learn(self.account, new, answer),
                }
            }
            _ => drop(self.visit("/account", node).await),
        }
    }

    fn entry(&self, what: &str, node: usize) -> Entry {
        Entry::of(format!("{} {what}", self.what), node)
    }

    async fn sign_in(&mut self, node: usize, twice: bool) {
        let (_, page) = self
            .scene
            .ask(Method::GET, "/login", Sent::default(), self.entry("opens /login", node), |entry, page| {
                entry.answer = verdict(page, &[200]);
            })
            .await;
        let Some(page) = page.filter(|page| page.status == 200) else { return };
        let tried = self.scene.password(self.account);
        let typed = [("username", self.scene.name(self.account).to_owned()), ("password", password(tried))];
        let Some(fields) = filled(&page, "/login", &typed) else { return };
        // A sign-in over a session ends it, if this is its cookie.
        self.cookie = self.cookie.take().filter(|cookie| !cookie.is_in_doubt);
        let revokes = self.cookie.iter().map(|cookie| Revocation::Replaced(cookie.secret.session)).collect();
        let entry = Entry { revokes, tries: Some((self.account, tried)), ..self.entry("signs in", node) };
        let filled = Filled { path: "/login", fields, entry, twice };
        let (answer, given) = self.send(&filled, None).await;
        self.scene.learn(self.account, tried, if answer == Answer::Unknown { Answer::Refused } else { answer });
        match given {
            Some(secret) => self.cookie = Some(Cookie { secret, is_in_doubt: false }),
            None if answer == Answer::Unknown => self.doubt(),
            None => {}
        }
    }

    async fn sign_out(&mut self, node: usize) {
        let Some(page) = self.visit("/account", node).await else { return };
        let Some(cookie) = self.cookie.take() else { return };
        let (fields, doubt) = (token_of(&page), cookie.is_in_doubt);
        let sent = Sent { cookie: Some(&cookie.secret.text), form: Some(&fields), ..Sent::default() };
        let entry =
            Entry { revokes: vec![Revocation::Session(cookie.secret.session)], ..self.entry("signs out", node) };
        // Who is signed out already is told the same.
        let judge = |entry: &mut Entry, page: &Page| {
            entry.answer = match verdict(page, &[]) {
                Answer::SignedOut if doubt => Answer::Unknown,
                Answer::SignedOut => Answer::Done,
                other => other,
            };
        };
        let (answer, _) = self.scene.ask(Method::POST, "/logout", sent, entry, judge).await;
        if answer != Answer::Done {
            self.cookie = Some(Cookie { is_in_doubt: true, ..cookie });
        }
    }

    /// Looks at a page; `None` unless it is there.
    async fn visit(&mut self, path: &str, node: usize) -> Option<Page> {
        let cookie = self.cookie.as_ref()?;
        let entry = Entry { shows: Some(cookie.secret.credential), ..self.entry(&format!("opens {path}"), node) };
        let sent = Sent { cookie: Some(&cookie.secret.text), ..Sent::default() };
        let judge = |entry: &mut Entry, page: &Page| entry.answer = verdict(page, &[200]);
        let (answer, page) = self.scene.ask(Method::GET, path, sent, entry, judge).await;
        if answer == Answer::SignedOut {
            self.cookie = None;
        }
        page.filter(|_| answer == Answer::Done)
    }

    async fn form(&mut self, path: &str, node: usize, typed: &[(&str, String)]) -> Option<Vec<(String, String)>> {
        filled(&self.visit(path, node).await?, path, typed)
    }

    /// Sends a form of the session that may give it a new cookie, which is kept.
    async fn submit(&mut self, form: Filled) -> (Answer, Option<Secret>) {
        let Some(session) = self.cookie.as_ref().map(|cookie| cookie.secret.session) else {
            return (Answer::SignedOut, None);
        };
        let (answer, given) = self.send(&form, Some(session)).await;
        match &given {
            Some(secret) => self.cookie = Some(Cookie { secret: secret.clone(), is_in_doubt: false }),
            None if answer == Answer::SignedOut => self.cookie = None,
            None if answer == Answer::Unknown => self.doubt(),
            None => {}
        }
        (answer, given)
    }

    /// Sends it, twice where that is wished; and again where no answer comes, as somebody does who presses the button once
    /// more. What is given belongs to `session`, or to a new one.
    async fn send(&self, form: &Filled, session: Option<Session>) -> (Answer, Option<Secret>) {
        let (first, second) = if form.twice {
            let (one, other) = join(self.post(form, session, 0, true), self.post(form, session, 1, true)).await;
            (one, Some(other))
        } else {
            (self.post(form, session, 0, false).await, None)
        };
        let mut answers = vec![first];
        answers.extend(second);
        for again in 0..2 {
            let is_told = |(answer, given): &(Answer, Option<Secret>)| *answer == Answer::Done || given.is_some();
            if answers.iter().any(is_told) || answers.iter().all(|(answer, _)| *answer != Answer::Unknown) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(150)).await;
            answers.push(self.post(form, session, again, true).await);
        }
        let given = answers.iter().find_map(|(_, given)| given.clone());
        let is = |wanted: Answer| answers.iter().any(|(answer, _)| *answer == wanted).then_some(wanted);
        let answer = is(Answer::Done).or_else(|| is(Answer::Unknown)).unwrap_or(answers[0].0);
        (answer, given)
    }

    async fn post(
        &self,
        form: &Filled,
        session: Option<Session>,
        other: usize,
        repeats: bool,
    ) -> (Answer, Option<Secret>) {
        let cookie = self.cookie.as_ref().map(|cookie| cookie.secret.text.as_str());
        let sent = Sent { cookie, form: Some(&form.fields), ..Sent::default() };
        let entry = Entry { node: (form.entry.node + other) % 2, repeats, ..form.entry.clone() };
        // One that comes late opens another session, where that of the first has ended.
        let session = session.unwrap_or_else(|| self.scene.recorder.new_session());
        let mut given = None;
        let judge = |entry: &mut Entry, page: &Page| {
            entry.answer = verdict(page, &[303]);
            given =
                self.scene.cookie_of(page).map(|text| self.scene.secret(self.account, session, Kind::Cookie, &text));
            entry.gives = given.iter().map(|secret| secret.credential).collect();
        };
        let (answer, _) = self.scene.ask(Method::POST, form.path, sent, entry, judge).await;
        (answer, given)
    }

    fn doubt(&mut self) {
        if let Some(cookie) = &mut self.cookie {
            cookie.is_in_doubt = true;
        }
    }
}

/// The fields of the form that goes to `action`, with what was typed.
fn filled(page: &Page, action: &str, typed: &[(&str, String)]) -> Option<Vec<(String, String)>> {
    let mut form = page.forms().into_iter().find(|form| form.action == action)?;
    typed.iter().for_each(|(name, value)| form.fill(name, value));
    Some(form.fields)
}

/// A form with nothing but the session's token.
fn token_of(page: &Page) -> Vec<(String, String)> {
    page.csrf_token().into_iter().map(|token| ("csrf_token".to_owned(), token)).collect()
}
