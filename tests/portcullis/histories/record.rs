//! What was asked and answered in a history, in words that the [checker](super::check) judges by: no sockets, no clocks.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis::domain::Role;

use crate::support::deadline;

/// Since the history began.
pub type Moment = Duration;

/// Whoever signs in, by number. The administrator has one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account(pub usize);

/// What one sign-in has opened, if it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session(pub usize);

/// What opens a session, by its place in the [`Record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credential(pub usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Cookie,
    AccessToken,
    RefreshToken,
}

/// Whose a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub account: Account,
    pub session: Session,
    pub kind: Kind,
}

/// What ends, from the acknowledgement on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// A session, and all that opens it.
    Session(Session),
    /// The session over which somebody signed in. A sign-in waits for no Redis: no node need know at once.
    Replaced(Session),
    /// One credential, of a session that goes on.
    Former(Credential),
    /// All sessions of the account but one.
    Account { account: Account, except: Option<Session> },
    /// All sessions but one.
    Everyone { except: Session },
}

/// Something of an account that is one thing at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Role(Role),
    /// By number.
    Password(usize),
    Suspended(bool),
}

impl Value {
    pub fn is_of_one_kind_with(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As it was asked for: from now on acknowledged.
    Done,
    /// The credential is not good.
    SignedOut,
    /// The name and the password do not go together, or the account is suspended.
    WrongPassword,
    /// Nothing was done, for another reason.
    Refused,
    /// 503, 429, or none at all: it may have been done, and may yet be.
    Unknown,
    /// What no server may say.
    Broken,
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// For people: who does what.
    pub what: String,
    pub node: usize,
    pub began: Moment,
    pub ended: Moment,
    /// The same by the clock that the servers were told.
    pub clock_began: Duration,
    pub clock_ended: Duration,
    pub status: Option<u16>,
    pub answer: Answer,
    pub shows: Option<Credential>,
    /// A form that comes again may show the cookie of before.
    pub repeats: bool,
    pub gives: Vec<Credential>,
    pub revokes: Vec<Revocation>,
    pub sets: Option<(Account, Value)>,
    pub sees: Option<(Account, Value)>,
    /// Which password was told.
    pub tries: Option<(Account, usize)>,
}

impl Entry {
    /// A request that has not been sent yet, about nothing.
    pub fn of(what: String, node: usize) -> Self {
        Self {
            what,
            node,
            began: Moment::ZERO,
            ended: Moment::ZERO,
            clock_began: Duration::ZERO,
            clock_ended: Duration::ZERO,
            status: None,
            answer: Answer::Unknown,
            shows: None,
            repeats: false,
            gives: Vec::new(),
            revokes: Vec::new(),
            sets: None,
            sees: None,
            tries: None,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, node, began, ended, status, answer, .. } = self;
        let status = status.map_or("no answer".to_owned(), |status| status.to_string());
        write!(
            f,
            "{:>6} to {:>6} ms, node {node}: {what}: {answer:?} ({status})",
            began.as_millis(),
            ended.as_millis()
        )?;
        if let Some((_, seen)) = self.sees {
            write!(f, ", sees {seen:?}")?;
        }
        Ok(())
    }
}

/// All that the checker needs to know.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// In the order of their ends.
    pub entries: Vec<Entry>,
    /// Places are [`Credential`]s.
    pub held: Vec<Held>,
    /// What each account is at the begin.
    pub initial: Vec<(Account, Value)>,
    /// When a thread of this machine woke too late, and by how much.
    pub late: Vec<(Moment, Duration)>,
    /// What was done to the servers.
    pub faults: Vec<(Moment, String)>,
    /// After how long a refresh token that was used before is a thief's.
    pub grace: Duration,
}

/// A [`Record`] that grows.
pub struct Recorder {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    record: Record,
    secrets: Vec<String>,
    known: HashMap<(Kind, String), Credential>,
    sessions: usize,
    /// By how much the servers' clock was moved.
    advanced: Duration,
}

/// When a request began.
#[derive(Clone, Copy)]
pub struct Begin {
    at: Moment,
    clock: Duration,
}

impl Recorder {
    pub fn new(initial: Vec<(Account, Value)>, grace: Duration) -> Self {
        deadline::feel_the_pulse();
        let record = Record { initial, grace, ..Record::default() };
        Self { start: Instant::now(), state: Mutex::new(State { record, ..State::default() }) }
    }

    pub fn begin(&self) -> Begin {
        let at = self.start.elapsed();
        Begin { at, clock: at + self.state().advanced }
    }

    /// Notes a request that is answered now. The entry's times are filled in.
    pub fn note(&self, begin: Begin, entry: Entry) {
        let ended = self.start.elapsed();
        let mut state = self.state();
        let clock_ended = ended + state.advanced;
        state.record.entries.push(Entry { began: begin.at, ended, clock_began: begin.clock, clock_ended, ..entry });
    }

    pub fn note_fault(&self, what: String) {
        let at = self.start.elapsed();
        self.state().record.faults.push((at, what));
    }

    /// Before the servers' clock is moved.
    pub fn note_advance(&self, by: Duration) {
        self.state().advanced += by;
    }

    pub fn new_session(&self) -> Session {
        let mut state = self.state();
        state.sessions += 1;
        Session(state.sessions - 1)
    }

    /// The number of a credential, also where it was given before.
    pub fn credential(&self, held: Held, secret: &str) -> Credential {
        let mut state = self.state();
        let next = Credential(state.secrets.len());
        let credential = *state.known.entry((held.kind, secret.to_owned())).or_insert(next);
        if credential == next {
            state.secrets.push(secret.to_owned());
            state.record.held.push(held);
        }
        credential
    }

    /// Whose it is.
    pub fn held(&self, credential: Credential) -> Held {
        self.state().record.held[credential.0]
    }

    /// Everything that was ever given.
    pub fn given(&self) -> Vec<(Credential, Held, String)> {
        let state = self.state();
        let all = state.record.held.iter().zip(&state.secrets).enumerate();
        all.map(|(number, (held, secret))| (Credential(number), *held, secret.clone())).collect()
    }

    /// When the last request ended that revoked something, if any.
    pub fn last_revocation(&self) -> Option<Instant> {
        let state = self.state();
        let ends = state.record.entries.iter().filter(|entry| !entry.revokes.is_empty()).map(|entry| entry.ended);
        ends.max().map(|ended| self.start + ended)
    }

    pub fn finish(&self) -> Record {
        let mut record = self.state().record.clone();
        record.late = deadline::lateness_from(self.start);
        record
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
