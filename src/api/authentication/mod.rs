//! Signing in.

pub mod auth;
