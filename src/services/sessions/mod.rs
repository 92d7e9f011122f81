//! Sessions: of one account and of all, and the tokens that stand for them.

pub mod access_tokens;
pub mod account;
pub mod counts;
pub mod draft;
pub mod everyone;
pub mod history;
pub mod own;
pub mod signing_keys;
pub mod tokens;
pub mod verified_tokens;
