//! Keys that sign access tokens, shared by all nodes. At most one is `next` and one `active`.

use std::cmp::Reverse;

use diesel::prelude::*;

use crate::domain::Timestamp;
use crate::domain::signing_key::{KeyState, SealedKey, SigningAlgorithm, SigningKeyInfo};
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::schema::signing_keys;

/// A key as it is kept.
#[derive(Queryable, Selectable)]
#[diesel(table_name = signing_keys)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub struct StoredKey {
    pub kid: String,
    pub algorithm: SigningAlgorithm,
    pub state: KeyState,
    /// Sealed; gone once the key is retired.
    pub private_key: Option<Vec<u8>>,
    pub public_jwk: String,
    pub created_at: Timestamp,
    pub active_from: Option<Timestamp>,
    pub retired_at: Option<Timestamp>,
}

impl From<StoredKey> for SigningKeyInfo {
    fn from(key: StoredKey) -> Self {
        Self {
            kid: key.kid,
            algorithm: key.algorithm,
            state: key.state,
            created_at: key.created_at,
            active_from: key.active_from,
            retired_at: key.retired_at,
        }
    }
}

/// Makes whoever else wants to change keys wait until this transaction ends. SQLite's write transactions do by
/// themselves.
pub fn lock(connection: &mut AnyConnection) -> Result<()> {
    if let AnyConnection::Postgres(_) = connection {
        diesel::sql_query("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE").execute(connection)?;
    }
    Ok(())
}

/// All keys: next, active, then the retired ones, newest first.
pub fn all(connection: &mut AnyConnection) -> Result<Vec<StoredKey>> {
    let mut keys = signing_keys::table.select(StoredKey::as_select()).load(connection)?;
    keys.sort_by_key(|key| (key.state, Reverse(key.created_at)));
    Ok(keys)
}

/// Adds a key as `next`.
pub fn insert_next(connection: &mut AnyConnection, key: &SealedKey, now: Timestamp) -> Result<()> {
    diesel::insert_into(signing_keys::table)
        .values((
            signing_keys::kid.eq(&key.kid),
            signing_keys::algorithm.eq(key.algorithm),
            signing_keys::state.eq(KeyState::Next),
            signing_keys::private_key.eq(&key.private_key),
            signing_keys::public_jwk.eq(&key.public_jwk),
            signing_keys::created_at.eq(now),
        ))
        .execute(connection)?;
    Ok(())
}

/// Forgets the `next` key, which never signed anything.
pub fn delete_next(connection: &mut AnyConnection) -> Result<()> {
    diesel::delete(signing_keys::table.filter(signing_keys::state.eq(KeyState::Next))).execute(connection)?;
    Ok(())
}

/// Retires the `active` key, if there is one: it signs nothing any more, and its private part is wiped.
pub fn retire(connection: &mut AnyConnection, now: Timestamp) -> Result<()> {
    diesel::update(signing_keys::table.filter(signing_keys::state.eq(KeyState::Active)))
        .set((
            signing_keys::state.eq(KeyState::Retired),
            signing_keys::retired_at.eq(now),
            signing_keys::private_key.eq(None::<Vec<u8>>),
        ))
        .execute(connection)?;
    Ok(())
}

/// Makes the `next` key the `active` one.
pub fn activate_next(connection: &mut AnyConnection, now: Timestamp) -> Result<()> {
    diesel::update(signing_keys::table.filter(signing_keys::state.eq(KeyState::Next)))
        .set((signing_keys::state.eq(KeyState::Active), signing_keys::active_from.eq(now)))
        .execute(connection)?;
    Ok(())
}

/// Forgets keys that were retired before `limit`.
pub fn prune(connection: &mut AnyConnection, limit: Timestamp) -> Result<usize> {
    let retired = signing_keys::table.filter(signing_keys::state.eq(KeyState::Retired));
    Ok(diesel::delete(retired.filter(signing_keys::retired_at.lt(limit))).execute(connection)?)
}
