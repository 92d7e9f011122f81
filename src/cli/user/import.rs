//! `portcullis user import`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::Failure;
use super::super::ask::Yes;
use super::super::failure::complaints;
use super::super::progress::Progress;
use super::output;
use crate::domain::Role;
use crate::services::administration::transfer::{self, BATCH, FIELDS, Import, Imported, Line, LineOutcome, MAX_LINE};
use crate::services::{RecentAuthContext, Services};
use crate::telemetry::escaped;

#[derive(Args)]
#[command(after_help = after_help())]
pub struct Arguments {
    /// The file; `-` is stdin.
    file: PathBuf,
    /// Check every line, tell what an import would do, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Fields to pass over, with commas between them.
    #[arg(long, value_name = "FIELDS", value_delimiter = ',')]
    ignore: Vec<String>,
    #[command(flatten)]
    yes: Yes,
}

fn after_help() -> String {
    format!(
        "Each line is a JSON object with `username` and `email`, and, where there is something to say: {}. Any other \
         field is an error, unless it is named by --ignore.\n\
         A password hash is Argon2, bcrypt, scrypt or PBKDF2, as a PHC string or as Django writes it, and is replaced \
         by Argon2id at the next sign-in. One that would keep the server busy for many seconds is refused. An account \
         without one is created; its owner needs `portcullis user reset-link`.\n\
         Lines that can't be imported are skipped, and told on stderr with their number; then the exit status is 1. An \
         import that was interrupted can be repeated: what is there already is skipped.",
        FIELDS[2..].join(", ")
    )
}

pub async fn run(arguments: Arguments, services: &Services) -> Result<String, Failure> {
    let Arguments { file, dry_run, ignore, yes: _ } = arguments;
    let mut lines = Lines::open(&file)?;
    let mut import = transfer::import(services, &RecentAuthContext::command_line(), dry_run, ignore)?;
    let mut report = Report::default();
    let imported = import_all(&mut import, &mut lines, &mut report).await;
    report.advise();
    let summary = report.summary(dry_run);
    match imported {
        Ok(()) if report.skipped == 0 => Ok(summary + "\n"),
        Ok(()) => Err(Failure::Failed(summary)),
        Err(failure) => {
            output::tell(&summary);
            Err(failure)
        }
    }
}

async fn import_all(import: &mut Import, lines: &mut Lines, report: &mut Report) -> Result<(), Failure> {
    let mut progress = Progress::new();
    loop {
        let batch = lines.next_batch().map_err(|error| Failure::Failed(format!("no more can be read: {error}")))?;
        if batch.is_empty() {
            return Ok(());
        }
        progress.tell(|| lines.progress());
        let done = import.lines(batch).await;
        progress.clear();
        for imported in done? {
            report.take(&imported);
        }
    }
}

/// Unknown fields that are named at the end; a file may invent any number.
const NAMED: usize = 20;

/// What came of all lines so far.
#[derive(Default)]
struct Report {
    created: u64,
    managers: u64,
    administrators: u64,
    without_password: u64,
    /// With a password that takes more memory to check than one that was hashed here.
    costly: u64,
    skipped: u64,
    /// Fields for which lines were skipped.
    unknown: BTreeSet<String>,
}

impl Report {
    /// Counts a line, and tells on stderr of one that needs looking after.
    fn take(&mut self, Imported { line, outcome }: &Imported) {
        let told = match outcome {
            LineOutcome::Created { user, has_password, costly } => {
                self.created += 1;
                self.costly += u64::from(*costly);
                self.managers += u64::from(user.role == Role::Manager);
                self.administrators += u64::from(user.role == Role::Admin);
                if *has_password {
                    return;
                }
                self.without_password += 1;
                format!("{} has no password: portcullis user reset-link {}", user.username, user.username)
            }
            LineOutcome::Skipped(errors) => {
                self.skipped += 1;
                for error in errors.iter().filter(|error| error.code == "unknown_field") {
                    if self.unknown.len() < NAMED {
                        self.unknown.insert(error.field.to_string());
                    }
                }
                format!("skipped. {}", complaints(errors))
            }
        };
        output::tell(&format!("line {line}: {}", escaped(&told)));
    }

    /// Says what to do about fields that come with every line, and what costly hashes mean for the server.
    fn advise(&self) {
        if self.costly > 0 {
            let costly =
                format!("Password hashes that take more memory to check than argon2_memory_kib: {}.", self.costly);
            let advice = "They are checked one at a time, and replaced when their owners sign in.";
            output::tell(&format!("{costly} {advice}"));
        }
        if !self.unknown.is_empty() {
            let fields: Vec<_> = self.unknown.iter().map(String::as_str).collect();
            let advice = format!("To pass over what is not known here: --ignore {}", fields.join(","));
            output::tell(&escaped(&advice));
        }
    }

