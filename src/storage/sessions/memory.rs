//! What this process remembers between requests of sessions that live, and of the accounts of those who are signed in.
//!
//! Nothing here is the truth, and nothing is believed for longer than the process is told of every change: what tells it
//! is the store's affair ([`super::redis`], [`super::sqlite_watch`]). Whoever fills the memory takes a [`Ticket`] before
//! asking the store, and what is remembered with it counts only while nothing of that account has changed since: so an
//! answer that was overtaken by a change is never believed, whichever of the two comes here first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use quick_cache::sync::Cache;

use super::snapshot::Snapshot;
use super::{Change, TOUCH_INTERVAL};
use crate::domain::keys::SecretHash;
use crate::domain::refresh_token::TokenFamily;
use crate::domain::session::LiveSession;
use crate::domain::{OwnAccount, Session, SessionId, Timestamp, UserId};

/// So many sessions, families of refresh tokens and accounts are remembered, each with less than 600 bytes.
const CAPACITY: usize = 10_000;
/// Accounts share counters; a change of one makes those beside it be read again.
const COUNTERS: usize = 1 << 12;
/// Nothing is believed for longer: what no change tells of, as another node's last sign-in where Redis lost the word of it,
/// is not older than this.
const MAX_AGE: Duration = Duration::from_secs(60);

/// How many changes there have been, of an account and of everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    of_account: u64,
    of_everyone: u64,
}

/// A session that lives, with what says whether it still does a moment later.
pub(super) struct Remembered {
    pub live: LiveSession,
    /// Where it is known.
    pub secret: Option<SecretHash>,
    pub last_active_at: Timestamp,
    pub idle: TimeDelta,
}

impl Remembered {
    /// As SQL has it.
    pub fn of(found: &Snapshot) -> Self {
        let Session { last_active_at, idle, .. } = found.session;
        Self { live: found.view(), secret: Some(found.secret), last_active_at, idle }
    }
}

/// See the [module](self).
pub struct Memory {
    sessions: Cache<SessionId, Read<Remembered>>,
    accounts: Cache<UserId, Read<OwnAccount>>,
    families: Cache<SessionId, Read<TokenFamily>>,
    changes: Box<[AtomicU64]>,
    changes_of_everyone: AtomicU64,
}

/// What was read of somebody.
struct Read<T> {
    ticket: Ticket,
    at: Instant,
    found: Arc<T>,
}

impl<T> Clone for Read<T> {
    fn clone(&self) -> Self {
        Self { ticket: self.ticket, at: self.at, found: self.found.clone() }
    }
}

impl<T> Read<T> {
    fn now(ticket: Ticket, found: Arc<T>) -> Self {
        Self { ticket, at: Instant::now(), found }
    }

    fn counts(&self, present: Ticket) -> bool {
        self.ticket == present && self.at.elapsed() < MAX_AGE
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            sessions: Cache::new(CAPACITY),
            accounts: Cache::new(CAPACITY),
            families: Cache::new(CAPACITY),
            changes: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            changes_of_everyone: AtomicU64::new(0),
        }
    }
}

impl Memory {
    pub fn ticket(&self, user: UserId) -> Ticket {
        Ticket {
            of_account: self.counter(user).load(Ordering::SeqCst),
            of_everyone: self.changes_of_everyone.load(Ordering::SeqCst),
        }
    }

    /// The session, where it lives at `now`, this is its secret (or the caller needs none), and the store need not note
    /// that it was active.
    pub(super) fn session(
        &self,
        user: UserId,
        session: SessionId,
        secret: Option<SecretHash>,
        now: Timestamp,
    ) -> Option<LiveSession> {
        let read = self.sessions.get(&session)?;
        let Remembered { live, secret: known, last_active_at, idle } = &*read.found;
        let admits = |given: SecretHash| known.as_ref().is_some_and(|known| known.matches(&given.0));
        let unused = now - *last_active_at;
        (live.user_id == user
            && read.counts(self.ticket(user))
            && secret.is_none_or(admits)
            && now < live.absolute_limit
            && unused < TOUCH_INTERVAL
            && unused < *idle)
            .then_some(*live)
    }

    pub(super) fn remember_session(&self, ticket: Ticket, session: Remembered) {
        self.sessions.insert(session.live.id, Read::now(ticket, Arc::new(session)));
    }

    /// Of a session that lived; what in it changes with each rotation, and whether the session still lives, the store says.
    pub(super) fn family(&self, user: UserId, session: SessionId) -> Option<Arc<TokenFamily>> {
        let read = self.families.get(&session)?;
        (read.found.session.user_id == user && read.counts(self.ticket(user))).then_some(read.found)
    }

    pub(super) fn remember_family(&self, ticket: Ticket, family: Arc<TokenFamily>) {
        self.families.insert(family.session.id, Read::now(ticket, family));
    }

