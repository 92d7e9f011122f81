//! Keys that sign access tokens: made at the first start, rotated by schedule or when asked, published, and held in a
//! table of this process.
//!
//! SQL has the keys, so all nodes share them. A node signs only with a table that it read within the last
//! [`MAX_AGE`]; a token with a `kid` that it doesn't know makes it read again. So a key that another node made is good
//! here at once, and one that was retired there signs nothing more here after that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::domain::access_token::LEEWAY;
use crate::domain::audit::Client;
use crate::domain::keys::RootKey;
use crate::domain::signing_key::{
    KeyState, SHARED_KID, SealedKey, Signer, SigningAlgorithm, SigningKeyInfo, Vault, Verifier, is_kid,
};
use crate::domain::{Actor, Error, Event, FieldError, Outcome, Role, Timestamp};
use crate::services::authorization::lock_and_recheck;
use crate::services::{AuthContext, RecentAuthContext, Result, Services};
use crate::settings::Settings;
use crate::storage::Database;
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::signing_keys::{self as stored, StoredKey};

/// For how long a table may be used to sign and to publish.
const MAX_AGE: Duration = Duration::from_secs(60);
/// Unknown names make a node read the keys at most this often; whoever brings one meanwhile waits.
const PACE: Duration = Duration::from_secs(1);

/// The keys as this process last read them. Cheap to clone, shared by all workers.
#[derive(Clone, Default)]
pub struct KeyTable(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// One reads at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    table: Arc<Table>,
    /// When the last attempt to read began, and whether it succeeded.
    attempt: Option<(Instant, bool)>,
}

/// One reading.
#[derive(Default)]
struct Table {
    began: Option<Instant>,
    verifiers: HashMap<String, Verifier>,
    signer: Option<Arc<Signer>>,
    published: Vec<Value>,
}

impl KeyTable {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Why the keys are looked at.
#[derive(Clone, PartialEq, Eq)]
enum Occasion {
    /// `jwt_algorithm` may be another one than before. Only then: nodes that disagree must not rotate in turns.
    Start,
    Hourly,
    /// By someone who saw this key as the next one, if they looked. Once it is no longer the next, it was done already.
    Asked {
        next: Option<String>,
    },
}

/// What is to be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// The next key is missing, or of another algorithm.
    Next,
    Rotation,
    /// Nothing is signed with a key of ours: HS256.
    Retirement,
}

impl Due {
    fn find(
        keys: &[StoredKey],
        occasion: &Occasion,
        wanted: SigningAlgorithm,
        interval: TimeDelta,
        now: Timestamp,
    ) -> Self {
        let of_state = |state| keys.iter().find(|key| key.state == state);
        let (active, next) = (of_state(KeyState::Active), of_state(KeyState::Next));
        if wanted == SigningAlgorithm::Hs256 {
            let any = *occasion == Occasion::Start && active.or(next).is_some();
            return if any { Self::Retirement } else { Self::Nothing };
        }
        let Some(active) = active else { return Self::Rotation };
        let is_old = active.active_from.is_none_or(|from| from + interval <= now);
        let is_other = |key: &StoredKey| *occasion == Occasion::Start && key.algorithm != wanted;
        let is_asked = match occasion {
            Occasion::Asked { next: Some(seen) } => next.is_some_and(|next| next.kid == *seen),
            Occasion::Asked { next: None } => true,
            Occasion::Start | Occasion::Hourly => false,
        };
        if is_old || is_asked || is_other(active) {
            Self::Rotation
        } else if next.is_none_or(is_other) {
            Self::Next
        } else {
            Self::Nothing
        }
    }
}

/// The published keys (RFC 7517): next, active and retired ones. None with HS256.
pub async fn jwks(services: &Services) -> Result<Value> {
    Ok(json!({ "keys": recent_keys(services).await?.published }))
}

/// All keys, newest first. `jwt_secret` is not among them.
pub async fn list(database: &Database) -> Result<Vec<SigningKeyInfo>> {
    let keys = database.read(stored::all).await?;
    Ok(keys.into_iter().map(SigningKeyInfo::from).collect())
}

