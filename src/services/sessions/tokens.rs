//! What programs have in place of a cookie: a short access token, and a refresh token, which is rotated.

use chrono::TimeDelta;
use secrecy::SecretString;

use super::access_tokens;
use crate::domain::access_token::AccessToken;
use crate::domain::audit::Client;
use crate::domain::keys::RootKey;
use crate::domain::refresh_token::{RefreshKey, RefreshToken, TokenFamily, TokenStatus};
use crate::domain::{Actor, EndReason, Error, Event, Outcome, SessionId, Timestamp, User, UserId};
use crate::services::tally::RefreshOutcome;
use crate::services::{Result, Services};
use crate::storage::accounts::users::{self, StoredUser};
use crate::storage::audit::{self, Entry};
use crate::storage::sessions::rows::{self, End};
use crate::storage::sessions::{Change, Rotation};

/// What a program gets for a password or for a refresh token.
pub struct IssuedTokens {
    pub access: AccessToken,
    /// In clear: for the program alone.
    pub refresh_token: SecretString,
    /// Seconds until the session ends unless it is used again.
    pub refresh_expires_in: i64,
    pub session_id: SessionId,
    /// As it is now, not as it was at the sign-in.
    pub user: User,
}

/// What is known of a refresh token that a live session has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshTokenInfo {
    pub user_id: UserId,
    pub session_id: SessionId,
    /// Whether it would be exchanged for new tokens: it was not used yet, or within the grace.
    pub current: bool,
    pub created_at: Timestamp,
    /// When the session ends unless it is used again.
    pub expires_at: Timestamp,
}

/// Exchanges a refresh token for new tokens. A repeat within `refresh_reuse_grace` gets the same refresh token.
///
/// # Errors
/// [`Error::InvalidRefreshToken`] for one that is malformed (refused without a look-up), forged or unknown, or
/// whose session has ended; and for one that was used before, which ends its session.
pub async fn refresh(services: &Services, token: &str, client: &Client) -> Result<IssuedTokens> {
    let refreshed = rotate(services, token).await;
    let outcome = match &refreshed {
        Ok(Refreshed::Issued(_)) => RefreshOutcome::Success,
        // Whatever becomes of the end of its session.
        Ok(Refreshed::Reused(..)) => RefreshOutcome::Reused,
        Err(error) => RefreshOutcome::of(error),
    };
    services.tally.refreshes.count(outcome);
    match refreshed? {
        Refreshed::Issued(issued) => Ok(*issued),
        Refreshed::Reused(user_id, session_id) => {
            tracing::warn!(%user_id, %session_id, "a refresh token was used twice; its session ends");
            end_reused(services, user_id, session_id, client).await?;
            Err(Error::InvalidRefreshToken)
        }
    }
}

/// What came of a refresh token that is genuine, and whose session lives.
enum Refreshed {
    Issued(Box<IssuedTokens>),
    /// It was used before: the session is to end.
    Reused(UserId, SessionId),
}

async fn rotate(services: &Services, token: &str) -> Result<Refreshed> {
    let token = RefreshToken::parse(token).ok_or(Error::InvalidRefreshToken)?;
    let (key, grace, now) =
        (refresh_key(&services.root_key), services.settings.refresh_reuse_grace, services.clock.now());
    let (user_id, session_id) = (token.user_id, token.session_id);
    match services.sessions.rotate(&token, &key, grace, now).await? {
        Rotation::Rotated(family) => {
            // Name and role are the present ones, whatever an earlier token said.
            let known = services.sessions.account(user_id);
            let user = match known.filter(|known| known.user.role == family.session.role) {
                Some(known) => Some(known.user.clone()),
                None => {
                    let read = services.database.read(move |connection| users::by_id(connection, user_id));
                    read.await?.map(|found| found.user)
                }
            };
            let user = user.filter(User::is_active).ok_or(Error::InvalidRefreshToken)?;
            tracing::info!(%user_id, %session_id, "refreshed a session");
            let issued = issue(services, Some(family), token.counter + 1, user).await?;
            Ok(Refreshed::Issued(Box::new(issued)))
        }
        Rotation::Reused => Ok(Refreshed::Reused(user_id, session_id)),
        Rotation::Refused => Err(Error::InvalidRefreshToken),
    }
}

/// The live session that made the refresh token; `None` for a token that is malformed, forged or unknown, or whose
/// session has ended. Looking is no use: nothing rotates, and no reuse is noted.
pub async fn inspect(services: &Services, token: &str) -> Result<Option<RefreshTokenInfo>> {
    let Some(token) = RefreshToken::parse(token) else { return Ok(None) };
    let (grace, now) = (services.settings.refresh_reuse_grace, services.clock.now());
    let family = services.sessions.token_family(&token, &refresh_key(&services.root_key), now).await?;
    Ok(family.map(|family| RefreshTokenInfo {
        user_id: token.user_id,
        session_id: token.session_id,
        current: family.refresh_state.judge(token.counter, grace, now) != TokenStatus::Reused,
        created_at: family.session.created_at,
        expires_at: family.expires_at(),
    }))
}

/// Somebody has a copy of the session's tokens; nobody knows who is the thief.
async fn end_reused(services: &Services, user_id: UserId, session_id: SessionId, client: &Client) -> Result<()> {
    let (client, now) = (client.clone(), services.clock.now());
    services
        .database
        .write(move |connection| {
            let Some(StoredUser { user, .. }) = users::by_id(connection, user_id)? else { return Ok(()) };
            let end = End { reason: EndReason::TokenReuse, by: &Actor::System, at: now };
            if rows::end(connection, user_id, session_id, &end)? {
                let entry = Entry {
                    outcome: Outcome::Failure,
                    ..Entry::success(Event::TokenReuseDetected, &Actor::System, &user, &client)
                };
                audit::append(connection, &entry.session(session_id), now)?;
            }
            Ok(())
        })
        .await?;
    services.sessions.invalidate(&[Change::SessionEnded(user_id, session_id)]).await
}

/// The tokens of a session whose present refresh token is number `counter`.
pub(in crate::services) async fn issue(
    services: &Services,
    family: Option<TokenFamily>,
    counter: i64,
    user: User,
) -> Result<IssuedTokens> {
    let family = family.ok_or_else(|| Error::internal("a session without refresh tokens"))?;
    let session = &family.session;
    let (id, entered, limit) = (session.id, session.password_entered_at, session.absolute_limit);
    Ok(IssuedTokens {
        access: access_tokens::sign(services, &user, id, entered, limit).await?,
        refresh_token: refresh_key(&services.root_key).token(user.id, id, &family.refresh_state.seed, counter),
        refresh_expires_in: whole_seconds(family.expires_at() - services.clock.now()),
        session_id: id,
        user,
    })
}

fn refresh_key(root_key: &RootKey) -> RefreshKey {
    RefreshKey::new(root_key)
}

/// Rounded up: the moments that signing takes are not the client's affair.
fn whole_seconds(left: TimeDelta) -> i64 {
    (left.num_milliseconds().max(0) + 999) / 1000
}