    fn summary(&self, dry_run: bool) -> String {
        let would = if dry_run { "Would create" } else { "Created" };
        let among = [
            (self.administrators, counted(self.administrators, "administrator")),
            (self.managers, counted(self.managers, "manager")),
            (self.without_password, format!("{} without a password", self.without_password)),
        ];
        let among: Vec<_> = among.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
        let among = if among.is_empty() { String::new() } else { format!(" ({})", among.join(", ")) };
        let (created, skipped) = (counted(self.created, "account"), counted(self.skipped, "line"));
        format!("{would} {created}{among}, skipped {skipped}.")
    }
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The lines of a file, with bounded memory.
struct Lines {
    input: Box<dyn BufRead>,
    /// Bytes in all, where that is known.
    size: Option<u64>,
    /// Lines and bytes so far.
    number: u64,
    bytes: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self::of(Box::new(std::io::stdin().lock()), None));
        }
        let failed = |error| Failure::Failed(format!("{} can't be read: {error}", path.display()));
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        Ok(Self::of(Box::new(BufReader::new(file)), Some(size).filter(|size| *size > 0)))
    }

    fn of(input: Box<dyn BufRead>, size: Option<u64>) -> Self {
        Self { input, size, number: 0, bytes: 0 }
    }

    /// The next lines that say something; none at the end.
    fn next_batch(&mut self) -> std::io::Result<Vec<Line>> {
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(text) = self.next()?
        {
            if !text.trim_ascii().is_empty() {
                batch.push(Line { number: self.number, text });
            }
        }
        Ok(batch)
    }

    /// Without its end; of a line that is longer than any may be, one byte more than that.
    fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut text = Vec::new();
        let mut read = (&mut self.input).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut text)? as u64;
        if read == 0 {
            return Ok(None);
        }
        if text.pop_if(|last| *last == b'\n').is_none() {
            read += self.input.skip_until(b'\n')? as u64;
        }
        self.number += 1;
        self.bytes += read;
        // Editors of Windows begin a file with a byte order mark.
        if self.number == 1 && text.starts_with("\u{feff}".as_bytes()) {
            text.drain(.."\u{feff}".len());
        }
        Ok(Some(text))
    }

    /// How far it is: a bar where the end is known.
    fn progress(&self) -> String {
        const WIDTH: usize = 30;
        let lines = self.number;
        let Some(size) = self.size else { return format!("{lines} lines") };
        let percent = (self.bytes.saturating_mul(100) / size).min(100);
        let full = WIDTH * percent as usize / 100;
        format!("[{}{}] {percent} %, {lines} lines", "#".repeat(full), " ".repeat(WIDTH - full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &'static [u8]) -> Lines {
        Lines::of(Box::new(text), None)
    }

    #[test]
    fn lines_keep_their_numbers_and_empty_ones_say_nothing() {
        let batch = lines(b"{}\n\n  \r\nx\r\nlast").next_batch().unwrap();
        let read: Vec<_> = batch.iter().map(|line| (line.number, line.text.trim_ascii())).collect();
        assert_eq!(read, [(1, &b"{}"[..]), (4, b"x"), (5, b"last")]);
        assert!(lines(b"\n\n").next_batch().unwrap().is_empty());
        assert_eq!(lines(b"\xef\xbb\xbf{}\n").next_batch().unwrap()[0].text, b"{}");
    }

    #[test]
    fn a_line_without_end_is_read_no_further_than_a_line_may_be() {
        let text: &'static [u8] = [vec![b'x'; 10 * MAX_LINE], b"\nnext".to_vec()].concat().leak();
        let mut lines = lines(text);
        let batch = lines.next_batch().unwrap();
        assert_eq!(batch[0].text.len(), MAX_LINE + 1);
        assert_eq!((batch[1].number, &batch[1].text[..]), (2, &b"next"[..]));
        assert_eq!(lines.bytes, text.len() as u64);
    }

    #[test]
    fn progress_is_a_bar_where_the_end_is_known() {
        let bar = |size| Lines { size, number: 7, bytes: 50, ..lines(b"") }.progress();
        assert_eq!(bar(Some(100)), format!("[{}{}] 50 %, 7 lines", "#".repeat(15), " ".repeat(15)));
        assert_eq!((bar(Some(1)).contains("] 100 %"), bar(None).as_str()), (true, "7 lines"));
    }

    #[test]
    fn a_summary_says_what_needs_looking_at() {
        let report =
            Report { created: 3, administrators: 1, managers: 2, without_password: 1, skipped: 1, ..Report::default() };
        assert_eq!(
            report.summary(false),
            "Created 3 accounts (1 administrator, 2 managers, 1 without a password), skipped 1 line."
        );
        assert_eq!(Report::default().summary(true), "Would create 0 accounts, skipped 0 lines.");
    }
}