/// Lets the next key sign from now on, and gives it back. What the former one signed stays good. `next` is the
/// kid of that key, as whoever asks saw it: asked twice, it is done once, and no key signs that was published a
/// moment ago.
///
/// # Errors
/// [`Error::Forbidden`] for all but administrators; [`Error::Invalid`] with HS256, whose key is a setting.
pub async fn rotate(
    services: &Services,
    auth: &RecentAuthContext,
    next: Option<&str>,
    client: &Client,
) -> Result<SigningKeyInfo> {
    auth.require(Role::Admin)?;
    if services.settings.jwt_algorithm == SigningAlgorithm::Hs256 {
        let message = "With HS256 the key is jwt_secret: change that setting on every node.";
        return Err(Error::Invalid(FieldError::new("jwt_algorithm", "shared_secret", message).into()));
    }
    settle(services, Occasion::Asked { next: next.map(str::to_owned) }, auth, client).await?;
    let active = list(&services.database).await?.into_iter().find(|key| key.state == KeyState::Active);
    active.ok_or_else(|| Error::internal("there is no active signing key after a rotation"))
}

/// Makes the first keys, and follows a changed `jwt_algorithm`. When the server starts.
pub async fn prepare(services: &Services) -> Result<()> {
    settle(services, Occasion::Start, &AuthContext::system(), &Client::default()).await
}

/// Rotates when the active key is older than `key_rotation_interval`, and forgets keys whose last token is dead.
/// Any node may do it, several at once too.
pub async fn rotate_when_due(services: &Services) -> Result<()> {
    settle(services, Occasion::Hourly, &AuthContext::system(), &Client::default()).await?;
    // A node that has not heard of the retirement signs for another MAX_AGE.
    let late = TimeDelta::from_std(MAX_AGE).map_err(Error::internal)?;
    let limit = services.clock.now() - services.settings.access_token_ttl - LEEWAY - late;
    services.database.write(move |connection| stored::prune(connection, limit)).await?;
    Ok(())
}

/// The key that signs.
pub(in crate::services) async fn signer(services: &Services) -> Result<Arc<Signer>> {
    if let Some(signer) = &recent_keys(services).await?.signer {
        return Ok(signer.clone());
    }
    // Another node, with HS256, retired it.
    settle(services, Occasion::Hourly, &AuthContext::system(), &Client::default()).await?;
    let table = recent_keys(services).await?;
    table.signer.clone().ok_or_else(|| Error::internal("there is no active signing key"))
}

/// The key of that name.
pub(in crate::services) async fn verifier(services: &Services, kid: &str) -> Result<Option<Verifier>> {
    let known = services.keys.state().table.verifiers.get(kid).cloned();
    let is_shared = kid == SHARED_KID && services.settings.jwt_algorithm == SigningAlgorithm::Hs256;
    if known.is_some() || !(is_kid(kid) || is_shared) {
        return Ok(known);
    }
    let table = read_keys(services, Instant::now(), PACE).await?;
    Ok(table.verifiers.get(kid).cloned())
}

/// A table that is not older than [`MAX_AGE`].
async fn recent_keys(services: &Services) -> Result<Arc<Table>> {
    let table = services.keys.state().table.clone();
    if table.began.is_some_and(|began| began.elapsed() < MAX_AGE) {
        return Ok(table);
    }
    read_keys(services, Instant::now(), Duration::ZERO).await
}

/// A table whose reading began after `asked`: all who wait share one. It begins no earlier than `pace` after the
/// last.
async fn read_keys(services: &Services, asked: Instant, pace: Duration) -> Result<Arc<Table>> {
    let _turn = services.keys.0.turn.lock().await;
    let last = services.keys.state().attempt;
    match last {
        Some((began, true)) if began >= asked => return Ok(services.keys.state().table.clone()),
        Some((began, false)) if began >= asked => return Err(Error::database("the signing keys were not read")),
        Some((began, _)) => tokio::time::sleep(pace.saturating_sub(began.elapsed())).await,
        None => {}
    }
    let began = Instant::now();
    let read = services
        .database
        .read(stored::all)
        .await
        .and_then(|keys| table_of(&services.settings, &services.root_key, keys, began));
    let mut state = services.keys.state();
    state.attempt = Some((began, read.is_ok()));
    state.table = Arc::new(read?);
    Ok(state.table.clone())
}

