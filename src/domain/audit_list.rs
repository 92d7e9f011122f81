//! The audit log, as those who administer ask for it.

use std::net::IpAddr;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime};
use uuid::Uuid;

use super::{Event, FieldError, FieldErrors, Outcome, Timestamp, UserId};

/// Which events a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    pub event: Option<Event>,
    /// Who did it or whom it was done to: username (also a former one), e-mail or id of an account; of one that is deleted
    /// no e-mail.
    pub user: Option<String>,
    pub address: Option<IpAddr>,
    pub outcome: Option<Outcome>,
    /// Of one request, as its answer and the log name it.
    pub request_id: Option<Uuid>,
}

impl AuditFilter {
    /// Whether it leaves out nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The same as it was typed; empty text is no filter.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct TypedAuditFilter {
    pub since: Option<String>,
    pub until: Option<String>,
    pub event: Option<String>,
    pub user: Option<String>,
    pub address: Option<String>,
    pub outcome: Option<String>,
    pub request_id: Option<String>,
}

impl TypedAuditFilter {
    /// Each field and what was typed into it.
    pub fn fields(&self) -> [(&'static str, Option<&str>); 7] {
        let Self { since, until, event, user, address, outcome, request_id } = self;
        [
            ("since", since.as_deref()),
            ("until", until.as_deref()),
            ("event", event.as_deref()),
            ("user", user.as_deref()),
            ("address", address.as_deref()),
            ("outcome", outcome.as_deref()),
            ("request_id", request_id.as_deref()),
        ]
    }

    /// Times are days (`2026-11-20`, the last one included) or moments (RFC 3339; without an offset in UTC).
    ///
    /// # Errors
    /// Each field that can't be read.
    pub fn parse(&self) -> Result<AuditFilter, FieldErrors> {
        let mut errors = FieldErrors::default();
        let text =
            |typed: &Option<String>| typed.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        let since = errors.check(text(&self.since).map(|text| moment("since", &text, 0)).transpose());
        let until = errors.check(text(&self.until).map(|text| moment("until", &text, 1)).transpose());
        let event = text(&self.event).map(|text| FieldError::one_of("event", &text, Event::ALL)).transpose();
        let event = errors.check(event);
        let outcome = text(&self.outcome).map(|text| FieldError::one_of("outcome", &text, Outcome::ALL)).transpose();
        let outcome = errors.check(outcome);
        let advice = "Write a whole address, such as 203.0.113.9 or 2001:db8::1.";
        let address = text(&self.address).map(|text| FieldError::parse("address", &text, advice)).transpose();
        let address = errors.check(address);
        let advice = "Write a whole id, as a page or an answer that went wrong shows it.";
        let request_id = text(&self.request_id).map(|text| FieldError::parse("request_id", &text, advice)).transpose();
        let request_id = errors.check(request_id);
        let (Some(since), Some(until), Some(event), Some(outcome), Some(address), Some(request_id)) =
            (since, until, event, outcome, address, request_id)
        else {
            return Err(errors);
        };
        let address = address.map(|address: IpAddr| address.to_canonical());
        Ok(AuditFilter { since, until, event, user: text(&self.user), address, outcome, request_id })
    }
}

/// An account that a filter names.
#[derive(Clone, Debug)]
pub struct AuditedAccount {
    pub id: UserId,
    /// The present one; of a deleted account the last.
    pub username: String,
    pub deleted: bool,
}

/// A moment, or the start of the day that comes so many days after a day.
fn moment(field: &'static str, text: &str, days: u64) -> Result<Timestamp, FieldError> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc().into());
    }
    // As a browser's field for a moment writes it.
    let local =
        ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f"].iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok());
    if let Some(moment) = local {
        return Ok(moment.and_utc().into());
    }
    let day = text.parse::<NaiveDate>().ok().and_then(|day| day.checked_add_days(Days::new(days)));
    let midnight = day.and_then(|day| day.and_hms_opt(0, 0, 0)).map(|moment| moment.and_utc().into());
    midnight.ok_or_else(|| {
        let advice = match lost_plus(text) {
            Some(meant) => format!("In an address + is a space. Write %2B for it: {}.", meant.replace('+', "%2B")),
            None => "Write a day or a moment, such as 2026-11-20 or 2026-11-20T14:00.".to_owned(),
        };
        FieldError::new(field, "invalid", advice)
    })
}

