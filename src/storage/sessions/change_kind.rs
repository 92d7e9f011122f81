//! Kinds of rows in the feed.

use crate::domain::text::text_enum;

text_enum!(
    /// How a change is written in the feed.
    ChangeKind {
        SessionEnded = "session_ended",
        SecretChanged = "secret_changed",
        UserChanged = "user_changed",
        UserDeleted = "user_deleted",
        EveryoneChanged = "everyone_changed",
    }
);
