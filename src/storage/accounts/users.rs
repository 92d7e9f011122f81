//! Accounts in SQL. Each change of profile, role, status or epoch raises `rev` and is a row of the feed.

use std::collections::HashMap;

use diesel::prelude::*;

use crate::domain::NameKey;
use crate::domain::{EmailAddress, Role, Timestamp, User, UserId, UserStatus, Username};
use crate::storage::Result;
use crate::storage::database::{AnyConnection, MultiBackend};
use crate::storage::schema::users;
use crate::storage::sessions::changes::{self, Change};

/// An account with what only the password check may see.
#[derive(Clone)]
pub struct StoredUser {
    pub user: User,
    /// As [`crate::domain::password_hash`] reads it; `None` until the owner has chosen a password.
    pub password_hash: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = users)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(in crate::storage) struct Row {
    id: UserId,
    username: String,
    email: String,
    name: Option<String>,
    role: Role,
    status: UserStatus,
    epoch: i64,
    password_hash: Option<String>,
    password_changed_at: Option<Timestamp>,
    created_at: Timestamp,
    last_sign_in_at: Option<Timestamp>,
}

impl From<Row> for StoredUser {
    fn from(row: Row) -> Self {
        Self {
            user: User {
                id: row.id,
                username: Username::from_stored(row.username),
                email: EmailAddress::from_stored(row.email),
                name: row.name,
                role: row.role,
                status: row.status,
                epoch: row.epoch,
                created_at: row.created_at,
                has_password: row.password_hash.is_some(),
                password_changed_at: row.password_changed_at,
                last_sign_in_at: row.last_sign_in_at,
            },
            password_hash: row.password_hash,
        }
    }
}

/// The account with that id, unless it is deleted.
pub fn by_id(connection: &mut AnyConnection, id: UserId) -> Result<Option<StoredUser>> {
    let row: Option<Row> = users::table
        .find(id)
        .filter(users::deleted_at.is_null())
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    Ok(row.map(StoredUser::from))
}

/// Those of these accounts that are there.
pub fn by_ids(connection: &mut AnyConnection, ids: &[UserId]) -> Result<HashMap<UserId, User>> {
    let rows: Vec<Row> = users::table
        .filter(users::id.eq_any(ids.to_vec()))
        .filter(users::deleted_at.is_null())
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(|row| StoredUser::from(row).user).map(|user| (user.id, user)).collect())
}

/// The account, and nobody else changes it before this transaction ends. SQLite's write transaction does that by itself.
pub fn lock(connection: &mut AnyConnection, id: UserId) -> Result<Option<StoredUser>> {
    if let AnyConnection::Postgres(connection) = connection {
        users::table.find(id).select(users::id).for_update().execute(connection)?;
    }
    by_id(connection, id)
}

/// Nobody signs in, registers or is changed before this transaction ends; all of those lock an account first. Row by row
/// would miss who comes between two statements, and meet others who hold an account and wait for its sessions.
pub fn lock_all(connection: &mut AnyConnection) -> Result<()> {
    if let AnyConnection::Postgres(connection) = connection {
        diesel::sql_query("LOCK TABLE users IN EXCLUSIVE MODE").execute(connection)?;
    }
    Ok(())
}

/// The account whose username or e-mail has that canonical form.
pub fn by_name(connection: &mut AnyConnection, key: &NameKey) -> Result<Option<StoredUser>> {
    let key = key.as_str().to_owned();
    let row: Option<Row> = users::table
        .filter(users::username_key.eq(key.clone()).or(users::email_key.eq(key)))
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    Ok(row.map(StoredUser::from))
}

/// At most `limit` accounts by username, beginning after the one of that canonical form.
pub fn after(connection: &mut AnyConnection, username: Option<&NameKey>, limit: i64) -> Result<Vec<StoredUser>> {
    let mut query = users::table
        // Those of deleted accounts are free again.
        .filter(users::username_key.is_not_null())
        .order(users::username_key)
        .select(Row::as_select())
        .limit(limit)
        .into_boxed::<MultiBackend>();
    if let Some(username) = username {
        query = query.filter(users::username_key.gt(username.as_str().to_owned()));
    }
    Ok(query.load::<Row>(connection)?.into_iter().map(StoredUser::from).collect())
}

/// An active administrator.
pub struct Administrator {
    pub id: UserId,
    /// Whether it can sign in: one that has chosen no password yet may never do.
    pub has_password: bool,
}

