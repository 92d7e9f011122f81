//! `portcullis keys`.

use clap::Subcommand;

use super::Failure;
use super::ask::Yes;
use super::output::{self, Format, Output};
use crate::domain::audit::Client;
use crate::domain::signing_key::SigningKeyInfo;
use crate::representations::KeyShape;
use crate::services::sessions::signing_keys;
use crate::services::{RecentAuthContext, Services};

#[derive(Subcommand)]
pub enum Command {
    /// List the keys that sign access tokens.
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Let the next key sign from now on. What the former one signed stays good.
    Rotate {
        #[command(flatten)]
        yes: Yes,
    },
}

pub async fn run(command: Command, services: &Services) -> Result<String, Failure> {
    match command {
        Command::List { output } => list(&signing_keys::list(&services.database).await?, output.format),
        Command::Rotate { yes } => {
            yes.confirm("Rotate the signing keys?")?;
            let key =
                signing_keys::rotate(services, &RecentAuthContext::command_line(), None, &Client::default()).await?;
            Ok(format!("Access tokens are signed with {} ({}) from now on.\n", key.kid, key.algorithm))
        }
    }
}

fn list(keys: &[SigningKeyInfo], format: Format) -> Result<String, Failure> {
    match format {
        Format::Json => output::json(&keys.iter().map(KeyShape::from).collect::<Vec<_>>()),
        Format::Table => Ok(output::table(
            ["KID", "ALGORITHM", "STATE", "CREATED", "ACTIVE FROM", "RETIRED"],
            keys.iter().map(|key| {
                [
                    key.kid.clone(),
                    key.algorithm.to_string(),
                    key.state.to_string(),
                    output::moment(key.created_at),
                    key.active_from.map(output::moment).unwrap_or_default(),
                    key.retired_at.map(output::moment).unwrap_or_default(),
                ]
            }),
        )),
    }
}
