//! The audit log by its filters, page by page, newest first.
//!
//! One of the filters drives: its index is walked in the order of the list. The others are written so that no index
//! serves them, or a database might walk the index of what is frequent in search of what is rare. A page looks at no
//! more than [`WALKED`] events; the next one goes on where it stopped.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use uuid::Uuid;

use super::Row;
use crate::domain::NameKey;
use crate::domain::audit::AuditEvent;
use crate::domain::audit_list::{AuditFilter, AuditedAccount};
use crate::domain::cursor::cut;
use crate::domain::{EventId, Outcome, Timestamp, UserId};
use crate::storage::Result;
use crate::storage::database::{AnyConnection, MultiBackend};
use crate::storage::functions::lower;
use crate::storage::schema::{audit_events, former_usernames, users};

/// So many events are looked at for one page.
const WALKED: i64 = 10_000;
/// So many accounts are looked for that had the same name, one after the other.
const NAMESAKES: usize = 20;

/// A page, and after which event the next one begins, if there may be any.
pub struct Found {
    pub events: Vec<AuditEvent>,
    pub next: Option<EventId>,
}

type Query<'a> = diesel::helper_types::IntoBoxed<'a, audit_events::table, MultiBackend>;

/// What is walked.
#[derive(Clone, Copy)]
enum Driver {
    Request(Uuid),
    Subject(UserId),
    Actor(UserId),
    Address,
    Event,
    Failures,
    Time,
}

/// At most `limit` events older than `before`.
pub fn page(
    connection: &mut AnyConnection,
    filter: &AuditFilter,
    before: Option<EventId>,
    limit: usize,
) -> Result<Found> {
    let accounts = filter.user.as_deref().map(|user| accounts(connection, user)).transpose()?;
    let users: Option<Vec<UserId>> = accounts.map(|accounts| accounts.into_iter().map(|account| account.id).collect());
    let drivers = match &users {
        _ if let Some(request) = filter.request_id => vec![Driver::Request(request)],
        Some(users) => users.iter().flat_map(|id| [Driver::Subject(*id), Driver::Actor(*id)]).collect(),
        None if filter.address.is_some() => vec![Driver::Address],
        None if filter.event.is_some() => vec![Driver::Event],
        None if filter.outcome == Some(Outcome::Failure) => vec![Driver::Failures],
        None => vec![Driver::Time],
    };
    let mut events = Vec::new();
    let mut stop = None;
    for driver in drivers {
        let walk = Walk { filter, users: users.as_deref(), before, driver };
        stop = stop.max(walk.end(connection)?);
        events.extend(walk.events(connection, stop, limit)?);
    }
    events.sort_by_key(|event: &AuditEvent| std::cmp::Reverse(event.id));
    events.dedup_by_key(|event| event.id);
    // Further down, not every walk has looked.
    events.retain(|event| stop.is_none_or(|stop| event.id >= stop));
    let full = cut(&mut events, limit);
    let last = events.last().map(|event| event.id);
    Ok(Found { events, next: if full { last } else { stop } })
}

/// The accounts that this names: by id, by e-mail, or by a username that they have or had. First comes who has it.
pub fn accounts(connection: &mut AnyConnection, typed: &str) -> Result<Vec<AuditedAccount>> {
    type Columns = (UserId, String, Option<Timestamp>);
    let columns = (users::id, users::username, users::deleted_at);
    let mut found: Vec<Columns> = if let Ok(id) = typed.parse::<UserId>() {
        users::table.find(id).select(columns).load(connection)?
    } else if let Some(key) = NameKey::of_typed(typed) {
        let having = users::table.filter(lower(users::username).eq(key.as_str())).order(users::id.desc());
        let mut found: Vec<Columns> = having.select(columns).limit(NAMESAKES as i64).load(connection)?;
        let by_email = users::table.filter(users::email_key.eq(key.as_str()));
        found.extend(by_email.select(columns).load::<Columns>(connection)?);
        let having_had = former_usernames::table
            .inner_join(users::table)
            .filter(former_usernames::username_key.eq(key.as_str()))
            .order((former_usernames::until.desc(), users::id.desc()));
        found.extend(having_had.select(columns).limit(NAMESAKES as i64).load::<Columns>(connection)?);
        found
    } else {
        Vec::new()
    };
    let mut seen = HashSet::new();
    found.retain(|(id, ..)| seen.insert(*id));
    found.truncate(NAMESAKES);
    let account = |(id, username, deleted_at): Columns| AuditedAccount { id, username, deleted: deleted_at.is_some() };
    Ok(found.into_iter().map(account).collect())
}

