//! The audit log as a file: CSV for spreadsheets, JSON Lines for programs.

use futures_util::{Stream, StreamExt as _};

use super::EventShape;
use crate::domain::audit::AuditEvent;
use crate::domain::clock::rfc3339;
use crate::domain::invisible::is_invisible;
use crate::domain::{Actor, Error};

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// RFC 4180, with a line of titles.
    Csv,
    /// A JSON object on each line.
    Jsonl,
}

impl ExportFormat {
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Jsonl => "application/jsonl",
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// What stands before all events.
    fn head(self) -> String {
        match self {
            Self::Csv => csv_line(COLUMNS.map(str::to_owned)),
            Self::Jsonl => String::new(),
        }
    }

    fn line(self, event: AuditEvent) -> Result<String, Error> {
        match self {
            Self::Csv => Ok(csv_line(cells(event))),
            Self::Jsonl => Ok(serde_json::to_string(&EventShape::from(event)).map_err(Error::internal)? + "\n"),
        }
    }

    /// An export as text: the pieces of it as they come.
    pub fn write(
        self,
        events: impl Stream<Item = Result<Vec<AuditEvent>, Error>>,
    ) -> impl Stream<Item = Result<String, Error>> {
        let mut head = Some(self.head());
        events.map(move |events| {
            let mut text = head.take().unwrap_or_default();
            for event in events? {
                text.push_str(&self.line(event)?);
            }
            Ok(text)
        })
    }
}

const COLUMNS: [&str; 14] = [
    "id",
    "at",
    "event",
    "outcome",
    "actor_kind",
    "actor_id",
    "actor_username",
    "subject_id",
    "subject_username",
    "session_id",
    "address",
    "device",
    "request_id",
    "detail",
];

fn cells(event: AuditEvent) -> [String; 14] {
    let kind = event.actor.kind().to_string();
    let (actor_id, actor_username) = match event.actor {
        Actor::User { id, username } => (id.to_string(), username),
        Actor::Cli | Actor::System | Actor::Anonymous => Default::default(),
    };
    let (subject_id, subject_username) =
        event.subject.map(|(id, username)| (id.to_string(), username)).unwrap_or_default();
    [
        event.id.to_string(),
        rfc3339(event.at),
        event.event.to_string(),
        event.outcome.to_string(),
        kind,
        actor_id,
        actor_username,
        subject_id,
        subject_username,
        event.session_id.map(|id| id.to_string()).unwrap_or_default(),
        event.address.unwrap_or_default(),
        event.device.unwrap_or_default(),
        event.request_id.unwrap_or_default(),
        event.detail.unwrap_or_default(),
    ]
}

/// RFC 4180, every cell in quotes and none a formula.
fn csv_line(cells: [String; 14]) -> String {
    cells.map(|cell| format!("\"{}\"", without_formulas(&cell).replace('"', "\"\""))).join(",") + "\r\n"
}

/// What begins a formula.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// An apostrophe before all that a spreadsheet could take for a formula (OWASP, "CSV Injection"): at the beginning, and
/// after whatever begins another cell where somebody reads the file with another separator. White space and quotes
/// in front of a formula are no beginning of their own, since readers drop them.
fn without_formulas(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len() + 1);
    if cell.starts_with(['\t', '\r', '\n']) {
        text.push('\'');
    }
    let mut begins = true;
    for character in cell.chars() {
        if begins && FORMULA.contains(&character) {
            text.push('\'');
        }
        begins = match character {
            ',' | ';' | '\t' | '\r' | '\n' => true,
            other => begins && (other.is_whitespace() || is_invisible(other) || QUOTES.contains(&other)),
        };
        text.push(character);
    }
    text
}

const QUOTES: [char; 9] = ['"', '\'', '`', '“', '”', '„', '‘', '’', '＂'];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Clock, Event, EventId, Outcome};

    fn event(device: &str, detail: &str) -> AuditEvent {
        let now = Clock::default().now();
        AuditEvent {
            id: EventId::new(now),
            at: now,
            event: Event::SignOut,
            outcome: Outcome::Success,
            actor: Actor::Cli,
            subject: None,
            session_id: None,
            address: None,
            device: Some(device.to_owned()),
            request_id: None,
            detail: Some(detail.to_owned()),
        }
    }

    #[test]
    fn no_cell_is_a_formula_and_none_breaks_out_of_its_quotes() {
        for (hostile, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1", "'＝1"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            (" \u{a0}\u{200b}=1", " \u{a0}\u{200b}'=1"),
            ("“=1", "“'=1"),
            ("x;=1;y", "x;'=1;y"),
            ("1-2=-1", "1-2=-1"),
        ] {
            let line = ExportFormat::Csv.line(event(hostile, "x")).unwrap();
            assert!(line.contains(&format!("\"{written}\"")), "{line}");
        }
        let line = ExportFormat::Csv.line(event("a\",=1+1,\"", "two\r\nlines")).unwrap();
        assert!(line.contains(r#","a"",'=1+1,""","#) && line.ends_with("\"two\r\nlines\"\r\n"), "{line}");
    }

    proptest::proptest! {
        #[test]
        fn no_cell_is_a_formula_however_a_spreadsheet_splits_the_line(text in "[=+@;,\"'x \t\r\n-]{0,12}|\\PC{0,30}") {
            let line = ExportFormat::Csv.line(event(&text, &text)).unwrap();
            for separator in [',', ';', '\t'] {
                for cell in line.split([separator, '\r', '\n']) {
                    let cell = cell.trim_start_matches(|c: char| c.is_whitespace() || c == '"');
                    proptest::prop_assert!(!cell.starts_with(FORMULA), "{cell}");
                }
            }
        }
    }

    #[test]
    fn a_line_of_json_is_one_line() {
        let line = ExportFormat::Jsonl.line(event("=1", "two\r\nlines\u{2028}\u{1b}")).unwrap();
        assert_eq!(line.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["detail"], "two\r\nlines\u{2028}\u{1b}");
        assert_eq!(value["actor"]["kind"], "cli");
    }
}
