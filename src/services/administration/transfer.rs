//! Accounts with their password hashes, to and from other systems: out as JSON Lines, in as [`record`] says.

mod record;

use std::collections::HashMap;
use std::time::Instant;

use futures_util::Stream;
use futures_util::stream::try_unfold;

use crate::domain::audit::Client;
use crate::domain::{Actor, Error, Event, FieldError, FieldErrors, NameKey, Timestamp, User};
use crate::services::{AuthContext, Result, Services};
use crate::storage::Database;
use crate::storage::accounts::profiles;
use crate::storage::accounts::users::{self, StoredUser};
use crate::storage::audit::{self, Entry};
use crate::storage::database::{AnyConnection, savepoint};
use record::{Candidate, Record};
pub use record::{FIELDS, MAX_LINE};

/// Accounts that are held in memory at once, and that are created in one transaction.
pub const BATCH: usize = 100;

/// A line to be imported.
pub struct Line {
    /// From 1.
    pub number: u64,
    pub text: Vec<u8>,
}

/// What came of a line.
pub struct Imported {
    pub line: u64,
    pub outcome: LineOutcome,
}

/// In a dry run, what would have come of it.
pub enum LineOutcome {
    Created {
        user: User,
        has_password: bool,
        /// Checking the password takes more memory than checking one that was hashed here.
        costly: bool,
    },
    Skipped(FieldErrors),
}

/// An import under way.
pub struct Import {
    services: Services,
    actor: Actor,
    dry_run: bool,
    ignored: Vec<String>,
    /// Of a dry run, which leaves nothing in the database to find: the names and ids of the lines so far, and their
    /// lines.
    claimed: HashMap<String, u64>,
}

/// All accounts with their password hashes, by username, in pieces of JSON Lines: read as fast as they are taken,
/// so what changes meanwhile is there or not.
pub fn export(database: &Database, auth: &AuthContext) -> Result<impl Stream<Item = Result<String>> + use<>> {
    auth.require_command_line()?;
    // The audit log has no event for it.
    tracing::warn!("all accounts are exported with their password hashes");
    let database = database.clone();
    Ok(try_unfold(Some(None), move |place: Option<Option<NameKey>>| {
        let database = database.clone();
        async move {
            let Some(after) = place else { return Ok(None) };
            let found = database.read(move |connection| users::after(connection, after.as_ref(), BATCH as i64));
            let found = found.await?;
            let next = found.last().filter(|_| found.len() == BATCH).map(|last| Some(last.user.username.key()));
            let mut text = String::new();
            for account in found {
                text.push_str(&serde_json::to_string(&Record::from(account)).map_err(Error::internal)?);
                text.push('\n');
            }
            Ok(Some((text, next)))
        }
    }))
}

/// Begins to create accounts from lines, of any role; `ignored` fields of them are passed over. A dry run does
/// every check and creates none.
pub fn import(services: &Services, auth: &AuthContext, dry_run: bool, ignored: Vec<String>) -> Result<Import> {
    auth.require_command_line()?;
    let (services, actor) = (services.clone(), auth.actor.clone());
    Ok(Import { services, actor, dry_run, ignored, claimed: HashMap::new() })
}

impl Import {
    /// Imports lines in one transaction; at most [`BATCH`], so that a server on the same database waits for it no longer
    /// than it bears.
    ///
    /// # Errors
    /// Of a store: then none of these lines is imported. What is wrong with a line is its [`LineOutcome`].
    pub async fn lines(&mut self, lines: Vec<Line>) -> Result<Vec<Imported>> {
        let now = self.services.clock.now();
        let hasher = &self.services.hasher;
        let read = |Line { number, text }| (number, record::read(&text, &self.ignored, hasher, now));
        let accounts: Vec<_> = lines.into_iter().map(read).collect();
        let (dry_run, actor) = (self.dry_run, self.actor.clone());
        let mut claimed = std::mem::take(&mut self.claimed);
        let work = move |connection: &mut AnyConnection| {
            let mut done = Vec::with_capacity(accounts.len());
            for (line, account) in &accounts {
                let outcome = match account {
                    Ok(Candidate { account, costly }) => {
                        let created = if dry_run {
                            rehearse(connection, &account.user, *line, &mut claimed)
                        } else {
                            create(connection, account, &actor, now)
                        };
                        match created {
                            Ok(()) => {
                                let has_password = account.password_hash.is_some();
                                LineOutcome::Created { user: account.user.clone(), has_password, costly: *costly }
                            }
                            Err(Error::Taken(taken)) => LineOutcome::Skipped(taken),
                            Err(error) => return Err(error),
                        }
                    }
                    Err(errors) => LineOutcome::Skipped(errors.clone()),
                };
                done.push(Imported { line: *line, outcome });
            }
            Ok((std::mem::take(&mut claimed), done))
        };
        let (database, began) = (&self.services.database, Instant::now());
        let (claimed, done) = if dry_run { database.read(work).await? } else { database.write(work).await? };
        self.claimed = claimed;
        if database.has_one_writer() && !dry_run {
            // SQLite knows no queue: whoever writes again at once leaves a running server no turn.
            tokio::time::sleep(began.elapsed()).await;
        }
        Ok(done)
    }
}

/// Creates the account; [`Error::Taken`] where its names are not free. Who registers at the same moment makes this
/// insert fail, and with it no other line.
fn create(connection: &mut AnyConnection, account: &StoredUser, actor: &Actor, now: Timestamp) -> Result<()> {
    let StoredUser { user, password_hash } = account;
    savepoint(connection, |connection| {
        profiles::insert(connection, user, password_hash.as_deref())?;
        let client = Client::default();
        let entry = Entry::success(Event::UserImported, actor, user, &client);
        audit::append(connection, &entry.detail(format!("role {}", user.role)), now)
    })
}

/// [`Error::Taken`] where the account could not be created after the lines before it, which `claimed` knows.
fn rehearse(connection: &mut AnyConnection, user: &User, line: u64, claimed: &mut HashMap<String, u64>) -> Result<()> {
    let claims = [
        ("username", user.username.key().as_str().to_owned()),
        ("email", user.email.key().as_str().to_owned()),
        ("id", user.id.to_string()),
    ];
    let mut taken = FieldErrors::default();
    for (field, claim) in &claims {
        // What it claimed itself, before the database was lost and it was read again, is its own.
        if let Some(line) = claimed.get(claim).filter(|earlier| **earlier != line) {
            taken.push(FieldError::new(*field, "taken", format!("Line {line} has it already.")));
        }
    }
    if !taken.is_empty() {
        return Err(Error::Taken(taken));
    }
    profiles::refuse_taken(connection, user)?;
    claimed.extend(claims.map(|(_, claim)| (claim, line)));
    Ok(())
}
