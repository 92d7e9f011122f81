//! An attempt at a password, a guess, from the moment when it is asked for until it is decided.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{sleep, timeout};

use super::counts::{self, Count, Counted, Whose};
use super::looks::Looks;
use crate::domain::audit::Client;
use crate::domain::device_cookie::DeviceCookie;
use crate::domain::{Actor, Error, Event, NameKey, Outcome, SessionId, User};
use crate::services::authentication::hasher::Check;
use crate::services::authentication::known_browser;
use crate::services::authentication::lockout::{self, Authenticated};
use crate::services::{Result, Services};
use crate::storage::accounts::users::{self, StoredUser};
use crate::storage::audit::{self, Entry};
use crate::storage::authentication::lockouts::{self, Taken};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::changes::{self, Change};

/// How long a guess waits for those under way.
const PATIENCE: Duration = Duration::from_secs(1);
/// From one time that a waiting guess is asked for in vain to the next, of all that wait on this node.
const PAUSE: Duration = Duration::from_millis(10);
/// A password that has not been compared by then is not compared: well within the lease.
const LONGEST_COMPARISON: Duration = Duration::from_secs(30);

/// Where guesses wait on a node. Whatever their number and names, they cost a transaction at a time, and pauses between.
pub struct WaitingRoom {
    places: Semaphore,
    /// Of whoever has waited longest since the last turn.
    turn: Mutex<()>,
    /// What is looked at before a guess is asked for, by the name and the known browser's cookie.
    looks: Looks<(String, Option<DeviceCookie>), std::result::Result<Looked, Arc<Error>>>,
}

/// The account that is meant, if there is one, and the counts of a guess; `None` where they are full.
type Looked = Option<(Option<StoredUser>, Vec<Count>)>;

impl WaitingRoom {
    /// With room for so many.
    pub fn new(places: usize) -> Self {
        Self { places: Semaphore::new(places), turn: Mutex::default(), looks: Looks::default() }
    }
}

/// A guess that is under way until it is decided. Dropped undecided, it is given back.
pub(super) struct PasswordAttempt {
    account: Option<StoredUser>,
    check: Check,
    counted: Counted,
}

/// A guess that may be compared, once there is one.
///
/// # Errors
/// [`Error::Locked`], at once. [`Error::Busy`] when too many others are under way, or wait.
pub(super) async fn begin(services: &Services, whose: &Whose, client: &Client) -> Result<PasswordAttempt> {
    if let Some(attempt) = ask(services, whose, client).await? {
        return Ok(attempt);
    }
    let _place = services.waiting_room.places.try_acquire().map_err(|_| Error::Busy)?;
    timeout(PATIENCE, wait(services, whose, client)).await.unwrap_or(Err(Error::Busy))
}

