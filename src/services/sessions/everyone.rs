//! The sessions of all, as those who administer see and end them.

use super::history;
use crate::domain::audit::Client;
use crate::domain::cursor::PagedList;
use crate::domain::lookup::parse_search;
use crate::domain::session_list::{ListedSession, Position, SessionFilter, counted};
use crate::domain::{EndReason, Error, Event, FieldError, Outcome, Role, SessionId};
use crate::services::authorization::{Authorized, Subject, authorize_on, recheck};
use crate::services::{AuthContext, Caller, RecentAuthContext, Result, Services};
use crate::storage::Database;
use crate::storage::accounts::users;
use crate::storage::audit::{self, Entry};
use crate::storage::sessions::rows::{self, End, Lock};
use crate::storage::sessions::{Change, account, everyone, search};

/// So many sessions can be selected for one act.
pub const MOST_SELECTED: usize = 200;

/// A page of a list of sessions.
#[derive(Default)]
pub struct SessionPage {
    pub sessions: Vec<ListedSession>,
    /// The cursor of the next page, if there may be one; it may turn out empty.
    pub next: Option<String>,
}

/// At most `limit` sessions after `cursor`.
///
/// # Errors
/// [`Error::Invalid`] names the field `cursor` where it was not written for this list, or `q` where the text is too
/// long to be found.
pub async fn search(
    services: &Services,
    auth: &AuthContext,
    filter: &SessionFilter,
    cursor: Option<&str>,
    limit: u16,
) -> Result<SessionPage> {
    auth.require(Role::Manager)?;
    let q = filter.q.as_deref().map(parse_search).transpose().map_err(|error| Error::Invalid(error.into()))?;
    let filter = SessionFilter { q: q.filter(|q| !q.is_empty()).map(str::to_owned), ..filter.clone() };
    let list = PagedList::new(&services.root_key, list_name(&filter));
    let after: Option<Position> = list.place(cursor)?;
    let now = services.clock.now();
    let found =
        services.database.read(move |connection| search::page(connection, &filter, after, limit.into(), now)).await?;
    let next = found.next.map(|place| list.cursor(&place));
    Ok(SessionPage { sessions: found.sessions, next })
}

/// A session, live or ended.
pub async fn find(database: &Database, auth: &AuthContext, id: SessionId) -> Result<ListedSession> {
    auth.require(Role::Manager)?;
    let found = database.read(move |connection| search::by_ids(connection, &[id])).await?;
    found.into_iter().next().ok_or(Error::NotFound)
}

/// Those of these sessions that have not ended, each within the caller's reach.
///
/// # Errors
/// [`Error::Invalid`] names the field `id` where they are too many, [`Error::Forbidden`] where one is out of reach.
pub async fn selected(database: &Database, auth: &AuthContext, ids: &[SessionId]) -> Result<Vec<ListedSession>> {
    auth.require(Role::Manager)?;
    check_selection(ids)?;
    let (auth, ids) = (auth.clone(), ids.to_vec());
    database.read(move |connection| still_open(connection, &auth, &ids)).await
}

/// Ends these sessions, all or, where one is out of reach, none; says how many had not ended yet.
pub async fn end_selected(services: &Services, auth: &AuthContext, ids: &[SessionId], client: &Client) -> Result<u64> {
    auth.require(Role::Manager)?;
    check_selection(ids)?;
    let (auth, client, now) = (auth.clone(), client.clone(), services.clock.now());
    let ids = ids.to_vec();
    let ended = services
        .database
        .write(move |connection| {
            let auth = recheck(connection, &auth)?;
            rows::lock(connection, Lock::These(&ids))?;
            let open = still_open(connection, &auth, &ids)?;
            let owners: Vec<_> = open.iter().map(|listed| listed.session.user_id).collect();
            let owners = users::by_ids(connection, &owners)?;
            for ListedSession { session, .. } in &open {
                let owner = owners.get(&session.user_id).ok_or(Error::NotFound)?;
                let entry = Entry::success(Event::SessionRevoked, &auth.actor, owner, &client);
                audit::append(connection, &entry.session(session.id).detail(session.description()), now)?;
            }
            let ids: Vec<_> = open.iter().map(|listed| listed.session.id).collect();
            let end = End { reason: EndReason::EndedByAdministrator, by: &auth.actor, at: now };
            rows::end_some(connection, &ids, &end)?;
            let ended = |listed: &ListedSession| Change::SessionEnded(listed.session.user_id, listed.session.id);
            Ok(open.iter().map(ended).collect::<Vec<_>>())
        })
        .await?;
    services.sessions.invalidate(&ended).await?;
    Ok(ended.len() as u64)
}

