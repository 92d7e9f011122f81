//! Types and rules, free of the web server and of any store.

pub mod access_token;
pub mod audit;
pub mod audit_list;
pub mod clock;
pub mod cursor;
pub mod device;
pub mod device_cookie;
pub mod email;
pub mod error;
pub mod field;
pub mod id;
pub mod json;
pub mod keys;
pub mod link;
pub mod name;
pub mod password;
pub mod refresh_token;
pub mod role;
pub mod session;
pub mod session_list;
pub mod signing_key;
pub mod text;
pub mod user;
pub mod username;

pub use audit::{Actor, Event, Outcome};
pub use clock::{Clock, Timestamp};
pub use email::EmailAddress;
pub use error::Error;
pub use field::{FieldError, FieldErrors};
pub use id::{EventId, SessionId, UserId};
pub use name::NameKey;
pub use password::PasswordPolicy;
pub use role::Role;
pub use session::{EndReason, Session, SessionKind};
pub use user::{User, UserStatus};
pub use username::Username;
