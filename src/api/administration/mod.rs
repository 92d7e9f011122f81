//! Accounts under the hands of those who administer, and figures.

pub mod stats;
pub mod user_acts;
pub mod users;
