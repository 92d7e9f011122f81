//! What Redis does in one step.

use super::world::{Change, FillToken, Flaw, Keys, Reading, Server, SessionCopy, SessionKey, User, UserCopy, UserKey};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    Load {
        session: usize,
        secret: u8,
        min_position: u8,
        is_past_limit: bool,
    },
    Install {
        session: usize,
        stamp: u8,
        tokens: [FillToken; 2],
        reading: Reading,
    },
    /// What a writer does after its commit, and whoever reads of it in the feed.
    TakeAway(Change),
}

impl Script {
    /// Those that it names: of the user, and of the session.
    pub fn tokens(&mut self) -> Vec<&mut FillToken> {
        match self {
            Self::Install { tokens, .. } => tokens.iter_mut().collect(),
            Self::Load { .. } | Self::TakeAway(_) => Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    Yes(User),
    Ended,
    /// Ask SQL, and install with these.
    Ask([FillToken; 2]),
    Done,
}

/// Executes it. `last_token` makes a new fill token of each.
pub fn execute(server: &mut Server, script: Script, flaw: Flaw, last_token: &mut u8) -> Reply {
    let stamp = server.stamp;
    let Keys { user, sessions } = &mut server.keys;
    match script {
        Script::Load { session, secret, min_position, is_past_limit } => {
            let key = &mut sessions[session];
            if key.tombstone {
                return Reply::Ended;
            }
            if let (Some(session), Some(user)) = (key.copy, user.copy) {
                let believed =
                    |of: u8, position: u8| (of == stamp || flaw == Flaw::NoStamp) && position >= min_position;
                if believed(session.stamp, session.position)
                    && believed(user.stamp, user.position)
                    && (session.epoch == user.user.epoch || flaw == Flaw::NoEpochCheck)
                    && user.user.is_active
                    && session.secret == secret
                    && !is_past_limit
                {
                    return Reply::Yes(user.user);
                }
            }
            let mut left = |token: &mut FillToken| {
                if token.is_none_or(|(_, under)| under != stamp) {
                    *last_token += 1;
                    *token = Some((*last_token, stamp));
                }
                *token
            };
            Reply::Ask([left(&mut user.token), left(&mut key.token)])
        }
        Script::Install { session, stamp: under, tokens, reading } => {
            if under != stamp && flaw != Flaw::NoStamp {
                return Reply::Done;
            }
            let Reading { user: read, row, position } = reading;
            let key = &mut sessions[session];
            let stands =
                |left: FillToken, token: FillToken| flaw == Flaw::UpdateRevives || left == token && left.is_some();
            if stands(user.token, tokens[0]) {
                *user = UserKey { token: None, copy: Some(UserCopy { stamp, position, user: read }) };
            }
            if stands(key.token, tokens[1]) {
                let copy = SessionCopy { stamp, position, epoch: row.epoch, secret: row.secret };
                *key = SessionKey { tombstone: false, token: None, copy: Some(copy) };
            }
            Reply::Done
        }
        Script::TakeAway(Change::Ended(session)) => {
            sessions[session] = SessionKey { tombstone: true, ..SessionKey::default() };
            Reply::Done
        }
        Script::TakeAway(Change::User) => {
            *user = UserKey::default();
            Reply::Done
        }
        Script::TakeAway(Change::Secret(session)) => {
            *user = UserKey::default();
            if !sessions[session].tombstone {
                sessions[session] = SessionKey::default();
            }
            Reply::Done
        }
    }
}
