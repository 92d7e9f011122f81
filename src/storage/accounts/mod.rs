//! Accounts, and what opens them.

pub mod former_usernames;
pub mod links;
pub mod profiles;
pub mod search_texts;
pub mod users;
