//! One's own account, and how one comes to it.

pub mod me;
pub mod registration;
