//! Refresh tokens with Redis: the counter lives in the copy, and reaches SQL in the batch of last activity.
//!
//! A look at the record, or what this process remembers of it, has the seed; the MAC is checked here, and only then one
//! script rotates. It asks again whether the session lives; what has ended between the two stays ended.

use std::sync::Arc;

use chrono::TimeDelta;

use super::super::{Rotation, snapshot};
use super::copy::Told;
use super::value::Value as _;
use super::{ACTIVITY_LAG, ATTEMPTS, Error, FillTokens, PATIENCE, RedisSessions, Result};
use crate::domain::Timestamp;
use crate::domain::refresh_token::{RefreshKey, RefreshToken, TokenFamily};

impl RedisSessions {
    /// The live session that made the token.
    pub async fn token_family(
        &self,
        token: &RefreshToken,
        key: &RefreshKey,
        now: Timestamp,
    ) -> Result<Option<TokenFamily>> {
        let (user, session) = (token.user_id, token.session_id);
        let reply = self
            .call(&self.0.scripts.token_family, user, Some(session), |min_position| {
                vec![now.write(), min_position.write()]
            })
            .await?;
        let family = match reply.word.as_str() {
            "yes" => Some(Told::of(reply.rest).token_family(user, session).map_err(Error::internal)?),
            "ask" => {
                let database = &self.0.database;
                let found = database.read(move |connection| snapshot::read(connection, user, session)).await?;
                found.filter(|found| found.is_live(now, ACTIVITY_LAG)).and_then(|found| found.token_family())
            }
            _ => None,
        };
        Ok(family.filter(|family| key.made(token, &family.refresh_state.seed)))
    }

    /// The same, also from memory. There its counter is not the present one.
    async fn remembered_family(
        &self,
        token: &RefreshToken,
        key: &RefreshKey,
        now: Timestamp,
    ) -> Result<Option<Arc<TokenFamily>>> {
        let memory = self.memory();
        let known = memory.and_then(|memory| memory.family(token.user_id, token.session_id));
        if let Some(known) = known.filter(|known| key.made(token, &known.refresh_state.seed)) {
            return Ok(Some(known));
        }
        let ticket = memory.map(|memory| memory.ticket(token.user_id));
        let family = self.token_family(token, key, now).await?.map(Arc::new);
        if let (Some((memory, ticket)), Some(family)) = (memory.zip(ticket), &family) {
            memory.remember_family(ticket, family.clone());
        }
        Ok(family)
    }

    /// Puts the token's successor in its place.
    pub async fn rotate(
        &self,
        token: &RefreshToken,
        key: &RefreshKey,
        grace: TimeDelta,
        now: Timestamp,
    ) -> Result<Rotation> {
        let Some(family) = self.remembered_family(token, key, now).await? else { return Ok(Rotation::Refused) };
        let (user, session) = (token.user_id, token.session_id);
        let (fill_token, this_use): ([u8; 16], [u8; 16]) = (rand::random(), rand::random());
        for _ in 0..ATTEMPTS {
            // Only a copy can be rotated, and none is believed by a node that has not read the feed of late.
            if !self.0.feed.is_fresh() {
                tokio::time::timeout(PATIENCE, self.read_feed_anew()).await.map_err(Error::redis)??;
            }
            // Sent again, it finds its own word and answers the same, whatever the grace.
            let reply = self
                .call(&self.0.scripts.rotate, user, Some(session), |min_position| {
                    vec![
                        now.write(),
                        min_position.write(),
                        fill_token.to_vec(),
                        token.counter.write(),
                        grace.write(),
                        this_use.to_vec(),
                    ]
                })
                .await?;
            match reply.word.as_str() {
                "rotated" => {
                    self.0.activity.note(session, now, Some(token.counter + 1));
                    let last_active_at = family.last_active_at.max(now);
                    return Ok(Rotation::Rotated(TokenFamily { last_active_at, ..(*family).clone() }));
                }
                "reused" => return Ok(Rotation::Reused),
                "ended" => return Ok(Rotation::Refused),
                _ => {}
            }
            // There is no copy that is believed: one is made, and the step repeated on it.
            let fill_tokens = FillTokens::read(reply).map_err(Error::internal)?;
            let database = &self.0.database;
            let found = database.read(move |connection| snapshot::read(connection, user, session)).await?;
            let Some(found) = found.filter(|found| found.is_live(now, ACTIVITY_LAG)) else {
                return Ok(Rotation::Refused);
            };
            self.install(&found, &fill_tokens, now).await;
        }
        Err(Error::redis("no copy stays long enough to be rotated"))
    }
}
