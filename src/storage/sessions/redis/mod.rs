//! Sessions with Redis: a request asks a copy, in one script on one node, and SQL stays the truth. What a node was answered
//! it [remembers](super::memory), while it hears of every change ([`channel`]).
//!
//! Seven rules keep a copy from ever saying more than SQL, whatever Redis loses or gets back:
//!
//! 1. Redis says "yes" or "ended", nothing else. Yes: both copies are believed (5), secret and epochs are equal, the
//!    account is active, no limit has passed. Ended: a tombstone, written only after SQL's commit. In every other case
//!    SQL is asked, and its answer is the answer. A Redis that doesn't answer in time is not such a case: that is 503.
//! 2. Only a load creates copies. A load that can't say yes leaves a random fill token in both keys, or shares the one
//!    that stands, reads SQL, and installs each key only where its fill token still stands.
//! 3. Writers only take away: a SQL transaction with its feed rows first, then one script. That removes fill tokens
//!    too. Whoever takes away from everyone waits for (6) instead.
//! 4. Signing in is one SQL transaction; the first load makes the copy.
//! 5. A copy is believed if it carries the server's replication id and a feed position not below this node's minimum
//!    position. Every script answers with the replication id. If that is not the one which this node knew, the node
//!    discards the answer, sets its minimum position to the feed's present position, reads the feed once, and repeats
//!    the step.
//! 6. Each node keeps reading the feed and does for each row what the writer's script does, on the Redis that it sees.
//!    A node without a complete reading for more than a second believes no copy. For a row that is about everyone it
//!    raises its minimum position to the row's position, which no copy from before has.
//! 7. A refused install is no error: another's is as good. A rotation ends nothing by itself ([`super::rotation`]).
//!
//! Where Redis refuses a script or does not answer, [`refusal`] says what is done about it, and the [`mod@line`] does
//! that: a server whose name leads elsewhere by now is left. No replica is believed, for each script refuses to run on
//! one.

mod activity;
mod channel;
mod connection;
mod copy;
mod feed;
mod limit;
mod line;
mod readiness;
mod refusal;
mod rotation;
mod scripts;
mod server_check;
mod servers;
mod value;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use self::activity::Activity;
use self::channel::Channel;
use self::copy::Told;
use self::line::Line;
pub use self::readiness::try_out;
use self::refusal::Refusal;
use self::scripts::{Named, Reply, Scripts};
pub use self::server_check::OpenError;
use self::server_check::check_server;
use self::servers::{Server, Servers};
use self::value::Value as _;
use super::super::Database;
use super::memory::{Memory, Remembered};
use super::snapshot::{self, Snapshot};
use super::{ACTIVITY_LAG, Caches, Change, TOUCH_INTERVAL, rows};
use crate::domain::error::Dependency;
use crate::domain::keys::SecretHash;
use crate::domain::session::LiveSession;
use crate::domain::{Error, SessionId, Timestamp, UserId};
use crate::settings::RedisUrl;
use crate::storage::Result;
use crate::telemetry::metrics::{Counter, Durations};

/// Longer than any run of unlucky but proper repeats; each is one change of the server under us.
const ATTEMPTS: usize = 4;
/// All that a request may spend on Redis, so that 503 comes within a second.
const PATIENCE: Duration = Duration::from_millis(850);

/// Cheap to clone.
#[derive(Clone)]
pub struct RedisSessions(Arc<Inner>);

struct Inner {
    database: Database,
    line: Arc<Line>,
    scripts: Scripts,
    servers: Servers,
    /// One task of this node joins a server at a time.
    joining: tokio::sync::Mutex<()>,
    feed: feed::Progress,
    activity: Activity,
    channel: Channel,
    caches: Caches,
    errors: Counter,
    late: limit::Late,
}

/// What a load's script said.
enum Answer {
    Yes {
        session: Remembered,
        touched: bool,
    },
    Ended,
    /// Ask SQL. With the fill tokens that an install needs, where they could be left.
    Ask(Option<FillTokens>),
}

struct FillTokens {
    replication_id: String,
    session: Vec<u8>,
    user: Vec<u8>,
}

impl RedisSessions {
    /// Connects, and proves that scripts can do what the protocol needs.
    pub async fn open(url: &RedisUrl, prefix: &str, database: Database) -> std::result::Result<Self, OpenError> {
        let line = Line::open(url).await.map_err(OpenError::Refused)?;
        check_server(&line).await?;
        let scripts = Scripts::new(prefix);
        let store = Self(Arc::new(Inner {
            database,
            line,
            channel: Channel::new(&scripts),
            scripts,
            servers: Servers::default(),
            joining: tokio::sync::Mutex::default(),
            feed: feed::Progress::default(),
            activity: Activity::default(),
            caches: Caches::default(),
            errors: Counter::default(),
            late: limit::Late::default(),
        }));
        Ok(store)
    }

