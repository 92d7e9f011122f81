//! That the checker finds each violation, and nothing where there is none.

use std::time::Duration;

use portcullis::domain::Role;

use super::super::record::{Account, Answer, Credential, Entry, Held, Kind, Record, Revocation, Session, Value};
use super::{Rule, check};

const ANN: Account = Account(0);
const BEN: Account = Account(1);

/// What one request was, at a millisecond of the history. It takes ten.
struct At(u64, usize);

impl At {
    fn asks(self, answer: Answer) -> Entry {
        let Self(began, node) = self;
        let [began, ended] = [began, began + 10].map(Duration::from_millis);
        Entry { began, ended, clock_began: began, clock_ended: ended, answer, ..Entry::of(String::new(), node) }
    }

    fn opens(self, credentials: &[usize]) -> Entry {
        let gives = credentials.iter().map(|number| Credential(*number)).collect();
        Entry { gives, ..self.asks(Answer::Done) }
    }

    fn uses(self, credential: usize, works: bool) -> Entry {
        let answer = if works { Answer::Done } else { Answer::SignedOut };
        Entry { shows: Some(Credential(credential)), ..self.asks(answer) }
    }

    fn ends(self, revocation: Revocation, answer: Answer) -> Entry {
        Entry { revokes: vec![revocation], ..self.asks(answer) }
    }

    fn sets(self, value: Value, answer: Answer) -> Entry {
        Entry { sets: Some((ANN, value)), ..self.asks(answer) }
    }

    fn sees(self, value: Value) -> Entry {
        Entry { sees: Some((ANN, value)), ..self.asks(Answer::Done) }
    }

    fn tries(self, password: usize, answer: Answer) -> Entry {
        Entry { tries: Some((ANN, password)), ..self.asks(answer) }
    }
}

/// Credentials 0 and 1 are a cookie and a later one of Ann's session 0, 2 is a cookie of her session 1, 3 and 4 are refresh
/// tokens of Ben's session 2.
fn record(entries: Vec<Entry>) -> Record {
    let held = |account, session, kind| Held { account, session: Session(session), kind };
    let held = vec![
        held(ANN, 0, Kind::Cookie),
        held(ANN, 0, Kind::Cookie),
        held(ANN, 1, Kind::Cookie),
        held(BEN, 2, Kind::RefreshToken),
        held(BEN, 2, Kind::RefreshToken),
    ];
    let initial = vec![(ANN, Value::Role(Role::User)), (ANN, Value::Password(0)), (ANN, Value::Suspended(false))];
    Record { entries, held, initial, grace: Duration::from_secs(10), ..Record::default() }
}

#[track_caller]
fn expect(entries: Vec<Entry>, rules: &[Rule]) {
    let found: Vec<_> = check(&record(entries)).into_iter().map(|violation| violation.rule).collect();
    assert_eq!(found, rules);
}

const WORKS: &[Rule] = &[Rule::RevokedCredentialWorks];
const SIGNED_OUT: &[Rule] = &[Rule::HonestClientSignedOut];
const LOST: &[Rule] = &[Rule::AcknowledgedChangeLost];

#[test]
fn a_revoked_credential_must_not_work_here_at_once_and_there_after_a_second() {
    let ended = Revocation::Session(Session(0));
    for (node, began, rules) in [(0, 115, WORKS), (0, 105, &[]), (1, 1105, &[]), (1, 1111, WORKS)] {
        let used = At(began, node).uses(0, true);
        expect(vec![At(0, 0).opens(&[0]), At(100, 0).ends(ended, Answer::Done), used], rules);
    }
}

#[test]
fn a_session_over_which_somebody_signed_in_may_live_for_a_second_on_each_node() {
    for (node, began, rules) in [(0, 1105, &[][..]), (0, 1111, WORKS), (1, 1105, &[]), (1, 1111, WORKS)] {
        let replaced = At(100, 0).ends(Revocation::Replaced(Session(0)), Answer::Done);
        expect(vec![At(0, 0).opens(&[0]), replaced, At(began, node).uses(0, true)], rules);
    }
}

