//! An instance as it is after half a year of use: what the server would have written, written fast.
//!
//! Redis gets nothing: its copies are made by those who come.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use portcullis::domain::audit::ActorKind;
use portcullis::domain::lookup::search_text;
use portcullis::domain::{
    EmailAddress, EndReason, Event, EventId, Outcome, Role, SessionId, SessionKind, Timestamp, UserId, UserStatus,
    Username,
};
use portcullis::storage::audit::hours::{HourCounts, hour_of};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use uuid::Uuid;

use crate::people;
use crate::sql::{Cell, Connection, Rows};

/// How much there is.
#[derive(Clone, Copy)]
pub struct Size {
    pub users: u64,
    pub sessions: u64,
    pub events: u64,
}

impl Size {
    /// Open sessions of each account that has very many.
    pub fn heavy(self) -> u64 {
        self.sessions / 100
    }
}

/// A day longer than they are kept, so that there is something to sweep.
const HISTORY: TimeDelta = TimeDelta::days(181);
const REMEMBERED: TimeDelta = TimeDelta::days(14);
const LIMIT: TimeDelta = TimeDelta::days(90);
/// A password that nobody has.
const PASSWORD_HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObG";

/// An account as sessions and events name it.
struct Account {
    id: UserId,
    username: String,
    deleted: bool,
}

/// Fills the database of a server; `heavy` are accounts there that get [`Size::heavy`] open sessions each.
pub fn seed(url: &str, size: Size, heavy: &[UserId], now: Timestamp) {
    let mut connection = Connection::open(url);
    let mut rng = StdRng::seed_from_u64(5);
    progress("users");
    let accounts = users(&mut connection, size.users, now, &mut rng);
    progress("sessions");
    sessions(&mut connection, size, &accounts, heavy, now, &mut rng);
    progress("audit log");
    let hours = events(&mut connection, size.events, &accounts, now, &mut rng);
    stat_hours(&mut connection, &hours);
    failing_addresses(&mut connection, now, &mut rng);
    lockouts(&mut connection, &accounts, now, &mut rng);
    connection.settle();
}

fn progress(what: &str) {
    eprintln!("  {what}");
}

fn users(connection: &mut Connection, count: u64, now: Timestamp, rng: &mut StdRng) -> Vec<Account> {
    let columns = "id, username, username_key, email, email_key, name, role, status, epoch, rev, password_hash, \
                   password_changed_at, created_at, last_sign_in_at, deleted_at, search_text";
    let mut rows = Rows::of(connection, "users", columns);
    let moments = Moments { start: now - TimeDelta::days(700), end: now, count };
    let mut accounts = Vec::new();
    for number in 0..count {
        let created = moments.at(number);
        let (name, username) = people::name(number, rng);
        let name = Some(name).filter(|_| number % 3 > 0);
        let email = EmailAddress::parse(&format!("{username}@{}", people::domain(rng))).expect("an address");
        let username = Username::parse(&username).expect("a username");
        let id = UserId::new(created);
        let deleted = number % 100 == 37;
        let role = match number {
            _ if number % 1000 == 1 => Role::Admin,
            _ if number % 100 == 2 => Role::Manager,
            _ => Role::User,
        };
        let suspended = deleted || number % 50 == 3;
        let status = if suspended { UserStatus::Suspended } else { UserStatus::Active };
        let text = if deleted { String::new() } else { search_text(&username, &email, name.as_deref()) };
        let unless_deleted = |cell| if deleted { Cell::Null } else { cell };
        let epoch = if suspended { 2 } else { 1 };
        let last_sign_in = later(created, now, rng);
        rows.add(&[
            Cell::Id(id.0),
            Cell::Text(username.as_str()),
            unless_deleted(Cell::Text(username.key().as_str())),
            Cell::Text(if deleted { "" } else { email.as_str() }),
            unless_deleted(Cell::Text(email.key().as_str())),
            unless_deleted(Cell::of(name.as_deref(), Cell::Text)),
            Cell::Text(role.as_str()),
            Cell::Text(status.as_str()),
            Cell::Number(epoch),
            Cell::Number(epoch),
            unless_deleted(Cell::Text(PASSWORD_HASH)),
            Cell::Moment(created),
            Cell::Moment(created),
            if number % 10 == 0 { Cell::Null } else { Cell::Moment(last_sign_in) },
            if deleted { Cell::Moment(last_sign_in) } else { Cell::Null },
            Cell::Text(&text),
        ]);
        accounts.push(Account { id, username: username.as_str().to_owned(), deleted });
    }
    rows.finish();
    accounts
}

