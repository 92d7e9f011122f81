//! Access tokens: signed for a session, and asked whether they still count.

use std::sync::Arc;

pub use crate::domain::access_token::{AccessClaims, AccessToken};
use crate::domain::access_token::{Issuer, UnverifiedToken};
use crate::domain::session::LiveSession;
use crate::domain::{Error, SessionId, Timestamp, User, UserId};
use crate::services::sessions::signing_keys;
use crate::services::{Result, Services};
use crate::settings::Settings;

/// Whom a bearer token speaks for.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// As the store has it now; its role is the one that counts.
    pub session: LiveSession,
    pub claims: Arc<AccessClaims>,
}

/// Signs an access token for a session (RFC 9068), good for `access_token_ttl` but not beyond `session_limit`, the
/// session's absolute limit. `auth_time` is when the password was last entered.
///
/// # Errors
/// [`Error::NotSignedIn`] where the limit has passed.
pub async fn sign(
    services: &Services,
    user: &User,
    session_id: SessionId,
    auth_time: Timestamp,
    session_limit: Timestamp,
) -> Result<AccessToken> {
    let (ttl, now) = (services.settings.access_token_ttl, services.clock.now());
    let claims = AccessClaims::new(issuer(&services.settings), user, session_id, auth_time, session_limit, ttl, now);
    if !claims.is_timely(now) {
        return Err(Error::NotSignedIn);
    }
    claims.sign(&*signing_keys::signer(services).await?)
}

/// Checks signature, claims and time, then asks the session store, in one round trip.
///
/// # Errors
/// [`Error::InvalidToken`] for all that is wrong with it, also a dead session; [`Error::Unavailable`] where a store
/// did not answer.
pub async fn authenticate(services: &Services, token: &str) -> Result<Bearer> {
    let claims = verified(services, token).await?;
    let now = services.clock.now();
    if !claims.is_timely(now) {
        return Err(Error::InvalidToken);
    }
    let session = services.sessions.load_by_id(claims.sub, claims.sid, now).await?.ok_or(Error::InvalidToken)?;
    Ok(Bearer { session, claims })
}

/// Which session the token was signed for, even if it has expired; `None` where it is not ours. For RFC 7009.
///
/// # Errors
/// [`Error::Unavailable`] where that can't be told, because the keys could not be read.
pub async fn session_of(services: &Services, token: &str) -> Result<Option<(UserId, SessionId)>> {
    match verified(services, token).await {
        Ok(claims) => Ok(Some((claims.sub, claims.sid))),
        Err(Error::InvalidToken) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The claims of a token that we signed, at whatever time.
async fn verified(services: &Services, token: &str) -> Result<Arc<AccessClaims>> {
    // Before the key is looked up: what one that is replaced meanwhile has verified is verified again.
    let keys = signing_keys::last_read(services);
    let known = services.verified_tokens.get(token, keys);
    services.tally.tokens.count(known.is_some());
    if let Some(claims) = known {
        return Ok(claims);
    }
    let unverified = UnverifiedToken::parse(token)?;
    let key = signing_keys::verifier(services, unverified.kid()).await?.ok_or(Error::InvalidToken)?;
    let claims = Arc::new(unverified.verify(&key, issuer(&services.settings))?);
    services.verified_tokens.insert(token, keys, claims.clone());
    Ok(claims)
}

fn issuer(settings: &Settings) -> Issuer<'_> {
    Issuer { url: settings.public_url.as_str(), audience: &settings.jwt_audience }
}
