//! `portcullis audit`.

use clap::Subcommand;

use super::{Failure, output};
use crate::domain::audit_list::TypedAuditFilter;
use crate::representations::audit_export::ExportFormat;
use crate::services::{RecentAuthContext, Services, audit};

#[derive(Subcommand)]
pub enum Command {
    /// Write the audit log to stdout, newest first.
    Export {
        /// How to write it.
        #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
        format: ExportFormat,
        /// From this day or moment on: 2026-11-20 or 2026-11-20T14:00:00Z.
        #[arg(long)]
        since: Option<String>,
        /// Until the end of this day, or before this moment.
        #[arg(long)]
        until: Option<String>,
        /// Only events of this name, such as sign_in.failed.
        #[arg(long)]
        event: Option<String>,
        /// Only what this account did or what was done to it: a username that it has or had, e-mail or id; of a
        /// deleted one no e-mail.
        #[arg(long)]
        user: Option<String>,
        /// Only from this address.
        #[arg(long)]
        address: Option<String>,
        /// Only success or failure.
        #[arg(long)]
        outcome: Option<String>,
        /// Only what this request did, by the id that its answer and the log have.
        #[arg(long)]
        request_id: Option<String>,
    },
}

pub async fn run(command: Command, services: &Services) -> Result<String, Failure> {
    let Command::Export { format, since, until, event, user, address, outcome, request_id } = command;
    let typed = TypedAuditFilter { since, until, event, user, address, outcome, request_id };
    let filter = typed.parse().map_err(|errors| {
        let lines = errors.iter().map(|error| format!("--{}: {}", error.field.replace('_', "-"), error.message));
        Failure::Usage(lines.collect::<Vec<_>>().join(" "))
    })?;
    let auth = RecentAuthContext::command_line();
    if let Some(user) = &filter.user
        && audit::accounts(&services.database, &auth, user).await?.is_empty()
    {
        return Err(Failure::Failed(format!("no account has or had the name, e-mail or id “{user}”")));
    }
    let events = audit::export(services, &auth, filter)?;
    output::print_stream(format.write(events)).await?;
    Ok(String::new())
}
