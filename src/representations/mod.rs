//! Accounts, sessions, events and keys as JSON: what the API answers and the command line prints. Absent values are
//! `null`, ids are strings, times RFC 3339 in UTC.

mod account;
mod audit_event;
pub mod audit_export;
mod schemas;
mod session;
mod signing_key;
mod stats;

pub use self::account::{UserRef, UserShape};
pub use self::audit_event::{ActorShape, EventShape};
pub use self::session::SessionShape;
pub use self::signing_key::KeyShape;
pub use self::stats::{Count, SessionFigures, StatsShape, UserFigures};
