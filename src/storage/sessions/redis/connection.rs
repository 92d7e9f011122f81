//! The connection to a Redis, or to a cluster of them, and the line that replaces it where it leads nowhere any more.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisFuture, RedisResult,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::refusal::{Refusal, Remedy};
use crate::domain::UserId;
use crate::settings::RedisUrl;

const CONNECT: Duration = Duration::from_millis(300);
/// A Redis that doesn't answer within this is away.
const ANSWER: Duration = Duration::from_millis(400);
/// The cluster's client sends again by itself, within this.
const CLUSTER_ANSWER: Duration = Duration::from_millis(800);

/// Between two attempts, of a request or of the line.
pub const PAUSE: Duration = Duration::from_millis(100);
/// Between two attempts of the line that hurry nobody.
const LEISURE: Duration = Duration::from_secs(1);

/// How many hash slots a cluster has.
const SLOTS: u16 = 16384;

/// One connection at a time, shared by all, numbered. Whoever is refused throws away the one that was used and no later
/// one, so that it is replaced once, however many were refused on it.
pub struct Line {
    target: Target,
    state: Mutex<State>,
    /// Of those who need a connection, one makes it.
    opening: tokio::sync::Mutex<()>,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    /// When the last attempt to connect began.
    tried: Option<Instant>,
    number: u64,
    /// How the last attempt failed, and when.
    failed: Option<(Instant, Refusal)>,
}

/// The connection of a while.
#[derive(Clone)]
pub struct Link {
    number: u64,
    pub connection: Connection,
    /// Whom it leads to, where that was looked up by name.
    peer: Option<SocketAddr>,
}

/// What the log was told since Redis was last well.
struct Trouble {
    since: Instant,
    told: HashSet<String>,
}

impl Line {
    /// Connects for the first time.
    pub async fn open(url: &RedisUrl) -> Result<Self, Refusal> {
        let target = Target::of(url).map_err(|error| Refusal::of(&error))?;
        let line = Self { target, state: Mutex::default(), opening: Default::default(), trouble: Mutex::default() };
        line.link().await?;
        Ok(line)
    }

    /// The present connection. Where there is none it is made, the name resolved again; all who wait share the attempt.
    pub async fn link(&self) -> Result<Link, Refusal> {
        let present = || self.state().link.clone();
        if let Some(link) = present() {
            return Ok(link);
        }
        let asked = Instant::now();
        let _turn = self.opening.lock().await;
        if let Some(link) = present() {
            return Ok(link);
        }
        let (tried, failed) = {
            let state = self.state();
            (state.tried, state.failed.clone())
        };
        if let Some((at, refusal)) = failed
            && at >= asked
        {
            return Err(refusal);
        }
        if let Some(tried) = tried {
            tokio::time::sleep(PAUSE.saturating_sub(tried.elapsed())).await;
        }
        self.state().tried = Some(Instant::now());
        match self.target.connect().await {
            Ok((connection, peer)) => {
                let mut state = self.state();
                state.number += 1;
                let link = Link { number: state.number, connection, peer };
                state.link = Some(link.clone());
                Ok(link)
            }
            Err(error) => {
                let refusal = Refusal::of_attempt(&error);
                self.state().failed = Some((Instant::now(), refusal.clone()));
                self.tell(&refusal);
                Err(refusal)
            }
        }
    }

    /// A command was refused on this connection: does with it what [`Remedy`] says, and tells the log.
    pub fn refused(&self, link: &Link, refusal: &Refusal) {
        self.tell(refusal);
        match refusal.remedy {
            Remedy::ConnectAnew => self.replace(link),
            Remedy::Tell if self.state().tried.is_none_or(|tried| tried.elapsed() >= LEISURE) => self.replace(link),
            Remedy::Tell | Remedy::Wait => {}
        }
    }