    /// The session, if it lives at `now` and this is its present secret (or the caller needs none).
    pub async fn load(
        &self,
        user: UserId,
        session: SessionId,
        secret: Option<SecretHash>,
        now: Timestamp,
    ) -> Result<Option<LiveSession>> {
        let memory = self.memory();
        let known = memory.and_then(|memory| memory.session(user, session, secret, now));
        self.0.caches.sessions.count(known.is_some());
        if known.is_some() {
            return Ok(known);
        }
        let ticket = memory.map(|memory| memory.ticket(user));
        let remember = |found: Remembered| {
            if let Some((memory, ticket)) = memory.zip(ticket) {
                memory.remember_session(ticket, found);
            }
        };
        let answer = self.ask(user, session, secret, now).await?;
        self.0.caches.copies.count(!matches!(answer, Answer::Ask(_)));
        let fill_tokens = match answer {
            Answer::Yes { session: found, touched } => {
                if touched {
                    self.0.activity.note(session, now, None);
                }
                let live = found.live;
                remember(found);
                return Ok(Some(live));
            }
            Answer::Ended => return Ok(None),
            Answer::Ask(fill_tokens) => fill_tokens,
        };
        let database = &self.0.database;
        let found = database.read(move |connection| snapshot::read(connection, user, session)).await?;
        let Some(found) = found.filter(|found| found.is_live(now, ACTIVITY_LAG)) else { return Ok(None) };
        if !found.admits(secret) {
            return Ok(None);
        }
        if found.session.is_unclaimed() {
            // Not in the next batch alone, before which this node may die: then the session would end. Without a copy the
            // next request tries it again.
            let at = found.session.claim_at(now);
            if !rows::touch_soon(database, session, at).await {
                self.0.activity.note(session, at, None);
                return Ok(Some(found.view()));
            }
        } else {
            self.0.activity.note(session, now, None);
        }
        if let Some(fill_tokens) = fill_tokens {
            self.install(&found, &fill_tokens, now).await;
        }
        remember(Remembered { last_active_at: now, ..Remembered::of(&found) });
        Ok(Some(found.view()))
    }

    /// Rule 3, second half. Stops at the first failure: the feed does the rest.
    pub async fn invalidate(&self, changes: &[Change]) -> Result<()> {
        let taken_away = self.take_away(changes).await;
        // After it: what was read again from a copy before that is forgotten too.
        changes.iter().for_each(|change| self.any_memory().forget(change));
        taken_away
    }

    async fn take_away(&self, changes: &[Change]) -> Result<()> {
        // On a cluster nobody listens.
        let tell = if self.0.line.is_cluster() { Vec::new() } else { vec![b"1".to_vec()] };
        for change in changes {
            match self.0.script_of(change) {
                Some((script, user, session)) => drop(self.call(script, user, session, |_| tell.clone()).await?),
                // Whatever has happened to the others by then: they have read the row, or they believe nothing.
                None => tokio::time::sleep(feed::STALE).await,
            }
        }
        Ok(())
    }

    /// What this process remembers, where it has been told of all changes: both ways, for each of them knows of some that
    /// the other doesn't.
    pub(super) fn memory(&self) -> Option<&Memory> {
        self.0.channel.memory().filter(|_| self.0.feed.is_fresh())
    }

    pub(super) fn any_memory(&self) -> &Memory {
        self.0.channel.any_memory()
    }

    /// Something that no copy has is different now.
    pub(super) fn account_changed(&self, user: UserId) {
        self.any_memory().forget_account(user);
        // Nobody waits for it: whoever signs in needs no Redis, and a name that nobody has takes no longer than another.
        let store = self.clone();
        tokio::spawn(async move { store.0.channel.say_changed(&store.0.line, user).await });
    }

    /// Hears of changes for as long as the process lives.
    pub async fn follow_channel(&self) {
        // A cluster has no connection that hears of all of it.
        if !self.0.line.is_cluster() {
            self.0.channel.follow(&self.0.line).await;
        }
    }

    pub(super) fn caches(&self) -> &Caches {
        &self.0.caches
    }

    /// How often Redis failed, each time once: an operation of a request, a reading of the feed, a try-out. A look-up that
    /// its full memory refused is none, for SQL has answered that.
    pub fn errors(&self) -> &Counter {
        &self.0.errors
    }

    /// How long it took from the moment when somebody changed something until this node had carried it out.
    pub fn revocation_lag(&self) -> &Durations {
        &self.0.feed.lag
    }

    /// Since when this node has not read the feed: copies are believed for a second of it.
    pub fn feed_age(&self) -> Duration {
        self.0.feed.age()
    }

    /// What to say where Redis may forget what it was told: sessions are read again from SQL, limits are not.
    pub async fn eviction_warning(&self) -> Option<String> {
        readiness::eviction_warning(&self.0.line).await
    }

    /// Writes to SQL what was seen active since the last time.
    pub async fn flush_activity(&self) -> Result<()> {
        self.0.activity.flush(&self.0.database).await
    }

