//! The one way in which passwords are compared: every guess is counted, and after `lockout_threshold` failures nothing
//! is compared for `lockout_duration`, not even the right password.
//!
//! **Which counts there are.** An account has one count, whatever the spelling of its name and whether its username or
//! its e-mail was typed; a name that belongs to nobody has its own, with the same onset and the same answer, so that a
//! lock tells nothing of who exists. Two counts for the two names of an account would be twice the guesses
//! (CVE-2025-24806). The price: who guesses that a username and an address belong together can see it confirmed, by a
//! lock that is audited. To hide that, a right password under the other name would have to be called wrong.
//! A known browser ([`crate::domain::device_cookie`]) has a count of its own for that account, so that a stranger can't
//! lock the owner out there. A password asked again in a session is decided by the browser's count where the browser is
//! known, and is counted for the account in any case: a lock then shows on the account like any other.
//!
//! **How a guess is counted.** As a failure, before the hash is spent; of parallel guesses no more than the threshold
//! are compared. A right password forgets the count. When nothing was compared (the hashing queue was full, or whoever
//! asked has gone away and so never learns the answer) the guess is given back. Refused guesses neither count nor
//! prolong a lock: it ends by itself, and is forgotten like any count `lockout_duration` after its last failure.
//!
//! **Where.** In SQL, with Redis too: signing in needs SQL anyway and must not need Redis, a count must survive what
//! Redis may forget (a restart, an eviction, `FLUSHALL`), and one upsert is atomic on both databases and on all nodes.
//! A row holds a keyed hash, no name (people type passwords there), and goes when its time has come: a flood of
//! invented names leaves as many rows as hashes were spent on them since the last sweep, at a hundred bytes each.

use std::collections::HashMap;

use secrecy::SecretString;

use super::steering::{Act, Subject, steered};
use super::{Caller, Result, Services, Steward};
use crate::domain::audit::Client;
use crate::domain::device_cookie::{DeviceCookie, KnownBrowser};
use crate::domain::keys::mac;
use crate::domain::{Actor, Error, Event, NameKey, Outcome, Role, SessionId, Timestamp, User, UserId};
use crate::storage::Database;
use crate::storage::audit::{self, Entry};
use crate::storage::lockouts::{self, Key, Rule, Taken};
use crate::storage::users::{self, StoredUser};

/// An account whose password was given.
pub(super) struct Proven {
    /// As it was read before the password was compared, epoch included.
    pub account: StoredUser,
    /// The stored hash was made with other parameters than today's.
    pub outdated: bool,
}

/// Whose password is guessed.
enum Whose {
    /// Of whoever has this username or e-mail.
    Named(String),
    /// Of the account itself, asked again.
    Account(UserId),
}

/// A guess that is counted as a failure until it turns out otherwise. Dropped undecided, it is given back.
struct Guess {
    database: Database,
    account: Option<StoredUser>,
    /// The counts that it is in, with the number of failures there; the first one decided that it may be made.
    counted: Vec<(Key, i64)>,
    decided: bool,
}

impl Guess {
    async fn give_back(database: Database, counted: Vec<(Key, i64)>) {
        let given_back = database
            .write(move |connection| counted.iter().try_for_each(|(key, _)| lockouts::give_back(connection, key)))
            .await;
        if let Err(error) = given_back {
            tracing::warn!(%error, "a password that was not compared stays counted as a failure");
        }
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        if !self.decided
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(Self::give_back(self.database.clone(), std::mem::take(&mut self.counted)));
        }
    }
}

impl Services {
    /// Checks the password of the active account with that username or e-mail. For every kind of sign-in.
    ///
    /// # Errors
    /// [`Error::Locked`] before anything is compared. [`Error::WrongCredentials`], the same after one hash for an
    /// unknown name, a wrong password, no password yet and a suspended account.
    pub(super) async fn check_credentials(
        &self,
        name: &str,
        password: &SecretString,
        client: &Client,
    ) -> Result<Proven> {
        let guess = self.begin_guess(Whose::Named(name.to_owned()), client).await?;
        self.decide(guess, password, None, client).await?.ok_or(Error::WrongCredentials)
    }

