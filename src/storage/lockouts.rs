//! Failed password checks, counted. A row is a count: it ends at `expires_at`, and while it lives with as many failures
//! as the threshold it is a lock. Which counts there are, and why they are here, is told in
//! [`crate::services::lockout`].

use diesel::dsl::count;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};

use super::database::AnyConnection;
use super::schema::lockouts;
use super::types::{Id, Moment};
use crate::domain::{Error, Timestamp, UserId};

type Result<T> = std::result::Result<T, Error>;

/// So many accounts are asked about in one statement; SQLite allows some more.
const PARAMETERS: usize = 1000;

/// Which count.
#[derive(Clone, Debug)]
pub struct Key {
    /// A keyed hash of what is counted.
    pub hash: [u8; 32],
    /// The account, where there is one.
    pub user_id: Option<UserId>,
}

/// The rule of the settings, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// So many failures are a lock.
    pub threshold: i64,
    pub now: Timestamp,
    /// Until when a failure of now is remembered.
    pub until: Timestamp,
}

/// What came of asking for a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is counted as a failure; the number of those, this one included.
    Guess(i64),
    /// There are no more until then.
    Locked(Timestamp),
}

#[derive(QueryableByName)]
struct Failures {
    #[diesel(sql_type = BigInt)]
    failures: i64,
}

/// Counts a failure before it has happened. One statement, so that of any number at once, on any number of nodes, no
/// more than the threshold get a guess: the upsert of both databases decides on the row as it is when it has it.
pub fn take(connection: &mut AnyConnection, key: &Key, rule: Rule) -> Result<Taken> {
    let counted: Option<Failures> = diesel::sql_query(
        "INSERT INTO lockouts (key, user_id, failures, expires_at) VALUES ($1, $2, 1, $3) \
         ON CONFLICT (key) DO UPDATE SET \
         failures = CASE WHEN lockouts.expires_at <= $4 THEN 1 ELSE lockouts.failures + 1 END, expires_at = $3 \
         WHERE lockouts.expires_at <= $4 OR lockouts.failures < $5 \
         RETURNING failures",
    )
    .bind::<Binary, _>(key.hash.to_vec())
    .bind::<Nullable<Id>, _>(key.user_id)
    .bind::<Moment, _>(rule.until)
    .bind::<Moment, _>(rule.now)
    .bind::<BigInt, _>(rule.threshold)
    .get_result(connection)
    .optional()?;
    match counted {
        Some(Failures { failures }) => Ok(Taken::Guess(failures)),
        // PostgreSQL holds the row that it did not update, so it is still there.
        None => {
            Ok(Taken::Locked(lockouts::table.find(key.hash.to_vec()).select(lockouts::expires_at).first(connection)?))
        }
    }
}

/// Takes a guess back that was none. A count of none keeps no row.
pub fn give_back(connection: &mut AnyConnection, key: &Key) -> Result<()> {
    let row = || lockouts::table.find(key.hash.to_vec());
    diesel::update(row()).set(lockouts::failures.eq(lockouts::failures - 1)).execute(connection)?;
    diesel::delete(row().filter(lockouts::failures.le(0))).execute(connection)?;
    Ok(())
}

/// Begins anew: somebody gave the right password.
pub fn forget(connection: &mut AnyConnection, key: &Key) -> Result<()> {
    diesel::delete(lockouts::table.find(key.hash.to_vec())).execute(connection)?;
    Ok(())
}

/// Forgets every count of the account, also those of its known browsers; says how many there were.
pub fn forget_user(connection: &mut AnyConnection, user: UserId) -> Result<usize> {
    Ok(diesel::delete(lockouts::table.filter(lockouts::user_id.eq(user))).execute(connection)?)
}

/// The accounts among these that are locked, for strangers or in one of their known browsers, with the end of each lock.
pub fn locks_of(connection: &mut AnyConnection, users: &[UserId], rule: Rule) -> Result<Vec<(UserId, Timestamp)>> {
    let mut locks = Vec::new();
    for users in users.chunks(PARAMETERS) {
        let rows: Vec<(Option<UserId>, Timestamp)> = lockouts::table
            .filter(lockouts::user_id.eq_any(users.to_vec()))
            .filter(lockouts::failures.ge(rule.threshold))
            .filter(lockouts::expires_at.gt(rule.now))
            .select((lockouts::user_id, lockouts::expires_at))
            .load(connection)?;
        locks.extend(rows.into_iter().filter_map(|(user, until)| Some((user?, until))));
    }
    Ok(locks)
}

/// The accounts that are locked, as a part of a greater query.
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn locked(rule: Rule) -> _ {
    let now: Timestamp = rule.now;
    let threshold: i64 = rule.threshold;
    lockouts::table
        .filter(lockouts::failures.ge(threshold))
        .filter(lockouts::expires_at.gt(now))
        .select(lockouts::user_id.assume_not_null())
}

/// How many accounts are locked.
pub fn count_locked(connection: &mut AnyConnection, rule: Rule) -> Result<i64> {
    Ok(lockouts::table
        .filter(lockouts::failures.ge(rule.threshold))
        .filter(lockouts::expires_at.gt(rule.now))
        .select(count(lockouts::user_id).aggregate_distinct())
        .first(connection)?)
}

/// Forgets counts that have ended.
pub fn prune(connection: &mut AnyConnection, now: Timestamp) -> Result<usize> {
    Ok(diesel::delete(lockouts::table.filter(lockouts::expires_at.le(now))).execute(connection)?)
}
