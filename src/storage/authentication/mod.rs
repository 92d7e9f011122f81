//! What is counted of attempts to sign in.

pub mod lockouts;