/// What a moment was before its plus became a space, as a bare one in a query does.
fn lost_plus(text: &str) -> Option<String> {
    let (moment, offset) = text.rsplit_once(' ')?;
    let meant = format!("{}+{offset}", moment.trim_end());
    DateTime::parse_from_rfc3339(&meant).is_ok().then_some(meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(since: &str, until: &str, event: &str, address: &str, outcome: &str) -> TypedAuditFilter {
        let text = |text: &str| Some(text.to_owned());
        TypedAuditFilter {
            since: text(since),
            until: text(until),
            event: text(event),
            user: None,
            address: text(address),
            outcome: text(outcome),
            request_id: None,
        }
    }

    #[test]
    fn empty_fields_are_no_filter() {
        assert!(typed("", " ", "", "", "").parse().is_ok_and(|filter| filter.is_empty()));
    }

    #[test]
    fn the_last_day_is_included_and_a_moment_is_not() {
        let filter = typed("2026-11-20", "2026-11-20", "sign_out", "::ffff:203.0.113.9", "failure").parse().unwrap();
        assert_eq!(filter.since.unwrap().to_rfc3339(), "2026-11-20T00:00:00+00:00");
        assert_eq!(filter.until.unwrap().to_rfc3339(), "2026-11-21T00:00:00+00:00");
        assert_eq!(filter.address.unwrap().to_string(), "203.0.113.9");
        assert_eq!((filter.event, filter.outcome), (Some(Event::SignOut), Some(Outcome::Failure)));
        let filter = typed("2026-11-20T14:00:00+02:00", "", "", "", "").parse().unwrap();
        assert_eq!(filter.since.unwrap().to_rfc3339(), "2026-11-20T12:00:00+00:00");
        for (since, read) in [("14:00", "14:00:00"), ("14:00:30", "14:00:30"), ("14:00:30.25", "14:00:30.250")] {
            let filter = typed(&format!("2026-11-20T{since}"), "", "", "", "").parse().unwrap();
            assert_eq!(filter.since.unwrap().to_rfc3339(), format!("2026-11-20T{read}+00:00"));
        }
    }

    #[test]
    fn a_plus_that_became_a_space_is_asked_for_by_its_code() {
        for lost in ["2026-11-20T00:00:00 01:00", "2026-11-20T00:00:00.5 05:30"] {
            let errors = typed(lost, lost, "", "", "").parse().unwrap_err();
            for field in ["since", "until"] {
                let advice = errors.of(field).unwrap();
                assert!(advice.contains(&lost.replace(' ', "%2B")), "{advice}");
            }
        }
        for other in ["2026-11-20T00:00:00 x", "2026-11-20 01:00", "20 November"] {
            let errors = typed(other, "", "", "", "").parse().unwrap_err();
            assert!(!errors.of("since").unwrap().contains("%2B"), "{other}");
        }
    }

    #[test]
    fn every_field_that_cannot_be_read_is_named() {
        let errors = typed("yesterday", "2026-13-01", "sign_in", "203.0.113", "bad").parse().unwrap_err();
        let fields: Vec<_> = errors.iter().map(|error| error.field.to_string()).collect();
        assert_eq!(fields, ["since", "until", "event", "outcome", "address"]);
        let event = errors.of("event").unwrap();
        assert!(Event::ALL.iter().all(|known| event.contains(known.as_str())), "{event}");
    }
}