async fn wait(services: &Services, whose: &Whose, client: &Client) -> Result<PasswordAttempt> {
    loop {
        let _turn = services.waiting_room.turn.lock().await;
        match ask(services, whose, client).await {
            Ok(Some(attempt)) => return Ok(attempt),
            // A place in the queue may be free at the next turn.
            Ok(None) | Err(Error::Busy) => sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

/// `None`: there is none until one of those under way is decided.
///
/// In the order of what a refusal costs, for a flood is made of refusals: a full hashing queue costs nothing, a look at
/// the counts a read, and only a guess that is likely to be made a write. A place in the queue is not kept while the
/// counts are looked at: a flood at one name would keep it from all others.
async fn ask(services: &Services, whose: &Whose, client: &Client) -> Result<Option<PasswordAttempt>> {
    services.hasher.check_room()?;
    let Some((account, counts)) = look_before(services, whose, client).await? else { return Ok(None) };
    let rule = lockout::rule(services);
    let active = account.as_ref().filter(|account| account.user.is_active());
    let check = services.hasher.prepare(active.and_then(|account| account.password_hash.as_deref()))?;
    let database = services.database.clone();
    let take = move |connection: &mut AnyConnection| {
        let (mut taken, mut full) = (Vec::new(), false);
        for count in &counts {
            match lockouts::take(connection, &count.key, rule)? {
                Taken::Guess => taken.push(count.clone()),
                refused => full |= count.is_full(refused, rule)?,
            }
        }
        if full {
            counts::give_back(connection, &taken)?;
            return Ok(None);
        }
        Ok(Some(taken))
    };
    // Where nobody waits for it any more, it is given back; never what was not committed, for that could be another's.
    let counted = move |taken: Option<Vec<Count>>| taken.map(|counts| Counted { database, counts });
    let counted = services.database.write_then(take, counted).await?;
    Ok(counted.map(|counted| PasswordAttempt { account, check, counted }))
}

/// What is known before a guess is asked for. Of those who give the same name at the same time, one looks for all.
async fn look_before(services: &Services, whose: &Whose, client: &Client) -> Result<Looked> {
    let Whose::Named(name) = whose else { return look(services, whose, client).await };
    // Only the cookies that we have made tell clients apart: anyone can send others.
    let cookie =
        client.device_cookie.as_ref().filter(|_| known_browser::earlier_sign_ins(&services.root_key, client).is_some());
    let key = (name.clone(), cookie.cloned());
    let looked = services.waiting_room.looks.share(key, async || look(services, whose, client).await.map_err(Arc::new));
    // Whoever comes while one looks in vain has waited for two.
    timeout(PATIENCE, looked).await.unwrap_or_else(|elapsed| Err(Arc::new(Error::database(elapsed)))).map_err(shared)
}

async fn look(services: &Services, whose: &Whose, client: &Client) -> Result<Looked> {
    let (whose, client, rule) = (whose.clone(), client.clone(), lockout::rule(services));
    let root_key = services.root_key.clone();
    services
        .database
        .read(move |connection| {
            let account = match &whose {
                Whose::Named(name) => match NameKey::of_typed(name) {
                    Some(key) => users::by_name(connection, &key)?,
                    None => None,
                },
                Whose::Account(id) => Some(users::by_id(connection, *id)?.ok_or(Error::NotSignedIn)?),
            };
            let counts = counts::of(&root_key, &whose, account.as_ref().map(|account| &account.user), &client);
            let mut full = false;
            for count in &counts {
                if let Some(refused) = lockouts::refusal(connection, &count.key, rule)? {
                    full |= count.is_full(refused, rule)?;
                }
            }
            Ok((!full).then_some((account, counts)))
        })
        .await
}

/// Compares the password, and lets the counts know. `None`: it is wrong; that is audited.
pub(super) async fn decide(
    services: &Services,
    attempt: PasswordAttempt,
    password: &SecretString,
    session: Option<SessionId>,
    client: &Client,
) -> Result<Option<Authenticated>> {
    let PasswordAttempt { account, check, mut counted } = attempt;
    let compared = timeout(LONGEST_COMPARISON, services.hasher.verify(check, password)).await;
    let verdict = match compared.unwrap_or(Err(Error::Busy)) {
        Ok(verdict) => verdict,
        Err(error) => {
            if let Some(given_back) = counted.give_back() {
                given_back.await.ok();
            }
            return Err(error);
        }
    };
    let counts = counted.counts.clone();
    match account {
        Some(account) if verdict.matches => {
            let rule = lockout::rule(services);
            let succeed = move |connection: &mut AnyConnection| {
                counts.iter().try_for_each(|Count { key, decides }| {
                    if *decides {
                        lockouts::succeed(connection, key, rule)
                    } else {
                        lockouts::give_back(connection, key)
                    }
                })
            };
            services.database.write_then(succeed, move |()| counted.decided()).await?;
            Ok(Some(Authenticated { account, outdated: verdict.outdated }))
        }
        account => {
            note_failure(services, counted, account.map(|account| account.user), session, client).await?;
            Ok(None)
        }
    }
}

/// The name is noted only where such an account exists: people type passwords there.
async fn note_failure(
    services: &Services,
    mut counted: Counted,
    subject: Option<User>,
    session_id: Option<SessionId>,
    client: &Client,
) -> Result<()> {
    let (client, rule, counts) = (client.clone(), lockout::rule(services), counted.counts.clone());
    let user_id = subject.as_ref().map(|user| user.id);
    let fail = move |connection: &mut AnyConnection| {
        let mut lock_begins = false;
        for count in &counts {
            lock_begins |= lockouts::fail(connection, &count.key, rule)? == Some(rule.threshold);
        }
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
        audit::append(connection, &entry(Event::SignInFailed, asked_again), rule.now)?;
        if lock_begins {
            audit::append(connection, &entry(Event::SignInLocked, None), rule.now)?;
            if let Some(user) = &subject {
                changes::append(connection, Change::User(user.id))?;
            }
        }
        Ok(())
    };
    services.database.write_then(fail, move |()| counted.decided()).await?;
    // Its owner's pages tell until when it is locked.
    if let Some(user_id) = user_id {
        services.sessions.account_changed(user_id);
    }
    Ok(())
}

/// The error of a look, for each of those who shared it.
fn shared(error: Arc<Error>) -> Error {
    match *error {
        Error::Locked { retry_after } => Error::Locked { retry_after },
        Error::Unavailable(dependency, _) => Error::Unavailable(dependency, Box::new(error)),
        _ => Error::internal(error),
    }
}
