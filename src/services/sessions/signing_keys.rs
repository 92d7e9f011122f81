//! Keys that sign access tokens: made at the first start, rotated by schedule or when asked, published, and held in a
//! table of this process.
//!
//! SQL has the keys, so all nodes share them. A node signs only with a table that it read within the last
//! [`MAX_AGE`]; a token with a `kid` that it doesn't know makes it read again. So a key that another node made is good
//! here at once, and one that was retired there signs nothing more here after that.

mod due;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::{Value, json};

use self::due::{Due, Occasion};
pub use self::table::KeyTable;
use self::table::MAX_AGE;
use crate::domain::access_token::LEEWAY;
use crate::domain::audit::Client;
use crate::domain::keys::RootKey;
use crate::domain::signing_key::{KeyState, SealedKey, Signer, SigningAlgorithm, SigningKeyInfo, Vault, Verifier};
use crate::domain::{Actor, Error, Event, FieldError, Outcome, Role, Timestamp};
use crate::services::authorization::lock_and_recheck;
use crate::services::{AuthContext, RecentAuthContext, Result, Services};
use crate::settings::Settings;
use crate::storage::Database;
use crate::storage::audit::{self, Entry};
use crate::storage::database::AnyConnection;
use crate::storage::sessions::signing_keys::{self as stored, StoredKey};

/// The published keys (RFC 7517): next, active and retired ones. None with HS256.
pub async fn jwks(services: &Services) -> Result<Value> {
    Ok(json!({ "keys": table::recent(services).await?.published }))
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
/// Any node may do it, several at once too; none where two clocks are so far apart that nobody knows how old a key is.
pub async fn rotate_when_due(services: &Services) -> Result<()> {
    settle(services, Occasion::Hourly, &AuthContext::system(), &Client::default()).await?;
    if !services.clocks.agree() {
        return Ok(());
    }
    // A node that has not heard of the retirement signs for another MAX_AGE.
    let late = TimeDelta::from_std(MAX_AGE).map_err(Error::internal)?;
    let limit = services.clock.now() - services.settings.access_token_ttl - LEEWAY - late;
    services.database.write(move |connection| stored::prune(connection, limit)).await?;
    Ok(())
}

/// The key that signs.
pub(in crate::services) async fn signer(services: &Services) -> Result<Arc<Signer>> {
    if let Some(signer) = &table::recent(services).await?.signer {
        return Ok(signer.clone());
    }
    // Another node, with HS256, retired it.
    settle(services, Occasion::Hourly, &AuthContext::system(), &Client::default()).await?;
    let table = table::recent(services).await?;
    table.signer.clone().ok_or_else(|| Error::internal("there is no active signing key"))
}

/// The key of that name.
pub(in crate::services) async fn verifier(services: &Services, kid: &str) -> Result<Option<Verifier>> {
    table::verifier(services, kid).await
}

/// When the keys were read that this process goes by now.
pub(in crate::services) fn last_read(services: &Services) -> Option<Instant> {
    table::last_read(services)
}

/// Does what is due, and reads the table again where anything was.
async fn settle(services: &Services, occasion: Occasion, auth: &AuthContext, client: &Client) -> Result<()> {
    let (wanted, now) = (services.settings.jwt_algorithm, services.clock.now());
    let interval = if services.clocks.agree() { services.settings.key_rotation_interval } else { TimeDelta::MAX };
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
    table::read(services, Instant::now(), Duration::ZERO).await?;
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
