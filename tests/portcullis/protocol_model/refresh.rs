//! The model of rotation: one session's refresh tokens, a client that may send a token twice, two nodes that see one Redis or
//! two, and a thief with an old token. Copies are forgotten, answers lost, scripts late.

use super::explore::{Model, Step};

/// The client gets no further.
const LAST: u8 = 3;
/// A tick is the grace: what is repeated within it is no reuse.
const GRACE: u8 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    #[default]
    None,
    /// The counter is raised in one step, and when that was is noted in another.
    TwoSteps,
    /// A copy that is made anew knows of no rotation a moment ago.
    NoGraceOfNewCopies,
    /// The script itself ends the session: also one that comes late.
    ScriptEnds,
    /// The token before the present one is good whenever it comes.
    EndlessGrace,
}

/// Where the tokens stand, as a Redis has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TokenCopy {
    counter: u8,
    rotated_at: Option<u8>,
    /// By which use.
    by: u8,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum At {
    Idle,
    /// Its node has the token.
    Rotates {
        token: u8,
        began: u8,
        by: u8,
    },
    /// The counter was raised, and the time is not noted yet (a [flaw](Flaw::TwoSteps)).
    Notes {
        token: u8,
        began: u8,
        by: u8,
    },
    /// Its node was told of a reuse, and ends the session.
    Ends {
        is_thief: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    has_ended: bool,
    /// What SQL knows of the counter.
    counter: u8,
    copies: [Option<TokenCopy>; 2],
    /// What each node has to tell SQL.
    batches: [u8; 2],
    /// Which server each node sees.
    sees: [usize; 2],
    /// One of the client on each node, and one of the thief, on the first.
    requests: [At; 3],
    held: u8,
    /// When the client first sent the token that it holds.
    first_sent: Option<u8>,
    /// The client was promised nothing any more.
    is_too_late: bool,
    has_forgotten: bool,
    late: Vec<(usize, u8, u8, u8)>,
    now: u8,
    uses: u8,
    pub budget: Budget,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub evictions: u8,
    pub lost_answers: u8,
    pub late_scripts: u8,
    pub batches: u8,
    pub thefts: u8,
    /// A node comes to see the other server, which begins with no copies.
    pub moves: u8,
}

impl State {
    pub fn new(budget: Budget) -> Self {
        Self {
            has_ended: false,
            counter: 0,
            copies: [Some(TokenCopy { counter: 0, rotated_at: None, by: 0 }), None],
            batches: [0; 2],
            sees: [0; 2],
            requests: [At::Idle; 3],
            held: 0,
            first_sent: None,
            is_too_late: false,
            has_forgotten: false,
            late: Vec::new(),
            now: 0,
            uses: 0,
            budget,
        }
    }
}

impl State {
    /// Uses have the same names in whatever order they came.
    fn simplify(&mut self) {
        let mut names = vec![0];
        let mut rename = |by: &mut u8| {
            let place = names.iter().position(|name| name == by).unwrap_or_else(|| {
                names.push(*by);
                names.len() - 1
            });
            *by = place as u8;
        };
        self.copies.iter_mut().flatten().for_each(|copy| rename(&mut copy.by));
        for request in &mut self.requests {
            if let At::Rotates { by, .. } | At::Notes { by, .. } = request {
                rename(by);
            }
        }
        self.late.iter_mut().for_each(|(.., by)| rename(by));
        self.uses = names.len() as u8 - 1;
    }
}

pub struct Rotation {
    pub flaw: Flaw,
}

const SIGNED_OUT: &str = "an honest client's token ends its session";
const OLD_TOKEN: &str = "an old token is rotated though nothing was forgotten";

#[derive(Clone, Copy)]
pub struct Label(&'static str, usize);

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// What a step changes; says which promise it breaks.
type Change<'a> = &'a dyn Fn(&mut State) -> Option<&'static str>;

enum Outcome {
    Rotated,
    Reused,
    NoCopy,
}

impl Model for Rotation {
    type State = State;
    type Label = Label;

    fn steps(&self, state: &State) -> Vec<Step<State, Label>> {
        let mut next = Vec::new();
        let mut may = |what, number, change: Change<'_>| {
            let mut changed = state.clone();
            let broken = change(&mut changed);
            next.push(Step { label: Label(what, number), state: changed, broken });
        };
        for number in 0..3 {
            self.of_request(state, number, &mut may);
        }
        for (place, (server, token, began, by)) in state.late.iter().copied().enumerate() {
            may("a late script is executed: server", server, &|state| {
                state.late.remove(place);
                let outcome = self.rotate(state, server, token, began, by);
                let ends = self.flaw == Flaw::ScriptEnds && matches!(outcome, Outcome::Reused) && !state.is_too_late;
                ends.then_some(SIGNED_OUT)
            });
        }
        for node in 0..2 {
            if state.budget.batches > 0 && state.batches[node] > 0 {
                may("tells SQL: node", node, &|state| {
                    state.budget.batches -= 1;
                    state.counter = state.counter.max(state.batches[node]);
                    state.batches[node] = 0;
                    None
                });
            }
            if state.budget.moves > 0 {
                may("sees the other server: node", node, &|state| {
                    state.budget.moves -= 1;
                    state.sees[node] = 1 - state.sees[node];
                    // Which may have an older counter than the first.
                    state.has_forgotten = true;
                    None
                });
            }
            if state.budget.evictions > 0 && state.copies[node].is_some() {
                may("the copy is evicted: server", node, &|state| {
                    state.budget.evictions -= 1;
                    state.copies[node] = None;
                    state.has_forgotten = true;
                    None
                });
            }
        }
        if state.now < 2 * GRACE {
            may("the grace passes: tick", state.now.into(), &|state| {
                state.now += 1;
                state.is_too_late |= state.first_sent.is_some_and(|sent| state.now > sent + GRACE);
                None
            });
        }
        next.iter_mut().for_each(|step| step.state.simplify());
        next
    }

    fn broken(&self, _: &State) -> Option<&'static str> {
        None
    }
}

