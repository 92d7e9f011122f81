//! `portcullis doctor`.

use serde::Serialize;

use super::Failure;
use super::output::{self, Format, Output};
use crate::settings::Settings;
use crate::startup::{self, Checkup};

/// One check, as programs read it.
#[derive(Serialize)]
struct Shape<'a> {
    check: &'static str,
    status: &'static str,
    milliseconds: Option<f64>,
    /// The step that fails, and why in a word.
    failed: Option<&'static str>,
    code: Option<&'a str>,
    /// All that there is to say, with what to do.
    detail: String,
}

/// Prints a line for each check: exit status 0 where all is well, else 69.
pub async fn run(settings: &Settings, output: &Output) -> Result<String, Failure> {
    let checks = startup::checkup(settings).await?;
    let shapes: Vec<_> = checks.iter().map(shape).collect();
    let text = match output.format {
        Format::Json => output::json(&shapes)?,
        Format::Table => output::table(
            ["CHECK", "STATUS", "DETAIL"],
            shapes.iter().map(|shape| [shape.check.to_owned(), shape.status.to_owned(), shape.detail.clone()]),
        ),
    };
    let failed: Vec<_> = shapes.iter().filter(|shape| shape.failed.is_some()).map(|shape| shape.check).collect();
    if failed.is_empty() {
        return Ok(text);
    }
    output::print(&text)?;
    Err(Failure::Unavailable(format!("not as the server needs it: {}", failed.join(", "))))
}

fn shape(Checkup { name, health }: &Checkup) -> Shape<'_> {
    let shape = |status, detail| Shape { check: name, status, milliseconds: None, failed: None, code: None, detail };
    let Some(health) = health else { return shape("unused", "sessions are kept in the database".to_owned()) };
    match (&health.tried, &health.warning) {
        (Ok(_), warning) => {
            let milliseconds = health.milliseconds();
            let told = format!("reads and writes in {} ms", milliseconds.unwrap_or_default());
            let shape = match warning {
                Some(warning) => shape("warning", format!("{told}; {warning}")),
                None => shape("ok", told),
            };
            Shape { milliseconds, ..shape }
        }
        (Err(fault), _) => {
            Shape { failed: Some(fault.failed), code: Some(&fault.code), ..shape("failed", fault.to_string()) }
        }
    }
}
