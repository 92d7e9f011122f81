//! What must hold of every history, whatever happened to the stores:
//!
//! 1. No credential works in a request that began after its revocation was acknowledged; on the other node, a second later.
//! 2. No honest client is signed out: there is an act that may have ended what it shows.
//! 3. An acknowledged change is there: who reads sees what was written last, or what is being written.
//! 4. No answer is one that no server may give.
//!
//! A pure function over a [`Record`]. What was answered with 503, or not at all, may have been done and may be done later:
//! it revokes nothing for (1), and explains everything for (2) and (3).

use std::time::Duration;

use super::record::{Account, Answer, Credential, Entry, Kind, Moment, Record, Revocation, Session, Value};

/// How long an act may take to reach the other node.
const ELSEWHERE: Duration = Duration::from_secs(1);
/// By so much the clocks of nodes may differ.
pub const SKEW: Duration = Duration::from_secs(2);
/// So many threads must get their turn before the other node has heard: as in [`crate::support::deadline`].
const TURNS: u32 = 8;

/// A rule that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    /// The request that shows it, and the one that it contradicts, by their places in the record.
    pub shown_by: usize,
    pub against: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    RevokedCredentialWorks,
    HonestClientSignedOut,
    AcknowledgedChangeLost,
    BrokenAnswer,
}

/// Every violation, in the order of the record.
pub fn check(record: &Record) -> Vec<Violation> {
    let checker = Checker { record, opened: opened(record) };
    (0..record.entries.len()).flat_map(|place| checker.judge(place)).collect()
}

/// How many requests were refused for showing something that had surely ended: where there is none, a history shows nothing
/// by that.
pub fn count_revoked(record: &Record) -> usize {
    let checker = Checker { record, opened: opened(record) };
    let is_revoked = |entry: &&Entry| {
        entry.answer == Answer::SignedOut
            && entry.shows.is_some_and(|shown| checker.surely_revoked(shown, entry).is_some())
    };
    record.entries.iter().filter(is_revoked).count()
}

struct Checker<'a> {
    record: &'a Record,
    /// For each session the request that opened it.
    opened: Vec<Option<usize>>,
}

/// The first request that gave something of each session.
fn opened(record: &Record) -> Vec<Option<usize>> {
    let sessions = record.held.iter().map(|held| held.session.0 + 1).max().unwrap_or(0);
    let mut opened = vec![None; sessions];
    for (place, entry) in record.entries.iter().enumerate() {
        for Credential(given) in &entry.gives {
            opened[record.held[*given].session.0].get_or_insert(place);
        }
    }
    opened
}