#[test]
fn a_machine_that_was_late_gives_the_other_node_more_time_and_this_one_none() {
    let ended = Revocation::Session(Session(0));
    for (node, rules) in [(1, &[][..]), (0, WORKS)] {
        let entries = vec![At(0, 0).opens(&[0]), At(100, 0).ends(ended, Answer::Done), At(1150, node).uses(0, true)];
        let late = vec![(Duration::from_millis(500), Duration::from_millis(10))];
        let found = check(&Record { late, ..record(entries) });
        assert_eq!(found.iter().map(|violation| violation.rule).collect::<Vec<_>>(), rules);
    }
}

#[test]
fn what_was_not_acknowledged_revokes_nothing_and_explains_everything() {
    let ended = Revocation::Session(Session(0));
    for answer in [Answer::Unknown, Answer::Refused] {
        let act = || vec![At(0, 0).opens(&[0]), At(100, 0).ends(ended, answer)];
        expect([act(), vec![At(200, 0).uses(0, true)]].concat(), &[]);
        let rules = if answer == Answer::Refused { SIGNED_OUT } else { &[] };
        expect([act(), vec![At(200, 0).uses(0, false)]].concat(), rules);
    }
}

#[test]
fn the_end_of_all_sessions_ends_those_that_were_open_and_not_the_one_that_stays() {
    let all = Revocation::Account { account: ANN, except: Some(Session(1)) };
    let entries = |opened, shown, works| {
        let opened = At(opened, 0).opens(&[shown]);
        vec![opened, At(100, 0).ends(all, Answer::Done), At(200, 0).uses(shown, works)]
    };
    expect(entries(0, 0, true), WORKS);
    expect(entries(0, 0, false), &[]);
    // While they end: before or after, who knows.
    expect(entries(95, 0, true), &[]);
    expect(entries(95, 0, false), &[]);
    // After that.
    let later = |works| vec![At(100, 0).ends(all, Answer::Done), At(150, 0).opens(&[0]), At(200, 0).uses(0, works)];
    expect(later(true), &[]);
    expect(later(false), SIGNED_OUT);
    // The one that stays, and somebody else's.
    for other in [2, 3] {
        expect(entries(0, other, true), &[]);
        expect(entries(0, other, false), SIGNED_OUT);
    }
}

#[test]
fn the_end_of_everyones_sessions_spares_the_one_that_asks() {
    let everyone = Revocation::Everyone { except: Session(1) };
    let entries = |shown, works| {
        vec![At(0, 0).opens(&[shown]), At(100, 0).ends(everyone, Answer::Done), At(200, 0).uses(shown, works)]
    };
    for (shown, works, rules) in
        [(0, true, WORKS), (3, true, WORKS), (0, false, &[]), (2, true, &[]), (2, false, SIGNED_OUT)]
    {
        expect(entries(shown, works), rules);
    }
}

#[test]
fn a_former_cookie_is_none_but_for_the_form_that_comes_again() {
    let act = || {
        let new =
            Entry { gives: vec![Credential(1)], ..At(100, 0).ends(Revocation::Former(Credential(0)), Answer::Done) };
        vec![At(0, 0).opens(&[0]), new]
    };
    expect([act(), vec![At(200, 0).uses(0, true)]].concat(), WORKS);
    expect([act(), vec![Entry { repeats: true, ..At(200, 0).uses(0, true) }]].concat(), &[]);
    // But nothing outlives the end of its session.
    let ended = At(150, 0).ends(Revocation::Session(Session(0)), Answer::Done);
    expect([act(), vec![ended, Entry { repeats: true, ..At(200, 0).uses(0, true) }]].concat(), WORKS);
    expect([act(), vec![At(200, 0).uses(0, false), At(200, 0).uses(1, true)]].concat(), &[]);
    expect([act(), vec![At(200, 0).uses(1, false)]].concat(), SIGNED_OUT);
}

