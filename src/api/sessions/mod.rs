//! Sessions, their tokens, and the keys that sign these.

pub mod everyone;
pub mod keys;
pub mod oauth;
pub(super) mod tokens;
pub mod well_known;
