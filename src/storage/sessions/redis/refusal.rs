//! What is done where Redis refuses a command, or does not answer: every error there can be, sorted.
//!
//! A server that refuses has done nothing, so that the same command may be given to another, a rotation too. It need
//! not be the right server any more: after a fail-over the connection can stay open while its name leads elsewhere.
//! `docs/redis-errors.md` is this list for operators; a test keeps the two alike.

mod known;

use redis::{ErrorKind, RedisError};

use self::known::{ANY, ANY_ERROR, KNOWN};

/// A command that was not carried out, or whose answer did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}{}{said}: {advice}", if said.is_empty() { "" } else { " " })]
pub struct Refusal {
    /// Redis' own word for it, or ours where there was no answer.
    pub code: String,
    /// The rest of what it said.
    pub said: String,
    pub remedy: Remedy,
    /// What the operator should look at.
    pub advice: &'static str,
    /// Whether there was no connection yet.
    pub at_connecting: bool,
}

/// What is done about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Another server may have the name by now, or the same one take a new connection: the name is resolved and
    /// connected to anew at once, and the command given again there while the request has time.
    ConnectAnew,
    /// Soon over, and no other server would say otherwise: the command is given again on the same connection while the
    /// request has time.
    Wait,
    /// Nothing that waiting mends: the request fails at once. The next one connects anew, though at most once a second:
    /// whoever replaced the server need not restart this one.
    Tell,
}

/// One sort of refusal.
struct Known {
    /// How the answer begins: its code, and more where that alone says too little. In lower case what is no answer.
    begin: &'static str,
    remedy: Remedy,
    advice: &'static str,
}

/// The longest that is kept of what Redis said.
const LONGEST: usize = 500;

impl Refusal {
    /// Sorts an error. Total: one that nobody knows is told, and connected anew after ([`Remedy::Tell`]), since a server
    /// that may have carried out a part should not get the whole again, and a newer server behind the name should.
    pub fn of(error: &RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                Self::of_answer(error.code().unwrap_or_default(), error.detail().unwrap_or_default())
            }
            ErrorKind::Io if error.is_timeout() => Self::late(),
            ErrorKind::Io if error.is_connection_refusal() => Self::sorted("no connection", &error.to_string()),
            ErrorKind::Io if error.is_connection_dropped() => Self::sorted("connection lost", &error.to_string()),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::sorted("unreadable answer", &error.to_string()),
            // Of a cluster's client: it tells no more.
            ErrorKind::AuthenticationFailed => Self::of_answer("WRONGPASS", ""),
            ErrorKind::RESP3NotSupported => Self::of_answer("NOPROTO", ""),
            _ => Self::sorted("no connection", &error.to_string()),
        }
    }

    /// The same of an attempt to connect: where its time is over, nothing was asked yet.
    pub fn to_connect(error: &RedisError) -> Self {
        if error.is_timeout() { Self::sorted("no connection", "in time") } else { Self::of(error) }.at_connecting()
    }

    /// The same, of what was refused before the connection could be used.
    pub fn at_connecting(self) -> Self {
        Self { at_connecting: true, ..self }
    }

    /// Redis has not answered in the time that a request has.
    pub fn late() -> Self {
        Self::sorted("no answer", "")
    }

    fn of_answer(code: &str, detail: &str) -> Self {
        let answer = format!("{code} {detail}");
        let begins = |known: &&Known| match answer.strip_prefix(known.begin) {
            Some(rest) => known.begin.contains(' ') || rest.starts_with(' '),
            None => false,
        };
        let known = KNOWN.iter().find(begins).unwrap_or(&ANY);
        Self::made(code, detail, known)
    }

    /// One of those that are no answers.
    fn sorted(begin: &'static str, said: &str) -> Self {
        let known = KNOWN.iter().find(|known| known.begin == begin).unwrap_or(&ANY);
        Self::made(begin, said, known)
    }

    fn made(code: &str, said: &str, known: &Known) -> Self {
        let (remedy, advice) = (known.remedy, known.advice);
        Self { code: code.to_owned(), said: shown(said), remedy, advice, at_connecting: false }
    }

    /// Whether the connection was there when the command was given, and is gone: it may have been carried out.
    pub fn is_lost_connection(&self) -> bool {
        self.code == "connection lost"
    }

    /// Whether nothing was asked, or nothing came back.
    pub fn is_of_connection(&self) -> bool {
        self.at_connecting || matches!(self.code.as_str(), "no connection" | "connection lost" | "no answer")
    }

    /// Its memory is full: it is there, but can't take a fill token.
    pub fn is_out_of_memory(&self) -> bool {
        self.code == "OOM"
    }

    /// An error of a script's own, not a refusal to run it.
    pub fn is_error_of_script(&self) -> bool {
        self.code == "ERR" && self.advice == ANY_ERROR
    }
}

/// What may be shown of it: a server that doesn't know a command repeats its arguments, passwords among them.
fn shown(said: &str) -> String {
    let said = said.split(", with args beginning with").next().unwrap_or_default();
    said.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests;
