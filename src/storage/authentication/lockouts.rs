//! Failed password checks, counted, and apart from them the guesses that are under way. A row is a count: it ends at
//! `expires_at`, and while it lives with as many failures as the threshold it is a lock. Which counts there are, and why
//! they are here, is told in [`crate::services::authentication::lockout`].
//!
//! Whoever changes several rows in one transaction does it in the order of their keys, so that on PostgreSQL none waits
//! for another who waits for it.

use diesel::dsl::count;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable};

use crate::domain::{Timestamp, UserId};
use crate::storage::Result;
use crate::storage::database::AnyConnection;
use crate::storage::schema::lockouts;
use crate::storage::types::{Id, TimestampColumn};

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
    /// Until when a guess of now is under way, if it is never decided. Not after `until`.
    pub lease: Timestamp,
}

/// What came of asking for a guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is under way.
    Guess,
    /// There are no more until one of those under way is decided.
    Full,
    /// There are no more until then.
    Locked(Timestamp),
}

impl Taken {
    /// Of a count that is full.
    fn refused(failures: i64, until: Timestamp, rule: Rule) -> Self {
        if failures < rule.threshold { Self::Full } else { Self::Locked(until) }
    }
}

/// Why there is no guess now, as far as can be seen without asking for one: a refusal costs no write.
pub fn refusal(connection: &mut AnyConnection, key: &Key, rule: Rule) -> Result<Option<Taken>> {
    let row = lockouts::table.find(key.hash.to_vec()).filter(lockouts::expires_at.gt(rule.now));
    let row = row.select((lockouts::failures, lockouts::pending, lockouts::expires_at)).first(connection).optional()?;
    let full = |&(failures, pending, _): &(i64, i64, Timestamp)| failures + pending >= rule.threshold;
    Ok(row.filter(full).map(|(failures, _, until)| Taken::refused(failures, until, rule)))
}

/// Asks for a guess, which is then under way. One statement, so that of any number at once, on any number of nodes, no
/// more than the threshold get one: the upsert of both databases decides on the row as it is when it has it.
pub fn take(connection: &mut AnyConnection, key: &Key, rule: Rule) -> Result<Taken> {
    let taken = diesel::sql_query(
        "INSERT INTO lockouts (key, user_id, failures, pending, expires_at) VALUES ($1, $2, 0, 1, $3) \
         ON CONFLICT (key) DO UPDATE SET \
         failures = CASE WHEN lockouts.expires_at <= $4 THEN 0 ELSE lockouts.failures END, \
         pending = CASE WHEN lockouts.expires_at <= $4 THEN 1 ELSE lockouts.pending + 1 END, \
         expires_at = CASE WHEN lockouts.expires_at < $3 THEN $3 ELSE lockouts.expires_at END \
         WHERE lockouts.expires_at <= $4 OR lockouts.failures + lockouts.pending < $5",
    )
    .bind::<Binary, _>(key.hash.to_vec())
    .bind::<Nullable<Id>, _>(key.user_id)
    .bind::<TimestampColumn, _>(rule.lease)
    .bind::<TimestampColumn, _>(rule.now)
    .bind::<BigInt, _>(rule.threshold)
    .execute(connection)?;
    if taken == 1 {
        return Ok(Taken::Guess);
    }
    // PostgreSQL holds the row that it did not update, so it is still there.
    let (failures, until): (i64, Timestamp) =
        lockouts::table.find(key.hash.to_vec()).select((lockouts::failures, lockouts::expires_at)).first(connection)?;
    Ok(Taken::refused(failures, until, rule))
}

/// A guess was wrong. The number of failures, this one included; `None` where an unlock has forgotten the count
/// meanwhile.
pub fn fail(connection: &mut AnyConnection, key: &Key, rule: Rule) -> Result<Option<i64>> {
    let row = || lockouts::table.find(key.hash.to_vec());
    end_guess(connection, key)?;
    diesel::update(row())
        .set((lockouts::failures.eq(lockouts::failures + 1), lockouts::expires_at.eq(rule.until)))
        .execute(connection)?;
    Ok(row().select(lockouts::failures).first(connection).optional()?)
}

/// A guess was right: failures are counted anew. Others that are under way still are.
pub fn succeed(connection: &mut AnyConnection, key: &Key, rule: Rule) -> Result<()> {
    diesel::update(lockouts::table.find(key.hash.to_vec()))
        .set((lockouts::failures.eq(0), lockouts::expires_at.eq(rule.lease)))
        .execute(connection)?;
    give_back(connection, key)
}

/// Takes a guess back that was none. A count of nothing keeps no row.
pub fn give_back(connection: &mut AnyConnection, key: &Key) -> Result<()> {
    end_guess(connection, key)?;
    let row = lockouts::table.find(key.hash.to_vec());
    diesel::delete(row.filter(lockouts::failures.eq(0)).filter(lockouts::pending.eq(0))).execute(connection)?;
    Ok(())
}

/// A guess is no longer under way. None is where an unlock has forgotten the count meanwhile.
fn end_guess(connection: &mut AnyConnection, key: &Key) -> Result<()> {
    let row = lockouts::table.find(key.hash.to_vec()).filter(lockouts::pending.gt(0));
    diesel::update(row).set(lockouts::pending.eq(lockouts::pending - 1)).execute(connection)?;
    Ok(())
}

/// Forgets every count of the account, also those of its known browsers; says how many there were.
pub fn forget_user(connection: &mut AnyConnection, user: UserId) -> Result<usize> {
    let of_user = lockouts::table.filter(lockouts::user_id.eq(user));
    let AnyConnection::Postgres(postgres) = connection else {
        return Ok(diesel::delete(of_user).execute(connection)?);
    };
    // A DELETE locks rows in whatever order it finds them. A count that comes after this look is of a later guess.
    let keys: Vec<Vec<u8>> = of_user.select(lockouts::key).order(lockouts::key).for_update().load(postgres)?;
    Ok(diesel::delete(lockouts::table.filter(lockouts::key.eq_any(keys))).execute(postgres)?)
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
pub(in crate::storage) fn locked(rule: Rule) -> _ {
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

/// Forgets counts that have ended. One that somebody is just beginning anew is left alone, and not waited for.
pub fn prune(connection: &mut AnyConnection, now: Timestamp) -> Result<usize> {
    let AnyConnection::Postgres(postgres) = connection else {
        return Ok(diesel::delete(lockouts::table.filter(lockouts::expires_at.le(now))).execute(connection)?);
    };
    let delete = "DELETE FROM lockouts WHERE key IN \
                  (SELECT key FROM lockouts WHERE expires_at <= $1 FOR UPDATE SKIP LOCKED)";
    Ok(diesel::sql_query(delete).bind::<TimestampColumn, _>(now).execute(postgres)?)
}
