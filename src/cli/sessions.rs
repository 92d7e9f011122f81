//! `portcullis sessions`.

use clap::Subcommand;

use super::ask::Yes;
use super::output::{self, Format, Output};
use super::{Failure, user};
use crate::domain::audit::Client;
use crate::domain::{Error, Session, SessionId};
use crate::services::{Services, Steward};
use crate::shapes::SessionShape;

#[derive(Subcommand)]
pub enum Command {
    /// List who is signed in.
    List {
        /// Only of this account: username, e-mail or id.
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// End sessions by their id.
    Revoke {
        /// As `portcullis sessions list` shows them.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<SessionId>,
        #[command(flatten)]
        yes: Yes,
    },
    /// End all sessions, of one account or of all.
    RevokeAll {
        /// Only of this account: username, e-mail or id.
        #[arg(long)]
        user: Option<String>,
        #[command(flatten)]
        yes: Yes,
    },
}

pub async fn run(command: Command, services: &Services) -> Result<String, Failure> {
    match command {
        Command::List { user, output } => {
            let user = user::find_optional(services, user.as_deref()).await?.map(|user| user.id);
            list(&services.all_sessions(user).await?, output.format)
        }
        Command::Revoke { ids, yes } => {
            yes.confirm(&format!("End {}?", counted(ids.len() as u64)))?;
            revoke(services, &ids).await
        }
        Command::RevokeAll { user, yes } => {
            let user = user::find_optional(services, user.as_deref()).await?;
            let whose = user.as_ref().map_or("all accounts", |user| user.username.as_str());
            yes.confirm(&format!("End all sessions of {whose}?"))?;
            let user = user.map(|user| user.id);
            let ended = services.end_all_sessions(&Steward::command_line(), user, &Client::default()).await?;
            Ok(format!("Ended {}.\n", counted(ended)))
        }
    }
}

/// Ends what can be ended; tells the others afterwards.
async fn revoke(services: &Services, ids: &[SessionId]) -> Result<String, Failure> {
    let mut unknown = Vec::new();
    for id in ids {
        match services.end_session(&Steward::command_line(), *id, &Client::default()).await {
            Ok(()) => {}
            Err(Error::NotFound) => unknown.push(id.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let ended = counted((ids.len() - unknown.len()) as u64);
    if unknown.is_empty() {
        Ok(format!("Ended {ended}.\n"))
    } else {
        Err(Failure::Failed(format!("ended {ended}; there is no live session {}", unknown.join(", "))))
    }
}

fn counted(sessions: u64) -> String {
    if sessions == 1 { "1 session".to_owned() } else { format!("{sessions} sessions") }
}

fn list(sessions: &[(Session, String)], format: Format) -> Result<String, Failure> {
    match format {
        Format::Json => {
            let shapes = sessions.iter().map(|(session, username)| SessionShape::new(session, username, None));
            output::json(&shapes.collect::<Vec<_>>())
        }
        Format::Table => Ok(output::table(
            ["ID", "USER", "KIND", "DEVICE", "ADDRESS", "SIGNED IN", "LAST ACTIVE", "EXPIRES"],
            sessions.iter().map(|(session, username)| {
                [
                    session.id.to_string(),
                    username.clone(),
                    session.kind.to_string(),
                    session.device.clone(),
                    session.address.clone(),
                    output::moment(session.created_at),
                    output::moment(session.last_active_at),
                    output::moment(session.expires_at()),
                ]
            }),
        )),
    }
}
