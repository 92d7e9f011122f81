//! Ids: UUIDv7, so that they sort by the moment of creation. Public; never a secret.

use uuid::Uuid;

use super::Timestamp;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id of the moment `now`.
            pub fn new(now: Timestamp) -> Self {
                let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
                let time = uuid::Timestamp::from_unix_time(millis / 1000, (millis % 1000) as u32 * 1_000_000, 0, 0);
                Self(Uuid::new_v7(time))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            /// Only the lower-case hyphenated form that [`std::fmt::Display`] writes: an id has one spelling.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id = Self(Uuid::try_parse(text)?);
                if id.to_string() == text { Ok(id) } else { Uuid::try_parse("").map(Self) }
            }
        }
    };
}

id!(
    /// Whose account.
    UserId
);
id!(
    /// Which session; `sid` in tokens.
    SessionId
);
id!(
    /// Which row of the audit log.
    EventId
);
