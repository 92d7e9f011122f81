//! The fields that row, copy in Redis and every reader of a session have in common, one line each.

/// Hands them to the macro `then`: of each, beside the ids, its type and its name in copies.
macro_rules! core_fields {
    ($then:ident) => {
        $then! {
            kind: SessionKind = "k";
            remember: bool = "m";
            created_at: Timestamp = "c";
            password_entered_at: Timestamp = "p";
            absolute_limit: Timestamp = "a";
        }
    };
}
pub(super) use core_fields;
