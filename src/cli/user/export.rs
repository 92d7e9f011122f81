//! `portcullis user export`.

use std::fs::OpenOptions;
use std::io::{BufWriter, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use clap::Args;

use super::super::Failure;
use super::super::progress::Progress;
use super::output;
use crate::services::administration::transfer;
use crate::services::{RecentAuthContext, Services};

#[derive(Args)]
#[command(
    after_help = "Password hashes can be guessed at by whoever has them: keep the file as you keep the database, \
                        and delete it after use. The audit log has no event for an export; it is told on stderr with the \
                        logs.\n\
                        Sessions, reset links, locks and the audit log are not in it. What changes meanwhile is in it \
                        or not."
)]
pub struct Arguments {
    /// A file that is made, for its owner alone (0600); one that is there is never overwritten. Without it: stdout.
    file: Option<PathBuf>,
}

pub async fn run(arguments: Arguments, services: &Services) -> Result<String, Failure> {
    let accounts = transfer::export(&services.database, &RecentAuthContext::command_line())?;
    let Some(path) = arguments.file else {
        output::print_stream(accounts).await?;
        return Ok(String::new());
    };
    let shown = path.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::Failed(format!("{shown} exists: name another file, or delete it first")),
        _ => Failure::Failed(format!("{shown} can't be made: {error}")),
    })?;
    match output::stream(accounts, BufWriter::new(file), &shown, Progress::new()).await {
        Ok(1) => Ok(format!("Exported 1 account to {shown}.\n")),
        Ok(count) => Ok(format!("Exported {count} accounts to {shown}.\n")),
        Err(failure) => {
            // Half an export would be taken for a whole one.
            std::fs::remove_file(&path).ok();
            Err(failure)
        }
    }
}
