//! One connection to a Redis, or to a cluster of them, and the scripts that run there.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, ErrorKind, FromRedisValue, RedisError, RedisResult, Script, ServerErrorKind, Value};
use secrecy::ExposeSecret as _;

use crate::domain::{SessionId, UserId};
use crate::settings::RedisUrl;

const CONNECT: Duration = Duration::from_millis(300);
/// A Redis that doesn't answer within this is away.
const ANSWER: Duration = Duration::from_millis(400);
/// The cluster's client sends again by itself, within this.
const CLUSTER_ANSWER: Duration = Duration::from_millis(800);

/// How many hash slots a cluster has.
const SLOTS: u16 = 16384;

#[derive(Clone)]
pub enum Connection {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Connection {
    pub async fn open(url: &RedisUrl) -> RedisResult<Self> {
        match url {
            RedisUrl::Single(url) => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(CONNECT))
                    .set_response_timeout(Some(ANSWER))
                    .set_number_of_retries(1)
                    .set_max_delay(Duration::from_millis(100));
                let client = Client::open(url.expose_secret())?;
                Ok(Self::Single(ConnectionManager::new_with_config(client, config).await?))
            }
            RedisUrl::Cluster(nodes) => {
                let nodes: Vec<_> = nodes.iter().map(|node| node.expose_secret().to_owned()).collect();
                let client = ClusterClient::builder(nodes)
                    .connection_timeout(CONNECT)
                    .response_timeout(ANSWER)
                    .overall_response_timeout(Some(CLUSTER_ANSWER))
                    .retries(3)
                    .min_retry_wait(20)
                    .max_retry_wait(200)
                    .build()?;
                Ok(Self::Cluster(client.get_async_connection().await?))
            }
        }
    }

    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(manager) => command.query_async(&mut manager.clone()).await,
            Self::Cluster(cluster) => command.query_async(&mut cluster.clone()).await,
        }
    }

    /// Which server a user's keys are on: on a cluster the number of the slot, which has one server at a time.
    pub fn slot(&self, user: UserId) -> u16 {
        match self {
            Self::Single(_) => 0,
            Self::Cluster(_) => crc16::State::<crc16::XMODEM>::calculate(user.to_string().as_bytes()) % SLOTS,
        }
    }
}

/// What a script answers: the server's stamp, a word, and what belongs to it.
pub struct Reply {
    pub stamp: String,
    pub word: String,
    pub rest: Vec<Vec<u8>>,
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        let mut parts = Vec::<Vec<u8>>::from_redis_value(value)?.into_iter();
        let mut text = || parts.next().and_then(|part| String::from_utf8(part).ok());
        match (text(), text()) {
            (Some(stamp), Some(word)) => Ok(Self { stamp, word, rest: parts.collect() }),
            _ => Err("a script of ours answers with a stamp and a word".into()),
        }
    }
}

/// The scripts, each one operation, and the prefix of their keys. Every one bears a repeat: clients send again by
/// themselves.
pub struct Scripts {
    prefix: String,
    pub load: Named,
    pub lineage: Named,
    pub rotate: Named,
    pub install: Named,
    pub session_ended: Named,
    pub user_changed: Named,
    pub secret_changed: Named,
}

pub struct Named {
    source: String,
    hash: String,
}

impl Named {
    fn new(body: &str) -> Self {
        let source = format!("{}{body}", include_str!("../lua/prelude.lua"));
        Self { hash: Script::new(&source).get_hash().to_owned(), source }
    }
}

impl Scripts {
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            load: Named::new(concat!(include_str!("../lua/live.lua"), include_str!("../lua/load.lua"))),
            lineage: Named::new(concat!(include_str!("../lua/live.lua"), include_str!("../lua/lineage.lua"))),
            rotate: Named::new(concat!(include_str!("../lua/live.lua"), include_str!("../lua/rotate.lua"))),
            install: Named::new(include_str!("../lua/install.lua")),
            session_ended: Named::new(include_str!("../lua/session_ended.lua")),
            user_changed: Named::new(include_str!("../lua/user_changed.lua")),
            secret_changed: Named::new(include_str!("../lua/secret_changed.lua")),
        }
    }

    /// Runs a script on the keys of a session and its user. Where there is no session, only the user's key is touched.
    pub async fn run(
        &self,
        connection: &Connection,
        script: &Named,
        user: UserId,
        session: Option<SessionId>,
        arguments: &[Vec<u8>],
    ) -> RedisResult<Reply> {
        match self.evaluate(connection, "EVALSHA", &script.hash, user, session, arguments).await {
            // After a restart or SCRIPT FLUSH. EVAL goes by the keys to the right server, and leaves the script there.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.evaluate(connection, "EVAL", &script.source, user, session, arguments).await
            }
            // The connection manager fails one call for each connection that was dropped.
            Err(error) if error.is_connection_dropped() => {
                self.evaluate(connection, "EVAL", &script.source, user, session, arguments).await
            }
            answer => answer,
        }
    }

    async fn evaluate(
        &self,
        connection: &Connection,
        command: &str,
        script: &str,
        user: UserId,
        session: Option<SessionId>,
        arguments: &[Vec<u8>],
    ) -> RedisResult<Reply> {
        let session = session.map_or_else(|| "-".to_owned(), |session| session.to_string());
        let mut evaluate = redis::cmd(command);
        evaluate
            .arg(script)
            .arg(2)
            .arg(format!("{}:{{{user}}}:s:{session}", self.prefix))
            .arg(format!("{}:{{{user}}}:u", self.prefix));
        for argument in arguments {
            evaluate.arg(argument.as_slice());
        }
        connection.query(&evaluate).await
    }
}

/// Whether Redis answered that its memory is full: it is there, but can't take a mark.
pub fn is_out_of_memory(error: &RedisError) -> bool {
    error.code() == Some("OOM") || error.to_string().contains("OOM command not allowed")
}