fn sessions(
    connection: &mut Connection,
    size: Size,
    accounts: &[Account],
    heavy: &[UserId],
    now: Timestamp,
    rng: &mut StdRng,
) {
    let columns = "id, user_id, kind, secret_hash, epoch, remember, device, address, created_at, password_entered_at, \
                   last_active_at, idle_ms, absolute_limit, ended_at, ended_by, end_reason, refresh_seed, \
                   refresh_counter, refresh_rotated_at";
    let mut rows = Rows::of(connection, "sessions", columns);
    let moments = Moments { start: now - HISTORY, end: now, count: size.sessions };
    let since_open = now - REMEMBERED;
    let mut owed: Vec<_> = heavy.iter().flat_map(|id| std::iter::repeat_n(*id, size.heavy() as usize)).collect();
    for number in 0..size.sessions {
        let created = moments.at(number);
        let api = rng.random_bool(0.25);
        let idle = if api { TimeDelta::days(7) } else { REMEMBERED };
        // Those who have very many have them all open, among everyone's.
        let owed = if created > now - LIMIT && rng.random_bool(0.1) { owed.pop() } else { None };
        let account = of(accounts, rng);
        let open = owed.is_some() || (created + LIMIT > now && rng.random_bool(0.8) && !account.deleted);
        let (last_active, ended) = if open {
            // One in two hundred has expired since the last sweep.
            let span = if rng.random_bool(0.005) { idle + TimeDelta::hours(1) } else { idle - TimeDelta::hours(2) };
            let earliest = if span > idle { now - span } else { created.max(now - span) };
            (later(earliest, if span > idle { now - idle } else { now }, rng), None)
        } else {
            let last_active = later(created, (created + LIMIT).min(since_open.max(created)), rng);
            (last_active, Some(last_active + TimeDelta::minutes(rng.random_range(1..60))))
        };
        let device = if api { people::program(rng) } else { people::browser(number, rng) };
        let reason = people::pick(
            rng,
            &[
                (50, EndReason::Expired),
                (35, EndReason::SignedOut),
                (8, EndReason::Replaced),
                (4, EndReason::EndedByOwner),
                (2, EndReason::PasswordChanged),
                (1, EndReason::EndedByAdministrator),
            ],
        );
        let by = match reason {
            EndReason::Expired => "system",
            EndReason::EndedByAdministrator => "keeper",
            _ => &account.username,
        };
        rows.add(&[
            Cell::Id(SessionId::new(created).0),
            Cell::Id(owed.unwrap_or(account.id).0),
            Cell::Text(if api { SessionKind::Api } else { SessionKind::Browser }.as_str()),
            Cell::Bytes(&rng.random::<[u8; 32]>()),
            Cell::Number(1),
            Cell::Flag(!api),
            Cell::Text(device),
            Cell::Text(&people::address(number, rng)),
            Cell::Moment(created),
            Cell::Moment(created),
            Cell::Moment(last_active),
            Cell::Number(idle.num_milliseconds()),
            Cell::Moment(created + LIMIT),
            Cell::of(ended, Cell::Moment),
            Cell::of(ended, |_| Cell::Text(by)),
            Cell::of(ended, |_| Cell::Text(reason.as_str())),
            if api { Cell::Bytes(&[7; 32]) } else { Cell::Null },
            Cell::Number(if api { 5 } else { 0 }),
            if api { Cell::Moment(last_active) } else { Cell::Null },
        ]);
    }
    rows.finish();
}