#[test]
fn nobody_is_signed_out_without_an_act_that_began_before_the_answer() {
    expect(vec![At(0, 0).opens(&[0]), At(200, 0).uses(0, false)], SIGNED_OUT);
    let ended = |began| At(began, 1).ends(Revocation::Session(Session(0)), Answer::Done);
    expect(vec![At(0, 0).opens(&[0]), At(200, 0).uses(0, false), ended(205)], &[]);
    expect(vec![At(0, 0).opens(&[0]), At(200, 0).uses(0, false), ended(211)], SIGNED_OUT);
}

#[test]
fn a_refresh_token_that_comes_again_after_the_grace_ends_its_session_and_nothing_else_does() {
    for (again, rules) in [(3_000, [SIGNED_OUT, SIGNED_OUT].concat()), (11_000, Vec::new())] {
        let lost = Entry { answer: Answer::Unknown, ..At(1_000, 0).uses(3, true) };
        let entries = vec![At(0, 0).opens(&[3]), lost, At(again, 0).uses(3, false), At(again + 100, 0).uses(4, false)];
        expect(entries, &rules);
    }
}

#[test]
fn a_value_that_was_overwritten_is_not_read_again() {
    let [user, manager, admin] = [Role::User, Role::Manager, Role::Admin].map(Value::Role);
    let set = || vec![At(100, 0).sets(manager, Answer::Done)];
    let read = |at, node, value, rules| expect([set(), vec![At(at, node).sees(value)]].concat(), rules);
    read(50, 0, user, &[]);
    read(50, 0, manager, LOST);
    for value in [user, manager] {
        read(105, 0, value, &[]);
        read(900, 1, value, &[]);
    }
    read(120, 0, user, LOST);
    read(1200, 1, user, LOST);
    read(1200, 1, manager, &[]);
    read(1200, 1, admin, LOST);
    // One whose answer was lost may have been written, and may be yet.
    let lost = || vec![At(100, 0).sets(manager, Answer::Unknown), At(200, 0).sets(user, Answer::Done)];
    for value in [user, manager] {
        expect([lost(), vec![At(300, 0).sees(value)]].concat(), &[]);
    }
    // There and back again.
    let back = vec![At(100, 0).sets(manager, Answer::Done), At(200, 0).sets(user, Answer::Done)];
    expect([back.clone(), vec![At(300, 0).sees(user)]].concat(), &[]);
    expect([back, vec![At(300, 0).sees(manager)]].concat(), LOST);
}

#[test]
fn the_last_password_opens_an_active_account_and_no_other_does() {
    let changed = |answer| vec![At(100, 0).sets(Value::Password(1), answer)];
    let expect_after = |changed: Vec<Entry>, password, answer, rules| {
        expect([changed, vec![At(200, 1).tries(password, answer)]].concat(), rules);
    };
    expect_after(changed(Answer::Done), 0, Answer::Done, LOST);
    expect_after(changed(Answer::Done), 0, Answer::WrongPassword, &[]);
    expect_after(changed(Answer::Done), 1, Answer::Done, &[]);
    expect_after(changed(Answer::Done), 1, Answer::WrongPassword, LOST);
    for (password, answer) in
        [(0, Answer::Done), (1, Answer::Done), (0, Answer::WrongPassword), (1, Answer::WrongPassword)]
    {
        expect_after(changed(Answer::Unknown), password, answer, &[]);
    }
    let suspended = |answer| vec![At(100, 0).sets(Value::Suspended(true), answer)];
    expect_after(suspended(Answer::Done), 0, Answer::Done, LOST);
    expect_after(suspended(Answer::Done), 0, Answer::WrongPassword, &[]);
    expect_after(suspended(Answer::Refused), 0, Answer::WrongPassword, LOST);
}

#[test]
fn an_answer_that_no_server_may_give_is_one() {
    expect(vec![At(0, 0).asks(Answer::Broken)], &[Rule::BrokenAnswer]);
}
