//! What nodes do, one step after the other, by the rules that stand at the head of `src/storage/sessions/redis/mod.rs`.

use super::explore::Step;
use super::scripts::{Reply, Script, execute};
use super::world::{
    Act, Change, FeedReading, FeedRow, Flaw, Joining, Owed, Reading, Remembered, Row, Stage, Word, World,
};

pub type Next = Step<World, Label>;

/// What happens, and where.
#[derive(Clone, Copy)]
pub enum Label {
    Node(usize, Act, &'static str),
    Fault(&'static str, usize),
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Node(node, act, does) => write!(f, "{act:?} on node {node} {does}"),
            Self::Fault(what, number) => write!(f, "{what} {number}"),
        }
    }
}

/// Every step of a task that is under way.
pub fn of_task(world: &World, place: usize, flaw: Flaw) -> Vec<Next> {
    let task = &world.tasks[place];
    if task.stage == Stage::Done {
        return Vec::new();
    }
    let mut next = Vec::new();
    if task.joins.is_some() {
        next.extend(join(world, place, flaw));
    } else if let Some(script) = script_of(world, place, flaw) {
        next.extend(ask_redis(world, place, script, flaw));
    } else {
        next.extend(ask_sql(world, place, flaw));
    }
    if world.budget.crashes > 0 && !matches!(task.stage, Stage::Begin | Stage::Ask) {
        next.push(after(world, label(world, place, "dies"), |world| {
            world.budget.crashes -= 1;
            world.tasks[place].finish();
        }));
    }
    next
}

pub fn after(world: &World, label: Label, change: impl FnOnce(&mut World)) -> Next {
    let mut state = world.clone();
    change(&mut state);
    Step { label, state, broken: None }
}

fn label(world: &World, place: usize, does: &'static str) -> Label {
    Label::Node(world.tasks[place].node, world.tasks[place].act, does)
}

/// Whether the node believes what it remembers.
pub fn believes_memory(world: &World, node: usize, flaw: Flaw) -> bool {
    world.remembers && (world.nodes[node].heard == Some(world.period) || flaw == Flaw::NoChannelCheck)
}

/// What a task asks Redis next, unless it is SQL's turn.
fn script_of(world: &World, place: usize, flaw: Flaw) -> Option<Script> {
    let task = &world.tasks[place];
    let node = &world.nodes[task.node];
    match (task.act, task.stage) {
        (Act::Load(session, secret), Stage::Ask) => {
            let (min_position, is_past_limit) = (node.min_position, node.is_past_limit);
            Some(Script::Load { session, secret, min_position, is_past_limit })
        }
        (Act::Load(session, _), Stage::Install) => {
            let (stamp, reading) = (node.known, task.reading?);
            Some(Script::Install { session, stamp, tokens: task.tokens, reading })
        }
        (Act::ReadFeed, Stage::CarryOut) => task.feed.todo.first().map(|change| Script::TakeAway(*change)),
        (act, Stage::TakeAway) => Some(Script::TakeAway(change_of(act)?)),
        (act, Stage::Begin) if flaw == Flaw::ToldBeforeCommit && task.reading.is_none() => {
            change_of(act).map(Script::TakeAway)
        }
        _ => None,
    }
}

/// What a writer tells.
fn change_of(act: Act) -> Option<Change> {
    match act {
        Act::End(session) => Some(Change::Ended(session)),
        Act::EndAll | Act::Suspend | Act::Demote => Some(Change::User),
        Act::NewSecret { session, .. } => Some(Change::Secret(session)),
        Act::Load(..) | Act::SignIn(_) | Act::ReadFeed => None,
    }
}

/// The script is executed and answers; its answer is lost; or it is given up, and is executed later.
fn ask_redis(world: &World, place: usize, script: Script, flaw: Flaw) -> Vec<Next> {
    let (node, by_writer) = (world.tasks[place].node, change_of(world.tasks[place].act).is_some());
    let sees = world.nodes[node].sees;
    let mut next = Vec::new();
    if !world.servers[sees].is_up {
        return vec![after(world, label(world, place, "reaches no Redis"), |world| given_up(world, place))];
    }
    next.push(after(world, label(world, place, "asks Redis"), |world| {
        let ticket = believes_memory(world, node, flaw);
        world.tasks[place].ticket.get_or_insert(ticket);
        let reply = on_server(world, sees, script, by_writer, flaw);
        answered(world, place, reply, flaw);
    }));
    if matches!(script, Script::Load { .. }) {
        return next;
    }
    if world.budget.lost_answers > 0 {
        next.push(after(world, label(world, place, "asks Redis, whose answer is lost"), |world| {
            world.budget.lost_answers -= 1;
            on_server(world, sees, script, by_writer, flaw);
            given_up(world, place);
        }));
    }
    if world.budget.late_scripts > 0 {
        next.push(after(world, label(world, place, "asks Redis, which will do it later"), |world| {
            world.budget.late_scripts -= 1;
            world.late.push((sees, script));
            given_up(world, place);
        }));
        next.push(after(world, label(world, place, "asks Redis, which will do it once more"), |world| {
            world.budget.late_scripts -= 1;
            world.late.push((sees, script));
            let reply = on_server(world, sees, script, by_writer, flaw);
            answered(world, place, reply, flaw);
        }));
    }
    next
}

