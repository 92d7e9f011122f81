//! The sessions of all, as those who administer see and end them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::domain::audit::Client;
use crate::domain::cursor::PagedList;
use crate::domain::lookup::parse_search;
use crate::domain::session_list::{ListedSession, Position, SessionFilter, counted};
use crate::domain::{EndReason, Error, Event, FieldError, Outcome, Role, SessionId};
use crate::services::authorization::recheck;
use crate::services::{AuthContext, Caller, RecentAuthContext, Result, Services};
use crate::storage::accounts::users;
use crate::storage::audit::{self, Entry};
use crate::storage::sessions::rows::{self, End};
use crate::storage::sessions::{Change, everyone, search};

/// So many sessions can be selected for one act.
pub const MOST_SELECTED: usize = 200;

/// How long an end of everyone's sessions waits for the history to be written.
const NOTING: Duration = Duration::from_secs(2);

/// The writing of what an end of everyone's sessions leaves to the history: one task of a node at a time does it.
#[derive(Default)]
pub struct Noting {
    turn: Mutex<()>,
    /// How many sessions the present or the latest one has noted.
    noted: AtomicU64,
}

impl Noting {
    /// How many sessions were noted so far.
    pub fn noted(&self) -> u64 {
        self.noted.load(Ordering::Relaxed)
    }
}

/// A page of a list of sessions.
#[derive(Default)]
pub struct SessionPage {
    pub sessions: Vec<ListedSession>,
    /// The cursor of the next page, if there may be one; it may turn out empty.
    pub next: Option<String>,
}

impl Services {
    /// At most `limit` sessions after `cursor`.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field `cursor` where it was not written for this list, or `q` where the text is too
    /// long to be found.
    pub async fn search_sessions(
        &self,
        auth: &AuthContext,
        filter: &SessionFilter,
        cursor: Option<&str>,
        limit: u16,
    ) -> Result<SessionPage> {
        auth.require(Role::Manager)?;
        let q = filter.q.as_deref().map(parse_search).transpose().map_err(|error| Error::Invalid(error.into()))?;
        let filter = SessionFilter { q: q.filter(|q| !q.is_empty()).map(str::to_owned), ..filter.clone() };
        let list = PagedList::new(&self.root_key, list_name(&filter));
        let after: Option<Position> = list.place(cursor)?;
        let now = self.clock.now();
        let found =
            self.database.read(move |connection| search::page(connection, &filter, after, limit.into(), now)).await?;
        let next = found.next.map(|place| list.cursor(&place));
        Ok(SessionPage { sessions: found.sessions, next })
    }

    /// A session, live or ended.
    pub async fn known_session(&self, auth: &AuthContext, id: SessionId) -> Result<ListedSession> {
        auth.require(Role::Manager)?;
        let found = self.database.read(move |connection| search::by_ids(connection, &[id])).await?;
        found.into_iter().next().ok_or(Error::NotFound)
    }

    /// Those of these sessions that have not ended, each within the caller's reach.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field `id` where they are too many, [`Error::Forbidden`] where one is out of reach.
    pub async fn selected_sessions(&self, auth: &AuthContext, ids: &[SessionId]) -> Result<Vec<ListedSession>> {
        auth.require(Role::Manager)?;
        check_selection(ids)?;
        let (auth, ids) = (auth.clone(), ids.to_vec());
        self.database.read(move |connection| selected(connection, &auth, &ids)).await
    }

    /// Ends these sessions, all or, where one is out of reach, none; says how many had not ended yet.
    pub async fn end_sessions(&self, auth: &AuthContext, ids: &[SessionId], client: &Client) -> Result<u64> {
        auth.require(Role::Manager)?;
        check_selection(ids)?;
        let (auth, client, now) = (auth.clone(), client.clone(), self.clock.now());
        let ids = ids.to_vec();
        let ended = self
            .database
            .write(move |connection| {
                let auth = recheck(connection, &auth)?;
                let mut ended = Vec::new();
                for ListedSession { session, .. } in selected(connection, &auth, &ids)? {
                    let user = users::by_id(connection, session.user_id)?.ok_or(Error::NotFound)?.user;
                    let end = End { reason: EndReason::EndedByAdministrator, by: &auth.actor, at: now };
                    if rows::end(connection, user.id, session.id, &end)? {
                        let entry = Entry::success(Event::SessionRevoked, &auth.actor, &user, &client);
                        let entry = entry.session(session.id).detail(session.description());
                        audit::append(connection, &entry, now)?;
                        ended.push(Change::SessionEnded(user.id, session.id));
                    }
                }
                Ok(ended)
            })
            .await?;
        self.sessions.invalidate(&ended).await?;
        Ok(ended.len() as u64)
    }

    /// Ends the sessions of everyone whom the caller reaches, in one act; says how many. `spared` is the session that
    /// asks, which stays. All are dead when this is done; [`Self::note_ends`] writes it into the history.
    pub async fn end_everyones_sessions(
        &self,
        auth: &RecentAuthContext,
        spared: Option<&Caller>,
        client: &Client,
    ) -> Result<u64> {
        auth.require(Role::Manager)?;
        let (auth, client, now) = (auth.clone(), client.clone(), self.clock.now());
        let spared = spared.cloned();
        // There may be a million of them: whoever asks waits, rather than not to know.
        let database = self.database.clone().patient();
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
        // The history of few is there when the answer is; that of many is written on while it goes out.
        let services = self.clone();
        let noting = tokio::spawn(async move {
            if let Err(error) = services.note_ends().await {
                tracing::warn!(%error, "the history of ended sessions is left to the next sweep");
            }
        });
        let (invalidated, _) =
            tokio::join!(self.sessions.invalidate(&[Change::Everyone]), tokio::time::timeout(NOTING, noting));
        invalidated.map(|()| ended)
    }

    /// Writes into the history what [`Self::end_everyones_sessions`] has ended, and what an earlier process left
    /// unwritten. Sessions are dead without it.
    pub async fn note_ends(&self) -> Result<()> {
        let database = self.database.clone().patient();
        let _turn = self.noting.turn.lock().await;
        self.noting.noted.store(0, Ordering::Relaxed);
        while let Some(end) = database.read(everyone::unnoted).await? {
            database.write(everyone::tell_again).await?;
            let mut after = None;
            loop {
                let some = end.clone();
                let (noted, last) =
                    database.write(move |connection| everyone::note_some(connection, &some, after)).await?;
                self.noting.noted.fetch_add(noted, Ordering::Relaxed);
                after = last;
                if after.is_none() {
                    break;
                }
            }
            database.write(move |connection| everyone::noted(connection, &end)).await?;
            self.count_open_sessions().await?;
        }
        Ok(())
    }
}

fn check_selection(ids: &[SessionId]) -> Result<()> {
    if ids.len() <= MOST_SELECTED {
        return Ok(());
    }
    let message = format!("Select at most {MOST_SELECTED} sessions at a time.");
    Err(Error::Invalid(FieldError::new("id", "too_many", message).into()))
}

fn selected(
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