    /// Runs a command as it is, once.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Refusal> {
        let link = self.link().await?;
        link.connection.query(command).await.map_err(|error| {
            let refusal = Refusal::of(&error);
            self.refused(&link, &refusal);
            refusal
        })
    }

    /// Whether the name leads elsewhere than the present connection does; where that can't be told, it doesn't.
    pub async fn leads_elsewhere(&self) -> Option<Link> {
        let link = self.state().link.clone()?;
        let (peer, (host, port)) = (link.peer?, self.target.name()?);
        let mut addresses = tokio::net::lookup_host((host, port)).await.ok()?;
        (!addresses.any(|address| address == peer)).then_some(link)
    }

    /// Throws this connection away, unless it is replaced already.
    pub fn replace(&self, link: &Link) {
        self.state().link.take_if(|present| present.number == link.number);
    }

    /// All that a request needs of Redis was tried, and went well.
    pub fn is_well(&self) {
        if let Some(trouble) = self.trouble().take() {
            let seconds = trouble.since.elapsed().as_secs_f64();
            tracing::info!(seconds = (seconds * 10.0).round() / 10.0, "Redis is back");
        }
    }

    /// Once for each sort, until all is well again.
    fn tell(&self, refusal: &Refusal) {
        let mut trouble = self.trouble();
        let trouble = trouble.get_or_insert_with(|| Trouble { since: Instant::now(), told: HashSet::new() });
        if trouble.told.insert(refusal.code.clone()) {
            let Refusal { code, said, advice, remedy } = refusal;
            tracing::warn!(code, said, advice, ?remedy, "Redis refuses or does not answer");
        }
    }

    /// Which server a user's keys are on: on a cluster the number of the slot, which has one server at a time.
    pub fn slot(&self, user: UserId) -> u16 {
        match self.target {
            Target::Single(..) => 0,
            Target::Cluster(_) => slot_of(&user.to_string()),
        }
    }

    pub fn is_cluster(&self) -> bool {
        matches!(self.target, Target::Cluster(_))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The slot of keys with that hash tag (Redis Cluster specification, "Hash tags").
pub fn slot_of(tag: &str) -> u16 {
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % SLOTS
}

#[derive(Clone)]
pub enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(connection) => command.query_async(&mut connection.clone()).await,
            Self::Cluster(cluster) => command.query_async(&mut cluster.clone()).await,
        }
    }
}

/// Where the line leads to.
enum Target {
    /// An address or a name, and who signs in there.
    Single(ConnectionAddr, RedisConnectionInfo),
    Cluster(Vec<SecretString>),
}

impl Target {
    fn of(url: &RedisUrl) -> RedisResult<Self> {
        Ok(match url {
            RedisUrl::Single(url) => {
                let info = url.expose_secret().into_connection_info()?;
                Self::Single(info.addr().clone(), info.redis_settings().clone())
            }
            RedisUrl::Cluster(nodes) => Self::Cluster(nodes.clone()),
        })
    }

    /// What is looked up to reach it.
    fn name(&self) -> Option<(&str, u16)> {
        match self {
            Self::Single(ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }, _) => {
                host.parse::<IpAddr>().is_err().then_some((host, *port))
            }
            _ => None,
        }
    }

    /// A connection on which commands can be given, and to whom it leads.
    async fn connect(&self) -> RedisResult<(Connection, Option<SocketAddr>)> {
        match self {
            Self::Single(address, who) => {
                let (connection, peer) = match self.name() {
                    // Whichever answers first, as the library does it; this way it is known which one that was.
                    Some(name) => {
                        let addresses = tokio::net::lookup_host(name).await?;
                        let attempts: Vec<_> = addresses.map(|peer| Box::pin(open(address, Some(peer)))).collect();
                        if attempts.is_empty() {
                            return Err(
                                std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address").into()
                            );
                        }
                        select_ok(attempts).await?.0
                    }
                    None => open(address, None).await?,
                };
                sign_in(&connection, who).await?;
                Ok((connection, peer))
            }
            Self::Cluster(nodes) => {
                let client = ClusterClient::builder(nodes.iter().map(|node| node.expose_secret()))
                    .connection_timeout(CONNECT)
                    .response_timeout(ANSWER)
                    .overall_response_timeout(Some(CLUSTER_ANSWER))
                    .retries(3)
                    .min_retry_wait(20)
                    .max_retry_wait(200)
                    .build()?;
                Ok((Connection::Cluster(client.get_async_connection().await?), None))
            }
        }
    }
}

async fn open(address: &ConnectionAddr, peer: Option<SocketAddr>) -> RedisResult<(Connection, Option<SocketAddr>)> {
    // The library reports no reason where it is refused at signing in, so that is done by `sign_in`.
    let nobody = RedisConnectionInfo::default().set_skip_set_lib_name();
    let info: ConnectionInfo = address.clone().into_connection_info()?.set_redis_settings(nobody);
    let mut config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
    if let Some(peer) = peer {
        config = config.set_dns_resolver(At(peer));
    }
    let connection = Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await?;
    Ok((Connection::Single(connection), peer))
}

async fn sign_in(connection: &Connection, who: &RedisConnectionInfo) -> RedisResult<()> {
    if let Some(password) = who.password() {
        let mut sign_in = redis::cmd("AUTH");
        sign_in.arg(who.username()).arg(password);
        connection.query::<()>(&sign_in).await?;
    }
    if who.db() != 0 {
        connection.query::<()>(redis::cmd("SELECT").arg(who.db())).await?;
    }
    Ok(())
}

/// A name that was looked up already.
struct At(SocketAddr);

impl AsyncDNSResolver for At {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _host: &'b str,
        _port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async { Ok(Box::new(std::iter::once(self.0)) as Box<dyn Iterator<Item = SocketAddr> + Send>) })
    }
}
