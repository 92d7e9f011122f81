//! The copies in Redis: their fields, what is written into them, and what the scripts tell of them by name.
//!
//! A session's copy: `h` hash of the secret, `e` epoch, `k` kind, `m` remember, `c` created, `p` password entered, `i` idle
//! ms, `a` absolute limit, `t` last active; of kind `api` also `d` refresh seed, `n` number of the present refresh token,
//! `o` when it became that, `z` the word of the use that made it so; or `x`: a tombstone. A user's copy: `v` rev, `e`
//! epoch, `r` role, `s` status. Both: `g` replication id and `q` feed position of the reading; `w` and `y`: a load's fill
//! token and the replication id under which it was left.

use std::collections::HashMap;
use std::str::FromStr;

use chrono::TimeDelta;

use super::super::rows::Snapshot;
use crate::domain::refresh_token::{RefreshSeed, RefreshState, TokenFamily};
use crate::domain::session::LiveSession;
use crate::domain::{SessionId, Timestamp, UserId};

/// What a script asks of a session's copy to know whether it lives, and what it may tell of it.
const ASKED: [&str; 16] = ["x", "g", "q", "h", "e", "a", "t", "i", "k", "m", "c", "p", "d", "n", "o", "z"];
/// The same of a user's.
const ASKED_OF_USER: [&str; 5] = ["g", "q", "e", "s", "r"];
/// What makes a [`LiveSession`], with the role of the user.
const LIVE: [&str; 5] = ["k", "m", "c", "p", "a"];
/// What makes a [`TokenFamily`] of it.
const FAMILY: [&str; 5] = ["d", "n", "o", "i", "t"];

/// The names of fields as the scripts have them.
pub(super) fn names() -> String {
    let table = |names: &[&str]| format!("{{'{}'}}", names.join("','"));
    let [asked, of_user] = [table(&ASKED), table(&ASKED_OF_USER)];
    let [live, family] = [table(&LIVE), table(&FAMILY)];
    format!("local ASKED, ASKED_OF_USER, LIVE, FAMILY = {asked}, {of_user}, {live}, {family}\n")
}

pub(super) fn number(number: i64) -> Vec<u8> {
    number.to_string().into_bytes()
}

pub(super) fn millis(moment: Timestamp) -> Vec<u8> {
    number(moment.timestamp_millis())
}

/// Fields with their values.
pub(super) type Written = Vec<(&'static str, Vec<u8>)>;

/// The copy of a session that was active just now.
pub(super) fn of_session(found: &Snapshot, now: Timestamp) -> Written {
    let session = &found.session;
    let mut fields = vec![
        ("q", number(found.position)),
        ("h", found.secret.0.to_vec()),
        ("e", number(found.epoch)),
        ("k", session.kind.as_str().into()),
        ("m", number(session.remember.into())),
        ("c", millis(session.created_at)),
        ("p", millis(session.password_entered_at)),
        ("i", number(session.idle.num_milliseconds())),
        ("a", millis(session.absolute_limit)),
        ("t", millis(now)),
    ];
    if let Some(refresh_state) = &found.refresh_state {
        // Whatever Redis lost: nobody loses the grace by it (rule 7).
        fields.extend([
            ("d", refresh_state.seed.0.to_vec()),
            ("n", number(refresh_state.counter)),
            ("o", millis(now)),
            ("z", Vec::new()),
        ]);
    }
    fields
}

/// The copy of its owner.
pub(super) fn of_user(found: &Snapshot) -> Written {
    vec![
        ("q", number(found.position)),
        ("v", number(found.user.rev)),
        ("e", number(found.user.epoch)),
        ("r", found.user.role.as_str().into()),
        ("s", found.user.status.as_str().into()),
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

    fn parse<T: FromStr>(&mut self, name: &str) -> Result<T> {
        let text = String::from_utf8(self.take(name)?).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| format!("a strange {name} in a script's answer"))
    }

    fn moment(&mut self, name: &str) -> Result<Timestamp> {
        self.parse(name).map(Timestamp::from_millis)
    }

    pub fn session(&mut self, user_id: UserId, session_id: SessionId) -> Result<LiveSession> {
        Ok(LiveSession {
            user_id,
            session_id,
            role: self.parse("r")?,
            kind: self.parse("k")?,
            remember: self.take("m")? == b"1",
            created_at: self.moment("c")?,
            password_entered_at: self.moment("p")?,
            absolute_limit: self.moment("a")?,
        })
    }

    pub fn token_family(&mut self, user_id: UserId, session_id: SessionId) -> Result<TokenFamily> {
        let seed = self.take("d")?.try_into().map_err(|_| "a refresh seed is not 32 bytes")?;
        Ok(TokenFamily {
            session: self.session(user_id, session_id)?,
            refresh_state: RefreshState {
                seed: RefreshSeed(seed),
                counter: self.parse("n")?,
                rotated_at: Some(self.moment("o")?),
            },
            idle: TimeDelta::try_milliseconds(self.parse("i")?).ok_or("not a span in a copy")?,
            last_active_at: self.moment("t")?,
        })
    }
}
