//! What is asked before sessions are ended: which, and what will happen.

use super::counts::{self, SIGNS_YOU_OUT};
use super::everyone::ListedSessionRow;
use crate::domain::{Role, User};
use crate::services::AuthContext;
use crate::services::sessions::counts::OpenSessions;

/// What the page says.
#[derive(Default)]
pub(super) struct Question {
    pub title: String,
    /// The selected ones.
    pub sessions: Vec<ListedSessionRow>,
    /// What will happen; or why nothing can.
    pub consequences: Vec<String>,
    /// The word of the button, where there is something to end.
    pub button: Option<String>,
}

impl Question {
    /// There is nothing to end.
    pub fn none(title: &str, why: &str) -> Self {
        Self { title: title.to_owned(), consequences: vec![why.to_owned()], ..Self::default() }
    }

    /// Those of the selected that have not ended.
    pub fn selected(sessions: Vec<ListedSessionRow>) -> Self {
        let (count, verb, title) = match &sessions[..] {
            [] => return Self::none("The selected sessions have ended already", "There is nothing left to end."),
            [session] => ("1 session".to_owned(), "ends", format!("End the session of {}?", session.username)),
            many => {
                let count = format!("{} sessions", many.len());
                (count.clone(), "end", format!("End {count}?"))
            }
        };
        let mut consequences = vec![
            format!("{count} {verb} at once on every node, with cookie and tokens."),
            "Whoever used them can sign in again at once.".to_owned(),
        ];
        if sessions.iter().any(|session| session.current) {
            consequences.insert(0, SIGNS_YOU_OUT.to_owned());
        }
        let button = if sessions.len() == 1 { "End the session".to_owned() } else { format!("End {count}") };
        Self { title, button: Some(button), consequences, sessions }
    }

    /// All sessions of one account; `own`: the reader's.
    pub fn of_user(user: &User, own: bool, open: OpenSessions) -> Self {
        let title = format!("End all sessions of {}?", user.username);
        if open.total().value == 0 {
            return Self::none(&title, &counts::ends(open));
        }
        let mut consequences = vec![counts::ends(open), format!("{} can sign in again at once.", user.username)];
        if own {
            consequences.insert(0, SIGNS_YOU_OUT.to_owned());
        }
        let button = format!("End {}", counts::sessions(open.total()));
        Self { title, button: Some(button), consequences, ..Self::default() }
    }

    /// All that the caller reaches, but the one in which this is asked.
    pub fn everyone(auth: &AuthContext, reached: OpenSessions) -> Self {
        let (ending, staying) = match auth.role {
            Role::Admin => (
                reached.others(),
                ["Everyone must sign in again, and all programs.", "This session, in which you read this, stays."],
            ),
            Role::Manager | Role::User => (
                reached,
                [
                    "They are all sessions of accounts with the role User: all users must sign in again, and all their \
                     programs.",
                    "Those of managers and administrators stay.",
                ],
            ),
        };
        let title = "End all sessions?".to_owned();
        if ending.total().value == 0 {
            return Self::none(&title, &counts::ends(ending));
        }
        let consequences = [&*counts::ends(ending)].into_iter().chain(staying).map(str::to_owned).collect();
        Self { title, button: Some("End all sessions".to_owned()), consequences, ..Self::default() }
    }
}
