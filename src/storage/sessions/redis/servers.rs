//! Which history each server is in, as this node last saw it, and from which feed position copies there are believed.

use std::collections::HashMap;
use std::sync::Mutex;

/// What this node knows of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The id of the server's history: new after every restart and every promotion.
    pub stamp: String,
    /// Copies that were read from SQL at an earlier feed position are not believed.
    pub floor: i64,
}

/// Servers by slot. On a single Redis there is one, slot 0.
#[derive(Default)]
pub struct Servers(Mutex<HashMap<u16, Server>>);

impl Servers {
    pub fn get(&self, slot: u16) -> Option<Server> {
        self.lock().get(&slot).cloned()
    }

    pub fn knows(&self, slot: u16, stamp: &str) -> bool {
        self.lock().get(&slot).is_some_and(|server| server.stamp == stamp)
    }

    pub fn join(&self, slot: u16, server: Server) {
        self.lock().insert(slot, server);
    }

    /// Another server answers for the slot now; whoever needs it next joins it first.
    pub fn forget(&self, slot: u16) {
        self.lock().remove(&slot);
    }

    pub fn forget_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u16, Server>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
