//! Sessions: one's own, everyone's, and the keys that sign their tokens.

pub mod counts;
pub mod end;
mod end_question;
pub mod everyone;
pub mod keys;
pub mod own;
