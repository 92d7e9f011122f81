//! The scripts, each one operation, and how one is run: again where that is safe, while the caller has time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, Value};

use super::connection::PAUSE;
use super::copy;
use super::line::{Line, Link};
use super::refusal::{Refusal, Remedy};
use crate::domain::{SessionId, UserId};

/// A command that was refused is not given again later than this after the first time: what is left of a request's time
/// is for connecting and for the answer.
const TRIES: Duration = Duration::from_millis(450);

/// What a script answers: the server's replication id, a word, and what belongs to it.
pub struct Reply {
    pub replication_id: String,
    pub word: String,
    pub rest: Vec<Vec<u8>>,
}

impl FromRedisValue for Reply {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        let mut parts = Vec::<Vec<u8>>::from_redis_value(value)?.into_iter();
        let mut text = || parts.next().and_then(|part| String::from_utf8(part).ok());
        match (text(), text()) {
            (Some(replication_id), Some(word)) => Ok(Self { replication_id, word, rest: parts.collect() }),
            _ => Err("a script of ours answers with a replication_id and a word".into()),
        }
    }
}

/// The scripts, each one operation, and the prefix of their keys. Every one bears a repeat: clients send again by
/// themselves.
pub struct Scripts {
    prefix: String,
    pub load: Named,
    pub token_family: Named,
    pub rotate: Named,
    pub install: Named,
    pub session_ended: Named,
    pub user_changed: Named,
    pub secret_changed: Named,
    pub take: Named,
    pub try_out: Named,
}

pub struct Named {
    source: String,
    hash: String,
}

impl Named {
    fn new(body: &str) -> Self {
        let source = format!("{}{}{body}", copy::names(), include_str!("../lua/prelude.lua"));
        Self { hash: Script::new(&source).get_hash().to_owned(), source }
    }
}

/// The keys of a script, mostly two, all in one slot.
pub struct Keys<const N: usize = 2>([String; N]);

impl Scripts {
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            load: Named::new(concat!(include_str!("../lua/live.lua"), include_str!("../lua/load.lua"))),
            token_family: Named::new(concat!(include_str!("../lua/live.lua"), include_str!("../lua/token_family.lua"))),
            rotate: Named::new(concat!(include_str!("../lua/live.lua"), include_str!("../lua/rotate.lua"))),
            install: Named::new(include_str!("../lua/install.lua")),
            session_ended: Named::new(concat!(
                include_str!("../lua/tell.lua"),
                include_str!("../lua/session_ended.lua")
            )),
            user_changed: Named::new(concat!(include_str!("../lua/tell.lua"), include_str!("../lua/user_changed.lua"))),
            secret_changed: Named::new(concat!(
                include_str!("../lua/tell.lua"),
                include_str!("../lua/secret_changed.lua")
            )),
            take: Named::new(include_str!("../lua/take.lua")),
            try_out: Named::new(include_str!("../lua/try_out.lua")),
        }
    }

    /// Where nodes hear of changes; `lua/tell.lua` has the same name.
    pub fn channel(&self) -> String {
        format!("{}:changes", self.prefix)
    }

    /// The keys of a session and its user. Where there is no session, only the user's key is touched.
    pub fn keys(&self, user: UserId, session: Option<SessionId>) -> Keys {
        let session = session.map_or_else(|| "-".to_owned(), |session| session.to_string());
        self.tagged(&user.to_string(), &session)
    }

    /// The same with a hash tag that is no user's.
    pub fn tagged(&self, tag: &str, session: &str) -> Keys {
        Keys([format!("{}:{{{tag}}}:s:{session}", self.prefix), format!("{}:{{{tag}}}:u", self.prefix)])
    }

    /// The key of what is left of a limit.
    pub fn limit(&self, whose: &str) -> Keys<1> {
        Keys([format!("{}:{{{whose}}}:l", self.prefix)])
    }

    /// Runs a script. One that was refused was not carried out, and is run again as [`Remedy`] says. One whose
    /// connection was lost may have been carried out, and is run again once: it finds what it has done.
    pub async fn run<const N: usize>(
        &self,
        line: &Arc<Line>,
        script: &Named,
        keys: &Keys<N>,
        arguments: &[Vec<u8>],
    ) -> Result<Reply, Refusal> {
        let began = Instant::now();
        let mut lost = false;
        loop {
            let (refusal, was_sent) = match line.link().await {
                Ok(link) => match evaluate(&link, script, keys, arguments).await {
                    Ok(reply) => return Ok(reply),
                    Err(error) => {
                        let refusal = Refusal::of(&error);
                        line.refused(&link, &refusal);
                        (refusal, true)
                    }
                },
                Err(refusal) => (refusal, false),
            };
            let is_over = began.elapsed() >= TRIES || (lost && refusal.is_lost_connection());
            match refusal.remedy {
                Remedy::Tell => return Err(refusal),
                _ if is_over => return Err(refusal),
                Remedy::ConnectAnew => lost |= was_sent && refusal.is_lost_connection(),
                Remedy::Wait => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

async fn evaluate<const N: usize>(
    link: &Link,
    script: &Named,
    keys: &Keys<N>,
    arguments: &[Vec<u8>],
) -> RedisResult<Reply> {
    let command = |name: &str, script: &str| {
        let mut command = redis::cmd(name);
        command.arg(script).arg(N).arg(&keys.0).arg(arguments);
        command
    };
    match link.connection.query(&command("EVALSHA", &script.hash)).await {
        // After a restart or SCRIPT FLUSH. EVAL goes by the keys to the right server, and leaves the script there.
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            link.connection.query(&command("EVAL", &script.source)).await
        }
        answer => answer,
    }
}
