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
//! **How a guess is counted.** As under way, before the hash is spent, and as a failure once it was wrong; failures and
//! guesses under way together are never more than the threshold, so no more are compared, in parallel or not. A right
//! password forgets the failures; others that are under way stay so. Where the hashing queue is full nothing is counted.
//! When nothing was compared after all, or nobody learns the answer (whoever asked has gone away, or the store failed),
//! the guess is given back. Refused guesses neither count nor prolong a lock: it ends by itself, and is forgotten like
//! any count `lockout_duration` after its last failure. Guesses of a node that crashed are under way until a minute after
//! the last one, or as long as failures are remembered.
//!
//! **Who waits.** Where only guesses under way fill the count nothing is locked: they are decided within a moment, and a
//! build that signs in twenty times at once has given no wrong password. So the next one waits, before it has a place
//! in the hashing queue and without a connection, for known and unknown names alike, and no longer than a second. Those
//! that wait on a node ask again in turn, not all at once, and are no more than fit into `hash_queue`: a flood at one
//! name costs no more than that. Past either bound the answer is [`Error::Busy`]. And those who give one name at the same
//! time share one look at its counts, which began after they came.
//!
//! **Where.** In SQL, with Redis too: signing in needs SQL anyway and must not need Redis, a count must survive what
//! Redis may forget (a restart, an eviction, `FLUSHALL`), and one upsert is atomic on both databases and on all nodes.
//! A row holds a keyed hash, no name (people type passwords there), and goes when its time has come: a flood of
//! invented names leaves as many rows as hashes were spent on them since the last sweep, at a hundred bytes each.

mod counts;
mod looks;
mod password_attempt;

use std::collections::HashMap;

use chrono::TimeDelta;
use secrecy::SecretString;

use self::counts::Whose;
pub use self::password_attempt::WaitingRoom;
use crate::domain::audit::Client;
use crate::domain::{Error, Event, Role, Timestamp, User, UserId};
use crate::services::authorization::{Authorized, Subject, authorize_on};
use crate::services::{AuthContext, Caller, Result, Services};
use crate::storage::accounts::users::StoredUser;
use crate::storage::audit::{self, Entry};
use crate::storage::authentication::lockouts::{self, Rule};
use crate::storage::sessions::changes::{self, Change};

/// How long a guess is under way that is never decided, for its node crashed: longer than any other.
const LEASE: TimeDelta = TimeDelta::minutes(1);

/// An account whose password was given.
pub(super) struct Authenticated {
    /// As it was read before the password was compared, epoch included.
    pub account: StoredUser,
    /// The stored hash was made with other parameters than today's.
    pub outdated: bool,
}

/// Checks the password of the active account with that username or e-mail. For every kind of sign-in.
///
/// # Errors
/// [`Error::Locked`] or [`Error::Busy`] before anything is compared. [`Error::WrongCredentials`], the same after one
/// hash for an unknown name, a wrong password, no password yet and a suspended account.
pub(super) async fn check_credentials(
    services: &Services,
    name: &str,
    password: &SecretString,
    client: &Client,
) -> Result<Authenticated> {
    let attempt = password_attempt::begin(services, &Whose::Named(name.to_owned()), client).await?;
    password_attempt::decide(services, attempt, password, None, client).await?.ok_or(Error::WrongCredentials)
}

/// Checks the caller's password, asked again; `field` is where it was typed.
///
/// # Errors
/// [`Error::Locked`] or [`Error::Busy`] before anything is compared, [`Error::WrongPassword`].
pub(in crate::services) async fn check_own_password(
    services: &Services,
    caller: &Caller,
    field: &'static str,
    password: &SecretString,
    client: &Client,
) -> Result<User> {
    let attempt = password_attempt::begin(services, &Whose::Account(caller.user_id), client).await?;
    let authenticated = password_attempt::decide(services, attempt, password, Some(caller.session_id), client).await?;
    Ok(authenticated.ok_or(Error::WrongPassword { field })?.account.user)
}

/// Ends a lock of the account, in its known browsers too. A manager does it for users, an administrator for everyone.
///
/// What has been counted without a lock is forgotten too, and told as well: nobody gives guesses away unseen.
pub async fn unlock(
    services: &Services,
    auth: &AuthContext,
    subject: impl Into<Subject>,
    client: &Client,
) -> Result<User> {
    auth.require(Role::Manager)?;
    let (auth, client, rule) = (auth.clone(), client.clone(), rule(services));
    let subject = subject.into();
    let user = services
        .database
        .write(move |connection| {
            let Authorized { actor, user } = authorize_on(connection, &auth, &subject)?;
            let locked = !lockouts::locks_of(connection, &[user.id], rule)?.is_empty();
            if lockouts::forget_user(connection, user.id)? > 0 {
                let entry = Entry::success(Event::UserUnlocked, &actor, &user, &client);
                let entry = if locked { entry } else { entry.detail("it was not locked yet".to_owned()) };
                audit::append(connection, &entry, rule.now)?;
                // Its owner's pages tell of the lock.
                changes::append(connection, Change::User(user.id))?;
            }
            Ok(user)
        })
        .await?;
    services.sessions.account_changed(user.id);
    Ok(user)
}

/// Until when the account is locked, for strangers or in one of its known browsers; the longest of these.
pub async fn locked_until(services: &Services, user: UserId) -> Result<Option<Timestamp>> {
    Ok(locks_of(services, vec![user]).await?.remove(&user))
}

/// The same of each of these accounts that is locked.
pub async fn locks_of(services: &Services, users: Vec<UserId>) -> Result<HashMap<UserId, Timestamp>> {
    let rule = rule(services);
    let locks = services.database.read(move |connection| lockouts::locks_of(connection, &users, rule)).await?;
    let mut longest = HashMap::new();
    for (user, until) in locks {
        let known = longest.entry(user).or_insert(until);
        *known = until.max(*known);
    }
    Ok(longest)
}

/// How many accounts are locked now. Locked names that belong to nobody don't count.
pub async fn count_locked(services: &Services) -> Result<i64> {
    let rule = rule(services);
    services.database.read(move |connection| lockouts::count_locked(connection, rule)).await
}

pub(in crate::services) fn rule(services: &Services) -> Rule {
    let now = services.clock.now();
    let threshold = services.settings.lockout_threshold.into();
    let duration = services.settings.lockout_duration;
    Rule { threshold, now, until: now + duration, lease: now + duration.min(LEASE) }
}
