//! How many sessions are open.

use crate::domain::{Role, SessionKind};
use crate::services::{AuthContext, Result, Services};
pub use crate::storage::sessions::counts::Figure;
use crate::storage::sessions::counts::{self, Owners};

/// How many sessions there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounts {
    pub browser: i64,
    pub api: i64,
}

/// Sessions that have not ended, of each kind.
#[derive(Clone, Copy)]
pub struct OpenSessions {
    pub browser: Figure,
    pub api: Figure,
}

impl OpenSessions {
    pub fn total(&self) -> Figure {
        Figure { value: self.browser.value + self.api.value, exact: self.browser.exact && self.api.exact }
    }

    /// Without the one that asks for a page, as browsers do.
    pub fn others(self) -> Self {
        Self { browser: Figure { value: (self.browser.value - 1).max(0), ..self.browser }, ..self }
    }
}

impl From<SessionCounts> for OpenSessions {
    fn from(SessionCounts { browser, api }: SessionCounts) -> Self {
        let exactly = |value| Figure { value, exact: true };
        Self { browser: exactly(browser), api: exactly(api) }
    }
}

/// How many sessions there are; where they are many, how many there were a while ago.
pub async fn open(services: &Services, auth: &AuthContext) -> Result<OpenSessions> {
    auth.require(Role::Manager)?;
    of_owners(services, Owners::Everyone).await
}

/// The same of those that the caller reaches.
pub async fn within_reach(services: &Services, auth: &AuthContext) -> Result<OpenSessions> {
    auth.require(Role::Manager)?;
    of_owners(services, if auth.role == Role::Admin { Owners::Everyone } else { Owners::Users }).await
}

async fn of_owners(services: &Services, owners: Owners) -> Result<OpenSessions> {
    if let Some(known) = known(services, owners).await? {
        return Ok(known);
    }
    // The first time that they are many: no sweep has counted them yet.
    count_all(services).await?;
    known(services, owners).await?.ok_or_else(|| crate::domain::Error::internal("sessions were counted to no avail"))
}

/// At a cost that has a bound; `None` where they are many and no sweep has counted them yet.
async fn known(services: &Services, owners: Owners) -> Result<Option<OpenSessions>> {
    let read = services.database.read(move |connection| {
        let browser = counts::figure(connection, SessionKind::Browser, owners)?;
        Ok(browser.zip(counts::figure(connection, SessionKind::Api, owners)?))
    });
    Ok(read.await?.map(|(browser, api)| OpenSessions { browser, api }))
}

/// Everyone's, for whoever asks again and again: as [`open`], but nothing is counted for the answer that a page would not
/// count each time.
pub(in crate::services) async fn already_known(services: &Services) -> Result<Option<OpenSessions>> {
    known(services, Owners::Everyone).await
}

/// For the figures: they are told from this where sessions are too many to be counted for a page.
pub(in crate::services) async fn count_all(services: &Services) -> Result<()> {
    let (database, now) = (services.database.clone().with_long_timeout(), services.clock.now());
    for kind in SessionKind::ALL.iter().copied() {
        let open = database.read(move |connection| counts::count_all(connection, kind)).await?;
        let keep = move |connection: &mut _| {
            open.into_iter().try_for_each(|counted| counts::keep(connection, kind, counted, now))
        };
        database.write(keep).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sessions_are_counted_without_the_one_that_asks() {
        for (browser, api, expected) in [(4, 3, 6), (1, 1, 1), (0, 0, 0)] {
            assert_eq!(OpenSessions::from(SessionCounts { browser, api }).others().total().value, expected);
        }
    }
}
