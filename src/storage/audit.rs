//! The audit log: a row for each security event, written in the transaction of what it tells of.

pub mod failing_addresses;
pub mod hours;
pub mod search;

use diesel::prelude::*;

use super::database::{AnyConnection, MultiBackend};
use super::schema::audit_events;
use crate::domain::audit::{ActorKind, AuditEvent, Client};
use crate::domain::{Actor, Event, EventId, Outcome, SessionId, Timestamp, User, UserId};
use crate::storage::Result;

/// An event to be written.
pub struct Entry<'a> {
    pub event: Event,
    pub outcome: Outcome,
    pub actor: &'a Actor,
    pub subject: Option<&'a User>,
    pub session_id: Option<SessionId>,
    pub detail: Option<String>,
    pub client: &'a Client,
}

impl<'a> Entry<'a> {
    /// What `actor` did to the account of `subject`, and succeeded.
    pub fn success(event: Event, actor: &'a Actor, subject: &'a User, client: &'a Client) -> Self {
        Self { event, outcome: Outcome::Success, actor, subject: Some(subject), session_id: None, detail: None, client }
    }

    pub fn session(mut self, id: SessionId) -> Self {
        self.session_id = Some(id);
        self
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

pub fn append(connection: &mut AnyConnection, entry: &Entry<'_>, now: Timestamp) -> Result<()> {
    let (actor_id, actor_username) = match entry.actor {
        Actor::User { id, username } => (Some(*id), Some(username.as_str())),
        Actor::Cli | Actor::System | Actor::Anonymous => (None, None),
    };
    diesel::insert_into(audit_events::table)
        .values((
            audit_events::id.eq(EventId::new(now)),
            audit_events::at.eq(now),
            audit_events::event.eq(entry.event),
            audit_events::outcome.eq(entry.outcome),
            audit_events::actor_kind.eq(entry.actor.kind()),
            audit_events::actor_id.eq(actor_id),
            audit_events::actor_username.eq(actor_username),
            audit_events::subject_id.eq(entry.subject.map(|user| user.id)),
            audit_events::subject_username.eq(entry.subject.map(|user| user.username.as_str())),
            audit_events::session_id.eq(entry.session_id),
            audit_events::address.eq(entry.client.address.map(|address| address.to_string())),
            audit_events::device.eq(entry.client.device.as_deref()),
            audit_events::request_id.eq(entry.client.request_id.map(|id| id.to_string())),
            audit_events::detail.eq(entry.detail.as_deref()),
        ))
        .execute(connection)?;
    hours::count(connection, entry.event, entry.client.address, now)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_events)]
#[diesel(check_for_backend(diesel::pg::Pg, diesel::sqlite::Sqlite))]
pub(super) struct Row {
    id: EventId,
    at: Timestamp,
    event: Event,
    outcome: Outcome,
    actor_kind: ActorKind,
    actor_id: Option<UserId>,
    actor_username: Option<String>,
    subject_id: Option<UserId>,
    subject_username: Option<String>,
    session_id: Option<SessionId>,
    address: Option<String>,
    device: Option<String>,
    request_id: Option<String>,
    detail: Option<String>,
}

impl From<Row> for AuditEvent {
    fn from(row: Row) -> Self {
        let actor = match (row.actor_kind, row.actor_id) {
            (ActorKind::User, Some(id)) => Actor::User { id, username: row.actor_username.unwrap_or_default() },
            (ActorKind::Cli, _) => Actor::Cli,
            (ActorKind::System, _) => Actor::System,
            (ActorKind::Anonymous | ActorKind::User, _) => Actor::Anonymous,
        };
        Self {
            id: row.id,
            at: row.at,
            event: row.event,
            outcome: row.outcome,
            actor,
            subject: row.subject_id.zip(row.subject_username),
            session_id: row.session_id,
            address: row.address,
            device: row.device,
            request_id: row.request_id,
            detail: row.detail,
        }
    }
}

/// What happened to the account, newest first, older than `before`.
pub fn of_subject(
    connection: &mut AnyConnection,
    user: UserId,
    before: Option<EventId>,
    limit: i64,
) -> Result<Vec<AuditEvent>> {
    let mut query = audit_events::table
        .filter(audit_events::subject_id.eq(user))
        .select(Row::as_select())
        .order(audit_events::id.desc())
        .limit(limit)
        .into_boxed::<MultiBackend>();
    if let Some(before) = before {
        query = query.filter(audit_events::id.lt(before));
    }
    Ok(query.load::<Row>(connection)?.into_iter().map(AuditEvent::from).collect())
}

/// The newest sign-in of the account before `moment`, of whichever kind. So many events before that moment are looked at:
/// wrong passwords may stand there in any number.
pub fn sign_in_before(
    connection: &mut AnyConnection,
    user: UserId,
    moment: Timestamp,
    look_back: i64,
) -> Result<Option<AuditEvent>> {
    let before: Vec<(EventId, Event)> = audit_events::table
        .filter(audit_events::subject_id.eq(user))
        .filter(audit_events::id.lt(EventId::first_of(moment)))
        .order(audit_events::id.desc())
        .limit(look_back)
        .select((audit_events::id, audit_events::event))
        .load(connection)?;
    let Some((id, _)) = before.into_iter().find(|(_, event)| event.opens_session()) else { return Ok(None) };
    let row: Option<Row> = audit_events::table.find(id).select(Row::as_select()).first(connection).optional()?;
    Ok(row.map(AuditEvent::from))
}

/// Forgets at most `most` events of before `limit`.
pub fn prune(connection: &mut AnyConnection, limit: Timestamp, most: i64) -> Result<usize> {
    let old = audit_events::table
        .filter(audit_events::id.lt(EventId::first_of(limit)))
        .order(audit_events::id)
        .select(audit_events::id)
        .limit(most);
    // Ids are in the order of time: the last one bounds the others.
    let last: Option<EventId> = old.load(connection)?.pop();
    let Some(last) = last else { return Ok(0) };
    Ok(diesel::delete(audit_events::table.filter(audit_events::id.le(last))).execute(connection)?)
}
