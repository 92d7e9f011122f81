//! Refresh tokens: looked up, and rotated in one atomic step. The contract, and how SQL alone keeps it.
//!
//! A rotation ends nothing: it reports reuse, and whoever asked ends the session in the ordinary way. A token whose MAC
//! is not ours changes nothing and tells nothing. Every step bears a repeat, for clients of a store send again by
//! themselves.

use chrono::TimeDelta;
use diesel::prelude::*;

use super::super::database::AnyConnection;
use super::super::schema::sessions;
use super::open::open;
use super::rows;
use super::sql::SqlSessions;
use super::{SessionStore, Timestamp, snapshot};
use crate::domain::refresh_token::{RefreshKey, RefreshToken, TokenFamily, TokenStatus};
use crate::domain::{Error, SessionId};
use crate::storage::Result;

/// What a presented refresh token led to.
#[derive(Clone, Debug)]
pub enum Rotation {
    /// The token's successor is the present one, and this is its session. So it is for every use within the grace.
    Rotated(TokenFamily),
    /// The token was used before, and too long ago: somebody has a copy.
    Reused,
    /// No live session has made it.
    Refused,
}

impl SessionStore {
    /// The live session that made the token, and where its tokens stand. Looking is no use: nothing is written.
    pub async fn token_family(
        &self,
        token: &RefreshToken,
        key: &RefreshKey,
        now: Timestamp,
    ) -> Result<Option<TokenFamily>> {
        match self {
            Self::Sql(store) => store.token_family(token, key, now).await,
            Self::Redis(store) => store.token_family(token, key, now).await,
        }
    }

    /// Puts the token's successor in its place, and notes the activity.
    pub async fn rotate(
        &self,
        token: &RefreshToken,
        key: &RefreshKey,
        grace: TimeDelta,
        now: Timestamp,
    ) -> Result<Rotation> {
        match self {
            Self::Sql(store) => store.rotate(token, key, grace, now).await,
            Self::Redis(store) => store.rotate(token, key, grace, now).await,
        }
    }
}

impl SqlSessions {
    async fn token_family(
        &self,
        token: &RefreshToken,
        key: &RefreshKey,
        now: Timestamp,
    ) -> Result<Option<TokenFamily>> {
        let (user, session) = (token.user_id, token.session_id);
        let found = self.database.read(move |connection| snapshot::read(connection, user, session)).await?;
        let family = found.filter(|found| found.is_live(now, TimeDelta::zero())).and_then(|found| found.token_family());
        Ok(family.filter(|family| key.made(token, &family.refresh_state.seed)))
    }

    async fn rotate(
        &self,
        token: &RefreshToken,
        key: &RefreshKey,
        grace: TimeDelta,
        now: Timestamp,
    ) -> Result<Rotation> {
        // Before the transaction: a forged token must not keep writers waiting.
        if self.token_family(token, key, now).await?.is_none() {
            return Ok(Rotation::Refused);
        }
        let token = token.clone();
        self.database.write(move |connection| rotate(connection, &token, grace, now)).await
    }
}

/// In a transaction, for a token with a right MAC.
fn rotate(connection: &mut AnyConnection, token: &RefreshToken, grace: TimeDelta, now: Timestamp) -> Result<Rotation> {
    // A second look is enough: whoever was faster has made the token its predecessor.
    for _ in 0..2 {
        let found = snapshot::read(connection, token.user_id, token.session_id)?;
        let family = found.filter(|found| found.is_live(now, TimeDelta::zero())).and_then(|found| found.token_family());
        let Some(mut family) = family else { return Ok(Rotation::Refused) };
        match family.refresh_state.judge(token.counter, grace, now) {
            TokenStatus::Reused => return Ok(Rotation::Reused),
            TokenStatus::Current if !advance(connection, token, family.refresh_state.counter, now)? => continue,
            TokenStatus::Current | TokenStatus::Repeated => {
                rows::touch(connection, token.session_id, now)?;
                family.last_active_at = family.last_active_at.max(now);
                return Ok(Rotation::Rotated(family));
            }
        }
    }
    Err(Error::database("a session's refresh counter changes under its rotation"))
}

/// False where the session has ended, or its counter is not `seen` any more.
fn advance(connection: &mut AnyConnection, token: &RefreshToken, seen: i64, now: Timestamp) -> Result<bool> {
    let row = sessions::table.find(token.session_id).filter(open()).filter(sessions::refresh_counter.eq(seen));
    let changed = diesel::update(row)
        .set((sessions::refresh_counter.eq(token.counter + 1), sessions::refresh_rotated_at.eq(now)))
        .execute(connection)?;
    Ok(changed == 1)
}

/// Brings to SQL what Redis knows of a session's counter; the greater one stays, and an ended session is left alone.
pub(super) fn note(connection: &mut AnyConnection, session: SessionId, counter: i64, at: Timestamp) -> Result<()> {
    let row = sessions::table.find(session).filter(open()).filter(sessions::refresh_counter.lt(counter));
    diesel::update(row)
        .set((sessions::refresh_counter.eq(counter), sessions::refresh_rotated_at.eq(at)))
        .execute(connection)?;
    Ok(())
}
