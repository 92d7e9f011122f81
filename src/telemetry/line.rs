//! How a line of the log looks.

use std::fmt::{self, Write};
use std::net::IpAddr;
use std::rc::Rc;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

use super::{is_hostile, is_plain};

tokio::task_local! {
    static REQUEST: Rc<Request>;
}

/// The request in whose course something is logged. Nothing of it is formatted before a line is.
pub struct Request {
    /// UUIDv7, the one of `x-request-id`.
    pub id: Uuid,
    /// As it was sent.
    pub method: String,
    /// Without its query, and of a one-time link no more than may be shown.
    pub path: String,
    /// As far as the proxies are believed.
    pub client: IpAddr,
}

impl Request {
    /// Runs `work`: each line that it logs says of which request it is. What it gives to other threads, or spawns, is not
    /// within.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        REQUEST.scope(Rc::new(self), work).await
    }
}

/// One event, one line: an object of JSON, or text.
pub(super) struct Line {
    /// Which of the two.
    pub json: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut line: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // Libraries that use `log` say of themselves in fields what is metadata here.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let request = REQUEST.try_with(Rc::clone).ok();
        if !self.json {
            SystemTime.format_time(&mut line)?;
            write!(line, " {:>5} {}: ", metadata.level(), metadata.target())?;
            context.format_fields(line.by_ref(), event)?;
            if let Some(Request { id, method, path, client }) = request.as_deref() {
                write!(line, " request={id} {method} {path} client={client}")?;
            }
            return writeln!(line);
        }
        line.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut line)?;
        line.write_str("\",\"level\":\"")?;
        line.write_str(metadata.level().as_str())?;
        line.write_char('"')?;
        let mut members = Members { line: line.by_ref(), result: Ok(()) };
        event.record(&mut members);
        members.result?;
        line.write_str(",\"target\":\"")?;
        InString(&mut line).write_str(metadata.target())?;
        line.write_char('"')?;
        if let Some(Request { id, method, path, client }) = request.as_deref() {
            line.write_str(",\"request\":{\"id\":\"")?;
            line.write_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))?;
            line.write_str("\",\"method\":\"")?;
            InString(&mut line).write_str(method)?;
            line.write_str("\",\"path\":\"")?;
            InString(&mut line).write_str(path)?;
            write!(line, "\",\"client\":\"{client}\"}}")?;
        }
        line.write_str("}\n")
    }
}

/// Writes the fields of an event as members of an object that has some already.
struct Members<'a> {
    line: Writer<'a>,
    result: fmt::Result,
}

impl Members<'_> {
    fn member(&mut self, field: &Field, write: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_err() || field.name().starts_with("log.") {
            return;
        }
        let name = [",\"", field.name(), "\":"];
        self.result =
            name.into_iter().try_for_each(|part| self.line.write_str(part)).and_then(|()| write(&mut self.line));
    }
}

impl Visit for Members<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field, |line| write!(line, "{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field, |line| {
            line.write_char('"')?;
            write!(InString(line), "{value:?}")?;
            line.write_char('"')
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// What is written is the inside of a string of JSON (RFC 8259 section 7).
struct InString<'a, W: Write>(&'a mut W);

impl<W: Write> Write for InString<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if is_plain(text.as_bytes()) && !text.bytes().any(|byte| matches!(byte, b'"' | b'\\')) {
            return self.0.write_str(text);
        }
        let mut rest = text;
        while let Some(at) = rest.find(|c| matches!(c, '"' | '\\') || is_hostile(c)) {
            self.0.write_str(&rest[..at])?;
            let mut after = rest[at..].chars();
            let special = after.next().unwrap_or_default();
            if is_hostile(special) {
                let mut units = [0; 2];
                special.encode_utf16(&mut units).iter().try_for_each(|unit| write!(self.0, "\\u{unit:04x}"))?;
            } else {
                write!(self.0, "\\{special}")?;
            }
            rest = after.as_str();
        }
        self.0.write_str(rest)
    }
}
