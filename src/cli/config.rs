//! `portcullis config`.

use clap::Subcommand;
use serde::Serialize;

use super::Failure;
use super::output::{self, Format, Output};
use crate::settings::Loaded;

#[derive(Subcommand)]
pub enum Command {
    /// Say whether the settings can be used: exit status 0, or 78 and all that is wrong.
    Check,
    /// Show every setting and where it came from; secrets are masked.
    Show {
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Serialize)]
struct Shape<'a> {
    key: &'a str,
    value: Option<&'a str>,
    source: String,
}

/// The settings were loaded, so they can be used.
pub fn run(command: &Command, loaded: &Loaded) -> Result<String, Failure> {
    let settings = loaded.effective.iter();
    match command {
        Command::Check => Ok("The settings can be used.\n".to_owned()),
        Command::Show { output: Output { format: Format::Json } } => {
            let shapes = settings.map(|setting| Shape {
                key: setting.key,
                value: setting.value.as_deref(),
                source: setting.source.to_string(),
            });
            output::json(&shapes.collect::<Vec<_>>())
        }
        Command::Show { output: Output { format: Format::Table } } => Ok(output::table(
            ["SETTING", "VALUE", "SOURCE"],
            settings.map(|setting| {
                [setting.key.to_owned(), setting.value.clone().unwrap_or_default(), setting.source.to_string()]
            }),
        )),
    }
}