    async fn ask(
        &self,
        user: UserId,
        session: SessionId,
        secret: Option<SecretHash>,
        now: Timestamp,
    ) -> Result<Answer> {
        let fill_token: [u8; 16] = rand::random();
        let answer = self
            .attempt(&self.0.scripts.load, user, Some(session), |min_position| {
                vec![
                    now.write(),
                    secret.map_or_else(Vec::new, |secret| secret.0.to_vec()),
                    min_position.write(),
                    fill_token.to_vec(),
                    TOUCH_INTERVAL.write(),
                ]
            })
            .await;
        match answer {
            Ok(reply) => read_answer(reply, user, session, secret).map_err(Error::internal),
            Err(Error::Unavailable(_, cause)) if cause.downcast_ref().is_some_and(Refusal::is_out_of_memory) => {
                Ok(Answer::Ask(None))
            }
            Err(error) => self.0.counted(Err(error)),
        }
    }

    async fn install(&self, found: &Snapshot, fill_tokens: &FillTokens, now: Timestamp) {
        let session = &found.session;
        let ttl = session.idle.min(session.absolute_limit - now) + TimeDelta::minutes(1);
        let (of_session, of_user) = (copy::of_session(found, now), copy::of_user(found));
        let mut arguments = vec![
            fill_tokens.replication_id.clone().into_bytes(),
            fill_tokens.session.clone(),
            fill_tokens.user.clone(),
            ttl.write(),
            (of_session.len() as i64 * 2).write(),
        ];
        for (name, value) in of_session.into_iter().chain(of_user) {
            arguments.push(name.into());
            arguments.push(value);
        }
        let script = &self.0.scripts.install;
        if let Err(error) = self.call(script, session.user_id, Some(session.id), |_| arguments.clone()).await {
            tracing::debug!(%error, "a copy was not installed; the next request reads SQL again");
        }
    }

    /// Runs a script on a server whose history this node knows: rule 5. `arguments` get the minimum position.
    async fn call(
        &self,
        script: &Named,
        user: UserId,
        session: Option<SessionId>,
        arguments: impl Fn(i64) -> Vec<Vec<u8>>,
    ) -> Result<Reply> {
        self.0.counted(self.attempt(script, user, session, arguments).await)
    }

    /// The same, where the caller counts what fails.
    async fn attempt(
        &self,
        script: &Named,
        user: UserId,
        session: Option<SessionId>,
        arguments: impl Fn(i64) -> Vec<Vec<u8>>,
    ) -> Result<Reply> {
        let (slot, keys) = (self.0.line.slot(user), self.0.scripts.keys(user, session));
        let attempts = async {
            for _ in 0..ATTEMPTS {
                // In this order: a reading raises minimum positions before it makes the feed fresh.
                let fresh = self.0.feed.is_fresh();
                let known = self.0.servers.get(slot);
                let min_position = known.as_ref().filter(|_| fresh).map_or(i64::MAX, |server| server.min_position);
                let reply = self.0.scripts.run(&self.0.line, script, &keys, &arguments(min_position)).await?;
                // Not "known by now": another task may have joined it meanwhile, and this answer went by a lower
                // minimum position.
                if known.is_some_and(|server| server.replication_id == reply.replication_id) {
                    return Ok(reply);
                }
                self.join(slot, reply.replication_id).await?;
            }
            Err(Error::redis("the server changes faster than it can be joined"))
        };
        tokio::time::timeout(PATIENCE, attempts).await.unwrap_or_else(|_| Err(Refusal::late().into()))
    }

    /// Another history than the one that this node knew: what was believed before is not any more.
    async fn join(&self, slot: u16, replication_id: String) -> Result<()> {
        let _turn = self.0.joining.lock().await;
        if self.0.servers.knows(slot, &replication_id) {
            return Ok(());
        }
        let min_position = self.0.database.read(super::changes::position).await?;
        tracing::info!(slot, replication_id, min_position, "joined a Redis server");
        let server = Server { replication_id, min_position };
        // Before anybody believes a copy there: a row that committed late may be below the minimum position of a copy
        // without it.
        self.read_feed_on(Some((slot, &server))).await?;
        self.0.servers.join(slot, server);
        self.any_memory().forget_everyone();
        Ok(())
    }
}

impl Inner {
    /// For whoever asked Redis, and not for the steps of that: what failed is counted once.
    fn counted<T>(&self, done: Result<T>) -> Result<T> {
        if let Err(Error::Unavailable(Dependency::Redis, _)) = &done {
            self.errors.inc();
        }
        done
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::redis(refusal)
    }
}

impl FillTokens {
    fn read(reply: Reply) -> std::result::Result<Self, String> {
        let mut told = Told::of(reply.rest);
        Ok(Self { replication_id: reply.replication_id, session: told.take("session")?, user: told.take("user")? })
    }
}

fn read_answer(
    reply: Reply,
    user: UserId,
    session: SessionId,
    secret: Option<SecretHash>,
) -> std::result::Result<Answer, String> {
    match reply.word.as_str() {
        "ended" => Ok(Answer::Ended),
        "ask" => Ok(Answer::Ask(Some(FillTokens::read(reply)?))),
        "yes" => {
            let mut told = Told::of(reply.rest);
            let touched = told.take("touched")? == b"1";
            Ok(Answer::Yes { session: told.remembered(user, session, secret)?, touched })
        }
        _ => Err("an unknown word in a load's answer".to_owned()),
    }
}
