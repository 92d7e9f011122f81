//! Sessions: asked for, listed and ended.

use crate::domain::audit::Client;
use crate::domain::keys::SessionHandle;
use crate::domain::session::LiveSession;
use crate::domain::session_list::counted;
use crate::domain::{Actor, EndReason, Error, Event, Role, Session, SessionId, SessionKind, UserId};
use crate::services::authorization::{Authorized, Subject, authorize_on, recheck};
use crate::services::{AuthContext, Caller, RecentAuthContext, Result, Services};
use crate::storage::accounts::users;
use crate::storage::audit::{self, Entry};
use crate::storage::sessions::expiry::{self, Expired};
use crate::storage::sessions::rows::{self, End};
use crate::storage::sessions::{Change, account};

/// How many sessions there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    pub browser: i64,
    pub api: i64,
}

impl Services {
    /// The session that the handle opens, or `None`: ended, expired, unknown, or an older secret.
    pub async fn load(&self, handle: &SessionHandle) -> Result<Option<LiveSession>> {
        let secret = handle.secret.hash();
        self.sessions.load(handle.user_id, handle.session_id, secret, self.clock.now()).await
    }

    /// The account's live sessions, last active first, at most `limit`, and how many there are in all.
    pub async fn sessions_of(&self, user: UserId, limit: i64) -> Result<(Vec<Session>, SessionCounts)> {
        let now = self.clock.now();
        self.database
            .write(move |connection| {
                let mut counts = SessionCounts::default();
                for (kind, count) in account::count_open(connection, user, now)? {
                    match kind {
                        SessionKind::Browser => counts.browser = count,
                        SessionKind::Api => counts.api = count,
                    }
                }
                Ok((account::open_sessions(connection, user, now, limit)?, counts))
            })
            .await
    }

    /// The account's open sessions by their beginning, newest first, those that began before `before`. Some may have
    /// passed their idle limit a moment ago.
    pub async fn newest_sessions_of(
        &self,
        user: UserId,
        before: Option<SessionId>,
        limit: i64,
    ) -> Result<Vec<Session>> {
        let now = self.clock.now();
        self.database
            .write(move |connection| {
                expiry::close_expired(connection, Expired::Of(user), now)?;
                account::newest_open(connection, user, before, limit)
            })
            .await
    }

    /// One of the account's own live sessions.
    pub async fn own_session(&self, caller: &Caller, id: SessionId) -> Result<Session> {
        let owner = caller.user_id;
        let found = self.database.read(move |connection| rows::by_id(connection, id)).await?;
        found.filter(|session| session.user_id == owner && session.ended.is_none()).ok_or(Error::NotFound)
    }

    /// Ends one of the caller's own sessions; another's or an unknown one is [`Error::NotFound`].
    pub async fn end_own_session(&self, caller: &Caller, id: SessionId, client: &Client) -> Result<()> {
        let (caller_, client, now) = (caller.clone(), client.clone(), self.clock.now());
        self.database
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
        self.invalidate_session(caller.user_id, id).await
    }

    /// Ends all the caller's sessions but this one, in one act; says how many.
    pub async fn end_other_sessions(&self, caller: &Caller, client: &Client) -> Result<u64> {
        let (caller_, client, now) = (caller.clone(), client.clone(), self.clock.now());
        let ended = self
            .database
            .write(move |connection| {
                let user = users::lock(connection, caller_.user_id)?.ok_or(Error::NotSignedIn)?.user;
                let actor = Actor::user(&user);
                let end = End { reason: EndReason::EndedAll, by: &actor, at: now };
                let ended = rows::end_all(connection, user.id, Some(caller_.session_id), &end)?;
                let entry = Entry::success(Event::SessionRevokedAll, &actor, &user, &client);
                let entry = entry.session(caller_.session_id).detail(format!("{} but this one", counted(ended)));
                audit::append(connection, &entry, now)?;
                let epoch = users::raise_epoch(connection, user.id)?;
                rows::set_epoch(connection, user.id, caller_.session_id, epoch)?;
                Ok(ended)
            })
            .await?;
        self.sessions.invalidate(&[Change::SecretChanged(caller.user_id, caller.session_id)]).await?;
        Ok(ended)
    }

    /// Ends any session that the caller reaches.
    pub async fn end_session(&self, auth: &AuthContext, id: SessionId, client: &Client) -> Result<()> {
        auth.require(Role::Manager)?;
        let (auth, client, now) = (auth.clone(), client.clone(), self.clock.now());
        let owner = self
            .database
            .write(move |connection| {
                let session = rows::by_id(connection, id)?.ok_or(Error::NotFound)?;
                let Some(user) = users::by_id(connection, session.user_id)? else { return Ok(session.user_id) };
                let user = user.user;
                let auth = recheck(connection, &auth)?;
                auth.require_reach(&user)?;
                let end = End { reason: EndReason::EndedByAdministrator, by: &auth.actor, at: now };
                if rows::end(connection, user.id, id, &end)? {
                    let entry = Entry::success(Event::SessionRevoked, &auth.actor, &user, &client).session(id);
                    audit::append(connection, &entry.detail(session.description()), now)?;
                }
                Ok(user.id)
            })
            .await?;
        self.invalidate_session(owner, id).await
    }

    /// Ends all sessions of an account; says how many. One act, whatever their number.
    pub async fn end_all_sessions(
        &self,
        auth: &RecentAuthContext,
        subject: impl Into<Subject>,
        client: &Client,
    ) -> Result<u64> {
        auth.require(Role::Manager)?;
        let (auth, client, now) = (auth.clone(), client.clone(), self.clock.now());
        let subject = subject.into();
        let user = subject.id();
        let ended = self
            .database
            .write(move |connection| {
                let Authorized { actor, user } = authorize_on(connection, &auth, &subject)?;
                let end = End { reason: EndReason::EndedAll, by: &actor, at: now };
                let ended = rows::end_all(connection, user.id, None, &end)?;
                let entry = Entry::success(Event::SessionRevokedAll, &actor, &user, &client);
                audit::append(connection, &entry.detail(counted(ended)), now)?;
                users::raise_epoch(connection, user.id)?;
                Ok(ended)
            })
            .await?;
        self.invalidate_user(user).await?;
        Ok(ended)
    }
}
