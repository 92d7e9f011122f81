//! One's own account.

pub mod me;