    pub(super) fn account(&self, user: UserId) -> Option<Arc<OwnAccount>> {
        let read = self.accounts.get(&user)?;
        read.counts(self.ticket(user)).then_some(read.found)
    }

    pub(super) fn remember_account(&self, ticket: Ticket, account: Arc<OwnAccount>) {
        self.accounts.insert(account.user.id, Read::now(ticket, account));
    }

    /// What was remembered of whom this is about counts no more.
    pub fn forget(&self, change: &Change) {
        match *change {
            Change::SessionEnded(user, _)
            | Change::SecretChanged(user, _)
            | Change::User(user)
            | Change::UserDeleted(user) => self.forget_account(user),
            Change::Everyone => self.forget_everyone(),
        }
    }

    pub fn forget_account(&self, user: UserId) {
        self.counter(user).fetch_add(1, Ordering::SeqCst);
    }

    pub fn forget_everyone(&self) {
        self.changes_of_everyone.fetch_add(1, Ordering::SeqCst);
    }

    fn counter(&self, user: UserId) -> &AtomicU64 {
        // The last bits of an id are random.
        &self.changes[(user.0.as_u128() % COUNTERS as u128) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::keys::Secret;
    use crate::domain::session::SessionCore;
    use crate::domain::{Clock, Role, SessionKind};

    fn remembered(now: Timestamp, secret: Option<SecretHash>) -> Remembered {
        let core = SessionCore {
            id: SessionId::new(now),
            user_id: UserId::new(now),
            kind: SessionKind::Browser,
            remember: false,
            created_at: now,
            password_entered_at: now,
            absolute_limit: now + TimeDelta::hours(1),
        };
        Remembered {
            live: LiveSession { core, role: Role::User },
            secret,
            last_active_at: now,
            idle: TimeDelta::minutes(30),
        }
    }

    #[test]
    fn an_answer_that_a_change_overtook_is_not_believed_whichever_comes_first() {
        let (memory, now) = (Memory::default(), Clock::default().now());
        let [early, late, of_everyone] = [(); 3].map(|()| remembered(now, None).live);
        let changes = |live: &LiveSession| Change::SessionEnded(live.user_id, live.id);
        let known = |live: &LiveSession| memory.session(live.user_id, live.id, None, now).is_some();
        let remember = |ticket, live: &LiveSession| {
            memory.remember_session(ticket, Remembered { live: *live, ..remembered(now, None) });
        };

        let ticket = memory.ticket(early.user_id);
        memory.forget(&changes(&early));
        remember(ticket, &early);
        assert!(!known(&early));

        remember(memory.ticket(late.user_id), &late);
        remember(memory.ticket(of_everyone.user_id), &of_everyone);
        assert!(known(&late) && known(&of_everyone));
        memory.forget(&changes(&late));
        assert!(!known(&late) && known(&of_everyone), "only who is meant is forgotten");
        memory.forget(&Change::Everyone);
        assert!(!known(&of_everyone));
    }

    #[test]
    fn only_the_present_secret_of_that_account_opens_it_and_only_where_it_was_seen() {
        let (memory, now) = (Memory::default(), Clock::default().now());
        let (secret, other) = (Secret::generate().hash(), Secret::generate().hash());
        let [with, without] = [remembered(now, Some(secret)), remembered(now, None)];
        let ids = |session: &Remembered| (session.live.user_id, session.live.id);
        let [(user, session), (program, of_program)] = [ids(&with), ids(&without)];
        memory.remember_session(memory.ticket(user), with);
        memory.remember_session(memory.ticket(program), without);
        let opens = |user, session, secret| memory.session(user, session, secret, now).is_some();
        assert!(opens(user, session, Some(secret)) && opens(user, session, None));
        assert!(!opens(user, session, Some(other)));
        assert!(!opens(program, session, None), "a session of somebody else");
        assert!(opens(program, of_program, None) && !opens(program, of_program, Some(secret)));
    }

    #[test]
    fn past_a_limit_or_when_activity_is_to_be_noted_the_store_is_asked() {
        let (memory, now) = (Memory::default(), Clock::default().now());
        let limited = |absolute: TimeDelta, idle: TimeDelta| {
            let mut session = remembered(now, None);
            session.live.core.absolute_limit = now + absolute;
            session.idle = idle;
            let live = session.live;
            memory.remember_session(memory.ticket(live.user_id), session);
            move |memory: &Memory, after: TimeDelta| memory.session(live.user_id, live.id, None, now + after).is_some()
        };
        let (second, hour) = (TimeDelta::seconds(1), TimeDelta::hours(1));
        let known = limited(second * 10, hour);
        assert!(known(&memory, second * 9) && !known(&memory, second * 10));
        let known = limited(hour, second * 20);
        assert!(known(&memory, second * 19) && !known(&memory, second * 20));
        let known = limited(hour, hour);
        assert!(known(&memory, TOUCH_INTERVAL - second) && !known(&memory, TOUCH_INTERVAL));
    }
}
