//! Slots for exports: few at once on each node, so that everybody else finds a connection to the database.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;
use uuid::Uuid;

use super::super::Result;
use crate::domain::{Actor, Error, Timestamp};

/// Exports at once.
const SLOTS: usize = 3;
/// Who has read nothing for so long, as in a download that was halted, gives way to the next.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// The exports under way on this node. Cheap to clone.
#[derive(Clone, Default)]
pub struct Exports(Arc<Mutex<HashMap<Uuid, UnderWay>>>);

struct UnderWay {
    whose: Actor,
    /// When a piece was taken last.
    read: Timestamp,
}

/// The slot of one export, given back when it is dropped.
pub(super) struct Slot {
    exports: Exports,
    id: Uuid,
}

impl Exports {
    /// Where all slots are taken, one that nobody reads gives way, or one of somebody who has several, so that nobody
    /// keeps all others from theirs.
    ///
    /// # Errors
    /// [`Error::TooManyExports`] where all slots are taken by others who read.
    pub(super) fn begin(&self, whose: &Actor, now: Timestamp) -> Result<Slot> {
        let mut under_way = self.under_way();
        if under_way.len() == SLOTS {
            let halted = |export: &UnderWay| now - export.read > PATIENCE;
            let one_of_several = |export: &UnderWay| {
                export.whose != *whose && under_way.values().filter(|other| other.whose == export.whose).count() > 1
            };
            let gives_way = under_way.iter().find(|(_, export)| halted(export));
            let gives_way = gives_way.or_else(|| under_way.iter().find(|(_, export)| one_of_several(export)));
            let gives_way = gives_way.map(|(id, _)| *id).ok_or(Error::TooManyExports)?;
            under_way.remove(&gives_way);
        }
        let id = Uuid::new_v4();
        under_way.insert(id, UnderWay { whose: whose.clone(), read: now });
        Ok(Slot { exports: self.clone(), id })
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Uuid, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Notes that the export is read on.
    ///
    /// # Errors
    /// [`Error::TooManyExports`] where another has the slot now.
    pub(super) fn keep(&self, now: Timestamp) -> Result<()> {
        self.exports.under_way().get_mut(&self.id).ok_or(Error::TooManyExports)?.read = now;
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.exports.under_way().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_given_back_or_lost_to_the_next_when_nobody_reads() {
        let (exports, start) = (Exports::default(), Timestamp::from_millis(0));
        let mut slots: Vec<_> = (0..SLOTS).map(|_| exports.begin(&Actor::Cli, start).unwrap()).collect();
        assert!(matches!(exports.begin(&Actor::Cli, start), Err(Error::TooManyExports)));
        drop(slots.pop());
        slots.push(exports.begin(&Actor::Cli, start).unwrap());

        let later = start + PATIENCE + TimeDelta::seconds(1);
        slots[1..].iter().for_each(|slot| slot.keep(start + PATIENCE).unwrap());
        let next = exports.begin(&Actor::Cli, later).unwrap();
        assert!(matches!(exports.begin(&Actor::Cli, later), Err(Error::TooManyExports)));
        assert!(matches!(slots[0].keep(later), Err(Error::TooManyExports)));
        // Whoever lost its slot takes nobody else's along.
        drop(slots.remove(0));
        assert!(next.keep(later).is_ok() && matches!(exports.begin(&Actor::Cli, later), Err(Error::TooManyExports)));
    }

    #[test]
    fn whoever_has_all_slots_gives_one_to_another() {
        let (exports, now) = (Exports::default(), Timestamp::from_millis(0));
        let slots: Vec<_> = (0..SLOTS).map(|_| exports.begin(&Actor::Cli, now).unwrap()).collect();
        let other = exports.begin(&Actor::System, now).unwrap();
        assert_eq!(slots.iter().filter(|slot| slot.keep(now).is_ok()).count(), SLOTS - 1);
        assert!(matches!(exports.begin(&Actor::Cli, now), Err(Error::TooManyExports)), "of one's own");
        assert!(other.keep(now).is_ok());
    }
}
