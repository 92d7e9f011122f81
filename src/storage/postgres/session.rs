//! What a session of the server has to be like: the settings that we make ourselves, because a role or a database may
//! have others (`ALTER ROLE … SET`), and what only an operator can put right.

use std::fmt::Write as _;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::OpenError;
use super::remedy::failed;

/// Settings whose value matters to our statements. What they may be is in "Server Configuration" of PostgreSQL's manual.
/// Nothing else that a session may set does: values travel in binary, so that no style of dates, bytes or numbers
/// counts, the time zone is not used, and `client_encoding` is said by the driver when it connects.
const SETTINGS: &[(&str, &str)] = &[
    // First, for until then the role's own holds, which may be shorter than what follows takes.
    ("statement_timeout", "'5s'"),
    ("lock_timeout", "'900ms'"),
    ("default_transaction_isolation", "'read committed'"),
    ("default_transaction_deferrable", "off"),
    ("idle_in_transaction_session_timeout", "'5s'"),
    ("standard_conforming_strings", "on"),
    ("transform_null_equals", "off"),
    // A policy that hides rows from us is an error, and not a session that doesn't exist.
    ("row_security", "off"),
    ("gin_fuzzy_search_limit", "0"),
    ("exit_on_error", "off"),
    ("client_min_messages", "warning"),
];

/// The same for servers from that version on.
const LATER_SETTINGS: &[(u32, (&str, &str))] =
    &[(140_000, ("idle_session_timeout", "0")), (170_000, ("transaction_timeout", "0"))];

/// What was answered as ended stays ended after a power cut. Where a commit waits for more than that, it goes on to.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'local', {}) \
                       WHERE current_setting('synchronous_commit') = 'off'";

/// The lock that migrations are made under: any number that no other program uses in the same database.
const MIGRATION_LOCK: i64 = 0x706f_7274_6375_6c6c;

/// For how long a transaction waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Well below the ten seconds that the feed allows a transaction to commit late. Whoever waits for a lock has a
    /// connection that others want; a request is given up by then.
    Request,
    /// For locks, longer.
    Patient,
    /// A migration: an index of a large table takes longer than any query of a request may, and so does waiting for
    /// another process that makes it.
    Migration,
}

/// Makes a new session ready: checks it and, where it is ours alone, sets what we set for as long as it lasts. Says the
/// server's version as a number, such as 150004.
///
/// # Errors
/// [`OpenError::Unfit`] with the name of the setting and what to do, where only an operator can put it right.
pub async fn prepare(client: &Client, pooled: bool) -> Result<u32, OpenError> {
    if pooled {
        // What another program has left there says nothing of the next session.
        return check(client, "SET search_path TO DEFAULT; ").await;
    }
    // At once with the question: a time limit of the role's own may be short.
    let version =
        check(client, &format!("{}{}; ", each(SETTINGS.iter(), "SET"), DURABLE.replace("{}", "false"))).await?;
    client.batch_execute(&each(later(version), "SET")).await.map_err(|error| failed(&error))?;
    Ok(version)
}

fn later(version: u32) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    LATER_SETTINGS.iter().filter(move |(since, _)| version >= *since).map(|(_, setting)| setting)
}

fn each<'a>(settings: impl Iterator<Item = &'a (&'a str, &'a str)>, set: &str) -> String {
    settings.fold(String::new(), |mut sql, (name, value)| {
        let _ = write!(sql, "{set} {name} = {value}; ");
        sql
    })
}

