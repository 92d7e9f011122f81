//! The tables. `migrations/` makes them, once for each kind of database; `tests/portcullis/database_schema.rs` compares.

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::{Id, TimestampColumn};
    /// Accounts. A deleted one keeps its row, without its names' keys, for the history of its sessions.
    users (id) {
        id -> Id,
        username -> Text,
        username_key -> Nullable<Text>,
        email -> Text,
        email_key -> Nullable<Text>,
        name -> Nullable<Text>,
        role -> Text,
        status -> Text,
        epoch -> BigInt,
        rev -> BigInt,
        password_hash -> Nullable<Text>,
        password_changed_at -> Nullable<TimestampColumn>,
        created_at -> TimestampColumn,
        last_sign_in_at -> Nullable<TimestampColumn>,
        deleted_at -> Nullable<TimestampColumn>,
        search_text -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::{Id, TimestampColumn};
    /// A row for each sign-in, also those that ended.
    sessions (id) {
        id -> Id,
        user_id -> Id,
        kind -> Text,
        secret_hash -> Binary,
        epoch -> BigInt,
        remember -> Bool,
        device -> Text,
        address -> Text,
        created_at -> TimestampColumn,
        password_entered_at -> TimestampColumn,
        last_active_at -> TimestampColumn,
        idle_ms -> BigInt,
        absolute_limit -> TimestampColumn,
        ended_at -> Nullable<TimestampColumn>,
        ended_by -> Nullable<Text>,
        end_reason -> Nullable<Text>,
        refresh_seed -> Nullable<Binary>,
        refresh_counter -> BigInt,
        refresh_rotated_at -> Nullable<TimestampColumn>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::{Id, TimestampColumn};
    /// The feed: what each node must take out of the Redis that it sees. Timed by the database's own clock.
    changes (id) {
        id -> BigInt,
        at -> TimestampColumn,
        kind -> Text,
        user_id -> Id,
        session_id -> Nullable<Id>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::{Id, TimestampColumn};
    /// Ends of many sessions that the history has not noted yet, or not of all.
    unnoted_ends (id) {
        id -> BigInt,
        roles -> Text,
        at -> TimestampColumn,
        ended_by -> Text,
        end_reason -> Text,
        user_id -> Nullable<Id>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::{Id, TimestampColumn};
    audit_events (id) {
        id -> Id,
        at -> TimestampColumn,
        event -> Text,
        outcome -> Text,
        actor_kind -> Text,
        actor_id -> Nullable<Id>,
        actor_username -> Nullable<Text>,
        subject_id -> Nullable<Id>,
        subject_username -> Nullable<Text>,
        session_id -> Nullable<Id>,
        address -> Nullable<Text>,
        device -> Nullable<Text>,
        request_id -> Nullable<Text>,
        detail -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::{Id, TimestampColumn};
    /// Usernames that accounts had before, and until when.
    former_usernames (username_key, user_id) {
        username_key -> Text,
        user_id -> Id,
        until -> TimestampColumn,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::{Id, TimestampColumn};
    /// One-time links that are still good. Using one up, or replacing it, deletes its row.
    one_time_links (token_hash) {
        token_hash -> Binary,
        purpose -> Text,
        user_id -> Nullable<Id>,
        expires_at -> TimestampColumn,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::{Id, TimestampColumn};
    /// Failed password checks, counted. The key is a keyed hash: no name that somebody typed is stored.
    lockouts (key) {
        key -> Binary,
        user_id -> Nullable<Id>,
        failures -> BigInt,
        pending -> BigInt,
        expires_at -> TimestampColumn,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    /// Facts about this installation, such as the fingerprint of its `secret_key`.
    installation (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::TimestampColumn;
    /// What happened in each hour: counted in the transaction of the event.
    stat_hours (hour) {
        hour -> TimestampColumn,
        sign_ins -> BigInt,
        failures -> BigInt,
        reuse_alarms -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::TimestampColumn;
    /// From where sign-ins were refused in each hour.
    failing_addresses (hour, address) {
        hour -> TimestampColumn,
        address -> Text,
        failures -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::TimestampColumn;
    /// Totals of tables too large to be counted for each page.
    figures (name) {
        name -> Text,
        value -> BigInt,
        at -> TimestampColumn,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::TimestampColumn;
    /// What one node does for all, and until when the others leave it to that one.
    leases (name) {
        name -> Text,
        until -> TimestampColumn,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::super::types::TimestampColumn;
    /// Keys that sign access tokens, the private part sealed.
    signing_keys (kid) {
        kid -> Text,
        algorithm -> Text,
        state -> Text,
        private_key -> Nullable<Binary>,
        public_jwk -> Text,
        created_at -> TimestampColumn,
        active_from -> Nullable<TimestampColumn>,
        retired_at -> Nullable<TimestampColumn>,
    }
}

diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(former_usernames -> users (user_id));
diesel::allow_tables_to_appear_in_same_query!(users, sessions, changes, lockouts, former_usernames);
