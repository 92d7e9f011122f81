//! What those who administer look at: lists and figures.

pub mod stats;
pub mod user_search;