/// Ends the sessions of everyone whom the caller reaches, in one act; says how many. `spared` is the session that
/// asks, which stays. All are dead when this is done; [`history::backfill`] writes it into the history.
pub async fn end_all(
    services: &Services,
    auth: &RecentAuthContext,
    spared: Option<&Caller>,
    client: &Client,
) -> Result<u64> {
    auth.require(Role::Manager)?;
    let (auth, client, now) = (auth.clone(), client.clone(), services.clock.now());
    let spared = spared.cloned();
    // There may be a million of them: whoever asks waits, rather than not to know.
    let database = services.database.clone().with_long_timeout();
    let ended = database
        .write(move |connection| {
            users::lock_all(connection)?;
            let auth = recheck(connection, &auth)?;
            auth.require(Role::Manager)?;
            let roles: Vec<Role> = Role::ALL.iter().copied().filter(|role| auth.reaches_role(*role)).collect();
            let kept = spared.as_ref().map(|caller| caller.session_id);
            let ended = everyone::raise_epochs(connection, &roles, kept, now)?;
            let whose = if auth.role == Role::Admin { "all accounts" } else { "all accounts of role user" };
            let entry = Entry {
                event: Event::SessionRevokedAll,
                outcome: Outcome::Success,
                actor: &auth.actor,
                subject: None,
                session_id: kept,
                detail: Some(format!("{} of {whose}", counted(ended))),
                client: &client,
            };
            audit::append(connection, &entry, now)?;
            if let Some(caller) = &spared {
                let owner = users::by_id(connection, caller.user_id)?.ok_or(Error::NotSignedIn)?.user;
                rows::set_epoch(connection, owner.id, caller.session_id, owner.epoch)?;
            }
            everyone::tell(connection, &roles, &End { reason: EndReason::EndedAll, by: &auth.actor, at: now })?;
            Ok(ended)
        })
        .await?;
    let (invalidated, ()) = tokio::join!(services.sessions.invalidate(&[Change::Everyone]), history::settle(services));
    invalidated.map(|()| ended)
}

/// Ends any session that the caller reaches.
pub async fn end_one(services: &Services, auth: &AuthContext, id: SessionId, client: &Client) -> Result<()> {
    auth.require(Role::Manager)?;
    let (auth, client, now) = (auth.clone(), client.clone(), services.clock.now());
    let owner = services
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
    services.sessions.invalidate(&[Change::SessionEnded(owner, id)]).await
}

/// Ends all sessions of an account; says how many. One act, whatever their number.
pub async fn end_of_account(
    services: &Services,
    auth: &RecentAuthContext,
    subject: impl Into<Subject>,
    client: &Client,
) -> Result<u64> {
    auth.require(Role::Manager)?;
    let (auth, client, now) = (auth.clone(), client.clone(), services.clock.now());
    let subject = subject.into();
    let user = subject.id();
    let ended = services
        .database
        .write(move |connection| {
            let Authorized { actor, user } = authorize_on(connection, &auth, &subject)?;
            let end = End { reason: EndReason::EndedAll, by: &actor, at: now };
            let ended = account::end_all(connection, user.id, None, &end)?;
            let entry = Entry::success(Event::SessionRevokedAll, &actor, &user, &client);
            audit::append(connection, &entry.detail(counted(ended)), now)?;
            users::raise_epoch(connection, user.id)?;
            Ok(ended)
        })
        .await?;
    services.sessions.invalidate(&[Change::User(user)]).await?;
    history::settle(services).await;
    Ok(ended)
}

fn check_selection(ids: &[SessionId]) -> Result<()> {
    if ids.len() <= MOST_SELECTED {
        return Ok(());
    }
    let message = format!("Select at most {MOST_SELECTED} sessions at a time.");
    Err(Error::Invalid(FieldError::new("id", "too_many", message).into()))
}

fn still_open(
    connection: &mut crate::storage::database::AnyConnection,
    auth: &AuthContext,
    ids: &[SessionId],
) -> Result<Vec<ListedSession>> {
    let mut found = search::by_ids(connection, ids)?;
    found.retain(|listed| listed.session.ended.is_none());
    // The order in which every transaction takes sessions.
    found.sort_by_key(|listed| listed.session.id);
    if found.iter().any(|listed| !auth.reaches_role(listed.owner.role)) {
        return Err(Error::Forbidden);
    }
    Ok(found)
}

/// The list for which a cursor is good.
fn list_name(filter: &SessionFilter) -> String {
    let kind = filter.kind.map_or("", |kind| kind.as_str());
    let user = filter.user.map(|user| user.to_string()).unwrap_or_default();
    let q = filter.q.as_deref().unwrap_or_default();
    format!("sessions {} by={:?} kind={kind} user={user} q={q}", filter.state, filter.order)
}
