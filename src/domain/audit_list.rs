//! The audit log, as those who administer ask for it.

use std::net::IpAddr;

use super::{Event, Outcome, Timestamp};

/// Which events a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    pub event: Option<Event>,
    /// Who did it or whom it was done to: username, e-mail or id of an account, also of one that is deleted.
    pub user: Option<String>,
    pub address: Option<IpAddr>,
    pub outcome: Option<Outcome>,
}

impl AuditFilter {
    /// Whether it leaves out nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
