//! What a command writes, and the one place that writes it: its answer to stdout, what else there is to tell to stderr.
//! Lists are a table for people, JSON for programs.

use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::pin::pin;

use clap::{Args, ValueEnum};
use futures_util::{Stream, TryStreamExt as _};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::Failure;
use super::progress::Progress;
use crate::domain::{Error, Timestamp};
use crate::telemetry::escaped;

/// Rows that a list holds in memory at once.
pub const PAGE: u16 = 500;

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

/// Writes the answer of a command to stdout. Where nobody reads it, it was in vain.
pub fn print(text: &str) -> Result<(), Failure> {
    match write(&mut io::stdout().lock(), STDOUT, text)? {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Failure::Unread),
    }
}

/// Tells a line on stderr. Where that can't be written there is only the exit status left.
pub fn tell(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

/// Prints what clap has to say: help and version to stdout, errors to stderr.
pub fn print_usage(error: &clap::Error) -> Result<(), Failure> {
    match error.print().and_then(|()| io::stdout().flush()) {
        Err(_) if error.use_stderr() => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Unread),
        printed => printed.map_err(|error| unwritable(STDOUT, &error)),
    }
}

/// Asks on stderr. A question that nobody sees is not answered either.
pub fn ask(question: &str) -> Result<(), Failure> {
    let unasked = |error| Failure::Failed(format!("the question can't be shown ({error}): nothing was changed"));
    write!(io::stderr(), "{question}").map_err(unasked)
}

/// What stdout is called where it can't be written.
const STDOUT: &str = "stdout";

/// `Break` where whoever reads has seen enough (`| head`).
fn write(out: &mut impl Write, name: &str, text: &str) -> Result<ControlFlow<()>, Failure> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(unwritable(name, &error)),
    }
}

fn unwritable(name: &str, error: &io::Error) -> Failure {
    Failure::Failed(format!("{name} can't be written: {error}"))
}

/// Writes an export to stdout as fast as it is taken.
pub async fn print_stream(pieces: impl Stream<Item = Result<String, Error>>) -> Result<(), Failure> {
    stream(pieces, io::stdout().lock(), STDOUT, Progress::of_stdout()).await.map(drop)
}

/// Writes an export as fast as it is taken, and says how many lines it had. `name` is what it is written to.
pub async fn stream(
    pieces: impl Stream<Item = Result<String, Error>>,
    mut out: impl Write,
    name: &str,
    mut progress: Progress,
) -> Result<usize, Failure> {
    let (mut pieces, mut lines) = (pin!(pieces), 0);
    while let Some(piece) = pieces.try_next().await? {
        if write(&mut out, name, &piece)?.is_break() {
            break;
        }
        lines += piece.lines().count();
        progress.tell(|| format!("{lines} lines"));
    }
    Ok(lines)
}

/// Pretty JSON with a line end.
pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    Ok(pretty(value)? + "\n")
}

fn pretty(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(value)
        .map_err(|error| Failure::Failed(format!("the answer can't be written as JSON: {error}")))
}

/// Columns under their titles, two spaces between them.
pub fn table<const N: usize>(titles: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let columns = Columns::fit(titles, &rows);
    std::iter::once(titles.map(str::to_owned)).chain(rows).map(|row| columns.line(row)).collect()
}

/// How many cells of a terminal each column takes.
struct Columns<const N: usize>([usize; N]);

