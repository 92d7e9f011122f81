//! Kinds of actors, as the audit log names them. No account may be called like one.

use super::text::text_enum;

text_enum!(
    /// What kind of actor it was.
    ActorKind {
        User = "user",
        Cli = "cli",
        System = "system",
        Anonymous = "anonymous",
    }
);
