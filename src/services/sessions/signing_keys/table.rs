//! The keys as this process last read them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::domain::Error;
use crate::domain::keys::RootKey;
use crate::domain::signing_key::{KeyState, SHARED_KID, Signer, SigningAlgorithm, Vault, Verifier, is_kid};
use crate::services::{Result, Services};
use crate::settings::Settings;
use crate::storage::sessions::signing_keys::{self as stored, StoredKey};

/// For how long a table may be used to sign and to publish.
pub(super) const MAX_AGE: Duration = Duration::from_secs(60);
/// Unknown names make a node read the keys at most this often; whoever brings one meanwhile waits.
pub(super) const PACE: Duration = Duration::from_secs(1);

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
pub(super) struct State {
    pub table: Arc<Table>,
    /// When the last attempt to read began, and whether it succeeded.
    pub attempt: Option<(Instant, bool)>,
}

/// One reading.
#[derive(Default)]
pub(super) struct Table {
    began: Option<Instant>,
    pub verifiers: HashMap<String, Verifier>,
    pub signer: Option<Arc<Signer>>,
    pub published: Vec<Value>,
}

impl KeyTable {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The key of that name.
pub(super) async fn verifier(services: &Services, kid: &str) -> Result<Option<Verifier>> {
    let known = services.keys.state().table.verifiers.get(kid).cloned();
    let is_shared = kid == SHARED_KID && services.settings.jwt_algorithm == SigningAlgorithm::Hs256;
    if known.is_some() || !(is_kid(kid) || is_shared) {
        return Ok(known);
    }
    let table = read(services, Instant::now(), PACE).await?;
    Ok(table.verifiers.get(kid).cloned())
}

/// When the reading of the present table began.
pub(super) fn last_read(services: &Services) -> Option<Instant> {
    services.keys.state().table.began
}

/// A table that is not older than [`MAX_AGE`].
pub(super) async fn recent(services: &Services) -> Result<Arc<Table>> {
    let table = services.keys.state().table.clone();
    if table.began.is_some_and(|began| began.elapsed() < MAX_AGE) {
        return Ok(table);
    }
    read(services, Instant::now(), Duration::ZERO).await
}

/// A table whose reading began after `asked`: all who wait share one. It begins no earlier than `pace` after the
/// last.
pub(super) async fn read(services: &Services, asked: Instant, pace: Duration) -> Result<Arc<Table>> {
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
