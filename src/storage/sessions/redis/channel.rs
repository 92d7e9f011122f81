//! Word of changes from node to node, over Redis' publish/subscribe: by it a node knows that its memory is still true.
//!
//! The script that takes something out of Redis says whose it was, and each node that hears it forgets. Also each node says
//! something itself, again and again, on the connection of its scripts. Redis tells everybody everything in one order: a
//! node that hears its own word has heard all that was said before it, and until [`DEAF`] later it believes its memory. One
//! that hears itself no more, whatever is in the way, believes nothing and asks Redis each time, and one that hears again
//! begins with an empty memory.
//!
//! The feed stands behind this: what a writer could not say, because Redis was away, each node reads there.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::line::Line;
use super::scripts::Scripts;
use crate::domain::UserId;
use crate::storage::sessions::memory::Memory;

/// From one word of this node to the next.
const BEAT: Duration = Duration::from_millis(100);
/// For so long after a word of its own was sent that came back, a node believes its memory.
const DEAF: Duration = Duration::from_millis(350);
/// Between attempts to listen where one fails after the other, at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A word that Redis has not taken by then is not said.
const SAY: Duration = Duration::from_millis(500);
/// Where no word of its own comes back for so long, the node listens anew: perhaps it listens elsewhere than it speaks.
const PATIENCE: Duration = Duration::from_secs(1);

/// What this node has heard.
pub struct Channel {
    name: String,
    /// Tells this node's words from those of others.
    node: Uuid,
    memory: Memory,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The word said last, and when.
    said: Option<(u64, Instant)>,
    /// When the last word that came back was said.
    heard: Option<Instant>,
}

impl Channel {
    pub fn new(scripts: &Scripts) -> Self {
        Self { name: scripts.channel(), node: Uuid::new_v4(), memory: Memory::default(), state: Mutex::default() }
    }

    /// The memory, where it has been told of all that was said until a moment ago.
    pub fn memory(&self) -> Option<&Memory> {
        self.state().heard.is_some_and(|heard| heard.elapsed() < DEAF).then_some(&self.memory)
    }

    /// The memory, whether told or not: for whoever tells it.
    pub fn any_memory(&self) -> &Memory {
        &self.memory
    }

    /// Listens and speaks for as long as the process lives.
    pub async fn follow(&self, line: &Arc<Line>) {
        let listen = async {
            let mut failures = 0;
            loop {
                let Err(reason) = self.listen(line, &mut failures).await;
                self.state().heard = None;
                if failures == 0 {
                    let advice = "its user may need +subscribe +publish and the channel";
                    tracing::info!(
                        reason,
                        channel = self.name,
                        advice,
                        "nothing is heard of changes: each request asks Redis"
                    );
                }
                failures += 1;
                sleep(BEAT.saturating_mul(1 << failures.min(9)).min(LONGEST_PAUSE)).await;
            }
        };
        futures_util::future::join(listen, self.speak(line)).await;
    }

    /// `failures` in a row are over when a word is heard.
    async fn listen(&self, line: &Arc<Line>, failures: &mut u32) -> Result<std::convert::Infallible, String> {
        let subscribe = timeout(PATIENCE, line.subscribe(&self.name)).await;
        let mut words = subscribe.map_err(|elapsed| elapsed.to_string())?.map_err(|error| error.to_string())?;
        // What was said meanwhile was not heard.
        self.memory.forget_everyone();
        let mut last = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(last.elapsed());
            let word = timeout(left, words.next()).await.map_err(|_| "this node does not hear itself".to_owned())?;
            let word = word.ok_or("the connection was lost")?;
            match Word::read(word.get_payload_bytes()) {
                Some(Word::Changed(user)) => self.memory.forget_account(user),
                Some(Word::Beat { node, number }) if node == self.node => {
                    last = Instant::now();
                    if self.memory().is_none() {
                        // On a replica words may have been lost meanwhile.
                        self.memory.forget_everyone();
                    }
                    let mut state = self.state();
                    state.heard = state.said.filter(|(said, _)| *said == number).map(|(_, at)| at).or(state.heard);
                    if std::mem::take(failures) > 0 {
                        tracing::info!("changes are heard of again");
                    }
                }
                Some(Word::Beat { .. }) | None => {}
            }
        }
    }

    async fn speak(&self, line: &Arc<Line>) {
        for number in 0.. {
            // Before it is sent: what is said after this moment may not have been heard when it comes back.
            self.state().said = Some((number, Instant::now()));
            self.say(line, &Word::Beat { node: self.node, number }).await;
            sleep(BEAT).await;
        }
    }

    /// Says that something of the account is not what it was. Where Redis takes no word, nobody hears it; on a cluster nobody
    /// listens.
    pub async fn say_changed(&self, line: &Arc<Line>, user: UserId) {
        if !line.is_cluster() {
            self.say(line, &Word::Changed(user)).await;
        }
    }

    async fn say(&self, line: &Arc<Line>, word: &Word) {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.name).arg(word.to_string());
        let said = timeout(SAY, async {
            let link = line.link().await.map_err(|refusal| refusal.to_string())?;
            link.connection.query::<()>(&publish).await.map_err(|error| error.to_string())
        });
        if let Ok(Err(error)) = said.await {
            tracing::debug!(error, "Redis takes no word of changes");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What is said.
#[derive(Debug, PartialEq)]
enum Word {
    /// By the scripts too: `lua/tell.lua`.
    Changed(UserId),
    Beat {
        node: Uuid,
        number: u64,
    },
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed(user) => write!(f, "{user}"),
            Self::Beat { node, number } => write!(f, "{node} {number}"),
        }
    }
}

impl Word {
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        match text.split_once(' ') {
            None => text.parse().ok().map(Self::Changed),
            Some((node, number)) => Some(Self::Beat { node: node.parse().ok()?, number: number.parse().ok()? }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Clock;

    #[test]
    fn what_is_said_is_understood_and_nothing_else() {
        let user = UserId::new(Clock::default().now());
        for word in [Word::Changed(user), Word::Beat { node: Uuid::new_v4(), number: 7 }] {
            assert_eq!(Word::read(word.to_string().as_bytes()), Some(word));
        }
        for strange in [&b""[..], b" ", b"x 1", b"x", b"\xff"] {
            assert_eq!(Word::read(strange), None);
        }
    }
}
