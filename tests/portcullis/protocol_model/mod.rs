//! The protocol of sessions with Redis as a model: every order in which requests, acts, readings of the feed and faults may
//! come, for one account on two nodes. What `src/storage/sessions/redis/mod.rs` says in words is here in steps.
//!
//! - [`world`], [`scripts`], [`steps`], [`sessions`]: loads, ends, changed roles and secrets, sign-ins; copies, feed, memory
//!   and channel. [`refresh`]: rotation. [`explore`]: all states that these come to.
//!
//! Each rule has a flaw that leaves it out, and a scenario that misses it: so the model can fail. With `TEST_LONG` more
//! happens at once: of each of those, two million states.

mod explore;
mod refresh;
mod scripts;
mod sessions;
mod steps;
mod world;

use rstest::rstest;

use self::explore::{Found, explore};
use self::refresh::Rotation;
use self::sessions::Sessions;
use self::world::Act::{Demote, End, EndAll, Load, NewSecret, SignIn, Suspend};
use self::world::{Act, Budget, Flaw, World};
use crate::support::long;

/// Who does what, on which node, whether nodes remember, and what may go wrong.
struct Scenario {
    name: &'static str,
    acts: &'static [(usize, Act)],
    remembers: bool,
    budget: Budget,
}

const NONE: Budget = Budget {
    flushes: 0,
    evictions: 0,
    saves: 0,
    restarts: 0,
    promotions: 0,
    moves: 0,
    lost_answers: 0,
    late_scripts: 0,
    crashes: 0,
    reboots: 0,
    late_commits: 0,
    readings: [0; 2],
    lost_channels: 0,
    periods: 0,
    limits: 0,
};
const CONFIRM: Act = NewSecret { session: 0, password: false };
const PASSWORD: Act = NewSecret { session: 0, password: true };

