//! Every state that a model can come to, the nearest first.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::hash::{Hash, Hasher as _};

pub trait Model {
    type State: Clone + Hash;
    /// What happens between two states.
    type Label: Copy + Display;

    /// Every state that may come next, and the promise that is broken on the way there, if one is.
    fn steps(&self, state: &Self::State) -> Vec<Step<Self::State, Self::Label>>;

    /// The promise that is broken in this state, if one is.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;
}

pub struct Step<S, L> {
    pub label: L,
    pub state: S,
    pub broken: Option<&'static str>,
}

/// What was found.
pub struct Found {
    pub states: usize,
    /// Whether these are all.
    pub is_complete: bool,
    /// A broken promise, and the shortest way there.
    pub broken: Option<(&'static str, Vec<String>)>,
}

/// Looks until a promise is broken, all states were seen, or so many.
pub fn explore<M: Model>(model: &M, initial: M::State, most: usize) -> Found {
    // States are known by a hash of 64 bits: of a million, two share one in one of ten million explorations.
    let mut seen = HashMap::from([(hash(&initial), 0)]);
    // From which state each was come to, and how.
    let mut ways: Vec<Option<(usize, M::Label)>> = vec![None];
    let mut frontier = vec![(0, initial)];
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for (from, state) in frontier {
            for Step { label, state, broken } in model.steps(&state) {
                let place = ways.len();
                let is_new = match seen.entry(hash(&state)) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(place);
                        true
                    }
                    Entry::Occupied(_) => false,
                };
                let broken = broken.or_else(|| if is_new { model.broken(&state) } else { None });
                if let Some(promise) = broken {
                    let mut way = way_to(&ways, from);
                    way.push(label.to_string());
                    return Found { states: place, is_complete: false, broken: Some((promise, way)) };
                }
                if is_new {
                    ways.push(Some((from, label)));
                    next.push((place, state));
                }
            }
            if ways.len() > most {
                return Found { states: ways.len(), is_complete: false, broken: None };
            }
        }
        frontier = next;
    }
    Found { states: ways.len(), is_complete: true, broken: None }
}

fn way_to<L: Copy + Display>(ways: &[Option<(usize, L)>], mut place: usize) -> Vec<String> {
    let mut way = Vec::new();
    while let Some((from, label)) = ways[place] {
        way.push(label.to_string());
        place = from;
    }
    way.reverse();
    way
}

fn hash(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}
