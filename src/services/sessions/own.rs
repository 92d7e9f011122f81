//! One’s own sessions: asked for with each request, and ended.

use super::history;
use crate::domain::audit::Client;
use crate::domain::form_seed::may_repeat;
use crate::domain::keys::{SecretHash, SessionHandle};
use crate::domain::session::LiveSession;
use crate::domain::session_list::counted;
use crate::domain::{Actor, EndReason, Error, Event, SessionId, UserId};
use crate::services::{Caller, Result, Services};
use crate::storage::accounts::users::{self, StoredUser};
use crate::storage::audit::{self, Entry};
use crate::storage::sessions::rows::{self, End};
use crate::storage::sessions::{ACTIVITY_LAG, Change, account, snapshot};

/// The session that the handle opens, or `None`: ended, expired, unknown, or an older secret.
pub async fn load(services: &Services, handle: &SessionHandle) -> Result<Option<LiveSession>> {
    let secret = handle.secret.hash();
    services.sessions.load(handle.user_id, handle.session_id, secret, services.clock.now()).await
}

/// The session, where a form that has been sent a moment ago made this its present secret. From SQL alone, and no use of
/// the session: nobody has shown its cookie yet.
pub async fn renewed_lately(
    services: &Services,
    user: UserId,
    session: SessionId,
    secret: SecretHash,
) -> Result<Option<LiveSession>> {
    let now = services.clock.now();
    let found = services.database.read(move |connection| snapshot::read(connection, user, session)).await?;
    let found = found.filter(|found| found.is_live(now, ACTIVITY_LAG) && found.admits(Some(secret)));
    Ok(found.filter(|found| may_repeat(found.session.password_entered_at, now)).map(|found| found.view()))
}

/// Ends one of the caller's own sessions; another's or an unknown one is [`Error::NotFound`].
pub async fn end(services: &Services, caller: &Caller, id: SessionId, client: &Client) -> Result<()> {
    let (caller_, client, now) = (caller.clone(), client.clone(), services.clock.now());
    services
        .database
        .write(move |connection| {
            let user = users::by_id(connection, caller_.user_id)?.ok_or(Error::NotSignedIn)?.user;
            // Whose own session ended since the request began ends no other.
            if id != caller_.session_id && !rows::is_open(connection, &user, caller_.session_id)? {
                return Err(Error::NotSignedIn);
            }
            let owned = rows::by_id(connection, id)?.filter(|session| session.user_id == user.id);
            let session = owned.ok_or(Error::NotFound)?;
            let actor = Actor::user(&user);
            if rows::end(connection, user.id, id, &End { reason: EndReason::EndedByOwner, by: &actor, at: now })? {
                let entry = Entry::success(Event::SessionRevoked, &actor, &user, &client).session(id);
                audit::append(connection, &entry.detail(session.description()), now)?;
            }
            Ok(())
        })
        .await?;
    // Also when it had ended before: a retry after a 503 reaches Redis.
    services.sessions.invalidate(&[Change::SessionEnded(caller.user_id, id)]).await
}

/// Ends all the caller's sessions but this one, in one act; says how many.
pub async fn end_others(services: &Services, caller: &Caller, client: &Client) -> Result<u64> {
    let (caller_, client, now) = (caller.clone(), client.clone(), services.clock.now());
    let ended = services
        .database
        .write(move |connection| {
            let user = users::lock(connection, caller_.user_id)?.ok_or(Error::NotSignedIn)?.user;
            // Whose session has ended with everyone's since the request began does not take it along into a new epoch.
            if !rows::is_open(connection, &user, caller_.session_id)? {
                return Err(Error::NotSignedIn);
            }
            let actor = Actor::user(&user);
            let end = End { reason: EndReason::EndedAll, by: &actor, at: now };
            let ended = account::end_all(connection, user.id, Some(caller_.session_id), &end)?;
            let entry = Entry::success(Event::SessionRevokedAll, &actor, &user, &client);
            let entry = entry.session(caller_.session_id).detail(format!("{} but this one", counted(ended)));
            audit::append(connection, &entry, now)?;
            let epoch = users::raise_epoch(connection, user.id)?;
            rows::set_epoch(connection, user.id, caller_.session_id, epoch)?;
            Ok(ended)
        })
        .await?;
    services.sessions.invalidate(&[Change::SecretChanged(caller.user_id, caller.session_id)]).await?;
    history::settle(services).await;
    Ok(ended)
}

/// Ends the caller's session.
pub async fn sign_out(services: &Services, caller: &Caller, client: &Client) -> Result<()> {
    end_by_itself(services, caller.user_id, caller.session_id, Event::SignOut, client).await
}

/// Ends a session by its own act; `event` says which: [`Event::SignOut`] or [`Event::TokenRevoked`]. Also where it has
/// ended before, so that a retry after a 503 reaches every copy.
pub async fn end_by_itself(
    services: &Services,
    user_id: UserId,
    session: SessionId,
    event: Event,
    client: &Client,
) -> Result<()> {
    let (client, now) = (client.clone(), services.clock.now());
    services
        .database
        .write(move |connection| {
            // A deleted account has no session left to end.
            let Some(StoredUser { user, .. }) = users::by_id(connection, user_id)? else { return Ok(()) };
            let actor = Actor::user(&user);
            let end = End { reason: EndReason::SignedOut, by: &actor, at: now };
            if rows::end(connection, user_id, session, &end)? {
                audit::append(connection, &Entry::success(event, &actor, &user, &client).session(session), now)?;
            }
            Ok(())
        })
        .await?;
    services.sessions.invalidate(&[Change::SessionEnded(user_id, session)]).await
}