impl Checker<'_> {
    fn judge(&self, place: usize) -> Vec<Violation> {
        let entry = &self.record.entries[place];
        let mut found = Vec::new();
        let mut violated = |rule, against| found.push(Violation { rule, shown_by: place, against });
        if entry.answer == Answer::Broken {
            violated(Rule::BrokenAnswer, None);
        }
        if let Some(shown) = entry.shows {
            match entry.answer {
                Answer::Done => {
                    if let Some(against) = self.surely_revoked(shown, entry) {
                        violated(Rule::RevokedCredentialWorks, Some(against));
                    }
                }
                Answer::SignedOut if !self.maybe_revoked(shown, entry) => violated(Rule::HonestClientSignedOut, None),
                _ => {}
            }
        }
        if let Some((account, value)) = entry.sees
            && let Some(against) = self.not_possible(account, value, entry, true)
        {
            violated(Rule::AcknowledgedChangeLost, Some(against));
        }
        if let Some((account, password)) = entry.tries {
            let password = Value::Password(password);
            match entry.answer {
                Answer::Done => {
                    let values = [password, Value::Suspended(false)];
                    let against = values.iter().find_map(|value| self.not_possible(account, *value, entry, false));
                    if let Some(against) = against {
                        violated(Rule::AcknowledgedChangeLost, Some(against));
                    }
                }
                Answer::WrongPassword
                    if self.is_sure(account, password, entry)
                        && self.is_sure(account, Value::Suspended(false), entry) =>
                {
                    violated(Rule::AcknowledgedChangeLost, None);
                }
                _ => {}
            }
        }
        found
    }

    /// The acknowledged act that ended what is shown, and of which this node must have heard.
    fn surely_revoked(&self, shown: Credential, entry: &Entry) -> Option<usize> {
        let ends = |act: &Entry, revocation: &Revocation| {
            let is_known = match revocation {
                Revocation::Replaced(_) => self.is_known_everywhere(act, entry),
                _ => self.is_known(act, entry),
            };
            // Of a session that was being opened at that time nobody knows which came first.
            let is_of_before = |opening: &Entry| opening.answer == Answer::Done && opening.ended <= act.began;
            let was_there = is_of_one(revocation) || self.opening(shown).is_some_and(is_of_before);
            let is_own_form = entry.repeats && is_left_by_a_form(revocation);
            is_known && was_there && !is_own_form && self.covers(revocation, shown)
        };
        let ended = |act: &Entry| act.answer == Answer::Done && act.revokes.iter().any(|one| ends(act, one));
        self.record.entries.iter().position(ended)
    }

    /// Whether something may have ended what is shown by the time of the answer.
    fn maybe_revoked(&self, shown: Credential, entry: &Entry) -> bool {
        let ends = |act: &Entry, revocation: &Revocation| {
            let opened_later =
                self.opening(shown).is_some_and(|opening| act.answer == Answer::Done && act.ended < opening.began);
            self.covers(revocation, shown) && (is_of_one(revocation) || !opened_later)
        };
        let happened = |act: &&Entry| act.began < entry.ended && matches!(act.answer, Answer::Done | Answer::Unknown);
        let by_an_act =
            self.record.entries.iter().filter(happened).any(|act| act.revokes.iter().any(|one| ends(act, one)));
        by_an_act || self.is_late_repeat(shown, entry) || self.ended_by_reuse(shown, entry)
    }

    /// Whether a refresh token is shown that was used so long ago, or may have been, that it is taken for a thief's.
    fn is_late_repeat(&self, shown: Credential, entry: &Entry) -> bool {
        let grace = self.record.grace.saturating_sub(SKEW * 2);
        let used = |earlier: &Entry| {
            earlier.shows == Some(shown)
                && earlier.began < entry.began
                && matches!(earlier.answer, Answer::Done | Answer::Unknown)
                && entry.clock_ended >= earlier.clock_began + grace
        };
        self.record.held[shown.0].kind == Kind::RefreshToken && self.record.entries.iter().any(used)
    }

    /// Whether a late repeat of a refresh token may have ended the session.
    fn ended_by_reuse(&self, shown: Credential, entry: &Entry) -> bool {
        let session = self.record.held[shown.0].session;
        let of_session = |act: &Entry| {
            let token = act.shows.filter(|token| self.record.held[token.0].session == session);
            token.is_some_and(|token| act.began < entry.ended && self.is_late_repeat(token, act))
        };
        self.record.entries.iter().any(of_session)
    }

    fn covers(&self, revocation: &Revocation, shown: Credential) -> bool {
        let held = self.record.held[shown.0];
        match *revocation {
            Revocation::Session(session) | Revocation::Replaced(session) => held.session == session,
            Revocation::Former(credential) => credential == shown,
            Revocation::Account { account, except } => held.account == account && except != Some(held.session),
            Revocation::Everyone { except } => held.session != except,
        }
    }

    fn opening(&self, shown: Credential) -> Option<&Entry> {
        let Session(session) = self.record.held[shown.0].session;
        self.opened[session].map(|place| &self.record.entries[place])
    }

    /// Whether the node that was asked must have heard of the act before.
    fn is_known(&self, act: &Entry, entry: &Entry) -> bool {
        if act.node == entry.node { act.ended <= entry.began } else { self.is_known_everywhere(act, entry) }
    }

    fn is_known_everywhere(&self, act: &Entry, entry: &Entry) -> bool {
        act.ended + ELSEWHERE + self.lateness(act.ended, entry.began) <= entry.began
    }

    /// What the machine was late by between these, for all whose turn it was.
    fn lateness(&self, from: Moment, to: Moment) -> Duration {
        let between = self.record.late.iter().filter(|(at, _)| (from..=to).contains(at));
        between.map(|(_, late)| *late).max().unwrap_or_default() * TURNS
    }

    /// The act by which the value can't be what is read, if there is one. `remembered`: the other node may take a second.
    fn not_possible(&self, account: Account, value: Value, entry: &Entry, remembered: bool) -> Option<usize> {
        let overwritten = |written: Option<&Entry>| self.overwritten(account, value, written, entry, remembered);
        let initial = self.record.initial.contains(&(account, value)).then(|| overwritten(None));
        let wrote = |act: &Entry| act.sets == Some((account, value)) && act.began < entry.ended;
        let writes = self.writes(account, value).filter(|(_, act)| wrote(act));
        let writes = writes.map(|(_, act)| overwritten(Some(act)));
        // Possible where one of those who wrote it was not overwritten.
        let all = initial.into_iter().chain(writes).reduce(|one, other| one.and(other));
        all.unwrap_or_else(|| self.any_write(account, value))
    }

    /// What was surely written after `written` (`None`: from the begin) and before it is read.
    fn overwritten(
        &self,
        account: Account,
        value: Value,
        written: Option<&Entry>,
        entry: &Entry,
        remembered: bool,
    ) -> Option<usize> {
        if written.is_some_and(|act| act.answer == Answer::Unknown) {
            return None;
        }
        let since = written.map_or(Duration::ZERO, |act| act.ended);
        let known = |act: &Entry| if remembered { self.is_known(act, entry) } else { act.ended <= entry.began };
        let over = |act: &Entry| {
            act.answer == Answer::Done && act.began >= since && known(act) && act.sets != Some((account, value))
        };
        self.writes(account, value).find(|(_, act)| over(act)).map(|(place, _)| place)
    }

    /// Any, to have something to show for a value that nobody has written.
    fn any_write(&self, account: Account, value: Value) -> Option<usize> {
        Some(self.writes(account, value).last().map_or(0, |(place, _)| place))
    }

    /// Whether nothing else can be read.
    fn is_sure(&self, account: Account, value: Value, entry: &Entry) -> bool {
        let initial =
            self.record.initial.iter().filter(|(whose, one)| *whose == account && one.is_of_one_kind_with(value));
        let written = self.writes(account, value).filter_map(|(_, act)| act.sets.map(|(_, one)| one));
        let others = initial.map(|(_, one)| *one).chain(written).filter(|one| *one != value);
        let mut possible = others.filter(|other| self.not_possible(account, *other, entry, false).is_none());
        possible.next().is_none()
    }

    /// The acts that have written such a value of the account, or may have.
    fn writes(&self, account: Account, value: Value) -> impl Iterator<Item = (usize, &Entry)> {
        let such =
            move |act: &Entry| act.sets.is_some_and(|(whose, one)| whose == account && one.is_of_one_kind_with(value));
        let done = |act: &Entry| matches!(act.answer, Answer::Done | Answer::Unknown);
        self.record.entries.iter().enumerate().filter(move |(_, act)| such(act) && done(act))
    }
}

/// Whether it is about one session, whenever that was opened.
fn is_of_one(revocation: &Revocation) -> bool {
    matches!(revocation, Revocation::Session(_) | Revocation::Replaced(_) | Revocation::Former(_))
}

/// Whether a form may have left it behind that comes again, with the cookie of before.
fn is_left_by_a_form(revocation: &Revocation) -> bool {
    matches!(revocation, Revocation::Replaced(_) | Revocation::Former(_))
}

mod tests;
