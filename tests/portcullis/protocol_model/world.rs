//! One account with two sessions, two nodes, two Redis servers, and what is under way.

/// What is left out of the protocol, to see that it is missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flaw {
    #[default]
    None,
    /// What a load read is installed whatever happened meanwhile.
    UpdateRevives,
    /// A session of an earlier epoch is as good as any.
    NoEpochCheck,
    /// A server that forgot, or remembers too much, is taken for the one that was known.
    NoStamp,
    /// Rows of the feed are read and not carried out.
    NoFeed,
    /// The feed is read from the highest id that was seen.
    FeedByPosition,
    /// Redis is told before SQL.
    ToldBeforeCommit,
    /// The memory is believed whether the node hears itself or not.
    NoChannelCheck,
    /// What a load was answered is remembered whatever was heard meanwhile.
    NoTicket,
    /// What is remembered has no limit.
    NoLimitInMemory,
    /// A node that comes to another server believes what lies there.
    NoMinimumPosition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct User {
    pub epoch: u8,
    pub is_manager: bool,
    pub is_active: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row {
    pub exists: bool,
    pub ended: bool,
    pub epoch: u8,
    pub secret: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserCopy {
    pub stamp: u8,
    pub position: u8,
    pub user: User,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionCopy {
    pub stamp: u8,
    pub position: u8,
    pub epoch: u8,
    pub secret: u8,
}

/// A number, and the stamp under which it was left.
pub type FillToken = Option<(u8, u8)>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserKey {
    pub token: FillToken,
    pub copy: Option<UserCopy>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionKey {
    pub tombstone: bool,
    pub token: FillToken,
    pub copy: Option<SessionCopy>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keys {
    pub user: UserKey,
    pub sessions: [SessionKey; 2],
}

/// A Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    pub is_up: bool,
    /// The id of its history.
    pub stamp: u8,
    pub keys: Keys,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    User,
    Ended(usize),
    Secret(usize),
}

/// A row of the feed; its place is its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FeedRow {
    pub change: Change,
    pub is_committed: bool,
}

/// What comes by the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    Changed,
    /// The node's own, said in that period.
    Beat(u8),
}

/// What a node remembers of a session that lived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Remembered {
    pub secret: u8,
    pub epoch: u8,
    pub is_manager: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    pub sees: usize,
    /// The stamp of the server that it has joined; 0: none.
    pub known: u8,
    pub min_position: u8,
    /// Rows of the feed below this were read.
    pub read_to: u8,
    pub memory: [Option<Remembered>; 2],
    pub listens: bool,
    pub inbox: Vec<Word>,
    /// In which period the beat was said that was heard last.
    pub heard: Option<u8>,
    /// By this node's clock the sessions' limit has passed.
    pub is_past_limit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// A request with that secret.
    Load(usize, u8),
    End(usize),
    EndAll,
    Suspend,
    Demote,
    /// The password is entered again: a new secret, and for a new password a new epoch.
    NewSecret {
        session: usize,
        password: bool,
    },
    SignIn(usize),
    ReadFeed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    Begin,
    /// A transaction that has the feed's row of that id and has not committed.
    Open(u8),
    /// Asks Redis, which may leave it to SQL.
    Ask,
    Read,
    Install,
    TakeAway,
    CarryOut,
    /// Has learned that the session lives.
    Remember,
    Done,
}

/// On the way to another server than the one that was known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Joining {
    pub stamp: u8,
    /// Once SQL was asked: the feed's position, and what its rows say.
    pub feed: Option<FeedReading>,
}

/// One reading of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FeedReading {
    pub position: u8,
    pub read_to: u8,
    pub todo: Vec<Change>,
    /// What is owed once this is carried out.
    pub owes: Owed,
}

/// What SQL said in one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    pub user: User,
    pub row: Row,
    pub position: u8,
}

/// Something that a node does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub node: usize,
    pub act: Act,
    pub stage: Stage,
    pub tokens: [FillToken; 2],
    pub reading: Option<Reading>,
    /// Once it is taken: whether what is learned may be remembered.
    pub ticket: Option<bool>,
    pub joins: Option<Joining>,
    pub feed: FeedReading,
    /// What is owed once this is acknowledged.
    pub owes: Owed,
}

impl Task {
    pub fn new(node: usize, act: Act) -> Self {
        let stage = if matches!(act, Act::Load(..)) { Stage::Ask } else { Stage::Begin };
        Self {
            node,
            act,
            stage,
            tokens: [None; 2],
            reading: None,
            ticket: None,
            joins: None,
            feed: FeedReading::default(),
            owes: Owed::default(),
        }
    }

    /// Done, and nothing remembered of it.
    pub fn finish(&mut self) {
        *self = Self { stage: Stage::Done, ..Self::new(self.node, self.act) };
    }
}

/// What a node must honour: it has acknowledged it, or had a second to read of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owed {
    pub ended: [bool; 2],
    pub epoch: u8,
    pub secrets: [u8; 2],
    pub demoted: bool,
}

impl Owed {
    pub fn and(&mut self, other: Self) {
        for session in 0..2 {
            self.ended[session] |= other.ended[session];
            self.secrets[session] = self.secrets[session].max(other.secrets[session]);
        }
        self.epoch = self.epoch.max(other.epoch);
        self.demoted |= other.demoted;
    }
}