struct Walk<'f> {
    filter: &'f AuditFilter,
    /// Those that the filter names.
    users: Option<&'f [UserId]>,
    before: Option<EventId>,
    driver: Driver,
}

impl Walk<'_> {
    /// What the driver finds, newest first.
    fn driven<'a>(&self) -> Query<'a> {
        let mut query = audit_events::table.order(audit_events::id.desc()).into_boxed::<MultiBackend>();
        query = match (self.driver, self.filter.address, self.filter.event) {
            (Driver::Request(id), ..) => query.filter(audit_events::request_id.eq(id.to_string())),
            (Driver::Subject(id), ..) => query.filter(audit_events::subject_id.eq(id)),
            (Driver::Actor(id), ..) => query.filter(audit_events::actor_id.eq(id)),
            (Driver::Address, Some(address), _) => query.filter(audit_events::address.eq(address.to_string())),
            (Driver::Event, _, Some(event)) => query.filter(audit_events::event.eq(event)),
            // Literally, or no database would see that it is the condition of the index.
            (Driver::Failures, ..) => query.filter(sql::<Bool>("outcome = 'failure'")),
            (Driver::Time | Driver::Address | Driver::Event, ..) => query,
        };
        if let Some(since) = self.filter.since {
            query = query.filter(audit_events::id.ge(EventId::first_of(since)));
        }
        if let Some(until) = self.filter.until {
            query = query.filter(audit_events::id.lt(EventId::first_of(until)));
        }
        match self.before {
            Some(before) => query.filter(audit_events::id.lt(before)),
            None => query,
        }
    }

    /// Whether there are filters besides the driver: without any, every event that is looked at is shown. Of one request
    /// there are few.
    fn picks(&self) -> bool {
        if matches!(self.driver, Driver::Request(_)) {
            return false;
        }
        let AuditFilter { event, address, outcome, .. } = self.filter;
        let others = [event.is_some(), address.is_some(), outcome.is_some()].into_iter().filter(|set| *set).count();
        others > usize::from(matches!(self.driver, Driver::Address | Driver::Event | Driver::Failures))
    }

    /// Where the walk has looked at enough; `None` where it ends before.
    fn end(&self, connection: &mut AnyConnection) -> Result<Option<EventId>> {
        if !self.picks() {
            return Ok(None);
        }
        Ok(self.driven().select(audit_events::id).offset(WALKED).limit(1).first(connection).optional()?)
    }

    /// One more than `limit`, if there are so many, down to `stop`.
    fn events(&self, connection: &mut AnyConnection, stop: Option<EventId>, limit: usize) -> Result<Vec<AuditEvent>> {
        let mut query = self.driven().limit(limit as i64 + 1);
        if let (Driver::Request(_), Some(users)) = (self.driver, self.users) {
            query = query.filter(audit_events::subject_id.eq_any(users).or(audit_events::actor_id.eq_any(users)));
        }
        if let Some(event) = self.filter.event.filter(|_| !matches!(self.driver, Driver::Event)) {
            query = query.filter(audit_events::event.concat("").eq(event.as_str()));
        }
        if let Some(address) = self.filter.address.filter(|_| !matches!(self.driver, Driver::Address)) {
            query = query.filter(audit_events::address.concat("").eq(address.to_string()));
        }
        if let Some(outcome) = self.filter.outcome.filter(|_| !matches!(self.driver, Driver::Failures)) {
            query = query.filter(audit_events::outcome.concat("").eq(outcome.as_str()));
        }
        if let Some(stop) = stop {
            query = query.filter(audit_events::id.ge(stop));
        }
        Ok(query.select(Row::as_select()).load::<Row>(connection)?.into_iter().map(AuditEvent::from).collect())
    }
}