/// The third request is the thief's.
const THIEF: usize = 2;

impl Rotation {
    fn of_request(&self, state: &State, number: usize, may: &mut dyn FnMut(&'static str, usize, Change<'_>)) {
        let is_thief = number == THIEF;
        let node = number % THIEF;
        match state.requests[number] {
            At::Idle => {
                // The same token may be under way on the other node, but no earlier one.
                let is_free = match state.requests[1 - node] {
                    At::Idle => true,
                    At::Rotates { token, .. } | At::Notes { token, .. } => token == state.held,
                    At::Ends { .. } => false,
                };
                if is_thief {
                    if state.budget.thefts > 0 && state.held >= 2 {
                        may("a thief sends an old token", number, &|state| {
                            state.budget.thefts -= 1;
                            // Whoever is copied from is signed out, and shall be.
                            state.is_too_late = true;
                            let token = state.held - 2;
                            send(state, number, token);
                            None
                        });
                    }
                } else if state.held < LAST && !state.has_ended && is_free {
                    may("the client sends its token: node", node, &|state| {
                        state.first_sent.get_or_insert(state.now);
                        let token = state.held;
                        send(state, number, token);
                        None
                    });
                }
            }
            At::Rotates { token, began, by } => {
                let server = state.sees[node];
                may("rotates: node", node, &|state| {
                    let outcome = self.rotate(state, server, token, began, by);
                    self.answered(state, number, token, began, by, outcome)
                });
                if state.budget.lost_answers > 0 {
                    may("rotates, and the answer is lost: node", node, &|state| {
                        state.budget.lost_answers -= 1;
                        self.rotate(state, server, token, began, by);
                        state.requests[number] = At::Idle;
                        None
                    });
                }
                if state.budget.late_scripts > 0 {
                    may("gives up, and the script will come late: node", node, &|state| {
                        state.budget.late_scripts -= 1;
                        state.late.push((server, token, began, by));
                        state.requests[number] = At::Idle;
                        None
                    });
                }
            }
            At::Notes { token, began, by } => may("notes when it rotated: node", node, &|state| {
                if let Some(copy) = &mut state.copies[state.sees[node]] {
                    (copy.rotated_at, copy.by) = (Some(began), by);
                }
                given(state, number, token)
            }),
            At::Ends { is_thief } => may("ends the session: node", node, &|state| {
                state.has_ended = true;
                state.copies = [None; 2];
                state.requests[number] = At::Idle;
                (!is_thief && !state.is_too_late).then_some(SIGNED_OUT)
            }),
        }
    }

    /// What `lua/rotate.lua` does.
    fn rotate(&self, state: &mut State, server: usize, token: u8, began: u8, by: u8) -> Outcome {
        let Some(copy) = &mut state.copies[server] else { return Outcome::NoCopy };
        if token >= copy.counter {
            let rotated_at = if self.flaw == Flaw::TwoSteps { copy.rotated_at } else { Some(began) };
            *copy = TokenCopy {
                counter: token + 1,
                rotated_at,
                by: if self.flaw == Flaw::TwoSteps { copy.by } else { by },
            };
            return Outcome::Rotated;
        }
        let is_lately =
            copy.rotated_at.is_some_and(|at| began.saturating_sub(at) <= GRACE) || self.flaw == Flaw::EndlessGrace;
        let is_before = token + 1 == copy.counter || self.flaw == Flaw::EndlessGrace;
        if is_before && (copy.by == by || is_lately) { Outcome::Rotated } else { Outcome::Reused }
    }

    fn answered(
        &self,
        state: &mut State,
        number: usize,
        token: u8,
        began: u8,
        by: u8,
        outcome: Outcome,
    ) -> Option<&'static str> {
        let node = number % THIEF;
        match outcome {
            Outcome::Rotated if self.flaw == Flaw::TwoSteps && number != THIEF => {
                state.requests[number] = At::Notes { token, began, by };
                None
            }
            Outcome::Rotated => given(state, number, token),
            Outcome::Reused => {
                state.requests[number] = At::Ends { is_thief: number == THIEF };
                None
            }
            // Installed from SQL, and asked again.
            Outcome::NoCopy if state.has_ended => {
                state.requests[number] = At::Idle;
                None
            }
            Outcome::NoCopy => {
                let rotated_at = (self.flaw != Flaw::NoGraceOfNewCopies).then_some(began);
                state.copies[state.sees[node]] = Some(TokenCopy { counter: state.counter, rotated_at, by: 0 });
                None
            }
        }
    }
}

fn send(state: &mut State, number: usize, token: u8) {
    state.uses += 1;
    state.requests[number] = At::Rotates { token, began: state.now, by: state.uses };
}

/// The answer of a rotation is there.
fn given(state: &mut State, number: usize, token: u8) -> Option<&'static str> {
    state.requests[number] = At::Idle;
    let node = number % THIEF;
    state.batches[node] = state.batches[node].max(token + 1);
    if number == THIEF {
        return (!state.has_forgotten).then_some(OLD_TOKEN);
    }
    if token + 1 > state.held {
        state.held = token + 1;
        // Another may still be under way with the token of before, which came at the same time.
        let other = state.requests[1 - node];
        state.first_sent = match other {
            At::Rotates { .. } | At::Notes { .. } => state.first_sent,
            At::Idle | At::Ends { .. } => None,
        };
    }
    None
}