/// Executes a script; a writer's is told to all who listen.
pub fn on_server(world: &mut World, server: usize, script: Script, tells: bool, flaw: Flaw) -> Reply {
    let reply = execute(&mut world.servers[server], script, flaw, &mut world.last_token);
    if tells {
        for node in world.nodes.iter_mut().filter(|node| node.sees == server && node.listens) {
            if node.inbox.last() != Some(&Word::Changed) {
                node.inbox.push(Word::Changed);
            }
        }
    }
    reply
}

/// 503: of a writer SQL has it all the same.
fn given_up(world: &mut World, place: usize) {
    let node = world.tasks[place].node;
    if change_of(world.tasks[place].act).is_some() {
        world.forget(node);
    }
    world.tasks[place].finish();
}

fn answered(world: &mut World, place: usize, reply: Reply, flaw: Flaw) {
    let node = world.tasks[place].node;
    let stamp = world.servers[world.nodes[node].sees].stamp;
    let act = world.tasks[place].act;
    if world.nodes[node].known != stamp && flaw != Flaw::NoStamp {
        if act == Act::ReadFeed {
            // Whoever asks there joins it first.
            world.nodes[node].known = 0;
            world.forget(node);
        } else {
            world.tasks[place].joins = Some(Joining { stamp, feed: None });
            return;
        }
    }
    let task = &mut world.tasks[place];
    match (task.stage, reply) {
        (Stage::Ask, Reply::Yes(user)) => {
            let Act::Load(session, secret) = act else { return };
            let row = Row { secret, epoch: user.epoch, ..world.rows[session] };
            task.reading = Some(Reading { user, row, position: 0 });
            remember_next(world, place);
        }
        (Stage::Ask, Reply::Ask(tokens)) => {
            task.tokens = tokens;
            task.stage = Stage::Read;
        }
        (Stage::Install, _) => remember_next(world, place),
        (Stage::TakeAway, _) => {
            world.forget(node);
            acknowledge(world, place);
        }
        (Stage::CarryOut, _) => {
            task.feed.todo.remove(0);
            world.forget(node);
        }
        // Told before its commit.
        (Stage::Begin, _) => task.stage = Stage::Read,
        _ => task.finish(),
    }
}

fn remember_next(world: &mut World, place: usize) {
    if world.remembers {
        world.tasks[place].stage = Stage::Remember;
    } else {
        world.tasks[place].finish();
    }
}

fn acknowledge(world: &mut World, place: usize) {
    let (node, act, owes) = (world.tasks[place].node, world.tasks[place].act, world.tasks[place].owes);
    world.owed[node].and(owes);
    world.acknowledged.and(owes);
    if let Act::NewSecret { session, .. } = act {
        world.held[session] = Some(owes.secrets[session]);
    }
    world.tasks[place].finish();
}

/// First SQL says the feed's position and what it has, then that is carried out there; then the server is known.
fn join(world: &World, place: usize, flaw: Flaw) -> Vec<Next> {
    let node = world.tasks[place].node;
    let Some(joining) = world.tasks[place].joins.clone() else { return Vec::new() };
    let Some(feed) = joining.feed else {
        return vec![after(world, label(world, place, "reads the feed to join"), |world| {
            let feed = Some(read_feed(world, node, flaw));
            world.tasks[place].joins = Some(Joining { feed, ..joining });
        })];
    };
    vec![after(world, label(world, place, "joins"), |world| {
        world.tasks[place].joins = None;
        let sees = world.nodes[node].sees;
        if world.servers[sees].stamp != joining.stamp {
            return;
        }
        for change in &feed.todo {
            on_server(world, sees, Script::TakeAway(*change), false, flaw);
        }
        complete(world, node, &feed);
        world.forget(node);
        let min_position = if flaw == Flaw::NoMinimumPosition { 0 } else { feed.position };
        world.nodes[node].known = joining.stamp;
        world.nodes[node].min_position = min_position;
    })]
}

fn read_feed(world: &World, node: usize, flaw: Flaw) -> FeedReading {
    let from = usize::from(world.nodes[node].read_to).min(world.feed.len());
    let rows = world.feed[from..].iter().filter(|row| row.is_committed && flaw != Flaw::NoFeed);
    let read_to = if flaw == Flaw::FeedByPosition { world.position() } else { world.complete_until() };
    FeedReading { position: world.position(), read_to, todo: rows.map(|row| row.change).collect(), owes: world.truth() }
}

fn complete(world: &mut World, node: usize, feed: &FeedReading) {
    let read_to = &mut world.nodes[node].read_to;
    *read_to = feed.read_to.max(*read_to);
    world.owed[node].and(feed.owes);
}