    /// Checks the caller's password, asked again; `field` is where it was typed.
    ///
    /// # Errors
    /// [`Error::Locked`] before anything is compared, [`Error::WrongPassword`].
    pub(super) async fn check_own_password(
        &self,
        caller: &Caller,
        field: &'static str,
        password: &SecretString,
        client: &Client,
    ) -> Result<User> {
        let guess = self.begin_guess(Whose::Account(caller.user_id), client).await?;
        let proven = self.decide(guess, password, Some(caller.session_id), client).await?;
        Ok(proven.ok_or(Error::WrongPassword { field })?.account.user)
    }

    /// The cookie that makes this browser known to the account, which has just signed in there or changed its password.
    pub fn device_cookie(&self, user: &User, client: &Client) -> DeviceCookie {
        let browser = self.known_browser(user, client).unwrap_or_else(|| KnownBrowser::new(user));
        browser.cookie(user, &self.root_key.derive("device"))
    }

    /// Ends a lock of the account, in its known browsers too. A manager does it for users, an administrator for everyone.
    ///
    /// What has been counted without a lock is forgotten too, and told as well: nobody gives guesses away unseen.
    pub async fn unlock(&self, steward: &Steward, subject: impl Into<Subject>, client: &Client) -> Result<User> {
        steward.require(Role::Manager)?;
        let (steward, client, rule) = (steward.clone(), client.clone(), self.lockout_rule());
        let subject = subject.into();
        self.database
            .write(move |connection| {
                let Act { by, on: user } = steered(connection, &steward, &subject)?;
                let locked = !lockouts::locks_of(connection, &[user.id], rule)?.is_empty();
                if lockouts::forget_user(connection, user.id)? > 0 {
                    let entry = Entry::success(Event::UserUnlocked, &by, &user, &client);
                    let entry = if locked { entry } else { entry.detail("it was not locked yet".to_owned()) };
                    audit::append(connection, &entry, rule.now)?;
                }
                Ok(user)
            })
            .await
    }

    /// Until when the account is locked, for strangers or in one of its known browsers; the longest of these.
    pub async fn locked_until(&self, user: UserId) -> Result<Option<Timestamp>> {
        Ok(self.locks_of(vec![user]).await?.remove(&user))
    }

    /// The same of each of these accounts that is locked.
    pub async fn locks_of(&self, users: Vec<UserId>) -> Result<HashMap<UserId, Timestamp>> {
        let rule = self.lockout_rule();
        let locks = self.database.read(move |connection| lockouts::locks_of(connection, &users, rule)).await?;
        let mut longest = HashMap::new();
        for (user, until) in locks {
            let known = longest.entry(user).or_insert(until);
            *known = until.max(*known);
        }
        Ok(longest)
    }

    /// How many accounts are locked now. Locked names that belong to nobody don't count.
    pub async fn locked_accounts(&self) -> Result<i64> {
        let rule = self.lockout_rule();
        self.database.read(move |connection| lockouts::count_locked(connection, rule)).await
    }

    /// Counts a failure in advance.
    async fn begin_guess(&self, whose: Whose, client: &Client) -> Result<Guess> {
        let (services, client, rule) = (self.clone(), client.clone(), self.lockout_rule());
        self.database
            .write(move |connection| {
                let account = match &whose {
                    Whose::Named(name) => match NameKey::of_typed(name) {
                        Some(key) => users::by_name(connection, &key)?,
                        None => None,
                    },
                    Whose::Account(id) => Some(users::by_id(connection, *id)?.ok_or(Error::NotSignedIn)?),
                };
                let mut counted = Vec::new();
                for key in services.counts(&whose, account.as_ref().map(|account| &account.user), &client) {
                    match lockouts::take(connection, &key, rule)? {
                        Taken::Guess(failures) => counted.push((key, failures)),
                        Taken::Locked(until) if counted.is_empty() => return Err(locked(until, rule.now)),
                        // Counted where it was decided; the other count is full already.
                        Taken::Locked(_) => {}
                    }
                }
                Ok(Guess { database: services.database.clone(), account, counted, decided: false })
            })
            .await
    }

