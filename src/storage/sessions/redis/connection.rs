//! A connection to a Redis, or to a cluster of them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::{MultiplexedConnection, PubSubStream};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _,
    RedisConnectionInfo, RedisError, RedisFuture, RedisResult, TlsCertificates,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::refusal::Refusal;
use crate::settings::RedisUrl;

const CONNECT: Duration = Duration::from_millis(300);
/// A Redis that doesn't answer within this is away.
const ANSWER: Duration = Duration::from_millis(400);
/// The cluster's client sends again by itself, within this.
const CLUSTER_ANSWER: Duration = Duration::from_millis(800);

/// Between two attempts, of a request or of the line.
pub const PAUSE: Duration = Duration::from_millis(100);

/// How many hash slots a cluster has.
const SLOTS: u16 = 16384;

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

/// Where a line leads to, and who signs in there.
pub struct Endpoint(RedisUrl);

impl Endpoint {
    pub fn new(url: &RedisUrl) -> Self {
        Self(url.clone())
    }

    pub fn is_cluster(&self) -> bool {
        matches!(self.0, RedisUrl::Cluster(..))
    }

    /// What is looked up to reach it.
    pub fn name(&self) -> Option<(&str, u16)> {
        match &self.0 {
            RedisUrl::Single(ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }, _) => {
                Some((host, *port))
            }
            _ => None,
        }
    }

    /// A connection on which commands can be given, and to whom it leads.
    pub async fn connect(&self) -> Result<(Connection, Option<SocketAddr>), Refusal> {
        match &self.0 {
            RedisUrl::Single(address, who) => {
                let (connection, peer) = self.open(address).await.map_err(|error| Refusal::to_connect(&error))?;
                let refused = match (sign_in(&connection, who).await, peer) {
                    (Ok(()), _) => return Ok((connection, peer)),
                    (Err(error), Some(peer)) if error.is_connection_dropped() => {
                        said_unasked(peer).await.unwrap_or(error)
                    }
                    (Err(error), _) => error,
                };
                Err(Refusal::of(&refused).at_connecting())
            }
            RedisUrl::Cluster(nodes, who, certificates) => {
                let cluster = open_cluster(nodes, who, certificates.as_ref())
                    .await
                    .map_err(|error| Refusal::to_connect(&error))?;
                Ok((Connection::Cluster(cluster), None))
            }
        }
    }

    /// A connection that hears what is said on a channel. Not on a cluster.
    pub async fn subscribe(&self, channel: &str) -> RedisResult<PubSubStream> {
        let RedisUrl::Single(address, who) = &self.0 else {
            return Err(io::Error::from(io::ErrorKind::Unsupported).into());
        };
        let info = address.clone().into_connection_info()?.set_redis_settings(who.clone().set_skip_set_lib_name());
        let mut connection = Client::open(info)?.get_async_pubsub().await?;
        connection.subscribe(channel).await?;
        Ok(connection.into_on_message())
    }

    /// Whichever of the name's addresses answers first, as the library does it; this way it is known which one that was.
    async fn open(&self, address: &ConnectionAddr) -> RedisResult<(Connection, Option<SocketAddr>)> {
        let Some(name) = self.name() else { return open(address, None).await };
        let addresses = tokio::net::lookup_host(name).await?;
        let attempts: Vec<_> = addresses.map(|peer| Box::pin(open(address, Some(peer)))).collect();
        if attempts.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into());
        }
        Ok(select_ok(attempts).await?.0)
    }
}

async fn open_cluster(
    nodes: &[ConnectionAddr],
    who: &RedisConnectionInfo,
    certificates: Option<&TlsCertificates>,
) -> RedisResult<ClusterConnection> {
    let info = |node: &ConnectionAddr| Ok(node.clone().into_connection_info()?.set_redis_settings(who.clone()));
    let mut builder = ClusterClient::builder(nodes.iter().map(info).collect::<RedisResult<Vec<ConnectionInfo>>>()?)
        .connection_timeout(CONNECT)
        .response_timeout(ANSWER)
        .overall_response_timeout(Some(CLUSTER_ANSWER))
        .retries(3)
        .min_retry_wait(20)
        .max_retry_wait(200);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates.clone());
    }
    builder.build()?.get_async_connection().await
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

/// Also proves that somebody is there who takes commands.
async fn sign_in(connection: &Connection, who: &RedisConnectionInfo) -> RedisResult<()> {
    if let Some(password) = who.password() {
        let mut sign_in = redis::cmd("AUTH");
        sign_in.arg(who.username()).arg(password);
        connection.query::<()>(&sign_in).await?;
    }
    if who.db() != 0 {
        connection.query::<()>(redis::cmd("SELECT").arg(who.db())).await?;
    }
    match connection.query::<()>(&redis::cmd("PING")).await {
        // What is more than a refusal of this connection is for the scripts to find: some of them may run all the same.
        Err(error) if matches!(error.code(), Some(code) if !matches!(code, "ERR" | "DENIED")) => Ok(()),
        answer => answer,
    }
}

/// What a server says before it closes a connection: that it has too many, or believes no stranger. The library loses
/// an answer that comes before the first command.
async fn said_unasked(peer: SocketAddr) -> Option<RedisError> {
    let listen = async {
        let mut said = Vec::new();
        TcpStream::connect(peer).await.ok()?.take(512).read_to_end(&mut said).await.ok()?;
        redis::parse_redis_value(&said).ok()?.extract_error().err()
    };
    tokio::time::timeout(PAUSE, listen).await.ok()?
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
