//! The line to Redis: a connection that is replaced where it leads nowhere any more.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use redis::aio::PubSubStream;
use redis::{Cmd, FromRedisValue, RedisResult};
use tokio::runtime::Handle;

use super::connection::{Connection, Endpoint, PAUSE, slot_of};
use super::refusal::{Refusal, Remedy};
use crate::domain::UserId;
use crate::settings::RedisUrl;

/// Between two attempts of the line that hurry nobody.
const LEISURE: Duration = Duration::from_secs(1);

/// One connection at a time, shared by all, numbered. Whoever is refused throws away the one that was used and no later
/// one, so that it is replaced once, however many were refused on it.
pub struct Line {
    target: Endpoint,
    /// Where connections are made and kept: it outlives the worker whose request needed one.
    runtime: Handle,
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
    /// Codes and what was advised.
    told: HashSet<(String, &'static str)>,
}

impl Line {
    /// Connects for the first time; where that is refused, the caller tells of it.
    pub async fn open(url: &RedisUrl) -> Result<Arc<Self>, Refusal> {
        let line = Arc::new(Self {
            target: Endpoint::new(url),
            runtime: Handle::current(),
            state: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            trouble: Mutex::default(),
        });
        line.link().await?;
        Ok(line)
    }

    /// The present connection. Where there is none it is made, the name resolved again; all who wait share the attempt.
    pub async fn link(self: &Arc<Self>) -> Result<Link, Refusal> {
        let present = || self.state().link.clone();
        if let Some(link) = present() {
            return Ok(link);
        }
        let asked = Instant::now();
        let _turn = self.opening.lock().await;
        if let Some(link) = present() {
            return Ok(link);
        }
        let failed = self.state().failed.clone();
        if let Some((_, refusal)) = failed.filter(|(at, _)| *at >= asked) {
            return Err(refusal);
        }
        let tried = self.state().tried;
        if let Some(tried) = tried {
            tokio::time::sleep(PAUSE.saturating_sub(tried.elapsed())).await;
        }
        match present() {
            Some(link) => Ok(link),
            None => self.connect().await,
        }
    }

    /// An attempt to connect, which goes on where the caller gives up.
    async fn connect(self: &Arc<Self>) -> Result<Link, Refusal> {
        self.state().tried = Some(Instant::now());
        let line = self.clone();
        let attempt = self.runtime.spawn(async move {
            let connected = line.target.connect().await;
            let is_first = line.state().number == 0;
            if let (Err(refusal), false) = (&connected, is_first) {
                line.tell(refusal);
            }
            let mut state = line.state();
            match connected {
                Ok((connection, peer)) => {
                    state.number += 1;
                    let link = Link { number: state.number, connection, peer };
                    state.link = Some(link.clone());
                    Ok(link)
                }
                Err(refusal) => {
                    state.failed = Some((Instant::now(), refusal.clone()));
                    Err(refusal)
                }
            }
        });
        // The runtime ends where the server does.
        attempt.await.unwrap_or_else(|_| Err(Refusal::late()))
    }

    /// A command was refused on this connection: does with it what [`Remedy`] says, and tells the log.
    pub fn refused(self: &Arc<Self>, link: &Link, refusal: &Refusal) {
        self.tell(refusal);
        match refusal.remedy {
            Remedy::ConnectAnew => {
                self.state().link.take_if(|present| present.number == link.number);
            }
            Remedy::Tell => {
                let mut state = self.state();
                if state.tried.is_none_or(|tried| tried.elapsed() >= LEISURE) {
                    state.tried = Some(Instant::now());
                    drop(state);
                    self.renew();
                }
            }
            Remedy::Wait => {}
        }
    }

    /// Connects anew behind the present connection, which is used until the new one stands.
    pub fn renew(self: &Arc<Self>) {
        let line = self.clone();
        self.runtime.spawn(async move { line.connect().await.map(drop) });
    }

    /// Runs a command as it is, once.
    pub async fn ask<T: FromRedisValue>(self: &Arc<Self>, command: &Cmd) -> Result<T, Refusal> {
        let link = self.link().await?;
        link.connection.query(command).await.map_err(|error| {
            let refusal = Refusal::of(&error);
            self.refused(&link, &refusal);
            refusal
        })
    }

    /// A connection of its own that hears what is said on a channel.
    pub async fn subscribe(&self, channel: &str) -> RedisResult<PubSubStream> {
        self.target.subscribe(channel).await
    }

    /// Whether the name leads elsewhere than the present connection does; where that can't be told, it doesn't.
    pub async fn leads_elsewhere(&self) -> bool {
        let peer = self.state().link.as_ref().and_then(|link| link.peer);
        let (Some(peer), Some((host, port))) = (peer, self.target.name()) else { return false };
        match tokio::net::lookup_host((host, port)).await {
            Ok(mut addresses) => !addresses.any(|address| address == peer),
            Err(_) => false,
        }
    }

    /// All that a request needs of Redis was tried, and went well.
    pub fn is_well(&self) {
        if let Some(trouble) = self.trouble().take() {
            let seconds = trouble.since.elapsed().as_secs_f64();
            tracing::info!(seconds = (seconds * 10.0).round() / 10.0, "Redis is back");
        }
    }

    /// Whether Redis refused or did not answer lately, and was not found well since: once a second somebody looks.
    pub fn is_in_trouble(&self) -> bool {
        self.trouble().is_some()
    }

    /// Once for each sort, until all is well again.
    fn tell(&self, refusal: &Refusal) {
        let mut trouble = self.trouble();
        let trouble = trouble.get_or_insert_with(|| Trouble { since: Instant::now(), told: HashSet::new() });
        if trouble.told.insert((refusal.code.clone(), refusal.advice)) {
            let Refusal { code, said, advice, remedy, .. } = refusal;
            tracing::warn!(code, said, advice, ?remedy, "Redis refuses or does not answer");
        }
    }

    /// Which server a user's keys are on: on a cluster the number of the slot, which has one server at a time.
    pub fn slot(&self, user: UserId) -> u16 {
        if self.is_cluster() { slot_of(&user.to_string()) } else { 0 }
    }

    pub fn is_cluster(&self) -> bool {
        self.target.is_cluster()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
