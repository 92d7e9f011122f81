//! Who it is: passwords compared and counted, signing in and out.

pub mod hasher;
pub mod known_browser;
pub mod lockout;
pub mod reauthentication;
pub mod shared_limit;
pub mod sign_in;
