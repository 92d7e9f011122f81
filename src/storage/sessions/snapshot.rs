//! A session as one statement sees it, with its owner and the feed.

use chrono::TimeDelta;
use diesel::dsl::max;
use diesel::prelude::*;

use super::super::database::AnyConnection;
use super::super::schema::{changes as feed, sessions, users};
use super::rows::Row;
use crate::domain::keys::SecretHash;
use crate::domain::refresh_token::{RefreshSeed, RefreshState, TokenFamily};
use crate::domain::session::LiveSession;
use crate::domain::{Error, Role, Session, SessionId, Timestamp, UserId, UserStatus};
use crate::storage::Result;

/// Session, owner and feed position as one statement saw them: what an answer, or a copy, is made of.
#[derive(Clone)]
pub struct Snapshot {
    pub session: Session,
    pub secret: SecretHash,
    pub epoch: i64,
    pub user: UserState,
    /// Of kind `api`. With Redis the counter is up to a minute late.
    pub refresh_state: Option<RefreshState>,
    /// The feed's position at this reading.
    pub position: i64,
}

/// What the owner's copy in Redis holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserState {
    pub rev: i64,
    pub epoch: i64,
    pub role: Role,
    pub status: UserStatus,
}

impl Snapshot {
    /// Whether the session lives, where its last activity may be known `lag` too early. `lua/live.lua` asks the same of a
    /// copy, and [`super::open`] of many rows.
    pub fn is_live(&self, now: Timestamp, lag: TimeDelta) -> bool {
        self.session.is_live(now, lag) && self.user.status == UserStatus::Active && self.epoch == self.user.epoch
    }

    /// Whether this is the session's present secret. `None`: the caller proved otherwise whose session it is.
    pub fn admits(&self, secret: Option<SecretHash>) -> bool {
        secret.is_none_or(|secret| self.secret.matches(&secret.0))
    }

    /// What a request learns.
    pub fn view(&self) -> LiveSession {
        LiveSession { core: self.session.core, role: self.user.role }
    }

    /// What a refresh learns; `None` of a session without refresh tokens.
    pub fn token_family(&self) -> Option<TokenFamily> {
        let refresh_state = self.refresh_state.clone()?;
        let Session { idle, last_active_at, .. } = self.session;
        Some(TokenFamily { session: self.view(), refresh_state, idle, last_active_at })
    }
}

/// Reads a session with its owner in one statement: two would let an act between them be seen by halves.
pub fn read(connection: &mut AnyConnection, user: UserId, session: SessionId) -> Result<Option<Snapshot>> {
    type Refresh = (Option<Vec<u8>>, i64, Option<Timestamp>);
    type Columns = (Row, Vec<u8>, i64, Refresh, i64, i64, Role, UserStatus, Option<i64>);
    let found: Option<Columns> = sessions::table
        .inner_join(users::table)
        .filter(sessions::id.eq(session))
        .filter(sessions::user_id.eq(user))
        .select((
            Row::as_select(),
            sessions::secret_hash,
            sessions::epoch,
            (sessions::refresh_seed, sessions::refresh_counter, sessions::refresh_rotated_at),
            users::rev,
            users::epoch,
            users::role,
            users::status,
            feed::table.select(max(feed::id)).single_value(),
        ))
        .first(connection)
        .optional()?;
    found
        .map(|(row, secret, session_epoch, (seed, counter, rotated_at), rev, epoch, role, status, position)| {
            let secret = secret.try_into().map_err(|_| Error::internal("a secret's hash is not 32 bytes"))?;
            let seed = seed.map(|seed| seed.try_into().map_err(|_| Error::internal("a refresh seed is not 32 bytes")));
            let seed = seed.transpose()?;
            Ok(Snapshot {
                session: row.into(),
                secret: SecretHash(secret),
                epoch: session_epoch,
                user: UserState { rev, epoch, role, status },
                refresh_state: seed.map(|seed| RefreshState { seed: RefreshSeed(seed), counter, rotated_at }),
                position: position.unwrap_or(0),
            })
        })
        .transpose()
}
