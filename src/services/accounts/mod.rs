//! Accounts: opened, and looked after by their owners.

pub mod links;
pub mod lookup;
pub mod new_account;
pub mod overview;
pub mod passwords;
pub mod profile;
pub mod registration;
pub mod setup;
