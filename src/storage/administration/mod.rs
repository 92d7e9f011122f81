//! What those who administer look at: lists of accounts.

pub mod user_search;