    /// In which counts a guess belongs; the first one decides whether it may be made.
    fn counts(&self, whose: &Whose, account: Option<&User>, client: &Client) -> Vec<Key> {
        let hash_key = self.root_key.derive("lockout");
        let Some(user) = account else {
            let Whose::Named(name) = whose else { return Vec::new() };
            // What can't be anyone's name is counted as it was typed.
            let hash = match NameKey::of_typed(name) {
                Some(name) => mac(&hash_key, &[b"name ", name.as_str().as_bytes()]),
                None => mac(&hash_key, &[b"text ", name.as_bytes()]),
            };
            return vec![Key { hash, user_id: None }];
        };
        let id = user.id.0.as_bytes();
        let account = Key { hash: mac(&hash_key, &[b"account ", id]), user_id: Some(user.id) };
        let Some(browser) = self.known_browser(user, client) else { return vec![account] };
        let browser = Key { hash: mac(&hash_key, &[b"browser ", id, &browser.id]), user_id: Some(user.id) };
        match whose {
            Whose::Named(_) => vec![browser],
            Whose::Account(_) => vec![browser, account],
        }
    }

    /// Compares the password, and lets the counts know. `None`: it is wrong; that is audited.
    async fn decide(
        &self,
        mut guess: Guess,
        password: &SecretString,
        session: Option<SessionId>,
        client: &Client,
    ) -> Result<Option<Proven>> {
        let active = guess.account.as_ref().filter(|account| account.user.is_active());
        let hash = active.and_then(|account| account.password_hash.as_deref());
        let verdict = match self.hasher.verify(password, hash).await {
            Ok(verdict) => verdict,
            Err(error) => {
                guess.decided = true;
                Guess::give_back(self.database.clone(), std::mem::take(&mut guess.counted)).await;
                return Err(error);
            }
        };
        let account = guess.account.take();
        let counted = guess.counted.clone();
        if let Some(account) = account.clone().filter(|_| verdict.matches) {
            let forget = self.database.write(move |connection| {
                let mut counted = counted.iter().map(|(key, _)| key);
                counted.next().map_or(Ok(()), |key| lockouts::forget(connection, key))?;
                counted.try_for_each(|key| lockouts::give_back(connection, key))
            });
            forget.await?;
            guess.decided = true;
            return Ok(Some(Proven { account, outdated: verdict.outdated }));
        }
        guess.decided = true;
        let begins = counted.iter().any(|(_, failures)| *failures == self.lockout_rule().threshold);
        self.note_failure(account.map(|account| account.user), session, begins, client).await?;
        Ok(None)
    }

    /// The name is noted only where such an account exists: people type passwords there.
    async fn note_failure(
        &self,
        subject: Option<User>,
        session_id: Option<SessionId>,
        lock_begins: bool,
        client: &Client,
    ) -> Result<()> {
        let (client, now) = (client.clone(), self.clock.now());
        self.database
            .write(move |connection| {
                let actor = match (&subject, session_id) {
                    (Some(user), Some(_)) => Actor::user(user),
                    _ => Actor::Anonymous,
                };
                let entry = |event, detail: Option<&str>| Entry {
                    event,
                    outcome: Outcome::Failure,
                    actor: &actor,
                    subject: subject.as_ref(),
                    session_id,
                    detail: detail.map(str::to_owned),
                    client: &client,
                };
                let asked_again = session_id.map(|_| "password asked again");
                audit::append(connection, &entry(Event::SignInFailed, asked_again), now)?;
                if lock_begins {
                    audit::append(connection, &entry(Event::SignInLocked, None), now)?;
                }
                Ok(())
            })
            .await
    }

    fn known_browser(&self, user: &User, client: &Client) -> Option<KnownBrowser> {
        KnownBrowser::read(client.device_cookie.as_ref()?, user, &self.root_key.derive("device"))
    }

    pub(super) fn lockout_rule(&self) -> Rule {
        let now = self.clock.now();
        let threshold = self.settings.lockout_threshold.into();
        Rule { threshold, now, until: now + self.settings.lockout_duration }
    }
}

/// Rounded up, so that whoever waits that long is let in.
fn locked(until: Timestamp, now: Timestamp) -> Error {
    let millis = (until - now).num_milliseconds().max(1).unsigned_abs();
    Error::Locked { retry_after: millis.div_ceil(1000) }
}
