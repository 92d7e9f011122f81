//! One's own account, and how one comes to it.

pub mod activity;
pub mod overview;
pub mod password;
pub mod profile;
pub mod register;
pub mod reset;
pub mod setup;
