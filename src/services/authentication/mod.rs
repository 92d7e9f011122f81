//! Who it is: passwords compared and counted, signing in and out.

pub mod hasher;
pub mod lockout;
pub mod sign_in;
