//! Ids: UUIDv7, so that they sort by the moment of creation. Public; never a secret.

use std::sync::atomic::{AtomicU32, Ordering};

use uuid::Uuid;

use super::Timestamp;

/// How many bits after the milliseconds count, so that what one transaction writes is read back in its order.
const COUNTER_BITS: u8 = 32;

/// RFC 9562, section 6.2, method 1: a counter in the bits after the milliseconds, random ones after that.
fn ordered(now: Timestamp) -> Uuid {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    let (seconds, nanos) = (millis / 1000, (millis % 1000) as u32 * 1_000_000);
    let counter = COUNTER.fetch_add(1, Ordering::Relaxed).into();
    Uuid::new_v7(uuid::Timestamp::from_unix_time(seconds, nanos, counter, COUNTER_BITS))
}

/// The one spelling of an id, for who checks it as text.
pub const PATTERN: &str = "^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$";

/// Text that is no id, or not in its one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an id; write it as the lists show it")]
pub struct NotAnId;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id of the moment `now`; later than those that this process has made for the same moment.
            pub fn new(now: Timestamp) -> Self {
                Self(ordered(now))
            }

            /// The lowest that an id of this moment can be: where a search by time begins.
            pub fn first_of(moment: Timestamp) -> Self {
                let millis = u64::try_from(moment.timestamp_millis()).unwrap_or(0);
                Self(Uuid::from_u128(u128::from(millis) << 80))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::text::deserialize(deserializer)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotAnId;
            /// Only the lower-case hyphenated form that [`std::fmt::Display`] writes: an id has one spelling.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let id = Uuid::try_parse(text).map(Self).map_err(|_| NotAnId)?;
                if id.to_string() == text { Ok(id) } else { Err(NotAnId) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;

    #[test]
    fn ids_of_one_moment_sort_in_the_order_in_which_they_were_made() {
        let now = Clock::default().now();
        let ids: Vec<_> = (0..1000).map(|_| EventId::new(now)).collect();
        assert!(ids.is_sorted_by(|earlier, later| earlier < later));
        assert!(ids.iter().all(|id| id.0.get_version_num() == 7));
    }

    #[test]
    fn the_first_id_of_a_moment_is_below_all_of_it_and_above_all_before() {
        let now = Clock::default().now();
        assert!(EventId::first_of(now) < EventId::new(now));
        assert!(EventId::first_of(now) > EventId::new(now - chrono::TimeDelta::milliseconds(1)));
    }

    #[test]
    fn an_id_has_one_spelling() {
        let id = UserId::new(Clock::default().now());
        assert_eq!(id.to_string().parse::<UserId>().ok(), Some(id));
        assert!(id.to_string().to_uppercase().parse::<UserId>().is_err());
        assert!(id.0.simple().to_string().parse::<UserId>().is_err());
    }
}
