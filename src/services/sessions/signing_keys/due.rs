//! What is to be done about the keys, and when.

use chrono::TimeDelta;

use crate::domain::Timestamp;
use crate::domain::signing_key::{KeyState, SigningAlgorithm};
use crate::storage::sessions::signing_keys::StoredKey;

/// Why the keys are looked at.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Occasion {
    /// `jwt_algorithm` may be another one than before. Only then: nodes that disagree must not rotate in turns.
    Start,
    Hourly,
    /// By someone who saw this key as the next one, if they looked. Once it is no longer the next, it was done already.
    Asked {
        next: Option<String>,
    },
}

/// What is to be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// The next key is missing, or of another algorithm.
    Next,
    Rotation,
    /// Nothing is signed with a key of ours: HS256.
    Retirement,
}

impl Due {
    pub fn find(
        keys: &[StoredKey],
        occasion: &Occasion,
        wanted: SigningAlgorithm,
        interval: TimeDelta,
        now: Timestamp,
    ) -> Self {
        let of_state = |state| keys.iter().find(|key| key.state == state);
        let (active, next) = (of_state(KeyState::Active), of_state(KeyState::Next));
        if wanted == SigningAlgorithm::Hs256 {
            let any = *occasion == Occasion::Start && active.or(next).is_some();
            return if any { Self::Retirement } else { Self::Nothing };
        }
        let Some(active) = active else { return Self::Rotation };
        let is_old = active.active_from.is_none_or(|from| from + interval <= now);
        let is_other = |key: &StoredKey| *occasion == Occasion::Start && key.algorithm != wanted;
        let is_asked = match occasion {
            Occasion::Asked { next: Some(seen) } => next.is_some_and(|next| next.kid == *seen),
            Occasion::Asked { next: None } => true,
            Occasion::Start | Occasion::Hourly => false,
        };
        if is_old || is_asked || is_other(active) {
            Self::Rotation
        } else if next.is_none_or(is_other) {
            Self::Next
        } else {
            Self::Nothing
        }
    }
}
