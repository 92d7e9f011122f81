//! The shortest history that still fails.

use super::act::History;

/// Leaves out one part of the history after the other, in ever smaller parts, for as long as what is left `fails`. Chance
/// has its part in it: what is left out may have been asked for too seldom.
pub async fn shrink(history: History, mut fails: impl AsyncFnMut(&History) -> bool) -> History {
    let mut shortest = history;
    if shortest.ends_with_a_restart {
        let without = History { ends_with_a_restart: false, ..shortest.clone() };
        if fails(&without).await {
            shortest = without;
        }
    }
    let mut size = shortest.steps.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        while from < shortest.steps.len() {
            let kept: Vec<_> = (0..shortest.steps.len()).filter(|place| !(from..from + size).contains(place)).collect();
            let shorter = shortest.only(&kept);
            if fails(&shorter).await {
                shortest = shorter;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    shortest
}

mod tests {
    use super::super::act::{Fault, Step};
    use super::*;
    use crate::support::Sqlite;

    #[tokio::test]
    async fn what_a_failure_needs_is_left_and_nothing_else() {
        let mut history = History::of(1, Sqlite, true);
        let needed = [Step::Fault(Fault::Advance { seconds: 1 }), Step::Fault(Fault::Advance { seconds: 2 })];
        history.steps.insert(3, (0, needed[0]));
        history.steps.push((9000, needed[1]));
        let fails =
            async |history: &History| needed.iter().all(|one| history.steps.iter().any(|(_, step)| step == one));
        let shortest = shrink(history, fails).await;
        assert_eq!(shortest.steps, [(0, needed[0]), (9000, needed[1])]);
        assert!(!shortest.ends_with_a_restart);
    }
}