/// How often each fault may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Budget {
    pub flushes: u8,
    pub evictions: u8,
    pub saves: u8,
    pub restarts: u8,
    pub promotions: u8,
    /// A node comes to see the other server.
    pub moves: u8,
    pub lost_answers: u8,
    pub late_scripts: u8,
    pub crashes: u8,
    pub reboots: u8,
    pub late_commits: u8,
    pub readings: [u8; 2],
    pub lost_channels: u8,
    /// After each, whoever heard nothing of itself since believes no memory.
    pub periods: u8,
    pub limits: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub user: User,
    pub rows: [Row; 2],
    pub feed: Vec<FeedRow>,
    pub servers: [Server; 2],
    pub snapshot: Option<Keys>,
    pub nodes: [Node; 2],
    pub tasks: Vec<Task>,
    /// Scripts that were given up and may be executed yet, with their server.
    pub late: Vec<(usize, super::scripts::Script)>,
    pub owed: [Owed; 2],
    /// What was acknowledged by anybody, and in time by word.
    pub acknowledged: Owed,
    /// Of the clients: the secret that each session's holds.
    pub held: [Option<u8>; 2],
    pub last_stamp: u8,
    pub last_token: u8,
    pub period: u8,
    /// Whether all nodes have always seen one server: else the channel tells not all.
    pub is_whole: bool,
    /// Whether nodes remember.
    pub remembers: bool,
    pub budget: Budget,
}

impl World {
    /// A warm copy of the first session, which both nodes believe.
    pub fn new(acts: &[(usize, Act)], remembers: bool, budget: Budget) -> Self {
        let user = User { epoch: 1, is_manager: true, is_active: true };
        let session = SessionCopy { stamp: 1, position: 0, epoch: 1, secret: 0 };
        let mut keys = Keys::default();
        keys.user.copy = Some(UserCopy { stamp: 1, position: 0, user });
        keys.sessions[0].copy = Some(session);
        let heard = remembers.then_some(0);
        let node = Node {
            sees: 0,
            known: 1,
            min_position: 0,
            read_to: 0,
            memory: [None; 2],
            listens: remembers,
            inbox: Vec::new(),
            heard,
            is_past_limit: false,
        };
        Self {
            user,
            rows: [Row { exists: true, epoch: 1, ..Row::default() }, Row::default()],
            feed: Vec::new(),
            servers: [Server { is_up: true, stamp: 1, keys }, Server { is_up: false, stamp: 1, keys: Keys::default() }],
            snapshot: Some(keys),
            nodes: [node.clone(), node],
            tasks: acts.iter().map(|(node, act)| Task::new(*node, *act)).collect(),
            late: Vec::new(),
            owed: [Owed::default(); 2],
            acknowledged: Owed::default(),
            held: [Some(0), None],
            last_stamp: 1,
            last_token: 0,
            period: 0,
            is_whole: true,
            remembers,
            budget,
        }
    }

    pub fn lives(&self, session: usize) -> bool {
        let row = self.rows[session];
        row.exists && !row.ended && row.epoch == self.user.epoch && self.user.is_active
    }

    /// All that SQL has by now.
    pub fn truth(&self) -> Owed {
        Owed {
            ended: self.rows.map(|row| row.ended),
            epoch: self.user.epoch,
            secrets: self.rows.map(|row| row.secret),
            demoted: !self.user.is_manager,
        }
    }

    /// The feed's present position: one more than the highest id that is seen.
    pub fn position(&self) -> u8 {
        self.feed.iter().rposition(|row| row.is_committed).map_or(0, |id| id as u8 + 1)
    }

    /// The lowest id that has not been seen yet.
    pub fn complete_until(&self) -> u8 {
        self.feed.iter().position(|row| !row.is_committed).unwrap_or(self.feed.len()) as u8
    }

    /// What is remembered of the account counts no more.
    pub fn forget(&mut self, node: usize) {
        self.nodes[node].memory = [None; 2];
        let theirs = self.tasks.iter_mut().filter(|task| task.node == node && task.ticket.is_some());
        theirs.for_each(|task| task.ticket = Some(false));
    }

    /// One name for states that differ in names alone.
    pub fn simplify(&mut self) {
        self.tasks.retain(|task| task.stage != Stage::Done || task.act != Act::ReadFeed);
        if self.budget.restarts == 0 && self.budget.promotions == 0 {
            self.snapshot = None;
        }
        let mut names = Vec::new();
        let mut rename = |token: &mut FillToken| {
            if let Some((number, _)) = token {
                let place = names.iter().position(|name| name == number).unwrap_or_else(|| {
                    names.push(*number);
                    names.len() - 1
                });
                *number = place as u8 + 1;
            }
        };
        let of_servers = self.servers.iter_mut().map(|server| &mut server.keys).chain(self.snapshot.iter_mut());
        for keys in of_servers {
            rename(&mut keys.user.token);
            keys.sessions.iter_mut().for_each(|key| rename(&mut key.token));
        }
        self.tasks.iter_mut().for_each(|task| task.tokens.iter_mut().for_each(&mut rename));
        self.late.iter_mut().for_each(|(_, script)| script.tokens().into_iter().for_each(&mut rename));
        self.last_token = names.len() as u8;
    }
}
