//! The list of all sessions, as those who administer ask for it.

use super::text::text_enum;
use super::{Role, Session, SessionId, SessionKind, Timestamp, UserId};

text_enum!(
    /// Which sessions a list is of.
    SessionState {
        Live = "live",
        Ended = "ended",
        All = "all",
    }
);

/// What a list is sorted by; the latest is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOrder {
    /// When it was active last; of live sessions.
    Activity,
    /// When it ended; of ended sessions.
    End,
    /// When it began.
    Beginning,
}

impl SessionState {
    /// What happened last to sessions of this state.
    pub fn latest(self) -> SessionOrder {
        match self {
            Self::Live => SessionOrder::Activity,
            Self::Ended => SessionOrder::End,
            Self::All => SessionOrder::Beginning,
        }
    }
}

/// Which sessions a list shows.
#[derive(Clone, Debug)]
pub struct SessionFilter {
    pub state: SessionState,
    /// [`SessionOrder::Beginning`], or [`SessionState::latest`] of the state.
    pub order: SessionOrder,
    pub kind: Option<SessionKind>,
    pub user: Option<UserId>,
    /// As it was typed: a part of the owner's username or e-mail address, or how the client's address or the device begins.
    pub q: Option<String>,
}

/// A session and whose it is.
#[derive(Clone, Debug)]
pub struct ListedSession {
    pub session: Session,
    pub owner: Owner,
}

/// Whose a session is, as far as a list tells.
#[derive(Clone, Debug)]
pub struct Owner {
    /// Of a deleted account the one that it had.
    pub username: String,
    pub email: String,
    pub role: Role,
    pub deleted: bool,
}

/// So many sessions, in words.
pub fn counted(sessions: u64) -> String {
    if sessions == 1 { "1 session".to_owned() } else { format!("{sessions} sessions") }
}

/// A place in a list of one order: right after the session that is sorted by these. Not a secret, and no right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub at: Timestamp,
    pub id: SessionId,
}

impl Position {
    /// Where the session stands in a list of this order.
    pub fn of(session: &Session, order: SessionOrder) -> Self {
        let at = match order {
            SessionOrder::Activity => session.last_active_at,
            SessionOrder::End => session.ended.as_ref().map_or(session.created_at, |ended| ended.at),
            // Ids sort by the moment of creation.
            SessionOrder::Beginning => Timestamp::from_millis(0),
        };
        Self { at, id: session.id }
    }
}

/// As text for the address of the next page.
impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.at.timestamp_millis(), self.id)
    }
}

impl std::str::FromStr for Position {
    type Err = NoPosition;
    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (millis, id) = text.split_once('-').ok_or(NoPosition)?;
        let digits = !millis.is_empty() && millis.len() <= 15 && millis.bytes().all(|byte| byte.is_ascii_digit());
        let millis = digits.then(|| millis.parse().ok()).flatten().ok_or(NoPosition)?;
        Ok(Self { at: Timestamp::from_millis(millis), id: id.parse().map_err(|_| NoPosition)? })
    }
}

/// Text that no list of ours has given as a position.
#[derive(Debug, thiserror::Error)]
#[error("not a position in the list")]
pub struct NoPosition;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;

    #[test]
    fn a_position_is_read_back_and_no_other_text_is() {
        let now = Clock::default().now();
        let position = Position { at: now, id: SessionId::new(now) };
        assert_eq!(position.to_string().parse::<Position>().ok(), Some(position));
        for text in ["", "-", "1", "1-", "-1", "x-y", "1-2", &format!("{}9999999", position), &position.id.to_string()]
        {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
    }
}