/// Returns what the hours of the figures count of them.
fn events(
    connection: &mut Connection,
    count: u64,
    accounts: &[Account],
    now: Timestamp,
    rng: &mut StdRng,
) -> BTreeMap<Timestamp, HourCounts> {
    let columns = "id, at, event, outcome, actor_kind, actor_id, actor_username, subject_id, subject_username, \
                   session_id, address, device, request_id, detail";
    let mut rows = Rows::of(connection, "audit_events", columns);
    // The present hour is counted by the server.
    let moments = Moments { start: now - HISTORY, end: hour_of(now), count };
    let mut hours = BTreeMap::<Timestamp, HourCounts>::new();
    for number in 0..count {
        let at = moments.at(number);
        let event = match number {
            _ if number % people::RARE == 17 => Event::TokenReuseDetected,
            _ => people::pick(
                rng,
                &[
                    (550, Event::SignInSuccess),
                    (250, Event::SignInFailed),
                    (100, Event::SignOut),
                    (40, Event::SessionRevoked),
                    (20, Event::SignInLocked),
                    (20, Event::UserRegistered),
                    (10, Event::PasswordChanged),
                    (5, Event::UserUpdated),
                    (4, Event::SessionRevokedAll),
                    (1, Event::UserSuspended),
                ],
            ),
        };
        if let Some(counts) = HourCounts::of(event).filter(|_| at > now - TimeDelta::days(31)) {
            *hours.entry(hour_of(at)).or_default() += counts;
        }
        let failed = matches!(event, Event::SignInFailed | Event::SignInLocked);
        // Of what fails a third names nobody who exists.
        let subject = Some(of(accounts, rng)).filter(|_| !failed || number % 3 > 0);
        let (kind, actor) = match event {
            _ if failed => (ActorKind::Anonymous, None),
            Event::TokenReuseDetected => (ActorKind::System, None),
            Event::UserSuspended => (ActorKind::User, Some(of(accounts, rng))),
            _ => (ActorKind::User, subject),
        };
        let outcome = if failed { Outcome::Failure } else { Outcome::Success };
        rows.add(&[
            Cell::Id(EventId::new(at).0),
            Cell::Moment(at),
            Cell::Text(event.as_str()),
            Cell::Text(outcome.as_str()),
            Cell::Text(kind.as_str()),
            Cell::of(actor, |actor| Cell::Id(actor.id.0)),
            Cell::of(actor, |actor| Cell::Text(&actor.username)),
            Cell::of(subject, |subject| Cell::Id(subject.id.0)),
            Cell::of(subject, |subject| Cell::Text(&subject.username)),
            if failed { Cell::Null } else { Cell::Id(SessionId::new(at).0) },
            Cell::Text(&people::address(number, rng)),
            Cell::Text(people::browser(number, rng)),
            Cell::Text(&Uuid::from_u128(rng.random()).to_string()),
            if event == Event::SessionRevokedAll { Cell::Text("3 other sessions") } else { Cell::Null },
        ]);
    }
    rows.finish();
    hours
}

fn stat_hours(connection: &mut Connection, hours: &BTreeMap<Timestamp, HourCounts>) {
    let mut rows = Rows::of(connection, "stat_hours", "hour, sign_ins, failures, reuse_alarms");
    for (hour, counts) in hours {
        let numbers = [counts.sign_ins, counts.failures, counts.reuse_alarms].map(Cell::Number);
        rows.add(&[&[Cell::Moment(*hour)], &numbers[..]].concat());
    }
    rows.finish();
}

/// As many addresses as the server keeps of an hour.
fn failing_addresses(connection: &mut Connection, now: Timestamp, rng: &mut StdRng) {
    let mut rows = Rows::of(connection, "failing_addresses", "hour, address, failures");
    for hours in 0..24 {
        let hour = hour_of(now) - TimeDelta::hours(hours);
        let addresses: BTreeSet<_> = (0..200).map(|number| people::address(number, rng)).collect();
        for address in addresses {
            rows.add(&[Cell::Moment(hour), Cell::Text(&address), Cell::Number(rng.random_range(1..500))]);
        }
    }
    rows.finish();
}

/// Every two hundredth account is being guessed at: half of them are locked.
fn lockouts(connection: &mut Connection, accounts: &[Account], now: Timestamp, rng: &mut StdRng) {
    let mut rows = Rows::of(connection, "lockouts", "key, user_id, failures, expires_at");
    for (number, account) in accounts.iter().filter(|account| !account.deleted).step_by(200).enumerate() {
        rows.add(&[
            Cell::Bytes(&rng.random::<[u8; 32]>()),
            Cell::Id(account.id.0),
            Cell::Number(if number % 2 == 0 { 5 } else { 2 }),
            Cell::Moment(now + TimeDelta::hours(23)),
        ]);
    }
    rows.finish();
}

/// Moments in their order, evenly over a span of time.
struct Moments {
    start: Timestamp,
    end: Timestamp,
    count: u64,
}

impl Moments {
    fn at(&self, number: u64) -> Timestamp {
        let span = (self.end - self.start).num_milliseconds() as f64;
        self.start + TimeDelta::milliseconds((span * number as f64 / self.count as f64) as i64)
    }
}

/// Some moment between two, mostly the latest.
fn later(start: Timestamp, end: Timestamp, rng: &mut StdRng) -> Timestamp {
    let span = (end - start).num_milliseconds().max(0) as f64;
    end - TimeDelta::milliseconds((span * rng.random::<f64>().powi(3)) as i64)
}

/// An account; some come far more often than others.
fn of<'a>(accounts: &'a [Account], rng: &mut StdRng) -> &'a Account {
    &accounts[(accounts.len() as f64 * rng.random::<f64>().powi(2)) as usize]
}
