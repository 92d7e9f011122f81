//! Connecting: the hosts one after the other, TLS, and what a session is asked before it is used.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::seq::SliceRandom as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{SslMode, SslNegotiation, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Connection, Socket};

use super::remedy::failed;
use super::{GIVE_UP, OpenError, session};
use crate::settings::PostgresUrl;

/// For the TCP connection to one address.
const REACH: Duration = Duration::from_millis(800);
/// For all that is said until a session is ready. A server that hangs is one to be left, and another may have its name
/// by now.
const GREET: Duration = Duration::from_millis(1500);
/// The same at start, where nobody waits for an answer.
const GREET_AT_START: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_secs(15);

/// The server, or the several of one URL, as all connections of a pool know it.
#[derive(Debug)]
pub struct Server {
    url: PostgresUrl,
    /// Nothing is kept in a session: said by the URL, or found out.
    pooled: AtomicBool,
    /// Connections of an earlier generation are thrown away.
    generation: AtomicU64,
}

/// A session that is ready to be used.
pub struct Session {
    pub client: Client,
    /// 150004 is 15.4.
    pub version: u32,
    pub pooled: bool,
    pub generation: u64,
    fenced: Arc<AtomicBool>,
}

impl Session {
    /// Whether the server has said that it takes no writes any more, since the session began. What it answers may no
    /// longer be true: another one takes them.
    pub fn has_been_fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }
}

/// What a server says of itself by parameters, without being asked (PostgreSQL 14 and later).
const READ_ONLY: [&str; 2] = ["default_transaction_read_only", "in_hot_standby"];

/// A client whose connection is driven, and whether it has been fenced.
struct Driven {
    client: Client,
    fenced: Arc<AtomicBool>,
}

impl Driven {
    fn new<T>(client: Client, mut connection: Connection<Socket, T>) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let fenced = Arc::new(AtomicBool::new(false));
        let noted = fenced.clone();
        // A pooler tells what it once heard from another session: only a change counts.
        let writable: Vec<_> = READ_ONLY.into_iter().filter(|name| connection.parameter(name) == Some("off")).collect();
        tokio::spawn(std::future::poll_fn(move |context| {
            let ended = Pin::new(&mut connection).poll(context);
            if writable.iter().any(|name| connection.parameter(name) == Some("on")) {
                noted.store(true, Ordering::Relaxed);
            }
            ended
        }));
        Self { client, fenced }
    }
}

impl Server {
    pub fn new(url: PostgresUrl) -> Self {
        let pooled = AtomicBool::new(url.pooled);
        Self { url, pooled, generation: AtomicU64::new(0) }
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A connection of that generation has found the server gone: all others go as well.
    pub fn leave(&self, generation: u64) {
        let next = generation + 1;
        if self.generation.compare_exchange(generation, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            tracing::warn!("PostgreSQL is connected to anew");
        }
    }

    /// From now on nothing is kept in a session.
    pub fn is_behind_a_pooler(&self) {
        if !self.pooled.swap(true, Ordering::AcqRel) {
            tracing::info!("PostgreSQL is behind a transaction pooler: no statement is kept prepared");
        }
    }

    /// The first connection, which finds out whether there is a pooler.
    pub async fn first(&self) -> Result<Session, OpenError> {
        let first = self.client(GREET_AT_START).await?;
        let looking = async {
            // Where no second one can be had, what a pooler does is noticed later.
            if !self.pooled.load(Ordering::Acquire)
                && let Ok(other) = self.client(GREET_AT_START).await
                && session::is_shared(&first.client, &other.client).await?
            {
                self.is_behind_a_pooler();
            }
            self.ready(first, self.generation()).await
        };
        tokio::time::timeout(LOOK, looking).await.unwrap_or_else(|_| Err(silent()))
    }

    /// One more.
    pub async fn another(&self) -> Result<Session, OpenError> {
        let generation = self.generation();
        let connecting = async { self.ready(self.client(GREET).await?, generation).await };
        tokio::time::timeout(GIVE_UP, connecting).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn ready(&self, Driven { client, fenced }: Driven, generation: u64) -> Result<Session, OpenError> {
        let pooled = self.pooled.load(Ordering::Acquire);
        let version = session::prepare(&client, pooled).await?;
        Ok(Session { client, version, pooled, generation, fenced })
    }

    /// To the first host that can be used.
    async fn client(&self, limit: Duration) -> Result<Driven, OpenError> {
        let mut problem = OpenError::Unreachable("no host is named".to_owned());
        for config in each_host(&self.url) {
            match tokio::time::timeout(limit, self.greet(&config)).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) => problem = error,
                Err(_) => problem = silent(),
            }
        }
        Err(problem)
    }

    async fn greet(&self, config: &Config) -> Result<Driven, OpenError> {
        match self.open(config).await {
            Ok(client) => Ok(client),
            Err(error) if is_refusal(&*error) => {
                let mut any = config.clone();
                any.target_session_attrs(TargetSessionAttrs::Any);
                let client = self.open(&any).await.map_err(|error| failed(&*error))?;
                Err(session::why_read_only(&client.client).await)
            }
            Err(error) => Err(failed(&*error)),
        }
    }

    async fn open(&self, config: &Config) -> Result<Driven, Box<dyn std::error::Error + Send + Sync>> {
        if config.get_ssl_mode() == SslMode::Disable {
            let (client, connection) = config.connect(tokio_postgres::NoTls).await?;
            return Ok(Driven::new(client, connection));
        }
        let tls = tokio_postgres_rustls::MakeRustlsConnect::new(self.tls(config.get_ssl_negotiation())?);
        let (client, connection) = config.connect(tls).await?;
        Ok(Driven::new(client, connection))
    }

    fn tls(
        &self,
        negotiation: SslNegotiation,
    ) -> Result<rustls::ClientConfig, Box<dyn std::error::Error + Send + Sync>> {
        let mut roots = rustls::RootCertStore::empty();
        if let Some(path) = &self.url.tls.root {
            for certificate in CertificateDer::pem_file_iter(path)? {
                roots.add(certificate?)?;
            }
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut tls = match &self.url.tls.own {
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
            }
            None => builder.with_no_client_auth(),
        };
        if negotiation == SslNegotiation::Direct {
            // PostgreSQL 17 asks for it ("SSL Session Encryption").
            tls.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(tls)
    }
}

/// The driver's word for a server that takes no writes.
fn is_refusal(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
}

fn silent() -> OpenError {
    OpenError::Unreachable("it does not answer".to_owned())
}

/// The hosts in the order in which they are tried, one after the other. The driver's own way through several waits for
/// ever for one that takes a connection and says nothing.
fn each_host(url: &PostgresUrl) -> Vec<Config> {
    let mut all: Vec<_> = url.hosts.iter().cloned().map(bounded).collect();
    if url.shuffled {
        all.shuffle(&mut rand::rng());
    }
    all
}

/// What the URL says can but shorten how long is waited.
fn bounded(mut config: Config) -> Config {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(REACH);
    }
    let limit = config.get_tcp_user_timeout().map_or(GIVE_UP, |limit| (*limit).min(GIVE_UP));
    config.tcp_user_timeout(limit);
    config
}
