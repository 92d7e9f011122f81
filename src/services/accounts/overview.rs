//! What an account's owner sees first.

use crate::domain::Session;
use crate::domain::audit::AuditEvent;
use crate::domain::session::LiveSession;
use crate::services::sessions::account;
use crate::services::sessions::counts::SessionCounts;
use crate::services::{Result, Services};
use crate::storage::audit;

/// Events among which the sign-in before this one is looked for.
const LOOK_BACK: i64 = 100;

/// The account's sessions and events.
pub struct Overview {
    /// Live ones, last active first.
    pub sessions: Vec<Session>,
    /// How many there are of them in all.
    pub counts: SessionCounts,
    /// Newest first.
    pub events: Vec<AuditEvent>,
    /// The newest sign-in before the reader's session began.
    pub sign_in_before: Option<AuditEvent>,
}

/// At most so many sessions and events of the account whose session reads this.
pub async fn read(services: &Services, reader: &LiveSession, sessions: i64, events: i64) -> Result<Overview> {
    let (user, began, now) = (reader.user_id, reader.created_at, services.clock.now());
    services
        .database
        .read_few(move |connection| {
            let (sessions, counts) = account::read_live(connection, user, now, sessions)?;
            Ok(Overview {
                sessions,
                counts,
                events: audit::of_subject(connection, user, None, events)?,
                sign_in_before: audit::sign_in_before(connection, user, began, LOOK_BACK)?,
            })
        })
        .await
}
