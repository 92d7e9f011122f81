//! What lists look like: a table for people, JSON for programs.

use std::io::{ErrorKind, Write};
use std::pin::pin;

use clap::{Args, ValueEnum};
use futures_util::{Stream, TryStreamExt as _};
use serde::Serialize;

use super::Failure;
use crate::domain::{Error, Timestamp};
use crate::telemetry::escaped;

/// Taken by every command that lists or shows.
#[derive(Args)]
pub struct Output {
    /// How to print.
    #[arg(long = "output", value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// Pretty JSON with a line end.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => Ok(text + "\n"),
        Err(error) => Err(Failure::Failed(format!("the answer can't be written as JSON: {error}"))),
    }
}

/// Columns under their titles, two spaces between them.
pub fn table<const N: usize>(titles: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let titles = titles.map(str::to_owned);
    let rows: Vec<[String; N]> = rows.into_iter().map(|row| row.map(|cell| escaped(&cell).into_owned())).collect();
    let lines = || std::iter::once(&titles).chain(&rows);
    let mut widths = [0; N];
    for line in lines() {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for line in lines() {
        let cells: Vec<_> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Writes an export as fast as it is taken, and says how many lines it had. `name` is what it is written to. Whoever
/// reads may stop reading (`| head`).
pub async fn stream(
    pieces: impl Stream<Item = Result<String, Error>>,
    mut out: impl Write,
    name: &str,
) -> Result<usize, Failure> {
    let (mut pieces, mut lines) = (pin!(pieces), 0);
    while let Some(piece) = pieces.try_next().await? {
        match out.write_all(piece.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => lines += piece.lines().count(),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(error) => return Err(Failure::Failed(format!("{name} can't be written: {error}"))),
        }
    }
    Ok(lines)
}

/// A moment as people read it in a table, in UTC.
pub fn moment(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_control_characters_escaped() {
        let rows = [["ann".to_owned(), "x".to_owned()], ["bö\x1b".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "DEVICE"], rows), "NAME      DEVICE\nann       x\nbö\\u001b\n");
    }
}
