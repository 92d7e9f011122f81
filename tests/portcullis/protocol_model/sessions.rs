//! The model of sessions: what may happen next, and what must never be.

use super::explore::{Model, Step};
use super::scripts::{Reply, Script, execute};
use super::steps::{Label, Next, after, believes_memory, of_task, on_server};
use super::world::{Act, Flaw, Keys, Node, SessionKey, Stage, Task, UserKey, Word, World};

pub struct Sessions {
    pub flaw: Flaw,
}

const REVOKED: &str = "a session, an epoch or a secret that had ended is answered with yes";
const FORMER_ROLE: &str = "a role that was taken away is good";
const PAST_LIMIT: &str = "a session is good after its limit";
const SIGNED_OUT: &str = "a live session is answered with no";

impl Model for Sessions {
    type State = World;
    type Label = Label;

    fn steps(&self, world: &World) -> Vec<Next> {
        let mut next = Vec::new();
        for place in 0..world.tasks.len() {
            next.extend(of_task(world, place, self.flaw));
        }
        for node in 0..2 {
            next.extend(self.of_node(world, node));
        }
        for (place, (server, script)) in world.late.iter().enumerate() {
            next.push(after(world, Label::Fault("a late script is executed on server", *server), |world| {
                world.late.remove(place);
                on_server(world, *server, *script, matches!(script, Script::TakeAway(_)), self.flaw);
            }));
        }
        for server in 0..2 {
            next.extend(of_server(world, server));
        }
        if world.budget.periods > 0 {
            next.push(after(
                world,
                Label::Fault("what was heard in this period is too old now:", world.period.into()),
                |world| {
                    world.budget.periods -= 1;
                    world.period += 1;
                    if world.is_whole {
                        let acknowledged = world.acknowledged;
                        world.owed.iter_mut().for_each(|owed| owed.and(acknowledged));
                    }
                },
            ));
        }
        next.iter_mut().for_each(|Step { state, .. }| state.simplify());
        next
    }

    /// As if each node were asked now, with each secret.
    fn broken(&self, world: &World) -> Option<&'static str> {
        (0..2).find_map(|node| (0..2).find_map(|session| self.answers_wrongly(world, node, session)))
    }
}

impl Sessions {
    fn of_node(&self, world: &World, number: usize) -> Vec<Next> {
        let node = &world.nodes[number];
        let mut next = Vec::new();
        let reads = |task: &Task| task.node == number && task.act == Act::ReadFeed && task.stage != Stage::Done;
        if world.budget.readings[number] > 0 && !world.tasks.iter().any(reads) {
            next.push(after(world, Label::Fault("begins to read the feed: node", number), |world| {
                world.budget.readings[number] -= 1;
                world.tasks.push(Task::new(number, Act::ReadFeed));
            }));
        }
        if world.budget.moves > 0 && world.servers[1 - node.sees].is_up {
            next.push(after(world, Label::Fault("sees the other server: node", number), |world| {
                world.budget.moves -= 1;
                world.is_whole = false;
                world.nodes[number].sees = 1 - world.nodes[number].sees;
                lose_channel(&mut world.nodes[number]);
            }));
        }
        if world.budget.reboots > 0 {
            next.push(after(world, Label::Fault("is restarted: node", number), |world| {
                world.budget.reboots -= 1;
                world.forget(number);
                let read_to = world.complete_until();
                let node = &mut world.nodes[number];
                *node = Node { known: 0, min_position: 0, read_to, heard: None, ..node.clone() };
                lose_channel(node);
                let theirs = world.tasks.iter_mut().filter(|task| task.node == number);
                theirs.filter(|task| !matches!(task.stage, Stage::Begin | Stage::Ask)).for_each(Task::finish);
            }));
        }
        if world.budget.limits > 0 && !node.is_past_limit {
            next.push(after(world, Label::Fault("is past the limit: node", number), |world| {
                world.budget.limits -= 1;
                world.nodes[number].is_past_limit = true;
            }));
        }
        if world.remembers {
            next.extend(self.of_channel(world, number));
        }
        next
    }

