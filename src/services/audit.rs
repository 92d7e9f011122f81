//! The audit log: searched and exported.

mod export_slots;

use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::try_unfold;

use super::all_sessions::read_cursor;
use super::authorization::recheck;
use super::{AuthContext, Result, Services};
use crate::domain::audit::AuditEvent;
use crate::domain::audit_list::{AuditFilter, AuditedAccount};
use crate::domain::cursor::Cursors;
use crate::domain::invisible::is_invisible;
use crate::domain::{Actor, Clock, Error, EventId, Role};
use crate::shapes::EventShape;
use crate::storage::Database;
use crate::storage::audit_search::{self, Found};
pub use export_slots::Exports;
use export_slots::Slot;

/// Events that an export holds in memory at once.
const EXPORTED: usize = 500;

/// A page of the audit log.
pub struct AuditPage {
    pub events: Vec<AuditEvent>,
    /// The cursor of the next page, if there may be one; it may turn out empty.
    pub next: Option<String>,
}

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

    fn head(self) -> String {
        match self {
            Self::Csv => csv_line(COLUMNS.map(str::to_owned)),
            Self::Jsonl => String::new(),
        }
    }

    fn line(self, event: AuditEvent) -> Result<String> {
        match self {
            Self::Csv => Ok(csv_line(cells(event))),
            Self::Jsonl => Ok(serde_json::to_string(&EventShape::from(event)).map_err(Error::internal)? + "\n"),
        }
    }
}

impl Services {
    /// At most `limit` events after `cursor`, newest first.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the field `cursor` where it was not written for this list.
    pub async fn search_audit(
        &self,
        auth: &AuthContext,
        filter: &AuditFilter,
        cursor: Option<&str>,
        limit: u16,
    ) -> Result<AuditPage> {
        auth.require(Role::Manager)?;
        let (cursors, list) = (Cursors::new(&self.root_key), format!("audit {filter:?}"));
        let before: Option<EventId> = cursor.map(|cursor| read_cursor(&cursors, &list, cursor)).transpose()?;
        let filter = filter.clone();
        let found =
            self.database.read(move |connection| audit_search::page(connection, &filter, before, limit.into())).await?;
        let next = found.next.map(|position| cursors.write(&list, &position.to_string()));
        Ok(AuditPage { events: found.events, next })
    }

    /// Whose events a search for this user finds: accounts that have or had the name, or the id.
    pub async fn audited_accounts(&self, auth: &AuthContext, user: &str) -> Result<Vec<AuditedAccount>> {
        auth.require(Role::Manager)?;
        let user = user.to_owned();
        self.database.read(move |connection| audit_search::accounts(connection, &user)).await
    }

    /// All events that the filter finds, newest first, in pieces of text: read as fast as they are taken, and only as
    /// long as the caller may.
    ///
    /// # Errors
    /// [`Error::TooManyExports`] where enough are under way on this node; a piece may be it too, where nobody has taken
    /// one for long, or where somebody else needs the slot more.
    pub fn export_audit(
        &self,
        auth: &AuthContext,
        filter: AuditFilter,
        format: ExportFormat,
    ) -> Result<impl Stream<Item = Result<String>> + use<>> {
        auth.require(Role::Manager)?;
        let export = Export {
            slot: self.exports.begin(&auth.actor, self.clock.now())?,
            clock: self.clock.clone(),
            database: self.database.clone(),
            auth: auth.clone(),
            filter: Arc::new(filter),
        };
        let start = Some((export, None, format.head()));
        Ok(try_unfold(start, move |rest: Option<(Export, Option<EventId>, String)>| async move {
            let Some((export, before, mut text)) = rest else { return Ok(None) };
            let found = export.read(before).await?;
            for event in found.events {
                text.push_str(&format.line(event)?);
            }
            Ok(Some((text, found.next.map(|next| (export, Some(next), String::new())))))
        }))
    }
}

/// An export under way.
struct Export {
    slot: Slot,
    clock: Clock,
    database: Database,
    auth: AuthContext,
    filter: Arc<AuditFilter>,
}

impl Export {
    async fn read(&self, before: Option<EventId>) -> Result<Found> {
        self.slot.keep(self.clock.now())?;
        let (auth, filter) = (self.auth.clone(), self.filter.clone());
        // Whoever has half of it waits, rather than to begin anew.
        let database = if before.is_some() { self.database.clone().patient() } else { self.database.clone() };
        database
            .read(move |connection| {
                let found = audit_search::page(connection, &filter, before, EXPORTED)?;
                // Asked last, so that nothing is handed out that was read after the right to it had ended.
                recheck(connection, &auth)?.require(Role::Manager)?;
                Ok(found)
            })
            .await
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
        event.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
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
    use crate::domain::{Event, Outcome};

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
