//! The audit log: searched and exported.

mod export_slots;

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::authorization::recheck;
use super::{AuthContext, Result, Services};
use crate::domain::audit::AuditEvent;
use crate::domain::audit_list::{AuditFilter, AuditedAccount};
use crate::domain::cursor::PagedList;
use crate::domain::{Clock, EventId, Role, UserId};
use crate::storage::audit::search::{self as audit_search, Found};
use crate::storage::{Database, audit};
pub use export_slots::Exports;
use export_slots::Slot;

/// Events that an export holds in memory at once.
const EXPORTED: usize = 500;

/// A page of the audit log.
pub struct AuditPage {
    pub events: Vec<AuditEvent>,
    /// The cursor of the next page, if there may be one; it may turn out empty.
    pub next: Option<String>,
}

/// At most `limit` events after `cursor`, newest first.
///
/// # Errors
/// [`Error::Invalid`](crate::domain::Error::Invalid) names the field `cursor` where it was not written for this list.
pub async fn search(
    services: &Services,
    auth: &AuthContext,
    filter: &AuditFilter,
    cursor: Option<&str>,
    limit: u16,
) -> Result<AuditPage> {
    auth.require(Role::Manager)?;
    let list = PagedList::new(&services.root_key, format!("audit {filter:?}"));
    let before: Option<EventId> = list.place(cursor)?;
    let filter = filter.clone();
    let found =
        services.database.read(move |connection| audit_search::page(connection, &filter, before, limit.into())).await?;
    let next = found.next.map(|place| list.cursor(&place));
    Ok(AuditPage { events: found.events, next })
}

/// Whose events a search for this user finds: accounts that have or had the name, or the id.
pub async fn accounts(database: &Database, auth: &AuthContext, user: &str) -> Result<Vec<AuditedAccount>> {
    auth.require(Role::Manager)?;
    let user = user.to_owned();
    database.read(move |connection| audit_search::accounts(connection, &user)).await
}

/// All events that the filter finds, newest first, in pieces: read as fast as they are taken, and only as long as the
/// caller may.
///
/// # Errors
/// [`Error::TooManyExports`](crate::domain::Error::TooManyExports) where enough are under way on this node; a piece may
/// be it too, where nobody has taken one for long, or where somebody else needs the slot more.
pub fn export(
    services: &Services,
    auth: &AuthContext,
    filter: AuditFilter,
) -> Result<impl Stream<Item = Result<Vec<AuditEvent>>> + use<>> {
    auth.require(Role::Manager)?;
    let export = Export {
        slot: services.exports.begin(&auth.actor, services.clock.now())?,
        clock: services.clock.clone(),
        database: services.database.clone(),
        auth: auth.clone(),
        filter: Arc::new(filter),
    };
    let start = Some((export, None));
    Ok(try_unfold(start, move |rest: Option<(Export, Option<EventId>)>| async move {
        let Some((export, before)) = rest else { return Ok(None) };
        let found = export.read(before).await?;
        Ok(Some((found.events, found.next.map(|next| (export, Some(next))))))
    }))
}

/// What happened to the account, newest first, older than `before`.
pub async fn of_account(
    database: &Database,
    user: UserId,
    before: Option<EventId>,
    limit: i64,
) -> Result<Vec<AuditEvent>> {
    database.read(move |connection| audit::of_subject(connection, user, before, limit)).await
}

/// An export under way.
struct Export {
    slot: Slot,
    clock: Clock,
    database: Database,
    auth: AuthContext,
    filter: Arc<AuditFilter>,
}

impl Export {
    async fn read(&self, before: Option<EventId>) -> Result<Found> {
        self.slot.keep(self.clock.now())?;
        let (auth, filter) = (self.auth.clone(), self.filter.clone());
        // Whoever has half of it waits, rather than to begin anew.
        let database = if before.is_some() { self.database.clone().with_long_timeout() } else { self.database.clone() };
        database
            .read(move |connection| {
                let found = audit_search::page(connection, &filter, before, EXPORTED)?;
                // Asked last, so that nothing is handed out that was read after the right to it had ended.
                recheck(connection, &auth)?.require(Role::Manager)?;
                Ok(found)
            })
            .await
    }
}