/// Begins a transaction. It says what it needs: READ COMMITTED, whatever the database's default is.
pub fn begin(pooled: bool, version: u32, patience: Patience) -> String {
    let mut sql = "BEGIN ISOLATION LEVEL READ COMMITTED; ".to_owned();
    if pooled {
        // Another session than that of the last transaction, perhaps one of another program, and perhaps of a server
        // that takes no writes any more.
        sql.push_str(&each(SETTINGS.iter().chain(later(version)), "SET LOCAL"));
        sql.push_str("SET LOCAL search_path TO DEFAULT; ");
        sql.push_str(&DURABLE.replace("{}", "true"));
        sql.push_str("; SHOW transaction_read_only; ");
    }
    match patience {
        Patience::Request => {}
        Patience::Patient => sql.push_str("SET LOCAL lock_timeout = '5s'"),
        Patience::Migration => {
            sql.push_str("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; ");
            sql.push_str("SET LOCAL idle_in_transaction_session_timeout = 0; ");
            let _ = write!(sql, "SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
        }
    }
    sql
}

/// Whether the answer to [`begin`] says that nothing can be written.
pub fn is_read_only(answer: &[SimpleQueryMessage]) -> bool {
    rows(answer).any(|row| {
        row.columns().first().is_some_and(|column| column.name() == "transaction_read_only") && row.get(0) == Some("on")
    })
}

fn rows(answer: &[SimpleQueryMessage]) -> impl Iterator<Item = &SimpleQueryRow> {
    answer.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })
}

async fn last_row(client: &Client, sql: &str) -> Result<Vec<String>, OpenError> {
    let answer = client.simple_query(sql).await.map_err(|error| failed(&error))?;
    let row = rows(&answer).last();
    Ok(row.map_or_else(Vec::new, |row| {
        (0..row.len()).map(|column| row.get(column).unwrap_or_default().to_owned()).collect()
    }))
}

async fn check(client: &Client, before: &str) -> Result<u32, OpenError> {
    let asked = "SELECT current_setting('server_version_num'), current_setting('server_encoding'), \
                 current_setting('session_replication_role'), coalesce(current_schema(), '')";
    let facts = last_row(client, &format!("{before}{asked}")).await?;
    let [version, encoding, replication_role, schema] = facts.as_slice() else {
        return Err(OpenError::Unreachable("it did not say its version".to_owned()));
    };
    if encoding != "UTF8" {
        return Err(OpenError::Unfit(format!(
            "the database's encoding is {encoding}, which has not all letters of names; make one with \
             CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )));
    }
    if replication_role == "replica" {
        return Err(OpenError::Unfit(
            "session_replication_role is replica, so that the database would not look after its foreign keys; \
             ALTER ROLE … RESET session_replication_role, and the same for the database"
                .to_owned(),
        ));
    }
    if schema.is_empty() {
        return Err(OpenError::Unfit(
            "search_path names no schema that exists; CREATE SCHEMA …, or ALTER ROLE … RESET search_path, and the same \
             for the database"
                .to_owned(),
        ));
    }
    version.parse().map_err(|_| OpenError::Unreachable(format!("its version is {version}")))
}

/// Why a server that was asked for writes does not take them.
pub async fn why_read_only(client: &Client) -> OpenError {
    let asked = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')";
    match last_row(client, asked).await.as_deref() {
        Ok([recovery, _]) if recovery == "t" => {
            OpenError::Unreachable("it is a standby, which takes no writes".to_owned())
        }
        Ok([_, read_only]) if read_only == "on" => OpenError::Unfit(
            "default_transaction_read_only is on, so that nothing can be written; once it may be, ALTER DATABASE … RESET \
             default_transaction_read_only, and the same for the role or the server"
                .to_owned(),
        ),
        Ok(_) => OpenError::Unreachable("it took no writes a moment ago".to_owned()),
        Err(_) => OpenError::Unreachable("it takes no writes".to_owned()),
    }
}

/// Whether a pooler hands out sessions for a transaction at a time: then two clients are seen in one session, or one
/// client in two. While other programs keep the pooler busy it may look otherwise; what comes of that is noticed later.
pub async fn is_shared(one: &Client, other: &Client) -> Result<bool, OpenError> {
    let session = async |client| last_row(client, "SELECT pg_backend_pid()").await;
    let first = session(one).await?;
    for _ in 0..3 {
        // A pooler that has no session left for the other is one that gives each client its own.
        match tokio::time::timeout(Duration::from_secs(1), session(other)).await {
            Ok(seen) => {
                if seen? == first {
                    return Ok(true);
                }
            }
            Err(_) => return Ok(false),
        }
        if session(one).await? != first {
            return Ok(true);
        }
    }
    Ok(false)
}
