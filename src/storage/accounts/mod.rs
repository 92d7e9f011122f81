//! Accounts, and what opens them.

pub mod former_usernames;
pub mod links;
pub(super) mod lookup;
pub mod users;
