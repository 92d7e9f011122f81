//! Sessions, their tokens, and the keys that sign these.

pub mod everyone;
pub mod keys;
pub mod oauth;
pub mod own;
pub mod revoke;
pub mod tokens;
pub mod well_known;
