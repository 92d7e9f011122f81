//! What happens in a history: who does what and when, and what is done to the servers meanwhile. All of it comes from a
//! number, and any part of it can be left out.

use std::fmt;

use super::record::Account;
use crate::support::stores::Backend;

/// Who uses what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    Browser,
    Program,
}

/// Everyone but the administrator.
pub const CLIENTS: [(Account, Device); 5] = [
    (Account(0), Device::Browser),
    (Account(0), Device::Browser),
    (Account(0), Device::Program),
    (Account(1), Device::Browser),
    (Account(1), Device::Program),
];
/// How many accounts these have; the administrator's is the next one.
pub const ACCOUNTS: usize = 2;
pub const KEEPERS_ACCOUNT: Account = Account(ACCOUNTS);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    // A person's.
    SignIn { twice: bool },
    Use,
    Refresh { twice: bool },
    SignOut,
    EndOthers,
    ChangePassword { twice: bool },
    Confirm { twice: bool },
    // The administrator's.
    Suspend(Account),
    Reinstate(Account),
    EndAll(Account),
    EndOne(Account),
    Promote(Account),
    Demote(Account),
    EndEveryone,
}

/// One of the lines that can be disturbed, by its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// From the clients.
    Front(usize),
    Redis(usize),
    Postgres(usize),
}

/// What is done to the servers. `ms`: for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Delay {
        line: Line,
        most: u64,
        ms: u64,
    },
    Cut(Line),
    CutOff {
        line: Line,
        ms: u64,
    },
    Freeze {
        line: Line,
        ms: u64,
    },
    /// The next script that a node asks for, or its answer.
    LoseScript(usize),
    LoseAnswer(usize),
    Flush,
    FlushScripts,
    Evict,
    RestartEmpty,
    /// Saved now, killed and restarted with that later.
    RestartFromSnapshot {
        ms: u64,
    },
    Stop {
        ms: u64,
    },
    /// No more memory.
    Full {
        ms: u64,
    },
    /// A lagging replica is promoted; the second node follows so much later, and asks the old server until then.
    Promote {
        lag: u64,
        ms: u64,
    },
    /// All connections of PostgreSQL are terminated.
    Terminate,
    /// Another program writes into SQLite's file.
    Hold {
        ms: u64,
    },
    RestartNode(usize),
    /// The clock of all nodes is moved forward.
    Advance {
        seconds: u64,
    },
}

/// Something that somebody does at that millisecond, or as soon as they are done with what they did before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Client { client: usize, node: usize, act: Act },
    Keeper { node: usize, act: Act },
    Fault(Fault),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub seed: u64,
    /// Whether at the end the nodes are restarted and Redis is emptied, before what was acknowledged is looked for.
    pub ends_with_a_restart: bool,
    pub steps: Vec<(u64, Step)>,
}

impl History {
    pub fn of(seed: u64, backend: Backend, long: bool) -> Self {
        let mut dice = Dice(seed);
        let (span, most_faults) = if long { (4000, 5) } else { (1300, 3) };
        let mut steps = Vec::new();
        for (client, (_, device)) in CLIENTS.into_iter().enumerate() {
            steps.push((
                dice.below(80),
                Step::Client { client, node: dice.node(), act: Act::SignIn { twice: dice.one_in(4) } },
            ));
            for _ in 0..3 + dice.below(span / 300) {
                let act = dice.act_of(device);
                steps.push((100 + dice.below(span), Step::Client { client, node: dice.node(), act }));
            }
        }
        for _ in 0..1 + dice.below(span / 300) {
            steps.push((200 + dice.below(span), Step::Keeper { node: dice.node(), act: dice.act_of_the_keeper() }));
        }
        for _ in 0..dice.below(most_faults + 1) {
            let fault = dice.fault(backend);
            // What lasts begins early, so that others act meanwhile.
            let at =
                if matches!(fault, Fault::Promote { .. }) { 100 + dice.below(300) } else { 100 + dice.below(span) };
            steps.push((at, Step::Fault(fault)));
        }
        steps.sort_by_key(|(at, _)| *at);
        Self { seed, ends_with_a_restart: dice.one_in(4), steps }
    }

    /// Only the steps at these places.
    pub fn only(&self, places: &[usize]) -> Self {
        Self { steps: places.iter().map(|place| self.steps[*place]).collect(), ..self.clone() }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in &self.steps {
            writeln!(f, "{at:>6} ms: {step:?}")?;
        }
        if self.ends_with_a_restart {
            writeln!(f, "   then all are restarted")?;
        }
        Ok(())
    }
}

/// Numbers that are the same for the same seed, whatever the version of any library: SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn node(&mut self) -> usize {
        self.below(2) as usize
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub fn one_of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u64) as usize]
    }

    fn act_of(&mut self, device: Device) -> Act {
        let twice = self.one_in(2);
        let both = [Act::SignIn { twice }, Act::Use, Act::SignOut, Act::EndOthers, Act::ChangePassword { twice }];
        match device {
            Device::Browser => self.one_of(&[&both[..], &[Act::Confirm { twice }; 3]].concat()),
            Device::Program => {
                self.one_of(&[&both[..], &[Act::Refresh { twice }; 5], &[Act::Confirm { twice }]].concat())
            }
        }
    }

    fn act_of_the_keeper(&mut self) -> Act {
        let whose = Account(self.below(ACCOUNTS as u64) as usize);
        self.one_of(&[
            Act::Suspend(whose),
            Act::Reinstate(whose),
            Act::EndAll(whose),
            Act::EndAll(whose),
            Act::EndOne(whose),
            Act::Promote(whose),
            Act::Demote(whose),
            Act::EndEveryone,
        ])
    }

    fn fault(&mut self, backend: Backend) -> Fault {
        let node = self.node();
        // Sometimes for longer than the second after which a node that hears nothing believes nothing.
        let ms = if self.one_in(5) { 1200 + self.below(600) } else { 50 + self.below(700) };
        let long = 1500 + self.below(500);
        let mut lines = vec![Line::Front(node)];
        let mut faults = vec![Fault::RestartNode(node), Fault::Advance { seconds: self.one_of(&[11, 61]) }];
        if backend.has_redis() {
            // Its line is what a node can least be sure of.
            lines.extend([Line::Redis(node); 3]);
            faults.extend([
                Fault::LoseScript(node),
                Fault::LoseAnswer(node),
                Fault::Flush,
                Fault::FlushScripts,
                Fault::Evict,
                Fault::RestartEmpty,
                Fault::RestartFromSnapshot { ms },
                Fault::Stop { ms },
                Fault::Full { ms },
                Fault::Promote { lag: self.below(300), ms: long },
                Fault::Promote { lag: self.below(300), ms: long },
            ]);
        }
        if backend == Backend::PostgresRedis {
            lines.push(Line::Postgres(node));
            faults.push(Fault::Terminate);
        } else {
            faults.push(Fault::Hold { ms });
        }
        let line = self.one_of(&lines);
        faults.extend([
            Fault::Delay { line, most: 20 + self.below(250), ms },
            Fault::Cut(line),
            Fault::CutOff { line, ms },
            Fault::Freeze { line, ms },
        ]);
        self.one_of(&faults)
    }
}
