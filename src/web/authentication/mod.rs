//! Signing in and out, and the password asked for again.

pub mod confirm;
pub mod login;
pub mod logout;
mod reauth_purpose;