impl<const N: usize> Columns<N> {
    fn fit(titles: [&str; N], rows: &[[String; N]]) -> Self {
        let mut widths = titles.map(str::width);
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = escaped(cell).width().max(*width);
            }
        }
        Self(widths)
    }

    fn line(&self, row: [String; N]) -> String {
        let cells = row.iter().zip(self.0).map(|(cell, width)| {
            let cell = escaped(cell);
            let rest = " ".repeat(width.saturating_sub(cell.width()));
            format!("{cell}{rest}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    }
}

/// A list of any length, printed page by page: memory holds one of them. The columns of its table are as wide as the
/// first page needs; a longer cell moves the rest of its line.
pub struct Listing<const N: usize> {
    format: Format,
    titles: [&'static str; N],
    /// Before the first page: none.
    columns: Option<Columns<N>>,
    is_empty: bool,
}

impl<const N: usize> Listing<N> {
    pub fn new(format: Format, titles: [&'static str; N]) -> Self {
        Self { format, titles, columns: None, is_empty: true }
    }

    /// The text of the next page, of each row as JSON and as cells.
    pub fn page<S: Serialize>(&mut self, rows: Vec<(S, [String; N])>) -> Result<String, Failure> {
        let (shapes, rows): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let is_first = self.columns.is_none();
        let columns = self.columns.get_or_insert_with(|| Columns::fit(self.titles, &rows));
        match self.format {
            Format::Table => {
                let head = is_first.then(|| self.titles.map(str::to_owned));
                Ok(head.into_iter().chain(rows).map(|row| columns.line(row)).collect())
            }
            Format::Json => {
                let mut text = if is_first { "[" } else { "" }.to_owned();
                for shape in &shapes {
                    text += if self.is_empty { "\n  " } else { ",\n  " };
                    text += &pretty(shape)?.replace('\n', "\n  ");
                    self.is_empty = false;
                }
                Ok(text)
            }
        }
    }

    /// What comes after the last page.
    pub fn end(&self) -> &'static str {
        match self.format {
            Format::Table => "",
            Format::Json if self.is_empty => "]\n",
            Format::Json => "\n]\n",
        }
    }
}

/// Asks for one page after the other, each by the cursor that the one before gave, and prints them; nothing is left to
/// print then.
pub async fn print_pages<S: Serialize, const N: usize>(
    mut listing: Listing<N>,
    mut ask: impl AsyncFnMut(Option<String>) -> Result<(Vec<(S, [String; N])>, Option<String>), Error>,
) -> Result<String, Failure> {
    let mut cursor = None;
    loop {
        let (rows, next) = ask(cursor).await?;
        let mut text = listing.page(rows)?;
        if next.is_none() {
            text += listing.end();
        }
        if write(&mut io::stdout().lock(), STDOUT, &text)?.is_break() || next.is_none() {
            return Ok(String::new());
        }
        cursor = next;
    }
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

    #[test]
    fn columns_are_aligned_as_a_terminal_shows_what_is_wide_combined_or_an_emoji() {
        let names = ["ann", "王小明", "Zoe\u{308}", "👩🏽\u{200d}🚀", "❤\u{fe0f}", "ｷﾑ"];
        let table = table(["NAME", "DEVICE"], names.map(|name| [name.to_owned(), "x".to_owned()]));
        let expected = [
            "NAME    DEVICE",
            "ann     x",
            "王小明  x", // two cells each
            "Zoe\u{308}     x",
            "👩🏽\u{200d}🚀      x",
            "❤\u{fe0f}      x",
            "ｷﾑ      x",
        ];
        assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    }

    /// What a list of these pages prints.
    fn listed(format: Format, pages: &[&[&str]]) -> String {
        let mut listing = Listing::new(format, ["NAME", "LENGTH"]);
        let mut text = String::new();
        for page in pages {
            let rows = page.iter().map(|name| (name, [(*name).to_owned(), name.len().to_string()]));
            text += &listing.page(rows.collect()).unwrap();
        }
        text + listing.end()
    }

    #[test]
    fn a_list_in_pages_is_one_table_and_one_array() {
        let pages: &[&[&str]] = &[&["ann", "boris"], &[], &["christopher", "d"]];
        let table = "NAME   LENGTH\nann    3\nboris  5\nchristopher  11\nd      1\n";
        assert_eq!(listed(Format::Table, pages), table);
        assert_eq!(listed(Format::Table, &[&[]]), "NAME  LENGTH\n");
        let json = listed(Format::Json, pages);
        assert_eq!(json, self::json(&["ann", "boris", "christopher", "d"]).unwrap());
        for empty in [&[&[][..]][..], &[&[], &[]], &[&[], &["ann"]]] {
            let text = listed(Format::Json, empty);
            let array: Vec<String> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(array.len(), empty.concat().len());
        }
    }
}
