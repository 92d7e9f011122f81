//! Sessions in SQL: the truth, with or without Redis.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Text;
use tokio::time::timeout;

use super::super::database::{AnyConnection, Database};
use super::super::schema::{changes as feed, sessions};
use super::super::types::Id;
use super::change_kind::ChangeKind;
use super::changes::{self, Change};
use super::fields::core_fields;
use super::open::open;
use crate::domain::keys::SecretHash;
use crate::domain::refresh_token::{RefreshSeed, RefreshState, TokenFamily};
use crate::domain::session::{Ended, LiveSession, SessionCore};
use crate::domain::{Actor, EndReason, Error, Session, SessionId, SessionKind, Timestamp, User, UserId};
use crate::storage::Result;

/// How long a request waits until its activity is noted.
const TOUCH_PATIENCE: Duration = Duration::from_millis(100);

/// A session to be.
#[derive(Clone)]
pub struct NewSession {
    pub id: SessionId,
    pub kind: SessionKind,
    pub secret: SecretHash,
    pub remember: bool,
    pub device: String,
    pub address: String,
    pub now: Timestamp,
    pub idle: TimeDelta,
    pub absolute_limit: Timestamp,
    /// Of kind `api`: what its refresh tokens are computed from.
    pub refresh_seed: Option<RefreshSeed>,
}

impl NewSession {
    /// What its program learns, once it is open; `None` of a session without refresh tokens.
    pub fn token_family(&self, user: &User) -> Option<TokenFamily> {
        Some(TokenFamily {
            session: LiveSession { core: self.core(user.id), role: user.role },
            refresh_state: RefreshState { seed: self.refresh_seed?, counter: 0, rotated_at: None },
            idle: self.idle,
            last_active_at: self.now,
        })
    }

    fn core(&self, user_id: UserId) -> SessionCore {
        SessionCore {
            id: self.id,
            user_id,
            kind: self.kind,
            remember: self.remember,
            created_at: self.now,
            password_entered_at: self.now,
            absolute_limit: self.absolute_limit,
        }
    }
}

/// Opens the session under the account's epoch. Whoever opens one has locked the account, and seen that it is active and
/// still of that epoch.
pub fn insert(connection: &mut AnyConnection, user: &User, new: &NewSession) -> Result<()> {
    diesel::insert_into(sessions::table)
        .values((
            CoreColumns::from(new.core(user.id)),
            sessions::secret_hash.eq(new.secret.0.to_vec()),
            sessions::epoch.eq(user.epoch),
            sessions::device.eq(&new.device),
            sessions::address.eq(&new.address),
            sessions::last_active_at.eq(new.now),
            sessions::idle_ms.eq(new.idle.num_milliseconds()),
            sessions::refresh_seed.eq(new.refresh_seed.map(|seed| seed.0.to_vec())),
        ))
        .execute(connection)?;
    Ok(())
}

macro_rules! columns {
    ($($field:ident: $type:ty = $_:literal;)+) => {
        /// Those of a [`SessionCore`].
        #[derive(Queryable, Selectable, Insertable)]
        #[diesel(table_name = sessions)]
        #[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
        pub(super) struct CoreColumns {
            id: SessionId,
            user_id: UserId,
            $($field: $type,)+
        }

        impl From<SessionCore> for CoreColumns {
            fn from(core: SessionCore) -> Self {
                Self { id: core.id, user_id: core.user_id, $($field: core.$field,)+ }
            }
        }

        impl From<CoreColumns> for SessionCore {
            fn from(columns: CoreColumns) -> Self {
                Self { id: columns.id, user_id: columns.user_id, $($field: columns.$field,)+ }
            }
        }
    };
}
core_fields!(columns);

#[derive(Queryable, Selectable)]
#[diesel(table_name = sessions)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct Row {
    #[diesel(embed)]
    core: CoreColumns,
    device: String,
    address: String,
    last_active_at: Timestamp,
    idle_ms: i64,
    ended_at: Option<Timestamp>,
    ended_by: Option<String>,
    end_reason: Option<EndReason>,
}

impl From<Row> for Session {
    fn from(row: Row) -> Self {
        let ended = row.ended_at.zip(row.end_reason);
        Self {
            core: row.core.into(),
            device: row.device,
            address: row.address,
            last_active_at: row.last_active_at,
            idle: TimeDelta::milliseconds(row.idle_ms),
            ended: ended.map(|(at, reason)| Ended { at, reason, by: row.ended_by.unwrap_or_default() }),
        }
    }
}

/// Who ended sessions, when and why.
pub struct End<'a> {
    pub reason: EndReason,
    pub by: &'a Actor,
    pub at: Timestamp,
}

/// Ends one session; false if it had ended before.
pub fn end(connection: &mut AnyConnection, user: UserId, session: SessionId, end: &End<'_>) -> Result<bool> {
    let changed = diesel::update(sessions::table.find(session).filter(sessions::user_id.eq(user)).filter(open()))
        .set((
            sessions::ended_at.eq(end.at),
            sessions::ended_by.eq(end.by.label()),
            sessions::end_reason.eq(end.reason),
        ))
        .execute(connection)?;
    if changed == 1 {
        changes::append(connection, Change::SessionEnded(user, session))?;
    }
    Ok(changed == 1)
}

