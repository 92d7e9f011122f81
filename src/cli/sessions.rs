//! `portcullis sessions`.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Subcommand;

use super::ask::Yes;
use super::output::{self, Format, Listing, Output};
use super::progress::Progress;
use super::{Failure, one_of, user};
use crate::domain::audit::Client;
use crate::domain::session_list::{ListedSession, SessionFilter, SessionOrder, SessionState, counted};
use crate::domain::{Error, SessionId, SessionKind};
use crate::representations::SessionShape;
use crate::services::sessions::everyone::{self, MOST_SELECTED};
use crate::services::sessions::history;
use crate::services::{RecentAuthContext, Services};

#[derive(Subcommand)]
pub enum Command {
    /// List who is signed in, newest first; or the history.
    List {
        /// Only of this account: username, e-mail or id.
        #[arg(long)]
        user: Option<String>,
        /// Only those with this text in the owner's username or e-mail, or whose address or device begins with it.
        #[arg(long, value_name = "TEXT")]
        q: Option<String>,
        /// Only those of browsers, or of programs.
        #[arg(long, value_parser = one_of(SessionKind::ALL, SessionKind::as_str))]
        kind: Option<SessionKind>,
        /// Those that are open, or the history.
        #[arg(long, value_parser = one_of(SessionState::ALL, SessionState::as_str),
              default_value = SessionState::Live.as_str())]
        state: SessionState,
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
    let (auth, client) = (&RecentAuthContext::command_line(), &Client::default());
    match command {
        Command::List { user, q, kind, state, output } => {
            let user = user::find_optional(services, user.as_deref()).await?.map(|user| user.id);
            // By what never changes, so that none is told twice while the list goes on.
            let order = SessionOrder::Beginning;
            list(services, &SessionFilter { state, order, kind, user, q }, output.format).await
        }
        Command::Revoke { mut ids, yes } => {
            ids.sort_unstable();
            ids.dedup();
            expect_live(services, &ids).await?;
            yes.confirm(&format!("End {}?", counted(ids.len() as u64)))?;
            let mut ended = 0;
            for some in ids.chunks(MOST_SELECTED) {
                ended += everyone::end_selected(services, auth, some, client).await?;
            }
            Ok(format!("Ended {}.\n", counted(ended)))
        }
        Command::RevokeAll { user, yes } => {
            let user = user::find_optional(services, user.as_deref()).await?;
            let whose = user.as_ref().map_or("all accounts", |user| user.username.as_str());
            yes.confirm(&format!("End all sessions of {whose}?"))?;
            let ended = match user {
                Some(user) => everyone::end_of_account(services, auth, user.id, client).await?,
                None => {
                    let ended = everyone::end_all(services, auth, None, client).await?;
                    if let Err(error) = backfill(services).await {
                        // They are dead all the same.
                        output::tell(&format!("The history is left to the next sweep of a server: {error}"));
                    }
                    ended
                }
            };
            Ok(format!("Ended {}.\n", counted(ended)))
        }
    }
}

/// Waits for the history of what has ended: nobody else may be there to write it.
async fn backfill(services: &Services) -> Result<(), Error> {
    let (mut progress, mut pace) = (Progress::new(), tokio::time::interval(Duration::from_millis(100)));
    let mut backfill = std::pin::pin!(history::backfill(services));
    let so_far = || format!("Writing the history: {}", counted(services.backfill.written()));
    loop {
        tokio::select! {
            done = &mut backfill => return done,
            _ = pace.tick() => progress.tell(so_far),
        }
    }
}

/// Fails, before anything has ended, where one of these is unknown or has ended: somebody mistook an id.
async fn expect_live(services: &Services, ids: &[SessionId]) -> Result<(), Failure> {
    let mut unknown: BTreeSet<_> = ids.iter().copied().collect();
    for some in ids.chunks(MOST_SELECTED) {
        for found in everyone::selected(&services.database, &RecentAuthContext::command_line(), some).await? {
            unknown.remove(&found.session.id);
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let unknown: Vec<_> = unknown.iter().map(SessionId::to_string).collect();
    Err(Failure::Failed(format!("there is no live session {}: nothing was changed", unknown.join(", "))))
}

async fn list(services: &Services, filter: &SessionFilter, format: Format) -> Result<String, Failure> {
    let end = match filter.state {
        SessionState::Live => "EXPIRES",
        SessionState::Ended => "ENDED",
        SessionState::All => "EXPIRES OR ENDED",
    };
    let titles = ["ID", "USER", "KIND", "DEVICE", "ADDRESS", "SIGNED IN", "LAST ACTIVE", end];
    output::print_pages(Listing::new(format, titles), async |cursor| {
        let auth = RecentAuthContext::command_line();
        let page = everyone::search(services, &auth, filter, cursor.as_deref(), output::PAGE).await?;
        Ok((page.sessions.iter().map(row).collect(), page.next))
    })
    .await
}

fn row(listed: &ListedSession) -> (SessionShape, [String; 8]) {
    let ListedSession { session, owner } = listed;
    let cells = [
        session.id.to_string(),
        owner.username.clone(),
        session.kind.to_string(),
        session.device.clone(),
        session.address.clone(),
        output::moment(session.created_at),
        output::moment(session.last_active_at),
        match &session.ended {
            Some(ended) => format!("{}, {} by {}", output::moment(ended.at), ended.reason, ended.by),
            None => output::moment(session.expires_at()),
        },
    ];
    (SessionShape::new(session, &owner.username, None), cells)
}