fn table_of(settings: &Settings, root_key: &RootKey, keys: Vec<StoredKey>, began: Instant) -> Result<Table> {
    let mut table = Table { began: Some(began), ..Table::default() };
    let vault = Vault::new(root_key).map_err(Error::internal)?;
    for key in keys {
        let jwk: Value = serde_json::from_str(&key.public_jwk).map_err(Error::internal)?;
        if let (KeyState::Active, Some(sealed)) = (key.state, &key.private_key) {
            let signer = Signer::open(&key.kid, key.algorithm, sealed, &vault).map_err(Error::internal)?;
            table.signer = Some(Arc::new(signer));
        }
        table.verifiers.insert(key.kid, Verifier::of_jwk(key.algorithm, &jwk).map_err(Error::internal)?);
        table.published.push(jwk);
    }
    if let (SigningAlgorithm::Hs256, Some(secret)) = (settings.jwt_algorithm, &settings.jwt_secret) {
        let secret = secret.expose_secret().as_bytes();
        table.signer = Some(Arc::new(Signer::shared(secret)));
        table.verifiers.insert(SHARED_KID.to_owned(), Verifier::shared(secret));
        table.published.clear();
    }
    Ok(table)
}

/// Does what is due, and reads the table again where anything was.
async fn settle(services: &Services, occasion: Occasion, auth: &AuthContext, client: &Client) -> Result<()> {
    let (wanted, interval) = (services.settings.jwt_algorithm, services.settings.key_rotation_interval);
    let now = services.clock.now();
    let keys = services.database.read(stored::all).await?;
    let fresh = match Due::find(&keys, &occasion, wanted, interval, now) {
        Due::Nothing => return Ok(()),
        Due::Retirement => None,
        Due::Next | Due::Rotation => Some(generate_two(&services.settings, &services.root_key).await?),
    };
    let (auth, client) = (auth.clone(), client.clone());
    services
        .database
        .write(move |connection| {
            // Another node may have done it meanwhile.
            stored::lock(connection)?;
            let auth = lock_and_recheck(connection, &auth)?;
            auth.require(Role::Admin)?;
            let keys = stored::all(connection)?;
            match (Due::find(&keys, &occasion, wanted, interval, now), &fresh) {
                (Due::Nothing, _) | (Due::Next | Due::Rotation, None) => Ok(()),
                (Due::Retirement, _) => {
                    stored::delete_next(connection)?;
                    stored::retire(connection, now)
                }
                (Due::Next, Some([next, _])) => {
                    stored::delete_next(connection)?;
                    stored::insert_next(connection, next, now)
                }
                (Due::Rotation, Some(fresh)) => advance(connection, &keys, fresh, &auth.actor, &client, now),
            }
        })
        .await?;
    read_keys(services, Instant::now(), Duration::ZERO).await?;
    Ok(())
}

/// As many as a rotation can need, made before its transaction: that must be short.
async fn generate_two(settings: &Settings, root_key: &RootKey) -> Result<[SealedKey; 2]> {
    let (algorithm, root) = (settings.jwt_algorithm, root_key.clone());
    let generate = move || {
        let vault = Vault::new(&root)?;
        Ok([SealedKey::generate(algorithm, &vault)?, SealedKey::generate(algorithm, &vault)?])
    };
    let made: std::result::Result<_, crate::domain::signing_key::KeyError> =
        tokio::task::spawn_blocking(generate).await.map_err(Error::internal)?;
    made.map_err(Error::internal)
}

/// The next key signs, the former one retires, and a new one is published. A next key of another algorithm than the
/// fresh ones is thrown away; where there is none, as at the first start, a fresh one takes its place.
fn advance(
    connection: &mut AnyConnection,
    keys: &[StoredKey],
    [first, second]: &[SealedKey; 2],
    actor: &Actor,
    client: &Client,
    now: Timestamp,
) -> Result<()> {
    let next = keys.iter().find(|key| key.state == KeyState::Next && key.algorithm == first.algorithm);
    if next.is_none() {
        stored::delete_next(connection)?;
        stored::insert_next(connection, first, now)?;
    }
    stored::retire(connection, now)?;
    stored::activate_next(connection, now)?;
    stored::insert_next(connection, second, now)?;
    if keys.iter().all(|key| key.state != KeyState::Active) {
        return Ok(()); // the first keys are no rotation
    }
    let kid = next.map_or(&first.kid, |next| &next.kid);
    let entry = Entry {
        event: Event::KeyRotated,
        outcome: Outcome::Success,
        actor,
        subject: None,
        session_id: None,
        detail: Some(format!("{} {kid}", first.algorithm)),
        client,
    };
    audit::append(connection, &entry, now)
}

#[cfg(test)]
mod tests;