/// Ends these sessions, which are [locked](lock) and open, in one statement, and tells the feed in another. The last thing
/// that a transaction does.
pub fn end_some(connection: &mut AnyConnection, ids: &[SessionId], end: &End<'_>) -> Result<()> {
    let these = || sessions::table.filter(sessions::id.eq_any(ids.to_vec()));
    diesel::update(these())
        .set((
            sessions::ended_at.eq(end.at),
            sessions::ended_by.eq(end.by.label()),
            sessions::end_reason.eq(end.reason),
        ))
        .execute(connection)?;
    let kind = ChangeKind::SessionEnded.into_sql::<Text>();
    diesel::insert_into(feed::table)
        .values(these().select((kind, sessions::user_id, sessions::id.nullable())))
        .into_columns((feed::kind, feed::user_id, feed::session_id))
        .execute(connection)?;
    Ok(())
}

/// Which open sessions to lock.
pub enum Lock<'a> {
    Of(UserId),
    These(&'a [SessionId]),
    /// Those with ids above the one, up to the other; of one account alone, or of all.
    Between(SessionId, SessionId, Option<UserId>),
}

/// Locks what is open in the order in which every transaction does that touches more than one session: two that took
/// them in different orders would wait for each other.
pub fn lock(connection: &mut AnyConnection, which: Lock<'_>) -> Result<()> {
    let AnyConnection::Postgres(connection) = connection else { return Ok(()) };
    let (condition, ids) = match which {
        Lock::Of(user) => ("user_id = $1".to_owned(), vec![user.0]),
        Lock::These([]) => return Ok(()),
        Lock::These(ids) => {
            let places: Vec<_> = (1..=ids.len()).map(|place| format!("${place}")).collect();
            (format!("id IN ({})", places.join(", ")), ids.iter().map(|id| id.0).collect())
        }
        Lock::Between(below, to, None) => ("id > $1 AND id <= $2".to_owned(), vec![below.0, to.0]),
        Lock::Between(below, to, Some(user)) => {
            ("id > $1 AND id <= $2 AND user_id = $3".to_owned(), vec![below.0, to.0, user.0])
        }
    };
    let query = format!("SELECT id FROM sessions WHERE ended_at IS NULL AND {condition} ORDER BY id FOR UPDATE");
    let query = diesel::sql_query(query).into_boxed::<Pg>();
    ids.into_iter().fold(query, |query, id| query.bind::<Id, _>(SessionId(id))).execute(connection)?;
    Ok(())
}

/// Gives a session a new secret after a password was entered for it, under the account's present epoch.
pub fn set_secret(
    connection: &mut AnyConnection,
    user: UserId,
    session: SessionId,
    secret: SecretHash,
    epoch: i64,
    now: Timestamp,
) -> Result<()> {
    let changed = diesel::update(sessions::table.find(session).filter(open()))
        .set((
            sessions::secret_hash.eq(secret.0.to_vec()),
            sessions::epoch.eq(epoch),
            sessions::password_entered_at.eq(now),
        ))
        .execute(connection)?;
    if changed != 1 {
        return Err(Error::NotSignedIn);
    }
    changes::append(connection, Change::SecretChanged(user, session))
}

/// Takes a session along into the account's new epoch.
pub fn set_epoch(connection: &mut AnyConnection, user: UserId, session: SessionId, epoch: i64) -> Result<()> {
    let changed = diesel::update(sessions::table.find(session).filter(open()))
        .set(sessions::epoch.eq(epoch))
        .execute(connection)?;
    if changed != 1 {
        return Err(Error::NotSignedIn);
    }
    changes::append(connection, Change::SecretChanged(user, session))
}

/// Notes when a session was last active; the later moment stays, and an ended one is left alone.
pub fn touch(connection: &mut AnyConnection, session: SessionId, at: Timestamp) -> Result<()> {
    diesel::update(sessions::table.find(session).filter(open()).filter(sessions::last_active_at.lt(at)))
        .set(sessions::last_active_at.eq(at))
        .execute(connection)?;
    Ok(())
}

/// The same for a request whose answer is known: another program that holds the file for long delays a note, not a person.
/// Whether it was noted in time; if not, it may be yet.
pub async fn touch_soon(database: &Database, session: SessionId, at: Timestamp) -> bool {
    let database = database.clone();
    let note = tokio::spawn(async move {
        let noted = database.write(move |connection| touch(connection, session, at)).await;
        if let Err(error) = &noted {
            tracing::warn!(%error, "the last activity of a session was not noted");
        }
        noted.is_ok()
    });
    matches!(timeout(TOUCH_PATIENCE, note).await, Ok(Ok(true)))
}

/// One session, live or ended.
pub fn by_id(connection: &mut AnyConnection, id: SessionId) -> Result<Option<Session>> {
    let row: Option<Row> = sessions::table.find(id).select(Row::as_select()).first(connection).optional()?;
    Ok(row.map(Session::from))
}

/// Whether the account's session has not ended, alone or with all others.
pub fn is_open(connection: &mut AnyConnection, user: &User, id: SessionId) -> Result<bool> {
    let session = sessions::table.find(id).filter(sessions::user_id.eq(user.id)).filter(open());
    let found = session.filter(sessions::epoch.eq(user.epoch)).select(sessions::id).first::<SessionId>(connection);
    Ok(found.optional()?.is_some())
}
