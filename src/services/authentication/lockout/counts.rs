//! The counts in which a guess is, while it is under way and when it is decided.

use tokio::task::JoinHandle;

use crate::domain::audit::Client;
use crate::domain::keys::{RootKey, mac};
use crate::domain::{Error, NameKey, Timestamp, User, UserId};
use crate::services::Result;
use crate::services::authentication::known_browser;
use crate::storage::Database;
use crate::storage::authentication::lockouts::{self, Key, Rule, Taken};
use crate::storage::database::AnyConnection;

/// Whose password is guessed.
#[derive(Clone)]
pub(super) enum Whose {
    /// Of whoever has this username or e-mail.
    Named(String),
    /// Of the account itself, asked again.
    Account(UserId),
}

/// A count that a guess is in.
#[derive(Clone)]
pub(super) struct Count {
    pub key: Key,
    /// Whether it decides that the guess may be made; the account's, beside that of a known browser, does not.
    pub decides: bool,
}

impl Count {
    /// Whether a refusal of this count is one of the guess; [`Error::Locked`] where waiting is in vain.
    pub fn is_full(&self, refused: Taken, rule: Rule) -> Result<bool> {
        match refused {
            Taken::Guess => Ok(false),
            // Counted where it is decided; this one is full already.
            Taken::Full | Taken::Locked(_) if !self.decides => Ok(false),
            Taken::Full => Ok(true),
            Taken::Locked(until) => Err(locked(until, rule.now)),
        }
    }
}

/// The counts in which a guess is under way.
pub(super) struct Counted {
    pub database: Database,
    /// In the order of their keys. None once it is decided or given back.
    pub counts: Vec<Count>,
}

impl Counted {
    /// Gives it back, even where nobody waits for that.
    pub fn give_back(&mut self) -> Option<JoinHandle<()>> {
        let (database, counts) = (self.database.clone(), std::mem::take(&mut self.counts));
        if counts.is_empty() {
            return None;
        }
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        Some(runtime.spawn(async move {
            if let Err(error) = database.write(move |connection| give_back(connection, &counts)).await {
                tracing::warn!(%error, "a password that was not compared stays counted for a while");
            }
        }))
    }

    /// It is decided, and the store knows: nothing is to be given back. Not before, for who gets no answer has not guessed.
    pub fn decided(&mut self) {
        self.counts.clear();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.give_back();
    }
}

pub(super) fn give_back(connection: &mut AnyConnection, counts: &[Count]) -> Result<()> {
    counts.iter().try_for_each(|count| lockouts::give_back(connection, &count.key))
}

/// In which counts a guess belongs, in the order of their keys, in which everyone locks them.
pub(super) fn of(root_key: &RootKey, whose: &Whose, account: Option<&User>, client: &Client) -> Vec<Count> {
    let hash_key = root_key.derive("lockout");
    let Some(user) = account else {
        let Whose::Named(name) = whose else { return Vec::new() };
        // What can't be anyone's name is counted as it was typed.
        let hash = match NameKey::of_typed(name) {
            Some(name) => mac(&hash_key, &[b"name ", name.as_str().as_bytes()]),
            None => mac(&hash_key, &[b"text ", name.as_bytes()]),
        };
        return vec![Count { key: Key { hash, user_id: None }, decides: true }];
    };
    let id = user.id.0.as_bytes();
    let count = |hash, decides| Count { key: Key { hash, user_id: Some(user.id) }, decides };
    let account = mac(&hash_key, &[b"account ", id]);
    let Some(browser) = known_browser::recognize(root_key, user, client) else { return vec![count(account, true)] };
    let browser = mac(&hash_key, &[b"browser ", id, &browser.id]);
    let mut counts = match whose {
        Whose::Named(_) => vec![count(browser, true)],
        Whose::Account(_) => vec![count(browser, true), count(account, false)],
    };
    counts.sort_unstable_by_key(|count| count.key.hash);
    counts
}

/// Rounded up, so that whoever waits that long is let in.
fn locked(until: Timestamp, now: Timestamp) -> Error {
    let millis = (until - now).num_milliseconds().max(1).unsigned_abs();
    Error::Locked { retry_after: millis.div_ceil(1000) }
}