/// Each is small enough to be explored to its end in every run.
const SMALL: &[Scenario] = &[
    Scenario {
        name: "a load and an end",
        acts: &[(1, Load(0, 0)), (0, End(0))],
        remembers: false,
        budget: Budget { flushes: 1, evictions: 1, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "a load, the end of all, a sign-in",
        acts: &[(1, Load(0, 0)), (0, EndAll), (1, SignIn(1)), (1, Load(1, 0))],
        remembers: false,
        budget: Budget { evictions: 1, ..NONE },
    },
    Scenario {
        name: "a new password",
        acts: &[(1, Load(0, 0)), (0, PASSWORD)],
        remembers: false,
        budget: Budget { evictions: 1, late_scripts: 1, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "a writer that dies",
        acts: &[(1, Load(0, 0)), (0, Demote)],
        remembers: false,
        budget: Budget { crashes: 1, lost_answers: 1, late_scripts: 1, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "a restart from a snapshot",
        acts: &[(1, Load(0, 0)), (0, End(0))],
        remembers: false,
        budget: Budget { restarts: 1, readings: [1, 1], ..NONE },
    },
    Scenario {
        name: "two servers",
        acts: &[(0, Load(0, 0)), (1, End(0))],
        remembers: false,
        budget: Budget { promotions: 1, moves: 2, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "a late commit",
        acts: &[(0, End(0)), (0, Demote), (1, Load(0, 0))],
        remembers: false,
        budget: Budget { late_commits: 1, crashes: 1, readings: [0, 2], ..NONE },
    },
    Scenario {
        name: "a memory, and words that are lost",
        acts: &[(1, Load(0, 0)), (0, End(0))],
        remembers: true,
        budget: Budget { lost_channels: 1, periods: 1, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "a memory and a new secret",
        acts: &[(1, Load(0, 0)), (0, CONFIRM)],
        remembers: true,
        budget: Budget { evictions: 1, periods: 1, ..NONE },
    },
    Scenario {
        name: "a memory and a limit",
        acts: &[(1, Load(0, 0))],
        remembers: true,
        budget: Budget { limits: 2, evictions: 1, ..NONE },
    },
];

/// More at once.
const LARGE: &[Scenario] = &[
    Scenario {
        name: "two loads, an end, everything forgotten",
        acts: &[(1, Load(0, 0)), (0, Load(0, 0)), (0, End(0))],
        remembers: false,
        budget: Budget { flushes: 1, restarts: 1, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "a new password, an end, answers lost",
        acts: &[(0, PASSWORD), (1, End(0)), (1, Load(0, 0)), (0, Load(0, 1))],
        remembers: false,
        budget: Budget { evictions: 1, lost_answers: 1, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "two servers, nodes restarted",
        acts: &[(0, Demote), (1, Load(0, 0)), (0, End(0))],
        remembers: false,
        budget: Budget { promotions: 1, moves: 2, reboots: 1, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "suspended while two servers serve",
        acts: &[(0, Suspend), (1, Load(0, 0)), (1, SignIn(1)), (0, Load(1, 0))],
        remembers: false,
        budget: Budget { promotions: 1, moves: 2, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "late commits, and servers that change",
        acts: &[(0, End(0)), (0, Demote), (1, Load(0, 0))],
        remembers: false,
        budget: Budget { late_commits: 1, crashes: 1, moves: 1, promotions: 1, readings: [0, 2], ..NONE },
    },
    Scenario {
        name: "memories on both nodes",
        acts: &[(1, Load(0, 0)), (0, Load(0, 0)), (0, End(0)), (1, Demote)],
        remembers: true,
        budget: Budget { lost_channels: 1, periods: 1, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "memories, and a Redis that restarts",
        acts: &[(1, Load(0, 0)), (0, PASSWORD), (1, Load(0, 1))],
        remembers: true,
        budget: Budget { restarts: 1, periods: 2, readings: [0, 1], ..NONE },
    },
    Scenario {
        name: "memories, and two servers",
        acts: &[(1, Load(0, 0)), (0, End(0))],
        remembers: true,
        budget: Budget { promotions: 1, moves: 2, periods: 1, readings: [0, 1], ..NONE },
    },
];

/// Of a large one no more states are looked at than these, the nearest.
const MOST: usize = 2_000_000;

fn explored(scenario: &Scenario, flaw: Flaw) -> Found {
    explore(&Sessions { flaw }, World::new(scenario.acts, scenario.remembers, scenario.budget), MOST)
}

fn small(name: &str) -> &'static Scenario {
    SMALL.iter().find(|scenario| scenario.name == name).expect("a scenario of that name")
}

#[track_caller]
fn expect_no_break(name: &str, found: Found) {
    println!("{name}: {} states{}", found.states, if found.is_complete { "" } else { ", not all" });
    if let Some((promise, way)) = found.broken {
        panic!("{name}: {promise}:\n  {}", way.join("\n  "));
    }
    assert!(found.is_complete || long(), "{name}: more than {} states", found.states);
}

#[test]
fn in_no_order_of_acts_and_faults_does_a_copy_or_a_memory_say_more_than_sql() {
    for scenario in SMALL.iter().chain(if long() { LARGE } else { &[] }) {
        expect_no_break(scenario.name, explored(scenario, Flaw::None));
    }
}

/// Without the rule something ended comes back, or somebody is signed out.
#[rstest]
#[case(Flaw::UpdateRevives, "a load and an end")]
#[case(Flaw::NoEpochCheck, "a load, the end of all, a sign-in")]
#[case(Flaw::NoStamp, "a restart from a snapshot")]
#[case(Flaw::NoMinimumPosition, "two servers")]
#[case(Flaw::NoFeed, "a writer that dies")]
#[case(Flaw::FeedByPosition, "a late commit")]
#[case(Flaw::ToldBeforeCommit, "a load and an end")]
#[case(Flaw::NoChannelCheck, "a memory, and words that are lost")]
#[case(Flaw::NoTicket, "a memory, and words that are lost")]
#[case(Flaw::NoLimitInMemory, "a memory and a limit")]
fn each_rule_that_is_left_out_is_missed(#[case] flaw: Flaw, #[case] scenario: &str) {
    let found = explored(small(scenario), flaw);
    let (promise, way) =
        found.broken.unwrap_or_else(|| panic!("{scenario}: {flaw:?} breaks nothing in {} states", found.states));
    println!("{flaw:?}: {promise}:\n  {}", way.join("\n  "));
}

/// Of rotation, by name: what may go wrong.
fn rotations() -> Vec<(&'static str, refresh::Budget)> {
    let none = refresh::Budget::default();
    let mut all = vec![
        ("a token that is sent twice", refresh::Budget { lost_answers: 1, ..none }),
        ("copies forgotten, answers lost", refresh::Budget { evictions: 1, lost_answers: 1, batches: 1, ..none }),
        ("late scripts", refresh::Budget { late_scripts: 1, ..none }),
        ("two servers", refresh::Budget { moves: 1, lost_answers: 1, batches: 1, ..none }),
        ("a thief", refresh::Budget { thefts: 1, ..none }),
    ];
    if long() {
        all.push((
            "everything",
            refresh::Budget { evictions: 2, lost_answers: 2, late_scripts: 1, batches: 2, moves: 1, ..none },
        ));
        all.push((
            "a thief, and everything",
            refresh::Budget { evictions: 1, lost_answers: 1, late_scripts: 1, batches: 1, thefts: 1, moves: 1 },
        ));
    }
    all
}

#[test]
fn no_honest_client_is_signed_out_by_its_refresh_tokens_and_no_old_one_is_rotated() {
    for (name, budget) in rotations() {
        expect_no_break(name, explore(&Rotation { flaw: refresh::Flaw::None }, refresh::State::new(budget), MOST));
    }
}

#[rstest]
#[case(refresh::Flaw::TwoSteps, "a token that is sent twice")]
#[case(refresh::Flaw::NoGraceOfNewCopies, "copies forgotten, answers lost")]
#[case(refresh::Flaw::ScriptEnds, "late scripts")]
#[case(refresh::Flaw::EndlessGrace, "a thief")]
fn each_rule_of_rotation_that_is_left_out_is_missed(#[case] flaw: refresh::Flaw, #[case] name: &str) {
    let budget = rotations().into_iter().find(|(other, _)| *other == name).expect("a scenario of that name").1;
    let found = explore(&Rotation { flaw }, refresh::State::new(budget), MOST);
    let (promise, way) =
        found.broken.unwrap_or_else(|| panic!("{name}: {flaw:?} breaks nothing in {} states", found.states));
    println!("{flaw:?}: {promise}:\n  {}", way.join("\n  "));
}
