//! What managers and administrators look at and do.

pub mod stats;
pub mod transfer;
pub mod user_acts;
pub mod users;