/// All active administrators. Locks them, so that two who demote each other can't both be the last but one.
pub fn lock_active_administrators(connection: &mut AnyConnection) -> Result<Vec<Administrator>> {
    let administrators = users::table
        .filter(users::role.eq(Role::Admin))
        .filter(users::status.eq(UserStatus::Active))
        .filter(users::deleted_at.is_null())
        .order(users::id)
        .select((users::id, users::password_hash.is_not_null()));
    let found: Vec<(UserId, bool)> = match connection {
        AnyConnection::Postgres(connection) => administrators.for_update().load(connection)?,
        AnyConnection::Sqlite(connection) => administrators.load(connection)?,
    };
    Ok(found.into_iter().map(|(id, has_password)| Administrator { id, has_password }).collect())
}

/// Whether an active administrator exists.
pub fn administrator_exists(connection: &mut AnyConnection) -> Result<bool> {
    let one: Option<UserId> = users::table
        .filter(users::role.eq(Role::Admin))
        .filter(users::status.eq(UserStatus::Active))
        .filter(users::deleted_at.is_null())
        .select(users::id)
        .first(connection)
        .optional()?;
    Ok(one.is_some())
}

pub fn set_role(connection: &mut AnyConnection, id: UserId, role: Role) -> Result<()> {
    diesel::update(users::table.find(id))
        .set((users::role.eq(role), users::rev.eq(users::rev + 1)))
        .execute(connection)?;
    changes::append(connection, Change::User(id))
}

/// Suspends or reinstates. Both raise the epoch: what was signed in before stays signed out after.
pub fn set_status(connection: &mut AnyConnection, id: UserId, status: UserStatus) -> Result<()> {
    diesel::update(users::table.find(id))
        .set((users::status.eq(status), users::epoch.eq(users::epoch + 1), users::rev.eq(users::rev + 1)))
        .execute(connection)?;
    changes::append(connection, Change::User(id))
}

/// Kills every session of the account that is not given the new epoch, which this returns.
pub fn raise_epoch(connection: &mut AnyConnection, id: UserId) -> Result<i64> {
    let epoch = diesel::update(users::table.find(id))
        .set((users::epoch.eq(users::epoch + 1), users::rev.eq(users::rev + 1)))
        .returning(users::epoch)
        .get_result(connection)?;
    changes::append(connection, Change::User(id))?;
    Ok(epoch)
}

/// A new secret of one session concerns the user's copy too: both are read again together.
pub fn raise_rev(connection: &mut AnyConnection, id: UserId) -> Result<()> {
    diesel::update(users::table.find(id)).set(users::rev.eq(users::rev + 1)).execute(connection)?;
    changes::append(connection, Change::User(id))
}

/// A new password. The caller raises the epoch.
pub fn set_password(connection: &mut AnyConnection, id: UserId, hash: &str, now: Timestamp) -> Result<()> {
    diesel::update(users::table.find(id))
        .set((users::password_hash.eq(hash), users::password_changed_at.eq(now)))
        .execute(connection)?;
    Ok(())
}

/// The same password, hashed as we do it today; only if nobody has changed it meanwhile.
pub fn rehash(connection: &mut AnyConnection, id: UserId, old: &str, new: &str) -> Result<()> {
    diesel::update(users::table.find(id).filter(users::password_hash.eq(old)))
        .set(users::password_hash.eq(new))
        .execute(connection)?;
    Ok(())
}

pub fn set_last_sign_in(connection: &mut AnyConnection, id: UserId, now: Timestamp) -> Result<()> {
    diesel::update(users::table.find(id)).set(users::last_sign_in_at.eq(now)).execute(connection)?;
    Ok(())
}

/// Frees the names and forgets the rest; the row stays, suspended, for the history of its sessions.
pub fn delete(connection: &mut AnyConnection, id: UserId, now: Timestamp) -> Result<()> {
    diesel::update(users::table.find(id))
        .set((
            users::username_key.eq(None::<String>),
            users::email_key.eq(None::<String>),
            users::email.eq(""),
            users::name.eq(None::<String>),
            users::search_text.eq(""),
            users::password_hash.eq(None::<String>),
            users::status.eq(UserStatus::Suspended),
            users::epoch.eq(users::epoch + 1),
            users::rev.eq(users::rev + 1),
            users::deleted_at.eq(now),
        ))
        .execute(connection)?;
    changes::append(connection, Change::UserDeleted(id))
}