fn ask_sql(world: &World, place: usize, flaw: Flaw) -> Vec<Next> {
    let task = &world.tasks[place];
    let (node, act) = (task.node, task.act);
    let step = |does, change: &dyn Fn(&mut World)| after(world, label(world, place, does), change);
    match (act, task.stage) {
        (Act::Load(session, secret), Stage::Read) => {
            let (user, row, position) = (world.user, world.rows[session], world.position());
            let lives = world.lives(session) && row.secret == secret && !world.nodes[node].is_past_limit;
            vec![step("reads SQL", &|world| {
                world.tasks[place].reading = Some(Reading { user, row, position });
                world.tasks[place].stage = Stage::Install;
                if !lives {
                    world.tasks[place].finish();
                }
            })]
        }
        (Act::Load(session, _), Stage::Remember) => vec![step("remembers", &|world| {
            let Some(Reading { user, row, .. }) = world.tasks[place].reading else { return };
            if world.tasks[place].ticket == Some(true) || flaw == Flaw::NoTicket {
                let remembered = Remembered { secret: row.secret, epoch: row.epoch, is_manager: user.is_manager };
                world.nodes[node].memory[session] = Some(remembered);
            }
            world.tasks[place].finish();
        })],
        (Act::SignIn(_), Stage::Begin) => vec![step("reads the account", &|world| {
            world.tasks[place].reading = Some(Reading { user: world.user, row: Row::default(), position: 0 });
            world.tasks[place].stage = Stage::Read;
        })],
        (Act::SignIn(session), Stage::Read) => vec![step("opens the session, or was overtaken", &|world| {
            let epoch = world.tasks[place].reading.map(|reading| reading.user.epoch);
            if world.user.is_active && epoch == Some(world.user.epoch) {
                world.rows[session] = Row { exists: true, epoch: world.user.epoch, ..Row::default() };
                world.held[session] = Some(0);
            }
            world.tasks[place].finish();
        })],
        (Act::ReadFeed, Stage::Begin) => vec![step("reads the feed", &|world| {
            world.tasks[place].feed = read_feed(world, node, flaw);
            world.tasks[place].stage = Stage::CarryOut;
        })],
        (Act::ReadFeed, Stage::CarryOut) => vec![step("has read the feed", &|world| {
            let feed = world.tasks[place].feed.clone();
            complete(world, node, &feed);
            world.tasks[place].finish();
        })],
        (_, Stage::Begin | Stage::Read) => write(world, place, flaw),
        (_, Stage::Open(id)) => vec![step("commits late", &|world| commit(world, place, id, flaw))],
        _ => Vec::new(),
    }
}

/// A writer's transaction: at once, or with a commit that comes after others of later rows.
fn write(world: &World, place: usize, flaw: Flaw) -> Vec<Next> {
    let act = world.tasks[place].act;
    let Some(change) = change_of(act) else { return Vec::new() };
    let is_there = match act {
        Act::End(session) => world.rows[session].exists,
        Act::NewSecret { session, .. } => world.lives(session),
        _ => true,
    };
    if !is_there {
        return Vec::new();
    }
    let id = world.feed.len() as u8;
    let row = FeedRow { change, is_committed: false };
    let mut next = vec![after(world, label(world, place, "commits"), |world| {
        world.feed.push(row);
        commit(world, place, id, flaw);
    })];
    // Of the account, one transaction at a time: only the end of a session may be late.
    if world.budget.late_commits > 0 && matches!(act, Act::End(_)) {
        next.push(after(world, label(world, place, "has written and not committed"), |world| {
            world.budget.late_commits -= 1;
            world.feed.push(row);
            world.tasks[place].stage = Stage::Open(id);
        }));
    }
    next
}

fn commit(world: &mut World, place: usize, id: u8, flaw: Flaw) {
    world.feed[usize::from(id)].is_committed = true;
    let mut owes = Owed::default();
    match world.tasks[place].act {
        Act::End(session) => {
            world.rows[session].ended = true;
            owes.ended[session] = true;
        }
        Act::Demote => {
            world.user.is_manager = false;
            owes.demoted = true;
        }
        Act::NewSecret { session, password } => {
            world.user.epoch += u8::from(password);
            let row = &mut world.rows[session];
            row.secret += 1;
            row.epoch = world.user.epoch;
            owes.secrets[session] = row.secret;
            owes.epoch = if password { world.user.epoch } else { 0 };
        }
        Act::EndAll | Act::Suspend => {
            world.user.epoch += 1;
            world.user.is_active = world.tasks[place].act == Act::EndAll;
            world.rows.iter_mut().filter(|row| row.exists).for_each(|row| row.ended = true);
            owes.epoch = world.user.epoch;
        }
        Act::Load(..) | Act::SignIn(_) | Act::ReadFeed => {}
    }
    world.tasks[place].owes = owes;
    world.tasks[place].stage = Stage::TakeAway;
    if flaw == Flaw::ToldBeforeCommit {
        acknowledge(world, place);
    }
}