    /// What a node hears, and says to hear itself.
    fn of_channel(&self, world: &World, number: usize) -> Vec<Next> {
        let node = &world.nodes[number];
        let mut next = Vec::new();
        if let Some(word) = node.inbox.first().copied() {
            next.push(after(world, Label::Fault("hears a word: node", number), |world| {
                world.nodes[number].inbox.remove(0);
                match word {
                    Word::Changed => world.forget(number),
                    Word::Beat(period) => {
                        if world.nodes[number].heard != Some(world.period) {
                            world.forget(number);
                        }
                        world.nodes[number].heard = Some(period);
                    }
                }
            }));
        }
        let beat = Word::Beat(world.period);
        if node.listens && world.servers[node.sees].is_up {
            if node.heard != Some(world.period) && !node.inbox.contains(&beat) {
                next.push(after(world, Label::Fault("says something: node", number), |world| {
                    world.nodes[number].inbox.push(beat);
                }));
            }
            if world.budget.lost_channels > 0 {
                next.push(after(
                    world,
                    Label::Fault("is told nothing more, and does not know: node", number),
                    |world| {
                        world.budget.lost_channels -= 1;
                        lose_channel(&mut world.nodes[number]);
                    },
                ));
            }
        } else if world.servers[node.sees].is_up {
            next.push(after(world, Label::Fault("listens anew: node", number), |world| {
                world.nodes[number].listens = true;
                world.nodes[number].heard = None;
                world.forget(number);
            }));
        }
        next
    }

    fn answers_wrongly(&self, world: &World, number: usize, session: usize) -> Option<&'static str> {
        let (node, row, owed) = (&world.nodes[number], world.rows[session], world.owed[number]);
        let mut server = world.servers[node.sees];
        let is_asked = server.is_up && (node.known == server.stamp || self.flaw == Flaw::NoStamp);
        let says_yes = |secret: u8, is_manager: bool| {
            if owed.ended[session] || row.epoch < owed.epoch || secret < owed.secrets[session] {
                Some(REVOKED)
            } else if owed.demoted && is_manager {
                Some(FORMER_ROLE)
            } else {
                None
            }
        };
        for secret in 0..=row.secret {
            let (min_position, is_past_limit) = (node.min_position, node.is_past_limit);
            let load = Script::Load { session, secret, min_position, is_past_limit };
            let mut token = world.last_token;
            let is_held = world.lives(session) && world.held[session] == Some(secret) && row.secret == secret;
            let found = match if is_asked { execute(&mut server, load, self.flaw, &mut token) } else { Reply::Done } {
                Reply::Yes(user) => says_yes(secret, user.is_manager),
                Reply::Ended if is_held => Some(SIGNED_OUT),
                _ => None,
            };
            if found.is_some() {
                return found;
            }
        }
        let known = node.memory[session].filter(|_| believes_memory(world, number, self.flaw))?;
        let ends = node.is_past_limit.then_some(PAST_LIMIT);
        match ends {
            Some(_) if self.flaw == Flaw::NoLimitInMemory => ends,
            Some(_) => None,
            None => says_yes(known.secret, known.is_manager),
        }
    }
}

fn lose_channel(node: &mut Node) {
    node.listens = false;
    node.inbox.clear();
}

/// What may happen to a Redis.
fn of_server(world: &World, number: usize) -> Vec<Next> {
    let server = &world.servers[number];
    let mut next = Vec::new();
    if number == 1 && !server.is_up {
        if world.budget.promotions > 0 {
            next.push(after(world, Label::Fault("a lagging replica is promoted: server", number), |world| {
                world.budget.promotions -= 1;
                world.is_whole = false;
                renew(world, number);
            }));
        }
        return next;
    }
    let mut fault = |what, change: &dyn Fn(&mut World)| next.push(after(world, Label::Fault(what, number), change));
    if world.budget.flushes > 0 && server.keys != Keys::default() {
        fault("everything is flushed: server", &|world| {
            world.budget.flushes -= 1;
            world.servers[number].keys = Keys::default();
        });
    }
    if world.budget.evictions > 0 && server.keys.user != UserKey::default() {
        fault("the user is evicted: server", &|world| {
            world.budget.evictions -= 1;
            world.servers[number].keys.user = UserKey::default();
        });
    }
    for session in 0..2 {
        if world.budget.evictions > 0 && server.keys.sessions[session] != SessionKey::default() {
            fault("a session is evicted: server", &|world| {
                world.budget.evictions -= 1;
                world.servers[number].keys.sessions[session] = SessionKey::default();
            });
        }
    }
    if world.budget.saves > 0 {
        fault("saves: server", &|world| {
            world.budget.saves -= 1;
            world.snapshot = Some(world.servers[number].keys);
        });
    }
    if world.budget.restarts > 0 {
        fault("restarts with what it saved: server", &|world| {
            world.budget.restarts -= 1;
            renew(world, number);
            world.nodes.iter_mut().filter(|node| node.sees == number).for_each(lose_channel);
        });
    }
    next
}

/// Another history, with what was saved.
fn renew(world: &mut World, number: usize) {
    world.last_stamp += 1;
    let keys = world.snapshot.unwrap_or_default();
    world.servers[number] = super::world::Server { is_up: true, stamp: world.last_stamp, keys };
}
