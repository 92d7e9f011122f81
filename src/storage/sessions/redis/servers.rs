//! Which history each server is in, as this node last saw it, and from which feed position copies there are believed.

use std::collections::HashMap;
use std::sync::Mutex;

/// What this node knows of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The id of the server's history: new after every restart and every promotion.
    pub replication_id: String,
    /// Copies that were read from SQL at an earlier feed position are not believed.
    pub min_position: i64,
}

/// Servers by slot. On a single Redis there is one, slot 0.
#[derive(Default)]
pub struct Servers(Mutex<State>);

#[derive(Default)]
struct State {
    by_slot: HashMap<u16, Server>,
    /// No minimum position is below this.
    least_position: i64,
}

impl Servers {
    pub fn get(&self, slot: u16) -> Option<Server> {
        self.lock().by_slot.get(&slot).cloned()
    }

    pub fn knows(&self, slot: u16, replication_id: &str) -> bool {
        self.lock().by_slot.get(&slot).is_some_and(|server| server.replication_id == replication_id)
    }

    pub fn join(&self, slot: u16, server: Server) {
        let mut state = self.lock();
        let min_position = server.min_position.max(state.least_position);
        state.by_slot.insert(slot, Server { min_position, ..server });
    }

    /// Another server answers for the slot now; whoever needs it next joins it first.
    pub fn forget(&self, slot: u16) {
        self.lock().by_slot.remove(&slot);
    }

    pub fn forget_all(&self) {
        self.lock().by_slot.clear();
    }

    /// On no server, known or not, is a copy believed that was read at an earlier feed position.
    pub fn raise_min_positions(&self, min_position: i64) {
        let mut state = self.lock();
        state.least_position = state.least_position.max(min_position);
        state.by_slot.values_mut().for_each(|server| server.min_position = server.min_position.max(min_position));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
