//! The copies in Redis: their fields, what is written into them, and what the scripts tell of them by name.
//!
//! A session's copy: `h` hash of the secret, `e` epoch, `k` kind, `m` remember, `c` created, `p` password entered, `i` idle
//! ms, `a` absolute limit, `t` last active; of kind `api` also `d` refresh seed, `n` number of the present refresh token,
//! `o` when it became that, `z` the word of the use that made it so; or `x`: a tombstone. A user's copy: `v` rev, `e`
//! epoch, `r` role, `s` status. Both: `g` replication id and `q` feed position of the reading; `w` and `y`: a load's fill
//! token and the replication id under which it was left.

use std::collections::HashMap;

use super::super::fields::core_fields;
use super::super::memory::Remembered;
use super::super::snapshot::Snapshot;
use super::value::Value;
use crate::domain::keys::SecretHash;
use crate::domain::refresh_token::{RefreshSeed, RefreshState, TokenFamily};
use crate::domain::session::{LiveSession, SessionCore};
use crate::domain::{SessionId, Timestamp, UserId};

/// What a script asks of a session's copy to know whether it lives, beside what it may tell of it.
const ASKED: [&str; 6] = ["x", "g", "q", "h", "e", "z"];
/// The same of a user's.
const ASKED_OF_USER: [&str; 5] = ["g", "q", "e", "s", "r"];
/// Until when a session lives unless it is used.
const IDLE: [&str; 2] = ["i", "t"];
/// What makes a [`TokenFamily`] of a [`LiveSession`] with that.
const FAMILY: [&str; 3] = ["d", "n", "o"];

/// The names of fields as the scripts have them.
pub(super) fn names() -> String {
    let table = |names: &[&str]| format!("{{'{}'}}", names.join("','"));
    let asked = table(&[&ASKED, LIVE, &IDLE, &FAMILY].concat());
    let [of_user, live, idle, family] = [table(&ASKED_OF_USER), table(LIVE), table(&IDLE), table(&FAMILY)];
    format!("local ASKED, ASKED_OF_USER, LIVE, IDLE, FAMILY = {asked}, {of_user}, {live}, {idle}, {family}\n")
}

macro_rules! copied {
    ($($field:ident: $_:ty = $name:literal;)+) => {
        /// What makes a [`LiveSession`], with the role of the user.
        const LIVE: &[&str] = &[$($name),+];

        fn of_core(core: &SessionCore) -> Written {
            vec![$(($name, core.$field.write())),+]
        }

        impl Told {
            fn core(&mut self, user_id: UserId, id: SessionId) -> Result<SessionCore> {
                Ok(SessionCore { id, user_id, $($field: self.read($name)?),+ })
            }
        }
    };
}
core_fields!(copied);

/// Fields with their values.
pub(super) type Written = Vec<(&'static str, Vec<u8>)>;

/// The copy of a session that was active just now.
pub(super) fn of_session(found: &Snapshot, now: Timestamp) -> Written {
    let session = &found.session;
    let mut fields = of_core(&session.core);
    fields.extend([
        ("q", found.position.write()),
        ("h", found.secret.0.to_vec()),
        ("e", found.epoch.write()),
        ("i", session.idle.write()),
        ("t", now.write()),
    ]);
    if let Some(refresh_state) = &found.refresh_state {
        // Whatever Redis lost: nobody loses the grace by it (rule 7).
        fields.extend([
            ("d", refresh_state.seed.0.to_vec()),
            ("n", refresh_state.counter.write()),
            ("o", now.write()),
            ("z", Vec::new()),
        ]);
    }
    fields
}

/// The copy of its owner.
pub(super) fn of_user(found: &Snapshot) -> Written {
    vec![
        ("q", found.position.write()),
        ("v", found.user.rev.write()),
        ("e", found.user.epoch.write()),
        ("r", found.user.role.write()),
        ("s", found.user.status.write()),
    ]
}

/// What a script told, by name; or what is wrong with that.
pub(super) struct Told(HashMap<Vec<u8>, Vec<u8>>);

type Result<T> = std::result::Result<T, String>;

impl Told {
    /// Of names and values in turns.
    pub fn of(parts: Vec<Vec<u8>>) -> Self {
        let mut parts = parts.into_iter();
        Self(std::iter::from_fn(|| parts.next().zip(parts.next())).collect())
    }

    pub fn take(&mut self, name: &str) -> Result<Vec<u8>> {
        self.0.remove(name.as_bytes()).ok_or_else(|| format!("no {name} in a script's answer"))
    }

    fn read<T: Value>(&mut self, name: &str) -> Result<T> {
        T::read(&self.take(name)?).ok_or_else(|| format!("a strange {name} in a script's answer"))
    }

    pub fn session(&mut self, user_id: UserId, session_id: SessionId) -> Result<LiveSession> {
        Ok(LiveSession { core: self.core(user_id, session_id)?, role: self.read("r")? })
    }

    /// What `secret` has opened, if there was one; it was this session's.
    pub fn remembered(
        &mut self,
        user_id: UserId,
        session_id: SessionId,
        secret: Option<SecretHash>,
    ) -> Result<Remembered> {
        Ok(Remembered {
            live: self.session(user_id, session_id)?,
            secret,
            last_active_at: self.read("t")?,
            idle: self.read("i")?,
        })
    }

    pub fn token_family(&mut self, user_id: UserId, session_id: SessionId) -> Result<TokenFamily> {
        let seed = self.take("d")?.try_into().map_err(|_| "a refresh seed is not 32 bytes")?;
        Ok(TokenFamily {
            session: self.session(user_id, session_id)?,
            refresh_state: RefreshState {
                seed: RefreshSeed(seed),
                counter: self.read("n")?,
                rotated_at: Some(self.read("o")?),
            },
            idle: self.read("i")?,
            last_active_at: self.read("t")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, Role, SessionKind};

    #[test]
    fn a_session_comes_out_of_its_copy_as_it_went_in() {
        let now = Clock::default().now();
        let (id, user_id) = (SessionId::new(now), UserId::new(now));
        for (kind, remember) in [(SessionKind::Browser, true), (SessionKind::Api, false)] {
            let core = SessionCore {
                id,
                user_id,
                kind,
                remember,
                created_at: Timestamp::from_millis(1),
                password_entered_at: Timestamp::from_millis(2),
                absolute_limit: Timestamp::from_millis(3),
            };
            for role in Role::ALL.iter().copied() {
                let copy = of_core(&core).into_iter().chain([("r", role.write())]);
                let mut told = Told::of(copy.flat_map(|(name, value)| [name.into(), value]).collect());
                assert_eq!(told.session(user_id, id), Ok(LiveSession { core, role }));
            }
        }
    }
}
