//! Signing in and out.

pub mod auth;
