//! What can be done to an account, in words.

use crate::domain::User;
use crate::services::sessions::counts::OpenSessions;
use crate::web::sessions::counts::{self, SIGNS_YOU_OUT};

/// What no reset link changes.
const SUSPENDED_STAYS_SO: &str =
    "The account is suspended and stays so: also with the new password, signing in is refused until you reinstate it.";

/// What can be done to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::web) enum Act {
    Suspend,
    Reinstate,
    ResetLink,
    EndSessions,
    Delete,
}

/// What the page of an act says.
pub(super) struct Words {
    pub title: String,
    /// The word of the button, where there is something to do; and of the link that leaves everything as it is.
    pub button: Option<String>,
    pub cancel: &'static str,
    pub consequences: Vec<String>,
    /// Many or for good: red.
    pub destructive: bool,
}

impl Act {
    pub(in crate::web) const ALL: [Self; 5] =
        [Self::Suspend, Self::Reinstate, Self::ResetLink, Self::EndSessions, Self::Delete];

    /// What it does, before the name of the account.
    pub(in crate::web) fn verb(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Reinstate => "reinstate",
            Self::ResetLink => "make a reset link for",
            Self::EndSessions => "end all sessions of",
            Self::Delete => "delete",
        }
    }

    /// The last part of its URL.
    pub(in crate::web) fn path(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Reinstate => "reinstate",
            Self::ResetLink => "reset-link",
            Self::EndSessions => "end-sessions",
            Self::Delete => "delete",
        }
    }

    /// What is said to the reader of the page; `own`: whose account it is.
    pub(super) fn words(self, user: &User, own: bool, sessions: OpenSessions) -> Words {
        let username = &user.username;
        let ends = counts::ends(sessions);
        let say = |title: String, button: String, cancel, consequences: &[&str]| Words {
            title,
            button: Some(button),
            cancel,
            consequences: consequences.iter().map(|&words| words.to_owned()).collect(),
            destructive: matches!(self, Self::Suspend | Self::EndSessions | Self::Delete),
        };
        let mut words = match self {
            Self::Suspend => say(
                format!("Suspend {username}?"),
                format!("Suspend {username}"),
                "Keep it active",
                &[
                    &ends,
                    match own {
                        true => "Signing in is refused until another administrator reinstates the account.",
                        false => "Signing in is refused until you reinstate the account.",
                    },
                    "The profile, the password and the role are kept.",
                ],
            ),
            Self::Reinstate => say(
                format!("Reinstate {username}?"),
                format!("Reinstate {username}"),
                "Keep it suspended",
                &[
                    "The owner of the account can sign in again, with the same password.",
                    "Sessions that the suspension ended don’t come back.",
                ],
            ),
            Self::ResetLink => say(
                format!("Make a reset link for {username}?"),
                "Make a link".to_owned(),
                "Cancel",
                &[
                    "You get a link to hand over. It works once, for 24 hours; earlier ones stop working.",
                    match user.is_active() {
                        true => {
                            "The password stays as it is until the owner of the account chooses another. That ends all \
                             its sessions."
                        }
                        false => SUSPENDED_STAYS_SO,
                    },
                ],
            ),
            Self::EndSessions if sessions.total().value == 0 => Words {
                button: None,
                destructive: false,
                ..say(format!("End all sessions of {username}?"), String::new(), "Back", &[&ends])
            },
            Self::EndSessions => say(
                format!("End all sessions of {username}?"),
                format!("End {}", counts::sessions(sessions.total())),
                "Keep them",
                &[&ends, "The owner of the account can sign in again at once."],
            ),
            Self::Delete => say(
                format!("Delete {username}?"),
                format!("Delete {username}"),
                "Keep the account",
                &[
                    &ends,
                    "The account is gone, with its profile and its password. This can’t be undone.",
                    "The username and the e-mail are free for somebody else.",
                    &format!("The audit log keeps the events, under the name {username}."),
                ],
            ),
        };
        if own && words.destructive {
            words.consequences.insert(0, SIGNS_YOU_OUT.to_owned());
        }
        words
    }
}
