//! Schemas of the words and ids of the domain, which knows nothing of documents.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::audit::ActorKind;
use crate::domain::session_list::SessionState;
use crate::domain::signing_key::{KeyState, SigningAlgorithm};
use crate::domain::{EndReason, Event, EventId, Outcome, Role, SessionId, SessionKind, UserId, UserStatus, id};
use crate::services::administration::users::UserSort;

macro_rules! word_schema {
    ($($type:ident: $description:literal),+ $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let words = Self::ALL.iter().map(|word| word.as_str());
                let schema = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
                schema.description(Some($description)).into()
            }
        }
        impl ToSchema for $type {}
    )+};
}
word_schema!(
    Role: "What an account may do: a manager all that a user can, an administrator all that a manager can.",
    UserStatus: "Whether an account may be used.",
    UserSort: "What a list of accounts is sorted by; with `-` in front it is backwards.",
    SessionKind: "Who signed in: a person in a browser, or a program.",
    SessionState: "Which sessions a list is of.",
    EndReason: "Why a session ended; `replaced` by another sign-in in the same browser.",
    Event: "What happened.",
    Outcome: "How it went.",
    ActorKind: "Who did it: an account, the command line on the server, the server itself, or nobody who is signed in.",
    SigningAlgorithm: "What a key signs with (RFC 7518, RFC 8037).",
    KeyState: "`next` is published and will sign, `active` signs, `retired` has signed tokens that may still be good.",
);

macro_rules! id_schema {
    ($($type:ident: $description:literal),+ $(,)?) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let uuid = SchemaFormat::Custom("uuid".to_owned());
                let schema = ObjectBuilder::new().schema_type(Type::String).format(Some(uuid));
                schema.pattern(Some(id::PATTERN)).description(Some($description)).into()
            }
        }
        impl ToSchema for $type {}
    )+};
}
id_schema!(
    UserId: "The id of an account.",
    SessionId: "The id of a session.",
    EventId: "The id of a row of the audit log.",
);
